"""Errors: what a provider says of one within an answer, and how a client is told of one.

Outside of an answer both are OpenAI's (`openai_chat/faults.py`). Within one an error is the state of the response:
`{"code", "message"}` with a code out of a short list, and no type.
"""

from __future__ import annotations

from typing import Any

from omniroute.errors import Fault, FaultKind
from omniroute.formats.openai_chat import faults

CODES: dict[FaultKind, str] = {"rate_limited": "rate_limit_exceeded", "invalid_request": "invalid_prompt"}
"""Any other kind is a `server_error`."""
STATUSES = {
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "invalid_image": 400,
    "invalid_image_url": 400,
    "server_error": 500,
    "server_is_overloaded": 529,
    "slow_down": 429,
}
"""What a code would have come with, where an error has no status."""

decode_error = faults.decode_error


def told(said: Any) -> Fault:
    """An error that came in an answer of status 200, whole or streamed."""
    error = said["error"] if isinstance(said, dict) and isinstance(said.get("error"), dict) else said
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code in STATUSES:
        return faults.fault(error, STATUSES[code])
    if isinstance(error, dict) and error.get("type") == "error":
        error = {name: value for name, value in error.items() if name != "type"}  # the event's, not the error's
    return faults.told(error)


def failure(fault: Fault) -> dict[str, str]:
    """The error as a response that failed holds it."""
    return {"code": fault.code or CODES.get(fault.kind, "server_error"), "message": fault.message}


def event(fault: Fault, number: int) -> dict[str, Any]:
    """The error where no response was begun."""
    told = faults.envelope(fault)
    return {
        "type": "error",
        "code": told["code"] or CODES.get(fault.kind, "server_error"),
        "message": told["message"],
        "param": told["param"],
        "sequence_number": number,
    }
