"""The decision about a request, told as data: the same functions that serve, their result written down.

For the command line, and for whoever asks "why did it go there?" before it does.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from omniroute.catalog import Price
from omniroute.routing.limiting import held, of_caller, told
from omniroute.routing.plan import plan
from omniroute.routing.resolve import resolve, variant
from omniroute.routing.tables import ANONYMOUS, Gateway, Policy, Principal
from omniroute.state.base import State
from omniroute.state.budgets import Balance
from omniroute.state.limits import Standing


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """A candidate in its place. `accepted` says whether it would be tried now, `reason` why not."""

    target: str
    connection: str
    accepted: bool
    reason: str = ""
    upstream_model: str = ""
    format: str = ""
    translated: bool = False
    context: int | None = None
    usd_per_million: Price | None = None


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What would happen to a request for `model`. `limits` are those that count the caller, with what is left of each,
    but for those by address; `budgets` pay for it, and where one is spent that leads elsewhere, `route` is there.
    `refused` says what would refuse the request before a candidate is tried."""

    model: str
    route: str
    strategy: str
    revision: str
    steps: tuple[Step, ...]
    policies: tuple[str, ...] = ()
    limits: tuple[Standing, ...] = ()
    budgets: tuple[Balance, ...] = ()
    refused: str = ""


def explain(
    gateway: Gateway,
    state: State,
    model: str,
    client_format: str,
    policies: Sequence[Policy] = (),
    principal: Principal = ANONYMOUS,
) -> Explanation:
    """Raises what the request itself would raise: NotFound, BadRequest."""
    name, _ = variant(model)
    route = resolve(gateway, name)
    now = state.clock.monotonic()
    balances = tuple(state.budgets.balance(budget, state.clock.now()) for budget in principal.budgets)
    spent = [budget for budget, balance in zip(principal.budgets, balances, strict=True) if not balance.remaining]
    refusing = [budget.name for budget in spent if not budget.route_to]
    if spent and not refusing:
        route = resolve(gateway, spent[0].route_to)
    callers, candidates = held(gateway.limits if principal is ANONYMOUS else principal.limits, policies, name, route)
    charges = of_caller([limit for limit in callers if limit.per != "ip"], principal, "", 0)
    denied = [told(found) for charge in charges if (found := state.limits.look(charge, now)) is not None]
    denied += [f"budget {budget}: spent" for budget in refusing]
    steps = []
    for candidate in plan(route, state, now, asked=name, policies=policies, limits=candidates):
        target = candidate.target
        spoken = client_format if client_format in target.formats else next(iter(target.formats), "")
        steps.append(
            Step(
                target=target.id,
                connection=candidate.connection.id,
                accepted=not candidate.skip,
                reason=candidate.skip,
                upstream_model=target.model,
                format=spoken,
                translated=spoken != client_format,
                context=target.facts.context,
                usd_per_million=target.facts.price,
            )
        )
    names = tuple(policy.name for policy in policies)
    return Explanation(
        model=model,
        route=route.name,
        strategy=route.strategy,
        revision=gateway.revision.digest,
        steps=tuple(steps),
        policies=names,
        limits=tuple(state.limits.stand(charges, now)),
        budgets=balances,
        refused="; ".join(denied),
    )
