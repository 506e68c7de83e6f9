"""What policies say about the targets of a route, worked out once.

Policies and tables never change, so for a caller, a name and a route the answers are the same in each request. They are
kept with the policies (`policies.Heard`) and go with the snapshot that these are of. What a schedule says depends on the
time and is asked each time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, Literal

import msgspec

from omniroute.catalog import Ceiling, Model
from omniroute.routing import policies as said
from omniroute.routing.limiting import for_target, held, targets
from omniroute.routing.policies import Heard
from omniroute.routing.serving import misfit
from omniroute.routing.tables import NO_NEEDS, UNLIMITED, LimitSet, Orders, Policy, Route, Target
from omniroute.state.limits import Limit

MOST = 1_000
"""Names whose rulings are kept for the same policies: whoever asks chooses them."""
LONGEST_CONTEXT = 1_000_000
"""Of a model that nothing is known of."""
LONGEST_ANSWER = 131_072
"""Of a model of which nothing is known but its price."""
AS_LISTED = frozenset({"priority", "fill-first"})
"""Strategies that take the steps of a combo as the file lists them."""
Denial = Literal["policy", "operation", "condition", "window"]
Refused = tuple[Denial, str] | None


class Bound(msgspec.Struct, frozen=True, gc=False):
    """What a request may take of a target at the most: tokens of its prompt, of its answer where the request does not
    say, and of any answer (`granted`, None where nothing says that), and what these cost."""

    target: str
    context: int
    answer: int
    granted: int | None
    ceiling: Ceiling

    def covers(self, other: Bound) -> bool:
        """Whether no request costs more at the other."""
        mine = inf if self.granted is None else self.granted
        theirs = inf if other.granted is None else other.granted
        return (
            self.context >= other.context
            and self.answer >= other.answer
            and mine >= theirs
            and (self.ceiling == other.ceiling or self.ceiling.covers(other.ceiling))
        )


def bounds(usable: Iterable[tuple[Target, int | None]]) -> tuple[Bound, ...]:
    """Of the targets, each with what policies grant an answer of it, those that may be the dearest."""
    found: list[Bound] = []
    for target, granted in usable:
        facts = target.facts
        answer = facts.max_output or facts.context or LONGEST_ANSWER
        one = Bound(target.id, _context(facts), answer, granted, target.ceiling)
        if not any(other.covers(one) for other in found):
            found = [*(other for other in found if not one.covers(other)), one]
    return tuple(found)


def _context(facts: Model) -> int:
    """What a prompt may be at the most. A model with a price for long prompts takes such, whatever is listed."""
    long = facts.price is not None and bool(facts.price.tiers)
    return max(facts.context or LONGEST_CONTEXT, LONGEST_CONTEXT if long else 0)


def _settled(route: Route) -> bool:
    """Whether neither the request nor the moment decides about the order of the route's targets and connections, nor how
    much is under way."""
    return (
        route.needs is NO_NEEDS
        and not route.sticky
        and (route.strategy in AS_LISTED or len(route.steps) == 1)
        and all(step.when is None for step in route.steps)
        and all(_settled(step) if isinstance(step, Route) else _lone(step) for step in route.steps)
    )


def _lone(target: Target) -> bool:
    """Whether it has one connection, however much that has under way."""
    return len(target.upstream.connections) == 1 and target.upstream.connections[0].max_concurrent is None


class Ruling:
    """What policies say of a request for a name, served by a route. Where all is `settled`, its
    `plan` is the same each time, as long as nothing is known against anybody: the candidates (`routing/plan.py`)."""

    __slots__ = (
        "_bounds",
        "_denials",
        "_holding",
        "_operation",
        "_orders",
        "asked",
        "plan",
        "policies",
        "prefers",
        "route",
        "settled",
    )

    def __init__(self, policies: Sequence[Policy], asked: str, operation: str, route: Route) -> None:
        self.policies = policies
        self.asked = asked
        self.route = route
        self._denials: dict[str, Refused] | None = None if any(policy.timed for policy in policies) else {}
        self.prefers = any(policy.prefer for policy in policies)
        self.settled = (
            self._denials is not None and not any(policy.limits.candidates for policy in policies) and _settled(route)
        )
        self.plan: tuple[Any, ...] | None = None
        self._operation = operation
        self._orders: dict[str, Orders | None] = {}
        self._bounds: tuple[Bound, ...] | None = None
        self._holding: tuple[LimitSet, tuple[tuple[Limit, ...], tuple[Limit, ...]]] | None = None

    def denial(self, target: Target, time: float) -> Refused:
        """Why the target is out of the question for the request, if it is."""
        if self._denials is None:
            return self._denial(target, time)
        try:
            return self._denials[target.id]
        except KeyError:
            found = self._denials[target.id] = self._denial(target, time)
            return found

    def _denial(self, target: Target, time: float) -> Refused:
        reason = misfit(target, self._operation)
        if reason:
            return "operation", reason
        refused = said.refusal(self.policies, self.asked, target, time) if self.policies else None
        return None if refused is None else ("policy", refused)

    def bounds(self, time: float) -> tuple[Bound, ...]:
        """What the request may take at the most, of the targets that are not out of the question."""
        if self._bounds is not None:
            return self._bounds
        found = bounds(
            (target, said.output_limit(self.policies, self.asked, target))
            for target in targets(self.route)
            if self.denial(target, time) is None
        )
        if self._denials is not None:
            self._bounds = found
        return found

    def orders(self, target: Target, general: Orders | None) -> Orders | None:
        """What is to be done with the request at the target; `general` is what counts for everybody, always the same."""
        try:
            return self._orders[target.id]
        except KeyError:
            found = self._orders[target.id] = said.orders(self.policies, self.asked, target, general)
            return found

    def held(self, base: LimitSet) -> tuple[tuple[Limit, ...], tuple[Limit, ...]]:
        """The limits of the caller and those of every candidate, where the caller's own are these."""
        if self._holding is None or self._holding[0] is not base:
            self._holding = base, held(base, self.policies, self.asked, self.route)
        return self._holding[1]

    def of_target(self, limits: Sequence[Limit], target: Target) -> Sequence[Limit]:
        """The limits of a candidate, besides these."""
        return for_target(limits, self.policies, self.asked, target) if self.policies else limits


def ruling(policies: Sequence[Policy], asked: str, operation: str, route: Route) -> Ruling:
    """What these policies say, as far as they are kept with it."""
    if not isinstance(policies, Heard):
        return Ruling(policies, asked, operation, route)
    key = (asked, operation, route.name)
    found: Ruling | None = policies.rulings.get(key)
    if found is None or found.route is not route:  # a model that no list knows has another route each time
        if len(policies.rulings) >= MOST:
            policies.rulings.clear()
        found = policies.rulings[key] = Ruling(policies, asked, operation, route)
    return found


def limited(base: LimitSet, policies: Sequence[Policy]) -> bool:
    """Whether any limit may hold for a caller with these limits."""
    return base is not UNLIMITED or any(policy.limits is not UNLIMITED for policy in policies)
