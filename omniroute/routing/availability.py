"""Whether a target may be asked on a connection at this moment, and if not, why and until when.

A pure look at what is known: the plan, the explanation and the queue ask this same function.
"""

from __future__ import annotations

import msgspec

from omniroute.errors import UpstreamKind
from omniroute.routing.tables import Connection, Target
from omniroute.state.base import State, on

LATER = 1.0
"""Seconds after which to look again for a place, which nobody knows when it gets free."""


class Obstacle(msgspec.Struct, frozen=True):
    """Why not now. `until` is when it ends, on the clock of `now`; `kind` is the failure that it comes from, None where
    the connection is only busy."""

    reason: str
    until: float
    kind: UpstreamKind | None = None


def obstacle(target: Target, connection: Connection, state: State, now: float) -> Obstacle | None:
    """What keeps the target from being asked on the connection; None if nothing does."""
    health = state.breakers.view(connection.id, now)
    if health is not None and health.blocked:
        return Obstacle(health.reason, health.until, health.kind)
    health = state.breakers.view(on(connection.id, target.model), now)
    if health is not None and health.blocked:
        return Obstacle(f"`{target.model}` {health.reason}", health.until, health.kind)
    limit = connection.max_concurrent
    if limit is not None and state.counters.in_flight(connection.id) >= limit:
        return Obstacle(f"busy: {limit} requests under way", now + LATER)
    return None
