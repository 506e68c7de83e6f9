"""Errors: `{"error": "what happened"}`, as an answer with its status or as the last line of a stream.

Servers behind Ollama's own (its cloud, proxies) also send OpenAI's form, an object under `error`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.errors import Fault
from omniroute.formats.codec import KINDS

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def decode_error(status: int, body: bytes) -> Fault:
    """The words of an answer with an error status; a body that is not JSON has none that are worth repeating."""
    try:
        said = _decode(body)
    except (ValueError, RecursionError):
        said = None
    return fault(said.get("error") if isinstance(said, dict) else None, status)


def fault(error: Any, status: int = 502) -> Fault:
    """The error that stands under `error`. A stream has no status any more."""
    inner = error if isinstance(error, dict) else {"message": error}
    return Fault(
        kind=KINDS.get(status, "server" if status >= 500 else "invalid_request"),
        status=status,
        message=_text(inner.get("message")) or "",
        type=_text(inner.get("type")) or "",
        code=_text(inner.get("code")),
        param=_text(inner.get("param")),
    )


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else _encode(value).decode()


def encode_error(fault: Fault, request_id: str) -> bytes:  # noqa: ARG001 - it is told in a header
    return _encode({"error": fault.message})


def line(fault: Fault) -> bytes:
    """The error in a stream, which ends with it: clients raise at a line with an `error`."""
    return encode_error(fault, "") + b"\n"
