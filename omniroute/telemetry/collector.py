"""`/metrics`: what the tally has counted, and what State and Live know at this moment, as Prometheus reads it.

Nothing here is kept up to date: a scrape reads what is there, so that between scrapes nobody pays for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate, chain
from math import isfinite
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from omniroute import __version__
from omniroute.routing.live import Live
from omniroute.state.base import State
from omniroute.state.health import health
from omniroute.telemetry.table import METRICS
from omniroute.telemetry.table import Metric as Row
from omniroute.telemetry.tally import Names
from omniroute.telemetry.witness import Observer

MEDIA = CONTENT_TYPE_PLAIN_0_0_4
STATES = ("closed", "open", "half-open")
Sample = tuple[str, tuple[str, ...], float]
"""The name of a metric, its labels, its value."""
Samples = list[tuple[tuple[str, ...], Any]]


class Process(msgspec.Struct, frozen=True):
    """What only the application knows: requests under way, whether it ends, the mode of the configuration, and why the
    backups are not well."""

    active: int
    draining: bool
    mode: str
    backups: str


class Metrics:
    """Makes the page. What State and Live know is read on the event loop, which alone changes it; the rest of the work is
    done in threads. Registries are of our own, so that nothing else in the process adds to them."""

    def __init__(self, live: Live, state: State, observer: Observer, process: Callable[[], Process]) -> None:
        self._live = live
        self._state = state
        self._observer = observer
        self._process = process
        self._itself = CollectorRegistry()
        ProcessCollector(registry=self._itself)
        PlatformCollector(registry=self._itself)
        GCCollector(registry=self._itself)

    async def page(self) -> bytes:
        """All metrics, as text."""
        parts = await asyncio.to_thread(self._look)
        told: dict[str, Samples] = {row.name: [] for row in METRICS}
        for name, labels, value in chain(
            parts, self._connections(), self._limits(), self._budgets(), self._others(), self._config()
        ):
            told[name].append((labels, value))
        return await asyncio.to_thread(self._render, told)

    def _look(self) -> list[Sample]:
        """What may have to be waited for."""
        self._observer.look()
        return list(self._storage())

    def _render(self, told: dict[str, Samples]) -> bytes:
        tally = self._observer.tally
        with self._observer.paused():
            for name, counter in tally.counters.items():
                told[name] = list(counter.values.items())
            for name, histogram in tally.histograms.items():
                told[name] = [(labels, list(series)) for labels, series in histogram.values.items()]
        registry = CollectorRegistry()
        registry.register(_Told(told))
        return generate_latest(registry) + generate_latest(self._itself)

    def _storage(self) -> Iterator[Sample]:
        state = self._state
        ledger = state.ledger.health()
        yield "ledger_rows_pending", (), ledger.pending
        yield "ledger_rows_written_total", (), ledger.written
        yield "ledger_rows_lost_total", (), ledger.lost
        degraded = {
            "ledger": ledger.reason,
            "audit": state.audit.health(),
            "cache": state.cache.health(),
            "backups": self._process().backups,
        }
        for part, reason in degraded.items():
            yield "storage_degraded", (part,), bool(reason)

    def _connections(self) -> Iterator[Sample]:
        now = self._state.clock.monotonic()
        providers = {one.id: each.name for each in self._live.current.upstreams.values() for one in each.connections}
        for name, known in health(self._state, providers, now).items():
            at, view = (providers[name], name), known.view
            yield "upstream_requests_in_flight", at, known.in_flight
            state = "closed" if view is None else view.state
            for each in STATES:
                yield "circuit_breaker_state", (*at, each), each == state
            yield "connection_available", at, view is None or not view.blocked
            yield "connection_consecutive_failures", at, 0 if view is None else view.failures
            left = 0.0 if view is None or not view.blocked else max(0.0, view.until - now)
            yield "connection_cooldown_seconds", at, left
            yield "connection_blocked_models", at, sum(one.blocked for one in known.models.values())

    def _limits(self) -> Iterator[Sample]:
        names = Names(self._live.current)
        tightest: dict[tuple[str, ...], tuple[int, int]] = {}
        for one in self._state.limits.view(self._state.clock.monotonic()):
            place: tuple[str, ...] = (one.limit, one.measure, names.subject(one.subject))
            known = tightest.get(place)
            if known is None or one.amount - one.remaining > known[1]:
                tightest[place] = one.amount, one.amount - one.remaining
        for place, (amount, used) in tightest.items():
            yield "limit_capacity", place, amount
            yield "limit_used", place, used

    def _budgets(self) -> Iterator[Sample]:
        now = self._state.clock.now()
        for budget in self._live.current.budgets.values():
            balance, at = self._state.budgets.balance(budget, now), (budget.name,)
            yield "budget_limit_usd", at, float(balance.limit)
            yield "budget_spent_usd", at, float(balance.spent)
            yield "budget_reserved_usd", at, float(balance.reserved)
            yield "budget_known", at, balance.known
            if isfinite(balance.resets):
                yield "budget_reset_timestamp_seconds", at, balance.resets

    def _others(self) -> Iterator[Sample]:
        state, process, gateway = self._state, self._process(), self._live.current
        yield "requests_in_flight", (), process.active
        yield "draining", (), process.draining
        yield "telemetry_rows_lost_total", (), self._observer.lost
        yield "cache_entries", (), len(state.cache)
        yield "cache_bytes", (), state.cache.size
        yield "cache_max_bytes", (), 0 if gateway.cache is None else gateway.cache.exact.bytes
        yield "idempotency_entries", (), len(state.idempotency)
        yield "sessions", (), len(state.roster.live(state.clock.now(), gateway.session_ttl))
        names = Names(gateway)
        waiting: dict[str, int] = {}
        for key, count in state.line.by_key().items():
            waiting[names.key(key)] = waiting.get(names.key(key), 0) + count
        for key, count in waiting.items():
            yield "queue_waiting_requests", (key,), count

    def _config(self) -> Iterator[Sample]:
        live, gateway, process = self._live, self._live.current, self._process()
        yield "config_last_reload_successful", (), not live.problems
        yield "config_last_reload_success_timestamp_seconds", (), live.succeeded_at
        for outcome, count in live.reloads.items():
            yield "config_reloads_total", (outcome,), count
        yield "config_generation", (), gateway.revision.generation
        yield "config_info", (gateway.revision.label, process.mode), 1
        yield "config_findings", ("error",), len(live.problems)
        yield "config_findings", ("warning",), len(gateway.warnings)
        upstreams = gateway.upstreams.values()
        yield "config_objects", ("providers",), len(upstreams)
        yield "config_objects", ("connections",), sum(len(one.connections) for one in upstreams)
        yield "config_objects", ("routes",), len(gateway.routes)
        yield "config_objects", ("keys",), len(gateway.principals)
        yield "config_objects", ("budgets",), len(gateway.budgets)
        yield "build_info", (__version__,), 1


class _Told(Collector):
    def __init__(self, told: Mapping[str, Samples]) -> None:
        self._told = told

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        return (family(row, self._told[row.name]) for row in METRICS)


def family(row: Row, samples: Samples) -> Metric:
    """The metric as the library knows it."""
    if row.kind == "histogram":
        told = HistogramMetricFamily(row.full, row.help, labels=row.labels)
        for labels, values in samples:
            *counts, total = values
            bounds = (*map(floatToGoString, row.buckets), "+Inf")
            told.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), sum_value=total)
        return told
    if row.kind == "info":
        info = InfoMetricFamily(row.full.removesuffix("_info"), row.help)
        for labels, _ in samples:
            info.add_metric((), dict(zip(row.labels, labels, strict=True)))
        return info
    kind = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
    one = kind(row.full, row.help, labels=row.labels)
    for labels, value in samples:
        one.add_metric(labels, float(value))
    return one
