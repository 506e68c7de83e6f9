"""What refusals have in common in every format: what a status means, and where the error stands in a body."""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.errors import FaultKind

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

KINDS: dict[int, FaultKind] = {
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    405: "method",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media",
    429: "rate_limited",
    503: "unavailable",
    504: "timeout",
    529: "overloaded",
}
"""What the statuses of a refusal mean in every format."""


def kind_of(status: int) -> FaultKind:
    """What a refusal with this status means."""
    return KINDS.get(status, "server" if status >= 500 else "invalid_request")


def read(body: bytes) -> Any:
    """The body of a refusal; one that is not JSON has no words that are worth repeating."""
    try:
        return _decode(body)
    except (ValueError, RecursionError):
        return None


def first(said: Any) -> Any:
    """The error alone where it stands in a list."""
    return said[0] if isinstance(said, list) and said else said


def opened(said: Any) -> dict[str, Any]:
    """The error without its envelope."""
    if isinstance(said, dict) and "error" in said:
        said = said["error"]
    if isinstance(said, str):
        return {"message": said}
    return said if isinstance(said, dict) else {}


def text(value: Any) -> str | None:
    """A field that is a text; what else stands there is not told."""
    return value if isinstance(value, str) else None


def as_text(value: Any) -> str | None:
    """A field as text: codes may be numbers, and FastAPI tells its details as a list of objects."""
    return value if value is None or isinstance(value, str) else _encode(value).decode()
