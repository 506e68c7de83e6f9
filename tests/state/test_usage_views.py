"""What the ledger is asked: every answer is that of a look at all rows, in memory and on the disk."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omniroute.state import rollups
from omniroute.state.base import Attempt, Ledger, UsageRow
from omniroute.state.copies import rebuild
from omniroute.state.memory import MemoryLedger
from omniroute.state.migrations import upgrade
from omniroute.state.sqlite import SqliteLedger
from omniroute.state.usage import DIMENSIONS, Filter, Group, Search, fits, found, summed

BEGIN = 1_789_992_000.0  # an hour before midnight
COSTS = (
    None,
    Decimal(0),
    Decimal("0.00123"),
    Decimal("1E-18"),
    Decimal("123456789012345678901234567890.1234567890123"),
)


def row(number: int, **fields: Any) -> UsageRow:
    started = fields.get("started", BEGIN + number)
    known = {
        "id": f"{int(started * 1000):012x}{number:016x}",
        "started": started,
        "key": "team-a",
        "operation": "chat",
        "format": "anthropic",
        "requested": "coding",
        "provider": "openai",
        "connection": "openai.team",
        "model": "gpt-5.4",
        "status": 200,
    }
    return UsageRow(**{**known, **fields})


def made_up(chance: random.Random, count: int) -> list[UsageRow]:
    """Rows over three days with everything that may stand in one, absurd numbers among them."""
    tries = [Attempt("a/b", "a.b", kind, message='"outcome":"x"') for kind in ("success", "timeout", "skipped")]
    numbers = (0, 1, 17, 2**40 - 1, 2**40, 2**62, -5)
    rows = []
    for number in range(count):
        started = BEGIN + chance.choice((chance.random() * 259_200, chance.randrange(72) * 3600.0))
        provider = chance.choice(("openai", "groq", ""))
        rows.append(
            row(
                number,
                started=started,
                key=chance.choice(("", "team-a", "team-b", "x' OR 1=1 --")),
                provider=provider,
                connection=provider and f"{provider}.{chance.choice('ab')}",
                model=chance.choice(("gpt-5.4", "llama", "")),
                route=chance.choice(("coding", "")),
                status=chance.choice((200, 200, 400, 429, 503)),
                input=chance.choice(numbers),
                output=chance.choice(numbers),
                cached=chance.choice(numbers),
                cache_write=chance.choice(numbers),
                cache_write_1h=chance.choice(numbers),
                reasoning=chance.choice(numbers),
                cost=chance.choice(COSTS),
                total_ms=chance.choice((0.0, 812.5, 0.0007, 1e300)),
                upstream_ms=chance.random() * 1000,
                cache=chance.choice(("", "miss", "hit", "semantic")),
                attempts=tuple(chance.choices(tries, k=chance.randrange(4))),
                session=chance.choice(("", "s1")),
            )
        )
    return rows


ROWS = made_up(random.Random(5), 400)


def ordered(groups: Sequence[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: (group.start, group.names))


@pytest.fixture(scope="module", params=["memory", "file"])
def ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    path = tmp_path_factory.mktemp("usage") / "omniroute.sqlite"
    book: Ledger = MemoryLedger() if request.param == "memory" else SqliteLedger(path, gather=0.002)
    chance = random.Random(6)
    for one in ROWS:
        book.append(one)
        if chance.random() < 0.1:
            book.append(chance.choice(ROWS))  # as a caller would that does not know what was kept
        if chance.random() < 0.05:
            assert book.flush()
    assert book.flush()
    yield book
    assert book.close()


def filters(chance: random.Random, count: int) -> Iterator[Filter]:
    """Times that begin and end with hours and days, and within them; and names."""
    times = (0.0, BEGIN, BEGIN + 3600, BEGIN + 3600.5, BEGIN + 90_000, BEGIN + 100_000.25, BEGIN + 300_000)
    for _ in range(count):
        since, until = sorted((chance.choice(times), chance.choice((*times, float("inf")))))
        given = {name: getattr(chance.choice(ROWS), name) for name in DIMENSIONS if chance.random() < 0.25}
        yield Filter(since=since, until=until, **given)


def test_sums_are_those_of_the_rows_whatever_is_asked(ledger: Ledger) -> None:
    chance = random.Random(7)
    for wanted in (Filter(), *filters(chance, 150)):
        by = chance.sample(DIMENSIONS, chance.randrange(6))
        step = chance.choice((0, 60, 3600, 86_400))
        assert ordered(ledger.sums(wanted, by, step)) == ordered(summed(ROWS, wanted, by, step)), (wanted, by, step)


def test_sums_agree_with_the_totals(ledger: Ledger) -> None:
    (everything,) = ledger.sums(Filter())
    sane = [one for one in ROWS if one.cost is not None]
    assert everything.sums.requests == len(ROWS)
    assert everything.sums.unpriced == len(ROWS) - len(sane) == ledger.totals().unpriced
    assert len(list(ledger.sums(Filter(since=BEGIN + 10**7)))) == 0


def test_pages_hold_what_fits_and_all_of_it(ledger: Ledger) -> None:
    chance = random.Random(8)
    newest = sorted(ROWS, key=lambda one: one.id, reverse=True)
    for wanted in filters(chance, 60):
        more = msgspec.structs.asdict(wanted)
        statuses = chance.choice(((0, 1000), (400, 1000), (200, 300), (429, 430)))
        search = Search(
            **more, statuses=statuses, limit=chance.choice((1, 7, 100)), session=chance.choice((None, "s1"))
        )
        got: list[UsageRow] = []
        while True:
            page = ledger.page(search)
            assert len(page.rows) <= search.limit
            got += page.rows
            if not page.before:
                break
            search = msgspec.structs.replace(search, before=page.before)
        assert got == [one for one in newest if found(one, msgspec.structs.replace(search, before=""))]
        assert all(fits(one, wanted) for one in got)


def test_a_page_is_cut_where_it_would_take_too_long_and_goes_on_there(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omniroute.state.requests.ENOUGH", -1.0)
    monkeypatch.setattr(
        "omniroute.state.requests._EDGE",
        "SELECT id FROM usage WHERE id < ? AND id >= ? ORDER BY id DESC LIMIT 1 OFFSET 50",
    )
    search, rows, pages = Search(session="s1"), 0, 0
    while True:
        page = ledger.page(search)
        rows, pages = rows + len(page.rows), pages + 1
        if not page.before:
            break
        search = msgspec.structs.replace(search, before=page.before)
    assert rows == sum(one.session == "s1" for one in ROWS)
    assert pages in (2, 3) if isinstance(ledger, MemoryLedger) else pages == 8


def test_one_is_found_by_its_id(ledger: Ledger) -> None:
    assert ledger.find(ROWS[3].id) == ROWS[3]
    assert ledger.find("x' OR 1=1 --") is None


def test_the_newest_tell_how_long_they_took(ledger: Ledger) -> None:
    newest = max(ROWS, key=lambda one: one.id)
    first, *_ = told = ledger.timings(10)
    assert len(told) == 10
    assert (first.started, first.provider, first.total_ms) == (newest.started, newest.provider, newest.total_ms)


# ------------------------------------------------------------------------------------------------------------ the file


def kept(path: Path) -> list[Group]:
    with closing(sqlite3.connect(path)) as database:
        rollups.prepare(database)
        return [
            group for step in (3600, 86_400) for group in ordered(rollups.read(database, Filter(), DIMENSIONS, step))
        ]


def true(rows: Sequence[UsageRow]) -> list[Group]:
    return [group for step in (3600, 86_400) for group in ordered(summed(rows, Filter(), DIMENSIONS, step))]


def test_a_file_of_an_earlier_version_gets_the_sums_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "omniroute.sqlite"
    book = SqliteLedger(path, gather=0.0)
    for one in ROWS:
        book.append(one)
    assert book.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("DROP TABLE usage_sums")
        database.execute("DELETE FROM _sqlite_migrations WHERE name = 'm006_usage_sums'")
        database.execute("PRAGMA user_version = 5")
        upgrade(database)
    assert kept(path) == true(ROWS)


def test_rows_that_cannot_be_written_are_not_counted(tmp_path: Path) -> None:
    book = SqliteLedger(tmp_path / "omniroute.sqlite", gather=60)
    good = [row(number) for number in range(20)]
    for number, one in enumerate(good):
        book.append(one)
        if number == 7:
            book.append(row(1000, key="\ud800"))
            book.append(row(1001, total_ms=float("nan")))
            book.append(good[3])
    assert book.flush()
    assert (book.health().lost, book.health().written) == (2, 20)
    assert book.close()
    assert kept(tmp_path / "omniroute.sqlite") == true(good)


CHILD = """
    import sys
    from pathlib import Path
    from omniroute.state.base import UsageRow
    from omniroute.state.sqlite import SqliteLedger
    book = SqliteLedger(Path(sys.argv[1]), gather=0.001)
    for number in range(int(sys.argv[2]), 10**9):
        started = 1_790_000_000 + number
        book.append(UsageRow(id=f"{started * 1000:012x}{number:016x}", started=started, key=str(number % 7), operation="chat",
                             format="", requested="", provider="p", connection="p.c", model="m", status=200, input=number))
        if number % 20 == 19:
            sys.stdout.write(f"{number}\\n")
            sys.stdout.flush()
            book.flush()
"""


def test_sums_are_those_of_the_rows_after_every_kill(tmp_path: Path) -> None:
    path, begin = tmp_path / "omniroute.sqlite", 0
    for kill in range(4):
        command = [sys.executable, "-c", textwrap.dedent(CHILD), str(path), str(begin)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(8 + kill):
            begin = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        child.stdout.close()
        child.wait(5)
        book = SqliteLedger(path)
        assert book.flush()
        rows = book.recent(10**6)
        assert rows
        assert book.close()
        assert kept(path) == true(rows)


def test_a_file_from_elsewhere_gets_sums_of_its_rows_whatever_it_says(tmp_path: Path) -> None:
    given, fresh = tmp_path / "given.sqlite", tmp_path / "fresh.sqlite"
    book = SqliteLedger(given, gather=0.0)
    for one in ROWS[:50]:
        book.append(one)
    assert book.close()
    with closing(sqlite3.connect(given, isolation_level=None)) as database:
        database.execute("UPDATE usage_sums SET requests = 99, cost = '0'")
        database.execute("PRAGMA journal_mode = DELETE")
    rebuild(given, fresh, ours=False)
    assert kept(fresh) == true(ROWS[:50])
