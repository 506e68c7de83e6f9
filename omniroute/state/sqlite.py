"""The ledger in SQLite. A request only appends to a list; one thread writes batches behind its back.

Rows wait in memory, up to a bound, as long as the file does not work; what exceeds the bound is counted as lost, and
`health` says so.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from omniroute.errors import Unavailable
from omniroute.state import requests, rollups, route_use
from omniroute.state.base import LedgerHealth, Totals, UsageRow
from omniroute.state.database import RETRY, Scribe, reading
from omniroute.state.migrations import VERSION
from omniroute.state.usage import Dimension, Filter, Group, Page, Search, Timing

log = logging.getLogger(__name__)

CAPACITY = 100_000
"""Rows that wait in memory at most: some 100 MB, or a minute and a half of what one process can serve."""
BATCH = 1_024
CHUNKS = (256, 16, 1)
"""Rows per statement. SQLite lets the interpreter go once in each, and getting it back from a busy event loop takes
up to 5 ms: 256 at a time take 48 µs a row then, one at a time 470; alone it is 5 against 6."""
GATHER = 0.25
"""Seconds that the writer lets rows gather, so that one sync to disk serves many."""
ROWS = 2
"""The version of the file from which on its rows are as they are now."""

_COLUMNS = UsageRow.__struct_fields__
_COST = _COLUMNS.index("cost")
_LISTS = ("attempts", "losses", "policies")
"""What stands in its column as JSON."""
_PLACES = tuple(_COLUMNS.index(name) for name in _LISTS)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM usage ORDER BY id DESC LIMIT ?"  # noqa: S608 - our own names only
_FIND = f"SELECT {', '.join(_COLUMNS)} FROM usage WHERE id = ?"  # noqa: S608 - our own names only

# total() and not sum(): a provider that reports absurd numbers must not make the sum overflow, which is an error.
_SUMS = ("input", "output", "cached", "cache_write", "cache_write_1h", "reasoning")
_TOTALS = f"""
    SELECT count(*), {", ".join(f"CAST(total({name}) AS INTEGER)" for name in _SUMS)},
           coalesce(decimal_sum(cost), 0), count(*) - count(cost)
    FROM usage
"""  # noqa: S608 - our own names only
# Costs are added up here and not there: SQLite has no decimals, and most requests cost the same as some other.
_SPENT = """
    SELECT cost, count(*) FROM usage
    WHERE id >= ? AND key IN ({}) AND started >= ? AND started < ? AND cost IS NOT NULL
    GROUP BY cost
"""
_LATEST = 1e12
SET_BACK = 3600.0
"""Seconds that are looked at besides, where money depends on it, in case that a clock was set while a request began."""
_BAD_ROW = (
    OverflowError,
    TypeError,
    ValueError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""What a row that SQLite cannot hold raises, as opposed to a file that cannot be written."""

BROKEN = (ArithmeticError, RecursionError, TypeError, ValueError)
"""What comes of values that no row was written with: a damaged page may hold any."""

_encode = msgspec.json.Encoder().encode


class SqliteLedger(Scribe):
    """One thread appends, the event loop's; another one, our own, writes."""

    what = "the ledger"

    def __init__(self, path: Path, *, capacity: int = CAPACITY, gather: float = GATHER, retry: float = RETRY) -> None:
        super().__init__(path, gather=gather, retry=retry)
        self._capacity = capacity
        self._queue: deque[UsageRow] = deque()
        self._batch: list[UsageRow] = []
        self._written = 0
        self._refused = 0
        self._unwritable = 0
        self._start("ledger")

    def append(self, row: UsageRow) -> None:
        if self._closing or len(self._queue) >= self._capacity:
            self._refused += 1
            return
        self._accepted += 1
        self._queue.append(row)
        if not self._work.is_set():
            self._work.set()

    def health(self) -> LedgerHealth:
        pending = self._accepted - self._settled
        stopped = not self._thread.is_alive()
        reason = self._reason
        if not reason and stopped and not self._closing:
            reason = "the writer has stopped"
        elif not reason and len(self._queue) >= self._capacity:
            reason = "rows come faster than they can be written"
        return LedgerHealth(
            ok=not reason,
            reason=reason,
            pending=0 if stopped else pending,
            written=self._written,
            lost=self._refused + self._unwritable + (pending if stopped else 0),
        )

    def recent(self, limit: int) -> Sequence[UsageRow]:
        try:
            return [decode(values) for values in self._read(_SELECT, limit)]
        except BROKEN as error:
            raise _broken(error) from None

    def totals(self) -> Totals:
        rows = self._read(_TOTALS)
        if not rows:
            return Totals()
        try:
            return msgspec.convert(dict(zip(Totals.__struct_fields__, rows[0], strict=True)), Totals, strict=False)
        except BROKEN as error:
            raise _broken(error) from None

    def spent(self, keys: Collection[str], since: float, until: float) -> Decimal:
        return spent(self._path, keys, since, until)

    def sums(self, wanted: Filter, by: Sequence[Dimension] = (), step: int = 0) -> Sequence[Group]:
        with self._reading() as connection:
            return [] if connection is None else rollups.read(connection, wanted, by, step)

    def page(self, search: Search) -> Page:
        with self._reading() as connection:
            if connection is None:
                return Page((), "")
            try:
                return requests.page(connection, search, _COLUMNS, decode)
            except BROKEN as error:
                raise _broken(error) from None

    def find(self, ident: str) -> UsageRow | None:
        found = self._read(_FIND, ident)
        try:
            return decode(found[0]) if found else None
        except BROKEN as error:
            raise _broken(error) from None

    def timings(self, most: int) -> Sequence[Timing]:
        with self._reading() as connection:
            return [] if connection is None else requests.timings(connection, most)

    def routes(self, names: Collection[str], since: float) -> Mapping[str, route_use.RouteUse]:
        with self._reading() as connection:
            return (
                {}
                if connection is None
                else route_use.read(connection, requests.first_id(since, SET_BACK), since, names)
            )

    @contextmanager
    def _reading(self, least: int = VERSION) -> Iterator[sqlite3.Connection | None]:
        with reading(self._path, "The ledger", "ledger_unavailable", least) as connection:
            if connection is not None:
                rollups.prepare(connection)
            yield connection

    def _read(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What is in the file; nothing while there is none. For any thread. To bring a large file up to date takes seconds,
        in which budgets have to know what is spent."""
        with self._reading(ROWS) as connection:
            return [] if connection is None else connection.execute(query, values).fetchall()

    # ------------------------------------------------------------------------------------------ the writer's thread

    def _prepare(self, connection: sqlite3.Connection) -> None:
        super()._prepare(connection)
        rollups.prepare(connection)

    def _save(self, connection: sqlite3.Connection) -> None:
        due = self._accepted  # what comes meanwhile gathers for the next round
        while self._settled < due and self._fill():
            self._write(connection)

    def _fill(self) -> bool:
        """Take the next batch, if the last one is done with."""
        while self._queue and len(self._batch) < BATCH:
            self._batch.append(self._queue.popleft())
        return bool(self._batch)

    def _write(self, connection: sqlite3.Connection) -> None:
        rows: Sequence[UsageRow] = self._batch
        fresh = rows
        self._begin(connection)
        if not _insert(connection, rows):
            connection.execute("ROLLBACK")
            self._begin(connection)
            fresh = self._insert_singly(connection, rows)
        rollups.add(connection, fresh)
        connection.execute("COMMIT")
        self._written += len(fresh)
        self._batch = []
        self._settle(len(rows))

    def _insert_singly(self, connection: sqlite3.Connection, rows: Sequence[UsageRow]) -> list[UsageRow]:
        """Those of the rows that were not there yet, without those that SQLite cannot hold."""
        fresh = []
        for row in rows:
            try:
                if connection.execute(_statement(1), _values(row)).rowcount:
                    fresh.append(row)
            except _BAD_ROW as error:
                self._unwritable += 1
                log.error("a row of the ledger cannot be written: %s", type(error).__name__)
        return fresh


def spent(path: Path, keys: Collection[str], since: float, until: float) -> Decimal:
    """`Ledger.spent` of any file."""
    places = ", ".join("?" * len(keys))
    with reading(path, "The ledger", "ledger_unavailable", ROWS) as connection:
        if connection is None:
            return Decimal(0)
        rows = connection.execute(
            _SPENT.format(places), (requests.first_id(since, SET_BACK), *keys, since, min(until, _LATEST))
        )
        try:
            return sum((Decimal(cost) * count for cost, count in rows), Decimal(0))
        except BROKEN as error:
            raise _broken(error) from None


def replayed(path: Path, since: float, until: float = inf) -> Iterator[UsageRow]:
    """The requests of any file that began from `since` on and before `until`, the oldest first, read as they are asked
    for. What is written meanwhile is not among them. Raises Unavailable where the file cannot be read."""
    with reading(path, "The ledger", "ledger_unavailable", ROWS) as connection:
        if connection is None:
            return
        try:
            for row in requests.oldest_first(connection, since, until, _COLUMNS):
                yield decode(row)
        except BROKEN as error:
            raise _broken(error) from None


def _broken(error: Exception) -> Unavailable:
    return Unavailable(f"The ledger holds a row that cannot be read: {error}.", code="ledger_unavailable")


@cache
def _statement(rows: int) -> str:
    places = f"({', '.join('?' * len(_COLUMNS))})"
    return (
        f"INSERT INTO usage ({', '.join(_COLUMNS)}) VALUES {', '.join([places] * rows)} "  # noqa: S608 - our own names
        "ON CONFLICT (id) DO NOTHING"
    )


def _insert(connection: sqlite3.Connection, rows: Sequence[UsageRow]) -> bool:
    """All of them; False where one of them is there already, or is none that SQLite can hold."""
    before, start = connection.total_changes, 0
    try:
        for size in CHUNKS:
            while len(rows) - start >= size:
                values = chain.from_iterable(map(_values, rows[start : start + size]))
                connection.execute(_statement(size), tuple(values))
                start += size
    except _BAD_ROW:
        return False
    return connection.total_changes - before == len(rows)


def _values(row: UsageRow) -> list[Any]:
    values: list[Any] = list(msgspec.structs.astuple(row))
    cost = values[_COST]
    if cost is not None:
        values[_COST] = format(cost, "f")
    for place in _PLACES:
        values[place] = _encode(values[place]).decode() if values[place] else "[]"
    return values


def decode(values: Sequence[Any]) -> UsageRow:
    """The row that was written with these values. Raises one of `BROKEN` where none was."""
    fields = dict(zip(_COLUMNS, values, strict=True))
    for name in _LISTS:
        fields[name] = msgspec.json.decode(fields[name])
    return msgspec.convert(fields, UsageRow, strict=False)
