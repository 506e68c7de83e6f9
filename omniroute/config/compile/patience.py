"""How long and how often: deadlines, retries, the profile of a connection."""

from __future__ import annotations

from omniroute.config.spec.combos import RetrySpec
from omniroute.config.spec.providers import TimeoutsSpec
from omniroute.config.spec.resilience import ProfileSpec
from omniroute.config.spec.words import seconds
from omniroute.routing.tables import (
    NO_RETRY,
    Deadlines,
    Retry,
)
from omniroute.state.base import Profile


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


def profile(spec: ProfileSpec) -> Profile:
    return Profile(
        failure_threshold=spec.failure_threshold,
        reset_timeout=seconds(spec.reset_timeout),
        cooldown=seconds(spec.cooldown),
        max_cooldown=seconds(spec.max_cooldown),
        honour_retry_after=spec.honour_retry_after,
    )
