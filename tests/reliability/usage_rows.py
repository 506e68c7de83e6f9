"""A ledger of a million requests, and how long it takes to ask it.

    PYTHONPATH=$PWD:$PWD/tests python tests/reliability/usage_rows.py [ROWS] [DAYS]

Writes ROWS requests (1,000,000) that are spread over DAYS (30) into a temporary file through the ledger itself, asks all
that the management plane asks, brings the same file up to date as if it were one of an earlier version, and compares the
sums with those of the rows. Times are the median and the longest of seven, in milliseconds.
"""

from __future__ import annotations

import random
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from statistics import median

from omniroute.state import rollups
from omniroute.state.base import Attempt, UsageRow
from omniroute.state.migrations import upgrade
from omniroute.state.sqlite import SqliteLedger
from omniroute.state.usage import DIMENSIONS, Filter, Group, Search, summed

KEYS = [f"team-{number}" for number in range(20)]
MODELS = [
    ("openai", "gpt-5.4"),
    ("openai", "gpt-5-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("gemini", "gemini-3-pro"),
    ("groq", "llama-3.3-70b"),
]
END = 1_790_000_000.0


def rows(count: int, days: float, seed: int = 1) -> Iterator[UsageRow]:
    """Requests in the order of time, the last of them at END; one key is rare, and every fiftieth request fails."""
    chance = random.Random(seed)
    for number in range(count):
        started = END - days * 86_400 * (1 - number / count)
        provider, model = chance.choice(MODELS)
        connection = f"{provider}.{chance.choice(('team', 'spare', 'main'))}"
        failed = number % 50 == 0
        took = chance.lognormvariate(6.5, 0.8)
        tries = (Attempt(f"{provider}/{model}", connection, "success", 200, took),)
        if chance.random() < 0.05:
            tries = (Attempt("openai/gpt-5.4", "openai.team", "rate_limited", 429, 20.0, "slow down"), *tries)
        yield UsageRow(
            id=f"{int(started * 1000):012x}{chance.getrandbits(64):016x}",
            request_id=f"req-{number}",
            started=started,
            key="rare" if number % 100_000 == 7 else chance.choice(KEYS),
            operation="chat",
            format="anthropic",
            requested="coding",
            provider=provider,
            connection=connection,
            model=model,
            status=503 if failed else 200,
            error="overloaded" if failed else "",
            stream=True,
            input=chance.randrange(50_000),
            output=chance.randrange(4_000),
            cached=chance.randrange(20_000),
            cost=None if failed else Decimal(chance.randrange(10**6)) / 10**7,
            total_ms=took,
            upstream_ms=took - 0.6,
            gateway_ms=0.6,
            ttft_ms=took / 3,
            attempts=tries,
            revision="0123456789abcdef",
            route="coding",
            cache="hit" if number % 33 == 0 else "miss",
        )


def write(path: Path, count: int, days: float) -> float:
    """How many rows a second come to the disk."""
    ledger = SqliteLedger(path)
    begun = time.monotonic()
    for number, row in enumerate(rows(count, days)):
        ledger.append(row)
        if number % 20_000 == 19_999:
            assert ledger.flush(60)
    assert ledger.close(60)
    assert ledger.health().written == count
    return count / (time.monotonic() - begun)


def timed(what: str, ask: Callable[[], object]) -> None:
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        ask()
        times.append((time.perf_counter() - begun) * 1e3)
    print(f"{what:<60} {median(times):8.1f} {max(times):8.1f}")


def pages(ledger: SqliteLedger, search: Search) -> tuple[int, int]:
    """All that is found, and in how many pages."""
    found, asked = 0, 0
    while True:
        page = ledger.page(search)
        found, asked = found + len(page.rows), asked + 1
        if not page.before:
            return found, asked
        search = Search(**{name: getattr(search, name) for name in search.__struct_fields__} | {"before": page.before})


def ask(ledger: SqliteLedger, count: int) -> None:
    day = END - 86_400 + 1.5
    everything = Filter()
    timed("sums of everything by all names", lambda: ledger.sums(everything, DIMENSIONS))
    timed("sums of one key", lambda: ledger.sums(Filter(key="team-7"), DIMENSIONS))
    timed("sums of a day that begins within an hour", lambda: ledger.sums(Filter(since=day), DIMENSIONS))
    timed("the last ten minutes, by minute", lambda: ledger.sums(Filter(since=END - 600), (), 60))
    timed("all days by model", lambda: ledger.sums(everything, ("model",), 86_400))
    timed("the hours of the last day", lambda: ledger.sums(Filter(since=END - 86_400), (), 3_600))
    timed("the newest 100 requests", lambda: ledger.page(Search()))
    timed("the newest 1000 requests", lambda: ledger.page(Search(limit=1000)))
    deep = f"{int((END - 86_400) * 1000):012x}"
    timed("100 requests from a day ago on", lambda: ledger.page(Search(before=deep)))
    timed("100 of one key and one model", lambda: ledger.page(Search(key="team-7", model="gpt-5.4")))
    timed("all 10 of a rare key", lambda: ledger.page(Search(key="rare")))
    timed("those of a key that is not there", lambda: ledger.page(Search(key="nobody")))
    timed("100 that failed", lambda: ledger.page(Search(statuses=(400, 1000))))
    timed("one by its client's id, a page of the search", lambda: ledger.page(Search(request_id="req-17")))
    print("  which ends after (found, pages)", pages(ledger, Search(request_id="req-17")))
    timed("one by its id", lambda: ledger.find("0"))
    timed("how long the newest 10,000 took", lambda: ledger.timings(10_000))
    assert sum(group.sums.requests for group in ledger.sums(everything)) == count


def sorted_(groups: list[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: (group.start, group.names))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    days = float(sys.argv[2]) if len(sys.argv) > 2 else 30.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data" / "omniroute.sqlite"
        print(f"{count:,} requests over {days:g} days: {write(path, count, days):,.0f} rows/s to the disk", end=", ")
        print(f"{path.stat().st_size / 1e6:,.0f} MB")
        ledger = SqliteLedger(path)
        assert ledger.flush()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ask(ledger, count)
        print(f"memory grew by {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f} MB")
        said = sorted_(list(ledger.sums(Filter(), DIMENSIONS, 86_400)))
        ledger.close()
        if count <= 100_000:
            assert said == sorted_(summed(rows(count, days), Filter(), DIMENSIONS, 86_400))
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            (kept,) = database.execute("SELECT count(*) FROM usage_sums").fetchone()
            database.execute("DROP TABLE usage_sums")
            database.execute("DELETE FROM _sqlite_migrations WHERE name = 'm006_usage_sums'")
            database.execute("PRAGMA user_version = 5")
            begun = time.monotonic()
            upgrade(database)
            print(
                f"{kept:,} sums; made anew for the file of an earlier version in {time.monotonic() - begun:.1f} s",
                end="",
            )
            rollups.prepare(database)
            assert sorted_(rollups.read(database, Filter(), DIMENSIONS, 86_400)) == said
            print(", and equal")


if __name__ == "__main__":
    main()
