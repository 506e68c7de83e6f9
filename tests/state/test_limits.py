"""Rates that are exact, batches that are all or nothing, and counters that are forgotten."""

from __future__ import annotations

import random
from collections import deque
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniroute.state.limits import SECOND, Charge, Denied, Lease, Limit, MemoryLimits, Rate

MINUTE = 60 * SECOND


def limit(name: str = "standard", *, per: str = "key", **measures: object) -> Limit:
    return Limit(name=name, per=per, **measures)


def requests(amount: int, period: int = MINUTE) -> Limit:
    return limit(requests=Rate(amount, period))


def passes(limits: MemoryLimits, charge: Charge, now: float) -> bool:
    return isinstance(limits.take([charge], now), Lease)


def taken(limits: MemoryLimits, charges: list[Charge], now: float) -> Lease:
    lease = limits.take(charges, now)
    assert isinstance(lease, Lease)
    return lease


def refused(limits: MemoryLimits, charges: list[Charge], now: float) -> Denied:
    denied = limits.take(charges, now)
    assert isinstance(denied, Denied)
    return denied


def test_a_full_bucket_goes_at_once_and_one_more_when_one_has_leaked() -> None:
    limits, charge = MemoryLimits(), Charge(requests(60), "a")
    assert [passes(limits, charge, 100.0) for _ in range(61)] == [True] * 60 + [False]
    assert not passes(limits, charge, 100.999)
    assert passes(limits, charge, 101.0)
    assert not passes(limits, charge, 101.0)


@pytest.mark.parametrize("amount", [1, 3, 7, 11, 59, 997])
def test_no_rounding_gives_one_more_or_less(amount: int) -> None:
    limits, charge = MemoryLimits(), Charge(requests(amount, SECOND), "a")
    assert sum(passes(limits, charge, 5.0) for _ in range(amount + 5)) == amount
    assert sum(passes(limits, charge, 6.0) for _ in range(amount + 5)) == amount


def test_the_wait_that_is_told_is_the_one_that_is_needed() -> None:
    limits, charge = MemoryLimits(), Charge(requests(60), "a")
    for _ in range(60):
        passes(limits, charge, 0.0)
    denied = refused(limits, [charge], 0.25)
    assert denied.wait == pytest.approx(0.75)
    assert denied.measure == "requests"
    assert passes(limits, charge, 0.25 + denied.wait + 1e-6)


def test_subjects_do_not_know_each_other() -> None:
    limits, one = MemoryLimits(), requests(1)
    assert passes(limits, Charge(one, "a"), 0)
    assert passes(limits, Charge(one, "b"), 0)
    assert not passes(limits, Charge(one, "a"), 0)


def test_a_batch_takes_all_or_nothing_and_tells_the_longest_wait() -> None:
    limits = MemoryLimits()
    wide, narrow, slow = (
        requests(100),
        limit("narrow", requests=Rate(1, SECOND)),
        limit("slow", requests=Rate(1, MINUTE)),
    )
    batch = [Charge(wide, "a"), Charge(narrow, "a"), Charge(slow, "a")]
    lease = taken(limits, batch, 0)
    denied = refused(limits, batch, 0.5)
    assert (denied.limit.name, denied.wait) == ("slow", 59.5)
    limits.settle(lease, 0, 0.5)
    left = {standing.limit: standing.remaining for standing in limits.view(0.5)}
    assert left == {"standard": 99, "narrow": 0, "slow": 0}


def test_what_is_under_way_is_bounded_and_given_back_once() -> None:
    limits, charge = MemoryLimits(), Charge(limit(concurrent=2), "a")
    first, _second = taken(limits, [charge], 0), taken(limits, [charge], 0)
    assert refused(limits, [charge], 0).measure == "concurrent"
    limits.settle(first, 0, 0)
    limits.settle(first, 0, 0)
    taken(limits, [charge], 0)
    assert refused(limits, [charge], 0).measure == "concurrent"


def test_what_was_not_taken_of_a_reservation_comes_back() -> None:
    limits, charge = MemoryLimits(), Charge(limit(tokens=Rate(1000, MINUTE)), "a", 900)
    lease = taken(limits, [charge], 0)
    assert refused(limits, [charge], 0).measure == "tokens"
    limits.settle(lease, 100, 0)
    assert passes(limits, charge, 0)


def test_what_was_taken_beyond_a_reservation_is_owed() -> None:
    limits, small = MemoryLimits(), Charge(limit(tokens=Rate(1000, MINUTE)), "a", 10)
    limits.settle(taken(limits, [small], 0), 3000, 0)
    assert refused(limits, [small], 0).wait == pytest.approx(60 * 2010 / 1000)
    assert not passes(limits, small, 120.5)
    assert passes(limits, small, 120.7)


def test_a_late_refund_does_not_pay_for_what_others_took() -> None:
    limits, rate = MemoryLimits(), limit(tokens=Rate(1000, MINUTE))
    slow = taken(limits, [Charge(rate, "a", 500)], 0)
    limits.settle(taken(limits, [Charge(rate, "a", 500)], 300), 500, 300)
    limits.settle(slow, 0, 300)
    assert not passes(limits, Charge(rate, "a", 501), 300)
    assert passes(limits, Charge(rate, "a", 500), 300)


def test_a_request_larger_than_the_limit_goes_when_all_of_it_is_there() -> None:
    limits, large = MemoryLimits(), Charge(limit(tokens=Rate(1000, MINUTE)), "a", 5000)
    lease = taken(limits, [large], 0)
    assert refused(limits, [Charge(large.limit, "a", 1)], 0).wait == 1.0, "only the end of the other can help"
    limits.settle(lease, 5000, 0)
    assert not passes(limits, large, 299)
    assert passes(limits, large, 300)


def test_a_look_takes_nothing() -> None:
    limits, charge = MemoryLimits(), Charge(requests(1), "a")
    assert [limits.look(charge, 0) for _ in range(3)] == [None] * 3
    assert passes(limits, charge, 0)
    denied = limits.look(charge, 0)
    assert denied is not None
    assert denied == refused(limits, [charge], 0)


def test_a_reload_keeps_what_was_used() -> None:
    limits = MemoryLimits()
    for _ in range(50):
        passes(limits, Charge(requests(60), "a"), 0)
    assert sum(passes(limits, Charge(requests(100), "a"), 0) for _ in range(100)) == 50
    tighter = requests(10)
    assert refused(limits, [Charge(tighter, "a")], 0).wait == pytest.approx(6), "no more than a full bucket is kept"
    hourly = requests(600, 60 * MINUTE)
    assert sum(passes(limits, Charge(hourly, "a"), 0) for _ in range(700)) == 590


def test_a_measure_that_a_reload_adds_begins_empty() -> None:
    limits = MemoryLimits()
    lease = taken(limits, [Charge(requests(5), "a")], 0)
    both = limit(requests=Rate(5, MINUTE), tokens=Rate(10, MINUTE))
    assert passes(limits, Charge(both, "a", 10), 0)
    limits.settle(lease, 7, 0)
    assert refused(limits, [Charge(both, "a", 1)], 0).measure == "tokens"


def test_counters_that_are_full_again_are_forgotten() -> None:
    limits, one = MemoryLimits(), requests(60)
    for number in range(50_000):
        lease = taken(limits, [Charge(one, f"{number}")], number * 0.1)
        limits.settle(lease, 0, number * 0.1)
    assert len(limits._counters["standard"]) < 20


def test_a_flood_of_subjects_is_bounded_and_forgets_nobody_who_is_under_way() -> None:
    limits, one = MemoryLimits(most=100), limit(requests=Rate(2, MINUTE), concurrent=1)
    held = taken(limits, [Charge(one, "held")], 0)
    for number in range(5_000):
        limits.settle(taken(limits, [Charge(one, f"{number}")], 0), 0, 0)
    assert len(limits._counters["standard"]) <= 101
    assert refused(limits, [Charge(one, "held")], 0).measure == "concurrent"
    limits.settle(held, 0, 0)


def test_a_clock_set_back_neither_gives_nor_takes() -> None:
    limits, charge = MemoryLimits(), Charge(requests(60), "a")
    assert sum(passes(limits, charge, 10_000) for _ in range(100)) == 60
    assert not passes(limits, charge, 6_400)
    assert refused(limits, [charge], 6_400).wait == 1.0
    assert passes(limits, charge, 6_401)


STEPS = st.lists(st.tuples(st.integers(-5_000, 5_000), st.integers(1, 20)), max_size=60)


@given(steps=STEPS, amount=st.integers(1, 50), period=st.integers(1, 5_000))
def test_a_rate_is_that_of_the_ideal_bucket_whatever_the_clock_does(
    steps: list[tuple[int, int]], amount: int, period: int
) -> None:
    """Against fractions, with steps of the clock of up to five seconds in both directions."""
    limits, charge = MemoryLimits(), Charge(requests(amount, period * 1_000_000), "a")
    millis, level = 1_000_000, Fraction(0)
    for step, tries in steps:
        millis += step
        level = max(Fraction(0), level - Fraction(max(0, step) * amount, period))
        for _ in range(tries):
            fits = level + 1 <= amount
            level += fits
            assert passes(limits, charge, millis / 1000) == fits


def test_never_more_than_a_bucket_and_what_leaked_under_a_million_tries() -> None:
    """A shorter run of tests/reliability/limits.py."""
    from reliability.limits import run

    told = run(requests=50_000, seed=7)
    assert told.violations == 0
    assert told.admitted > 1_000


def test_random_requests_never_drift() -> None:
    """After all are settled and time has passed, everything is there again."""
    chance, limits = random.Random(3), MemoryLimits()
    one = limit(requests=Rate(50, SECOND), tokens=Rate(10_000, SECOND), concurrent=20)
    under_way: deque[Lease] = deque()
    now = 0.0
    for _ in range(20_000):
        now += chance.random() / 50
        outcome = limits.take([Charge(one, "a", chance.randrange(2_000))], now)
        if isinstance(outcome, Lease):
            under_way.append(outcome)
        if under_way and (len(under_way) > 10 or chance.random() < 0.3):
            limits.settle(under_way.popleft(), chance.randrange(3_000), now)
    for lease in under_way:
        limits.settle(lease, 100, now)
    assert limits._counters["standard"]["a"].under_way == 0
    assert limits._counters["standard"]["a"].reserved == 0
    assert [standing.remaining for standing in limits.view(now + 60)] == [50, 10_000, 20]
