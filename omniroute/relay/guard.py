"""Ends the work for a request that has lost its reason: the client left, or took too long to say what it wants.

uvicorn does not cancel an application when its client goes away; it only reports so to whoever awaits `receive`, and a
task for that would cost each request more than all routing together.  The connection itself knows at once, so the
guard is hung up there (`listener.py` looks for it in the scope) and cancels the task that serves the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from omniroute.relay.asgi import Scope

Reason = Literal["client_gone", "body_timeout"]
KEY = "omniroute.guard"
"""Where the scope holds the slot for the guard: a list that the connection made, empty until a guard hangs in it."""
BODY_GRACE = 10.0
SLOWEST_BODY = 1024.0
"""Seconds that a body may take in any case, and the bytes per second that it must come with beyond them."""


class Guard:
    """Belongs to the task that serves one request, and cancels it with a reason. `spared` is asked before whether the work
    goes on without its client, where others may wait for the same answer."""

    __slots__ = ("_slot", "_task", "body_since", "body_size", "reason", "spared")

    def __init__(self, scope: Scope, loop: asyncio.AbstractEventLoop) -> None:
        self._task: asyncio.Task[Any] | None = asyncio.current_task(loop)
        self.reason: Reason | None = None
        self.body_since = loop.time()
        self.body_size = 0
        self.spared: Callable[[], bool] | None = None
        self._slot: list[Guard] = scope.get(KEY, [])
        self._slot.append(self)

    def trip(self, reason: Reason) -> None:
        """Cancels the task, once."""
        if self.reason is None and self._task is not None and not (self.spared is not None and self.spared()):
            self.reason = reason
            self._task.cancel()

    def body_is_here(self) -> None:
        """From now on the one thing to wait for is that the client leaves."""
        self.body_since = 0.0

    def sweep(self, now: float) -> None:
        """Asked once a second: whether the body comes too slowly."""
        if self.body_since and now - self.body_since > BODY_GRACE + self.body_size / SLOWEST_BODY:
            self.trip("body_timeout")

    def caught(self) -> bool:
        """Whether a cancellation was ours; if so, the task may go on to clean up."""
        if self.reason is None or self._task is None:
            return False
        self._task.uncancel()
        return True

    def release(self) -> None:
        """The request is done, or the client has all of its answer, and what it does now is no reason to stop. Only the
        first call counts: at the second the connection may be at the next request already."""
        if self._task is not None:
            self._slot.clear()
            self._task = None
