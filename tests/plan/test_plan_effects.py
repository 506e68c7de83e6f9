"""What a plan says of people is what the engine does: each caller and name are asked about in both configurations."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from omniroute import catalog
from omniroute.config.plan import effects, version
from omniroute.config.plan.outlook import Outlook
from omniroute.config.plan.plan import made
from omniroute.errors import CallError
from omniroute.routing.credential import may_use
from omniroute.routing.explain import explain
from omniroute.routing.foresight import Foresight
from omniroute.routing.policies import Supposed
from omniroute.routing.tables import ANONYMOUS, Gateway, Principal
from omniroute.state.memory import memory_state

CATALOG = catalog.load()
CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.is_dir())
NOW = 1_772_445_600.0


def callers(gateway: Gateway) -> dict[bytes, Principal]:
    return dict(gateway.principals) | ({} if gateway.server.require_api_key else {b"": ANONYMOUS})


def served(gateway: Gateway, caller: Principal | None, name: str) -> str:
    """The target that would be tried first, by what `omniroute explain` says; empty where nobody may serve."""
    if (
        caller is None
        or "client" not in caller.roles
        or (caller.expires or NOW + 1) <= NOW
        or not may_use(caller, name)
    ):
        return ""
    operation = Foresight(gateway, NOW).operation(name)
    state = msgspec.structs.replace(memory_state(), random=random.Random(0))  # where chance decides, it is the same
    try:
        told = explain(gateway, state, name, "openai_chat", Supposed(principal=caller, operation=operation, time=NOW))
    except CallError:
        return ""
    return next((step.target for step in told.steps if step.accepted), "")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_who_loses_and_who_gains_is_what_would_be_served(case, monkeypatch):
    monkeypatch.chdir(case)
    old, new = (version.of_file(Path(side) / "omniroute.yaml", CATALOG) for side in ("before", "after"))
    plan = made(old, new, NOW)
    lost, gained, elsewhere = set(), set(), set()
    names = {line.id for gateway in (old.gateway, new.gateway) for line in gateway.models}
    there = callers(new.gateway)
    for digest, caller in callers(old.gateway).items():
        for name in names if digest in there else ():
            was, now = served(old.gateway, caller, name), served(new.gateway, there[digest], name)
            if was and not now:
                lost.add((caller.name, name))
            elif now and not was and name in {line.id for line in old.gateway.models}:
                gained.add((caller.name, name))
            elif was != now and was:
                elsewhere.add((caller.name, name))
    told: dict[str, set[tuple[str, str]]] = {}
    for effect in plan.effects:
        told.setdefault(effect.kind, set()).update((key, name) for key in effect.keys for name in effect.names)
    assert told.get("access_lost", set()) <= lost
    gone = {name for _, name in told.get("name_gone", set())}
    stopped = {caller.name for digest, caller in callers(old.gateway).items() if digest not in there}
    assert {pair for pair in lost if pair[1] not in gone and pair[0] not in stopped} == told.get("access_lost", set())
    assert gained == told.get("access_gained", set())
    moved = {kind: told.get(kind, set()) for kind in ("routed_elsewhere", "price_up", "price_down", "price_changed")}
    assert elsewhere <= set().union(*moved.values())
    assert moved["routed_elsewhere"] <= elsewhere


def test_what_is_too_much_to_look_at_is_said_and_the_rest_is_told(monkeypatch):
    monkeypatch.chdir(Path(__file__).parent / "cases" / "policy-denies-all")
    sides = [Outlook(version.of_file(Path(side) / "omniroute.yaml", CATALOG), NOW) for side in ("before", "after")]
    monkeypatch.setattr(effects, "MOST_PAIRS", 7)
    found, access = effects.effects(*sides)
    told = {effect.kind: effect for effect in found}
    assert told["access_lost"].keys == ("team-a",)
    assert told["not_looked_at"].keys == ("team-b",)
    assert access.lost == {"team-a": 4, "team-b": 0}  # of whom was not looked at, policies are not known
    monkeypatch.setattr(effects, "MOST_DENIALS", 0)
    found, _ = effects.effects(*sides)
    assert any("`closed` and those after it could not be looked at" in effect.text for effect in found)
