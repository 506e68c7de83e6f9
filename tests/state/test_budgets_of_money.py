"""Money that cannot be spent twice, and periods as the calendar of their zone has them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniroute.state.budgets import Budget, Exhausted, MemoryBudgets, Reservation, span

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0


def budget(limit: str = "10", name: str = "team-a", **more: Any) -> Budget:
    return Budget(name=name, limit=Decimal(limit), **({"period": "daily"} | more))


def reserved(budgets: MemoryBudgets, of: list[Budget], amount: str, now: float = NOON, **more: bool) -> Reservation:
    reservation = budgets.reserve(of, Decimal(amount), now, **more)
    assert isinstance(reservation, Reservation)
    return reservation


def refused(budgets: MemoryBudgets, of: list[Budget], amount: str, now: float = NOON, **more: bool) -> Exhausted:
    exhausted = budgets.reserve(of, Decimal(amount), now, **more)
    assert isinstance(exhausted, Exhausted)
    return exhausted


def spend(budgets: MemoryBudgets, of: list[Budget], amount: str, now: float = NOON) -> None:
    budgets.settle(reserved(budgets, of, amount, now), Decimal(amount))


def test_what_is_reserved_cannot_be_reserved_again() -> None:
    budgets, one = MemoryBudgets(), budget("10")
    held = reserved(budgets, [one], "6")
    assert refused(budgets, [one], "4.0000001").spent == 0
    other = reserved(budgets, [one], "4")
    budgets.settle(held, Decimal("0.25"))
    budgets.settle(held, Decimal("0.25"))
    budgets.settle(other, Decimal(4))
    standing = budgets.balance(one, NOON)
    assert (standing.spent, standing.reserved, standing.remaining) == (Decimal("4.25"), 0, Decimal("5.75"))


def test_several_budgets_are_reserved_from_all_or_none() -> None:
    budgets, small, large = MemoryBudgets(), budget("1", "small"), budget("100", "large")
    assert refused(budgets, [large, small], "2").budget is small
    assert budgets.balance(large, NOON).reserved == 0


def test_a_budget_that_refuses_comes_before_one_that_leads_elsewhere() -> None:
    budgets = MemoryBudgets()
    leading, hard = budget("1", "leading", route_to="cheap", period="monthly"), budget("1", "hard")
    assert refused(budgets, [leading, hard], "2").budget is hard
    assert refused(budgets, [leading], "2").budget is leading


def test_beyond_its_end_only_a_budget_with_a_way_on_is_reserved() -> None:
    budgets = MemoryBudgets()
    leading, hard = budget("1", "leading", route_to="cheap"), budget("5", "hard")
    budgets.settle(reserved(budgets, [leading, hard], "3", beyond=True), Decimal(3))
    assert budgets.balance(leading, NOON).spent == 3
    assert refused(budgets, [leading, hard], "3", beyond=True).budget is hard


def test_the_next_period_begins_at_nothing_and_a_late_end_counts_in_the_one_it_began_in() -> None:
    budgets, one = MemoryBudgets(), budget("10")
    late = reserved(budgets, [one], "10")
    assert refused(budgets, [one], "1").resets == datetime(2026, 6, 16, tzinfo=UTC).timestamp()
    reserved(budgets, [one], "10", NOON + DAY)
    budgets.settle(late, Decimal(9))
    assert budgets.balance(one, NOON + DAY).spent == 0
    assert budgets.balance(one, NOON).spent == 9, "a clock that is set back finds what was spent"


def test_a_clock_set_back_beyond_what_is_remembered_gives_no_fresh_budget() -> None:
    budgets, one = MemoryBudgets(), budget("10")
    spend(budgets, [one], "10")
    assert refused(budgets, [one], "1", NOON - 5 * DAY).spent == 10


def test_only_a_few_periods_are_remembered() -> None:
    budgets, one = MemoryBudgets(), budget(period="hourly")
    for hour in range(1_000):
        spend(budgets, [one], "1", NOON + hour * 3600)
    assert len(budgets._accounts["team-a"]) == 3


def test_a_warning_is_given_once_a_period() -> None:
    budgets, one = MemoryBudgets(), budget("10", warn_at=Decimal(8))
    heard = [budgets.settle(reserved(budgets, [one], "1"), Decimal(1)) for _ in range(10)]
    assert [len(each) for each in heard] == [0] * 7 + [1] + [0] * 2
    assert heard[7][0].spent == 8
    assert budgets.balance(one, NOON).warned
    assert not budgets.balance(one, NOON + DAY).warned


def test_nothing_is_spent_before_the_ledger_has_told() -> None:
    budgets, one = MemoryBudgets(), budget("10", warn_at=Decimal(8))
    budgets.expect(one, NOON)
    assert not refused(budgets, [one], "0").known
    budgets.restore(one, NOON, Decimal("9.5"))
    assert refused(budgets, [one], "1").known
    assert budgets.settle(reserved(budgets, [one], "0.5"), Decimal("0.5")) == [], "the warning was given before"


def test_a_changed_period_is_another_account_and_a_changed_limit_is_not() -> None:
    budgets = MemoryBudgets()
    spend(budgets, [budget("10")], "7")
    assert budgets.balance(budget("8"), NOON).remaining == 1
    assert budgets.balance(budget("8", period="monthly"), NOON).spent == 0
    assert budgets.balance(budget("8"), NOON).spent == 7


# --------------------------------------------------------------------------------------------------------- periods

BERLIN = ZoneInfo("Europe/Berlin")


def local(*parts: int, zone: tzinfo = BERLIN) -> float:
    return datetime(*parts, tzinfo=zone).timestamp()  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("period", "reset", "now", "start", "end"),
    [
        ("daily", 0, (2026, 6, 15, 12), (2026, 6, 15), (2026, 6, 16)),
        ("daily", 0, (2026, 6, 15), (2026, 6, 15), (2026, 6, 16)),
        ("daily", 540, (2026, 6, 15, 8, 59), (2026, 6, 14, 9), (2026, 6, 15, 9)),
        ("daily", 540, (2026, 6, 15, 9), (2026, 6, 15, 9), (2026, 6, 16, 9)),
        ("daily", 0, (2026, 3, 29, 12), (2026, 3, 29), (2026, 3, 30)),  # 23 hours
        ("daily", 0, (2026, 10, 25, 12), (2026, 10, 25), (2026, 10, 26)),  # 25 hours
        ("daily", 150, (2026, 3, 29, 3, 10), (2026, 3, 28, 2, 30), (2026, 3, 29, 3, 30)),  # 2:30 is left out
        ("daily", 150, (2026, 10, 25, 12), (2026, 10, 25, 2, 30), (2026, 10, 26, 2, 30)),  # and here twice
        ("weekly", 0, (2026, 6, 15), (2026, 6, 15), (2026, 6, 22)),
        ("weekly", 60, (2026, 6, 15, 0, 59), (2026, 6, 8, 1), (2026, 6, 15, 1)),
        ("weekly", 0, (2026, 3, 29, 23), (2026, 3, 23), (2026, 3, 30)),
        ("monthly", 0, (2026, 2, 28, 23), (2026, 2, 1), (2026, 3, 1)),
        ("monthly", 0, (2026, 12, 31), (2026, 12, 1), (2027, 1, 1)),
        ("monthly", 480, (2026, 3, 1, 7), (2026, 2, 1, 8), (2026, 3, 1, 8)),
    ],
)
def test_a_period_is_that_of_the_calendar(
    period: Any, reset: int, now: tuple[int, ...], start: tuple[int, ...], end: tuple[int, ...]
) -> None:
    found = span(budget(period=period, reset=reset, zone=BERLIN), local(*now))
    assert (found.start, found.end) == (local(*start), local(*end))


def test_an_hour_is_an_hour_and_a_total_has_no_end() -> None:
    assert span(budget(period="hourly"), NOON + 1800) == span(budget(period="hourly"), NOON)
    quarter = span(budget(period="hourly", reset=15), NOON)
    assert (quarter.start, quarter.end) == (NOON - 2700, NOON + 900)
    assert span(budget(period="total"), NOON) == span(budget(period="total"), 0)


ZONES = ("Europe/Berlin", "America/Havana", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "UTC")


@given(
    now=st.integers(1_262_304_000, 1_893_456_000),
    zone=st.sampled_from(ZONES),
    period=st.sampled_from(["hourly", "daily", "weekly", "monthly"]),
    reset=st.integers(0, 1439),
)
def test_periods_follow_each_other_without_gap_and_overlap(now: int, zone: str, period: Any, reset: int) -> None:
    one = budget(period=period, reset=reset, zone=ZoneInfo(zone))
    spans = [span(one, now)]
    assert spans[0].start <= now < spans[0].end
    for _ in range(4):
        spans.append(span(one, spans[-1].end))
        assert span(one, spans[-1].end - 1) == spans[-1]
    assert all(before.end == after.start for before, after in pairwise(spans))
