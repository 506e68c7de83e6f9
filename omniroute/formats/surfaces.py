"""How clients of Gemini and Ollama are told of an error, and what these say of one.

Both go into the chat formats of these names as soon as they stand here.
"""

from __future__ import annotations

import msgspec

from omniroute.errors import Fault, FaultKind
from omniroute.formats.openai_chat.faults import decode_error

_encode = msgspec.json.Encoder().encode
_STATUSES: dict[FaultKind, str] = {
    "authentication": "UNAUTHENTICATED",
    "permission": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "rate_limited": "RESOURCE_EXHAUSTED",
    "server": "INTERNAL",
    "overloaded": "UNAVAILABLE",
    "unavailable": "UNAVAILABLE",
    "timeout": "DEADLINE_EXCEEDED",
}


class Gemini:
    NAME = "gemini"
    REQUEST_ID = b"x-request-id"
    decode_error = staticmethod(decode_error)

    @staticmethod
    def encode_error(fault: Fault, request_id: str) -> bytes:  # noqa: ARG004 - it is told in a header
        status = fault.type or _STATUSES.get(fault.kind, "INVALID_ARGUMENT")
        return _encode({"error": {"code": fault.status, "message": fault.message, "status": status, "details": []}})


class Ollama:
    NAME = "ollama"
    REQUEST_ID = b"x-request-id"
    decode_error = staticmethod(decode_error)

    @staticmethod
    def encode_error(fault: Fault, request_id: str) -> bytes:  # noqa: ARG004 - it is told in a header
        return _encode({"error": fault.message})
