"""Which policies speak about a request, in which order, and what is told of them."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import combo, state, target

from omniroute import catalog
from omniroute.config import bundle
from omniroute.config.compile import compile_gateway
from omniroute.routing.explain import explain
from omniroute.routing.plan import plan
from omniroute.routing.policies import Policies, Supposed, orders, rerouted, stranger
from omniroute.routing.tables import ANONYMOUS, Gateway, Orders, Policy, Principal
from omniroute.state.base import Clock


def principal(name: str, **tags: str) -> Principal:
    return Principal(name=name, roles=frozenset({"client"}), allow=None, expires=None, tags=MappingProxyType(tags))


def policy(name: str, **of: Any) -> Policy:
    return Policy(**({"name": name, "concerns": lambda _asked, _target: True, "rules": ()} | of))


def compiled(folder: Path, text: str) -> Gateway:
    file = folder / "omniroute.yaml"
    file.write_text("version: 1\nproviders: {demo: {type: demo}, other: {type: demo}}\n" + text)
    return compile_gateway(bundle.read(file, catalog.load()), catalog.load(), resolve=False)


NAMES = st.sampled_from("abc")
callers = st.builds(lambda name, tags: principal(name, **tags), NAMES, st.dictionaries(NAMES, NAMES, max_size=3))
some_policies = st.lists(
    st.builds(
        lambda keys, tags, operations, shadow: policy("p", keys=keys, tags=tags, operations=operations, shadow=shadow),
        st.frozensets(NAMES, max_size=2),
        st.dictionaries(NAMES, NAMES, max_size=2),
        st.frozensets(st.sampled_from(["chat", "images"]), max_size=2),
        st.booleans(),
    ),
    max_size=12,
)


@given(some_policies, callers, st.sampled_from(["chat", "images"]))
def test_the_index_finds_those_that_a_look_at_each_would_find_in_their_order(some, caller, operation):
    found = Policies(some).standing(caller, operation)
    looked = [one for one in some if not stranger(one, caller, operation)]
    assert list(found.enforced) == [one for one in looked if not one.shadow]
    assert list(found.shadow) == [one for one in looked if one.shadow]
    assert found.asked is False


def test_what_is_found_is_remembered():
    table = Policies([policy("p", keys=frozenset({"a"})), policy("q", tags={"x": "y"})])
    caller = principal("a")
    assert table.standing(caller, "chat") is table.standing(caller, "chat")
    assert [one.name for one in table.standing(principal("a", x="y"), "chat").enforced] == ["p", "q"]
    assert [one.name for one in table.standing(caller, "chat").enforced] == ["p"]
    assert table.standing(ANONYMOUS, "chat").enforced == ()


def test_low_numbers_come_first_and_equal_ones_by_name(tmp_path):
    rules = "rules: [{max_tokens: {output: 1}}]"
    text = f"policies:\n  c: {{{rules}}}\n  b: {{{rules}}}\n  z: {{priority: -1, {rules}}}\n"
    assert [one.name for one in compiled(tmp_path, text).policies.all] == ["z", "b", "c"]


def test_limits_are_all_kept_and_the_first_word_counts_for_the_rest():
    one = target("a/1")
    low = policy("low", orders=Orders(max_output=9, headers=((b"x", b"low"),)))
    high = policy("high", orders=Orders(max_output=5, headers=((b"x", b"high"), (b"y", b"high"))))
    said = orders([low, high], "a", one, Orders(max_output=100))
    assert said is not None
    assert said.max_output == 5
    assert dict(said.headers) == {b"x": b"low", b"y": b"high"}
    assert orders([], "a", one, None) is None


def test_preferred_providers_come_first_and_the_others_keep_their_order():
    route = combo("c", "priority", target("a/1"), target("b/1"), target("c/1"), target("d/1"))
    rule = policy("p", prefer=("d", "b"))
    order = [candidate.target.id for candidate in plan(route, state(), 0.0, policies=[rule])]
    assert order == ["d/1", "b/1", "a/1", "c/1"]
    only = policy("p", prefer=("d",), concerns=lambda _asked, name: name.startswith("a"))
    assert [each.target.id for each in plan(route, state(), 0.0, policies=[only])] == ["a/1", "b/1", "c/1", "d/1"]


def test_the_first_policy_that_routes_is_heard():
    route = combo("c", "priority", target("a/1"))
    some = [
        policy("1", route="x", concerns=lambda asked, _name: asked == "y"),
        policy("2", route="b"),
        policy("3", route="d"),
    ]
    assert rerouted(some, "c", route) == "b"
    assert rerouted([], "c", route) == ""


EXPLAINED = """
combos: {both: {targets: [other/agent, demo/echo]}}
policies:
  a-other: {match: {keys: []}, rules: [{deny_models: {patterns: ["other/*"], reason: not this one}}, {max_tokens: {output: 7}}]}
  b-shadow: {mode: shadow, rules: [{deny_models: {patterns: ["*"]}}]}
  c-agents: {match: {clients: [codex]}, rules: [{max_tokens: {output: 1}}]}
  d-tagged: {match: {tags: {team: a}}, rules: [{max_tokens: {output: 1}}]}
  e-models: {match: {models: [demo/agent]}, rules: [{max_tokens: {output: 1}}]}
  f-routed: {match: {models: [demo/agent]}, rules: [{route_to: {model: both}}]}
  g-images: {match: {operations: [images]}, rules: [{max_tokens: {output: 1}}]}
"""


def test_every_policy_is_explained_with_what_each_rule_does_and_where_it_stands(tmp_path):
    gateway = compiled(tmp_path, EXPLAINED)
    told = explain(gateway, state(), "both", "openai_chat", Supposed(principal=ANONYMOUS))
    assert [step.accepted for step in told.steps] == [False, True]
    by_name = {one.name: one for one in told.policies}
    assert {name: one.reason for name, one in by_name.items() if not one.matched} == {
        "c-agents": "the client is of no known kind",
        "d-tagged": "the tag `team` is not there",
        "e-models": "`both` is none of its models, nor leads to one",
        "f-routed": "`both` is none of its models, nor leads to one",
        "g-images": "the operation is chat",
    }
    deny, limit = by_name["a-other"].rules
    assert (deny.does, deny.targets) == ("not this one", ("other/agent",))
    assert (limit.does, limit.targets) == ("at most 7 tokens of answer", ("other/agent", "demo/echo"))
    line = (tmp_path / "omniroute.yaml").read_text().splitlines().index("policies:") + 2
    assert deny.place.split(":")[-2] == str(line)
    assert by_name["b-shadow"].mode == "shadow"
    assert by_name["b-shadow"].rules[0].targets == ("other/agent", "demo/echo")


def test_a_rerouted_request_is_explained_where_it_goes(tmp_path):
    told = explain(compiled(tmp_path, EXPLAINED), state(), "demo/agent", "openai_chat", Supposed(principal=ANONYMOUS))
    assert (told.rerouted, told.route) == ("both", "both")
    assert next(one for one in told.policies if one.name == "f-routed").rules[0].does == "served as `both`"


def test_a_schedule_denies_by_the_clock(tmp_path):
    text = "policies: {p: {rules: [{schedule: {days: [mon], hours: '08:00-18:00'}}]}}"
    gateway = compiled(tmp_path, text)
    route = gateway.routes["demo/echo"]
    found = gateway.policies.standing(ANONYMOUS, "chat").enforced

    def skipped(time: float) -> str:
        clock = Clock(now=lambda: time, monotonic=lambda: 0.0)
        return plan(route, msgspec.structs.replace(state(), clock=clock), 0.0, policies=found)[0].skip

    assert skipped(1_772_445_600.0) == ""  # a Monday, 10:00
    assert skipped(1_772_532_000.0) == "policy p: served only mon 08:00-18:00 UTC"


# ------------------------------------------------------------------------------------------------------------- many

SLACK = 3


def generated(keys: int, combos: int, count: int) -> str:
    lines = ["combos:"]
    lines += [f"  combo-{i}: {{targets: [demo/echo, other/agent]}}" for i in range(combos)]
    lines += ["keys:"]
    lines += [
        f'  key-{i}: {{digest: "sha256:{sha256(b"%d" % i).hexdigest()}", tags: {{team: t{i % 97}}}, '
        f'allow: [combo-{i % combos}, "demo/*"]}}'
        for i in range(keys)
    ]
    lines += ["policies:"]
    lines += [
        f'  policy-{i}: {{priority: {i % 50}, match: {{keys: [key-{i % keys}], models: ["demo/*"]}}, '
        f'rules: [{{max_tokens: {{output: {1000 + i}}}}}, {{deny_models: {{patterns: ["other/x-{i}*"]}}}}]}}'
        for i in range(count)
    ]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> tuple[Gateway, float]:
    folder = tmp_path_factory.mktemp("large")
    text = generated(10_000, 1_000, 5_000)
    catalog.load()
    started = time.process_time()
    gateway = compiled(folder, text)
    return gateway, time.process_time() - started


def test_ten_thousand_keys_and_five_thousand_policies_compile_in_three_seconds(large):
    gateway, took = large
    assert (len(gateway.principals), len(gateway.policies.all)) == (10_000, 5_000)
    assert took < 3 * SLACK


def test_a_request_costs_no_more_with_five_thousand_policies_than_with_five(large, tmp_path):
    gateway, _ = large
    few = compiled(tmp_path, generated(5, 1, 5))

    def cost(of: Gateway) -> float:
        callers = [one for one in of.principals.values() if one.name in {f"key-{i}" for i in range(5)}]
        routes = [of.routes["demo/echo"]] * len(callers)
        running = state()

        def once() -> float:
            started = time.process_time()
            for _ in range(400):
                for caller, route in zip(callers, routes, strict=True):
                    found = of.policies.standing(caller, "chat").enforced
                    plan(route, running, 0.0, asked="demo/echo", policies=found)
                    orders(found, "demo/echo", route.steps[0], None)
            return time.process_time() - started

        return min(once() for _ in range(7))

    assert len(few.policies.standing(next(iter(few.principals.values())), "chat").enforced) == 1
    assert cost(gateway) < cost(few) * 1.1 * 1.3  # a tenth, and what a busy machine adds
