"""How the names that requests were routed by have fared, by the ledger: how often each target was called, and how it went."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping

import msgspec

from omniroute.state.base import UsageRow

LEFT = 499
"""The status of a request whose client did not wait for the answer: nobody's success, and nobody's failure."""


class TargetUse(msgspec.Struct):
    """The calls of one target; `ms` is the sum of their times, `last` when the request began (UNIX time) that called it
    last, and `outcome` how that call ended."""

    requests: int = 0
    successes: int = 0
    ms: float = 0.0
    last: float = 0.0
    outcome: str = ""


class RouteUse(msgspec.Struct):
    """The requests of one route. One with more than one call is a fallback; `ms` is the sum of their times."""

    requests: int = 0
    successes: int = 0
    failures: int = 0
    fallbacks: int = 0
    ms: float = 0.0
    last: float = 0.0
    targets: dict[str, TargetUse] = {}


_ROUTES = f"""
    SELECT route, count(*), total(status < 400), total(status >= 400 AND status <> {LEFT}),
           total(json_array_length(attempts) > 1 AND (SELECT count(*) FROM json_each(attempts)
                  WHERE json_extract(value, '$.outcome') <> 'skipped') > 1), total(total_ms), max(started)
    FROM usage WHERE id >= ? AND started >= ? AND route IN ({{}}) GROUP BY route
"""  # noqa: S608 - a number of our own
_TARGETS = """
    SELECT route, json_extract(value, '$.target') AS target, count(*),
           total(json_extract(value, '$.outcome') = 'success'), total(json_extract(value, '$.ms')), max(started),
           json_extract(value, '$.outcome')
    FROM usage, json_each(attempts)
    WHERE usage.id >= ? AND started >= ? AND route IN ({}) AND json_extract(value, '$.outcome') <> 'skipped'
    GROUP BY route, target
"""


def read(connection: sqlite3.Connection, first_id: str, since: float, names: Collection[str]) -> dict[str, RouteUse]:
    """Of requests from the first id and time on. Other columns are those of the row with the `max`, as SQLite has it."""
    places = ", ".join("?" * len(names))
    found: dict[str, RouteUse] = {}
    for name, requests, successes, failures, fallbacks, ms, last in connection.execute(
        _ROUTES.format(places), (first_id, since, *names)
    ):
        found[name] = RouteUse(requests, int(successes), int(failures), int(fallbacks), ms, last)
    for name, target, requests, successes, ms, last, outcome in connection.execute(
        _TARGETS.format(places), (first_id, since, *names)
    ):
        found[name].targets[target] = TargetUse(requests, int(successes), ms, last, outcome)
    return found


def of_rows(rows: Iterable[UsageRow], since: float, names: Collection[str]) -> Mapping[str, RouteUse]:
    """The same of rows in memory, the oldest first."""
    found: dict[str, RouteUse] = {}
    for row in rows:
        if row.route not in names or row.started < since:
            continue
        use = found.setdefault(row.route, RouteUse())
        calls = [attempt for attempt in row.attempts if attempt.outcome != "skipped"]
        use.requests += 1
        use.successes += row.status < 400
        use.failures += row.status >= 400 and row.status != LEFT
        use.fallbacks += len(calls) > 1
        use.ms += row.total_ms
        use.last = max(use.last, row.started)
        for call in calls:
            target = use.targets.setdefault(call.target, TargetUse())
            target.requests += 1
            target.successes += call.outcome == "success"
            target.ms += call.ms
            if row.started >= target.last:
                target.last, target.outcome = row.started, call.outcome
    return found
