"""Answers that may be given again: their contract, and how they are kept in memory.

A value is bytes, so that what it takes is known and the collector has nothing to look at. Times are UNIX seconds, since
an entry may outlive the process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from omniroute.state.base import Keeping


NAMES = 4
"""Names that are kept for each entry: of both forms of an answer, and of a few ways to write the same request."""


class Entry(NamedTuple):
    """A value and when it is no longer good."""

    key: bytes
    value: bytes
    ends: float


class Cache(Protocol):
    """Values by the digest of everything that shapes them. Synchronous and in memory: nothing here waits for a disk."""

    def get(self, key: bytes, now: float) -> bytes | None: ...

    def put(self, key: bytes, value: bytes, now: float, keeping: Keeping) -> None:
        """Keep it, and let go of what was not asked for the longest where that is more than may be kept."""
        ...

    def named(self, name: bytes) -> bytes | None:
        """The key behind a name, if it is known. A name is a digest that is cheaper to make; what it leads to never
        changes, so it may be forgotten at any time."""
        ...

    def name(self, name: bytes, key: bytes, keeping: Keeping) -> None:
        """From now on the key goes by this name as well."""
        ...

    async def warm(self, now: float, keeping: Keeping) -> None:
        """Take up what an earlier process has kept, where there is such a thing. Called once, before the first
        request."""
        ...

    def close(self, timeout: float = 5.0) -> None:
        """Write down what is owed. May block: call it from a thread."""
        ...


class MemoryCache:
    """Bounded in number, bytes and time; what was not asked for the longest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Entry] = OrderedDict()  # the least recently used first
        self._names: dict[bytes, bytes] = {}  # the oldest first
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes, now: float) -> bytes | None:
        entry = self._kept.get(key)
        if entry is None:
            return None
        if now >= entry.ends:
            self._let_go(key)
            return None
        self._kept.move_to_end(key)
        return entry.value

    def put(self, key: bytes, value: bytes, now: float, keeping: Keeping) -> None:
        self.take([Entry(key, value, now + keeping.ttl)], now, keeping)

    def take(self, entries: Iterable[Entry], now: float, keeping: Keeping) -> list[bytes]:
        """Keep these, the last of them the longest. Gives the keys of what had to go."""
        gone = []
        for entry in entries:
            self._let_go(entry.key)
            if len(entry.value) > keeping.bytes or now >= entry.ends:
                gone.append(entry.key)
                continue
            self._kept[entry.key] = entry
            self.bytes += len(entry.value)
        while self._kept and (len(self._kept) > keeping.entries or self.bytes > keeping.bytes):
            key = next(iter(self._kept))
            self._let_go(key)
            gone.append(key)
        return gone

    def named(self, name: bytes) -> bytes | None:
        return self._names.get(name)

    def name(self, name: bytes, key: bytes, keeping: Keeping) -> None:
        self._names[name] = key
        if len(self._names) > keeping.entries * NAMES:
            del self._names[next(iter(self._names))]

    async def warm(self, now: float, keeping: Keeping) -> None:
        """Nothing outlives this process here."""

    def close(self, timeout: float = 5.0) -> None:
        """Nothing is owed to anybody here."""

    def _let_go(self, key: bytes) -> None:
        entry = self._kept.pop(key, None)
        if entry is not None:
            self.bytes -= len(entry.value)
