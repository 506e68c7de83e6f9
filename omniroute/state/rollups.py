"""Sums of the ledger, kept with it: for each hour and each day a row for all requests that have their names in common.

They are written in the transaction that writes the requests, and of exactly those that it writes, so that they are the
sums of the rows at every moment, whenever the process is killed. Whoever asks for a time that does not begin or end with
an hour has the rest summed up from the rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from math import ceil, floor, inf
from typing import TYPE_CHECKING, Any

import msgspec

from omniroute.state.requests import LATEST, beyond_id, first_id
from omniroute.state.usage import COUNTED, DIMENSIONS, LARGEST, Dimension, Filter, Group, Sums, exact

if TYPE_CHECKING:
    from omniroute.state.base import UsageRow

SPANS = (86_400, 3_600)
CHUNKS = (16, 4, 1)
"""Rows per statement, for the reason that `state/sqlite.py` has."""
LONGEST = 2**63 - 1

_PLACE = ("span", "start", *DIMENSIONS)
_VALUES = (*COUNTED, "cost", "first", "last")
_MORE = ", ".join(f"{name} = min({name} + excluded.{name}, {LONGEST})" for name in COUNTED)
_UPSERT = (
    f"ON CONFLICT ({', '.join(_PLACE)}) DO UPDATE SET {_MORE}, cost = decimal_add(cost, excluded.cost), "
    "first = min(first, excluded.first), last = max(last, excluded.last)"
)
CREATE = f"""
    CREATE TABLE usage_sums (
        span INTEGER NOT NULL, start INTEGER NOT NULL,
        {", ".join(f"{name} TEXT NOT NULL" for name in DIMENSIONS)},
        {", ".join(f"{name} INTEGER NOT NULL" for name in COUNTED)},
        cost TEXT NOT NULL, first REAL NOT NULL, last REAL NOT NULL,
        PRIMARY KEY ({", ".join(_PLACE)})
    ) WITHOUT ROWID
"""
_TRIED = """
    (length(attempts) - length(replace(attempts, '"outcome":"', ''))) / 11
    - (length(attempts) - length(replace(attempts, '"outcome":"skipped"', ''))) / 19
"""
_COSTS = "decimal_total(group_concat(cost))"
"""Of a group. An aggregate of ours would be called for each row: of an hour in which a time begins, two fifths of all
that it takes to sum it up."""
_OF_ROW = {
    "requests": "1",
    "failed": "status >= 400",
    "fallbacks": f"CASE WHEN instr(attempts, '}},{{') THEN {_TRIED} > 1 ELSE 0 END",
    **{
        name: f"max(min({name}, {LARGEST}), 0)"
        for name in ("input", "output", "cached", "cache_write", "cache_write_1h", "reasoning")
    },
    "unpriced": "cost IS NULL",
    "hits": "cache IN ('hit', 'semantic')",
    "misses": "cache = 'miss'",
    "hit_input": f"CASE WHEN cache IN ('hit', 'semantic') THEN max(min(input, {LARGEST}), 0) ELSE 0 END",
    "hit_output": f"CASE WHEN cache IN ('hit', 'semantic') THEN max(min(output, {LARGEST}), 0) ELSE 0 END",
    "total_us": f"CAST(max(min(total_ms * 1000, {LARGEST}), 0) AS INTEGER)",
    "upstream_us": f"CAST(max(min(upstream_ms * 1000, {LARGEST}), 0) AS INTEGER)",
    "cost": "coalesce(cost, '0')",
    "first": "started",
    "last": "started",
}
"""What `Sums.count` takes of a row, in SQL."""
_FROM_ROWS = (
    f"SELECT CAST(started AS INTEGER) AS start, {', '.join(DIMENSIONS)}, "  # noqa: S608 - our own names only
    f"{', '.join(f'{sql} AS {name}' for name, sql in _OF_ROW.items())} FROM usage "
    "WHERE started >= ? AND started < ?"
)
_FROM_SUMS = f"SELECT start, {', '.join(DIMENSIONS)}, {', '.join(_VALUES)} FROM usage_sums WHERE span = ? AND start >= ? AND start < ?"  # noqa: S608
FILL = tuple(
    f"""
    INSERT INTO usage_sums (span, start, {", ".join((*DIMENSIONS, *_VALUES))})
    SELECT {span:d}, start / {span:d} * {span:d} AS begins, {", ".join(DIMENSIONS)},
           {", ".join(f"sum({name})" for name in COUNTED)}, {_COSTS}, min(first), max(last)
    FROM ({source}) GROUP BY begins, {", ".join(DIMENSIONS)}
    """  # noqa: S608 - our own names only
    for span, source in (
        (3_600, _FROM_ROWS.replace("?", "0", 1).replace("?", str(LATEST), 1)),
        (86_400, "SELECT * FROM usage_sums WHERE span = 3600"),
    )
)
"""Makes the sums of a file that has rows already."""
_TOGETHER = ", ".join(
    (*(f"sum({name})" for name in COUNTED), _COSTS, "min(first)", "max(last)"),
)


# ------------------------------------------------------------------------------------------------------------ writing


def prepare(connection: sqlite3.Connection) -> None:
    """Teaches a connection what SQLite does not know: decimals."""
    connection.create_function("decimal_add", 2, _decimal_add, deterministic=True)
    connection.create_function("decimal_total", 1, _decimal_total, deterministic=True)
    connection.create_aggregate("decimal_sum", 1, DecimalSum)


def add(connection: sqlite3.Connection, rows: Iterable[UsageRow]) -> None:
    """Adds what these rows take, which the same transaction writes; on a connection that is prepared."""
    hours: dict[Any, Sums] = {}
    for row in rows:
        started = row.started
        hour = int(started // 3600) if 0 <= started <= LATEST else 0
        place = hour, row.key, row.provider, row.connection, row.model, row.route
        sums = hours.get(place)
        if sums is None:
            sums = hours[place] = Sums()
        sums.count(row)
    days: dict[Any, Sums] = {}
    for (hour, *names), sums in hours.items():
        days.setdefault((hour // 24, *names), Sums()).add(sums)
    groups = [
        ((span, number * span, *names), sums)
        for span, spans in ((3_600, hours), (86_400, days))
        for (number, *names), sums in spans.items()
    ]
    done = 0
    for size in CHUNKS:
        while len(groups) - done >= size:
            values: list[Any] = []
            for place, sums in groups[done : done + size]:
                values += (*place, *(min(getattr(sums, name), LONGEST) for name in COUNTED))
                values += (format(sums.cost, "f"), sums.first, sums.last)
            connection.execute(_statement(size), values)
            done += size


def refill(connection: sqlite3.Connection) -> None:
    """Makes all sums anew, of the rows that are there: for a file whose sums somebody else has written."""
    prepare(connection)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM usage_sums")
    for statement in FILL:
        connection.execute(statement)
    connection.execute("COMMIT")


@cache
def _statement(rows: int) -> str:
    columns = (*_PLACE, *_VALUES)
    places = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO usage_sums ({', '.join(columns)}) VALUES {', '.join([places] * rows)} {_UPSERT}"  # noqa: S608


def _decimal_add(one: str, other: str) -> str:
    return format(exact.add(Decimal(one), Decimal(other)), "f")


def _decimal_total(costs: str | None) -> str:
    total = Decimal(0)
    for each in costs.split(",") if costs else ():
        total = exact.add(total, Decimal(each))
    return format(total, "f")


class DecimalSum:
    """SQLite has no decimals; this adds up texts exactly, of so many rows that their texts should not stand in one."""

    def __init__(self) -> None:
        self._sum = Decimal(0)

    def step(self, value: Any) -> None:
        if value is not None:
            self._sum = exact.add(self._sum, Decimal(value))

    def finalize(self) -> Any:
        return format(self._sum, "f")


# ------------------------------------------------------------------------------------------------------------ reading


def read(connection: sqlite3.Connection, wanted: Filter, by: Sequence[Dimension], step: int) -> list[Group]:
    """As `usage.summed`, on a connection that is prepared."""
    names = [name for name in DIMENSIONS if getattr(wanted, name) is not None]
    only = "".join(f" AND {name} = ?" for name in names)
    values: list[Any] = []
    sources = []
    for span, start, end in _cover(wanted.since, wanted.until, [span for span in SPANS if span <= step or not step]):
        if span:
            sources.append(_FROM_SUMS + only)
            values += (span, start, min(end, LATEST))
        else:
            sources.append(f"{_FROM_ROWS} AND id >= ? AND id < ?{only}")
            values += (start, min(end, LATEST), first_id(start), beyond_id(end))
        values += [getattr(wanted, name) for name in names]
    if not sources:
        return []
    begins = f"start / {step:d} * {step:d}" if step else "0"
    grouped = ", ".join([begins, *by]) if step else ", ".join(by)
    query = f"SELECT {', '.join((begins, *by, _TOGETHER))} FROM ({' UNION ALL '.join(sources)})"  # noqa: S608 - our own names only
    if grouped:
        query += f" GROUP BY {grouped}"
    found = connection.execute(query, values).fetchall()
    return [_group(row, len(by)) for row in found if row[1 + len(by)]]


def _group(row: Sequence[Any], names: int) -> Group:
    told = dict(zip(_VALUES, row[1 + names :], strict=True))
    return Group(row[0], tuple(row[1 : 1 + names]), msgspec.convert(told, Sums, strict=False))


def _cover(since: float, until: float, spans: Sequence[int]) -> Iterator[tuple[int, float, float]]:
    """The largest spans that make up a time, as (span, start, end), and as a span of 0 what none of them covers."""
    if since >= until:
        return
    if not spans:
        yield 0, since, until
        return
    span, *smaller = spans
    start, end = ceil(since / span) * span, until if until == inf else floor(until / span) * span
    if start >= end:
        yield from _cover(since, until, smaller)
        return
    yield from _cover(since, start, smaller)
    yield span, start, end
    yield from _cover(end, until, smaller)
