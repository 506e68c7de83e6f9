"""Whether a target may be asked on a connection at this moment, and if not, why and until when.

A pure look at what is known: the plan, the explanation and the queue ask this same function.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from omniroute.errors import UpstreamKind
from omniroute.routing.tables import Connection, Queue, Target
from omniroute.state.base import State, on

LATER = 1.0
"""Seconds after which to look again for a place, which nobody knows when it gets free."""


GATEWAY = "gateway"
"""The name under which the gateway's own upstream requests are counted; connections have a dot in theirs."""


class Obstacle(msgspec.Struct, frozen=True):
    """Why not now. `until` is when it ends, on the clock of `now`; `kind` is the failure that it comes from, None where
    the connection is only busy."""

    reason: str
    until: float
    kind: UpstreamKind | None = None


def obstacle(target: Target, connection: Connection, state: State, now: float) -> Obstacle | None:
    """What keeps the target from being asked on the connection; None if nothing does."""
    if not state.breakers.is_calm():
        health = state.breakers.view(connection.id, now)
        if health is not None and health.blocked:
            return Obstacle(health.reason, health.until, health.kind)
        health = state.breakers.view(on(connection.id, target.model), now)
        if health is not None and health.blocked:
            return Obstacle(f"`{target.model}` {health.reason}", health.until, health.kind)
    if connection.heed_limits and state.quotas.any_short():
        for name in (connection.id, on(connection.id, target.model)):
            shortage = state.quotas.short(name, now)
            if shortage is not None and now < shortage.empty_until:
                return Obstacle(f"no {shortage.unit} left, says the provider", shortage.empty_until, "rate_limited")
    limit = connection.max_concurrent
    if limit is not None and state.counters.in_flight(connection.id) >= limit:
        return Obstacle(f"busy: {limit} requests under way", now + LATER)
    return None


def nothing_known(state: State) -> bool:
    """Whether `obstacle` has nothing against anybody but, where its connection may only have so many, what is under
    way."""
    return state.breakers.is_calm() and not state.quotas.any_short()


def overfull(queue: Queue | None, state: State, now: float) -> Obstacle | None:
    """What keeps the gateway from asking anybody; None if nothing does."""
    if queue is None or queue.concurrent is None or state.counters.in_flight(GATEWAY) < queue.concurrent:
        return None
    return Obstacle(f"the gateway is busy: {queue.concurrent} requests under way", now + LATER)


def probed(target: Target, connection: Connection, state: State, now: float) -> list[str]:
    """The names whose next call is the one that shows whether they work again."""
    names = (connection.id, on(connection.id, target.model))
    views = ((name, state.breakers.view(name, now)) for name in names)
    return [name for name, view in views if view is not None and view.state == "half-open" and not view.blocked]


def plentiful_first(
    connections: Sequence[Connection], target: Target, state: State, now: float
) -> Sequence[Connection]:
    """The connections in their order, of those of one priority the ones last that have little left for the target."""
    if len(connections) == 1 or not state.quotas.any_short():
        return connections
    return sorted(connections, key=lambda one: (one.priority, few_left(target, one, state, now) != ""))


def few_left(target: Target, connection: Connection, state: State, now: float) -> str:
    """What the provider says there is little left of for the target on the connection; empty where there is enough."""
    if not connection.heed_limits:
        return ""
    for name in (connection.id, on(connection.id, target.model)):
        shortage = state.quotas.short(name, now)
        if shortage is not None:
            return shortage.unit
    return ""
