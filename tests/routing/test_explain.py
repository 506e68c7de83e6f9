"""What is told about a decision before it is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from omniroute import catalog
from omniroute.config import bundle
from omniroute.config.compile import compile_gateway
from omniroute.routing.conditions import Facts
from omniroute.routing.explain import explain
from omniroute.routing.strategies import STRATEGIES
from omniroute.routing.tables import Gateway
from omniroute.state.memory import memory_state
from omniroute.state.sessions import Home

CONFIG = """\
version: 1
providers:
  lab:
    type: openai-compatible
    base_url: http://lab:1
    connections: {main: {}}
    models:
      small: {context: 8000, price: {input: 1, output: 5}}
      large: {context: 100000, price: {input: 2, output: 10}}
combos:
  conditional: {targets: [{model: lab/small, when: {max_tokens: 100}}, lab/large]}
  outer: {sticky: session, targets: [lab/small, inner]}
  inner: {strategy: cost-optimized, targets: [lab/large, lab/other]}
"""
COMBO = "  by-{0}: {{strategy: {0}, targets: [lab/small, lab/large]}}\n"
REASONS = {
    "priority": "1st in the file",
    "fill-first": "1st in the file",
    "weighted": "drawn with weight 1 of 2",
    "round-robin": "in turn",
    "random": "drawn at random",
    "strict-random": "drawn from a deck that holds each once",
    "cost-optimized": "$2 per million tokens, three in to one out",
    "context": "a window of 100000 tokens",
    "least-used": "0.0 tries lately",
    "latency": "not measured lately",
    "p2c": "the better of two: 0 under way, not measured lately",
    "lkgp": "1st in the file",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    file: Path = tmp_path_factory.mktemp("explain") / "omniroute.yaml"
    file.write_text(CONFIG + "".join(map(COMBO.format, STRATEGIES)))
    return compile_gateway(bundle.read(file, catalog.load()), catalog.load())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_says_why_it_begins_where_it_does(gateway: Gateway, strategy: str) -> None:
    told = explain(gateway, memory_state(), f"by-{strategy}", "openai_chat")
    assert told.steps[0].order == (f"by-{strategy} ({strategy}): {REASONS[strategy]}",)
    assert told.steps[1].order


def test_to_explain_takes_no_turn_and_tells_whose_it_is(gateway: Gateway) -> None:
    running = memory_state()
    firsts = [explain(gateway, running, "by-round-robin", "openai_chat").steps[0].target for _ in range(3)]
    assert firsts == ["lab/small"] * 3
    running.counters.next("combo/by-round-robin")
    assert explain(gateway, running, "by-round-robin", "openai_chat").steps[0].target == "lab/large"


def test_a_condition_that_is_not_met_is_the_reason(gateway: Gateway) -> None:
    told = explain(gateway, memory_state(), "conditional", "openai_chat", facts=Facts(tokens=101))
    assert [step.accepted for step in told.steps] == [False, True]
    assert told.steps[0].reason == "for prompts of 100 tokens at most, and this has about 101"


def test_each_combo_on_the_way_says_why(gateway: Gateway) -> None:
    running = memory_state()
    told = explain(gateway, running, "outer", "openai_chat")
    assert told.steps[1].order == (
        "outer (priority): 2nd in the file",
        "inner (cost-optimized): $4 per million tokens, three in to one out",
    )
    assert told.steps[2].order[1] == "inner (cost-optimized): its price is not known"
    now = running.clock.monotonic()
    running.sessions.settle("outer", "me", Home("inner", "lab.main"), now)
    running.sessions.settle("inner", "me", Home("lab/other", "lab.main"), now)
    told = explain(gateway, running, "outer", "openai_chat", facts=Facts(session="me"))
    assert told.steps[0].target == "lab/other"
    assert told.steps[0].order == ("outer: the session is at home here", "inner: the session is at home here")


def test_a_route_without_a_choice_has_nothing_to_tell(gateway: Gateway) -> None:
    assert explain(gateway, memory_state(), "lab/small", "openai_chat").steps[0].order == ()
