"""Ends the work for a request that has lost its reason: the client left, or took too long to say what it wants.

uvicorn does not cancel an application when its client goes away; it only reports so to whoever awaits `receive`.  A
task for that costs more than all routing together and most answers need none of it, so the watch begins a moment after
the request: soon enough to stop the upstream within a second, late enough to cost an ordinary answer nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from omniroute.relay.asgi import Receive

Reason = Literal["client_gone", "body_timeout"]
BODY_TIMEOUT = 30.0
"""Seconds for the whole body to arrive."""
WATCH_AFTER = 0.25


class Guard:
    """Belongs to the task that serves one request, and cancels it with a reason."""

    __slots__ = ("_loop", "_task", "_timer", "_watch", "reason")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = asyncio.current_task(self._loop)
        self._timer = self._loop.call_later(BODY_TIMEOUT, self.trip, "body_timeout")
        self._watch: asyncio.Task[None] | None = None
        self.reason: Reason | None = None

    def trip(self, reason: Reason) -> None:
        """Cancels the task, once."""
        if self.reason is None and self._task is not None:
            self.reason = reason
            self._task.cancel()

    def body_is_here(self, receive: Receive) -> None:
        """From now on the one thing to wait for is that the client leaves."""
        self._timer.cancel()
        self._timer = self._loop.call_later(WATCH_AFTER, self._begin, receive)

    def caught(self) -> bool:
        """Whether a cancellation was ours; if so, the task may go on to clean up."""
        if self.reason is None or self._task is None:
            return False
        self._task.uncancel()
        return True

    def release(self) -> None:
        """The request is done."""
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        self._task = None

    def _begin(self, receive: Receive) -> None:
        self._watch = self._loop.create_task(self._until_gone(receive))

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.trip("client_gone")
