"""What can go wrong, as values and as one exception tree.

    OmniRouteError
    ├── ConfigError(problems)         the files are wrong: the author of the config can act
    ├── CallError(fault)              the caller can act
    │   ├── BadRequest                400  malformed
    │   │   └── Unsupported           400  well-formed, but more than the target can carry
    │   ├── Unauthenticated           401  no credential, or a wrong one
    │   ├── Forbidden                 403  a right one that may not do this
    │   ├── NotFound                  404  no such path or model
    │   ├── MethodNotAllowed          405
    │   ├── Conflict                  409  not in this state
    │   │   ├── EditRefused           409  what is to be changed stands in several places at once
    │   │   └── ConfigLocked          409  the files are changed elsewhere; here is the diff
    │   ├── StaleEdit                 412  it has changed since it was looked at
    │   ├── TooLarge                  413
    │   ├── UnsupportedMedia          415
    │   ├── PreconditionRequired      428  a write that does not say what it was made from
    │   ├── LimitReached              429  with the seconds to wait
    │   └── Unavailable               503  nothing healthy to ask, or draining
    └── UpstreamError(kind, fault)    the provider failed: the next candidate, or the operator, can act

The split is by who can act, because that decides where an error is shown: a `Problem` with its line to the author of
the file, a `Fault` in the caller's own format to the caller, a kind to the fallback and health rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

Severity = Literal["error", "warning"]


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding about the configuration.

    `line` and `col` count from 1 and are 0 where the finding concerns a whole file; `path` is the dotted place in the
    data (`providers.openai.base_url`); `hint` says what to do; `source` is the line as it stands in the file. Secret
    values never appear in any field.
    """

    code: str
    severity: Severity
    file: str
    line: int
    col: int
    path: str
    message: str
    hint: str = ""
    source: str = ""


FaultKind = Literal[
    "invalid_request",
    "authentication",
    "permission",
    "billing",
    "not_found",
    "method",
    "conflict",
    "too_large",
    "unsupported_media",
    "rate_limited",
    "server",
    "overloaded",
    "timeout",
    "unavailable",
]
"""What a refusal means, apart from how a wire format spells it; each codec maps it to its own type names."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal or failure to be told to a caller, in no format yet.

    `type`, `code` and `param` are what an upstream said of itself, kept when they can be; empty means that the codec
    fills in its own. `retry_after` is in seconds.
    """

    kind: FaultKind
    status: int
    message: str
    type: str = ""
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None


class OmniRouteError(Exception):
    """The root; never raised itself."""


class ConfigError(OmniRouteError):
    """The files do not make a gateway. Carries every problem found in the run, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"{first.file}:{first.line}:{first.col} {first.code} {first.message}{more}")


class CallError(OmniRouteError):
    """The caller can fix it. A subclass names the status; the codec of the surface renders it."""

    kind: FaultKind = "invalid_request"
    status = 400
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.fault = Fault(
            kind=self.kind,
            status=self.status,
            message=message,
            code=code or self.code,
            param=param,
            retry_after=retry_after,
        )


class BadRequest(CallError):
    """The request is malformed, or ambiguous."""


class Unsupported(BadRequest):
    """A target cannot carry the request without loss; another one may."""

    code = "unsupported_by_target"


class Unauthenticated(CallError):
    kind, status, code = "authentication", 401, "invalid_api_key"


class Forbidden(CallError):
    kind, status = "permission", 403


class NotFound(CallError):
    kind, status = "not_found", 404


class MethodNotAllowed(CallError):
    """`allow` lists the methods the path has; the surface puts them into the `Allow` header."""

    kind, status, code = "method", 405, "method_not_allowed"

    def __init__(self, message: str, allow: Sequence[str]) -> None:
        super().__init__(message)
        self.allow = tuple(allow)


class Conflict(CallError):
    kind, status = "conflict", 409


class EditRefused(Conflict):
    """The file says in one line what stands in several places. `line` is where, from 1."""

    code = "edit_refused"

    def __init__(self, message: str, *, line: int) -> None:
        super().__init__(message)
        self.line = line


class ConfigLocked(Conflict):
    """The configuration says that it is not written from here. `diff` is what would make the change, fit for a pull
    request."""

    code = "config_locked"

    def __init__(self, message: str, *, diff: str) -> None:
        super().__init__(message)
        self.diff = diff


class StaleEdit(CallError):
    """What is to be changed has changed since the caller looked at it. `etag` is what it has now, None where it is gone."""

    kind, status, code = "conflict", 412, "stale_edit"

    def __init__(self, message: str, *, etag: str | None) -> None:
        super().__init__(message)
        self.etag = etag


class PreconditionRequired(CallError):
    """A write has to say which state it was made from."""

    status = 428


class TooLarge(CallError):
    kind, status, code = "too_large", 413, "request_too_large"


class UnsupportedMedia(CallError):
    kind, status, code = "unsupported_media", 415, "unsupported_media_type"


class Unprocessable(CallError):
    """Well-formed, and in contradiction to what was said before."""

    status = 422


class LimitReached(CallError):
    kind, status, code = "rate_limited", 429, "rate_limit_exceeded"


class Unavailable(CallError):
    kind, status, code = "unavailable", 503, "service_unavailable"


UpstreamKind = Literal[
    "timeout",  # no connection, no first byte, or silence, within the deadline
    "connect",  # refused, unreachable, reset, TLS failed
    "overloaded",  # 503, 529
    "server_error",  # any other 5xx: it may be about this request only
    "rate_limited",  # 429
    "auth",  # 401, 403: our credential, not the caller's
    "quota",  # 402, or a 429 that says the account is out of money
    "no_model",  # the provider does not have the model, or not for this account
    "invalid",  # the request itself: 400, 404, 409, 413, 422
    "malformed",  # an answer that is not what the format says
    "truncated",  # an answer that stopped before its end
]


class UpstreamError(OmniRouteError):
    """A provider failed. `kind` alone decides about fallback and health; `fault` is what a caller would be told."""

    def __init__(self, kind: UpstreamKind, fault: Fault) -> None:
        super().__init__(f"{kind}: {fault.message}")
        self.kind: UpstreamKind = kind
        self.fault = fault
