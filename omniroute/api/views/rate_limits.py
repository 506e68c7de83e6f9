"""What is left of every limit: of the configuration's own, and of those that providers have told of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from omniroute.api import times
from omniroute.api.control import Control
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.state.base import MODEL, View
from omniroute.state.health import Health, health
from omniroute.state.limits import Limit, Rate, Standing

MOST = 1000
"""Standings that are told: there may be one for each address that ever came."""


class Rated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    amount: int
    seconds: float


class Configured(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A limit that holds for everybody. `per` is whom it tells apart."""

    name: str
    per: str
    requests: Rated | None
    tokens: Rated | None
    concurrent: int | None


class Stand(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is left of one measure for one subject, such as a key; `resetAt` is when all of it is there again."""

    limit: str
    subject: str
    measure: str
    amount: int
    remaining: int
    reset_at: datetime


class Learned(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a provider said is left; of one `model`, or (empty) of all."""

    model: str
    unit: str
    remaining: float
    limit: float | None
    reset_at: datetime


class OfConnection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`rateLimitProtection` says whether anything holds its calls back: a bound of calls at a time, or what its provider
    has told is left. `active` and `running` are its calls under way."""

    connection_id: str
    provider: str
    name: str
    rate_limit_protection: bool
    enabled: bool
    max_concurrent: int | None
    active: int
    running: int
    blocked: bool
    reason: str
    cooldown_until: datetime | None
    learned: list[Learned]


class Lockout(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A connection, or one model on it, that is left alone for a while."""

    provider: str
    connection_id: str
    model: str
    reason: str
    remaining_ms: int


class Queue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Requests that wait for a place, by key, and how long they may; null where nothing waits."""

    max_wait_seconds: float | None
    concurrent: int | None
    waiting: dict[str, int]


class Global(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What holds for everybody."""

    limits: list[Configured]
    queue: Queue


class RateLimits(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`limits` is what is left of the configuration's limits where they are in use, of at most a thousand subjects. A
    request that waits for whichever of several connections is free first is `queued` at each of them."""

    connections: list[OfConnection]
    overview: dict[str, dict[str, int]]
    lockouts: list[Lockout]
    limits: list[Stand]
    configuration: Global


async def show(plane: Plane, _request: Request) -> Answer:
    """All of it, of now."""
    control = plane.control
    state, upstreams = control.state, control.live.current.upstreams
    now = state.clock.monotonic()
    pairs = [(upstream.name, one) for upstream in upstreams.values() for one in upstream.connections]
    known = health(state, [one.id for _, one in pairs], now)
    waiting = queued(state.line.by_group())
    offset = state.clock.now() - now
    connections = [
        _connection(provider, one.id, one.name, one.max_concurrent, known[one.id], offset) for provider, one in pairs
    ]
    return Answer(
        RateLimits(
            connections=connections,
            overview={
                f"{one.provider}:{one.name}": {
                    "queued": waiting[one.connection_id],
                    "running": one.running,
                    "executing": one.running,
                }
                for one in connections
            },
            lockouts=[_lockout(name, view, now) for name, view in state.breakers.known(now).items() if view.blocked],
            limits=[_stand(one, state.clock.now()) for one in state.limits.view(now)[:MOST]],
            configuration=_configuration(control),
        )
    )


def queued(groups: Mapping[Any, int]) -> Counter[str]:
    """How many wait for a place at each connection; a group is the targets and connections that would do."""
    counted: Counter[str] = Counter()
    for group, number in groups.items():
        for connection in {connection for _, connection in group}:
            counted[connection] += number
    return counted


def _connection(provider: str, ident: str, name: str, most: int | None, known: Health, offset: float) -> OfConnection:
    view = known.view
    learned = [
        Learned(
            model=model,
            unit=one.unit,
            remaining=one.remaining,
            limit=one.limit,
            reset_at=times.told(one.until + offset),
        )
        for model, said in known.allowances.items()
        for one in said
    ]
    return OfConnection(
        connection_id=ident,
        provider=provider,
        name=name,
        rate_limit_protection=most is not None or bool(learned),
        enabled=most is not None or bool(learned),
        max_concurrent=most,
        active=known.in_flight,
        running=known.in_flight,
        blocked=view is not None and view.blocked,
        reason=view.reason if view is not None else "",
        cooldown_until=times.told(view.until + offset) if view is not None and view.blocked else None,
        learned=learned,
    )


def _lockout(name: str, view: View, now: float) -> Lockout:
    connection, _, model = name.partition(MODEL)
    return Lockout(
        provider=connection.partition(".")[0],
        connection_id=connection,
        model=model,
        reason=view.reason,
        remaining_ms=max(0, int((view.until - now) * 1000)),
    )


def _stand(standing: Standing, now: float) -> Stand:
    return Stand(
        limit=standing.limit,
        subject=standing.subject,
        measure=standing.measure,
        amount=standing.amount,
        remaining=standing.remaining,
        reset_at=times.told(now + standing.reset),
    )


def _configuration(control: Control) -> Global:
    gateway = control.live.current
    queue, limits = gateway.queue, gateway.limits
    return Global(
        limits=[_configured(one) for one in (*limits.callers, *limits.candidates)],
        queue=Queue(
            max_wait_seconds=queue.max_wait if queue is not None else None,
            concurrent=queue.concurrent if queue is not None else None,
            waiting=dict(control.state.line.by_key()),
        ),
    )


def _configured(limit: Limit) -> Configured:
    return Configured(
        name=limit.name,
        per=limit.per,
        requests=_rated(limit.requests),
        tokens=_rated(limit.tokens),
        concurrent=limit.concurrent,
    )


def _rated(rate: Rate | None) -> Rated | None:
    return Rated(amount=rate.amount, seconds=rate.period / 1e9) if rate is not None else None


ENDPOINTS = tuple(
    Endpoint(
        method="GET",
        path=path,
        access="admin.read",
        body_limit=0,
        serve=show,
        summary="What is left of each limit, of each connection's and key's, and what providers say of theirs; what holds for everybody.",
        told=Told(answer=RateLimits),
    )
    for path in ("/api/rate-limits", "/api/rate-limit")
)
