"""What was done to this gateway, by whom, and whether the record of it is whole."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

import msgspec

from omniroute.api import times
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.state.audit import Row, Wanted

STATUS = {"done": "success", "refused": "refused", "failed": "failed"}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows. `since` and `until` are other words for `from` and `to`; an `action` that ends with `.` means all that
    begin so."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    offset: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    actor: str = ""
    action: str = ""
    begin: str = msgspec.field(default="", name="from")
    end: str = msgspec.field(default="", name="to")
    since: str = ""
    until: str = ""


class Noted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One row. `ip` is told of logins alone; `digest` binds it to the row before it. What the reference spells in two ways
    stands here in both."""

    id: int
    timestamp: datetime
    created_at: datetime
    actor: str
    via: str
    action: str
    resource_type: str
    target: str
    outcome: str
    status: str
    request_id: str
    revision: str
    diff: str
    details: dict[str, str]
    ip: str
    digest: str
    ip_address: str = msgspec.field(name="ip_address")
    request: str = msgspec.field(name="request_id")


class Verified(msgspec.Struct, frozen=True, rename="camel"):
    """Whether each row follows from the one before; if not, the number of the first that does not."""

    ok: bool
    rows: int
    broken_at: int | None
    reason: str


async def log(plane: Plane, request: Request) -> Answer:
    """The newest rows first, and in headers how many there are in all."""
    asked = request.query(Asked)
    since, until = times.span(asked.begin or asked.since, asked.end or asked.until)
    wanted = Wanted(
        limit=asked.limit, offset=asked.offset, actor=asked.actor, action=asked.action, since=since, until=until
    )
    rows, total = await asyncio.to_thread(plane.control.state.audit.page, wanted)
    pages = {b"x-total-count": total, b"x-page-limit": asked.limit, b"x-page-offset": asked.offset}
    return Answer([_noted(row) for row in rows], headers=tuple((name, b"%d" % one) for name, one in pages.items()))


async def verify(plane: Plane, _request: Request) -> Answer:
    """Reads all rows, which takes some microseconds each."""
    verdict = await asyncio.to_thread(plane.control.state.audit.verify)
    return Answer(Verified(verdict.ok, verdict.rows, verdict.broken_at, verdict.reason))


def _noted(row: Row) -> Noted:
    entry = row.entry
    at, ip = times.told(entry.at), entry.detail.get("peer", "")
    return Noted(
        id=row.number,
        timestamp=at,
        created_at=at,
        actor=entry.actor,
        via=entry.via,
        action=entry.action,
        resource_type=entry.action.partition(".")[0],
        target=entry.target,
        outcome=entry.outcome,
        status=STATUS[entry.outcome],
        request_id=entry.request_id,
        request=entry.request_id,
        revision=entry.revision,
        diff=entry.diff,
        details=entry.detail,
        ip=ip,
        ip_address=ip,
        digest=row.digest.hex(),
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/compliance/audit-log",
        access="admin.read",
        body_limit=0,
        serve=log,
        summary="Who did what, the newest first, `?limit&offset&action&actor&from&to`; `X-Total-Count` says how many rows there are.",
        told=Told(query=Asked, answer=list[Noted], refuses=(503,)),
    ),
    Endpoint(
        method="GET",
        path="/api/compliance/verify",
        access="admin.read",
        body_limit=0,
        serve=verify,
        summary="Whether the audit log is whole: each row is bound to the one before it, and the last one is sealed.",
        told=Told(answer=Verified, refuses=(503,)),
    ),
)
