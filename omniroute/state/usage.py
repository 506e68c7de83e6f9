"""What is asked of the ledger: sums by whom, by what and by when, and single requests. The terms, and the law that every
way of answering keeps: a sum is that of the rows.

A number that no answer can have, such as a provider may report all the same, counts as the nearest that one can.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Context, Decimal
from math import inf
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from omniroute.state.base import UsageRow

Dimension = Literal["key", "provider", "connection", "model", "route"]
DIMENSIONS: tuple[Dimension, ...] = ("key", "provider", "connection", "model", "route")
LARGEST = 2**40
"""Of one request: a trillion tokens, or twelve days in microseconds."""
HITS = frozenset({"hit", "semantic"})
MISS = "miss"
SKIPPED = "skipped"
exact = Context(prec=100)
_add = exact.add
"""Adds costs without rounding, also absurd ones: the usual 28 digits end at a trillion USD with ten decimals."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests: begun from `since` on and before `until` (UNIX times), and by name. None is any name; the empty one
    is that of nobody and nothing, such as the key of a request without one."""

    since: float = 0.0
    until: float = inf
    key: str | None = None
    provider: str | None = None
    connection: str | None = None
    model: str | None = None
    route: str | None = None


class Search(Filter, frozen=True, kw_only=True):
    """Which single requests, the newest first: those before the one whose id is `before`. `statuses` are from the first
    up to and without the second."""

    limit: int = 100
    before: str = ""
    statuses: tuple[int, int] = (0, 1000)
    requested: str | None = None
    session: str | None = None
    request_id: str | None = None
    operation: str | None = None


class Page(msgspec.Struct, frozen=True):
    """Rows, and where to go on; `before` is empty at the end. As much is looked at as a short time allows, so that a page
    may have fewer rows than were asked for and others follow."""

    rows: Sequence[UsageRow]
    before: str


class Sums(msgspec.Struct, kw_only=True):
    """Of some requests. `failed` were refused or went wrong, `fallbacks` took more than one try, `unpriced` have no cost
    and are left out of `cost`. `hits` came from the cache and `hit_input` and `hit_output` are their tokens; `misses` might
    have. Times are in microseconds; `first` and `last` are when the first and the last of them began."""

    requests: int = 0
    failed: int = 0
    fallbacks: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    unpriced: int = 0
    hits: int = 0
    misses: int = 0
    hit_input: int = 0
    hit_output: int = 0
    total_us: int = 0
    upstream_us: int = 0
    cost: Decimal = Decimal(0)
    first: float = inf
    last: float = 0.0

    def count(self, row: UsageRow) -> None:
        """One request more. Most of what there is to count is nothing, which is asked first: this takes 2 µs."""
        self.requests += 1
        given = row.input if 0 <= row.input <= LARGEST else _amount(row.input)
        answered = row.output if 0 <= row.output <= LARGEST else _amount(row.output)
        self.input += given
        self.output += answered
        if row.cached:
            self.cached += _amount(row.cached)
        if row.cache_write:
            self.cache_write += _amount(row.cache_write)
        if row.cache_write_1h:
            self.cache_write_1h += _amount(row.cache_write_1h)
        if row.reasoning:
            self.reasoning += _amount(row.reasoning)
        if row.status >= 400:
            self.failed += 1
        if len(row.attempts) > 1 and sum(attempt.outcome != SKIPPED for attempt in row.attempts) > 1:
            self.fallbacks += 1
        if row.cache in HITS:
            self.hits += 1
            self.hit_input += given
            self.hit_output += answered
        elif row.cache == MISS:
            self.misses += 1
        self.total_us += int(_amount(row.total_ms * 1000))
        self.upstream_us += int(_amount(row.upstream_ms * 1000))
        cost, started = row.cost, row.started
        if cost is None:
            self.unpriced += 1
        elif cost:
            self.cost = _add(self.cost, cost)
        self.first = min(self.first, started)
        self.last = max(self.last, started)

    def add(self, other: Sums) -> None:
        """Both together."""
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.cost = _add(self.cost, other.cost)
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)


COUNTED = tuple(name for name in Sums.__struct_fields__ if name not in ("cost", "first", "last"))


class Group(msgspec.Struct, frozen=True):
    """The sums of what has all of `names` in common, and began in the same step of time, which begins at `start`."""

    start: int
    names: tuple[str, ...]
    sums: Sums


class Timing(msgspec.Struct, frozen=True):
    """How long one request took, in milliseconds. `started` is a UNIX time."""

    started: float
    provider: str
    status: int
    total_ms: float
    upstream_ms: float
    gateway_ms: float
    ttft_ms: float | None


def _amount(told: float) -> Any:
    return told if 0 <= told <= LARGEST else LARGEST if told > 0 else 0


def fits(row: UsageRow, wanted: Filter) -> bool:
    """Whether a request is among those that are wanted."""
    names = all(getattr(wanted, name) in (None, getattr(row, name)) for name in DIMENSIONS)
    return names and wanted.since <= row.started < wanted.until


def found(row: UsageRow, search: Search) -> bool:
    """Whether a request is among those that are looked for."""
    least, beyond = search.statuses
    names = ("requested", "session", "request_id", "operation")
    told = all(getattr(search, name) in (None, getattr(row, name)) for name in names)
    return told and fits(row, search) and least <= row.status < beyond and (not search.before or row.id < search.before)


def summed(rows: Iterable[UsageRow], wanted: Filter, by: Sequence[Dimension], step: int) -> list[Group]:
    """The sums of all rows that fit, by name and by steps of so many seconds (0: no matter when)."""
    groups: dict[tuple[int, tuple[str, ...]], Sums] = {}
    for row in rows:
        if fits(row, wanted):
            start = int(row.started // step) * step if step else 0
            place = start, tuple([getattr(row, name) for name in by])
            groups.setdefault(place, Sums()).count(row)
    return [Group(start, names, sums) for (start, names), sums in groups.items()]
