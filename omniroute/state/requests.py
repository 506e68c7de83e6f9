"""Single requests in the ledger's file, looked for and looked at.

The table is in the order of its ids, which is that of time, and has no other index: what is rare is found by the sums,
which know the hours in which there is any of it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from omniroute.state.usage import DIMENSIONS, Page, Search, Timing

if TYPE_CHECKING:
    from omniroute.state.base import UsageRow

SLICE = 5_000
"""Rows that are looked at in one go."""
ENOUGH = 0.15
"""Seconds after which a page is given as it is."""
SLACK = 60.0
"""Seconds by which an id, which is made microseconds before its request is said to have begun, may be older or newer."""
LATEST = 1e12
"""Stands for a time that never comes: a number that every comparison takes."""
_FURTHER = ("requested", "session", "request_id", "operation")
_TIMES = Timing.__struct_fields__
_TIMINGS = f"SELECT {', '.join(_TIMES)} FROM usage ORDER BY id DESC LIMIT ?"  # noqa: S608 - our own names only
_EDGE = f"SELECT id FROM usage WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT 1 OFFSET {SLICE:d}"  # noqa: S608
_BEYOND = "g"
"""Comes after every id, which is hexadecimal."""


def first_id(since: float, slack: float = SLACK) -> str:
    """A beginning that no id of a request since then comes before."""
    return _beginning(since - slack)


def beyond_id(until: float) -> str:
    """What all ids of requests before then come before."""
    return _BEYOND if until >= LATEST else _beginning(until + SLACK)


def _beginning(moment: float) -> str:
    return f"{max(0, int(moment * 1000)):012x}"


def page(
    connection: sqlite3.Connection, search: Search, columns: Sequence[str], row: Callable[[Any], UsageRow]
) -> Page:
    """What is found, the newest first, slice by slice, until it is enough or has taken long enough."""
    where, values = _where(search)
    query = f"SELECT {', '.join(columns)} FROM usage WHERE id < ? AND id >= ? AND {where} ORDER BY id DESC LIMIT ?"  # noqa: S608
    before = min(search.before or _BEYOND, beyond_id(search.until))
    after = first_id(search.since)
    found: list[UsageRow] = []
    begun = time.monotonic()
    while True:
        before = _leap(connection, search, before)
        (edge,) = connection.execute(_EDGE, (before, after)).fetchone() or (None,)
        left = search.limit - len(found)
        rows = connection.execute(query, (before, edge or after, *values, left)).fetchall()
        found += map(row, rows)
        if len(rows) == left:
            return Page(found, found[-1].id)
        if edge is None:
            return Page(found, "")
        before = edge
        if time.monotonic() - begun > ENOUGH:
            return Page(found, before)


def oldest_first(
    connection: sqlite3.Connection, since: float, until: float, columns: Sequence[str]
) -> Iterator[Sequence[Any]]:
    """The columns of all requests of a time, as they are asked for."""
    query = (
        f"SELECT {', '.join(columns)} FROM usage WHERE id >= ? AND id < ? AND started >= ? AND started < ? ORDER BY id"  # noqa: S608
    )
    yield from connection.execute(query, (first_id(since), beyond_id(until), since, min(until, LATEST)))


def _leap(connection: sqlite3.Connection, search: Search, before: str) -> str:
    """Past the hours that have nothing of what is looked for."""
    names = [name for name in DIMENSIONS if getattr(search, name) is not None]
    texts = [f"{name} = ?" for name in names]
    if search.statuses[0] >= 400:
        texts.append("failed > 0")
    if not texts:
        return before
    latest = LATEST if before >= _BEYOND else int(before[:12] or "0", 16) / 1000 + SLACK
    query = (
        "SELECT start FROM usage_sums WHERE span = ? AND start <= ? AND start >= ? "  # noqa: S608 - our own names only
        f"AND {' AND '.join(texts)} ORDER BY start DESC LIMIT 1"
    )
    values = [getattr(search, name) for name in names]
    day = connection.execute(query, (86_400, latest, 0, *values)).fetchone()
    while day is not None:
        hour = connection.execute(query, (3_600, latest, day[0], *values)).fetchone()
        if hour is not None:
            return min(before, beyond_id(hour[0] + 3600))
        latest = day[0] - 1
        day = connection.execute(query, (86_400, latest, 0, *values)).fetchone()
    return ""


def _where(search: Search) -> tuple[str, list[Any]]:
    """The conditions, in our own words alone, and their values."""
    names = [name for name in (*DIMENSIONS, *_FURTHER) if getattr(search, name) is not None]
    texts = ["started >= ?", "started < ?", "status >= ?", "status < ?", *(f"{name} = ?" for name in names)]
    values = [search.since, min(search.until, LATEST), *search.statuses, *(getattr(search, name) for name in names)]
    return " AND ".join(texts), values


def timings(connection: sqlite3.Connection, most: int) -> list[Timing]:
    """Of the newest requests."""
    return [
        msgspec.convert(dict(zip(_TIMES, row, strict=True)), Timing) for row in connection.execute(_TIMINGS, (most,))
    ]
