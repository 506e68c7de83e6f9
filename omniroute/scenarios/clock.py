"""A loop whose time passes when nothing is left to do, so that a pause of a minute takes no time.

Waiting is the selector's: where the loop would wait until the next timer, this one says that it has.  Real work that
others do meanwhile (a thread that counts tokens) is waited for as it takes.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar

from omniroute.state.base import Clock

T = TypeVar("T")
BEGINNING = 1_000_000.0
"""Where the monotonic clock stands at first: not near 0, for what lies before a scenario has a time too."""
STUCK = 10.0
"""Real seconds after which nothing that is waited for will come."""


class _Selector(selectors.DefaultSelector):
    """Passes the time instead of waiting."""

    time = BEGINNING

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is not None:
            self.time += timeout
            return ready
        ready = super().select(STUCK)
        if not ready:
            raise RuntimeError("a scenario waits for something that never comes")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a clock of its own."""

    def __init__(self) -> None:
        self._passing = _Selector()
        super().__init__(self._passing)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._passing.time

    def clock(self, at: str) -> Clock:
        """Both kinds of time from now on, as if it were `at` (ISO 8601)."""
        began, unix = self.time(), datetime.fromisoformat(at).timestamp()
        return Clock(now=lambda: unix + self.time() - began, monotonic=self.time)


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """What the coroutine gives, run on a loop of its own."""
    loop = VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(loop))
