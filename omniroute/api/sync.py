"""The configuration's files in step with a git remote or another OmniRoute, and what such instances ask each other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from omniroute.api import audit, errors
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.errors import BadRequest, StaleEdit
from omniroute.routing.resolve import resolve
from omniroute.services.sync import Difference, Outcome, Side, Sync, SyncConflict

BUNDLE = 32 << 20
SMALL = 16 << 10


class State(msgspec.Struct, frozen=True, rename="camel"):
    """How both sides stand. `enabled` says that a remote is declared and runs are not paused, `connected` that the last
    one went well."""

    enabled: bool
    connected: bool
    remote: str
    revision: str
    last_sync: datetime | None
    last_error: str


class Ask(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What to do; `keep` decides about files that have changed on both sides."""

    action: Literal["enable", "sync", "disable", "status", "compare"]
    keep: Side = ""


class Compared(msgspec.Struct, frozen=True, rename="camel"):
    """What a run would do."""

    push: list[str]
    pull: list[str]
    conflicts: list[Difference]


class Done(msgspec.Struct, frozen=True, rename="camel"):
    success: bool
    message: str
    state: State
    outcome: Outcome | None = None


class Initialized(msgspec.Struct, frozen=True):
    initialized: bool
    message: str


def _state(sync: Sync) -> State:
    base = sync.base()
    at = datetime.fromtimestamp(base.at, UTC) if base.at is not None else None
    return State(
        enabled=sync.declared and not base.paused,
        connected=base.at is not None and not sync.last_error,
        remote=sync.remote.name if sync.declared else "",
        revision=base.revision,
        last_sync=at,
        last_error=sync.last_error,
    )


async def show(plane: Plane, _request: Request) -> Answer:
    """How both sides stand."""
    return Answer(_state(plane.control.sync))


async def act(plane: Plane, request: Request) -> Answer:
    """Does what is asked for."""
    ask = request.json(Ask)
    sync = plane.control.sync
    if ask.action == "status":
        return Answer(_state(sync))
    if ask.action == "compare":
        return Answer(Compared(*await sync.compare()))
    if ask.action == "disable":
        sync.pause(paused=True)
        await audit.record(plane, request, "sync.disable")
        return Answer(Done(success=True, message="Runs are paused", state=_state(sync)))
    sync.remote  # noqa: B018 - raises where none is declared
    if ask.action == "enable":
        sync.pause(paused=False)
    return await _run(plane, request, ask)


async def _run(plane: Plane, request: Request, ask: Ask) -> Answer:
    sync = plane.control.sync
    name = sync.remote.name
    assert request.visitor is not None
    try:
        outcome = await sync.run(request.visitor.name, ask.keep)
    except SyncConflict as conflict:
        await audit.record(plane, request, "sync.run", name, outcome="refused", detail=_names(conflict))
        content = errors.Refusal(conflict.fault).content
        return Answer({**content, "conflicts": conflict.differences}, conflict.status)
    detail = {"pushed": ", ".join(outcome.pushed), "pulled": ", ".join(outcome.pulled)}
    await audit.record(plane, request, "sync.run", name, detail=detail)
    message = f"{len(outcome.pushed)} files went there, {len(outcome.pulled)} came here"
    return Answer(Done(success=True, message=message, state=_state(sync), outcome=outcome))


def _names(conflict: SyncConflict) -> dict[str, str]:
    return {"conflicts": ", ".join(one.name for one in conflict.differences)}


async def initialize(plane: Plane, _request: Request) -> Answer:
    """Whether runs are made by themselves, which they are from the start wherever `sync.every` says so."""
    sync = plane.control.sync
    sync.remote  # noqa: B018 - raises where none is declared
    sync.pause(paused=False)
    return Answer({"success": True, "message": "Sync is on, and has been since the start"})


async def initialized(plane: Plane, _request: Request) -> Answer:
    """Whether a remote is declared."""
    on = _state(plane.control.sync).enabled
    return Answer(Initialized(on, "Sync is on" if on else "Sync is not on"))


# -------------------------------------------------------------------------------------------------- between instances


class Credentials(msgspec.Struct, frozen=True, rename="camel"):
    """How a connection signs in; never with what."""

    id: str
    provider: str
    auth_type: str
    has_api_key: bool
    has_access_token: bool
    has_refresh_token: bool
    priority: int
    is_active: bool


class Known(msgspec.Struct, frozen=True, rename="camel"):
    connections: list[Credentials]
    model_aliases: dict[str, str]


class Alias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alias: str


class Resolved(msgspec.Struct, frozen=True):
    alias: str
    provider: str
    model: str


class Bundled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files by their names; None for one to delete. `revision` is by which the sender knows what it has."""

    files: dict[str, str | None]
    revision: str = ""
    reason: str = ""


async def known(plane: Plane, _request: Request) -> Answer:
    """What this instance has, without any secret."""
    gateway = plane.control.live.current
    connections = [
        Credentials(
            id=one.id,
            provider=upstream.name,
            auth_type="oauth" if one.auth.scheme == "oauth" else "apikey" if one.auth.secret is not None else "none",
            has_api_key=one.auth.secret is not None,
            has_access_token=one.auth.scheme == "oauth",
            has_refresh_token=one.auth.scheme == "oauth",
            priority=one.priority,
            is_active=True,
        )
        for upstream in gateway.upstreams.values()
        for one in upstream.connections
    ]
    aliases = plane.control.describe().get("aliases", {})
    return Answer(Known(connections, dict(aliases)))


async def resolved(plane: Plane, request: Request) -> Answer:
    """What a name leads to."""
    alias = request.json(Alias).alias
    if not alias:
        raise BadRequest("`alias` is the name to resolve.", code="invalid_body", param="alias")
    route = resolve(plane.control.live.current, alias)
    first: Any = route
    while hasattr(first, "steps"):
        first = first.steps[0]
    provider, _, model = first.id.partition("/")
    return Answer(Resolved(alias, provider, model))


async def bundled(plane: Plane, _request: Request) -> Answer:
    """The files as they are written."""
    files: dict[str, str | None] = {name: each.decode() for name, each in plane.control.exchange.files().items()}
    revision = plane.control.live.current.revision.digest
    return Answer(Bundled(files, revision), headers=((b"etag", f'"{revision}"'.encode()),))


async def exchanged(plane: Plane, request: Request) -> Answer:
    """Takes files from another instance, all of them or none."""
    wanted = request.json(Bundled)
    asked = request.header(b"if-match")
    revision = plane.control.live.current.revision.digest
    if asked is not None and asked.strip() not in ("*", f'"{revision}"'):
        raise StaleEdit("these files have changed since you looked at them", etag=f'"{revision}"')
    if not wanted.files:
        raise BadRequest("`files` is empty.", code="invalid_body", param="files")
    assert request.visitor is not None
    changes = {name: None if text is None else text.encode() for name, text in wanted.files.items()}
    await plane.control.exchange.write(changes, request.visitor.name, wanted.reason)
    await audit.record(
        plane, request, "config.exchange", ", ".join(sorted(changes)), detail={"reason": wanted.reason[:200]}
    )
    return await bundled(plane, request)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/sync/cloud",
        access="admin.read",
        body_limit=0,
        serve=show,
        summary="How the files here stand to those at the remote.",
        told=Told(answer=State),
    ),
    Endpoint(
        method="POST",
        path="/api/sync/cloud",
        access="admin.write",
        body_limit=SMALL,
        serve=act,
        summary="`sync` brings both sides to the same, `compare` says what it would do, `enable` and `disable` are about "
        "runs that nobody asks for. What has changed on both sides is a 409 with the diff, unless `keep` says whose counts.",
        told=Told(body=Ask, refuses=(409, 422, 503), example={"action": "sync"}),
    ),
    Endpoint(
        method="GET",
        path="/api/sync/initialize",
        access="admin.read",
        body_limit=0,
        serve=initialized,
        summary="Whether sync is on.",
        told=Told(answer=Initialized),
    ),
    Endpoint(
        method="POST",
        path="/api/sync/initialize",
        access="admin.write",
        body_limit=SMALL,
        serve=initialize,
        summary="Switches runs on that nobody asks for.",
        told=Told(refuses=(409,)),
    ),
    Endpoint(
        method="POST",
        path="/api/cloud/auth",
        access="admin.write",
        body_limit=SMALL,
        serve=known,
        summary="The connections and aliases of this instance, without any secret.",
        told=Told(answer=Known),
    ),
    Endpoint(
        method="POST",
        path="/api/cloud/model/resolve",
        access="admin.write",
        body_limit=SMALL,
        serve=resolved,
        summary="What a name leads to first.",
        told=Told(body=Alias, answer=Resolved, refuses=(404,), example={"alias": "fast"}),
    ),
    Endpoint(
        method="GET",
        path="/api/cloud/bundle",
        access="admin.read",
        body_limit=0,
        serve=bundled,
        summary="The configuration's files as they are written, with an `ETag`.",
        told=Told(answer=Bundled),
    ),
    Endpoint(
        method="PUT",
        path="/api/cloud/bundle",
        access="admin.write",
        body_limit=BUNDLE,
        serve=exchanged,
        summary="Takes files from another instance, all or none; `If-Match` names what they were made from.",
        told=Told(
            body=Bundled,
            answer=Bundled,
            refuses=(409, 412, 422, 503),
            example={"files": {"omniroute.yaml": "version: 1\n"}},
        ),
    ),
)
