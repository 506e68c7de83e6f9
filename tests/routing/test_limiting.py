"""Limits and budgets in the plan and in what is explained of it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from support.tables import state

from omniroute import catalog
from omniroute.config import bundle
from omniroute.config.compile import compile_gateway
from omniroute.routing.explain import Explanation, explain
from omniroute.routing.limiting import of_caller, of_candidate, targets
from omniroute.routing.policies import Supposed
from omniroute.routing.spending import balances, changes, payers
from omniroute.routing.tables import ANONYMOUS, Gateway, Principal
from omniroute.state.base import State
from omniroute.state.limits import Lease

NODE = "{type: openai-compatible, base_url: 'http://127.0.0.1:9/v1', connections: {main: {}}, models: {m: {price: {input: 1, output: 1}}}}"
CONFIG = f"""\
version: 1
providers: {{a: {NODE}, b: {NODE}}}
combos: {{both: {{targets: [a/m, b/m]}}}}
keys:
  k: {{digest: 'sha256:{"a" * 64}', limits: [own, narrow], budgets: [hard, led], tags: {{plan: trial}}}}
  other: {{digest: 'sha256:{"b" * 64}', budgets: [hard]}}
limits:
  own: {{requests: 2/1m, concurrent: 3}}
  narrow: {{requests: 1/1m, per: model}}
  all: {{tokens: 1000/1m, per: global, always: true}}
  trial: {{requests: 5/1m}}
budgets:
  hard: {{limit: 10, period: total}}
  led: {{limit: 5, period: daily, on_exhausted: {{route_to: b/m}}}}
policies:
  about-b: {{match: {{tags: {{plan: trial}}, models: [b/*]}}, rules: [{{limit: trial}}]}}
"""


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return compiled(tmp_path, CONFIG)


def compiled(folder: Path, text: str) -> Gateway:
    file = folder / "omniroute.yaml"
    file.write_text(text)
    return compile_gateway(bundle.read(file, catalog.load()), catalog.load())


def caller(gateway: Gateway, name: str = "k") -> Principal:
    return next(one for one in gateway.principals.values() if one.name == name)


def explained(gateway: Gateway, running: State, model: str = "both", name: str = "k") -> Explanation:
    principal = caller(gateway, name) if name else ANONYMOUS
    return explain(gateway, running, model, "openai_chat", Supposed(principal=principal))


def test_what_always_holds_holds_for_everybody_and_once(gateway: Gateway) -> None:
    assert [limit.name for limit in gateway.limits.callers] == ["all"]
    assert [limit.name for limit in caller(gateway).limits.callers] == ["own", "all"]
    assert [limit.name for limit in caller(gateway).limits.candidates] == ["narrow"]


def test_limits_and_budgets_are_explained(gateway: Gateway) -> None:
    told = explained(gateway, state())
    assert [(one.limit, one.measure, one.remaining) for one in told.limits] == [
        ("own", "requests", 2),
        ("own", "concurrent", 3),
        ("all", "tokens", 1000),
        ("trial", "requests", 5),
    ]
    assert [(one.name, one.remaining) for one in told.budgets] == [("hard", 10), ("led", 5)]
    assert told.refused == ""
    assert [one.limit for one in explained(gateway, state(), "a/m").limits] == ["own", "own", "all"]
    assert [one.limit for one in explained(gateway, state(), name="").limits] == ["all"]


def test_what_refuses_is_explained(gateway: Gateway) -> None:
    running, principal = state(), caller(gateway)
    charges = of_caller(principal.limits.callers, principal, "", 0)
    for _ in range(2):
        lease = running.limits.take(charges, 1000.0)
        assert isinstance(lease, Lease)
        running.limits.settle(lease, 0, 1000.0)
    assert explained(gateway, running).refused == "limit own: 2 requests in 60 s for key k"
    running.budgets.restore(gateway.budgets["hard"], 1000.0, Decimal(10))
    assert explained(gateway, running).refused.endswith("; budget hard: spent")


def test_a_model_that_is_used_up_is_explained_as_skipped(gateway: Gateway) -> None:
    running = state()
    first = next(targets(gateway.routes["both"]))
    charges = of_candidate(caller(gateway).limits.candidates, first, first.upstream.connections[0], 0)
    assert isinstance(running.limits.take(charges, 1000.0), Lease)
    told = explained(gateway, running)
    assert [step.accepted for step in told.steps] == [False, True]
    assert told.steps[0].reason == "limit narrow: 1 requests in 60 s for model a/m"


def test_a_spent_budget_leads_where_it_says(gateway: Gateway) -> None:
    running = state()
    running.budgets.restore(gateway.budgets["led"], 1000.0, Decimal(5))
    assert explained(gateway, running).route == "b/m"


def test_the_ledger_is_asked_for_what_a_reload_changes(gateway: Gateway, tmp_path: Path) -> None:
    assert [(one.budget.name, sorted(one.joined)) for one in changes(None, gateway, 0.0)] == [
        ("hard", ["k", "other"]),
        ("led", ["k"]),
    ]
    assert changes(gateway, gateway, 0.0) == []
    joined = compiled(tmp_path, CONFIG.replace("budgets: [hard]}", "budgets: [hard, led]}"))
    (change,) = changes(gateway, joined, 0.0)
    assert (change.budget.name, change.joined, change.left, change.fresh) == ("led", {"other"}, frozenset(), False)
    (change,) = changes(joined, gateway, 0.0)
    assert (change.joined, change.left) == (frozenset(), {"other"})
    monthly = compiled(tmp_path, CONFIG.replace("period: daily", "period: monthly"))
    (change,) = changes(gateway, monthly, 0.0)
    assert (change.budget.name, change.fresh, change.joined) == ("led", True, {"k"})
    assert changes(gateway, compiled(tmp_path, CONFIG.replace("limit: 5", "limit: 6")), 0.0) == []


def test_all_budgets_can_be_viewed_with_their_keys(gateway: Gateway) -> None:
    found = {balance.name: (balance.remaining, keys) for balance, keys in balances(gateway, state().budgets, 0.0)}
    assert found == {"hard": (10, {"k", "other"}), "led": (5, {"k"})}
    assert payers(gateway) == {"hard": {"k", "other"}, "led": {"k"}}
