"""Runs of evals, in memory and in the file alike."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from omniroute.errors import Unavailable
from omniroute.state import evals
from omniroute.state.evals import CaseRow, Check, EvalRuns, MemoryEvals, RunRow, SqliteEvals


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path) -> EvalRuns:
    return MemoryEvals() if request.param == "memory" else SqliteEvals(tmp_path / "x.sqlite")


def run(ident: str, started: float, **more: object) -> RunRow:
    return RunRow(**{"id": ident, "suite": "s", "started": started, "total": 2, "revision": "r", **more})


def test_a_run_and_its_cases_come_back_as_they_were(store):
    begun = run("a", 1.5, target="m")
    store.begin(begun)
    cases = [
        CaseRow(
            name="z",
            status="failed",
            score=0.25,
            ms=1.5,
            model="p/m",
            input=3,
            output=4,
            cost=Decimal("0.000001"),
            reason="exact: no",
            checks=(Check("exact", False, 0.0, "no"), Check("judge", None, 0.0, "nobody")),
            answer="said",
        ),
        CaseRow(name="a", status="error"),
    ]
    for case in cases:
        store.add("a", case)
    ended = run("a", 1.5, target="m", status="done", ended=2.5, passed=0, failed=2, score=0.125, cost=Decimal("0.5"))
    assert store.run("a") == begun
    store.end(ended)
    assert store.run("a") == ended
    assert store.cases("a") == cases
    assert store.run("b") is None
    assert store.cases("b") == []


def test_the_newest_run_is_told_first(store):
    for number in range(4):
        store.begin(run(f"r{number}", float(number), suite="st"[number % 2]))
    assert [each.id for each in store.runs()] == ["r3", "r2", "r1", "r0"]
    assert [each.id for each in store.runs("s")] == ["r2", "r0"]
    assert [each.id for each in store.runs(limit=2)] == ["r3", "r2"]


def test_a_run_is_held_against_one_that_came_to_its_end_with_the_same_target(store):
    for number, (status, target) in enumerate(
        [("done", ""), ("done", "m"), ("cancelled", ""), ("interrupted", ""), ("running", ""), ("done", "")]
    ):
        store.begin(run(f"r{number}", float(number), status=status, target=target))
    store.begin(run("other", 4.5, suite="t", status="done"))
    assert store.before(store.run("r5")).id == "r0"
    assert store.before(store.run("r0")) is None


def test_what_was_under_way_is_interrupted_once(store):
    store.begin(run("a", 1.0))
    store.begin(run("b", 2.0, status="done", ended=3.0))
    assert store.interrupt(9.0) == 1
    assert (store.run("a").status, store.run("a").ended) == ("interrupted", 9.0)
    assert store.run("b").ended == 3.0
    assert store.interrupt(10.0) == 0


def test_what_is_forgotten_takes_its_cases_along(store):
    for ident, status in (("a", "done"), ("b", "done"), ("c", "running")):
        store.begin(run(ident, 1.0, status=status))
        store.add(ident, CaseRow(name="x", status="passed"))
    assert store.delete("a")
    assert not store.delete("a")
    assert store.cases("a") == []
    assert store.forget("s") == 1
    assert [each.id for each in store.runs()] == ["c"]
    assert store.cases("c") != []


def test_old_runs_make_room_but_for_those_under_way(store, monkeypatch):
    monkeypatch.setattr(evals, "KEPT", 3)
    for number in range(6):
        store.begin(run(f"r{number}", float(number), status="running" if number == 1 else "done"))
    assert [each.id for each in store.runs()] == ["r5", "r4", "r3", "r1"]


def test_a_file_that_cannot_be_written_or_read_says_so(tmp_path: Path):
    (tmp_path / "x.sqlite").write_bytes(b"no database at all, and long enough to be taken for a damaged one" * 20)
    store = SqliteEvals(tmp_path / "x.sqlite")
    for ask in (lambda: store.begin(run("a", 1.0)), store.runs, lambda: store.interrupt(1.0)):
        with pytest.raises(Unavailable):
            ask()


def test_no_case_stays_without_its_run(tmp_path: Path):
    store = SqliteEvals(tmp_path / "x.sqlite")
    store.begin(run("a", 1.0))
    store.add("a", CaseRow(name="x", status="passed"))
    store.delete("a")
    with pytest.raises(Unavailable):
        store.add("a", CaseRow(name="y", status="passed"))
    with closing(sqlite3.connect(tmp_path / "x.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM eval_cases").fetchone() == (0,)
