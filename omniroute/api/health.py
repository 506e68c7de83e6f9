"""How the gateway is: a word for load balancers, the whole picture for the operator."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Literal

import msgspec

from omniroute import __version__
from omniroute.api import access, configuration, times
from omniroute.api.control import Control
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.state.health import Health, health

Status = Literal["healthy", "degraded", "unhealthy"]


class Remaining(msgspec.Struct, frozen=True, rename="camel"):
    """What is left of one limit, of one model or (empty) of all."""

    model: str
    unit: str
    remaining: float
    limit: float | None
    reset_at: datetime


class Connection(msgspec.Struct, frozen=True, rename="camel"):
    """The health of one connection. `kind` and `reason` are of its last failure, and empty where it had none; `models`
    says of single models why they are left alone, and `remaining` what the provider says is left of its limits."""

    provider: str
    state: Literal["closed", "open", "half-open"] = "closed"
    available: bool = True
    failures: int = 0
    kind: str = ""
    reason: str = ""
    cooldown_until: datetime | None = None
    in_flight: int = 0
    models: dict[str, str] = {}
    remaining: list[Remaining] = []


class Part(msgspec.Struct, frozen=True):
    """Of what is written to the disk; `reason` says why it does not get there, or is not as it was left."""

    ok: bool
    reason: str


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """`reason` is that of the first part that is not well; the numbers are of the rows of the ledger."""

    ok: bool
    reason: str
    pending: int
    written: int
    lost: int
    ledger: Part
    audit: Part
    cache: Part
    backups: Part


class Breakers(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Connections by the state of their circuit breaker."""

    open: int
    half_open: int
    closed: int
    total: int


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Providers that exist, are configured, can be called now, and are watched because they have connections."""

    catalog_count: int
    configured_count: int
    active_count: int
    monitored_count: int


class Monitoring(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the gateway is. All but `status` is for administrators. `activeConnections` are calls of providers under way,
    `waiting` requests that wait for a place, by key."""

    status: Status
    timestamp: datetime | msgspec.UnsetType = msgspec.UNSET
    version: str | msgspec.UnsetType = msgspec.UNSET
    draining: bool | msgspec.UnsetType = msgspec.UNSET
    provider_summary: Summary | msgspec.UnsetType = msgspec.UNSET
    provider_health: dict[str, Connection] | msgspec.UnsetType = msgspec.UNSET
    circuit_breakers: Breakers | msgspec.UnsetType = msgspec.UNSET
    active_connections: int | msgspec.UnsetType = msgspec.UNSET
    waiting: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    sessions: int | msgspec.UnsetType = msgspec.UNSET
    storage: Storage | msgspec.UnsetType = msgspec.UNSET
    config: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


async def alive(_plane: Plane, _request: Request) -> Answer:
    """The loop turns."""
    return Answer({"status": "ok"})


async def ready(plane: Plane, _request: Request) -> Answer:
    """Whether to send requests here: a snapshot runs (without one there is no process) and nothing ends. A ledger
    that cannot write shows in the monitoring and takes nobody off the net."""
    if plane.control.draining:
        return Answer({"status": "draining"}, 503)
    return Answer({"status": "ready"})


async def monitoring(plane: Plane, request: Request) -> Answer:
    """One word for everybody, details for an administrator."""
    control = plane.control
    storage = await asyncio.to_thread(_storage, control)
    connections = _connections(control)
    status = _judge(control, storage, connections)
    if not access.is_admin(request.visitor):
        return Answer(Monitoring(status=status))
    return Answer(
        Monitoring(
            status=status,
            timestamp=times.told(control.state.clock.now()),
            version=__version__,
            draining=control.draining,
            provider_summary=_summary(control, connections),
            provider_health=connections,
            circuit_breakers=_breakers(connections),
            active_connections=sum(connection.in_flight for connection in connections.values()),
            waiting=dict(control.state.line.by_key()),
            sessions=len(control.state.roster.live(control.state.clock.now(), control.live.current.session_ttl)),
            storage=storage,
            config=configuration.status_of(control),
        )
    )


def _breakers(connections: dict[str, Connection]) -> Breakers:
    states = [connection.state for connection in connections.values()]
    return Breakers(
        open=states.count("open"), half_open=states.count("half-open"), closed=states.count("closed"), total=len(states)
    )


def _storage(control: Control) -> Storage:
    """How everything fares that is written to the disk."""
    state = control.state
    ledger, audit, cache = state.ledger.health(), state.audit.health(), state.cache.health()
    backups = control.backups.problem
    return Storage(
        ok=ledger.ok and not audit and not cache and not backups,
        reason=ledger.reason or audit or cache or backups,
        pending=ledger.pending,
        written=ledger.written,
        lost=ledger.lost,
        ledger=Part(ledger.ok, ledger.reason),
        audit=Part(not audit, audit),
        cache=Part(not cache, cache),
        backups=Part(not backups, backups),
    )


def _connections(control: Control) -> dict[str, Connection]:
    """Every configured connection by id, also those of which nothing bad is known."""
    providers = {
        connection.id: upstream.name
        for upstream in control.live.current.upstreams.values()
        for connection in upstream.connections
    }
    clock = control.state.clock
    now = clock.monotonic()
    offset = clock.now() - now
    known = health(control.state, providers, now)
    return {name: _connection(provider, known[name], offset) for name, provider in providers.items()}


def _connection(provider: str, known: Health, offset: float) -> Connection:
    """The health as it is told; `offset` makes UNIX time of its times."""
    view = known.view
    remaining = [
        Remaining(model, one.unit, one.remaining, one.limit, times.told(one.until + offset))
        for model, told in known.allowances.items()
        for one in told
    ]
    models = {model: one.reason for model, one in known.models.items()}
    if view is None:
        return Connection(provider, in_flight=known.in_flight, models=models, remaining=remaining)
    until = times.told(view.until + offset) if view.until else None
    return Connection(
        provider,
        view.state,
        not view.blocked,
        view.failures,
        view.kind,
        view.reason,
        until,
        known.in_flight,
        models,
        remaining,
    )


def _judge(control: Control, storage: Storage, connections: dict[str, Connection]) -> Status:
    available = [connection.available for connection in connections.values()]
    if available and not any(available):
        return "unhealthy"
    fine = storage.ok and all(available) and not control.draining and not control.live.problems
    return "healthy" if fine else "degraded"


def _summary(control: Control, connections: dict[str, Connection]) -> Summary:
    return Summary(
        catalog_count=control.catalogue_size,
        configured_count=len(control.live.current.upstreams),
        active_count=len({connection.provider for connection in connections.values() if connection.available}),
        monitored_count=len({connection.provider for connection in connections.values()}),
    )


ENDPOINTS = (
    Endpoint(
        method="GET", path="/health", access="public", body_limit=0, serve=alive, summary="Whether the process lives."
    ),
    Endpoint(
        method="GET",
        path="/livez",
        access="public",
        body_limit=0,
        serve=alive,
        summary="The same, by Kubernetes' name.",
    ),
    Endpoint(
        method="GET",
        path="/readyz",
        access="public",
        body_limit=0,
        serve=ready,
        summary="200 if requests may be sent here, 503 while it drains.",
    ),
    Endpoint(
        method="GET",
        path="/api/monitoring/health",
        access="public",
        body_limit=0,
        serve=monitoring,
        summary="`healthy`, `degraded` or `unhealthy`; to administrators also why: each connection, the disk, the configuration.",
        told=Told(answer=Monitoring),
    ),
)
