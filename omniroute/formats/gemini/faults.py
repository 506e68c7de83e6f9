"""Errors: what a provider says of one, and how a client of this format is told.

The shape is `{"error": {"code", "message", "status", "details"}}` as in https://cloud.google.com/apis/design/errors,
alone or, where a stream of an array was asked for, in a list. What else is known stands in the details: a reason
(`ErrorInfo`), the quota that is used up (`QuotaFailure`), the seconds to wait (`RetryInfo`), the field at fault (`BadRequest`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.errors import Fault, FaultKind
from omniroute.formats.refusals import first, kind_of, opened, read, text

_encode = msgspec.json.Encoder().encode

TYPE = "type.googleapis.com/google.rpc."
DOMAIN = "omniroute"
"""Where a reason of ours means something."""
STATUSES: dict[FaultKind, str] = {
    "invalid_request": "INVALID_ARGUMENT",
    "authentication": "UNAUTHENTICATED",
    "permission": "PERMISSION_DENIED",
    "billing": "FAILED_PRECONDITION",
    "not_found": "NOT_FOUND",
    "method": "UNIMPLEMENTED",
    "conflict": "ABORTED",
    "too_large": "INVALID_ARGUMENT",
    "unsupported_media": "INVALID_ARGUMENT",
    "rate_limited": "RESOURCE_EXHAUSTED",
    "server": "INTERNAL",
    "overloaded": "UNAVAILABLE",
    "unavailable": "UNAVAILABLE",
    "timeout": "DEADLINE_EXCEEDED",
}
CODES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""What a status within a stream, where there is none of HTTP any more, would have come with."""
REFUSED_KEYS = ("API_KEY_INVALID", "API_KEY_EXPIRED")
"""How Google refuses a key, under status 400 as if the request were at fault."""


def decode_error(status: int, body: bytes) -> Fault:
    """The words of an answer with an error status; a body that is not JSON has none that are worth repeating."""
    return _fault(opened(first(read(body))), status)


def told(said: Any) -> Fault:
    """An error that came in an answer of status 200, whole or streamed."""
    error = opened(first(said))
    code = error.get("code")
    if not isinstance(code, int) or not 400 <= code < 600:
        name = error.get("status")
        code = CODES.get(name, 502) if isinstance(name, str) else 502
    return _fault(error, code)


def _fault(error: dict[str, Any], status: int) -> Fault:
    details = error.get("details")
    reason, wait, field = _details(details if isinstance(details, list) else [])
    if status == 400 and reason in REFUSED_KEYS:
        status = 401
    name = text(error.get("status")) or ""
    return Fault(
        kind=kind_of(status),
        status=status,
        message=text(error.get("message")) or "",
        type=name,
        code=reason,
        param=field,
        retry_after=wait,
    )


def _details(details: list[Any]) -> tuple[str | None, float | None, str | None]:
    """The reason, the seconds to wait, and the field at fault, as far as they are told. A quota's id is a reason where
    there is no other: it says of what there is too much, and whether for one model or for all."""
    reason = quota = wait = field = None
    for detail in details:
        kind = detail.get("@type") if isinstance(detail, dict) else None
        match kind.removeprefix(TYPE) if isinstance(kind, str) else None:
            case "ErrorInfo":
                reason = text(detail.get("reason"))
            case "QuotaFailure":
                quota = text(_violation(detail, "violations").get("quotaId"))
            case "RetryInfo":
                wait = _seconds(detail.get("retryDelay"))
            case "BadRequest":
                field = text(_violation(detail, "fieldViolations").get("field"))
    return reason or quota, wait, field


def _violation(detail: dict[str, Any], name: str) -> dict[str, Any]:
    """The first of the violations that a detail lists."""
    violations = detail.get(name)
    violation = violations[0] if isinstance(violations, list) and violations else None
    return violation if isinstance(violation, dict) else {}


def _seconds(delay: Any) -> float | None:
    """A duration as protocol buffers write it: `17.5s`."""
    digits = delay.removesuffix("s") if isinstance(delay, str) else ""
    if not digits.isascii() or len(digits) > 20 or not digits.replace(".", "", 1).isdecimal():
        return None
    return float(digits)


def encode_error(fault: Fault, request_id: str) -> bytes:
    return _encode(envelope(fault, request_id))


def envelope(fault: Fault, request_id: str = "") -> dict[str, Any]:
    """The error as clients read it; a status that is not this format's own would tell them nothing."""
    status = fault.type if fault.type in CODES else STATUSES[fault.kind]
    details: list[dict[str, Any]] = []
    if fault.code is not None:
        details.append({"@type": TYPE + "ErrorInfo", "reason": fault.code, "domain": DOMAIN})
    if fault.param is not None:
        violation = {"field": fault.param, "description": fault.message}
        details.append({"@type": TYPE + "BadRequest", "fieldViolations": [violation]})
    if fault.retry_after is not None:
        details.append({"@type": TYPE + "RetryInfo", "retryDelay": f"{fault.retry_after:.9g}s"})
    if request_id:
        details.append({"@type": TYPE + "RequestInfo", "requestId": request_id})
    error: dict[str, Any] = {"code": fault.status, "message": fault.message, "status": status}
    return {"error": error | ({"details": details} if details else {})}
