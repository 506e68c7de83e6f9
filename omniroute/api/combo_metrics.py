"""How combos have fared, by the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from omniroute.api import times
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.state.route_use import RouteUse, TargetUse

Range = Literal["1h", "24h", "7d", "30d", "all"]
SECONDS: dict[Range, float] = {"1h": 3600.0, "24h": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0, "all": float("inf")}


class MetricsQuery(msgspec.Struct, frozen=True):
    combo: Annotated[str, Meta(description="Only this one.")] = ""
    range: Annotated[Range, Meta(description="How far back.")] = "24h"


class RangeQuery(msgspec.Struct, frozen=True):
    range: Annotated[Range, Meta(description="How far back.")] = "24h"


class TargetMetrics(msgspec.Struct, frozen=True, rename="camel"):
    """The calls of one target; `lastStatus` is how the last one ended, in the ledger's words."""

    requests: int
    successes: int
    failures: int
    success_rate: float
    avg_latency_ms: float
    last_status: str
    last_used_at: datetime


class ComboMetrics(msgspec.Struct, frozen=True, rename="camel"):
    """The requests of one combo. Rates are from 0 to 1, null where there is nothing to divide; those whose client left are
    in no rate. `totalFallbacks` had more than one call."""

    total_requests: int
    total_successes: int
    total_failures: int
    total_fallbacks: int
    success_rate: float | None
    fallback_rate: float | None
    avg_latency_ms: float | None
    strategy: str
    last_used_at: datetime | None
    by_model: dict[str, TargetMetrics]


class Metrics(msgspec.Struct, frozen=True):
    metrics: dict[str, ComboMetrics]


class OneMetrics(msgspec.Struct, frozen=True, rename="camel"):
    combo_name: str
    metrics: ComboMetrics


async def every(plane: Plane, request: Request) -> Answer:
    """Of all combos, or of the one that the query names."""
    query = request.query(MetricsQuery)
    combos = plane.control.bench.combos
    names = [combos.find(query.combo).name] if query.combo else combos.names()
    return Answer(Metrics(await _metrics(plane, names, query.range)))


async def one(plane: Plane, request: Request) -> Answer:
    """Of one combo."""
    name = plane.control.bench.combos.find(request.params["id"]).name
    found = await _metrics(plane, [name], request.query(RangeQuery).range)
    return Answer(OneMetrics(name, found[name]))


async def _metrics(plane: Plane, names: Sequence[str], back: Range) -> dict[str, ComboMetrics]:
    state = plane.control.state
    since = max(0.0, state.clock.now() - SECONDS[back])
    used = await asyncio.to_thread(state.ledger.routes, names, since)
    routes = plane.control.live.current.routes
    return {name: _of(used.get(name, RouteUse()), routes[name].strategy) for name in names}


def _of(use: RouteUse, strategy: str) -> ComboMetrics:
    judged = use.successes + use.failures
    return ComboMetrics(
        total_requests=use.requests,
        total_successes=use.successes,
        total_failures=use.failures,
        total_fallbacks=use.fallbacks,
        success_rate=round(use.successes / judged, 4) if judged else None,
        fallback_rate=round(use.fallbacks / use.requests, 4) if use.requests else None,
        avg_latency_ms=round(use.ms / use.requests, 1) if use.requests else None,
        strategy=strategy,
        last_used_at=times.told(use.last) if use.requests else None,
        by_model={name: _target(target) for name, target in sorted(use.targets.items())},
    )


def _target(use: TargetUse) -> TargetMetrics:
    return TargetMetrics(
        requests=use.requests,
        successes=use.successes,
        failures=use.requests - use.successes,
        success_rate=round(use.successes / use.requests, 4),
        avg_latency_ms=round(use.ms / use.requests, 1),
        last_status=use.outcome,
        last_used_at=times.told(use.last),
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/combos/metrics",
        access="admin.read",
        body_limit=0,
        serve=every,
        summary="How combos have fared, by the ledger: requests, fallbacks, times, and the calls of each target.",
        told=Told(query=MetricsQuery, answer=Metrics, refuses=(404, 503)),
    ),
    Endpoint(
        method="GET",
        path="/api/combos/{id}/metrics",
        access="admin.read",
        body_limit=0,
        serve=one,
        summary="The same of one combo.",
        told=Told(query=RangeQuery, answer=OneMetrics, refuses=(503,)),
    ),
)
