"""An event loop whose time passes only where nothing else is to do, and then at once.

Everything that waits by the loop waits on it: `asyncio.sleep`, timeouts, `call_later`. Where nothing is left that could
ever happen, the test fails instead of hanging: that is what a lost wake-up looks like.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stuck(AssertionError):
    """Somebody waits, and nothing is left that could wake them."""


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type] - whichever the system has
    """Never waits: it moves the loop's time to where the next timer is due."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            ready = super().select(0)
            if not ready:
                raise Stuck
            return ready
        if timeout > 0:
            self.loop.idle()
            self.loop.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """`idle` is called whenever all is done that can be done at a moment."""

    def __init__(self, idle: Callable[[], None]) -> None:
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self.now = 1000.0
        self.idle = idle

    def time(self) -> float:
        return self.now


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]], idle: Callable[[], None] = lambda: None) -> T:
    """Runs the coroutine on a loop of its own to its end."""
    loop = VirtualLoop(idle)
    try:
        return loop.run_until_complete(main(loop))
    finally:
        loop.close()
