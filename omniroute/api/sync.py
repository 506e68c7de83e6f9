"""The configuration's files in step with a git remote or another OmniRoute."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from omniroute.api import audit, errors, times
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.services.sync import Difference, Outcome, Side, Sync, SyncConflict

SMALL = 16 << 10


class State(msgspec.Struct, frozen=True, rename="camel"):
    """How both sides stand. `enabled` says that a remote is declared and runs are not paused, `connected` that the last
    one went well; `every` is the seconds between two runs by the clock, 0 where there are none."""

    enabled: bool
    every: float
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
    at = times.told(base.at) if base.at is not None else None
    return State(
        enabled=sync.declared and not base.paused,
        every=sync.every,
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


async def initialize(plane: Plane, request: Request) -> Answer:
    """Runs by the clock go on, where they were paused."""
    sync = plane.control.sync
    sync.remote  # noqa: B018 - raises where none is declared
    sync.pause(paused=False)
    await audit.record(plane, request, "sync.enable")
    every = f"There is a run every {sync.every:g} s" if sync.every else "There are runs when asked: `sync.every` is 0s"
    return Answer({"success": True, "message": every})


async def initialized(plane: Plane, _request: Request) -> Answer:
    """Whether a remote is declared, and runs are not paused."""
    on = _state(plane.control.sync).enabled
    return Answer(Initialized(on, "Sync is on" if on else "Sync is not on"))


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
)
