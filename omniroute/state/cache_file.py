"""A cache that outlives its process: in memory, with a table of the run-time database behind it.

Requests see the memory alone. What changes there is noted, and one thread writes it down every half a second, the last
word on each key only; a new process reads the table once, before its first request. So the file is never asked and never
waited for, and a gateway whose file is deleted, full or damaged behaves as any other: it only begins empty the next
time.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from omniroute.state.cache import Entry, MemoryCache
from omniroute.state.database import OPENING, Replaced, Writer

if TYPE_CHECKING:
    from omniroute.state.base import Keeping

log = logging.getLogger(__name__)
GATHER = 0.5
"""Seconds that the writer lets changes gather."""
_PUT = "INSERT INTO cache (key, value, ends) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, ends = excluded.ends"
_DELETE = "DELETE FROM cache WHERE key = ?"
_EXPIRE = "DELETE FROM cache WHERE ends <= ?"
_READ = "SELECT key, value, ends FROM cache WHERE ends > ? ORDER BY ends"


class SqliteCache(Writer):
    """`MemoryCache`, and a thread of its own that writes."""

    def __init__(self, path: Path, *, gather: float = GATHER) -> None:
        super().__init__(path)
        self._memory = MemoryCache()
        self._gather = gather
        self._changes: dict[bytes, Entry | None] = {}
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

    def get(self, key: bytes, now: float) -> bytes | None:
        return self._memory.get(key, now)

    def put(self, key: bytes, value: bytes, now: float, keeping: Keeping) -> None:
        entry = Entry(key, value, now + keeping.ttl)
        gone = self._memory.take([entry], now, keeping)
        self._note({key: entry} | dict.fromkeys(gone), now)

    def named(self, name: bytes) -> bytes | None:
        return self._memory.named(name)

    def name(self, name: bytes, key: bytes, keeping: Keeping) -> None:
        self._memory.name(name, key, keeping)

    async def warm(self, now: float, keeping: Keeping) -> None:
        entries = await asyncio.to_thread(self._read, now)
        gone = self._memory.take(entries, now, keeping)
        self._note(dict.fromkeys(gone), now)

    def close(self, timeout: float = 5.0) -> None:
        self._closing = True
        self._hurry.set()
        self._work.set()
        self._thread.join(timeout)

    def _note(self, changes: dict[bytes, Entry | None], now: float) -> None:
        with self._lock:
            self._changes |= changes
            self._now = now
        self._work.set()

    def _read(self, now: float) -> list[Entry]:
        """What is in the table, what ends first first; nothing where it cannot be read, for it holds nothing that
        cannot be made again."""
        if not self._path.exists():
            return []
        try:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            with OPENING, closing(sqlite3.connect(uri, uri=True)) as connection:
                connection.execute("PRAGMA trusted_schema = OFF")
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'cache'").fetchone():
                    return []
                return [Entry(*row) for row in connection.execute(_READ, (now,))]
        except sqlite3.Error as error:
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
        try:
            connection = self._transaction()
            connection.executemany(_DELETE, [(key,) for key, entry in changes.items() if entry is None])
            connection.executemany(_PUT, [entry for entry in changes.values() if entry is not None])
            connection.execute(_EXPIRE, (now,))
            connection.execute("COMMIT")
            self._failing = ""
        except (OSError, sqlite3.Error) as error:
            if self._failing != (reason := str(error)):
                log.warning("the cache is in memory only, for its file cannot be written: %s", reason)
            self._failing = reason
            self._disconnect()

    def _transaction(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self._begin(connection)
        except Replaced:
            return self._transaction()
        return connection
