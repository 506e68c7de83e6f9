"""Where conversations are at home: which target and connection served a session last, for combos that are sticky.

Sessions are named by strangers, so there is a bound on them, and each is forgotten some time after its last request.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

import msgspec

SESSION_TTL = 1800.0
"""Seconds after its last request for which a session keeps its place: longer than providers keep prompts cached."""
MOST_SESSIONS = 20_000


class Home(msgspec.Struct, frozen=True, gc=False):
    """`step` is a target or a nested combo."""

    step: str
    connection: str


class Sessions(Protocol):
    """Homes by combo and session."""

    def home(self, combo: str, session: str, now: float) -> Home | None: ...

    def settle(self, combo: str, session: str, home: Home, now: float) -> None:
        """The session was served here, and the next request of it is to come back."""
        ...


class MemorySessions:
    """A `Sessions` in this process: those that were longest without a request go first."""

    def __init__(self, capacity: int = MOST_SESSIONS) -> None:
        self._capacity = capacity
        self._homes: OrderedDict[tuple[str, str], tuple[Home, float]] = OrderedDict()  # the oldest first

    def home(self, combo: str, session: str, now: float) -> Home | None:
        kept = self._homes.get((combo, session))
        return kept[0] if kept is not None and now < kept[1] else None

    def settle(self, combo: str, session: str, home: Home, now: float) -> None:
        key = combo, session
        self._homes[key] = home, now + SESSION_TTL
        self._homes.move_to_end(key)
        while self._homes:
            oldest, (_, ends) = next(iter(self._homes.items()))
            if len(self._homes) <= self._capacity and now < ends:
                break
            del self._homes[oldest]
