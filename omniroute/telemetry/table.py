"""Every metric, as data: what is exposed, and what the documentation says.

Names are Prometheus' own habits: base units, `_total` for what only grows, `_info` for what only labels tell.
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram", "info"]
PREFIX = "omniroute_"
LONG = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
"""Seconds that answers of models take."""
SHORT = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Seconds that the gateway takes itself."""


class Metric(msgspec.Struct, frozen=True):
    """One metric. `name` is without the prefix, and as it is exposed; `buckets` are upper bounds in seconds."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def full(self) -> str:
        return PREFIX + self.name


METRICS = (
    # Of requests that are over
    Metric(
        "requests_total",
        "counter",
        ("operation", "format", "key", "route", "code"),
        "Requests that are over, by the HTTP status that the client was answered with (499: it left before).",
    ),
    Metric(
        "attempts_total",
        "counter",
        ("provider", "connection", "model", "outcome"),
        "Tries of connections, by how they ended: success, a kind of failure, skipped, or abandoned.",
    ),
    Metric(
        "tokens_total",
        "counter",
        ("provider", "model", "key", "kind"),
        "Tokens as clients were told them. The kinds cached, cache_write and reasoning are parts of input and output.",
    ),
    Metric(
        "cost_usd_total",
        "counter",
        ("provider", "model", "key"),
        "What requests cost in USD, as far as prices are known.",
    ),
    Metric(
        "unpriced_requests_total",
        "counter",
        ("provider", "model"),
        "Requests that a provider served and whose cost is not known, and so is missing elsewhere.",
    ),
    Metric(
        "request_duration_seconds",
        "histogram",
        ("operation", "provider"),
        "From the arrival of a request to the end of its answer.",
        LONG,
    ),
    Metric(
        "time_to_first_token_seconds",
        "histogram",
        ("operation", "provider"),
        "From the arrival of a request to the first byte of its answer, for streams.",
        LONG,
    ),
    Metric(
        "upstream_duration_seconds", "histogram", ("operation", "provider"), "The part of it that providers took.", LONG
    ),
    Metric(
        "gateway_duration_seconds",
        "histogram",
        ("operation",),
        "The part of it that was spent in the gateway, and not with providers.",
        SHORT,
    ),
    Metric(
        "cache_requests_total",
        "counter",
        ("result",),
        "Requests that were looked for in the cache: hit, semantic (something alike was there) or miss.",
    ),
    Metric(
        "idempotent_replays_total",
        "counter",
        (),
        "Requests that got the answer of another one with the same Idempotency-Key.",
    ),
    Metric(
        "telemetry_rows_lost_total",
        "counter",
        (),
        "Requests that metrics, traces and logs know nothing of, because too many came at once.",
    ),
    # Of now
    Metric("requests_in_flight", "gauge", (), "Requests of clients under way."),
    Metric("upstream_requests_in_flight", "gauge", ("provider", "connection"), "Calls of connections under way."),
    Metric(
        "circuit_breaker_state",
        "gauge",
        ("provider", "connection", "state"),
        "1 for the state that a connection's circuit breaker is in, 0 for the others: closed, open, half-open.",
    ),
    Metric("connection_available", "gauge", ("provider", "connection"), "Whether a connection may be called now."),
    Metric("connection_consecutive_failures", "gauge", ("provider", "connection"), "Failures in a row."),
    Metric(
        "connection_cooldown_seconds", "gauge", ("provider", "connection"), "How long a connection is still left alone."
    ),
    Metric(
        "connection_blocked_models", "gauge", ("provider", "connection"), "Single models of it that are left alone now."
    ),
    Metric(
        "limit_capacity",
        "gauge",
        ("limit", "measure", "subject"),
        "How much a limit allows: requests or tokens in its time, or requests at once. A subject that is no name of the configuration, such as an address, is told as other.",
    ),
    Metric(
        "limit_used",
        "gauge",
        ("limit", "measure", "subject"),
        "How much of it is used; of several other subjects that of the one with the least left.",
    ),
    Metric("budget_limit_usd", "gauge", ("budget",), "What may be spent in the running period."),
    Metric("budget_spent_usd", "gauge", ("budget",), "What is spent in it."),
    Metric("budget_reserved_usd", "gauge", ("budget",), "What requests under way may cost at the most."),
    Metric(
        "budget_reset_timestamp_seconds",
        "gauge",
        ("budget",),
        "When the period ends; not there for one that never does.",
    ),
    Metric(
        "budget_known", "gauge", ("budget",), "Whether the ledger could say what is spent; until then nothing may be."
    ),
    Metric("cache_entries", "gauge", (), "Answers in the cache."),
    Metric("cache_bytes", "gauge", (), "Their size."),
    Metric("cache_max_bytes", "gauge", (), "What it may be."),
    Metric("idempotency_entries", "gauge", (), "Answers that are kept for the same Idempotency-Key."),
    Metric("sessions", "gauge", (), "Sessions that are not over."),
    Metric("queue_waiting_requests", "gauge", ("key",), "Requests that wait for a place."),
    Metric("ledger_rows_pending", "gauge", (), "Rows of the ledger that are not on the disk yet."),
    Metric("ledger_rows_written_total", "counter", (), "Rows that got there."),
    Metric("ledger_rows_lost_total", "counter", (), "Rows that never will."),
    Metric(
        "storage_degraded",
        "gauge",
        ("part",),
        "1 where a part of the database does not work: ledger, audit, cache, backups.",
    ),
    Metric("draining", "gauge", (), "Whether the gateway ends and wants nothing new."),
    # Of the configuration
    Metric(
        "config_last_reload_successful", "gauge", (), "Whether the last attempt to read the configuration succeeded."
    ),
    Metric("config_last_reload_success_timestamp_seconds", "gauge", (), "When the last one did that succeeded."),
    Metric("config_reloads_total", "counter", ("outcome",), "Attempts to read it again: changed, unchanged, refused."),
    Metric(
        "config_generation", "gauge", (), "Which configuration of this process it is: 1 for the one that it began with."
    ),
    Metric("config_info", "info", ("revision", "mode"), "The configuration that runs."),
    Metric(
        "config_findings",
        "gauge",
        ("severity",),
        "Errors of the files that are not taken, and warnings of those that run.",
    ),
    Metric(
        "config_objects",
        "gauge",
        ("kind",),
        "How much there is of it: providers, connections, combos and other routes, keys, budgets.",
    ),
    Metric("build_info", "info", ("version",), "The version that runs."),
)
BY_NAME = MappingProxyType({one.name: one for one in METRICS})
