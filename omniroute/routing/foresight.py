"""Where requests would go if nothing were under way and nothing known against anybody: what the tables alone decide.

For whoever compares two configurations. The decision is the one that serves (`resolve`, `policies`, `plan`), asked about
many names, so what it says of a name is kept.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cached_property

import msgspec

from omniroute.catalog import Price
from omniroute.errors import CallError
from omniroute.routing.conditions import NO_FACTS, Facts
from omniroute.routing.explain import Consulted, consulted
from omniroute.routing.limiting import targets
from omniroute.routing.plan import Candidate, plan
from omniroute.routing.policies import Supposed, rerouted
from omniroute.routing.resolve import known
from omniroute.routing.serving import OPERATIONS
from omniroute.routing.tables import Gateway, Policy, Route, Target
from omniroute.state.base import Clock
from omniroute.state.memory import memory_state

CHANCE = frozenset({"random", "strict-random", "weighted", "p2c"})
"""Strategies whose first target is another one each time: they are told in the order of the file."""


class Lead(msgspec.Struct, frozen=True):
    """Where a name leads: the route, the targets that may serve, the one that is tried first before the others, and how
    many tries there are (a target is tried on each of its connections). `reason` says why nothing may serve, where that is so, and
    `policy` that it is because of one."""

    route: str = ""
    targets: tuple[str, ...] = ()
    tries: int = 0
    price: Price | None = None
    reason: str = ""
    policy: bool = False

    @property
    def first(self) -> str:
        return self.targets[0] if self.targets else ""

    @property
    def providers(self) -> frozenset[str]:
        return frozenset(target.partition("/")[0] for target in self.targets)


class Foresight:
    """Looks ahead in one configuration. `now` is the UNIX time that it is there."""

    def __init__(self, gateway: Gateway, now: float) -> None:
        self.gateway = gateway
        self.now = now
        clock = Clock(now=lambda: self.now, monotonic=lambda: 0.0)
        self._state = msgspec.structs.replace(memory_state(), clock=clock, random=random.Random(0))
        self._routes: dict[str, Route | None] = {}
        self._leads: dict[tuple[object, ...], Lead] = {}
        self._ids: dict[str, frozenset[str]] = {}
        self._refusals: dict[str, Mapping[str, str]] = {}
        self._acted: dict[str, frozenset[str]] = {}
        self._operations: dict[str, str] = {}

    def route(self, name: str) -> Route | None:
        """What a name means, a model id alone included; None where it means nothing, or several things."""
        if name not in self._routes:
            found = known(self.gateway, name)
            owners = self.gateway.bare.get(name, ())
            if found is None and len(owners) == 1:
                found = self.gateway.routes[owners[0]]
            self._routes[name] = found
        return self._routes[name]

    def operation(self, name: str) -> str:
        """What a name is asked for: what the model is for that it leads to."""
        found = self._operations.get(name)
        if found is None:
            route = self.route(name)
            kind = next((target.facts.kind for target in targets(route)), None) if route is not None else None
            found = self._operations[name] = OPERATIONS[kind][0] if kind is not None else "chat"
        return found

    @cached_property
    def names(self) -> frozenset[str]:
        """The models, aliases and combos that are listed."""
        return frozenset(line.id for line in self.gateway.models)

    @cached_property
    def targets(self) -> Mapping[str, Target]:
        """All that may serve a listed name, by id."""
        return {target.id: target for line in self.gateway.models for target in self._targets(line.id)}

    @cached_property
    def _leading(self) -> Mapping[str, list[str]]:
        """The listed names that may be served by a target."""
        found: dict[str, list[str]] = {}
        for name in self.names:
            for target in self._targets(name):
                found.setdefault(target.id, []).append(name)
        return found

    def _targets(self, name: str) -> list[Target]:
        route = self.route(name)
        return [] if route is None else list(targets(route))

    def refusals(self, policy: Policy) -> Mapping[str, str]:
        """The targets of listed names that a policy refuses where it is concerned, and why."""
        if policy.name not in self._refusals:
            found = {}
            for target in self.targets.values() if policy.refuse else ():
                for refuse in policy.refuse:
                    reason = refuse(target, self.now)
                    if reason is not None:
                        found[target.id] = reason
                        break
            self._refusals[policy.name] = found
        return self._refusals[policy.name]

    def acted(self, policy: Policy) -> frozenset[str]:
        """The listed names in which a policy may have a say: no others lead elsewhere because of it."""
        if policy.name not in self._acted:
            found = {name for target in self.refusals(policy) for name in self._leading[target]}
            if policy.route or policy.prefer:
                found |= {name for name in self.names if self._concerns(policy, name)}
            self._acted[policy.name] = frozenset(found)
        return self._acted[policy.name]

    def _concerns(self, policy: Policy, name: str) -> bool:
        route = self.route(name)
        return route is not None and (
            policy.concerns(name, route.name) or any(policy.concerns(name, each.id) for each in targets(route))
        )

    def lead(self, name: str, policies: Sequence[Policy] = ()) -> Lead:
        """Where a name leads a caller for whom these policies hold, whatever the request."""
        listed = name in self.names
        concerned = tuple([p for p in policies if (name in self.acted(p) if listed else self._concerns(p, name))])
        if not concerned and (found := self._leads.get((name,))) is not None:
            return found
        route = self.route(name)
        if route is None:
            return Lead(reason=self._nothing(name))
        if not concerned:
            return self._kept((name,), name, route, ())
        out = frozenset(
            ident
            for policy in concerned
            for ident in self.refusals(policy).keys() & self._idents(name)
            if policy.concerns(name, ident)
        )
        led = tuple(policy.name for policy in concerned if policy.route or policy.prefer)
        if listed:
            found = self._kept((name, led, out), name, route, concerned)
            if found.targets:
                return found  # whichever policies keep the same targets out
        return self._kept((name, tuple(policy.name for policy in concerned)), name, route, concerned)

    def _kept(self, key: tuple[object, ...], name: str, route: Route, policies: tuple[Policy, ...]) -> Lead:
        if key not in self._leads:
            self._leads[key] = self._lead(name, route, policies)
        return self._leads[key]

    def _idents(self, name: str) -> frozenset[str]:
        if name not in self._ids:
            self._ids[name] = frozenset(target.id for target in self._targets(name))
        return self._ids[name]

    def decide(self, model: str, subject: Supposed, facts: Facts = NO_FACTS) -> tuple[Consulted | None, Lead]:
        """Where one request leads. What it cannot ask for at all has the reason why."""
        try:
            found = consulted(self.gateway, model, subject)
        except CallError as error:
            return None, Lead(reason=error.fault.message)
        candidates = self._plan(found.route, found.asked, subject.operation, found.policies, facts)
        return found, _told(found.route, candidates)

    def _lead(self, name: str, route: Route, policies: tuple[Policy, ...]) -> Lead:
        instead = rerouted(policies, name, route)
        if instead:
            route = self.route(instead) or route
        return _told(route, self._plan(route, name, self.operation(name), policies, NO_FACTS))

    def _plan(
        self, route: Route, asked: str, operation: str, policies: Sequence[Policy], facts: Facts
    ) -> list[Candidate]:
        if _by_chance(route):
            self._state.random.seed(0)
        found = plan(route, self._state, 0.0, asked=asked, operation=operation, policies=policies, facts=facts)
        if not _by_chance(route) or any(policy.prefer for policy in policies):
            return found
        order = {target.id: number for number, target in reversed(list(enumerate(targets(route))))}
        return sorted(found, key=lambda candidate: order[candidate.target.id])

    def _nothing(self, name: str) -> str:
        owners = self.gateway.bare.get(name, ())
        return f"several providers have it: {', '.join(owners)}" if owners else "nothing has this name"


def _told(route: Route, candidates: Sequence[Candidate]) -> Lead:
    usable = [candidate for candidate in candidates if not candidate.skip]
    named = dict.fromkeys(candidate.target.id for candidate in usable)
    first: Target | None = usable[0].target if usable else None
    refused = next((each for each in candidates if each.denied == "policy"), candidates[0] if candidates else None)
    return Lead(
        route=route.name,
        targets=tuple(named),
        tries=len(usable),
        price=first.facts.price if first is not None else None,
        reason="" if usable else "no connection can be called" if refused is None else refused.skip,
        policy=not usable and refused is not None and refused.denied == "policy",
    )


def _by_chance(route: Route) -> bool:
    return len(route.steps) > 1 and (
        route.strategy in CHANCE or any(isinstance(step, Route) and _by_chance(step) for step in route.steps)
    )
