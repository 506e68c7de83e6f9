"""What a plan says, held against what was reviewed: a folder for each case, with the files before and after."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from omniroute import catalog
from omniroute.config.plan import shown, version
from omniroute.config.plan.plan import Plan, applied, encode, made

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.is_dir())
CATALOG = catalog.load()
NOW = 1_772_445_600.0  # 2026-03-02, for the keys that expire


def planned(before: str = "before", after: str = "after") -> Plan:
    sides = [version.of_file(Path(side) / "omniroute.yaml", CATALOG) for side in (before, after)]
    return made(*sides, NOW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_plan_says_what_was_reviewed(case, golden, monkeypatch):
    monkeypatch.chdir(case)
    plan = planned()
    told = msgspec.structs.replace(plan, files=dict.fromkeys(plan.files, None))  # the files stand beside it
    golden(case / "plan.json", encode(told).decode())
    golden(case / "plan.txt", f"{shown.text(plan)}\n")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_nothing_differs_from_itself(case, monkeypatch):
    monkeypatch.chdir(case)
    for side in ("before", "after"):
        plan = planned(side, side)
        assert plan.empty
        assert (plan.changes, plan.effects, plan.files) == ((), (), {})
        assert not plan.blast.exceeded


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_plan_leads_to_is_what_it_was_made_of(case, monkeypatch, tmp_path):
    monkeypatch.chdir(case)
    old, new = (version.of_file(Path(side) / "omniroute.yaml", CATALOG) for side in ("before", "after"))
    plan = made(old, new, NOW)
    for name, content in applied(old.files, plan).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    there = version.of_file(tmp_path / "omniroute.yaml", CATALOG)
    assert there.digest == plan.target.digest == new.digest
    assert made(new, there, NOW).empty


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_way_back_undoes_all_of_it(case, monkeypatch):
    """Every object that a plan adds, the plan back removes, and the other way round."""
    monkeypatch.chdir(case)
    there, back = planned(), planned("after", "before")
    opposite = {"added": "removed", "removed": "added", "changed": "changed", "renamed": "renamed"}
    forth = {(change.was or change.path, opposite[change.change]) for change in there.changes}
    assert forth == {(change.path, change.change) for change in back.changes}
