"""Answers that may be given again: their contract, and how they are kept in memory.

What is kept is an `Item`: most are never asked for again, so what an item says, and what it is the answer to, is worked
out when somebody wants to know. It stands under the name of the request that it answered, a digest of the request as it
was written; a request that is written otherwise is compared with those of the same *outline*, which is quickly made and
the same however a request is written. Times are UNIX seconds, since an item may outlive the process.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from omniroute.state.base import Keeping


NAMES = 4
"""Further names that are kept for each item: of both forms of an answer, and of a few ways to write the same request."""


class Item(Protocol):
    """An answer that is kept. Any thread may ask it, also several at once."""

    @property
    def outline(self) -> bytes:
        """What requests have in common that may be the same."""
        ...

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        ...

    def key(self) -> bytes | None:
        """A digest of everything that shapes the answer; None where it can be compared with nothing."""
        ...

    def value(self) -> bytes | None:
        """The answer; None where it turns out that it is not to be given again."""
        ...


class Written(msgspec.Struct, frozen=True, gc=False):
    """An item of which everything is known."""

    outline: bytes
    digest: bytes
    answer: bytes

    @property
    def size(self) -> int:
        return len(self.answer)

    def key(self) -> bytes:
        return self.digest

    def value(self) -> bytes:
        return self.answer


class Entry(NamedTuple):
    """An item under its name, until it is no longer good."""

    name: bytes
    item: Item
    ends: float


class Cache(Protocol):
    """Items by the name of the request. Synchronous and in memory: nothing here waits for a disk."""

    def get(self, name: bytes, now: float) -> Entry | None:
        """What is kept under the name, or under the one that this one stands for."""
        ...

    def put(self, name: bytes, item: Item, now: float, keeping: Keeping) -> None:
        """Keep it, and let go of what was not asked for the longest where that is more than may be kept."""
        ...

    def drop(self, name: bytes) -> None:
        """Let go of what is kept under the name."""
        ...

    def find(self, outline: bytes, key: Callable[[], bytes | None], now: float) -> Entry | None:
        """What answers the same request written otherwise. Its key is asked for only where something may be that."""
        ...

    def name(self, name: bytes, other: bytes, keeping: Keeping) -> None:
        """From now on what is kept under the other name goes by this one as well. It may be forgotten at any time."""
        ...

    async def warm(self, now: float, keeping: Keeping) -> None:
        """Take up what an earlier process has kept, where there is such a thing. Called once, before the first
        request."""
        ...

    def close(self, timeout: float = 5.0) -> None:
        """Write down what is owed. May block: call it from a thread."""
        ...

    def __len__(self) -> int: ...

    @property
    def size(self) -> int:
        """Bytes of all items."""
        ...

    def entries(self) -> list[Entry]:
        """All that is kept, what was not asked for the longest first."""
        ...

    def stored(self) -> int:
        """How many the next process would find. May block: call it from a thread."""
        ...

    def health(self) -> str:
        """Why nothing would outlive the process though it should; empty where all is well."""
        ...


class MemoryCache:
    """Bounded in number, bytes and time; what was not asked for the longest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Entry] = OrderedDict()  # the least recently used first
        self._unread: dict[bytes, tuple[bytes, ...]] = {}  # names, by their outline
        self._read: dict[bytes, dict[bytes, bytes]] = {}  # names by their key, by their outline
        self._names: dict[bytes, bytes] = {}  # the oldest first
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, name: bytes, now: float) -> Entry | None:
        entry = self._kept.get(name)
        if entry is None:
            other = self._names.get(name)
            entry = None if other is None else self._kept.get(other)
            if entry is None:
                return None
        if now >= entry.ends:
            self.drop(entry.name)
            return None
        self._kept.move_to_end(entry.name)
        return entry

    def find(self, outline: bytes, key: Callable[[], bytes | None], now: float) -> Entry | None:
        if outline not in self._unread and outline not in self._read:
            return None
        wanted = key()
        if wanted is None:
            return None
        read = self._read.setdefault(outline, {})
        for name in self._unread.pop(outline, ()):
            read[self._kept[name].item.key() or name] = name
        found = read.get(wanted)
        return None if found is None else self.get(found, now)

    def put(self, name: bytes, item: Item, now: float, keeping: Keeping) -> None:
        self.take((Entry(name, item, now + keeping.ttl),), now, keeping)

    def take(self, entries: Iterable[Entry], now: float, keeping: Keeping) -> list[bytes]:
        """Keep these, the last of them the longest. Gives the names of what had to go."""
        kept = self._kept
        gone = []
        for entry in entries:
            name, item, ends = entry
            self.drop(name)
            if item.size > keeping.bytes or now >= ends:
                gone.append(name)
                continue
            kept[name] = entry
            self.bytes += item.size
            self._unread[item.outline] = (*self._unread.get(item.outline, ()), name)
        while len(kept) > keeping.entries or self.bytes > keeping.bytes:
            name = next(iter(kept))
            self.drop(name)
            gone.append(name)
        return gone

    def replace(self, name: bytes, item: Item, other: Item) -> None:
        """The same answer as another item, if this one is still kept."""
        entry = self._kept.get(name)
        if entry is not None and entry.item is item:
            self._kept[name] = Entry(name, other, entry.ends)
            self.bytes += other.size - item.size

    def drop(self, name: bytes) -> None:
        entry = self._kept.pop(name, None)
        if entry is None:
            return
        item = entry.item
        self.bytes -= item.size
        unread = self._unread.get(item.outline, ())
        if unread == (name,):
            del self._unread[item.outline]
            return
        if name in unread:
            self._unread[item.outline] = tuple(other for other in unread if other != name)
            return
        read = self._read.get(item.outline, {})
        known = item.key() or name
        if read.get(known) == name:  # and not another that was kept at the same time
            del read[known]
        if not read:
            self._read.pop(item.outline, None)

    def name(self, name: bytes, other: bytes, keeping: Keeping) -> None:
        self._names[name] = other
        if len(self._names) > keeping.entries * NAMES:
            del self._names[next(iter(self._names))]

    async def warm(self, now: float, keeping: Keeping) -> None:
        """Nothing outlives this process here."""

    def close(self, timeout: float = 5.0) -> None:
        """Nothing is owed to anybody here."""

    @property
    def size(self) -> int:
        return self.bytes

    def entries(self) -> list[Entry]:
        return list(self._kept.values())

    def stored(self) -> int:
        return 0

    def health(self) -> str:
        return ""
