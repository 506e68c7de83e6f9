"""In which order a route's targets are tried, and which of them may be.

A pure decision over the tables, the facts of a request, the health of the moment, and a source of chance: the request
that is served and the `explain` that tells about it call this same function.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

import msgspec

from omniroute.errors import UpstreamKind
from omniroute.routing.availability import nothing_known, obstacle, overfull, plentiful_first
from omniroute.routing.conditions import NO_FACTS, Facts
from omniroute.routing.limiting import exhausted, of_candidate, told
from omniroute.routing.policies import arranged
from omniroute.routing.ruling import Denial, ruling
from omniroute.routing.selection import connections
from omniroute.routing.strategies import STRATEGIES, Moment, Step, Turn, first
from omniroute.routing.tables import (
    NO_NEEDS,
    NO_RETRY,
    Connection,
    Hedge,
    Policy,
    Queue,
    Retry,
    Route,
    Target,
)
from omniroute.state.base import State
from omniroute.state.limits import Charge, Limit

SURELY = 2
"""How many times a window an estimate must be before it is believed that the prompt does not fit."""


class Candidate(msgspec.Struct, frozen=True):
    """One connection of one target, in its place in the order, `within` the route and the combos inside it. `skip` says
    why it may not be tried now, `until` when that ends (on the clock of `now`, 0 if it does not end by itself), `kind`
    the failure that was the reason. `denied` is set where no waiting helps. `charges` are what a try counts as on the
    limits that hold for it, `limited` says that one of these is the reason."""

    target: Target
    connection: Connection
    within: tuple[Route, ...] = ()
    skip: str = ""
    until: float = 0.0
    kind: UpstreamKind | None = None
    denied: Denial | None = None
    charges: Sequence[Charge] = ()
    limited: bool = False

    @property
    def may_wait(self) -> bool:
        """Whether a place may come free for it: no wait helps against a denial, and a limit of ours is not waited for."""
        return self.denied is None and not self.limited

    @property
    def retry(self) -> Retry:
        """How often it is tried again, by the innermost combo."""
        return self.within[-1].retry if self.within else NO_RETRY

    @property
    def hedge(self) -> tuple[Route, Hedge] | None:
        """The innermost combo that hedges, and how."""
        return next(((route, route.hedge) for route in reversed(self.within) if route.hedge is not None), None)

    def steps(self) -> Iterator[tuple[Route, Step]]:
        """On the way from the route to the target: each combo, and which step of it was taken."""
        return zip(self.within, (*self.within[1:], self.target), strict=True)


def first_turn(_name: str) -> int:
    """For looking at a plan without taking a turn."""
    return 0


def plan(
    route: Route,
    state: State,
    now: float,
    *,
    turn: Turn = first_turn,
    asked: str = "",
    operation: str = "chat",
    policies: Sequence[Policy] = (),
    limits: Sequence[Limit] = (),
    tokens: int = 0,
    facts: Facts = NO_FACTS,
) -> list[Candidate]:
    """All candidates of the route in the order of trial, those that are out of the question among them. `limits` are
    those that hold for every candidate, besides those of policies; a try reserves `tokens` from them."""
    said = ruling(policies, asked, operation, route)
    calm = said.settled and not limits and not facts.tokens and nothing_known(state)
    if calm and said.plan is not None:
        return list(said.plan)
    moment = Moment(state.scores, turn, state.random, now, facts.stream)
    candidates: list[Candidate] = []
    time = state.clock.now() if policies else 0.0
    seen = set()
    orders: dict[str, Sequence[Connection]] = {}  # a request is one turn, however many models of a provider it may use
    denial: tuple[Denial, str] | None
    for target, within, home, unmet in _alone(route) or _targets(route, state, moment, facts, (), "", sticky=False):
        denial = ("condition", unmet) if unmet else said.denial(target, time)
        holding = said.of_target(limits, target)
        upstream = target.upstream
        if upstream.name not in orders:
            orders[upstream.name] = connections(upstream, state.counters, moment)
        order = orders[upstream.name]
        for connection in _homely(order, home) if home else plentiful_first(order, target, state, now):
            key = (target.id, connection.id)
            if key in seen:
                continue
            if not unmet:  # it may stand elsewhere without a condition
                seen.add(key)
            candidate = _judge(target, connection, within, denial, state, now)
            candidates.append(_counted(candidate, holding, tokens, state, now) if holding else candidate)
    if said.prefers:
        candidates = arranged(candidates, _target, policies, asked)
    if calm:
        said.plan = tuple(candidates)
    return _fitting(candidates, facts.tokens) if facts.tokens else candidates


def _target(candidate: Candidate) -> Target:
    return candidate.target


def follows(failed: Candidate, kind: UpstreamKind, candidate: Candidate) -> bool:
    """Whether a candidate is tried after one before it failed. Of a target every connection is; the next target is where
    the innermost combo that holds both goes on after such a failure."""
    if candidate.target.id == failed.target.id:
        return kind != "invalid"
    for route in reversed(failed.within):
        if any(other is route for other in candidate.within):
            return kind in route.on
    return True


def has_more_room(failed: Candidate, candidate: Candidate) -> bool:
    """Whether a prompt that was too long for one target may fit into another: as far as is known, its window is
    larger."""
    if candidate.target.id == failed.target.id:
        return False
    small, large = failed.target.facts.context, candidate.target.facts.context
    return small is None or large is None or large > small


def _judge(
    target: Target,
    connection: Connection,
    within: tuple[Route, ...],
    denial: tuple[Denial, str] | None,
    state: State,
    now: float,
) -> Candidate:
    if denial is not None:
        return Candidate(target, connection, within, denial[1], denied=denial[0])
    hindered = obstacle(target, connection, state, now)
    if hindered is None:
        return Candidate(target, connection, within)
    return Candidate(target, connection, within, hindered.reason, hindered.until, hindered.kind)


def _counted(candidate: Candidate, limits: Sequence[Limit], tokens: int, state: State, now: float) -> Candidate:
    """The candidate with the limits that a try of it counts on, skipped where one of them has nothing left."""
    target, connection, within = candidate.target, candidate.connection, candidate.within
    charges = of_candidate(limits, target, connection, tokens)
    if candidate.skip:  # it may be waited for, and a try counts on its limits then too
        return msgspec.structs.replace(candidate, charges=charges)
    denied = exhausted(charges, state.limits, now)
    if denied is None:
        return Candidate(target, connection, within, charges=charges)
    return Candidate(target, connection, within, told(denied), now + denied.wait, "rate_limited", limited=True)


def _fitting(candidates: list[Candidate], tokens: int) -> list[Candidate]:
    """The candidates without those whose window is surely too small, as long as there is a larger one: an estimate is no
    ground to refuse a request, but to ask first who can take it."""
    windows = [candidate.target.facts.context or inf for candidate in candidates if candidate.denied is None]
    largest = max(windows, default=0)
    return [
        msgspec.structs.replace(
            candidate, skip=f"a window of {window} tokens, and this has about {tokens}", denied="window", until=0.0
        )
        if candidate.denied is None
        and (window := candidate.target.facts.context or inf) < largest
        and tokens > SURELY * window
        else candidate
        for candidate in candidates
    ]


def current(candidate: Candidate, state: State, queue: Queue | None, now: float) -> Candidate:
    """The candidate as it is at a later moment; what is denied stays so, and what a limit of ours has stopped."""
    if not candidate.may_wait:
        return candidate
    hindered = overfull(queue, state, now) or obstacle(candidate.target, candidate.connection, state, now)
    if hindered is None:
        return msgspec.structs.replace(candidate, skip="", until=0.0, kind=None)
    return msgspec.structs.replace(candidate, skip=hindered.reason, until=hindered.until, kind=hindered.kind)


Walk = tuple[Target, tuple[Route, ...], str, str]
"""A target, the combos that hold it, the connection at which the session is at home in it, and the condition that the
request does not meet."""


def _alone(route: Route) -> tuple[Walk, ...]:
    """The one target of a route that has no more, as most have: for these there is nothing to decide."""
    only = route.steps[0]
    if len(route.steps) > 1 or route.needs is not NO_NEEDS or isinstance(only, Route) or only.when is not None:
        return ()
    return ((only, (route,), "", ""),)


def _targets(
    route: Route,
    state: State,
    moment: Moment,
    facts: Facts,
    outer: tuple[Route, ...],
    unmet: str,
    *,
    sticky: bool,
) -> Iterator[Walk]:
    """The route's targets, each combo in the order of its own strategy."""
    within = (*outer, route)
    sticky = sticky or route.sticky  # who is to stay at a target stays in the combos inside
    steps, home, connection = _order(route, state, moment, facts.session if sticky else "")
    for step in steps:
        why = unmet or (step.when.unmet(facts) if step.when is not None else "")
        if isinstance(step, Target):
            yield step, within, connection if step.id == home else "", why
        else:
            yield from _targets(step, state, moment, facts, within, why, sticky=sticky)


def _order(route: Route, state: State, moment: Moment, session: str) -> tuple[Sequence[Step], str, str]:
    """The steps of a combo, and where in it the session is at home: step and connection."""
    home = state.sessions.home(route.name, session, moment.now) if session else None
    if home is not None:
        moment = msgspec.structs.replace(moment, turn=state.counters.peek)  # who stays takes no turn of others
    steps = STRATEGIES[route.strategy].order(route, moment) if len(route.steps) > 1 else route.steps
    return (steps, "", "") if home is None else (first(steps, home.step), home.step, home.connection)


def _homely(order: Sequence[Connection], home: str) -> Sequence[Connection]:
    """The connections with that of a session before all others."""
    return sorted(order, key=lambda connection: connection.id != home)
