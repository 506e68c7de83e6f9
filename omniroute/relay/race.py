"""Hedging: two candidates are asked the same, and the one that answers first answers the client.

Each runs with a `Call` of its own, a copy, so that neither sees what the other notes; what the winner noted becomes
part of the request's own `Call`.  The race is decided by who is the first with something to send to the client, which
is the commit point of a stream and the whole of any other answer: from then on the other is cancelled, which closes its
connection, and what its provider will charge for is noted with its try.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from omniroute.errors import UpstreamError
from omniroute.relay.call import Call
from omniroute.relay.headers import billed
from omniroute.routing.plan import Candidate

Ask = Callable[[Call, Candidate], Coroutine[Any, Any, UpstreamError | None]]
"""Asks a candidate as often as its route says and answers the client of the call; gives back the failure."""
Spare = Callable[[], Awaitable[Candidate | None]]
"""The candidate to ask too, taken off the list; None where there is none, or no leave to ask it."""
Failed = tuple[Candidate, UpstreamError]
NOTED = (
    "target",
    "connection",
    "losses",
    "usage",
    "seconds",
    "finish",
    "fault",
    "status",
    "cost",
    "committed",
    "first_byte",
    "leave",
    "record",
)
"""What is told of a request from the try that answered it."""


class _Lane:
    """One of the two, on its way."""

    def __init__(self, race: Race, candidate: Candidate) -> None:
        self.candidate = candidate
        self.call = race.call.copied()
        race.call.place = None  # a place that was waited for is one lane's alone
        self.call.tries = 0
        self.call.upstream_time = 0.0
        self.call.last = False  # it must not commit before it has content
        self.call.claim = partial(race.claim, self)
        self.task = asyncio.get_running_loop().create_task(race.ask(self.call, candidate))


class Race:
    """A race of one candidate, or of two when the first takes long."""

    def __init__(self, call: Call, ask: Ask) -> None:
        self.call = call
        self.ask = ask
        self._lanes: list[_Lane] = []
        self._winner: _Lane | None = None

    async def run(self, first: Candidate, after: float, spare: Spare) -> list[Failed]:
        """What failed, in the order of failing; empty when the client has been answered."""
        try:
            lane = self._start(first)
            await asyncio.wait([lane.task], timeout=after)
            second = None if lane.task.done() or self._winner is not None else await spare()
            if second is not None and self._winner is None:  # to get it ready may have taken a while
                self._start(second)
            return await self._failures()
        finally:
            await self._end()

    def claim(self, lane: _Lane) -> None:
        """The first to say something to the client wins. Raises CancelledError in one that comes later."""
        if self._winner is not None:
            raise asyncio.CancelledError
        self._winner = lane
        lane.call.tries = self.call.tries + sum(each.call.tries for each in self._lanes)
        for other in self._lanes:
            if other is not lane and not other.task.done():
                other.call.lost = True
                other.task.cancel()

    def _start(self, candidate: Candidate) -> _Lane:
        lane = _Lane(self, candidate)
        self._lanes.append(lane)
        return lane

    async def _failures(self) -> list[Failed]:
        failed: list[Failed] = []
        running = {lane.task: lane for lane in self._lanes}
        while running:
            done = [task for task in running if task.done()]
            if not done:
                done = [*(await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED))[0]]
            for lane in [running.pop(task) for task in done]:
                if lane is self._winner:
                    lane.task.result()
                    return []
                if not lane.call.lost:
                    failure = lane.task.result()
                    assert failure is not None
                    failed.append((lane.candidate, failure))
        return failed

    async def _end(self) -> None:
        """Leaves no task behind, and tells the request's own call what became of it."""
        running = [lane.task for lane in self._lanes if not lane.task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        for lane in self._lanes:
            if lane.call.lost and not lane.task.cancelled():
                lane.task.result()  # an error of ours is not to go unheard because another one was faster
        self._tell()

    def _tell(self) -> None:
        call, winner = self.call, self._winner
        call.place = next((lane.call.place for lane in self._lanes if lane.call.place is not None), None)
        last = winner or next((lane for lane in reversed(self._lanes) if lane.call.target is not None), None)
        if last is None:
            return
        call.tries = last.call.tries if winner else call.tries + sum(lane.call.tries for lane in self._lanes)
        call.upstream_time += last.call.upstream_time
        for name in NOTED:
            setattr(call, name, getattr(last.call, name))
        call.cost = billed(call.attempts)
