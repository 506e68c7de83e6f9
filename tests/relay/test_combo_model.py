"""The loop over the candidates against a model of it: any combo, any health, any failures, any conditions.

The model reads the same tables in the simplest way there is, by recursion and without an order: what it says is who
may be asked at all, and whether somebody answers.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.tables import PROFILE, combo, state, target

from omniroute.errors import CallError, Fault, UpstreamError, UpstreamKind
from omniroute.relay.call import Call
from omniroute.relay.decision import choose
from omniroute.relay.relay import run
from omniroute.routing.conditions import NO_FACTS, Condition, Facts
from omniroute.routing.plan import plan
from omniroute.routing.strategies import STRATEGIES
from omniroute.routing.tables import ANONYMOUS, ONWARD, Hedge, Needs, Route, Target, Telemetry
from omniroute.state.base import Clock

NOW = 1000.0
PROVIDERS = "abcdef"
KINDS = get_args(UpstreamKind)
TOKENS = 100


class Ticking:
    """A clock that each failure moves on."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


async def heard(_message: Any) -> None:
    """A client that takes everything."""


def call_of(route: Route, running: Any, facts: Facts) -> Call:
    """A request as far as the loop looks at it."""
    endpoint = SimpleNamespace(operation="chat", format="openai_chat")
    gateway = SimpleNamespace(session_ttl=1800.0, queue=None, telemetry=Telemetry())
    scope = {"headers": [], "query_string": b""}
    call = Call(endpoint, None, gateway, running, scope, heard)  # type: ignore[arg-type]
    call.guard = None  # type: ignore[assignment]
    call.route, call.principal = route, ANONYMOUS
    call.head = SimpleNamespace(stream=facts.stream, body=b"", fields={}, model=route.name)  # type: ignore[assignment]
    return call


class World:
    """What the targets do when they are asked, and who was."""

    def __init__(self, does: dict[str, UpstreamKind | None], clock: Ticking, patience: float) -> None:
        self.does = does
        self.clock = clock
        self.patience = patience
        self.asked: list[str] = []

    def prepare(self, to: Target) -> Any:
        async def exchange(call: Call, _candidate: Any) -> UpstreamError | None:
            self.asked.append(to.id)
            kind = self.does[to.id]
            if kind is None:
                call.committed = True
                if call.claim is not None:
                    call.claim()
                return None
            self.clock.now += self.patience
            return UpstreamError(kind, Fault(kind="server", status=500, message=f"{to.id}: {kind}"))

        return exchange


def answer(route: Route, world: World, facts: Facts, running: Any, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the client was answered."""
    call = call_of(route, running, facts)
    monkeypatch.setattr("omniroute.relay.decision.look", lambda _call, _needs: facts)

    async def serve() -> None:
        await run(call, choose(call, running.counters.next), world.prepare)

    try:
        asyncio.run(serve())
    except (CallError, UpstreamError):
        return False
    return True


# ------------------------------------------------------------------------------------------------------------ the model


def allowed(step: Route | Target, facts: Facts) -> set[str]:
    """The targets that the request may use: those whose conditions, and those of the combos around, it meets."""
    if step.when is not None and step.when.unmet(facts):
        return set()
    if isinstance(step, Target):
        return {step.id}
    return set().union(*(allowed(inner, facts) for inner in step.steps))


conditions = st.none() | st.builds(
    Condition,
    min_tokens=st.sampled_from([0, 50, 200]),
    max_tokens=st.sampled_from([None, 50, 200]),
    has=st.sets(st.sampled_from(["tools", "images"])).map(frozenset),
)
leaves = st.builds(
    target,
    st.sampled_from([f"{provider}/{model}" for provider in PROVIDERS for model in "12"]),
    weight=st.integers(0, 5),
    when=conditions,
)


def nested(number: int, strategy: str, steps: list[Target | Route], when: Condition | None, **more: Any) -> Route:
    return combo(f"combo{number}", strategy, *steps, when=when, **more)


def routes(**more: Any) -> st.SearchStrategy[Route]:
    def wrap(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.builds(
            nested,
            st.integers(0, 99),
            st.sampled_from(list(STRATEGIES)),
            st.lists(inner, min_size=1, max_size=4),
            conditions,
            **more,
        )

    top = st.recursive(leaves, wrap, max_leaves=10)
    return top.map(
        lambda one: combo("top", "priority", one, needs=Needs(prompt=True, session=True, scores=True, hedges=True))
    )


outcomes = st.fixed_dictionaries(
    {f"{provider}/{model}": st.none() | st.sampled_from(sorted(ONWARD)) for provider in PROVIDERS for model in "12"}
)
facts_of = st.builds(
    Facts,
    tokens=st.just(TOKENS),
    has=st.sets(st.sampled_from(["tools", "images"])).map(frozenset),
    stream=st.booleans(),
)
EXAMPLES = int(os.environ.get("COMBO_EXAMPLES", "200"))
"""How many combos are made up for each property; `tests/reliability/combos.py` makes more."""
quick = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    routes(
        sticky=st.booleans(), hedge=st.none() | st.builds(Hedge, after=st.sampled_from([0.0, 5.0]), budget=st.just(1.0))
    ),
    st.sets(st.sampled_from(PROVIDERS)),
    outcomes,
    facts_of,
    st.integers(0, 1000),
)
def test_a_combo_answers_if_and_only_if_an_allowed_target_is_healthy(
    monkeypatch: pytest.MonkeyPatch, route: Route, ill: set[str], does: dict[str, Any], facts: Facts, seed: int
) -> None:
    clock = Ticking()
    running = msgspec.structs.replace(state(seed), clock=Clock(clock, clock))
    for provider in ill:
        running.breakers.note(f"{provider}.main", "overloaded", NOW, None, PROFILE)
    world = World(does, clock, patience=0.0)
    may = allowed(route, facts)
    healthy = {name for name in may if name[0] not in ill}
    answered = answer(route, world, facts, running, monkeypatch)
    assert set(world.asked) <= healthy, "never outside of the graph, nor one that is cooling down"
    assert len(world.asked) == len(set(world.asked))
    # a connection may begin to cool down with the failure of another model of its provider
    expected = {name for name in healthy if does[name] is None}
    spoilt = {name[0] for name in world.asked if does[name] in ("rate_limited", "overloaded", "auth", "quota")}
    assert answered == bool(expected - {name for name in expected if name[0] in spoilt and name not in world.asked}), (
        world.asked
    )
    assert not any(running.counters.in_flight(f"{provider}.main") for provider in PROVIDERS)


@quick
@given(st.permutations(PROVIDERS), st.integers(0, 6), st.floats(0.5, 20))
def test_nobody_is_asked_after_the_deadline(
    monkeypatch: pytest.MonkeyPatch, order: list[str], good: int, patience: float
) -> None:
    """Each target may take 5 s, so all of them together have 30."""
    clock = Ticking()
    running = msgspec.structs.replace(state(), clock=Clock(clock, clock))
    route = combo("c", "priority", *(target(f"{name}/1") for name in order))
    does: dict[str, Any] = {f"{name}/1": None if at == good else "timeout" for at, name in enumerate(order)}
    world = World(does, clock, patience)
    answered = answer(route, world, NO_FACTS, running, monkeypatch)
    in_time = -(-30 // patience)  # as many as begin before the end
    assert answered == (good < min(6, in_time))
    assert len(world.asked) == min(6, in_time, good + 1)


# ----------------------------------------------------------------------------------------------------------------- `on`

ons = st.sets(st.sampled_from(KINDS), max_size=4).map(frozenset)


def expected_walk(step: Route | Target, does: dict[str, Any], asked: list[str]) -> UpstreamKind | None:
    """Asks as a person would read the file: None where it was answered, else the failure that a step ends with."""
    if isinstance(step, Target):
        asked.append(step.id)
        kind: UpstreamKind | None = does[step.id]
        return kind
    last: UpstreamKind | None = None
    for inner in step.steps:
        last = expected_walk(inner, does, asked)
        if last is None or last not in step.on:
            return last
    return last


@quick
@given(st.data())
def test_each_combo_goes_on_after_the_failures_that_it_names(
    monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    names = [f"{provider}/1" for provider in data.draw(st.permutations(PROVIDERS))]
    does: dict[str, Any] = {name: data.draw(st.none() | st.sampled_from(KINDS)) for name in names}
    deep = combo("deep", "priority", target(names[2]), target(names[3]), on=data.draw(ons))
    inner = combo("inner", "priority", target(names[1]), deep, on=data.draw(ons))
    route = combo("top", "priority", target(names[0]), inner, target(names[4]), target(names[5]), on=data.draw(ons))
    world = World(does, Ticking(), 0.0)
    asked: list[str] = []
    failed = expected_walk(route, does, asked)
    assert answer(route, world, NO_FACTS, state(), monkeypatch) == (failed is None)
    assert world.asked == asked


# ------------------------------------------------------------------------------------------------------------ the queue


class Place:
    """One that was waited for."""

    def __init__(self) -> None:
        self.freed = 0

    def free(self) -> None:
        self.freed += 1


@pytest.mark.parametrize("does", [None, "timeout"])
def test_a_race_gives_the_place_that_was_waited_for_back_once(does: UpstreamKind | None) -> None:
    route = combo(
        "c", "priority", target("a/1"), target("b/1"), hedge=Hedge(after=0.0, budget=1.0), needs=Needs(hedges=True)
    )
    running = state()
    call = call_of(route, running, NO_FACTS)
    world = World({"a/1": does, "b/1": does}, Ticking(), 0.0)
    place = call.place = Place()  # type: ignore[assignment]

    async def serve() -> None:
        await run(call, plan(route, running, NOW), world.prepare)

    with suppress(UpstreamError):
        asyncio.run(serve())
    assert "a/1" in world.asked
    assert (place.freed, call.place) == (1, None)
