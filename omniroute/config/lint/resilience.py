"""Whether the patience with providers can be meant."""

from __future__ import annotations

from collections.abc import Iterator

from omniroute.config.lint.subject import Rule, Subject
from omniroute.config.spec.words import seconds
from omniroute.document import quoted
from omniroute.errors import Problem


def pause_above_the_longest(subject: Subject) -> Iterator[Problem]:
    """OR312"""
    profiles = subject.spec.resilience.profiles
    for name, profile in (("api_key", profiles.api_key), ("oauth", profiles.oauth)):
        if seconds(profile.cooldown) > seconds(profile.max_cooldown):
            place = ("resilience", "profiles", name)
            message = f"`cooldown` {profile.cooldown} is above `max_cooldown` {profile.max_cooldown}"
            yield subject.error("OR312", place, message, key=True)


def wait_beyond_the_deadline(subject: Subject) -> Iterator[Problem]:
    """OR420"""
    wait = subject.spec.resilience.queue.max_wait
    for name, provider in subject.spec.providers.items():
        total = provider.timeouts.total
        if seconds(wait) >= seconds(total):
            message = f"requests for {quoted(name)} end after {total} (`timeouts.total`), before a wait of {wait} does"
            yield subject.warning("OR420", ("resilience", "queue", "max_wait"), message)
            return


RULES: tuple[Rule, ...] = (pause_above_the_longest, wait_beyond_the_deadline)
