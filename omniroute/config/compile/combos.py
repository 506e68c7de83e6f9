"""What a combo says besides its targets: conditions, hedging, and what it must know of a request."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from types import MappingProxyType

from omniroute.config.spec.combos import HedgeSpec, WhenSpec
from omniroute.config.spec.words import seconds, share
from omniroute.routing.conditions import Condition
from omniroute.routing.tables import NO_NEEDS, Hedge, Needs, Route, Target


def condition(spec: WhenSpec | None) -> Condition | None:
    if spec is None:
        return None
    return Condition(
        min_tokens=spec.min_tokens,
        max_tokens=spec.max_tokens,
        has=frozenset(spec.has),
        tags=MappingProxyType(dict(spec.tags)),
    )


def hedge(spec: HedgeSpec | None) -> Hedge | None:
    return None if spec is None else Hedge(after=seconds(spec.after), budget=share(spec.budget))


def needs(route: Route) -> Needs:
    """What a route must know of a request. A token is a byte at the least, so a body with fewer bytes than the smallest
    window has tokens fits into all of them."""
    below = list(_below(route))
    windows = {step.facts.context or inf for step in below if isinstance(step, Target)}
    found = Needs(
        prompt=any(step.when is not None for step in below),
        roomy=min(windows) if len(windows) > 1 else inf,
        session=any(step.sticky for step in below if isinstance(step, Route)),
    )
    return NO_NEEDS if found == NO_NEEDS else found


def _below(route: Route) -> Iterator[Target | Route]:
    yield route
    for step in route.steps:
        if isinstance(step, Route):
            yield from _below(step)
        else:
            yield step
