"""Tells a refusal, in the one shape of the management plane; everything that no row answers ends here too."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap, HTTPScope

from omniroute.api.control import Control
from omniroute.errors import BadRequest, CallError, ConfigError, Fault, MethodNotAllowed, NotFound, Problem
from omniroute.routing import request_id

log = logging.getLogger("omniroute.api")

Pairs = list[tuple[bytes, bytes]]
InClientShape = Callable[[str, Fault, str], bytes | None]
"""Renders a fault for a path of the client API, given the path, the fault and the request's id; None for a path of
any other surface."""

_OURS = Fault(kind="server", status=500, message="The gateway failed on this request; its log says why.")
_INVALID = Fault(
    kind="invalid_request", status=422, message="The configuration files have errors.", code="config_invalid"
)
INVALID_EDIT = Fault(
    kind="invalid_request",
    status=422,
    message="With this edit the configuration would have errors. Nothing was written.",
    code="config_invalid",
)
LONGEST_PATH = 200
TOLD = ("code", "severity", "file", "line", "col", "path", "message", "hint")
HINTS = {
    "login_required": "Log in at /api/auth/login, or send a key whose `roles` have `admin.read` or `admin.write`.",
    "invalid_api_key": "Send a key whose `roles` have `admin.read` or `admin.write`.",
    "role_missing": "Give the key the role under `keys.<name>.roles`.",
    "host_not_allowed": "Use an address or `localhost`, or declare the name under `server.allowed_hosts`.",
    "csrf_token_wrong": "Send the `csrfToken` that /api/auth/login and /api/auth/status answer with.",
    "needs_setup": "Make a hash with `omniroute password` and set it as `auth.password_hash`.",
    "no_oauth": "Give a connection `oauth: {client_id: …}`; docs/oauth.md says how.",
    "oauth_state_unknown": "Begin anew with GET /api/oauth/{provider}/authorize or /device-code, with the same login or key.",
    "oauth_refused": "Begin anew, and look at the client id, the redirect URI and the scopes if it happens again.",
    "oauth_unreachable": "Try again; the tokens that are there were kept.",
    "sign_in_required": "Sign in with GET /api/oauth/{provider}/authorize or /device-code.",
    "config_invalid": "The running configuration goes on. Correct the files and reload, or run `omniroute validate`.",
    "not_a_backup": "Nothing has changed. Hand in a file that `/api/db-backups/export` or `omniroute backup create` made.",
    "unknown_backup": "GET /api/db-backups lists those that there are.",
    "history_unavailable": "Requests are served all the same. POST /api/db-backups restores a backup without a restart.",
    "ledger_unavailable": "Requests are served all the same. POST /api/db-backups restores a backup without a restart.",
    "disk_full": "Make room under `server.data_dir`; nothing has changed.",
}
"""What to do about it, by code."""


class Refusal(msgspec.Struct, frozen=True):
    """What is told of an exception: `allow` lists methods, `problems` what is wrong with the files."""

    fault: Fault
    allow: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def content(self) -> dict[str, Any]:
        """The canonical shape."""
        code = self.fault.code or self.fault.kind
        hint = HINTS.get(code, "")
        return {
            "error": {
                "code": code,
                "message": self.fault.message,
                "hint": hint,
                "problems": told(self.problems),
            }
        }

    @property
    def headers(self) -> Pairs:
        """What some statuses say in headers."""
        pairs: Pairs = []
        if self.fault.retry_after is not None:
            pairs.append((b"retry-after", b"%d" % max(1, math.ceil(self.fault.retry_after))))
        if self.allow:
            pairs.append((b"allow", ", ".join(self.allow).encode("latin-1", "replace")))
        if self.fault.status == 401:
            pairs.append((b"www-authenticate", b"Bearer"))
        return pairs


def told(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Problems with all their fields, also the empty ones; the line itself is for those who have the file."""
    return [{field: getattr(problem, field) for field in TOLD} for problem in problems]


def common_headers(control: Control, name: str, media: str = "application/json") -> Pairs:
    """Of every answer. Nothing of the management plane is to be kept by a cache or guessed at by a browser."""
    return [
        (b"content-type", media.encode("latin-1")),
        (b"x-request-id", name.encode("latin-1")),
        (b"x-omniroute-config", control.live.current.revision.label.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]


def refusal(error: Exception, name: str) -> Refusal:
    """What to tell of an exception. What is not the caller's doing is logged under the request's name and not told."""
    if isinstance(error, CallError):
        return Refusal(error.fault, error.allow if isinstance(error, MethodNotAllowed) else ())
    if isinstance(error, ConfigError):
        return Refusal(_INVALID, problems=error.problems)
    log.error("request %s failed inside the gateway", name, exc_info=error)
    return Refusal(_OURS)


def exception_handlers(control: Control, in_client_shape: InClientShape) -> ExceptionHandlersMap:
    """For everything that never reaches a row: unknown paths and what the router itself refuses."""

    def handle(request: Any, error: Exception) -> Response[bytes]:
        scope: HTTPScope = request.scope
        name = request_id.given(scope["headers"]) or request_id.new()
        path = scope["path"]
        told = refusal(_ours(error, scope["method"], path), name)
        body = in_client_shape(path, told.fault, name)
        pairs = [*common_headers(control, name), *told.headers]
        return Response(
            msgspec.json.encode(told.content) if body is None else body,
            status_code=told.fault.status,
            media_type="application/json",
            headers={key.decode("latin-1"): value.decode("latin-1") for key, value in pairs},
        )

    return {Exception: handle}


def _ours(error: Exception, method: str, path: str) -> Exception:
    """The router's exceptions as our own."""
    if not isinstance(error, HTTPException) or error.status_code >= 500:
        return error
    where = path[:LONGEST_PATH].encode("utf-8", "replace").decode()
    if error.status_code == 404:
        return NotFound(f"There is nothing at {where}.", code="unknown_path")
    if error.status_code == 405:
        return MethodNotAllowed(f"{where} does not take {method}.", [(error.headers or {}).get("allow", "")])
    return BadRequest(f"{error.detail}.")
