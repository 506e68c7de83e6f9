"""What a trial says of a connection or a credential: whether it works, and if not, whose fault that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from omniroute.errors import UpstreamError
from omniroute.routing.inquiry import Answered

Type = Literal[
    "ok",
    "network_error",
    "upstream_auth_error",
    "upstream_rate_limited",
    "upstream_unavailable",
    "upstream_error",
    "auth_missing",
    "unsupported",
    "runtime_error",
]
Source = Literal["upstream", "local", "validation"]
TYPES: Mapping[str, Type] = {
    "success": "ok",
    "timeout": "network_error",
    "connect": "network_error",
    "auth": "upstream_auth_error",
    "rate_limited": "upstream_rate_limited",
    "overloaded": "upstream_unavailable",
    "server_error": "upstream_unavailable",
    "quota": "upstream_error",
    "no_model": "upstream_error",
    "invalid": "upstream_error",
    "malformed": "upstream_error",
    "truncated": "upstream_error",
}
"""By how a call ended (`errors.py: UpstreamKind`)."""
State = Literal["active", "unavailable", "error", "credits_exhausted"]
STATES: Mapping[str, State] = {"success": "active", "quota": "credits_exhausted", "auth": "error"}
"""The state of a connection by how its trial ended; of any other end `unavailable`."""
UNSAID = frozenset({"connect", "timeout", "truncated", "malformed"})
"""Ends of a call whose status is our word for it, and not the provider's."""
Method = Literal["chat", "embeddings", "models", ""]


class Diagnosis(msgspec.Struct, frozen=True):
    """`code` is how the call ended, in the ledger's words; empty where none was made."""

    type: Type
    source: Source
    message: str = ""
    code: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`latency` is in seconds, `status` the provider's, None where it gave none; `at` is UNIX time. `method` is what was
    asked, of `model` where that is one thing."""

    valid: bool
    diagnosis: Diagnosis
    at: float
    latency: float = 0.0
    status: int | None = None
    method: Method = ""
    model: str = ""

    @property
    def error(self) -> str:
        """What to tell a person; empty where it works."""
        return "" if self.valid else self.diagnosis.message

    @property
    def state(self) -> State:
        """In the words of `testStatus`."""
        return STATES.get(self.diagnosis.code, "unavailable" if self.diagnosis.code else "error")


def of_answer(answered: Answered, at: float, method: Method, model: str) -> Verdict:
    """By what the engine got."""
    asked = [attempt for attempt in answered.attempts if attempt.outcome != "skipped"]
    if not asked:
        message = answered.fault.message if answered.fault is not None else f"the gateway answered {answered.status}"
        waits = answered.fault is not None and answered.fault.kind in ("unavailable", "rate_limited")
        diagnosis = Diagnosis("upstream_unavailable" if waits else "runtime_error", "local", message)
        return Verdict(valid=False, diagnosis=diagnosis, at=at, latency=answered.ms / 1e3, method=method, model=model)
    last = asked[-1]
    ended = Diagnosis(TYPES.get(last.outcome, "runtime_error"), "upstream", last.message, last.outcome)
    return Verdict(
        valid=last.outcome == "success",
        diagnosis=ended,
        at=at,
        latency=answered.ms / 1e3,
        status=None if last.outcome in UNSAID else last.status,
        method=method,
        model=model,
    )


def of_error(error: UpstreamError, at: float, latency: float, method: Method) -> Verdict:
    """By how a question besides failed."""
    diagnosis = Diagnosis(TYPES[error.kind], "upstream", error.fault.message, error.kind)
    status = None if error.kind in UNSAID else error.fault.status
    return Verdict(valid=False, diagnosis=diagnosis, at=at, latency=latency, status=status, method=method)


def without_call(type: Type, message: str, at: float, source: Source = "validation") -> Verdict:  # noqa: A002 - the contract's word
    """Where there was nothing to call, or nothing to call it with."""
    return Verdict(valid=False, diagnosis=Diagnosis(type, source, message), at=at)
