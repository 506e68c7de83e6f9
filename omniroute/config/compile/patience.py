"""How long and how often: deadlines, retries, the profile of a connection, waiting for a place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from omniroute.config.spec.combos import RetrySpec
from omniroute.config.spec.providers import TimeoutsSpec
from omniroute.config.spec.resilience import ProfilesSpec, QueueSpec
from omniroute.config.spec.words import seconds
from omniroute.routing.tables import (
    NO_RETRY,
    Deadlines,
    Queue,
    Retry,
)
from omniroute.state.base import Profile

PROFILES: Mapping[str, Literal["api_key", "oauth"]] = {"oauth": "oauth"}
"""The profile of a connection by its auth scheme; every scheme that is not listed sends a key, or nothing."""


def deadlines(spec: TimeoutsSpec) -> Deadlines:
    return Deadlines(
        connect=seconds(spec.connect),
        first_byte=seconds(spec.first_byte),
        idle=seconds(spec.idle),
        total=seconds(spec.total),
    )


def retry(spec: RetrySpec) -> Retry:
    if spec.attempts == 0:
        return NO_RETRY
    return Retry(attempts=spec.attempts, delay=seconds(spec.delay), on=frozenset(spec.on))


def queue(spec: QueueSpec) -> Queue | None:
    """None where nobody waits and there is no bound, so that a request has nothing to look at."""
    wait = seconds(spec.max_wait)
    return Queue(max_wait=wait, concurrent=spec.concurrent or None) if wait or spec.concurrent else None


def profile(profiles: ProfilesSpec, scheme: str) -> Profile:
    """The patience with a connection that authenticates in this way."""
    spec = getattr(profiles, PROFILES.get(scheme, "api_key"))
    return Profile(
        failure_threshold=spec.failure_threshold,
        reset_timeout=seconds(spec.reset_timeout),
        cooldown=seconds(spec.cooldown),
        max_cooldown=seconds(spec.max_cooldown),
        honour_retry_after=spec.honour_retry_after,
    )
