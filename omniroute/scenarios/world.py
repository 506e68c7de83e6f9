"""The circumstances of a scenario: state that begins empty, and what the scenario says of it.

Nothing is put into the state that did not happen as it happens while serving: a circuit is open because so many calls
were noted as failed.
"""

from __future__ import annotations

import random

import msgspec

from omniroute.config.spec.scenarios import GivenSpec, Health
from omniroute.routing.tables import Connection, Gateway, Upstream
from omniroute.scenarios.clock import VirtualLoop
from omniroute.state.base import State
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
    return made


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
