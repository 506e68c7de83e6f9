"""Writes down who did what: every action that changes something calls `record` once it is done, or has failed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from omniroute.api.endpoint import Request
from omniroute.api.plane import Plane
from omniroute.state.audit import Entry, Outcome, Via


async def record(
    plane: Plane,
    request: Request,
    action: str,
    target: str = "",
    *,
    outcome: Outcome = "done",
    diff: str = "",
    detail: Mapping[str, str] | None = None,
) -> None:
    """One row, of the visitor of this request. `action` is a noun and a verb: `backups.restore`. No secret may stand in
    any of it."""
    control = plane.control
    visitor = request.visitor
    entry = Entry(
        at=control.state.clock.now(),
        actor=visitor.name if visitor else "",
        via=_via(request),
        action=action,
        target=target,
        outcome=outcome,
        request_id=request.request_id,
        revision=control.live.current.revision.label,
        diff=diff,
        detail=dict(detail or {}),
    )
    await asyncio.to_thread(control.state.audit.append, entry)


def _via(request: Request) -> Via:
    visitor = request.visitor
    if visitor is None or visitor.session is not None:
        return "session"
    return "loopback" if visitor.name == "loopback" else "key"
