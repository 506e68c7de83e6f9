"""Which sessions are live: what each client conversation has asked and taken so far, as long as it goes on.

For whoever looks after the gateway, and of no weight in any decision. Sessions are named by strangers, so there is a
bound on them, and what they are called is shown as a digest only: a client may put more into the name than it should.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Protocol

import msgspec

MOST = 10_000
LONGEST = 256
"""Characters of a session's name that tell it from others."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """What one request adds to its session. A cost that is not known is None; `client` is what the program calls itself,
    `target` the model that served, both empty where there is none."""

    client: str = ""
    target: str = ""
    connection: str = ""
    tokens: int = 0
    cost: Decimal | None = None


class Session(msgspec.Struct, gc=False):
    """A session so far. `id` stands for the key and what the client calls the session; times are UNIX times. `cost` is
    of the requests whose cost is known, and `unpriced` counts the others that used tokens."""

    id: str
    key: str
    client: str
    first: float
    last: float
    requests: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    target: str = ""
    connection: str = ""


class Roster(Protocol):
    """The live sessions, by key and by what the client calls them."""

    def note(self, key: str, name: str, request: Request, now: float, ttl: float) -> None:
        """One more request. A session that had none for `ttl` seconds is over, and this begins another of its name."""
        ...

    def live(self, now: float, ttl: float) -> Sequence[Session]:
        """Those whose last request is less than `ttl` seconds ago, the latest first."""
        ...


class MemoryRoster:
    """A `Roster` in this process: beyond its capacity, the session that was longest without a request goes."""

    def __init__(self, capacity: int = MOST) -> None:
        self._capacity = capacity
        self._sessions: OrderedDict[tuple[str, str], Session] = OrderedDict()  # the one of the latest request last

    def note(self, key: str, name: str, request: Request, now: float, ttl: float) -> None:
        place = key, name[:LONGEST]
        session = self._sessions.get(place)
        if session is None or now - session.last >= ttl:
            session = self._begin(place, request.client, now, ttl)
        self._sessions.move_to_end(place)
        session.last = now
        session.requests += 1
        session.tokens += request.tokens
        if request.cost is not None:
            session.cost += request.cost
        elif request.tokens:
            session.unpriced += 1
        if request.target:
            session.target = request.target
            session.connection = request.connection

    def live(self, now: float, ttl: float) -> Sequence[Session]:
        return [msgspec.structs.replace(each) for each in reversed(self._sessions.values()) if now - each.last < ttl]

    def _begin(self, place: tuple[str, str], client: str, now: float, ttl: float) -> Session:
        self._sessions.pop(place, None)
        while self._sessions:
            oldest = next(iter(self._sessions))
            if len(self._sessions) < self._capacity and now - self._sessions[oldest].last < ttl:
                break
            del self._sessions[oldest]
        key, name = place
        session = self._sessions[place] = Session(_digest(key, name), key, client, now, now)
        return session


def _digest(key: str, name: str) -> str:
    """The same for the same session, also after a restart."""
    return blake2b(f"{key}\0{name}".encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
