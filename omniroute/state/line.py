"""Who waits for a place, in the order in which they get one.

First come, first served among the requests of one key, and the keys take turns, so that one that sends a thousand
requests does not hold up another's only one.  The line knows nothing of places: each ticket says itself whether there
is one for it, and takes it in the same moment, so that none is ever free while a ticket waits that could use it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping
from itertools import zip_longest
from math import inf

LENGTH = 1000
"""How many may wait; who comes then is told so at once."""

Take = Callable[[], float]
"""Takes a place and gives 0, or the seconds until looking again makes sense, `inf` where only a free place helps."""


class Ticket:
    """One request that waits. `group` is equal for tickets that take the same places, so that one answer does for all
    of them."""

    __slots__ = ("future", "group", "key", "take")

    def __init__(self, key: str, group: Hashable, take: Take) -> None:
        self.key = key
        self.group = group
        self.take = take
        self.future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def settle(self, *, placed: bool) -> None:
        if not self.future.done():
            self.future.set_result(placed)


class Line:
    """For the event loop alone; outlives reloads, as what it holds does."""

    def __init__(self, length: int = LENGTH) -> None:
        self._length = length
        self._keys: dict[str, deque[Ticket]] = {}  # the key whose turn it is first
        self._timer: asyncio.TimerHandle | None = None
        self.waiting = 0

    @property
    def full(self) -> bool:
        return self.waiting >= self._length

    def by_key(self) -> Mapping[str, int]:
        """How many wait, by key."""
        return {key: len(tickets) for key, tickets in self._keys.items()}

    def by_group(self) -> Mapping[Hashable, int]:
        """How many wait, by the places that they may take."""
        return Counter(ticket.group for tickets in self._keys.values() for ticket in tickets)

    async def wait(self, ticket: Ticket, again: float, seconds: float, *, first: bool = False) -> bool:
        """Waits for a place until there is one (True) or the seconds are over. `again` is when to look at the latest.
        Whoever is cancelled here with a place in its hand has to give it back: `ticket.future` tells."""
        self._add(ticket, first=first)
        self._look_in(again)
        ends = asyncio.get_running_loop().call_later(seconds, lambda: ticket.settle(placed=False))
        try:
            return await ticket.future
        finally:
            ends.cancel()
            self._remove(ticket)

    def offer(self) -> None:
        """Looks for whom there is a place now. To be called when one came free, or might have."""
        again = inf
        waits: dict[Hashable, float] = {}
        placed = []
        for tier in zip_longest(*self._keys.values()):
            for ticket in tier:
                if ticket is None or ticket.future.done():
                    continue
                wait = waits.get(ticket.group, 0.0) or ticket.take()
                if wait:
                    waits[ticket.group] = wait
                    again = min(again, wait)
                else:
                    ticket.settle(placed=True)
                    placed.append(ticket)
        for ticket in placed:
            self._remove(ticket)
            tickets = self._keys.pop(ticket.key, None)
            if tickets is not None:
                self._keys[ticket.key] = tickets  # its turn comes after that of the others
        self._look_in(again)

    def offer_soon(self) -> None:
        """The same, as soon as what runs now has got to where it waits."""
        if self.waiting:
            asyncio.get_running_loop().call_soon(self.offer)

    def _add(self, ticket: Ticket, *, first: bool) -> None:
        tickets = self._keys.setdefault(ticket.key, deque())
        if first:
            tickets.appendleft(ticket)
        else:
            tickets.append(ticket)
        self.waiting += 1

    def _remove(self, ticket: Ticket) -> None:
        tickets = self._keys.get(ticket.key)
        if tickets is None or ticket not in tickets:
            return
        tickets.remove(ticket)
        self.waiting -= 1
        if not tickets:
            del self._keys[ticket.key]
        if not self.waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_in(self, seconds: float) -> None:
        """Sees to it that somebody looks by then; an earlier look stays."""
        if seconds == inf or not self.waiting:
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        self.offer()
