"""Where the gateway listens, and who may manage it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from omniroute.config.spec.words import Duration, Lasting, Network, Node, PasswordHash, Size, form


class FetchImagesSpec(Node, frozen=True, kw_only=True):
    """Images that a request gives by an address, for a provider that takes only the images themselves (Ollama; Gemini for
    some addresses and models): whether the gateway fetches them. It connects to public IP addresses only, on the usual
    ports, follows no redirect, and takes PNG, JPEG, GIF and WebP, 16 a request at most. Where it is off, such a request
    is refused, or goes to a target that needs no fetching."""

    enabled: Annotated[bool, Meta(description="Whether images are fetched.")] = False
    hosts: Annotated[
        tuple[
            Annotated[
                str,
                form(
                    r"[a-z0-9*._-]{1,253}",
                    "a host name in small letters without a port, or a pattern with `*`",
                    "A host name, or a pattern where `*` stands for any text.",
                    ["*.example.com"],
                ),
            ],
            ...,
        ],
        Meta(
            description="The only hosts to fetch from; any if empty, and then over https alone.",
            examples=[["images.example.com", "*.cdn.example.com"]],
        ),
    ] = ()
    max_bytes: Annotated[Size, Meta(description="How large the images of one request may be together.")] = "20MiB"
    timeout: Annotated[Lasting, Meta(description="How long fetching them may take.")] = "10s"


class ServerSpec(Node, frozen=True, kw_only=True):
    """Where and how the gateway listens."""

    host: Annotated[
        str,
        form(r"[A-Za-z0-9:.%_-]{1,253}", "an address or a host name", "The address to listen on.", ["127.0.0.1"]),
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="The port to listen on; 0 takes a free one.")] = 20128
    data_dir: Annotated[
        str,
        Meta(
            min_length=1,
            description="The directory for run-time data: the ledger and backups, never configuration.",
            examples=["/var/lib/omniroute"],
        ),
    ] = ".omniroute"
    allowed_hosts: Annotated[
        tuple[Annotated[str, form(r"[A-Za-z0-9._-]{1,253}", "a host name without a port", "A host name.")], ...],
        Meta(
            description="Host names under which the management plane answers, besides IP addresses, localhost and "
            "*.local; this defeats DNS rebinding.",
            examples=[["gateway.example.com"]],
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Meta(
            description="Proxies in front of the gateway that are believed about whom they speak for: from these, and from "
            "no other peer, `X-Forwarded-For` counts, or `Forwarded` where there is none of it. A proxy that writes "
            "`Forwarded` has to take the clients' own `X-Forwarded-For` away.",
            examples=[["10.0.0.0/8"]],
        ),
    ] = ()
    body_limit: Annotated[Size, Meta(description="The largest request body that is accepted.")] = "20MiB"
    audio_limit: Annotated[
        Size,
        Meta(description="The largest file of speech that is accepted. It is held in memory while it is asked about."),
    ] = "25MiB"
    drain_timeout: Annotated[Duration, Meta(description="How long requests may go on after the signal to stop.")] = (
        "30s"
    )
    ping_interval: Annotated[
        Lasting, Meta(description="After how much silence a stream gets a ping, so that proxies keep it open.")
    ] = "15s"
    progress_interval: Annotated[
        Lasting, Meta(description="How often a stream tells how far it is, where `X-OmniRoute-Progress` asks for that.")
    ] = "2s"
    strict_translation: Annotated[
        bool,
        Meta(description="Refuse with 400 what a translation between formats would lose, instead of reporting it."),
    ] = False
    preload_tokenizers: Annotated[
        bool,
        Meta(
            description="Load the vocabularies for counting tokens at the start, which takes 0.5 s and 80 to 115 MB. "
            "Otherwise the first count that no provider answers loads one, and all other requests wait for 0.3 s or more."
        ),
    ] = False
    fetch_images: Annotated[
        FetchImagesSpec, Meta(description="Whether the gateway fetches images for providers that do not.")
    ] = FetchImagesSpec()


class AuthSpec(Node, frozen=True, kw_only=True):
    """Who may call, and who may manage."""

    require_api_key: Annotated[
        bool, Meta(description="Whether callers of the client API need a key. Required on a public address.")
    ] = False
    require_login: Annotated[bool, Meta(description="Whether /api and /dashboard need a login.")] = True
    password_hash: PasswordHash | None = None
    session_ttl: Annotated[Lasting, Meta(description="How long a login lasts.")] = "12h"
    strict_writes: Annotated[
        bool,
        Meta(
            description="Whether a write through /api has to say in `If-Match` what it was made from. Otherwise one that "
            "does not is taken, and the last writer wins."
        ),
    ] = False
