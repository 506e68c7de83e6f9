"""Counters and histograms over requests, as plain dictionaries: a row is added by a few look-ups.

Labels are names of the configuration and nothing else, so that no client can make series: what it does not know is
`other`. Counts go on over reloads, for they are kept by name; those of names that are gone are dropped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from omniroute.routing.tables import Gateway, Route, Target
from omniroute.state.base import Attempt, UsageRow
from omniroute.telemetry.table import LONG, SHORT

OTHER = "other"
MOST = 10_000
"""Series of one metric; what comes besides is added to one whose labels are all `other`."""
Labels = tuple[str, ...]


class Names:
    """What may stand in a label, of one configuration."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._keys = frozenset(one.name for one in gateway.principals.values()) | {""}
        self._connections = frozenset(one.id for each in gateway.upstreams.values() for one in each.connections)

    def key(self, name: str) -> str:
        return name if name in self._keys else OTHER

    def route(self, name: str) -> str:
        return name if not name or name in self.gateway.routes else OTHER

    def provider(self, name: str) -> str:
        return name if not name or name in self.gateway.upstreams else OTHER

    def connection(self, name: str) -> str:
        return name if not name or name in self._connections else OTHER

    def subject(self, name: str) -> str:
        """Of a limit: a key, provider, connection, model, or an address, which is no name of ours."""
        known = name in self._keys or name in self.gateway.upstreams or name in self._connections
        return name if known or name in self.gateway.routes else OTHER

    def target(self, ident: str) -> tuple[str, str]:
        """`provider/model` as two labels."""
        provider, _, model = ident.partition("/")
        route = self.gateway.routes.get(ident)
        return self.provider(provider), _model(route, ident) or (model and OTHER)

    def knows(self, label: str, value: str) -> bool:
        """Whether a series with this label may stay."""
        if value in ("", OTHER):
            return True
        if label == "key":
            return value in self._keys
        if label == "provider":
            return value in self.gateway.upstreams
        if label == "connection":
            return value in self._connections
        return label != "route" or value in self.gateway.routes


def _model(route: Route | None, ident: str) -> str:
    """The model as the configuration calls it, asked for by either of its names."""
    if route is None:
        return ""
    first = route.steps[0]
    if len(route.steps) == 1 and isinstance(first, Target):
        return first.id.partition("/")[2]
    return ident.partition("/")[2]


class Counter:
    """A sum by labels."""

    def __init__(self) -> None:
        self.values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1.0) -> None:
        values = self.values
        if labels not in values and len(values) >= MOST:
            labels = tuple(OTHER if each else each for each in labels)
        values[labels] = values.get(labels, 0.0) + amount

    def drop(self, labels: Labels) -> None:
        del self.values[labels]


class Histogram:
    """How durations lie, by labels. Of each series: how many are in each bucket alone, and their sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.values: dict[Labels, list[float]] = {}

    def add(self, labels: Labels, seconds: float) -> None:
        series = self.values.get(labels)
        if series is None:
            if len(self.values) >= MOST:
                labels = tuple(OTHER if each else each for each in labels)
            series = self.values.setdefault(labels, [0.0] * (len(self.bounds) + 2))
        series[bisect_left(self.bounds, seconds)] += 1
        series[-1] += seconds

    def drop(self, labels: Labels) -> None:
        del self.values[labels]


class Tally:
    """All of them, by the names of `table.METRICS`."""

    def __init__(self) -> None:
        self.counters = {
            name: Counter()
            for name in (
                "requests_total",
                "attempts_total",
                "tokens_total",
                "cost_usd_total",
                "unpriced_requests_total",
                "cache_requests_total",
                "idempotent_replays_total",
            )
        }
        self.histograms = {
            "request_duration_seconds": Histogram(LONG),
            "time_to_first_token_seconds": Histogram(LONG),
            "upstream_duration_seconds": Histogram(LONG),
            "gateway_duration_seconds": Histogram(SHORT),
        }

    def add(self, rows: Iterable[UsageRow], names: Names) -> None:
        for row in rows:
            self._add(row, names)

    def _add(self, row: UsageRow, names: Names) -> None:
        count, time = self.counters, self.histograms
        key = names.key(row.key)
        provider, model = _served(row, names)
        labels = row.operation, row.format, key, names.route(row.route), str(row.status)
        count["requests_total"].add(labels)
        for one in row.attempts:
            tried = (*names.target(one.target), one.outcome)
            count["attempts_total"].add((tried[0], names.connection(one.connection), tried[1], tried[2]))
        if row.idempotent:
            count["idempotent_replays_total"].add(())
        if row.cache:
            count["cache_requests_total"].add((row.cache,))
        self._take(row, provider, model, key)
        time["request_duration_seconds"].add((row.operation, provider), row.total_ms / 1e3)
        time["gateway_duration_seconds"].add((row.operation,), max(0.0, row.gateway_ms) / 1e3)
        if row.upstream_ms:
            time["upstream_duration_seconds"].add((row.operation, provider), row.upstream_ms / 1e3)
        if row.ttft_ms is not None and row.stream:
            time["time_to_first_token_seconds"].add((row.operation, provider), row.ttft_ms / 1e3)

    def _take(self, row: UsageRow, provider: str, model: str, key: str) -> None:
        """What it took, and what that cost."""
        tokens = self.counters["tokens_total"]
        for kind in ("input", "output", "cached", "cache_write", "reasoning"):
            amount = getattr(row, kind)
            if amount > 0:
                tokens.add((provider, model, key, kind), amount)
        if row.cost is not None:
            self.counters["cost_usd_total"].add((provider, model, key), max(0.0, float(row.cost)))
        elif provider and row.status < 400 and row.cache not in ("hit", "semantic"):
            self.counters["unpriced_requests_total"].add((provider, model))

    def prune(self, names: Names, labels: dict[str, tuple[str, ...]]) -> None:
        """Drops the series of names that are gone; `labels` are those of each metric."""
        series: dict[str, Counter | Histogram] = {**self.counters, **self.histograms}
        for name, one in series.items():
            for values in list(one.values):
                if not all(map(names.knows, labels[name], values)):
                    one.drop(values)


def _served(row: UsageRow, names: Names) -> tuple[str, str]:
    """The provider and the model that the answer is of."""
    best: Attempt | None = next((one for one in reversed(row.attempts) if one.outcome == "success"), None)
    ident = best.target if best is not None else f"{row.provider}/{row.model}" if row.provider else ""
    return names.target(ident)
