"""How the gateway is: a word for load balancers, the whole picture for the operator."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from omniroute import __version__
from omniroute.api import access, configuration
from omniroute.api.control import Control
from omniroute.api.endpoint import Answer, Endpoint, Request
from omniroute.api.plane import Plane
from omniroute.state.base import LedgerHealth
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
    ledger = await _ledger(control)
    connections = _connections(control)
    status = _judge(control, ledger, connections)
    if not access.is_admin(request.visitor):
        return Answer({"status": status})
    return Answer(
        {
            "status": status,
            "timestamp": datetime.fromtimestamp(control.state.clock.now(), UTC),
            "version": __version__,
            "draining": control.draining,
            "providerSummary": _summary(control, connections),
            "providerHealth": connections,
            "waiting": dict(control.state.line.by_key()),
            "storage": {**msgspec.structs.asdict(ledger), "problem": control.backups.problem},
            "config": configuration.status_of(control),
        }
    )


async def _ledger(control: Control) -> LedgerHealth:
    return await asyncio.to_thread(control.state.ledger.health)


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
        Remaining(model, one.unit, one.remaining, one.limit, _moment(one.until + offset))
        for model, told in known.allowances.items()
        for one in told
    ]
    models = {model: one.reason for model, one in known.models.items()}
    if view is None:
        return Connection(provider, in_flight=known.in_flight, models=models, remaining=remaining)
    until = _moment(view.until + offset) if view.until else None
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


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _judge(control: Control, ledger: LedgerHealth, connections: dict[str, Connection]) -> Status:
    available = [connection.available for connection in connections.values()]
    if available and not any(available):
        return "unhealthy"
    fine = (
        ledger.ok
        and not control.backups.problem
        and all(available)
        and not control.draining
        and not control.live.problems
    )
    return "healthy" if fine else "degraded"


def _summary(control: Control, connections: dict[str, Connection]) -> dict[str, Any]:
    """Providers that exist, are configured, can be called now, and are watched because they have connections."""
    return {
        "catalogCount": control.catalogue_size,
        "configuredCount": len(control.live.current.upstreams),
        "activeCount": len({connection.provider for connection in connections.values() if connection.available}),
        "monitoredCount": len({connection.provider for connection in connections.values()}),
    }


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
        summary="`healthy`, `degraded` or `unhealthy`; to administrators also why: each connection, the ledger, the configuration.",
    ),
)
