"""The health of connections, on a clock of our own: a table of what must happen, and random histories."""

from __future__ import annotations

import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.breaker_rules import PROFILE, Rules

from omniroute.state.base import Outcome, Permit, Profile, on
from omniroute.state.memory import FORGET_AFTER, PROBE_LEASE, MemoryBreakers

NAME = "openai.team"
PATIENT = Profile(failure_threshold=3, reset_timeout=30, cooldown=4, max_cooldown=10)
DEAF = Profile(failure_threshold=3, reset_timeout=30, cooldown=4, max_cooldown=10, honour_retry_after=False)


def noted(*events: tuple[float, Outcome] | tuple[float, Outcome, float], profile: Profile = PATIENT) -> MemoryBreakers:
    breakers = MemoryBreakers()
    for at, outcome, *retry_after in events:
        breakers.note(NAME, outcome, at, retry_after[0] if retry_after else None, profile)
    return breakers


def blocked_until(breakers: MemoryBreakers, now: float) -> float:
    """When the connection may be called again; 0.0 where it may be now."""
    view = breakers.view(NAME, now)
    return view.until if view is not None and view.blocked else 0.0


def test_nothing_is_known_against_a_new_connection() -> None:
    breakers = MemoryBreakers()
    assert breakers.view(NAME, 0) is None
    assert breakers.admit(NAME, 0) == "go"


@pytest.mark.parametrize(
    ("events", "until"),
    [
        # below the threshold, and of a kind that does not cool
        ([(0, "timeout"), (1, "connect")], 0),
        ([(0, "malformed"), (1, "truncated")], 0),
        # the third in a row opens the circuit, whatever the kinds are
        ([(0, "timeout"), (1, "malformed"), (2, "connect")], 32),
        ([(0, "truncated"), (1, "truncated"), (2, "truncated")], 32),
        # a success in between starts the count again
        ([(0, "timeout"), (1, "timeout"), (2, "success"), (3, "timeout"), (4, "timeout")], 0),
        # what a caller did wrong, or did not wait for, is neither failure nor success
        ([(0, "invalid")] * 50, 0),
        ([(0, "timeout"), (1, "timeout"), (2, "invalid"), (2, "abandoned"), (3, "timeout")], 33),
        # further failures of calls under way do not lengthen what is open
        ([(0, "timeout"), (1, "timeout"), (2, "timeout"), (20, "timeout")], 32),
        # each failure of these kinds cools at once
        ([(0, "rate_limited")], 4),
        ([(0, "overloaded")], 4),
        ([(0, "auth")], 4),
        ([(0, "quota")], 4),
        # the next pause is twice as long, up to the longest one
        ([(0, "rate_limited"), (4, "rate_limited")], 12),
        ([(0, "auth"), (4, "auth")], 12),
        # the echo of what started a pause does not count as another reason to pause
        ([(0, "rate_limited"), (0.1, "rate_limited")], 4),
        # a success after the pause starts again with the shortest
        ([(0, "rate_limited"), (4, "rate_limited"), (12, "success"), (13, "rate_limited")], 17),
        # a success of an older call does not shorten a pause
        ([(0, "rate_limited"), (1, "success")], 4),
        # but the next pause is a short one again
        ([(0, "rate_limited"), (1, "success"), (4, "rate_limited")], 8),
        # three in a row open the circuit even if each of them also cools
        ([(0, "overloaded"), (4, "overloaded"), (12, "overloaded")], 42),
        # the provider's own word replaces our guess, in both directions, up to an hour
        ([(0, "rate_limited", 1)], 1),
        ([(0, "rate_limited", 20)], 20),
        ([(0, "overloaded", 20), (1, "overloaded", 30)], 31),
        ([(0, "overloaded", 20), (1, "overloaded", 3)], 20),
        ([(0, "rate_limited", 86_400)], 3_600),
        ([(0, "rate_limited", 0)], 4),
        ([(0, "timeout"), (1, "timeout"), (2, "rate_limited", 50)], 52),
        # nobody asked us to wait after a timeout
        ([(0, "timeout", 20)], 0),
    ],
)
def test_a_connection_is_blocked_until(events: list[tuple[float, Outcome]], until: float) -> None:
    breakers, now = noted(*events), events[-1][0]
    assert blocked_until(breakers, now) == until
    assert (breakers.admit(NAME, now) is None) == (until > 0)
    assert blocked_until(breakers, max(now, until)) == 0.0


def test_growth_ends_at_the_longest_pause() -> None:
    breakers, now, pauses = MemoryBreakers(), 0.0, []
    lenient = Profile(failure_threshold=10_000, cooldown=4, max_cooldown=10)
    for _ in range(2_000):
        breakers.note(NAME, "rate_limited", now, None, lenient)
        pauses.append(blocked_until(breakers, now) - now)
        now += pauses[-1]
    assert pauses == [4, 8] + [10] * 1_998


def test_retry_after_counts_only_if_the_profile_says_so() -> None:
    assert blocked_until(noted((0, "rate_limited", 50.0), profile=DEAF), 0) == 4


def test_health_is_told() -> None:
    def told(*events: tuple[float, Outcome], at: float) -> tuple[str, bool, str, float] | None:
        view = noted(*events).view(NAME, at)
        return view and (view.state, view.blocked, view.reason, view.until)

    down: list[tuple[float, Outcome]] = [(0, "timeout"), (1, "timeout"), (2, "connect")]
    assert told((0, "timeout"), at=1) == ("closed", False, "failing: timeout", 0.0)
    assert told((0, "rate_limited"), at=1) == ("closed", True, "cooling down after rate_limited", 4)
    assert told((0, "rate_limited"), at=4) == ("closed", False, "failing: rate_limited", 0.0)
    assert told(*down, at=3) == ("open", True, "circuit open after connect", 32)
    assert told(*down, at=32) == ("half-open", False, "to be probed after connect", 0.0)
    assert told((0, "auth"), at=1) == ("open", True, "circuit open after auth", 4)
    assert told((0, "auth"), (4, "success"), at=4) is None
    assert told((0, "rate_limited"), (1, "success"), at=4) is None


def test_a_half_open_circuit_admits_one_probe_at_a_time() -> None:
    breakers = noted((0, "timeout"), (0, "timeout"), (0, "timeout"))
    assert breakers.admit(NAME, 29.9) is None
    assert breakers.admit(NAME, 30) == "probe"
    assert breakers.admit(NAME, 30) is None
    view = breakers.view(NAME, 30)
    assert view is not None
    assert (view.state, view.blocked, view.reason, view.until) == ("half-open", True, "a probe is under way", 31)
    breakers.note(NAME, "success", 31, None, PATIENT, probe=True)
    assert breakers.view(NAME, 31) is None
    assert [breakers.admit(NAME, 31) for _ in range(3)] == ["go"] * 3


@pytest.mark.parametrize("outcome", ["abandoned", "invalid"])
def test_a_probe_without_a_verdict_is_given_back(outcome: Outcome) -> None:
    breakers = noted((0, "timeout"), (0, "timeout"), (0, "timeout"))
    assert breakers.admit(NAME, 30) == "probe"
    breakers.note(NAME, outcome, 30, None, PATIENT)  # somebody else's
    assert breakers.admit(NAME, 30) is None
    breakers.note(NAME, outcome, 30, None, PATIENT, probe=True)
    assert breakers.admit(NAME, 30) == "probe"


def test_a_probe_that_was_forgotten_does_not_block_for_good() -> None:
    breakers = noted((0, "timeout"), (0, "timeout"), (0, "timeout"))
    assert breakers.admit(NAME, 30) == "probe"
    assert breakers.admit(NAME, 30 + PROBE_LEASE - 1) is None
    assert breakers.admit(NAME, 30 + PROBE_LEASE) == "probe"


def test_a_probe_that_fails_opens_the_circuit_again() -> None:
    breakers = noted((0, "timeout"), (0, "timeout"), (0, "timeout"))
    breakers.admit(NAME, 30)
    breakers.note(NAME, "timeout", 35, None, PATIENT, probe=True)
    assert blocked_until(breakers, 35) == 65
    assert breakers.admit(NAME, 65) == "probe"


def test_a_refused_account_is_probed_with_growing_pauses() -> None:
    breakers = noted((0, "auth"))
    assert breakers.admit(NAME, 4) == "probe"
    assert breakers.admit(NAME, 4) is None
    breakers.note(NAME, "auth", 5, None, PATIENT, probe=True)
    assert blocked_until(breakers, 5) == 13
    assert breakers.admit(NAME, 13) == "probe"
    breakers.note(NAME, "timeout", 14, None, Profile(failure_threshold=99, reset_timeout=30), probe=True)
    assert blocked_until(breakers, 14) == 44


def test_connections_do_not_share_their_health() -> None:
    breakers = noted((0, "auth"))
    assert breakers.view("openai.backup", 0) is None
    assert breakers.admit("openai.backup", 0) == "go"


def test_what_is_cleared_is_forgotten_with_its_models_and_nothing_else() -> None:
    breakers = MemoryBreakers()
    for name in ("a.main", on("a.main", "big"), "a.main2", "b.main"):
        breakers.note(name, "auth", 0.0, None, PATIENT)
    breakers.clear("a.main")
    breakers.clear("c.main")
    assert set(breakers.known(1.0)) == {"a.main2", "b.main"}
    assert breakers.admit("a.main", 1.0) == "go"


def test_names_that_are_gone_are_forgotten() -> None:
    breakers = MemoryBreakers()
    for index in range(100):
        breakers.note(f"old.{index}", "timeout", float(index), None, PATIENT)
    breakers.note("long.pause", "rate_limited", 100, 3_600, PATIENT)
    later = 100 + FORGET_AFTER
    breakers.note("recent", "timeout", later - 1, None, PATIENT)
    breakers.note("new", "timeout", later, None, PATIENT)
    assert all(breakers.view(f"old.{index}", later) is None for index in range(100))
    assert breakers.view("long.pause", later) is not None
    assert breakers.view("recent", later) is not None
    assert len(breakers._scores) == 3


def test_asking_for_a_healthy_connection_is_next_to_free() -> None:
    breakers = noted((0, "auth"))
    rounds = 20_000
    began = time.perf_counter()
    for _ in range(rounds):
        breakers.admit("openai.healthy", 1.0)
    assert (time.perf_counter() - began) / rounds < 1.5e-6  # three times the 0.5 µs it may take


class Histories(RuleBasedStateMachine):
    """Random calls of one connection, held against the rules."""

    def __init__(self) -> None:
        super().__init__()
        self.breakers = MemoryBreakers()
        self.rules_ = Rules()
        self.now = 1_000.0
        self.under_way: list[Permit] = []

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0, 16.0, 40.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def call(self) -> None:
        permit = self.breakers.admit(NAME, self.now)
        assert permit == self.rules_.permit(self.now)
        if permit == "probe":
            self.rules_.probe_since = self.now
        if permit is not None:
            self.under_way.append(permit)

    @precondition(lambda self: self.under_way)
    @rule(
        which=st.integers(0, 99),
        outcome=st.sampled_from(
            ["success", "timeout", "connect", "overloaded", "rate_limited", "auth", "quota", "malformed", "truncated"]
        ),
        retry_after=st.sampled_from([None, None, 1.0, 6.0]),
    )
    def end(self, which: int, outcome: Outcome, retry_after: float | None) -> None:
        probe = self.under_way.pop(which % len(self.under_way)) == "probe"
        self.rules_.ended(outcome, self.now, retry_after, probe=probe)
        self.breakers.note(NAME, outcome, self.now, retry_after, PROFILE, probe=probe)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 99), outcome=st.sampled_from(["invalid", "abandoned"]))
    def end_without_a_verdict(self, which: int, outcome: Outcome) -> None:
        probe = self.under_way.pop(which % len(self.under_way)) == "probe"
        self.rules_.ended(outcome, self.now, None, probe=probe)
        self.breakers.note(NAME, outcome, self.now, None, PROFILE, probe=probe)

    @invariant()
    def it_is_blocked_as_the_rules_say(self) -> None:
        blocked = self.rules_.blocked_until(self.now)
        assert blocked_until(self.breakers, self.now) == blocked
        view = self.breakers.view(NAME, self.now)
        assert (view.until if view else 0.0) == blocked
        assert self.breakers.known(self.now).get(NAME) == view

    @invariant()
    def no_connection_is_dead_for_good(self) -> None:
        assert blocked_until(self.breakers, self.now + PROBE_LEASE + 20) == 0.0


def test_names_that_callers_make_up_cannot_fill_the_memory() -> None:
    breakers = MemoryBreakers(models=10)
    breakers.note(NAME, "rate_limited", 0.0, 100.0, PATIENT)
    for index in range(50):
        breakers.note(on(NAME, f"made-up-{index}"), "no_model", float(index), None, PATIENT)
    known = set(breakers.known(50.0))
    assert known == {NAME, *(on(NAME, f"made-up-{index}") for index in range(40, 50))}


def test_random_histories_go_by_the_rules() -> None:
    run_state_machine_as_test(
        Histories,
        settings=settings(max_examples=200, stateful_step_count=40, deadline=None, database=None, derandomize=True),
    )
