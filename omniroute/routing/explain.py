"""The decision about a request, told as data: the same functions that serve, their result written down.

For the command line, and for whoever asks "why did it go there?" before it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from omniroute.catalog import Price
from omniroute.formats.codecs import CHAT
from omniroute.formats.ir import Chat
from omniroute.routing.availability import few_left
from omniroute.routing.cacheable import Cacheability, cacheability
from omniroute.routing.conditions import NO_FACTS, Facts
from omniroute.routing.limiting import held, of_caller, told
from omniroute.routing.plan import Candidate, current, plan
from omniroute.routing.policies import SOMEBODY, PolicyTold, Supposed, explained, holding, rerouted
from omniroute.routing.resolve import resolve, variant
from omniroute.routing.strategies import STRATEGIES, Moment, name
from omniroute.routing.tables import ANONYMOUS, Gateway, Policy, Route, Target
from omniroute.state.base import State
from omniroute.state.budgets import Balance
from omniroute.state.limits import Standing


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """A candidate in its place. `accepted` says whether it would be tried now, `reason` why not, and `seconds` when
    that ends, where it ends by itself; `scarce` what the provider says there is little left of; `order` why each combo on
    the way to it put it where it is; `proxy` which one it would be called through, without credentials, and
    `proxy_setting` where the file says so; `losses` what a translation would leave out, where the request is known."""

    target: str
    connection: str
    accepted: bool
    reason: str = ""
    order: tuple[str, ...] = ()
    seconds: float | None = None
    scarce: str = ""
    upstream_model: str = ""
    format: str = ""
    translated: bool = False
    proxy: str = ""
    proxy_setting: str = ""
    losses: tuple[str, ...] = ()
    context: int | None = None
    usd_per_million: Price | None = None


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What would happen to a request for `model`. `policies` are all of them, with why one does not match and what the
    others do; `rerouted` is the name that one has the request served under. `limits` are those that count the caller,
    with what is left of each, but for those by address; `budgets` pay for it, and where one is spent that leads elsewhere, `route` is there.
    `ip_filter` tells whether it would be let in from the caller's address; empty where there is no filter, or nobody
    asked. `refused` says what would refuse the request before a candidate is tried."""

    model: str
    route: str
    strategy: str
    revision: str
    steps: tuple[Step, ...]
    policies: tuple[PolicyTold, ...] = ()
    rerouted: str = ""
    ip_filter: str = ""
    limits: tuple[Standing, ...] = ()
    budgets: tuple[Balance, ...] = ()
    refused: str = ""
    cache: Cacheability | None = None


class Consulted(NamedTuple):
    """What a request means: the name without its variant, what that leads to, the policies that hold, the name that one of
    them has it served under, and the route that it takes."""

    asked: str
    named: Route
    policies: tuple[Policy, ...]
    rerouted: str
    route: Route


def consulted(gateway: Gateway, model: str, subject: Supposed) -> Consulted:
    """What a request for a model means. Raises what the request itself would raise: NotFound, BadRequest."""
    asked, _ = variant(model)
    named = route = resolve(gateway, asked)
    policies = holding(gateway.policies.standing(subject.principal, subject.operation).enforced, subject)
    instead = rerouted(policies, asked, route)
    if instead:
        route = resolve(gateway, instead)
    return Consulted(asked, named, policies, instead, route)


def explain(
    gateway: Gateway,
    state: State,
    model: str,
    client_format: str,
    subject: Supposed = SOMEBODY,
    *,
    facts: Facts = NO_FACTS,
    chat: Chat | None = None,
    no_cache: bool = False,
) -> Explanation:
    """Raises what the request itself would raise: NotFound, BadRequest. `chat` is the request itself, where there is one,
    and then losses are told too; `no_cache` says that its client wants a new answer."""
    principal = subject.principal
    asked, named, policies, instead, route = consulted(gateway, model, subject)
    now, turn = state.clock.monotonic(), state.counters.peek
    balances = tuple(state.budgets.balance(budget, state.clock.now()) for budget in principal.budgets)
    spent = [budget for budget, balance in zip(principal.budgets, balances, strict=True) if not balance.remaining]
    refusing = [budget.name for budget in spent if not budget.route_to]
    if spent and not refusing:
        route = resolve(gateway, spent[0].route_to)
    callers, candidates = held(gateway.limits if principal is ANONYMOUS else principal.limits, policies, asked, route)
    charges = of_caller([limit for limit in callers if limit.per != "ip"], principal, "", 0)
    denied = [told(found) for charge in charges if (found := state.limits.look(charge, now)) is not None]
    denied += [f"budget {budget}: spent" for budget in refusing]
    moment = Moment(state.scores, turn, state.random, now, facts.stream)
    steps = []
    planned = plan(
        route,
        state,
        now,
        turn=turn,
        asked=asked,
        operation=subject.operation,
        policies=policies,
        limits=candidates,
        facts=facts,
    )
    for candidate in [current(each, state, gateway.queue, now) for each in planned]:
        target = candidate.target
        spoken = client_format if client_format in target.formats else next(iter(target.formats), "")
        proxy = target.via(candidate.connection, target.upstream.endpoints[spoken]) if spoken else None
        steps.append(
            Step(
                target=target.id,
                connection=candidate.connection.id,
                accepted=not candidate.skip,
                reason=candidate.skip,
                order=tuple(_order(candidate, state, moment, facts)),
                seconds=round(candidate.until - now, 3) if candidate.until else None,
                scarce=few_left(target, candidate.connection, state, now),
                upstream_model=target.model,
                format=spoken,
                translated=spoken != client_format,
                proxy=proxy.label if proxy else "",
                proxy_setting=proxy.setting if proxy else "",
                losses=_losses(chat, spoken, target) if chat is not None and spoken != client_format else (),
                context=target.facts.context,
                usd_per_million=target.facts.price,
            )
        )
    verdict = gateway.ip_filter.verdict(subject.ip) if gateway.ip_filter is not None and subject.ip else ""
    targets = list({candidate.target.id: candidate.target for candidate in planned}.values())
    return Explanation(
        model=model,
        route=route.name,
        strategy=route.strategy,
        revision=gateway.revision.digest,
        steps=tuple(steps),
        policies=explained(gateway.policies, subject, asked, named, targets),
        rerouted=instead,
        ip_filter=verdict,
        limits=tuple(state.limits.stand(charges, now)),
        budgets=balances,
        refused="; ".join(denied),
        cache=cacheability(gateway.cache, chat, declined=no_cache),
    )


def _order(candidate: Candidate, state: State, moment: Moment, facts: Facts) -> Iterator[str]:
    """Why each combo on the way to a candidate put it where it is; a combo of one has nothing to tell."""
    sticky = False
    for route, step in candidate.steps():
        sticky = sticky or route.sticky
        home = state.sessions.home(route.name, facts.session, moment.now) if sticky and facts.session else None
        if home is not None and home.step == name(step):
            yield f"{route.name}: the session is at home here"
        elif len(route.steps) > 1:
            yield f"{route.name} ({route.strategy}): {STRATEGIES[route.strategy].why(route, step, moment)}"


def _losses(chat: Chat, spoken: str, target: Target) -> tuple[str, ...]:
    """The codes of what a target's format has no place for."""
    if spoken not in CHAT:
        return ()
    return tuple(dict.fromkeys(loss.code for loss in CHAT[spoken].encode_request(chat, target.model)[1]))
