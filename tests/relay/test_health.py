"""The health of connections and of the models on them: what each hears of a call, held against the rules of both."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from support.breaker_rules import PROFILE, Rules
from support.tables import connection, state, target

from omniroute.errors import Fault, UpstreamError, UpstreamKind
from omniroute.relay import health
from omniroute.relay.health import Leave
from omniroute.routing.availability import obstacle
from omniroute.routing.plan import Candidate
from omniroute.routing.tables import NO_RETRY
from omniroute.state.base import Outcome, on

NAMES = [(one, model) for one in ("a.x", "a.y") for model in ("m1", "m2")]


def candidate(name: str, model: str) -> Candidate:
    way = msgspec.structs.replace(connection(name), profile=PROFILE)
    return Candidate(target(f"a/{model}", way), way, NO_RETRY)


CANDIDATES = [candidate(*names) for names in NAMES]


def said(kind: UpstreamKind, retry_after: float | None, *, about_model: bool) -> UpstreamError:
    return UpstreamError(
        kind, Fault(kind="server", status=500, message="m1 m2" if about_model else "", retry_after=retry_after)
    )


class Calls(RuleBasedStateMachine):
    """Random calls of two models on two connections. Four models and two connections have their own histories each."""

    def __init__(self) -> None:
        super().__init__()
        self.state = state()
        self.now = 1_000.0
        self.rules_: dict[str, Rules] = {name: Rules() for one, model in NAMES for name in (one, on(one, model))}
        self.under_way: list[tuple[Candidate, Leave]] = []

    def pair(self, asked: Candidate) -> tuple[Rules, Rules]:
        one = asked.connection.id
        return self.rules_[one], self.rules_[on(one, asked.target.model)]

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.0, 5.0, 16.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(asked=st.sampled_from(CANDIDATES))
    def call(self, asked: Candidate) -> None:
        given = health.leave(self.state, asked, self.now)
        permits = [rules.permit(self.now) for rules in self.pair(asked)]
        if None in permits:
            assert given is None
            return
        assert given == Leave(*(permit == "probe" for permit in permits))
        for rules, permit in zip(self.pair(asked), permits, strict=True):
            if permit == "probe":
                rules.probe_since = self.now
        self.under_way.append((asked, given))

    @precondition(lambda self: self.under_way)
    @rule(
        which=st.integers(0, 99),
        outcome=st.sampled_from(
            ["success", "abandoned", "invalid", "timeout", "overloaded", "rate_limited", "auth", "quota", "no_model"]
        ),
        retry_after=st.sampled_from([None, None, 6.0]),
        about_model=st.booleans(),
    )
    def end(self, which: int, outcome: Outcome, retry_after: float | None, about_model: bool) -> None:
        asked, given = self.under_way.pop(which % len(self.under_way))
        failure = None
        of_connection, of_model = outcome, outcome
        if outcome not in ("success", "abandoned"):
            failure = said(outcome, retry_after, about_model=about_model)
            alone = outcome == "no_model" or (about_model and outcome in ("overloaded", "rate_limited", "quota"))
            of_connection, of_model = ("abandoned", outcome) if alone else (outcome, "abandoned")
        ofs: list[Any] = [(of_connection, given.connection), (of_model, given.model)]
        for rules, (one, probe) in zip(self.pair(asked), ofs, strict=True):
            rules.ended(one, self.now, retry_after if failure else None, probe=probe)
        health.report(self.state, asked, given, outcome, failure, self.now)

    @invariant()
    def a_candidate_is_hindered_by_its_connection_and_its_own_model_alone(self) -> None:
        for asked in CANDIDATES:
            hindered = obstacle(asked.target, asked.connection, self.state, self.now)
            ends = [rules.blocked_until(self.now) for rules in self.pair(asked)]
            assert (hindered.until if hindered else 0.0) == (ends[0] or ends[1])

    @invariant()
    def what_is_known_is_what_is_shown(self) -> None:
        known = self.state.breakers.known(self.now)
        assert known == {
            name: view for name in self.rules_ if (view := self.state.breakers.view(name, self.now)) is not None
        }


def test_random_calls_of_several_models_go_by_the_rules_of_each() -> None:
    run_state_machine_as_test(
        Calls,
        settings=settings(max_examples=120, stateful_step_count=40, deadline=None, database=None, derandomize=True),
    )


def test_a_model_that_is_blocked_gives_its_connections_probe_back() -> None:
    running, asked = state(), CANDIDATES[0]
    running.breakers.note("a.x", "auth", 0, None, PROFILE)
    running.breakers.note(on("a.x", "m1"), "rate_limited", 0, 100.0, PROFILE)
    assert health.leave(running, asked, 10) is None
    assert health.leave(running, CANDIDATES[1], 10) == Leave(connection=True)
