"""Requests that were named by their client, and the answers to them: the same request again gets the same answer.

A `Recording` is one answer while it is made and for a window after its end. Whoever made the request first has its
answer recorded; who makes it again reads along, from the beginning, at a pace of its own.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from omniroute.state.base import Keeping

Message = MutableMapping[str, Any]
"""A message of ASGI: the head of an answer, or a piece of its body."""
SHARE = 16
"""The largest answer that is kept takes one part in so many of all bytes."""


class Recording:
    """One answer: its messages so far, and who reads them.

    Up to `limit` bytes are kept from the beginning on. What is longer is handed through: nobody new may join (`whole`
    is false), and the one who writes waits for the slowest reader, as it would for the only one. `abandoned` is for the
    last reader to call who leaves before the end; `note` is what the writer has to say about the answer.
    """

    __slots__ = (
        "_dropped",
        "_limit",
        "_messages",
        "_news",
        "_places",
        "abandoned",
        "digest",
        "ended",
        "failure",
        "note",
        "size",
        "whole",
    )

    def __init__(self, digest: bytes, limit: int) -> None:
        self.digest = digest
        self.size = 0
        self.whole = True
        self.ended = False
        self.failure: BaseException | None = None
        self.abandoned: Callable[[], None] = _nothing
        self.note: Any = None
        self._limit = limit
        self._messages: list[Message] = []
        self._dropped = 0
        self._places: dict[object, int] = {}
        self._news = asyncio.Event()

    @property
    def readers(self) -> int:
        """How many read now."""
        return len(self._places)

    async def write(self, message: Message) -> None:
        """Takes a message and goes on at once, unless the answer has grown too long to be kept."""
        self._messages.append(message)
        self.size += len(message.get("body", b""))
        self._tell()
        if self.size <= self._limit:
            return
        self.whole = False
        count = self._dropped + len(self._messages)
        while any(place < count for place in self._places.values()):
            await self._news.wait()
        if count > self._dropped:
            del self._messages[: count - self._dropped]
            self._dropped = count

    def end(self, failure: BaseException | None = None) -> None:
        """No more will come; `failure` where that is not the answer's own end."""
        self.ended = True
        self.failure = failure
        self._tell()

    def join(self, reader: object) -> None:
        """From now on the reader's place counts; it begins at the first message."""
        self._places[reader] = 0

    def leave(self, reader: object) -> None:
        self._places.pop(reader, None)
        self._tell()

    async def read(self, reader: object, send: Callable[[Message], Awaitable[None]]) -> None:
        """Hands all messages on, from the reader's place to the end of the answer."""
        while reader in self._places:
            at = self._places[reader] - self._dropped
            if at < len(self._messages):
                message = self._messages[at]
                await send(message)
                if reader in self._places:
                    self._places[reader] += 1
                if not self.whole:
                    self._tell()
            elif self.ended:
                return
            else:
                await self._news.wait()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


def _nothing() -> None: ...


class Idempotency(Protocol):
    """The recordings, by a key that holds the caller and the path."""

    def find(self, key: bytes, now: float) -> Recording | None:
        """The answer to a request of this name: one that is being made, or that ended within its window."""
        ...

    def begin(self, key: bytes, digest: bytes, keeping: Keeping, now: float) -> Recording:
        """A request of this name begins; `digest` is that of its body."""
        ...

    def keep(self, key: bytes, recording: Recording, keeping: Keeping, now: float) -> None:
        """The answer has ended well: `keeping.ttl` is its window."""
        ...

    def drop(self, key: bytes, recording: Recording) -> None:
        """The answer is none to give again."""
        ...

    def __len__(self) -> int:
        """How many there are, also of those whose window is over and that nobody has looked for since."""
        ...


class MemoryIdempotency:
    """In this process's memory, within bounds of number and bytes; what goes first is the oldest."""

    def __init__(self) -> None:
        self._running: OrderedDict[bytes, Recording] = OrderedDict()
        self._kept: OrderedDict[bytes, tuple[Recording, float]] = OrderedDict()  # in the order in which they ended
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._running) + len(self._kept)

    def find(self, key: bytes, now: float) -> Recording | None:
        recording = self._running.get(key)
        if recording is None:
            recording, ends = self._kept.get(key, (None, 0.0))
            if now >= ends:
                return None
        return recording if recording is not None and recording.whole else None

    def begin(self, key: bytes, digest: bytes, keeping: Keeping, now: float) -> Recording:
        self._let_go(key)
        recording = self._running[key] = Recording(digest, keeping.bytes // SHARE)
        if len(self._running) > keeping.entries:  # the oldest is answered all the same, but no longer found
            self._running.popitem(last=False)
        self._trim(keeping, now)
        return recording

    def keep(self, key: bytes, recording: Recording, keeping: Keeping, now: float) -> None:
        if self._running.get(key) is not recording:
            return
        del self._running[key]
        if recording.whole:
            self._kept[key] = recording, now + keeping.ttl
            self.bytes += recording.size
        self._trim(keeping, now)

    def drop(self, key: bytes, recording: Recording) -> None:
        if self._running.get(key) is recording:
            del self._running[key]

    def _trim(self, keeping: Keeping, now: float) -> None:
        while self._kept:
            key, (_, ends) = next(iter(self._kept.items()))
            if len(self) <= keeping.entries and self.bytes <= keeping.bytes and now < ends < inf:
                break
            self._let_go(key)

    def _let_go(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.bytes -= kept[0].size
