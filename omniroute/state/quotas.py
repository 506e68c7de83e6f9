"""What providers say is left of their own limits, learned from their answers.

A limit that is used up is known before the refusal that would tell it: what has nothing left is left alone until there
is some again, and where little is left others come first.  Names are those of health: a connection, or a model on one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

FEW = 0.05
"""The share of a limit from which on others come first."""
PLENTY = 0.25
"""The share of a limit above which nobody need look at the next answer at once."""
LOOK_AGAIN = 0.1
"""Seconds after which the answers of a connection with plenty left are read again: reading one costs 8 µs."""
NAMES = 1024
"""How many names are kept, for callers may ask for any model."""


class Allowance(msgspec.Struct, frozen=True):
    """What is left of one limit. `unit` is what is counted, `limit` how much of it there is when nothing is used, if
    that was said; `until` is when that is so again, and `usable` when there is something again, which is sooner where
    the provider gives it back bit by bit. Times are on the clock of `now`."""

    unit: str
    remaining: float
    limit: float | None
    until: float
    usable: float

    @property
    def plenty(self) -> bool:
        return self.limit is not None and self.remaining > self.limit * PLENTY

    @property
    def few(self) -> bool:
        return self.remaining <= 0 or (self.limit is not None and self.remaining <= self.limit * FEW)


class Shortage(msgspec.Struct, frozen=True):
    """A limit of which little or nothing is left. `empty_until` is 0 where it is only little."""

    unit: str
    empty_until: float
    few_until: float


class Quotas(Protocol):
    """What is left, by name."""

    def learn(self, name: str, allowances: Sequence[Allowance], now: float) -> None:
        """What an answer said; it replaces what was known of the same name."""
        ...

    def rest(self, connection: str, now: float) -> None:
        """The connection has plenty of everything: its next answers need not be read for a while."""
        ...

    def rests(self, connection: str, now: float) -> bool:
        """Whether its answers need not be read now, unless one says that nothing is left."""
        ...

    def short(self, name: str, now: float) -> Shortage | None:
        """What there is too little of now; None where nothing is known to be short."""
        ...

    def any_short(self) -> bool:
        """Whether to look at all."""
        ...

    def known(self, now: float) -> Mapping[str, Sequence[Allowance]]:
        """All that is known and still so, by name."""
        ...

    def forget(self, name: str) -> None:
        """What was said is not to be held against it any more."""
        ...


class MemoryQuotas:
    """Names with a shortage stand apart, so that a request looks at nothing else."""

    def __init__(self, names: int = NAMES) -> None:
        self._known: dict[str, Sequence[Allowance]] = {}
        self._short: dict[str, Shortage] = {}
        self._names = names
        self._resting: dict[str, float] = {}

    def learn(self, name: str, allowances: Sequence[Allowance], now: float) -> None:
        self._known.pop(name, None)
        self._short.pop(name, None)
        self._known[name] = allowances  # as the newest
        shortage = _worst(allowances, now)
        if shortage is not None:
            self._short[name] = shortage
        if len(self._known) > self._names:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._short.pop(oldest, None)

    def rest(self, connection: str, now: float) -> None:
        self._resting[connection] = now + LOOK_AGAIN

    def rests(self, connection: str, now: float) -> bool:
        return now < self._resting.get(connection, 0.0)

    def short(self, name: str, now: float) -> Shortage | None:
        shortage = self._short.get(name)
        if shortage is None:
            return None
        if now < shortage.few_until:
            return shortage
        del self._short[name]
        return None

    def any_short(self) -> bool:
        return bool(self._short)

    def known(self, now: float) -> Mapping[str, Sequence[Allowance]]:
        current = {name: [one for one in told if now < one.until] for name, told in self._known.items()}
        return {name: told for name, told in current.items() if told}

    def forget(self, name: str) -> None:
        self._known.pop(name, None)
        self._short.pop(name, None)


def _worst(allowances: Sequence[Allowance], now: float) -> Shortage | None:
    """The limit that keeps a request waiting longest, or the one of which there is little for longest."""
    short = [
        Shortage(one.unit, one.usable if one.remaining <= 0 else 0.0, one.until)
        for one in allowances
        if now < one.until and one.few
    ]
    return max(short, key=lambda one: (one.empty_until, one.few_until), default=None)
