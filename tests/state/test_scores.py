"""What is remembered for routing, within bounds."""

from __future__ import annotations

import pytest

from omniroute.state.scores import MOST_HEDGES, MOST_NAMES, MemoryScores
from omniroute.state.sessions import SESSION_TTL, Home, MemorySessions

HERE = Home("a/1", "a.main")


def test_names_beyond_the_bound_make_room() -> None:
    scores = MemoryScores()
    for number in range(MOST_NAMES + 10):
        scores.began("c", f"a/{number}", 0.0)
        scores.ended("c", f"a/{number}", 0.0, good=True, seconds=1.0, stream=False)
    assert scores.score("c", "a/0", 0.0, stream=False).latency is None
    assert scores.score("c", f"a/{MOST_NAMES}", 0.0, stream=False).latency == 1.0
    scores.ended("c", "a/0", 0.0, good=True, seconds=1.0, stream=False)  # of one that had to go meanwhile


def test_a_try_without_a_verdict_is_no_failure_and_no_success() -> None:
    scores = MemoryScores()
    scores.began("c", "a/1", 0.0)
    assert scores.score("c", "a/1", 0.0, stream=False).in_flight == 1
    scores.ended("c", "a/1", 0.0, good=None, seconds=9.0, stream=False)
    told = scores.score("c", "a/1", 0.0, stream=False)
    assert (told.in_flight, told.success, told.latency, told.uses) == (0, 1.0, None, 1.0)
    assert scores.last_good("c") is None


@pytest.mark.parametrize("share", [0.05, 0.1, 0.333, 1.0])
def test_no_more_than_the_budget_may_hedge_whatever_the_order(share: float) -> None:
    scores = MemoryScores()
    hedged = 0
    for number in range(1, 1001):
        scores.earn("c", share)
        hedged += scores.may_hedge("c")
        assert hedged <= share * number + 1e-6
    assert hedged >= 1000 * share - 1


def test_quiet_hours_save_up_a_few_hedges_only() -> None:
    scores = MemoryScores()
    for _ in range(100_000):
        scores.earn("c", 0.05)
    assert sum(scores.may_hedge("c") for _ in range(1000)) == MOST_HEDGES


def test_sessions_are_bounded_by_number_and_by_time() -> None:
    sessions = MemorySessions(capacity=3)
    for number in range(4):
        sessions.settle("c", f"s{number}", HERE, float(number))
    assert [sessions.home("c", f"s{number}", 4.0) for number in range(4)] == [None, HERE, HERE, HERE]
    sessions.settle("c", "s1", HERE, 5.0)
    sessions.settle("c", "s4", HERE, 6.0)
    assert sessions.home("c", "s2", 6.0) is None, "the one that was longest without a request"
    assert sessions.home("c", "s1", 6.0) == HERE
    assert sessions.home("c", "s1", 5.0 + SESSION_TTL) is None
    sessions.settle("c", "later", HERE, 10_000.0)
    assert sessions.home("c", "s4", 6.5) is None, "what has expired goes with the next one that comes"
    assert sessions.home("other", "later", 10_000.0) is None
