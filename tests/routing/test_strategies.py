"""What each strategy does with the steps of a combo, and each selection with the connections of a provider."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import get_args, get_type_hints

import msgspec
import pytest
from support.tables import PROFILE, combo, connection, state, target

from omniroute.catalog import Price
from omniroute.config.spec.combos import ComboDefaultsSpec, WhenSpec
from omniroute.config.spec.providers import ProviderSpec
from omniroute.routing import conditions, tables
from omniroute.routing.conditions import Condition, Facts
from omniroute.routing.plan import plan
from omniroute.routing.selection import SELECTIONS
from omniroute.routing.strategies import STRATEGIES, Moment, ordinal
from omniroute.routing.tables import Route
from omniroute.state.base import State
from omniroute.state.scores import HALF_LIFE, STALE
from omniroute.state.sessions import Home

TTL = 1800.0
NOW = 1000.0
MANY = 4000
ABC = (target("a/1"), target("b/1"), target("c/1"))


def order(route: Route, running: State, now: float = NOW, **facts: object) -> list[str]:
    found = plan(route, running, now, turn=running.counters.next, facts=Facts(**facts))
    return [candidate.target.id for candidate in found if not candidate.skip]


def firsts(route: Route, times: int = MANY, seed: int = 1) -> Counter[str]:
    running = state(seed)
    return Counter(order(route, running)[0] for _ in range(times))


def served(running: State, route: Route, step: str, now: float = NOW, seconds: float = 1.0, good: bool = True) -> None:
    running.scores.began(route.name, step, now)
    running.scores.ended(route.name, step, now, good=good, seconds=seconds, stream=False)


def near(count: int, expected: float) -> bool:
    """Within four standard deviations of a binomial count."""
    share = expected / MANY
    return abs(count - expected) < 4 * (MANY * share * (1 - share)) ** 0.5


def test_the_language_has_these_strategies_selections_and_contents() -> None:
    combos, providers, when = map(get_type_hints, (ComboDefaultsSpec, ProviderSpec, WhenSpec))
    assert set(STRATEGIES) == set(get_args(combos["strategy"])) == set(get_args(tables.Strategy))
    assert set(SELECTIONS) == set(get_args(providers["selection"])) == set(get_args(tables.Selection))
    assert get_args(get_args(when["has"])[0]) == get_args(conditions.Content)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_tries_every_step_once(strategy: str) -> None:
    running = state()
    route = combo("c", strategy, *ABC)
    for _ in range(20):
        assert sorted(order(route, running)) == ["a/1", "b/1", "c/1"]
    assert order(combo("one", strategy, target("a/1")), running) == ["a/1"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_tells_why(strategy: str) -> None:
    running = state()
    route = combo("c", strategy, *ABC)
    moment = Moment(running.scores, running.counters.peek, running.random, NOW, stream=False)
    assert all(STRATEGIES[strategy].why(route, step, moment) for step in route.steps)


# ------------------------------------------------------------------------------------------------------ distributions


def test_weights_are_shares_of_the_first_place_and_of_the_second() -> None:
    route = combo("c", "weighted", target("a/1", weight=6), target("b/1", weight=3), target("c/1", weight=1))
    running = state()
    orders = Counter(tuple(order(route, running)[:2]) for _ in range(MANY))
    for (first, second), share in {
        ("a/1", "b/1"): 0.6 * 3 / 4,
        ("a/1", "c/1"): 0.6 * 1 / 4,
        ("b/1", "a/1"): 0.3 * 6 / 7,
        ("b/1", "c/1"): 0.3 * 1 / 7,
        ("c/1", "a/1"): 0.1 * 6 / 9,
        ("c/1", "b/1"): 0.1 * 3 / 9,
    }.items():
        assert near(orders[first, second], MANY * share), (first, second, orders)


def test_a_weight_of_nothing_is_never_first_and_still_a_fallback() -> None:
    route = combo("c", "weighted", target("a/1", weight=0), target("b/1", weight=1))
    assert firsts(route) == {"b/1": MANY}
    assert order(route, state()) == ["b/1", "a/1"]


def test_round_robin_shares_to_the_last_request() -> None:
    assert set(firsts(combo("c", "round-robin", *ABC), 3000).values()) == {1000}


@pytest.mark.parametrize("strategy", ["random", "p2c"])
def test_chance_alone_shares_evenly(strategy: str) -> None:
    counted = firsts(combo("c", strategy, *ABC))
    assert all(near(counted[name], MANY / 3) for name in ("a/1", "b/1", "c/1")), counted


def test_strict_random_takes_each_once_before_any_again_in_changing_order() -> None:
    running = state()
    route = combo("c", "strict-random", *ABC)
    decks = [tuple(order(route, running)[0] for _ in range(3)) for _ in range(200)]
    assert all(sorted(deck) == ["a/1", "b/1", "c/1"] for deck in decks)
    assert len(set(decks)) == 6


def test_p2c_takes_the_slowest_of_three_never_first() -> None:
    route = combo("c", "p2c", *ABC)
    running = state()
    for name, seconds in (("a/1", 0.1), ("b/1", 0.2), ("c/1", 0.9)):
        served(running, route, name, seconds=seconds)
    counted = Counter(order(route, running)[0] for _ in range(MANY))
    assert near(counted["a/1"], MANY * 2 / 3)
    assert near(counted["b/1"], MANY / 3)
    assert counted["c/1"] == 0


def test_p2c_goes_around_what_is_under_way() -> None:
    route = combo("c", "p2c", target("a/1"), target("b/1"))
    running = state()
    for name in ("a/1", "b/1"):
        served(running, route, name, seconds=0.5)
    running.scores.began("c", "a/1", NOW)
    assert {order(route, running)[0] for _ in range(50)} == {"b/1"}


# --------------------------------------------------------------------------------------------------------- by the facts


def price(given: str, taken: str) -> Price:
    return Price(input=Decimal(given), output=Decimal(taken))


def test_cost_optimized_weighs_the_prompt_three_to_one_and_puts_the_unknown_last() -> None:
    free, dear = target("a/free", price=price("0", "0")), target("b/dear", price=price("5", "25"))
    chatty = target("c/chatty", price=price("1", "20"))
    nested = combo("nested", "priority", target("d/even", price=price("4", "4")), dear)
    route = combo("c", "cost-optimized", target("x/unknown"), dear, chatty, nested, free)
    assert order(route, state()) == ["a/free", "d/even", "b/dear", "c/chatty", "x/unknown"]


def test_context_puts_the_largest_window_first_and_the_unknown_last() -> None:
    route = combo("c", "context", target("x/unknown"), target("a/1", context=8000), target("b/1", context=1_000_000))
    assert order(route, state()) == ["b/1", "a/1", "x/unknown"]


# -------------------------------------------------------------------------------------------------------- by the scores


def test_least_used_evens_out_and_lets_nobody_catch_up_for_hours() -> None:
    running = state()
    old = combo("c", "least-used", target("a/1"), target("b/1"))
    for _ in range(100):
        served(running, old, order(old, running)[0])
    assert running.scores.score("c", "a/1", NOW, stream=False).uses == pytest.approx(50)
    fresh = combo("c", "least-used", *ABC)
    later = NOW + 10 * HALF_LIFE
    taken = Counter()
    for _ in range(9):
        first = order(fresh, running, later)[0]
        served(running, fresh, first, later)
        taken[first] += 1
    assert taken == {"a/1": 3, "b/1": 3, "c/1": 3}


def test_latency_measures_all_and_then_prefers_the_fastest() -> None:
    running = state()
    route = combo("c", "latency", *ABC)
    for seconds in (0.5, 0.3, 0.4):
        served(running, route, order(route, running)[0], seconds=seconds)
    assert order(route, running) == ["b/1", "c/1", "a/1"]
    for _ in range(10):
        served(running, route, "b/1", seconds=2.0)
    assert order(route, running)[0] == "c/1"
    assert order(route, running, NOW + STALE + 1) == ["a/1", "b/1", "c/1"], "what is long ago is measured again"


def test_latency_of_streams_and_of_whole_answers_are_two_things() -> None:
    running = state()
    route = combo("c", "latency", target("a/1"), target("b/1"))
    for name, whole, streamed in (("a/1", 1.0, 0.2), ("b/1", 0.5, 0.4)):
        for stream, seconds in ((False, whole), (True, streamed)):
            running.scores.began("c", name, NOW)
            running.scores.ended("c", name, NOW, good=True, seconds=seconds, stream=stream)
    assert order(route, running, stream=False) == ["b/1", "a/1"]
    assert order(route, running, stream=True) == ["a/1", "b/1"]


def test_a_fast_target_that_fails_is_slow() -> None:
    running = state()
    route = combo("c", "latency", target("a/1"), target("b/1"))
    served(running, route, "a/1", seconds=0.1)
    served(running, route, "b/1", seconds=0.3)
    for _ in range(4):
        served(running, route, "a/1", good=False)
    assert order(route, running) == ["b/1", "a/1"]


def test_one_that_has_only_failed_is_not_measured_for_ever() -> None:
    running = state()
    route = combo("c", "latency", target("a/1"), target("b/1"))
    served(running, route, "a/1", good=False)
    assert order(route, running) == ["b/1", "a/1"]


def test_lkgp_begins_with_what_answered_last() -> None:
    running = state()
    route = combo("c", "lkgp", *ABC)
    assert order(route, running) == ["a/1", "b/1", "c/1"]
    served(running, route, "a/1", good=False)
    served(running, route, "c/1")
    served(running, route, "b/1", good=False)
    assert order(route, running) == ["c/1", "a/1", "b/1"]


def test_a_nested_combo_is_one_step_with_a_score_of_its_own() -> None:
    running = state()
    inner = combo("inner", "round-robin", target("b/1"), target("c/1"))
    route = combo("outer", "lkgp", target("a/1"), inner)
    served(running, route, "inner")
    assert order(route, running) == ["b/1", "c/1", "a/1"]
    assert order(route, running) == ["c/1", "b/1", "a/1"]


# ---------------------------------------------------------------------------------------------------------- connections


@pytest.mark.parametrize("selection", SELECTIONS)
def test_every_selection_takes_each_connection_once_and_low_priorities_first(selection: str) -> None:
    connections = [
        connection(f"a.{name}", priority=priority) for name, priority in zip("vwxyz", (2, 1, 1, 2, 1), strict=True)
    ]
    route = combo("c", "priority", target("a/1", *connections, selection=selection))
    running = state()
    for _ in range(20):
        names = [candidate.connection.name for candidate in plan(route, running, NOW, turn=running.counters.next)]
        assert (set(names[:3]), set(names[3:])) == ({"w", "x", "z"}, {"v", "y"})


@pytest.mark.parametrize(
    ("selection", "weights", "shares"),
    [("random", (1, 1, 1), (1, 1, 1)), ("weighted", (6, 3, 1), (6, 3, 1)), ("p2c", (1, 1, 1), (1, 1, 1))],
)
def test_connections_share_as_their_selection_says(
    selection: str, weights: tuple[int, ...], shares: tuple[int, ...]
) -> None:
    connections = [connection(f"a.{name}", weight=weight) for name, weight in zip("xyz", weights, strict=True)]
    route = combo("c", "priority", target("a/1", *connections, selection=selection))
    running = state()
    counted = Counter(plan(route, running, NOW)[0].connection.name for _ in range(MANY))
    for name, share in zip("xyz", shares, strict=True):
        assert near(counted[name], MANY * share / sum(shares)), counted


def test_p2c_never_begins_with_the_busiest_connection() -> None:
    connections = [connection(f"a.{name}") for name in "xyz"]
    route = combo("c", "priority", target("a/1", *connections, selection="p2c"))
    running = state()
    running.counters.acquire("a.x")
    running.counters.acquire("a.x")
    running.counters.acquire("a.y")
    counted = Counter(plan(route, running, NOW)[0].connection.name for _ in range(MANY))
    assert counted["x"] == 0
    assert near(counted["z"], MANY * 2 / 3)


# ------------------------------------------------------------------------------------------- conditions, windows, homes


def test_a_condition_holds_by_size_content_and_tags() -> None:
    condition = Condition(min_tokens=10, max_tokens=20, has=frozenset({"tools", "images"}), tags={"tier": "gold"})
    fits = {"tokens": 10, "has": frozenset({"tools", "images", "audio"}), "tags": {"tier": "gold", "x": "y"}}
    assert condition.unmet(Facts(**fits)) == ""
    assert condition.unmet(Facts(**{**fits, "tokens": 20})) == ""
    assert condition.unmet(Facts(**{**fits, "tokens": 9})) == "for prompts of 10 tokens and more, and this has about 9"
    assert condition.unmet(Facts(**{**fits, "tokens": 21})) == "for prompts of 20 tokens at most, and this has about 21"
    assert condition.unmet(Facts(**{**fits, "has": frozenset({"tools"})})) == "for requests with images"
    assert condition.unmet(Facts(**{**fits, "tags": {"tier": "tin"}})) == "for keys with the tag tier: gold"


def test_a_target_may_stand_once_with_a_condition_and_once_without() -> None:
    route = combo("c", "priority", target("a/1", when=Condition(min_tokens=10)), target("b/1"), target("a/1"))
    assert order(route, state(), tokens=10) == ["a/1", "b/1"]
    assert order(route, state(), tokens=9) == ["b/1", "a/1"]


def test_a_condition_on_a_combo_counts_for_all_that_is_in_it() -> None:
    inner = combo("inner", "priority", target("a/1"), target("b/1"))
    route = combo("c", "priority", msgspec.structs.replace(inner, when=Condition(max_tokens=5)), target("c/1"))
    assert order(route, state(), tokens=5) == ["a/1", "b/1", "c/1"]
    assert order(route, state(), tokens=6) == ["c/1"]


def test_a_window_that_is_surely_too_small_gives_way_to_a_larger_one_only() -> None:
    route = combo("c", "priority", target("a/1", context=1000), target("b/1", context=4000), target("c/1"))
    assert order(route, state(), tokens=2000) == ["a/1", "b/1", "c/1"], "an estimate may be wrong by half"
    assert order(route, state(), tokens=2001) == ["b/1", "c/1"]
    assert order(route, state(), tokens=9000) == ["c/1"]
    known = combo("c", "priority", target("a/1", context=1000), target("b/1", context=4000))
    assert order(known, state(), tokens=9000) == ["b/1"], "nobody is refused for an estimate"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_session_stays_at_home_while_it_is_healthy_and_is_forgotten_in_time(strategy: str) -> None:
    running = state()
    connections = (connection("b.x"), connection("b.y"))
    route = combo("c", strategy, target("a/1"), target("b/1", *connections, selection="round-robin"), sticky=True)
    running.sessions.settle("c", "me", Home("b/1", "b.y"), NOW, TTL)
    for _ in range(10):
        first = plan(route, running, NOW, turn=running.counters.next, facts=Facts(session="me"))[0]
        assert (first.target.id, first.connection.id) == ("b/1", "b.y")
    assert running.counters.peek("combo/c") == 0, "who stays takes no turn"
    for name in ("b.x", "b.y"):
        running.breakers.note(name, "overloaded", NOW, None, PROFILE)
    assert order(route, running, session="me") == ["a/1"]
    assert running.sessions.home("c", "me", NOW + TTL) is None


def test_a_session_of_a_sticky_combo_stays_in_the_combos_inside_too() -> None:
    running = state()
    inner = combo("inner", "random", target("a/1"), target("b/1"), target("c/1"))
    route = combo("c", "random", inner, target("d/1"), sticky=True)
    running.sessions.settle("c", "me", Home("inner", "b.main"), NOW, TTL)
    running.sessions.settle("inner", "me", Home("b/1", "b.main"), NOW, TTL)
    assert {order(route, running, session="me")[0] for _ in range(50)} == {"b/1"}


def test_numbers_are_told_in_order() -> None:
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == [
        "1st",
        "2nd",
        "3rd",
        "4th",
        "11th",
        "12th",
        "13th",
        "21st",
        "102nd",
        "111th",
    ]
