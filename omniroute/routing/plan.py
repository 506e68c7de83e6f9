"""In which order a route's targets are tried, and which of them may be.

A pure decision over the tables, the health of the moment, and a source of chance: the request that is served and the
`explain` that tells about it call this same function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

import msgspec

from omniroute.errors import UpstreamKind
from omniroute.routing.limiting import exhausted, for_target, of_candidate, targets, told
from omniroute.routing.serving import misfit
from omniroute.routing.tables import Connection, Gateway, Policy, Principal, Retry, Route, Subject, Target, Upstream
from omniroute.state.base import State
from omniroute.state.limits import Charge, Limit

T = TypeVar("T")
Weighty = TypeVar("Weighty", Target | Route, Connection)


Denial = Literal["policy", "operation"]


class Candidate(msgspec.Struct, frozen=True):
    """One connection of one target, in its place in the order. `skip` says why it may not be tried now, `until` when
    that ends (on the clock of `now`, 0 if it does not end by itself), `kind` the failure that was the reason. `denied`
    is set where no waiting helps. `charges` are what a try counts as on the limits that hold for it, `limited` says that
    one of these is the reason."""

    target: Target
    connection: Connection
    retry: Retry
    skip: str = ""
    until: float = 0.0
    kind: UpstreamKind | None = None
    denied: Denial | None = None
    charges: Sequence[Charge] = ()
    limited: bool = False


Turn = Callable[[str], int]
"""Whose turn it is in a rotation, by the rotation's name: 0, 1, 2, …"""


def first_turn(_name: str) -> int:
    """For looking at a plan without taking a turn."""
    return 0


def applicable(gateway: Gateway, principal: Principal, operation: str) -> tuple[Policy, ...]:
    """The policies that speak about this caller and operation, in their order."""
    if not gateway.policies:
        return ()
    subject = Subject(principal=principal, operation=operation)
    return tuple(policy for policy in gateway.policies if policy.matches(subject))


def output_limit(policies: Sequence[Policy], asked: str, target: Target) -> int | None:
    """The tokens that policies grant an answer of the target; None where they say nothing."""
    limits = [p.max_output for p in policies if p.max_output is not None and p.concerns(asked, target.id)]
    return min(limits, default=None)


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
) -> list[Candidate]:
    """All candidates of the route in the order of trial, those that are out of the question among them. `limits` are
    those that hold for every candidate, besides those of policies; a try reserves `tokens` from them."""
    candidates = []
    seen = set()
    orders: dict[str, Sequence[Connection]] = {}  # a request is one turn, however many models of a provider it may use
    for target, retry in _targets(route, state, turn, route.retry):
        denial = _denial(target, asked, operation, policies)
        holding = for_target(limits, policies, asked, target) if policies else limits
        upstream = target.upstream
        if upstream.name not in orders:
            orders[upstream.name] = _connections(upstream, state, turn)
        for connection in orders[upstream.name]:
            key = (target.id, connection.id)
            if key in seen:
                continue
            seen.add(key)
            candidate = _judge(target, connection, retry, denial, state, now)
            candidates.append(_counted(candidate, holding, tokens, state, now) if holding else candidate)
    return candidates


def _judge(
    target: Target, connection: Connection, retry: Retry, denial: tuple[Denial, str] | None, state: State, now: float
) -> Candidate:
    if denial is not None:
        return Candidate(target, connection, retry, denial[1], denied=denial[0])
    health = state.breakers.view(connection.id, now)
    if health is not None and health.blocked:
        return Candidate(target, connection, retry, health.reason, health.until, health.kind)
    limit = connection.max_concurrent
    if limit is not None and state.counters.in_flight(connection.id) >= limit:
        return Candidate(target, connection, retry, f"busy: {limit} requests under way", now + 1)
    return Candidate(target, connection, retry)


def _counted(candidate: Candidate, limits: Sequence[Limit], tokens: int, state: State, now: float) -> Candidate:
    """The candidate with the limits that a try of it counts on, skipped where one of them has nothing left."""
    if candidate.skip:
        return candidate
    target, connection = candidate.target, candidate.connection
    charges = of_candidate(limits, target, connection, tokens)
    denied = exhausted(charges, state.limits, now)
    if denied is None:
        return Candidate(target, connection, candidate.retry, charges=charges)
    return Candidate(target, connection, candidate.retry, told(denied), now + denied.wait, "rate_limited", limited=True)


def usable(route: Route, asked: str, operation: str, policies: Sequence[Policy]) -> Iterator[Target]:
    """The targets that are not out of the question, in no order that matters."""
    return (target for target in targets(route) if _denial(target, asked, operation, policies) is None)


def _denial(target: Target, asked: str, operation: str, policies: Sequence[Policy]) -> tuple[Denial, str] | None:
    """Why the target is out of the question for this request, if it is."""
    reason = misfit(target, operation)
    if reason:
        return "operation", reason
    refusal = _refusal(target, asked, policies) if policies else None
    return None if refusal is None else ("policy", refusal)


def _refusal(target: Target, asked: str, policies: Sequence[Policy]) -> str | None:
    for policy in policies:
        if not policy.concerns(asked, target.id):
            continue
        for refuse in policy.refuse:
            reason = refuse(target.id)
            if reason is not None:
                return f"policy {policy.name}: {reason}"
    return None


def _targets(route: Route, state: State, turn: Turn, retry: Retry) -> Iterator[tuple[Target, Retry]]:
    """The route's targets, each combo in the order of its own strategy and with its own retries."""
    for step in _order(route, state, turn):
        if isinstance(step, Target):
            yield step, retry
        else:
            yield from _targets(step, state, turn, step.retry)


def _order(route: Route, state: State, turn: Turn) -> Sequence[Target | Route]:
    steps = route.steps
    if len(steps) == 1 or route.strategy == "priority":
        return steps
    if route.strategy == "round-robin":
        return _rotated(steps, turn(f"combo/{route.name}"))
    if route.strategy == "random":
        return state.random.sample(steps, len(steps))
    return _weighted(steps, state)


def _connections(upstream: Upstream, state: State, turn: Turn) -> Sequence[Connection]:
    """The provider's connections, those of the lowest priority number first, each group by the way of selection."""
    connections = upstream.connections
    if len(connections) == 1:
        return connections
    ordered: list[Connection] = []
    for priority in sorted({connection.priority for connection in connections}):
        group = tuple(connection for connection in connections if connection.priority == priority)
        ordered += _select(upstream, group, state, turn)
    return ordered


def _select(upstream: Upstream, group: Sequence[Connection], state: State, turn: Turn) -> Sequence[Connection]:
    match upstream.selection:
        case "fill-first":
            return group
        case "round-robin":
            return _rotated(group, turn(f"provider/{upstream.name}/{group[0].priority}"))
        case "random":
            return state.random.sample(group, len(group))
        case "weighted":
            return _weighted(group, state)
        case "least-used":
            return sorted(group, key=lambda connection: state.counters.in_flight(connection.id))


def _rotated(items: Sequence[T], by: int) -> list[T]:
    at = by % len(items)
    return [*items[at:], *items[:at]]


def _weighted(items: Sequence[Weighty], state: State) -> list[Weighty]:
    """Drawn without putting back, so that the share of first places follows the weights and the rest is a fallback.
    A weight of 0 is never drawn first while others are left."""
    left = list(items)
    drawn = []
    while left:
        weights = [item.weight for item in left]
        index = state.random.choices(range(len(left)), weights if any(weights) else None)[0]
        drawn.append(left.pop(index))
    return drawn
