"""The sessions of clients that are going on."""

from __future__ import annotations

from datetime import datetime

import msgspec

from omniroute.api import times
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.api.views.told import ANONYMOUS, Limit, Usd
from omniroute.state.roster import Session


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The latest so many, after leaving out `offset` of them; of a key, and on a connection, if these are named."""

    limit: Limit = 100
    offset: int = 0
    key: str | None = None
    connection: str | None = None


class Live(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One session. `sessionId` stands for what the client calls it, `client` is what the program calls itself, and `model`
    the target that served it last. `cost` leaves out the `unpriced` requests."""

    session_id: str
    key: str
    client: str
    model: str
    connection_id: str
    request_count: int
    tokens: int
    cost: Usd
    unpriced: int
    created_at: datetime
    last_active: datetime
    age_ms: int


class Sessions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`count` is of all that fit, also those on other pages; `byApiKey` is how many of these each key has."""

    count: int
    sessions: list[Live]
    by_api_key: dict[str, int]


async def live(plane: Plane, request: Request) -> Answer:
    """The latest first."""
    asked, state = request.query(Asked), plane.control.state
    now = state.clock.now()
    found = [
        one
        for one in state.roster.live(now, plane.control.live.current.session_ttl)
        if asked.key in (None, one.key) and asked.connection in (None, one.connection)
    ]
    counts: dict[str, int] = {}
    for one in found:
        counts[one.key or ANONYMOUS] = counts.get(one.key or ANONYMOUS, 0) + 1
    begin = max(0, asked.offset)
    shown = [_live(one, now) for one in found[begin : begin + asked.limit]]
    return Answer(Sessions(count=len(found), sessions=shown, by_api_key=counts))


def _live(session: Session, now: float) -> Live:
    return Live(
        session_id=session.id,
        key=session.key,
        client=session.client,
        model=session.target,
        connection_id=session.connection,
        request_count=session.requests,
        tokens=session.tokens,
        cost=session.cost,
        unpriced=session.unpriced,
        created_at=times.told(session.first),
        last_active=times.told(session.last),
        age_ms=int(max(0.0, now - session.first) * 1000),
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/sessions",
        access="admin.read",
        body_limit=0,
        serve=live,
        summary="Sessions of clients that are going on, the latest first, `?limit&offset&key&connection`: what each has asked, and where it is served.",
        told=Told(query=Asked, answer=Sessions),
    ),
)
