"""What every ledger must do, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from math import inf
from pathlib import Path

import msgspec
import pytest

from omniroute.state.base import Attempt, Ledger, Totals, UsageRow
from omniroute.state.memory import MemoryLedger
from omniroute.state.sqlite import SqliteLedger

MAKERS: dict[str, Callable[[Path], Ledger]] = {
    "memory": lambda _path: MemoryLedger(),
    "sqlite": lambda path: SqliteLedger(path / "data" / "omniroute.sqlite", gather=0.01),
}


@pytest.fixture(params=MAKERS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    made = MAKERS[request.param](tmp_path)
    yield made
    made.close()


def row(number: int, **fields: object) -> UsageRow:
    known = {
        "id": f"{number:016x}",
        "started": 1_700_000_000.25 + number,
        "key": "team-a",
        "operation": "chat",
        "format": "openai_chat",
        "requested": "coding",
        "provider": "openai",
        "connection": "openai.team",
        "model": "gpt-5.4",
        "status": 200,
    }
    return UsageRow(**{**known, **fields})


FULL = row(
    7,
    status=529,
    error="overloaded",
    code="overloaded_error",
    stream=True,
    input=1_200,
    output=340,
    cached=800,
    cache_write=20,
    cache_write_1h=30,
    reasoning=100,
    estimated=True,
    cost=Decimal("1.2345678901234567890123"),
    total_ms=812.5,
    upstream_ms=800.25,
    gateway_ms=0.4,
    ttft_ms=210.0,
    attempts=(
        Attempt("openai/gpt-5.4", "openai.team", "rate_limited", 429, 12.5, "slow down – „bitte“ \x00 \U0001f600"),
        Attempt("openai/gpt-5.4", "openai.backup", "skipped"),
    ),
    losses=("logit_bias", "image_url"),
    revision="9f86d081884c7d65",
)


def test_a_row_comes_back_as_it_went_in(ledger: Ledger) -> None:
    bare = row(8)
    ledger.append(FULL)
    ledger.append(bare)
    assert ledger.flush()
    assert list(ledger.recent(10)) == [bare, FULL]
    assert str(ledger.recent(10)[1].cost) == str(FULL.cost)


def test_an_empty_ledger_has_nothing_to_tell(ledger: Ledger) -> None:
    assert ledger.flush()
    assert list(ledger.recent(10)) == []
    assert ledger.totals() == Totals()
    assert ledger.health().ok


def test_a_file_that_has_no_rows_yet_sums_to_nothing(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "usage.sqlite")
    assert ledger.close(), "the writer has made the table, and has nothing to write"
    assert (tmp_path / "usage.sqlite").exists()
    assert ledger.totals() == Totals()


def test_the_newest_rows_come_first(ledger: Ledger) -> None:
    for number in (3, 1, 5, 2, 4):
        ledger.append(row(number))
    ledger.flush()
    assert [entry.id[-1] for entry in ledger.recent(3)] == ["5", "4", "3"]


def test_a_row_is_kept_once(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.append(row(1, cost=Decimal(1)))
        ledger.flush()
    ledger.append(row(2, cost=Decimal(1)))
    ledger.append(row(2, cost=Decimal(5)))
    ledger.flush()
    assert ledger.totals() == Totals(requests=2, cost=Decimal(2))
    assert ledger.health().written == 2


def test_totals_are_exact(ledger: Ledger) -> None:
    for number in range(1_000):
        ledger.append(
            row(number, input=10, output=3, cached=4, cache_write=1, cache_write_1h=2, reasoning=1, cost=Decimal("0.1"))
        )
    ledger.append(row(1_000, input=5, output=5))
    ledger.append(row(1_001, cost=Decimal("0.0000000028")))
    ledger.flush()
    assert ledger.totals() == Totals(
        requests=1_002,
        input=10_005,
        output=3_005,
        cached=4_000,
        cache_write=1_000,
        cache_write_1h=2_000,
        reasoning=1_000,
        cost=Decimal("100.0000000028"),
        unpriced=1,
    )


def test_a_cost_of_nothing_is_not_an_unknown_cost(ledger: Ledger) -> None:
    ledger.append(row(1, cost=Decimal(0)))
    ledger.append(row(2))
    ledger.flush()
    assert [entry.cost for entry in ledger.recent(2)] == [None, Decimal(0)]
    assert ledger.totals().unpriced == 1


def test_closing_writes_all_and_later_rows_are_counted_as_lost(ledger: Ledger) -> None:
    for number in range(100):
        ledger.append(row(number))
    assert ledger.close()
    ledger.append(row(100))
    health = ledger.health()
    assert (health.pending, health.written, health.lost) == (0, 100, 1)
    assert ledger.totals().requests == 100
    assert ledger.close(), "closing twice does no harm"


def test_absurd_numbers_do_not_break_the_sums(ledger: Ledger) -> None:
    for number in range(20):
        ledger.append(row(number, input=10**18))
    ledger.flush()
    assert ledger.totals().requests == 20
    assert ledger.totals().input >= 2**63 - 1


def test_the_memory_ledger_makes_room_for_new_rows() -> None:
    ledger = MemoryLedger(capacity=3)
    for number in range(5):
        ledger.append(row(number))
    assert [entry.id[-1] for entry in ledger.recent(10)] == ["4", "3", "2"]


def test_what_keys_spent_in_a_time_is_exact(ledger: Ledger) -> None:
    began = 1_700_000_000.0
    for number in range(400):
        key = ("a", "b", "c'; --")[number % 3]
        cost = None if number % 10 == 0 else Decimal(1 + number % 7).scaleb(-12) + Decimal(10) ** 9
        started = began + number
        ident = f"{int(started * 1000):012x}{number:016x}"
        ledger.append(msgspec.structs.replace(row(number), id=ident, key=key, cost=cost, started=started))
    assert ledger.flush()
    rows = [each for each in ledger.recent(1000) if each.cost is not None]
    for keys in (["a"], ["a", "c'; --"], ["nobody"]):
        for since, until in ((began, inf), (began + 100, began + 200), (0.0, began + 1), (began + 9, began + 9)):
            wanted = sum(each.cost for each in rows if each.key in keys and since <= each.started < until)
            assert ledger.spent(keys, since, until) == wanted
