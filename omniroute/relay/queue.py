"""Waiting for a place: where everything is busy or cools down for a moment, a request may wait for its turn.

A place is what an upstream request takes while it is under way: one of its connection's (`max_concurrent`), one of the
gateway's (`resilience.queue.concurrent`), and where a connection is to be tried after a failure, that one try.  Whoever
waits gets its place from the one who leaves it, so that nobody who comes later takes it first.
"""

from __future__ import annotations

from math import inf

import msgspec

from omniroute.relay import decision
from omniroute.relay.call import Call
from omniroute.relay.decision import accepted, patience, planned, refusal, usable
from omniroute.routing.availability import GATEWAY, LATER, probed
from omniroute.routing.plan import Candidate, current
from omniroute.routing.strategies import Turn
from omniroute.routing.tables import Connection, Queue
from omniroute.state.base import State
from omniroute.state.line import Ticket

TRY = "try/"
"""Before a name of health: the one try of what is to be probed, promised to somebody who has waited for it."""


def take(call: Call, connection: Connection) -> bool:
    """Takes a place for one upstream request, the one that is kept if there is such; `leave` gives it back."""
    if call.place is not None:
        call.place.free()
        call.place = None
    counters, queue = call.state.counters, call.gateway.queue
    if not counters.acquire(connection.id, connection.max_concurrent):
        return False
    if queue is None or counters.acquire(GATEWAY, queue.concurrent):
        return True
    counters.release(connection.id)
    return False


def leave(call: Call, connection: Connection) -> None:
    """Gives a place back, to whoever waits for it."""
    state = call.state
    state.counters.release(connection.id)
    state.used[connection.id] = state.clock.now()
    if call.gateway.queue is not None:
        state.counters.release(GATEWAY)
    if state.line.waiting:
        state.line.offer()


async def candidates(call: Call) -> list[Candidate]:
    """The candidates that may be tried, in order, and the turns of rotations with them."""
    queue, turn = call.gateway.queue, call.state.counters.next
    return decision.choose(call, turn) if queue is None else await choose(call, queue, turn)


async def choose(call: Call, queue: Queue, turn: Turn) -> list[Candidate]:
    """What `decision.choose` gives, after a wait where there is no place yet. Raises what it raises, at once where
    waiting would be in vain. The place is kept (`Call.place`) until `take`."""
    state = call.state
    candidates = planned(call, turn)
    now = state.clock.monotonic()
    ends = min(now + queue.max_wait, call.started + patience(candidates))
    wish = Wish(state, queue, candidates)
    while True:
        candidates = wish.now()
        if usable(candidates):
            wish.keep(call, candidates)
            return accepted(call, candidates)
        now = state.clock.monotonic()
        if now + wish.soonest(candidates, now) >= ends or state.line.full:
            raise refusal(call, candidates, now)
        await wish.wait(call, ends - now)


class Wish:
    """The candidates that a request waits for, and the place that it was given for one of them, by the names of what
    counts it."""

    def __init__(self, state: State, queue: Queue, candidates: list[Candidate]) -> None:
        self._state = state
        self._queue = queue
        self._candidates = candidates
        self._group = frozenset((one.target.id, one.connection.id) for one in candidates if one.may_wait)
        self._held: list[str] = []
        self._waited = False

    def now(self) -> list[Candidate]:
        """The candidates as they are at this moment."""
        now = self._state.clock.monotonic()
        return [self._unpromised(current(one, self._state, self._queue, now), now) for one in self._candidates]

    def _unpromised(self, candidate: Candidate, now: float) -> Candidate:
        """The candidate, or that it may not be tried where the one try that there is has been promised to another."""
        if candidate.skip:
            return candidate
        for name in probed(candidate.target, candidate.connection, self._state, now):
            if self._state.counters.in_flight(TRY + name):
                return msgspec.structs.replace(candidate, skip="a probe is under way", until=now + LATER)
        return candidate

    def soonest(self, candidates: list[Candidate], now: float) -> float:
        """The seconds until one of them may be free; 0 for one that is busy, which may be any moment."""
        waiting = [one for one in candidates if one.may_wait]
        return min((max(0.0, one.until - now) if one.kind else 0.0 for one in waiting), default=inf)

    async def wait(self, call: Call, seconds: float) -> None:
        """Waits for a place, for so long at the most; who is woken for nothing is the first the next time."""
        line = self._state.line
        key = call.principal.name if call.principal is not None else ""
        ticket = Ticket(key, self._group, self._take)
        again = self._take()
        try:
            if again:
                await line.wait(ticket, again, seconds, first=self._waited)
        finally:
            self._waited = True
            self.free()  # for a moment: whoever was cancelled leaves it so, the others keep it now

    def keep(self, call: Call, candidates: list[Candidate]) -> None:
        """Holds the place at the first of them until the request takes it."""
        if self._hold(usable(candidates)[0], self._state.clock.monotonic()):
            call.place = self

    def free(self) -> None:
        """Lets go of the place, and of whoever may use it, as soon as what runs now has taken its own."""
        if self._held:
            for name in self._held:
                self._state.counters.release(name)
            self._held = []
            self._state.line.offer_soon()

    def _take(self) -> float:
        """Takes a place for the first candidate that may be asked now. Else the seconds until one may be."""
        state = self._state
        now = state.clock.monotonic()
        again = inf
        for one in self.now():
            if not one.may_wait:
                continue
            if not one.skip and self._hold(one, now):
                return 0.0
            if one.kind is not None:
                again = min(again, max(one.until - now, 0.001))
        return again

    def _hold(self, candidate: Candidate, now: float) -> bool:
        """Counts the place as taken, all of it or nothing."""
        connection = candidate.connection
        places: list[tuple[str, int | None]] = [
            (connection.id, connection.max_concurrent),
            (GATEWAY, self._queue.concurrent),
        ]
        places += [(TRY + name, 1) for name in probed(candidate.target, connection, self._state, now)]
        for name, limit in places:
            if not self._state.counters.acquire(name, limit):
                while self._held:
                    self._state.counters.release(self._held.pop())
                return False
            self._held.append(name)
        return True
