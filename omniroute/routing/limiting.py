"""On which counters a request counts, and whether a candidate has something left: pure decisions over the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from omniroute.routing.tables import Connection, LimitSet, Policy, Principal, Route, Target
from omniroute.state.limits import Charge, Denied, Limit, Limits

UNITS = {"requests": "requests", "tokens": "tokens", "concurrent": "requests at a time"}


def held(
    base: LimitSet, policies: Sequence[Policy], asked: str, route: Route
) -> tuple[tuple[Limit, ...], tuple[Limit, ...]]:
    """The limits of the caller and those of every candidate, each once. A policy about models holds for the caller where
    one of the route's targets may be such a model."""
    found: dict[str, Limit] = {}
    for policy in policies:
        limits = policy.limits.callers
        if limits and any(policy.concerns(asked, target.id) for target in targets(route)):
            found.update((limit.name, limit) for limit in limits)
    callers = tuple(({limit.name: limit for limit in base.callers} | found).values()) if found else base.callers
    return callers, base.candidates


def for_target(limits: Sequence[Limit], policies: Sequence[Policy], asked: str, target: Target) -> Sequence[Limit]:
    """The limits of a candidate: those of every one, and those of policies that concern its target."""
    found: dict[str, Limit] = {}
    for policy in policies:
        if policy.limits.candidates and policy.concerns(asked, target.id):
            found.update((limit.name, limit) for limit in policy.limits.candidates)
    return tuple(({limit.name: limit for limit in limits} | found).values()) if found else limits


def of_caller(limits: Iterable[Limit], principal: Principal, address: str, tokens: int) -> list[Charge]:
    """What a request counts as on the limits of its caller. Callers without a key are one for a limit per key."""
    subjects = {"key": principal.name, "ip": address, "global": ""}
    return [Charge(limit, subjects[limit.per], tokens) for limit in limits]


def of_candidate(limits: Iterable[Limit], target: Target, connection: Connection, tokens: int) -> list[Charge]:
    """What a try counts as on the limits of its candidate."""
    subjects = {"model": target.id, "provider": target.upstream.name, "connection": connection.id}
    return [Charge(limit, subjects[limit.per], tokens) for limit in limits]


def exhausted(charges: Iterable[Charge], counters: Limits, now: float) -> Denied | None:
    """The limit that has nothing left for the longest; None where all have."""
    longest: Denied | None = None
    for charge in charges:
        denied = counters.look(charge, now)
        if denied is not None and (longest is None or denied.wait > longest.wait):
            longest = denied
    return longest


def told(denied: Denied) -> str:
    """Which limit it is, in words: `limit standard: 60 requests in 60 s for key team-a`."""
    limit = denied.limit
    rate = {"requests": limit.requests, "tokens": limit.tokens}.get(denied.measure)
    amount = limit.concurrent if rate is None else rate.amount
    time = "" if rate is None else f" in {rate.period / 1e9:g} s"
    whom = "all together" if limit.per == "global" else f"{limit.per} {denied.subject or 'of no name'}"
    return f"limit {limit.name}: {amount} {UNITS[denied.measure]}{time} for {whom}"


def targets(route: Route) -> Iterator[Target]:
    """All targets of a route, those of combos inside it among them."""
    for step in route.steps:
        if isinstance(step, Target):
            yield step
        else:
            yield from targets(step)
