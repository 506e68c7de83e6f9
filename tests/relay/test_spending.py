"""Shorter runs of what `tests/reliability/` proves about money."""

from __future__ import annotations

from reliability import budgets, kills


def test_parallel_clients_never_overspend_and_the_books_agree() -> None:
    told = budgets.run(requests=2_500, seed=5)
    assert (told.overspent, told.differing) == (0, 0)
    assert told.answered > 500
    assert told.refused > 200
    assert told.short > 20


def test_a_killed_process_knows_what_was_spent() -> None:
    told = kills.run(kills=2, seed=5)
    assert (told.late, told.doubled, told.differing) == (0, 0, 0)
    assert told.rows > 10
