"""The language of `omniroute.yaml`, as types.

One source for four things: what a file may say, the JSON Schema that editors complete from, the reference in the docs,
and the typed data that is compiled.  Values are as they stand in the file: durations and sizes are text with a unit
(`seconds` and `size` read them), references are unresolved, and a secret is only ever a `${env:NAME}` or a
`${file:/path}` here, never its value.  Optional means absent, never null: None stands for what the file leaves out, and
a null in a file is refused before these types see it.

Descriptions are what a person reads beside the key in the editor; `patternErrorMessage` says what a text must look
like, to editors and in our own problems.  `writeOnly` marks what must never be shown, not even when it is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from omniroute.errors import UpstreamKind
from omniroute.policy.models import AllowModels, DenyModels
from omniroute.policy.tokens import MaxTokens

# ------------------------------------------------------------------------------------------------------------- words

_END = r"$(?!\n)"
"""`$` alone also matches before a final newline, which would let one into names, addresses and headers."""

_REFERENCE = r"\$\{(?:env:[A-Za-z_][A-Za-z0-9_]*|file:/[^}\r\n]+)\}"
_ADDRESS = r"https?://[^\s/?#@{}\\]+(?:/[^\s?#{}\\]*)?"
_DURATION = r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,3})?(?:ms|s|m|h|d)"
_LASTING = r"(?:[1-9][0-9]{0,8}(?:\.[0-9]{1,3})?|0\.[0-9]{0,2}[1-9])(?:ms|s|m|h|d)"
_SIZE = r"[1-9][0-9]{0,8}(?:B|KiB|MiB|GiB)"
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"
_PROVIDER_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_ARGON2ID = r"\$argon2id\$[^\s]+"


def _text(pattern: str, expected: str, description: str, examples: list[str] | None = None, **more: Any) -> Meta:
    """A text of this form; `expected` completes "must be …"."""
    extra = {"patternErrorMessage": f"must be {expected}", **more}
    return Meta(pattern=f"^(?:{pattern}){_END}", description=description, examples=examples, extra_json_schema=extra)


Name = Annotated[
    str, _text(_NAME, "a name: letters, digits, `-`, `_` and `.`, beginning with a letter or digit", "A name.")
]
ProviderName = Annotated[
    str,
    _text(
        _PROVIDER_NAME,
        "a name: letters, digits, `-` and `_`, beginning with a letter or digit",
        "A provider of the catalogue, or a name of your own together with `type` and `base_url`.",
    ),
]
ConnectionName = Annotated[
    str,
    _text(
        _PROVIDER_NAME,
        "a name: letters, digits, `-` and `_`, beginning with a letter or digit",
        "The account's name; `provider.connection` names it in health, logs and usage.",
    ),
]
ModelName = Annotated[
    str, _text(r"[^\s*]{1,256}", "a model's name, without spaces and stars", "The model as callers name it.")
]
QualifiedModel = Annotated[
    str,
    _text(r"[^\s/*]+/[^\s*]+", "`provider/model`", "A model at a provider.", ["openai/gpt-5-mini"]),
]
Reference = Annotated[
    str,
    _text(
        r"[^\s*]{1,256}",
        "the name of a model, an alias or a combo, without spaces and stars",
        "`provider/model`, or the name of an alias or combo.",
        ["openai/gpt-5-mini", "coding"],
    ),
]
Pattern = Annotated[
    str,
    _text(
        r"[^\s]{1,256}",
        "a name, or a pattern with `*`",
        "A name, or a pattern where `*` stands for any text.",
        ["openai/*"],
    ),
]
Duration = Annotated[
    str,
    _text(_DURATION, "a duration with its unit, such as `500ms`, `30s`, `5m` or `12h`", "A duration.", ["30s"]),
]
Lasting = Annotated[
    str,
    _text(_LASTING, "a duration above zero with its unit, such as `500ms`, `30s` or `5m`", "A duration.", ["30s"]),
]
Size = Annotated[str, _text(_SIZE, "a size with its unit, such as `64KiB` or `20MiB`", "A size.", ["20MiB"])]
Day = Annotated[str, _text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "a day as YYYY-MM-DD", "A day (UTC).", ["2027-06-30"])]
SecretRef = Annotated[
    str,
    _text(
        _REFERENCE,
        "a reference, `${env:NAME}` or `${file:/path}`: a secret does not belong into the file",
        "Where the secret is: `${env:NAME}` or `${file:/path}`.",
        ["${env:OPENAI_API_KEY}", "${file:/run/secrets/openai}"],
        writeOnly=True,
    ),
]
PasswordHash = Annotated[
    str,
    _text(
        f"{_REFERENCE}|{_ARGON2ID}",
        "a reference, `${env:NAME}` or `${file:/path}`, or an argon2id hash made by `omniroute password`",
        "The administrator's password as an argon2id hash, made by `omniroute password`, or where that hash is.",
        ["${env:OMNIROUTE_PASSWORD_HASH}"],
        writeOnly=True,
    ),
]
Address = Annotated[
    str,
    _text(
        f"{_REFERENCE}|{_ADDRESS}",
        "an http or https address without user, query and fragment, or a reference to one",
        "Where the provider's paths start.",
        ["http://10.0.0.7:8000/v1"],
    ),
]
HeaderName = Annotated[str, _text(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", "the name of an HTTP header", "A header.")]
HeaderValue = Annotated[
    str,
    _text(
        r"[\t -~]{0,4096}",
        "one line of printable ASCII, or a reference",
        "Its value, or where it is: `${env:NAME}` or `${file:/path}`; for a credential always the latter.",
    ),
]
Headers = Annotated[
    Mapping[HeaderName, HeaderValue],
    Meta(description="Headers sent with every request.", examples=[{"x-team": "platform"}]),
]

Format = Literal["openai_chat", "anthropic", "openai_responses", "gemini", "ollama"]
ProviderType = Literal["openai-compatible", "anthropic-compatible", "gemini-compatible", "ollama-compatible", "demo"]
Selection = Literal["fill-first", "round-robin", "random", "weighted", "least-used"]
Strategy = Literal["priority", "weighted", "round-robin", "random"]
Capability = Literal["tools", "vision", "pdf", "audio_in", "json_schema", "reasoning", "prompt_cache", "web_search"]
Role = Literal["client", "admin.read", "admin.write"]
Operation = Literal["chat", "count_tokens", "embeddings", "images", "transcriptions"]
Kind = Literal["chat", "responses", "embedding", "image", "transcription"]


class Node(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A map of the file: its keys and no others."""


# ------------------------------------------------------------------------------------------------ server and access


class ServerSpec(Node, frozen=True, kw_only=True):
    """Where and how the gateway listens."""

    host: Annotated[
        str,
        _text(r"[A-Za-z0-9:.%_-]{1,253}", "an address or a host name", "The address to listen on.", ["127.0.0.1"]),
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
        tuple[Annotated[str, _text(r"[A-Za-z0-9._-]{1,253}", "a host name without a port", "A host name.")], ...],
        Meta(
            description="Host names under which the management plane answers, besides IP addresses, localhost and "
            "*.local; this defeats DNS rebinding.",
            examples=[["gateway.example.com"]],
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


# --------------------------------------------------------------------------------------------------------- providers


class ConnectionSpec(Node, frozen=True, kw_only=True):
    """One account or key at a provider."""

    api_key: SecretRef | None = None
    priority: Annotated[int, Meta(ge=0, le=1000, description="Low first, where the selection is fill-first.")] = 1
    weight: Annotated[int, Meta(ge=1, le=1000, description="Its share, where the selection is weighted.")] = 1
    max_concurrent: (
        Annotated[int, Meta(ge=1, description="Calls at the same time; the next connection takes what is more.")] | None
    ) = None
    headers: Headers = {}


class PriceSpec(Node, frozen=True, kw_only=True):
    """USD per million tokens, and per second of sound. What is not known is left out; 0 means that it costs nothing."""

    input: Annotated[float, Meta(ge=0, description="Of the prompt.")] | None = None
    output: Annotated[float, Meta(ge=0, description="Of the answer.")] | None = None
    per_image: Annotated[float, Meta(ge=0, description="Of one image that is drawn, in USD.")] | None = None
    per_pixel: (
        Annotated[float, Meta(ge=0, description="Of each of its pixels, where images have no price, in USD.")] | None
    ) = None
    cache_read: Annotated[float, Meta(ge=0, description="Of prompt tokens read from a cache.")] | None = None
    cache_write: Annotated[float, Meta(ge=0, description="Of prompt tokens written to a cache.")] | None = None
    cache_write_1h: (
        Annotated[float, Meta(ge=0, description="Of prompt tokens written to a cache for an hour.")] | None
    ) = None
    reasoning: Annotated[float, Meta(ge=0, description="Of reasoning tokens; as the answer where absent.")] | None = (
        None
    )
    audio_input: (
        Annotated[float, Meta(ge=0, description="Of sound in the prompt; as the prompt where absent.")] | None
    ) = None
    per_second: (
        Annotated[float, Meta(ge=0, description="Of a second that becomes text, where tokens are not counted.")] | None
    ) = None


class ModelSpec(Node, frozen=True, kw_only=True):
    """What is known of a model; for a model of the catalogue, what differs."""

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
            tuple[Annotated[str, _text(r"[A-Za-z0-9._-]{1,128}", "the name of a beta", "A beta.")], ...],
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
            Name, Annotated[str, _text(r"[A-Za-z0-9._-]{1,253}", "letters, digits, `.`, `-` and `_`", "Its value.")]
        ],
        Meta(
            description="What stands in for `{name}` in the catalogue's address.",
            examples=[{"resource": "my-azure-resource"}],
        ),
    ] = {}
    headers: Headers = {}
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


# ----------------------------------------------------------------------------------------------------------- routing


class TargetSpec(Node, frozen=True, kw_only=True):
    """A step of a combo, with more than its name."""

    model: Reference
    weight: Annotated[int, Meta(ge=1, le=1000, description="Its share, where the strategy is weighted.")] = 1
    timeout: Annotated[Lasting, Meta(description="How long one try may take in all.")] | None = None


class RetrySpec(Node, frozen=True, kw_only=True):
    """Further tries of the same target, before the next one is taken."""

    attempts: Annotated[int, Meta(ge=0, le=10, description="How many further tries.")] = 0
    delay: Annotated[Duration, Meta(description="The pause before the first; it doubles.")] = "500ms"
    on: Annotated[
        tuple[UpstreamKind, ...], Meta(description="After which failures.", examples=[["timeout", "overloaded"]])
    ] = ("timeout", "connect", "overloaded", "server_error", "rate_limited")


class ComboSpec(Node, frozen=True, kw_only=True):
    """Several models behind one name."""

    strategy: Annotated[Strategy, Meta(description="In which order the targets are tried.")] = "priority"
    targets: Annotated[
        tuple[Reference | TargetSpec, ...],
        Meta(
            min_length=1,
            description="What is tried: `provider/model`, an alias, or another combo, which keeps its own strategy.",
            examples=[["anthropic/claude-opus-4-6", {"model": "openai/gpt-5.4", "timeout": "60s"}]],
        ),
    ]
    retry: Annotated[RetrySpec, Meta(description="Further tries of the same target.")] = RetrySpec()


# -------------------------------------------------------------------------------------------------- keys and policies


class KeySpec(Node, frozen=True, kw_only=True):
    """A caller. The file holds the digest of the key, which is safe in git."""

    digest: Annotated[
        str,
        _text(
            r"sha256:[0-9a-f]{64}",
            "`sha256:` and 64 hexadecimal digits, as `omniroute key new` prints it",
            "The digest of the key, made by `omniroute key new`.",
        ),
    ]
    allow: Annotated[
        tuple[Pattern, ...],
        Meta(
            description="What it may ask for: models, aliases, combos; everything if absent.", examples=[["openai/*"]]
        ),
    ] = ()
    roles: Annotated[tuple[Role, ...], Meta(min_length=1, description="What it may do.")] = ("client",)
    expires: Annotated[Day, Meta(description="The last day on which it works (UTC).")] | None = None
    tags: Annotated[
        Mapping[Name, str], Meta(description="What policies and usage can tell it by.", examples=[{"team": "a"}])
    ] = {}


class MatchSpec(Node, frozen=True, kw_only=True):
    """Which requests a policy is for: all conditions hold, and of each one value. An absent condition always holds."""

    keys: Annotated[tuple[Name, ...], Meta(description="Names of keys.")] = ()
    tags: Annotated[Mapping[Name, str], Meta(description="Tags that the key has.", examples=[{"region": "eu"}])] = {}
    models: Annotated[
        tuple[Pattern, ...],
        Meta(description="Models, as asked for or as serving: `provider/model`.", examples=[["openai/*"]]),
    ] = ()
    operations: Annotated[tuple[Operation, ...], Meta(description="What is asked for.")] = ()


class RuleSpec(Node, frozen=True, kw_only=True):
    """One rule: exactly one of these keys."""

    deny_models: Annotated[DenyModels | None, Meta(description="Models that may not serve.")] = None
    allow_models: Annotated[AllowModels | None, Meta(description="The only models that may serve.")] = None
    max_tokens: Annotated[MaxTokens | None, Meta(description="How much may be produced.")] = None

    def __post_init__(self) -> None:
        if sum(getattr(self, name) is not None for name in self.__struct_fields__) != 1:
            raise ValueError("a rule has exactly one key")

    @property
    def kind(self) -> str:
        """The one key that is there."""
        return next(name for name in self.__struct_fields__ if getattr(self, name) is not None)


class PolicySpec(Node, frozen=True, kw_only=True):
    """Rules for the requests that match."""

    priority: Annotated[int, Meta(description="Low first; policies of the same number in the order of names.")] = 100
    match: Annotated[MatchSpec, Meta(description="Which requests it is for; all if absent.")] = MatchSpec()
    rules: Annotated[
        tuple[Annotated[RuleSpec, Meta(extra_json_schema={"minProperties": 1, "maxProperties": 1})], ...],
        Meta(
            min_length=1,
            description="What holds for them.",
            examples=[[{"deny_models": {"patterns": ["openai/*"], "reason": "EU data stays in the EU"}}]],
        ),
    ]


# -------------------------------------------------------------------------------------------------------- resilience


class ProfileSpec(Node, frozen=True, kw_only=True):
    """How patient the gateway is with a connection."""

    failure_threshold: Annotated[int, Meta(ge=1, description="Failures in a row that open the circuit.")] = 12
    reset_timeout: Annotated[Lasting, Meta(description="How long the circuit stays open before a probe.")] = "30s"
    cooldown: Annotated[Duration, Meta(description="The pause after a failure; it doubles.")] = "3s"
    max_cooldown: Annotated[Duration, Meta(description="The longest pause.")] = "60s"
    honour_retry_after: Annotated[bool, Meta(description="Wait as long as the provider asks for.")] = True


class ProfilesSpec(Node, frozen=True, kw_only=True):
    """A profile for each way a connection shows who it is."""

    api_key: Annotated[ProfileSpec, Meta(description="Connections with a key, or without any.")] = ProfileSpec()


class ResilienceSpec(Node, frozen=True, kw_only=True):
    """How the gateway deals with providers that fail."""

    profiles: Annotated[ProfilesSpec, Meta(description="How patient it is.")] = ProfilesSpec()


class ResponsesSpec(Node, frozen=True, kw_only=True):
    """What is kept of answers of `/v1/responses`, so that `previous_response_id` works with every provider. In memory
    only, and each for the key that asked."""

    store: Annotated[bool, Meta(description="Whether answers are kept whose request does not say `store: false`.")] = (
        True
    )
    ttl: Annotated[Lasting, Meta(description="For how long.")] = "1h"
    max_entries: Annotated[int, Meta(ge=1, description="How many at most; the oldest go first.")] = 1000
    max_bytes: Annotated[Size, Meta(description="How much memory they may take.")] = "64MiB"


# ----------------------------------------------------------------------------------------------------------- the file


class Spec(Node, frozen=True, kw_only=True):
    """The configuration of an OmniRoute gateway."""

    version: Annotated[Literal[1], Meta(description="The version of this language.")]
    include: Annotated[
        tuple[Annotated[str, Meta(min_length=1, description="A path or pattern, relative to this file.")], ...],
        Meta(
            description="Further files with parts of the same configuration; one object lives in one file.",
            examples=[["../policies/*.yaml"]],
        ),
    ] = ()
    server: Annotated[ServerSpec, Meta(description="Where and how the gateway listens.")] = ServerSpec()
    auth: Annotated[AuthSpec, Meta(description="Who may call, and who may manage.")] = AuthSpec()
    providers: Annotated[
        Mapping[ProviderName, ProviderSpec], Meta(description="Where models are, by the provider's name.")
    ] = {}
    aliases: Annotated[
        Mapping[Pattern, Pattern],
        Meta(
            description="Other names for models; `*` carries over what it stands for.",
            examples=[{"fast": "openai/gpt-5-mini", "claude-*": "anthropic/claude-*"}],
        ),
    ] = {}
    combos: Annotated[Mapping[Name, ComboSpec], Meta(description="Several models behind one name.")] = {}
    keys: Annotated[Mapping[Name, KeySpec], Meta(description="Who may call, by name.")] = {}
    policies: Annotated[Mapping[Name, PolicySpec], Meta(description="Rules, by name.")] = {}
    resilience: Annotated[ResilienceSpec, Meta(description="How failing providers are dealt with.")] = ResilienceSpec()
    responses: Annotated[ResponsesSpec, Meta(description="What is kept of answers of /v1/responses.")] = ResponsesSpec()
    pricing: Annotated[
        Mapping[QualifiedModel, PriceSpec],
        Meta(
            description="Prices that the catalogue does not know, or knows otherwise.",
            examples=[{"openai/my-fine-tune": {"input": 3.0, "output": 12.0}}],
        ),
    ] = {}


class Fragment(Spec, frozen=True, kw_only=True):
    """An included file: the same sections."""

    version: Annotated[Literal[1], Meta(description="The version of this language.")] = field(default=1)


# ------------------------------------------------------------------------------------------------------------ reading

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_duration = re.compile(r"([0-9.]+)(ms|s|m|h|d)")
_size = re.compile(r"([0-9]+)(B|KiB|MiB|GiB)")
_name = re.compile(_NAME)
_address = re.compile(_ADDRESS)
_whole_value = re.compile(_REFERENCE)


def seconds(text: str) -> float:
    """`500ms` → 0.5."""
    match = _duration.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration")
    return round(float(match[1]) * _UNITS[match[2]], 6)


def size(text: str) -> int:
    """`20MiB` → 20971520."""
    match = _size.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no size")
    return int(match[1]) * _SIZES[match[2]]


def is_name(text: str) -> bool:
    """Whether a key, combo or policy may be called this."""
    return _name.fullmatch(text) is not None


def reference(text: str) -> tuple[Literal["env", "file"], str] | None:
    """`${env:NAME}` → ("env", "NAME"); None where the text is no whole-value reference."""
    if _whole_value.fullmatch(text) is None:
        return None
    kind, _, name = text[2:-1].partition(":")
    return ("env" if kind == "env" else "file"), name


def is_address(text: str) -> bool:
    """Whether this is an address that a provider can have."""
    return _address.fullmatch(text) is not None
