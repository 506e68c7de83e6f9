"""What several views tell: amounts of usage, names of keys, and queries by name and time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from omniroute.api import times
from omniroute.state.usage import DIMENSIONS, Dimension, Filter, Group, Sums

Usd = Decimal
"""A number of as many digits as it has: to the last one, it is the sum of the rows."""
Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
ANONYMOUS = "anonymous"
"""How requests without a key are shown. A key cannot have this name in a query and mean another: an empty `key` is the
same, and unmistakable."""


class ByName(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests: those begun from `from` on and before `to`, of a key (empty: without one), and so on."""

    begin: str = msgspec.field(default="", name="from")
    end: str = msgspec.field(default="", name="to")
    key: str | None = None
    model: str | None = None
    provider: str | None = None
    connection: str | None = None
    route: str | None = None

    def wanted(self) -> Filter:
        """The same for the ledger; raises BadRequest for times that are none."""
        since, until = times.span(self.begin, self.end)
        return Filter(since=since, until=until, **{name: getattr(self, name) for name in DIMENSIONS})


class Used(msgspec.Struct, kw_only=True, rename="camel"):
    """Sums of some requests. `cost` is of those whose cost is known; `unpriced` counts the others."""

    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: Usd
    unpriced: int
    avg_latency_ms: float
    last_used: datetime | None


def used(sums: Sums) -> Used:
    """The sums in the words of this plane."""
    return Used(**amounts(sums))


def amounts(sums: Sums) -> dict[str, Any]:
    """The fields of `Used`."""
    return {
        "requests": sums.requests,
        "failed": sums.failed,
        "prompt_tokens": sums.input,
        "completion_tokens": sums.output,
        "total_tokens": sums.input + sums.output,
        "cached_tokens": sums.cached,
        "reasoning_tokens": sums.reasoning,
        "cost": sums.cost,
        "unpriced": sums.unpriced,
        "avg_latency_ms": mean_ms(sums),
        "last_used": times.told(sums.last) if sums.requests else None,
    }


def mean_ms(sums: Sums) -> float:
    """How long a request took."""
    return round(sums.total_us / sums.requests / 1000, 3) if sums.requests else 0.0


def folded(groups: Iterable[Group], by: Callable[[dict[Dimension, str]], str | None]) -> dict[str, tuple[Group, Sums]]:
    """Groups by all names, put together under what `by` makes of the names; with one of each as an example."""
    together: dict[str, tuple[Group, Sums]] = {}
    for group in groups:
        label = by(named(group))
        if label is not None:
            together.setdefault(label, (group, Sums()))[1].add(group.sums)
    return together


def named(group: Group) -> dict[Dimension, str]:
    """The names of a group by all names."""
    return dict(zip(DIMENSIONS, group.names, strict=True))


def total(groups: Iterable[Group]) -> Sums:
    """All of them together."""
    sums = Sums()
    for group in groups:
        sums.add(group.sums)
    return sums


def account(connection: str) -> str:
    """The name of a connection at its provider."""
    return connection.partition(".")[2] or connection
