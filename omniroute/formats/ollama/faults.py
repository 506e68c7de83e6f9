"""Errors: `{"error": "what happened"}`, as an answer with its status or as the last line of a stream.

Servers behind Ollama's own (its cloud, proxies) also send OpenAI's form, an object under `error`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.errors import Fault
from omniroute.formats.refusals import as_text, kind_of, read

_encode = msgspec.json.Encoder().encode


def decode_error(status: int, body: bytes) -> Fault:
    """The words of an answer with an error status; a body that is not JSON has none that are worth repeating."""
    said = read(body)
    return fault(said.get("error") if isinstance(said, dict) else None, status)


def fault(error: Any, status: int = 502) -> Fault:
    """The error that stands under `error`. A stream has no status any more."""
    inner = error if isinstance(error, dict) else {"message": error}
    return Fault(
        kind=kind_of(status),
        status=status,
        message=as_text(inner.get("message")) or "",
        type=as_text(inner.get("type")) or "",
        code=as_text(inner.get("code")),
        param=as_text(inner.get("param")),
    )


def encode_error(fault: Fault, request_id: str) -> bytes:  # noqa: ARG001 - it is told in a header
    return _encode({"error": fault.message})


def line(fault: Fault) -> bytes:
    """The error in a stream, which ends with it: clients raise at a line with an `error`."""
    return encode_error(fault, "") + b"\n"
