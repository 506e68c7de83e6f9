"""Where models are: providers, their connections, what their models cost and what they want otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from omniroute.config.spec.oauth import OAuthClientSpec, OAuthSpec
from omniroute.config.spec.words import (
    Address,
    Capability,
    ConnectionName,
    Format,
    Headers,
    Kind,
    Lasting,
    ModelName,
    Name,
    Node,
    ProviderType,
    SecretRef,
    form,
)
from omniroute.routing.tables import Selection


class ConnectionSpec(Node, frozen=True, kw_only=True):
    """One account or key at a provider."""

    api_key: SecretRef | None = None
    enabled: Annotated[bool, Meta(description="Whether it is called; off, it is as if it did not stand here.")] = True
    oauth: Annotated[
        OAuthClientSpec | None,
        Meta(description="Signs in instead of sending a key: see docs/oauth.md."),
    ] = None
    priority: Annotated[int, Meta(ge=0, le=1000, description="Low first, where the selection is fill-first.")] = 1
    weight: Annotated[int, Meta(ge=1, le=1000, description="Its share, where the selection is weighted.")] = 1
    max_concurrent: (
        Annotated[int, Meta(ge=1, description="Calls at the same time; the next connection takes what is more.")] | None
    ) = None
    quota_group: (
        Annotated[
            Name,
            Meta(
                description="Connections of one group share a quota: where one has used it up, all of them pause.",
                examples=["org-1"],
            ),
        ]
        | None
    ) = None
    heed_limits: Annotated[
        bool,
        Meta(
            description="Whether it is left alone once its provider says that nothing is left of its limits, and not only "
            "once it refuses; and comes last where there is little left."
        ),
    ] = True
    headers: Headers = {}  # noqa: RUF012 - a Mapping, as everywhere here


Usd = Annotated[float, Meta(ge=0, le=1_000_000)]
"""More is a mistake in the unit, and what has no end makes no bill."""


class RatesSpec(Node, frozen=True, kw_only=True):
    """USD per million tokens. What is not known is left out; 0 means that it costs nothing."""

    input: Annotated[Usd, Meta(description="Of the prompt.")] | None = None
    output: Annotated[Usd, Meta(description="Of the answer.")] | None = None
    cache_read: Annotated[Usd, Meta(description="Of prompt tokens read from a cache.")] | None = None
    cache_write: Annotated[Usd, Meta(description="Of prompt tokens written to a cache.")] | None = None
    cache_write_1h: (
        Annotated[
            Usd, Meta(description="Of prompt tokens written to a cache for an hour; as `cache_write` where absent.")
        ]
        | None
    ) = None
    reasoning: Annotated[Usd, Meta(description="Of reasoning tokens; as the answer where absent.")] | None = None
    audio_input: Annotated[Usd, Meta(description="Of sound in the prompt; as the prompt where absent.")] | None = None
    audio_output: Annotated[Usd, Meta(description="Of sound in the answer; as the answer where absent.")] | None = None
    image_input: Annotated[Usd, Meta(description="Of pictures in the prompt; as the prompt where absent.")] | None = (
        None
    )
    image_output: Annotated[Usd, Meta(description="Of pictures in the answer; as the answer where absent.")] | None = (
        None
    )


class TierSpec(RatesSpec, frozen=True, kw_only=True):
    """What a whole request costs whose prompt is long. What is left out keeps its ratio to `input` or `output`."""

    above: Annotated[int, Meta(ge=1, description="Where its prompt has more tokens than this.", examples=[200000])]


class PriceSpec(RatesSpec, frozen=True, kw_only=True):
    """USD per million tokens, and per image, pixel or second where that is how it is charged. What is not known is left
    out; 0 means that it costs nothing. For a model of the catalogue, what differs."""

    per_image: Annotated[Usd, Meta(description="Of one image that is drawn, in USD.")] | None = None
    per_pixel: Annotated[Usd, Meta(description="Of each of its pixels, where images have no price, in USD.")] | None = (
        None
    )
    per_second: (
        Annotated[Usd, Meta(description="Of a second that becomes text, where tokens are not counted.")] | None
    ) = None
    tiers: (
        Annotated[
            tuple[TierSpec, ...],
            Meta(
                description="What long prompts cost, instead of what the catalogue says of them.",
                examples=[[{"above": 200000, "input": 2.5, "output": 15}]],
            ),
        ]
        | None
    ) = None
    service_tiers: Annotated[
        Mapping[Name, RatesSpec],
        Meta(
            description="What it costs in another tier of service, by the provider's name of it.",
            examples=[{"flex": {"input": 0.625, "output": 5}}],
        ),
    ] = {}


class ModelSpec(Node, frozen=True, kw_only=True):
    """What is known of a model; for a model of the catalogue, what differs."""

    title: Annotated[str, Meta(min_length=1, max_length=200, description="What people call it.")] | None = None
    hidden: Annotated[
        bool, Meta(description="Whether lists of models leave it out; asked for, it answers all the same.")
    ] = False
    kind: (
        Annotated[
            Kind,
            Meta(description="What it is for, where that is not chat: it decides which endpoints serve it."),
        ]
        | None
    ) = None
    context: Annotated[int, Meta(ge=1, description="Tokens that fit in.", examples=[32768])] | None = None
    max_output: Annotated[int, Meta(ge=1, description="Tokens of one answer at most.")] | None = None
    capabilities: (
        Annotated[
            tuple[Capability, ...],
            Meta(description="What it can do besides text.", examples=[["tools", "vision"]]),
        ]
        | None
    ) = None
    price: Annotated[PriceSpec | None, Meta(description="What it costs.")] = None
    upstream_id: (
        Annotated[str, Meta(min_length=1, description="What the provider calls it, where that is another name.")] | None
    ) = None


class TimeoutsSpec(Node, frozen=True, kw_only=True):
    """How long a call may take."""

    connect: Annotated[Lasting, Meta(description="Until there is a connection.")] = "5s"
    first_byte: Annotated[Lasting, Meta(description="From the request to the first byte of the answer.")] = "5m"
    idle: Annotated[Lasting, Meta(description="Between two pieces of the answer.")] = "2m"
    total: Annotated[Lasting, Meta(description="From the request to the last byte of the answer.")] = "15m"


class ClampSpec(Node, frozen=True, kw_only=True):
    """The limits of a number."""

    min: Annotated[float, Meta(description="At least this.")]
    max: Annotated[float, Meta(description="At most this.")]


Field = Annotated[str, Meta(min_length=1, description="A field at the top level of the request.")]


class QuirksSpec(Node, frozen=True, kw_only=True):
    """What the provider wants otherwise than its format says; applied after translation."""

    drop: Annotated[
        tuple[Field, ...], Meta(description="Fields that it refuses.", examples=[["store", "metadata"]])
    ] = ()
    rename: Annotated[
        Mapping[Field, Field],
        Meta(description="Fields that have another name there.", examples=[{"seed": "random_seed"}]),
    ] = {}
    default: Annotated[
        Mapping[Field, Any],
        Meta(
            description="Fields that it needs in a chat request, and what they are if absent.",
            examples=[{"safe_prompt": True}],
        ),
    ] = {}
    clamp: Annotated[
        Mapping[Field, ClampSpec],
        Meta(description="Numbers that it wants within limits.", examples=[{"temperature": {"min": 0, "max": 1}}]),
    ] = {}
    max_tokens_field: (
        Annotated[
            Literal["max_tokens", "max_completion_tokens"],
            Meta(description="The name it knows for the limit of an answer."),
        ]
        | None
    ) = None
    system_role: (
        Annotated[Literal["system", "developer"], Meta(description="The role it knows for instructions.")] | None
    ) = None
    merge_system: Annotated[
        bool, Meta(description="Make one first message of all system messages, where it takes no more.")
    ] = False
    betas: (
        Annotated[
            tuple[Annotated[str, form(r"[A-Za-z0-9._-]{1,128}", "the name of a beta", "A beta.")], ...],
            Meta(
                description="The only ones of the callers' beta headers that it is sent; all if absent.",
                examples=[["context-1m-2025-08-07"]],
            ),
        ]
        | None
    ) = None
    think_tags: Annotated[
        bool, Meta(description="Its answers begin with thinking between `<think>` tags: tell that as reasoning.")
    ] = False


class ProviderSpec(Node, frozen=True, kw_only=True):
    """A provider: one of the catalogue, or a node of your own."""

    title: Annotated[str, Meta(min_length=1, max_length=100, description="What people call it.")] | None = None
    type: (
        Annotated[
            ProviderType,
            Meta(description="What a node of your own speaks; absent for a provider of the catalogue."),
        ]
        | None
    ) = None
    base_url: Address | None = None
    formats: (
        Annotated[
            tuple[Format, ...],
            Meta(min_length=1, description="The formats to use, the preferred one first, where not all that it has."),
        ]
        | None
    ) = None
    variables: Annotated[
        Mapping[
            Name, Annotated[str, form(r"[A-Za-z0-9._-]{1,253}", "letters, digits, `.`, `-` and `_`", "Its value.")]
        ],
        Meta(
            description="What stands in for `{name}` in the catalogue's address.",
            examples=[{"resource": "my-azure-resource"}],
        ),
    ] = {}
    headers: Headers = {}  # noqa: RUF012 - a Mapping, as everywhere here
    oauth: Annotated[
        OAuthSpec | None,
        Meta(description="How one signs in there, where the catalogue does not know it or it differs."),
    ] = None
    connections: Annotated[
        Mapping[ConnectionName, ConnectionSpec],
        Meta(
            description="Accounts or keys, by name.",
            examples=[{"main": {"api_key": "${env:OPENAI_API_KEY}"}}],
        ),
    ] = {}
    selection: Annotated[Selection, Meta(description="Which connection a call takes.")] = "fill-first"
    models: Annotated[
        Mapping[ModelName, ModelSpec],
        Meta(description="Models that the catalogue does not know, or knows otherwise."),
    ] = {}
    timeouts: Annotated[TimeoutsSpec, Meta(description="How long a call may take.")] = TimeoutsSpec()
    transport: Annotated[
        Literal["httptools", "httpx"],
        Meta(description="The HTTP client: httptools is fast, httpx is slower and for a provider that troubles it."),
    ] = "httptools"
    quirks: Annotated[QuirksSpec, Meta(description="What it wants otherwise than its format says.")] = QuirksSpec()
