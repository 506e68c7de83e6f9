"""How long requests take: all of it, and apart what providers took and what this gateway did."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.state.usage import Timing

MOST = 10_000
"""Requests that are looked at. Of a window in which there were more, these are the latest."""
PERCENT = (50, 95, 99)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The requests that ended within the last so many milliseconds."""

    window_ms: Annotated[int, msgspec.Meta(ge=1000, le=2_592_000_000)] = msgspec.field(default=300_000, name="windowMs")


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Of some durations, in milliseconds. Percentiles are by nearest rank: each is the duration of a request."""

    count: int
    avg: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class Phases(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`upstream` is time spent with providers, `gateway` all the rest, and `firstByte` what a client waited for the first
    byte of an answer."""

    gateway: Spread
    upstream: Spread
    first_byte: Spread


class Telemetry(Spread, frozen=True, kw_only=True, rename="camel"):
    """Of all requests in the window. `complete` is false where there were more than are looked at."""

    window_ms: int
    complete: bool
    total_requests: int
    avg_latency_ms: float | None
    error_rate: float
    active_connections: int
    sessions: int
    phase_breakdown: Phases
    providers: dict[str, Spread]


async def summary(plane: Plane, request: Request) -> Answer:
    """By the newest rows of the ledger, so that what is not written yet is not in it."""
    asked, control = request.query(Asked), plane.control
    state = control.state
    newest = await asyncio.to_thread(state.ledger.timings, MOST)
    since = state.clock.now() - asked.window_ms / 1000
    within = [one for one in newest if one.started + one.total_ms / 1000 >= since]
    whole = spread(one.total_ms for one in within)
    sessions = state.roster.live(state.clock.now(), control.live.current.session_ttl)
    return Answer(
        Telemetry(
            count=whole.count,
            avg=whole.avg,
            p50=whole.p50,
            p95=whole.p95,
            p99=whole.p99,
            window_ms=asked.window_ms,
            complete=len(newest) < MOST or len(within) < len(newest),
            total_requests=whole.count,
            avg_latency_ms=whole.avg,
            error_rate=round(sum(one.status >= 400 for one in within) / len(within), 4) if within else 0.0,
            active_connections=sum(
                state.counters.in_flight(one.id)
                for upstream in control.live.current.upstreams.values()
                for one in upstream.connections
            ),
            sessions=len(sessions),
            phase_breakdown=Phases(
                gateway=spread(one.gateway_ms for one in within),
                upstream=spread(one.upstream_ms for one in within if one.provider),
                first_byte=spread(one.ttft_ms for one in within if one.ttft_ms is not None),
            ),
            providers=_by_provider(within),
        )
    )


def _by_provider(within: Sequence[Timing]) -> dict[str, Spread]:
    names = sorted({one.provider for one in within if one.provider})
    return {name: spread(one.total_ms for one in within if one.provider == name) for name in names}


def spread(durations: Iterable[float]) -> Spread:
    """How these lie."""
    told = sorted(durations)
    if not told:
        return Spread(count=0, avg=None, p50=None, p95=None, p99=None)
    p50, p95, p99 = (told[-(-len(told) * percent // 100) - 1] for percent in PERCENT)
    return Spread(
        count=len(told),
        avg=round(sum(told) / len(told), 3),
        p50=round(p50, 3),
        p95=round(p95, 3),
        p99=round(p99, 3),
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/telemetry/summary",
        access="admin.read",
        body_limit=0,
        serve=summary,
        summary="Percentiles of how long requests took, `?windowMs`; what providers took and what the gateway did apart; and by provider.",
        told=Told(query=Asked, answer=Telemetry, refuses=(503,)),
    ),
)
