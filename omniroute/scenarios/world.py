"""The circumstances of a scenario: state that begins empty, and what the scenario says of it.

Nothing is put into the state that did not happen as it happens while serving: a circuit is open because so many calls
were noted as failed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from omniroute.config.spec.scenarios import GivenSpec, Health
from omniroute.routing.caller import customer
from omniroute.routing.limiting import targets
from omniroute.routing.tables import Connection, Gateway, Upstream
from omniroute.scenarios.clock import VirtualLoop
from omniroute.state.base import State
from omniroute.state.limits import Charge, Lease, Limit
from omniroute.state.memory import memory_state


def state(gateway: Gateway, given: GivenSpec, loop: VirtualLoop) -> State:
    """State in which the request comes. Chance is the same each time."""
    made = msgspec.structs.replace(memory_state(), clock=loop.clock(given.at), random=random.Random(0))
    for who, health in given.health.items():
        for connection in connections(gateway, who):
            _ail(made, connection, health)
    for who, number in given.busy.items():
        for connection in connections(gateway, who):
            for _ in range(number):
                made.counters.acquire(connection.id)
    for name, spent in given.budgets.items():
        made.budgets.restore(gateway.budgets[name], made.clock.now(), Decimal(repr(spent)))
    for name in given.exhausted:
        for limit in _limits(gateway, name):
            for subject in _subjects(gateway, limit, given):
                _exhaust(made, limit, subject)
    return made


def _limits(gateway: Gateway, name: str) -> set[Limit]:
    """The limit of this name, wherever it holds."""
    keys, policies = gateway.principals.values(), gateway.policies.all
    sets = [gateway.limits, *(key.limits for key in keys), *(policy.limits for policy in policies)]
    return {limit for each in sets for limit in (*each.callers, *each.candidates) if limit.name == name}


def _subjects(gateway: Gateway, limit: Limit, given: GivenSpec) -> Iterable[str]:
    """For whom the limit counts: this caller, or everything that might serve."""
    upstreams = gateway.upstreams.values()
    match limit.per:
        case "key":
            return (given.key or "",)
        case "ip":
            return (customer(given.ip),)
        case "global":
            return ("",)
        case "provider":
            return (upstream.name for upstream in upstreams)
        case "connection":
            return (connection.id for upstream in upstreams for connection in upstream.connections)
        case "model":
            return {target.id for route in gateway.routes.values() for target in targets(route)}


def _exhaust(state: State, limit: Limit, subject: str) -> None:
    """Lets requests be under way or have been, until one more is refused."""
    now = state.clock.monotonic()
    while isinstance(lease := state.limits.take([Charge(limit, subject, 1)], now), Lease):
        if limit.concurrent is None:
            state.limits.settle(lease, limit.tokens.amount if limit.tokens else 0, now)


def connections(gateway: Gateway, who: str) -> tuple[Connection, ...]:
    """The connections that a name means: one, or all of a provider; none where it means neither."""
    upstream: Upstream | None = gateway.upstreams.get(who)
    if upstream is not None:
        return upstream.connections
    return tuple(one for upstream in gateway.upstreams.values() for one in upstream.connections if one.id == who)


def _ail(state: State, connection: Connection, health: Health) -> None:
    """Lets calls of the connection have failed: one for a pause, as many as it takes for an open circuit, just now or
    so long ago that the next call is the probe."""
    profile = connection.profile
    now = state.clock.monotonic()
    if health == "cooling":
        state.breakers.note(connection.id, "rate_limited", now, None, profile)
        return
    when = now - profile.reset_timeout if health == "half-open" else now
    for _ in range(profile.failure_threshold):
        state.breakers.note(connection.id, "server_error", when, None, profile)
