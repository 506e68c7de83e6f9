"""A cache that outlives its process: in memory, with a table of the run-time database behind it.

Requests see the memory alone. What changes there is noted, and one thread writes it down every few seconds, the last
word on each name only: what had to go meanwhile never comes to the disk, and only of the rest is it worked out what it
says. A new process reads the table once, before its first request. So the file is never asked and never waited for, and
a gateway whose file is deleted, full or damaged behaves as any other: it only begins empty the next time.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from omniroute.state.cache import Entry, Item, MemoryCache, Written
from omniroute.state.database import OPENING, UNREADABLE, Writer, reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from omniroute.state.base import Keeping

log = logging.getLogger(__name__)
GATHER = 10.0
"""Seconds that the writer lets changes gather: what goes again within them is not worth a row."""
BREATH = 0.001
"""Seconds between two items that the writer looks into, so that the event loop never waits for more than one of them."""
OUTLINE = 4
DIGEST = 32
"""Bytes of a row's key: the outline, then the digest of everything that shapes the answer."""
_PUT = "INSERT INTO cache (key, value, ends) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, ends = excluded.ends"
_DELETE = "DELETE FROM cache WHERE key = ?"
_EXPIRE = "DELETE FROM cache WHERE ends <= ?"
_READ = "SELECT key, value, ends FROM cache WHERE ends > ? ORDER BY ends"


_COUNT = "SELECT count(*) FROM cache"


class SqliteCache(Writer):
    """`MemoryCache`, and a thread of its own that writes."""

    def __init__(self, path: Path, *, gather: float = GATHER) -> None:
        super().__init__(path)
        self._memory = MemoryCache()
        self._gather = gather
        self._changes: dict[bytes, Entry | None] = {}
        self._rows: dict[bytes, bytes] = {}  # the key of a row, by the name of what is in it
        self._known: deque[tuple[bytes, Item, Item]] = deque()
        self._now = 0.0
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._failing = ""
        self._thread = threading.Thread(target=self._run, name="cache", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._memory)

    def get(self, name: bytes, now: float) -> Entry | None:
        return self._memory.get(name, now)

    def put(self, name: bytes, item: Item, now: float, keeping: Keeping) -> None:
        while self._known:
            self._memory.replace(*self._known.popleft())
        entry = Entry(name, item, now + keeping.ttl)
        gone = self._memory.take([entry], now, keeping)
        with self._lock:
            self._changes[name] = entry
            self._forget(gone)
            self._now = now
        if not self._work.is_set():
            self._work.set()

    def drop(self, name: bytes) -> None:
        self._memory.drop(name)
        with self._lock:
            self._forget([name])

    def find(self, outline: bytes, key: Callable[[], bytes | None], now: float) -> Entry | None:
        return self._memory.find(outline, key, now)

    def name(self, name: bytes, other: bytes, keeping: Keeping) -> None:
        self._memory.name(name, other, keeping)

    async def warm(self, now: float, keeping: Keeping) -> None:
        entries = await asyncio.to_thread(self._read, now)
        self._rows.update((entry.name, entry.name) for entry in entries)
        gone = self._memory.take((entry for entry in entries if entry.item.outline), now, keeping)
        with self._lock:
            self._forget(gone + [entry.name for entry in entries if not entry.item.outline])
            self._now = now
        self._work.set()

    @property
    def size(self) -> int:
        return self._memory.size

    def entries(self) -> list[Entry]:
        return self._memory.entries()

    def stored(self) -> int:
        with reading(self._path, "The cache's file", "cache_unavailable") as connection:
            return 0 if connection is None else int(connection.execute(_COUNT).fetchone()[0])

    def health(self) -> str:
        return self._failing

    def close(self, timeout: float = 5.0) -> None:
        self._closing = True
        self._hurry.set()
        self._work.set()
        self._thread.join(timeout)

    def _forget(self, names: list[bytes]) -> None:
        """Notes what is gone. What was waiting to be written needs no word more, unless it has been written before."""
        for name in names:
            if self._changes.pop(name, None) is None or name in self._rows:
                self._changes[name] = None

    def _read(self, now: float) -> list[Entry]:
        """What is in the table, what ends first first; nothing where it cannot be read, for it holds nothing that
        cannot be made again. What an earlier version has written has no outline."""
        if not self._path.exists():
            return []
        try:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            with OPENING, closing(sqlite3.connect(uri, uri=True)) as connection:
                connection.execute("PRAGMA trusted_schema = OFF")
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'cache'").fetchone():
                    return []
                return [_entry(*row) for row in connection.execute(_READ, (now,))]
        except UNREADABLE as error:
            log.warning("the cache begins empty, for its file cannot be read: %s", error)
            return []

    # ------------------------------------------------------------------------------------------ the writer's thread

    def _run(self) -> None:
        while not self._closing:
            self._work.wait()
            self._hurry.wait(self._gather)
            self._work.clear()
            self._drain()
        self._drain()
        self._disconnect()

    def _drain(self) -> None:
        """Writes what has changed. What cannot be written now is left out: it is in memory, and that is what counts."""
        with self._lock:
            changes, self._changes = self._changes, {}
            now = self._now
        if not changes:
            return
        gone = [key for name, entry in changes.items() if entry is None and (key := self._rows.pop(name, None))]
        rows = [row for entry in changes.values() if entry is not None and (row := self._row(entry))]
        try:
            connection = self._transaction()
            connection.executemany(_DELETE, [(key,) for key in gone])
            connection.executemany(_PUT, rows)
            connection.execute(_EXPIRE, (now,))
            connection.execute("COMMIT")
            self._failing = ""
        except (OSError, *UNREADABLE) as error:
            if self._failing != (reason := str(error)):
                log.warning("the cache is in memory only, for its file cannot be written: %s", reason)
            self._failing = reason
            self._disconnect()

    def _row(self, entry: Entry) -> tuple[bytes, bytes, float] | None:
        """The entry as a row; None where it is not worth one. What has been found out about it now is known for good."""
        name, item, ends = entry
        key, value = item.key(), item.value()
        if not isinstance(item, Written):
            self._hurry.wait(BREATH)
        if key is None or value is None:
            return None
        if not isinstance(item, Written):
            self._known.append((name, item, Written(item.outline, key, value)))
        self._rows[name] = item.outline + key
        return item.outline + key, value, ends


def _entry(key: bytes, value: bytes, ends: float) -> Entry:
    outline = key[:OUTLINE] if len(key) == OUTLINE + DIGEST else b""
    return Entry(key, Written(outline, key[OUTLINE:], value), ends)
