"""The process itself: whether it is set up, its end and its new beginning."""

from __future__ import annotations

import msgspec

from omniroute import __version__
from omniroute.api import audit
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane

BODY = 4096


class Init(msgspec.Struct, frozen=True, rename="camel"):
    """`setup_complete` says that nobody is needed to make a password, be it that there is one or that none is asked for."""

    initialized: bool
    version: str
    setup_complete: bool


class Ending(msgspec.Struct, frozen=True, rename="camel"):
    """What begins now; requests under way have `drain_timeout` seconds."""

    success: bool
    status: str
    message: str
    drain_timeout: float


async def init(plane: Plane, _request: Request) -> Answer:
    """Whoever can read this has a gateway that runs."""
    rules = plane.control.live.current.access
    return Answer(Init(True, __version__, rules.password_hash is not None or not rules.require_login))


async def shutdown(plane: Plane, request: Request) -> Answer:
    """Answered before it begins."""
    return await _end(plane, request, restart=False)


async def restart(plane: Plane, request: Request) -> Answer:
    """The same, and another process with the same command line and the same number."""
    return await _end(plane, request, restart=True)


async def _end(plane: Plane, request: Request, *, restart: bool) -> Answer:
    action = "gateway.restart" if restart else "gateway.shutdown"
    patience = await plane.control.may_end(restart=restart)
    await audit.record(plane, request, action)
    plane.control.end(restart=restart)
    status, what = ("restarting", "Restarting") if restart else ("stopping", "Shutting down")
    return Answer(Ending(True, status, f"{what}: requests under way are finished first.", patience), 202)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/init",
        access="public",
        body_limit=0,
        serve=init,
        summary="Whether the gateway is set up, and its version.",
        told=Told(answer=Init),
    ),
    Endpoint(
        method="POST",
        path="/api/restart",
        access="admin.write",
        body_limit=BODY,
        serve=restart,
        summary="Ends as `/api/shutdown` and begins anew with the same command line, once the files are known to make a gateway; connections that come meanwhile wait.",
        told=Told(answer=Ending, status=202, refuses=(409, 422)),
    ),
    Endpoint(
        method="POST",
        path="/api/shutdown",
        access="admin.write",
        body_limit=BODY,
        serve=shutdown,
        summary="Takes no more connections, finishes what is under way within `server.drain_timeout`, writes down what is owed, and ends.",
        told=Told(answer=Ending, status=202, refuses=(409,)),
    ),
)
