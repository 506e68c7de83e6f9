"""In which order targets are tried, and which are not."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from support.tables import PROFILE, combo, connection, state, target

from omniroute.routing.plan import Candidate, plan
from omniroute.routing.tables import Policy, Route, Target
from omniroute.state.quotas import Allowance

NOW = 1000.0


def order(candidates: list[Candidate]) -> list[str]:
    return [candidate.target.id for candidate in candidates if not candidate.skip]


def test_a_priority_combo_keeps_its_order() -> None:
    route = combo("c", "priority", target("a/1"), target("b/1"), target("c/1"))
    assert order(plan(route, state(), NOW)) == ["a/1", "b/1", "c/1"]


def test_round_robin_starts_one_further_each_time() -> None:
    route = combo("c", "round-robin", target("a/1"), target("b/1"), target("c/1"))
    running = state()
    firsts = [order(plan(route, running, NOW, turn=running.counters.next))[0] for _ in range(6)]
    assert firsts == ["a/1", "b/1", "c/1", "a/1", "b/1", "c/1"]


def test_weights_are_shares_of_the_first_place() -> None:
    route = combo("c", "weighted", target("a/1", weight=3), target("b/1", weight=1))
    running = state()
    firsts = Counter(order(plan(route, running, NOW, turn=running.counters.next))[0] for _ in range(4000))
    assert 2850 < firsts["a/1"] < 3150
    assert firsts["a/1"] + firsts["b/1"] == 4000


def test_random_reaches_every_order() -> None:
    route = combo("c", "random", target("a/1"), target("b/1"), target("c/1"))
    running = state()
    assert len({tuple(order(plan(route, running, NOW, turn=running.counters.next))) for _ in range(200)}) == 6


def test_a_combo_in_a_combo_keeps_its_own_strategy() -> None:
    inner = combo("inner", "round-robin", target("b/1"), target("c/1"))
    route = combo("outer", "priority", target("a/1"), inner)
    running = state()
    assert order(plan(route, running, NOW, turn=running.counters.next)) == ["a/1", "b/1", "c/1"]
    assert order(plan(route, running, NOW, turn=running.counters.next)) == ["a/1", "c/1", "b/1"]


def test_a_target_that_is_reached_twice_is_tried_once() -> None:
    again = target("a/1")
    route = combo("outer", "priority", again, combo("inner", "priority", again, target("b/1")))
    assert order(plan(route, state(), NOW)) == ["a/1", "b/1"]


def test_connections_of_the_lowest_priority_number_come_first() -> None:
    spare = connection("a.spare", priority=2)
    route = combo("c", "priority", target("a/1", spare, connection("a.main"), connection("a.more")))
    assert [each.connection.id for each in plan(route, state(), NOW)] == ["a.main", "a.more", "a.spare"]


def test_least_used_prefers_the_idle_connection() -> None:
    route = combo("c", "priority", target("a/1", connection("a.x"), connection("a.y"), selection="least-used"))
    running = state()
    running.counters.acquire("a.x")
    assert [each.connection.id for each in plan(route, running, NOW, turn=running.counters.next)] == ["a.y", "a.x"]


def test_round_robin_rotates_the_connections_of_a_provider() -> None:
    route = combo("c", "priority", target("a/1", connection("a.x"), connection("a.y"), selection="round-robin"))
    running = state()
    assert [plan(route, running, NOW, turn=running.counters.next)[0].connection.id for _ in range(4)] == [
        "a.x",
        "a.y",
        "a.x",
        "a.y",
    ]


def test_a_cooling_connection_is_skipped_with_its_reason_and_its_end() -> None:
    route = combo("c", "priority", target("a/1"), target("b/1"))
    running = state()
    running.breakers.note("a.main", "rate_limited", NOW, 7.0, PROFILE)
    first, second = plan(route, running, NOW, turn=running.counters.next)
    assert first.skip
    assert first.kind == "rate_limited"
    assert first.until == NOW + 7
    assert not second.skip
    assert order(plan(route, running, NOW + 8)) == ["a/1", "b/1"]


def test_a_full_connection_is_skipped() -> None:
    route = combo("c", "priority", target("a/1", connection("a.x", max_concurrent=1)))
    running = state()
    running.counters.acquire("a.x")
    assert plan(route, running, NOW, turn=running.counters.next)[0].skip == "busy: 1 requests under way"


def test_a_policy_denies_a_target_by_name() -> None:
    rule = Policy(
        name="eu",
        concerns=lambda _asked, _target: True,
        rules=(),
        refuse=(lambda target, _time: "no" if target.id == "a/1" else None,),
    )
    first, second = plan(combo("c", "priority", target("a/1"), target("b/1")), state(), NOW, policies=[rule])
    assert first.denied
    assert first.skip == "policy eu: no"
    assert not second.skip


strategies = st.sampled_from(["priority", "weighted", "round-robin", "random"])
leaves = st.builds(target, st.sampled_from([f"{p}/{m}" for p in "abcde" for m in "12"]), weight=st.integers(0, 5))
routes = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda strategy, steps, n: combo(f"combo{n}", strategy, *steps),
        strategies,
        st.lists(inner, min_size=1, max_size=4),
        st.integers(0, 99),
    ),
    max_leaves=12,
).map(lambda one: one if isinstance(one, Route) else combo("top", "priority", one))


def reachable(step: Route | Target) -> set[str]:
    if isinstance(step, Target):
        return {step.id}
    return set().union(*(reachable(inner) for inner in step.steps))


@given(routes, st.sets(st.sampled_from("abcde")), st.integers(0, 1000))
def test_the_plan_has_every_healthy_target_of_the_graph_and_no_other(route: Route, ill: set[str], seed: int) -> None:
    running = state(seed)
    for provider in ill:
        running.breakers.note(f"{provider}.main", "overloaded", NOW, None, PROFILE)
    tried = order(plan(route, running, NOW, turn=running.counters.next))
    assert len(tried) == len(set(tried))
    assert set(tried) == {name for name in reachable(route) if name[0] not in ill}


def test_a_connection_with_nothing_left_is_left_alone_until_there_is_some():
    running = state(now=NOW)
    route = combo("c", "priority", target("a/1"), target("a/2"))
    running.quotas.learn("a.main|1", [Allowance("tokens", 0, 100, NOW + 60, NOW + 6)], NOW)
    first, second = plan(route, running, NOW)
    assert (first.skip, first.until, first.kind) == ("no tokens left, says the provider", NOW + 6, "rate_limited")
    assert not second.skip, "another model has limits of its own"
    assert not plan(route, running, NOW + 6)[0].skip
    running.quotas.learn("a.main", [Allowance("requests", 0, 100, NOW + 9, NOW + 9)], NOW)
    assert [each.until for each in plan(route, running, NOW)] == [NOW + 9, NOW + 9]


def test_a_connection_with_little_left_comes_after_the_others_of_its_priority():
    running = state(now=NOW)
    ways = connection("a.x"), connection("a.y"), connection("a.z", priority=2)
    route = combo("c", "priority", target("a/1", *ways))
    running.quotas.learn("a.x|1", [Allowance("requests", 2, 100, NOW + 60, NOW + 60)], NOW)
    assert [each.connection.id for each in plan(route, running, NOW)] == ["a.y", "a.x", "a.z"]
    assert [each.connection.id for each in plan(route, running, NOW + 60)] == ["a.x", "a.y", "a.z"]
