"""Errors: what a provider says of one, and how a client of this format is told.

The envelope is `{"error": {"message", "type", "param", "code"}}`; compatible servers also send the error as a string,
without its envelope (Mistral, vLLM), in a list (Gemini), or as FastAPI's `detail`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.errors import Fault, FaultKind
from omniroute.formats.refusals import as_text, first, kind_of, opened

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

TYPES: dict[FaultKind, str] = {
    "invalid_request": "invalid_request_error",
    "authentication": "authentication_error",
    "permission": "permission_error",
    "billing": "billing_error",
    "not_found": "invalid_request_error",
    "method": "invalid_request_error",
    "conflict": "invalid_request_error",
    "too_large": "invalid_request_error",
    "unsupported_media": "invalid_request_error",
    "rate_limited": "rate_limit_error",
}
"""The other kinds are a `server_error`."""
STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "overloaded_error": 529,
}
"""What a type or code within a stream, where there is no status any more, would have come with."""


def decode_error(status: int, body: bytes) -> Fault:
    """The words of an answer with an error status; a body that is not JSON has none that are worth repeating."""
    try:
        return fault(_decode(body), status)
    except (ValueError, RecursionError):
        return fault(None, status)


def told(said: Any) -> Fault:
    """An error that came in an answer of status 200, whole or streamed."""
    error = opened(first(said))
    code, kind = error.get("code"), error.get("type")
    if isinstance(code, int) and 400 <= code < 600:
        return fault(said, code)
    named = [STATUSES[name] for name in (code, kind) if isinstance(name, str) and name in STATUSES]
    return fault(said, named[0] if named else 502)


def fault(said: Any, status: int) -> Fault:
    error = opened(first(said))
    code = error.get("code")
    return Fault(
        kind=kind_of(status),
        status=status,
        message=as_text(error.get("message") or error.get("detail")) or "",
        type=as_text(error.get("type")) or "",
        code=None if code == status else as_text(code),
        param=as_text(error.get("param")),
    )


def encode_error(fault: Fault, request_id: str) -> bytes:  # noqa: ARG001 - OpenAI tells it in a header
    return _encode({"error": envelope(fault)})


def envelope(fault: Fault) -> dict[str, str | None]:
    """The error as clients read it."""
    return {
        "message": fault.message,
        "type": fault.type or TYPES.get(fault.kind, "server_error"),
        "param": fault.param,
        "code": fault.code,
    }


def event(fault: Fault) -> bytes:
    """The error in a stream, and the stream's end: SDKs raise at an event with an `error`, whatever else it holds."""
    return b'data: {"error":' + _encode(envelope(fault)) + b"}\n\ndata: [DONE]\n\n"
