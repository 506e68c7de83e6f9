"""What is under way, and whose turn it is."""

from __future__ import annotations

import pytest

from omniroute.state.memory import MemoryCounters


def test_no_more_than_the_limit_is_under_way() -> None:
    counters = MemoryCounters()
    assert [counters.acquire("a", 2) for _ in range(3)] == [True, True, False]
    assert counters.in_flight("a") == 2
    counters.release("a")
    assert counters.acquire("a", 2)


def test_without_a_limit_all_is_counted() -> None:
    counters = MemoryCounters()
    assert all(counters.acquire("a") for _ in range(1_000))
    assert counters.in_flight("a") == 1_000
    assert counters.in_flight("b") == 0


def test_a_limit_lowered_by_a_reload_counts_at_once() -> None:
    counters = MemoryCounters()
    for _ in range(5):
        counters.acquire("a", 5)
    assert not counters.acquire("a", 3)


def test_names_that_are_not_used_are_not_kept() -> None:
    counters = MemoryCounters()
    counters.acquire("a")
    counters.release("a")
    assert counters._under_way == {}


def test_what_was_not_counted_cannot_be_released() -> None:
    with pytest.raises(KeyError):
        MemoryCounters().release("a")


def test_turns_are_counted_by_name() -> None:
    counters = MemoryCounters()
    assert [counters.next("a") for _ in range(3)] == [0, 1, 2]
    assert counters.next("b") == 0
    assert counters.next("a") == 3
