"""The words of the language: what names, durations, sizes, references and patterns look like, and how they are read.

`patternErrorMessage` says what a text must look like, to editors and in our own problems. `writeOnly` marks what must
never be shown, not even when it is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from msgspec import Meta, Struct

_END = r"$(?!\n)"
"""`$` alone also matches before a final newline, which would let one into names, addresses and headers."""

_REFERENCE = r"\$\{(?:env:[A-Za-z_][A-Za-z0-9_]*|file:/[^}\r\n]+|secret:[A-Za-z0-9][A-Za-z0-9_.-]{0,127})\}"
_ADDRESS = r"https?://[^\s/?#@{}\\]+(?:/[^\s?#{}\\]*)?"
_DURATION = r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,3})?(?:ms|s|m|h|d)"
_LASTING = r"(?:[1-9][0-9]{0,8}(?:\.[0-9]{1,3})?|0\.[0-9]{0,2}[1-9])(?:ms|s|m|h|d)"
_FREQUENCY = rf"[1-9][0-9]{{0,11}}/{_LASTING}"
_PERCENT = r"(?:100|[1-9]?[0-9](?:\.[0-9]{1,2})?)%"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_SIZE = r"[1-9][0-9]{0,8}(?:B|KiB|MiB|GiB)"
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"
_PROVIDER_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_PROXY = rf"(?:http|socks5h?)://(?:[A-Za-z0-9._-]{{1,253}}|\[[0-9A-Fa-f:.]{{2,45}}\]):{_PORT}/?"
_ARGON2ID = r"\$argon2id\$[^\s]+"


def form(pattern: str, expected: str, description: str, examples: list[str] | None = None, **more: Any) -> Meta:
    """A text of this form; `expected` completes "must be …"."""
    extra = {"patternErrorMessage": f"must be {expected}", **more}
    return Meta(pattern=f"^(?:{pattern}){_END}", description=description, examples=examples, extra_json_schema=extra)


Name = Annotated[
    str, form(_NAME, "a name: letters, digits, `-`, `_` and `.`, beginning with a letter or digit", "A name.")
]
ProviderName = Annotated[
    str,
    form(
        _PROVIDER_NAME,
        "a name: letters, digits, `-` and `_`, beginning with a letter or digit",
        "A provider of the catalogue, or a name of your own together with `type` and `base_url`.",
    ),
]
ConnectionName = Annotated[
    str,
    form(
        _PROVIDER_NAME,
        "a name: letters, digits, `-` and `_`, beginning with a letter or digit",
        "The account's name; `provider.connection` names it in health, logs and usage.",
    ),
]
ModelName = Annotated[
    str, form(r"[^\s*]{1,256}", "a model's name, without spaces and stars", "The model as callers name it.")
]
QualifiedModel = Annotated[
    str,
    form(r"[^\s/*]+/[^\s*]+", "`provider/model`", "A model at a provider.", ["openai/gpt-5-mini"]),
]
Reference = Annotated[
    str,
    form(
        r"[^\s*]{1,256}",
        "the name of a model, an alias or a combo, without spaces and stars",
        "`provider/model`, or the name of an alias or combo.",
        ["openai/gpt-5-mini", "coding"],
    ),
]
Pattern = Annotated[
    str,
    form(
        r"[^\s]{1,256}",
        "a name, or a pattern with `*`",
        "A name, or a pattern where `*` stands for any text.",
        ["openai/*"],
    ),
]
Duration = Annotated[
    str,
    form(_DURATION, "a duration with its unit, such as `500ms`, `30s`, `5m` or `12h`", "A duration.", ["30s"]),
]
Lasting = Annotated[
    str,
    form(_LASTING, "a duration above zero with its unit, such as `500ms`, `30s` or `5m`", "A duration.", ["30s"]),
]
Size = Annotated[str, form(_SIZE, "a size with its unit, such as `64KiB` or `20MiB`", "A size.", ["20MiB"])]
Frequency = Annotated[
    str,
    form(_FREQUENCY, "a number in a time, such as `60/1m` or `200000/1m`", "So many in a time.", ["60/1m"]),
]
Percent = Annotated[str, form(_PERCENT, "a share such as `80%`", "A share.", ["80%"])]
TimeOfDay = Annotated[str, form(_TIME, "a time of the day, such as `09:30`", "A time of the day.", ["00:00"])]
Day = Annotated[str, form(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "a day as YYYY-MM-DD", "A day (UTC).", ["2027-06-30"])]
SecretRef = Annotated[
    str,
    form(
        _REFERENCE,
        "a reference, `${env:NAME}`, `${file:/path}` or `${secret:NAME}`: a secret does not belong into the file",
        "Where the secret is: `${env:NAME}`, `${file:/path}`, or `${secret:NAME}` for one that the gateway was handed.",
        ["${env:OPENAI_API_KEY}", "${file:/run/secrets/openai}"],
        writeOnly=True,
    ),
]
ClientId = Annotated[
    str,
    form(
        rf"{_REFERENCE}|[!-#%-~][!-~]{{0,511}}",
        "a client id, or a reference to one, such as `${env:NAME}`",
        "The id of the application that the provider knows, or where it is: `${env:NAME}` or `${file:/path}`.",
        ["${env:ANTHROPIC_OAUTH_CLIENT_ID}"],
    ),
]
PasswordHash = Annotated[
    str,
    form(
        f"{_REFERENCE}|{_ARGON2ID}",
        "a reference, `${env:NAME}` or `${file:/path}`, or an argon2id hash made by `omniroute password`",
        "The administrator's password as an argon2id hash, made by `omniroute password`, or where that hash is.",
        ["${env:OMNIROUTE_PASSWORD_HASH}"],
        writeOnly=True,
    ),
]
Network = Annotated[
    str,
    form(
        r"[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?",
        "an IP address, or a network as `address/prefix`",
        "An IP address, or a network as `address/prefix`.",
        ["10.0.0.0/8", "2001:db8::/32"],
    ),
]
Address = Annotated[
    str,
    form(
        f"{_REFERENCE}|{_ADDRESS}",
        "an http or https address without user, query and fragment, or a reference to one",
        "Where the provider's paths start.",
        ["http://10.0.0.7:8000/v1"],
    ),
]
ProxyAddress = Annotated[
    str,
    form(
        f"{_REFERENCE}|{_PROXY}",
        "`http://host:port` or `socks5://host:port`, or a reference to one: a user and a password are keys of their own",
        "Where it is: `http://host:port` for CONNECT, `socks5://host:port` for SOCKS5; names are resolved by the proxy.",
        ["http://proxy.example.com:3128", "socks5://10.0.0.5:1080"],
        writeOnly=True,
    ),
]
NoProxy = Annotated[
    str,
    form(
        r"[A-Za-z0-9*._-]{1,253}|[0-9A-Fa-f:.]{2,45}(?:/[0-9]{1,3})?",
        "a host name, a pattern with `*`, an IP address or a network",
        "A host name, a pattern where `*` stands for any text, an IP address or a network.",
        ["*.internal", "10.0.0.0/8"],
    ),
]
ConnectionId = Annotated[
    str,
    form(
        rf"{_PROVIDER_NAME}\.{_PROVIDER_NAME}", "`provider.connection`", "A connection of a provider.", ["openai.team"]
    ),
]
HeaderName = Annotated[str, form(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", "the name of an HTTP header", "A header.")]
HeaderValue = Annotated[
    str,
    form(
        r"[\t -~]{0,4096}",
        "one line of printable ASCII, or a reference",
        "Its value, or where it is: `${env:NAME}`, `${file:/path}` or `${secret:NAME}`; for a credential always such a reference.",
    ),
]
Headers = Annotated[
    Mapping[HeaderName, HeaderValue],
    Meta(description="Headers sent with every request.", examples=[{"x-team": "platform"}]),
]

Format = Literal["openai_chat", "anthropic", "openai_responses", "gemini", "ollama"]
ProviderType = Literal["openai-compatible", "anthropic-compatible", "gemini-compatible", "ollama-compatible", "demo"]
Capability = Literal["tools", "vision", "pdf", "audio_in", "json_schema", "reasoning", "prompt_cache", "web_search"]
Role = Literal["client", "admin.read", "admin.write"]
Operation = Literal["chat", "count_tokens", "embeddings", "images", "transcriptions"]
WriteMode = Literal["local", "locked", "git"]
Source = Literal["env", "file", "secret"]
"""Where a reference leads: a variable, a file, the secrets that the gateway keeps."""
Kind = Literal["chat", "responses", "embedding", "image", "transcription"]


class Node(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A map of the file: its keys and no others."""


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_duration = re.compile(r"([0-9.]+)(ms|s|m|h|d)")
_size = re.compile(r"([0-9]+)(B|KiB|MiB|GiB)")
_name = re.compile(_NAME)
_header_value = re.compile(r"[\t -~]{0,4096}")
_address = re.compile(_ADDRESS)
_proxy = re.compile(_PROXY)
_whole_value = re.compile(_REFERENCE)


def seconds(text: str) -> float:
    """`500ms` → 0.5."""
    match = _duration.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration")
    return round(float(match[1]) * _UNITS[match[2]], 6)


def frequency(text: str) -> tuple[int, float]:
    """`60/1m` → 60 in 60.0 seconds."""
    amount, _, time = text.partition("/")
    return int(amount), seconds(time)


def share(text: str) -> float:
    """`5%` → 0.05."""
    return float(text.removesuffix("%")) / 100


def size(text: str) -> int:
    """`20MiB` → 20971520."""
    match = _size.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no size")
    return int(match[1]) * _SIZES[match[2]]


def is_name(text: str) -> bool:
    """Whether a key, combo or policy may be called this."""
    return _name.fullmatch(text) is not None


def reference(text: str) -> tuple[Source, str] | None:
    """`${env:NAME}` → ("env", "NAME"); None where the text is no whole-value reference."""
    if _whole_value.fullmatch(text) is None:
        return None
    kind, _, name = text[2:-1].partition(":")
    return cast("Source", kind), name


def is_header_value(text: str) -> bool:
    """Whether this is one line of printable ASCII, as all that goes into headers."""
    return _header_value.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """Whether this is an address that a provider can have."""
    return _address.fullmatch(text) is not None


def is_proxy_address(text: str) -> bool:
    """Whether this is an address that a proxy can have."""
    return _proxy.fullmatch(text) is not None


def proxy_place(text: str) -> tuple[Literal["http", "socks5"], str, int]:
    """`socks5://10.0.0.5:1080` → ("socks5", "10.0.0.5", 1080)."""
    scheme, _, place = text.rstrip("/").partition("://")
    host, _, port = place.rpartition(":")
    return ("http" if scheme == "http" else "socks5"), host.strip("[]"), int(port)
