"""Errors: what a provider says of one, and how a client of this format is told.

The shape is `{"type": "error", "error": {"type", "message"}, "request_id"}`. An answer with an error status also has
`error.details.error_code` where there is a code: by some of them the SDKs ask again in another way. Servers that imitate
the format also send OpenAI's shape, or a bare message.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.errors import Fault, FaultKind
from omniroute.formats.framing import frame
from omniroute.formats.refusals import kind_of, opened, read, text

_encode = msgspec.json.Encoder().encode

TYPES: dict[FaultKind, str] = {
    "invalid_request": "invalid_request_error",
    "authentication": "authentication_error",
    "permission": "permission_error",
    "billing": "billing_error",
    "not_found": "not_found_error",
    "method": "invalid_request_error",
    "conflict": "conflict_error",
    "too_large": "request_too_large",
    "unsupported_media": "invalid_request_error",
    "rate_limited": "rate_limit_error",
    "overloaded": "overloaded_error",
    "unavailable": "overloaded_error",
    "timeout": "timeout_error",
}
"""Any other kind is an `api_error`."""
STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What a type within a stream, where there is no status any more, would have come with."""
OUT_OF_CREDIT = "credit balance is too low"
"""How Anthropic refuses an account without money, under status 400 as if the request were at fault."""


def decode_error(status: int, body: bytes) -> Fault:
    """The words of an answer with an error status; a body that is not JSON has none that are worth repeating."""
    return _fault(opened(read(body)), status)


def told(said: Any) -> Fault:
    """An error that came in an answer of status 200, whole or streamed."""
    error = opened(said)
    kind = error.get("type")
    return _fault(error, STATUSES.get(kind, 502) if isinstance(kind, str) else 502)


def _fault(error: dict[str, Any], status: int) -> Fault:
    message = text(error.get("message")) or ""
    code = text(error.get("code"))
    details = error.get("details")
    if isinstance(details, dict):
        code = text(details.get("error_code")) or code
    kind = text(error.get("type")) or ""
    if status == 400 and OUT_OF_CREDIT in message:
        status, code, kind = 402, "credit_balance_too_low", "billing_error"
    return Fault(
        kind=kind_of(status),
        status=status,
        message=message,
        type=kind,
        code=code,
        param=text(error.get("param")),
    )


def encode_error(fault: Fault, request_id: str) -> bytes:
    told = envelope(fault)
    if fault.code:
        told["error"]["details"] = {"error_code": fault.code}
    return _encode(told | {"request_id": request_id})


def envelope(fault: Fault) -> dict[str, Any]:
    """The error as clients read it; a type that is not this format's own would tell them nothing."""
    kind = fault.type if fault.type in STATUSES else TYPES.get(fault.kind, "api_error")
    return {"type": "error", "error": {"type": kind, "message": fault.message}}


def event(fault: Fault) -> bytes:
    """The error in a stream, which ends it."""
    return frame(_encode(envelope(fault)), b"error")
