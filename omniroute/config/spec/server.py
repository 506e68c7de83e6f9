"""Where the gateway listens, and who may manage it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from omniroute.config.spec.words import Duration, Lasting, Node, PasswordHash, Size, form


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
        tuple[
            Annotated[
                str,
                form(
                    r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?",
                    "an address or a network, such as `10.0.0.0/8`",
                    "A network.",
                ),
            ],
            ...,
        ],
        Meta(
            description="Networks of proxies whose `X-Forwarded-For` counts: the client is the last address in it that "
            "is none of them. For limits by address and for policies, never for access.",
            examples=[["10.0.0.0/8"]],
        ),
    ] = ()
    body_limit: Annotated[Size, Meta(description="The largest request body that is accepted.")] = "20MiB"
    drain_timeout: Annotated[Duration, Meta(description="How long requests may go on after the signal to stop.")] = (
        "30s"
    )
    ping_interval: Annotated[
        Lasting, Meta(description="After how much silence a stream gets a ping, so that proxies keep it open.")
    ] = "15s"
    strict_translation: Annotated[
        bool,
        Meta(description="Refuse with 400 what a translation between formats would lose, instead of reporting it."),
    ] = False


class AuthSpec(Node, frozen=True, kw_only=True):
    """Who may call, and who may manage."""

    require_api_key: Annotated[
        bool, Meta(description="Whether callers of the client API need a key. Required on a public address.")
    ] = False
    require_login: Annotated[bool, Meta(description="Whether /api and /dashboard need a login.")] = True
    password_hash: PasswordHash | None = None
    session_ttl: Annotated[Lasting, Meta(description="How long a login lasts.")] = "12h"
