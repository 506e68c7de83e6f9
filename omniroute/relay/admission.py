"""Lets a request in, as far as limits and budgets go, and gives back at its end what it did not take.

Budgets first, then limits, and all of it or nothing. What a key, an address or everybody together has used up refuses
the request; what a model, a provider or a connection has used up is for the plan to go around, and is taken with each
try of a candidate.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from math import inf

import msgspec

from omniroute.errors import Forbidden, LimitReached, Unavailable
from omniroute.relay.admit import client
from omniroute.relay.asgi import Pairs
from omniroute.relay.call import Call
from omniroute.relay.demand import Demand
from omniroute.routing import limiting
from omniroute.routing.caller import customer
from omniroute.routing.plan import Candidate
from omniroute.routing.resolve import resolve
from omniroute.routing.ruling import limited, ruling
from omniroute.routing.tables import ANONYMOUS, Route
from omniroute.state.budgets import Balance, Budget, Exhausted, Reservation, warns
from omniroute.state.limits import Denied, Lease, Limit, Standing

log = logging.getLogger("omniroute.budgets")

LONGEST_WAIT = 86_400.0
"""Seconds that are told to wait at the most: of a budget that never comes back, to look again the next day."""
SOON = 1.0
"""Seconds after which what others have reserved may be there again."""
NOTHING = Decimal(0)
RATES = {
    measure: (b"x-ratelimit-limit-" + name, b"x-ratelimit-remaining-" + name, b"x-ratelimit-reset-" + name)
    for measure in ("requests", "tokens")
    for name in (measure.encode(),)
}
"""The headers of a measure that is a rate: how much there is, what is left, and when all of it is there again."""


class Hold(msgspec.Struct):
    """What a request was let in with, or why it was not. `candidates` are the limits of each try, `tokens` what each
    reserves; `beyond` is the budget whose end has sent the request elsewhere, or has refused it."""

    candidates: tuple[Limit, ...] = ()
    tokens: int = 0
    lease: Lease | None = None
    reservation: Reservation | None = None
    beyond: Budget | None = None
    denied: Denied | None = None


def admit(call: Call, measure: Callable[[Call], Demand]) -> None:
    """Reserves what the request may take, if anything holds for it. Raises LimitReached where there is not enough, and
    Forbidden for a model without a price under a budget; then nothing is reserved."""
    principal = call.principal
    assert principal is not None
    base = call.gateway.limits if principal is ANONYMOUS else principal.limits
    counted = limited(base, call.policies)
    if not counted and not principal.budgets:
        return
    assert call.route is not None
    demand = measure(call)
    hold = Hold()
    if principal.budgets:
        _reserve(call, principal.budgets, demand, hold)
    if counted:
        hold.tokens = demand.likely
        callers, hold.candidates = ruling(call.policies, call.asked, call.operation, call.route).held(base)
        if callers:
            _take(call, callers, hold)
    call.hold = hold


def _take(call: Call, callers: Sequence[Limit], hold: Hold) -> None:
    address = ""
    for limit in callers:
        if limit.per == "ip":
            address = customer(client(call.scope, call.gateway.server.trusted_proxies))
            break
    assert call.principal is not None
    charges = limiting.of_caller(callers, call.principal, address, hold.tokens)
    taken = call.state.limits.take(charges, call.state.clock.monotonic())
    if isinstance(taken, Denied):
        if hold.reservation is not None:
            call.state.budgets.settle(hold.reservation, NOTHING)
        call.hold = Hold(denied=taken)
        raise refusal(taken)
    hold.lease = taken


def refusal(denied: Denied) -> LimitReached:
    """What the caller is told of a limit."""
    told = limiting.told(denied)
    return LimitReached(f"Reached the {told}. Try again in {denied.wait:.3g} s.", retry_after=denied.wait)


# ---------------------------------------------------------------------------------------------------------- budgets


def _reserve(call: Call, budgets: Sequence[Budget], demand: Demand, hold: Hold) -> None:
    assert call.route is not None
    amount = _at_most(call, call.route, demand, budgets)
    reserved = call.state.budgets.reserve(budgets, amount, call.started_at)
    if isinstance(reserved, Exhausted) and reserved.known and reserved.budget.route_to:
        hold.beyond = reserved.budget
        call.route = resolve(call.gateway, reserved.budget.route_to)
        amount = _at_most(call, call.route, demand, budgets)
        reserved = call.state.budgets.reserve(budgets, amount, call.started_at, beyond=True)
    if isinstance(reserved, Exhausted):
        call.hold = Hold(beyond=reserved.budget)
        raise _spent(call, reserved, amount)
    hold.reservation = reserved


def _at_most(call: Call, route: Route, demand: Demand, budgets: Sequence[Budget]) -> Decimal:
    said = ruling(call.policies, call.asked, call.operation, route)
    amount, unpriced = demand.most(said.bounds(call.started_at))
    if unpriced:
        names = ", ".join(f"`{budget.name}`" for budget in budgets)
        raise Forbidden(
            f"`{unpriced}` has no price that is known here, and what it costs counts on the budget {names}: whoever runs "
            f"this gateway may add it under `pricing`.",
            code="unpriced_model",
            param="model",
        )
    return amount


def _spent(call: Call, exhausted: Exhausted, amount: Decimal) -> LimitReached | Unavailable:
    """What the caller is told of a budget: that it is spent, or that others hold what is left of it."""
    budget = exhausted.budget
    if not exhausted.known:
        message = f"What is spent of the budget `{budget.name}` is not known yet: the ledger cannot be read."
        return Unavailable(message, code="budget_unknown", retry_after=SOON)
    left = max(NOTHING, budget.limit - exhausted.spent)
    message = f"The budget `{budget.name}` ({usd(budget.limit)} USD, {budget.period}) has {usd(left)} USD left"
    if amount <= left:
        held = f"{usd(exhausted.reserved)} USD of it are reserved for requests under way"
        message = f"{message}, and {held}. Try again soon."
        return LimitReached(message, code="budget_exhausted", retry_after=SOON)
    resets = f"It resets at {moment(exhausted.resets)}" if exhausted.resets < inf else "It does not reset"
    message = f"{message}, and this request may cost up to {usd(amount)} USD. {resets}."
    wait = min(LONGEST_WAIT, exhausted.resets - call.started_at)
    return LimitReached(message, code="budget_exhausted", retry_after=max(SOON, wait))


def usd(amount: Decimal) -> str:
    """Without zeros that say nothing."""
    return format(amount.normalize(), "f")


def moment(at: float) -> str:
    """A UNIX time in words for a caller."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ------------------------------------------------------------------------------------------------------- candidates


def lease(call: Call, candidate: Candidate) -> Lease | Denied:
    """What one try of a candidate takes of the limits that hold for it."""
    return call.state.limits.take(candidate.charges, call.state.clock.monotonic())


def give_back(call: Call, taken: Lease | Denied | None) -> None:
    """A try is over, or has not begun."""
    if isinstance(taken, Lease):
        call.state.limits.settle(taken, _tokens(call), call.state.clock.monotonic())


# -------------------------------------------------------------------------------------------------------------- end


def settle(call: Call) -> None:
    """The request is over, however: its tokens and its cost are what they were."""
    hold = call.hold
    if hold is None:
        return
    if hold.lease is not None:
        call.state.limits.settle(hold.lease, _tokens(call), call.state.clock.monotonic())
    if hold.reservation is not None:
        for balance in call.state.budgets.settle(hold.reservation, call.cost or NOTHING):
            log.warning("budget %s: %s of %s USD spent, %s%%", *_figures(balance))


def _tokens(call: Call) -> int:
    return 0 if call.usage is None else call.usage.input + call.usage.output


def _figures(balance: Balance) -> tuple[str, str, str, int]:
    share = int(balance.spent * 100 / balance.limit) if balance.limit else 100
    return balance.name, usd(balance.spent), usd(balance.limit), share


# ---------------------------------------------------------------------------------------------------------- headers


def headers(call: Call) -> Pairs:
    """What is left of the limits that count the caller's requests, in OpenAI's words, and of budgets that are nearly
    spent. Of several limits the one is told that has the least left."""
    hold = call.hold
    if hold is None:
        return []
    pairs: Pairs = []
    for standing in _least(call, hold):
        limit, remaining, reset = RATES[standing.measure]
        pairs += (
            (limit, b"%d" % standing.amount),
            (remaining, b"%d" % standing.remaining),
            (reset, _duration(standing.reset)),
        )
    told = []
    if hold.reservation is not None:
        for budget, account in hold.reservation.accounts:
            if budget is hold.beyond or warns(budget, account):
                told.append(_told(call, budget, hold))
    elif hold.beyond is not None:
        told.append(_told(call, hold.beyond, hold))
    if told:
        pairs.append((b"x-omniroute-budget", ", ".join(told).encode()))
    return pairs


def _least(call: Call, hold: Hold) -> Iterable[Standing]:
    """Of each measure that is a rate, the limit with the least left."""
    if hold.denied is not None:
        return _refused(hold.denied)
    if hold.lease is None:
        return ()
    return call.state.limits.tightest(hold.lease, call.state.clock.monotonic())


def _refused(denied: Denied) -> Iterable[Standing]:
    limit = denied.limit
    rate = {"requests": limit.requests, "tokens": limit.tokens}.get(denied.measure)
    if rate is not None:
        yield Standing(limit.name, denied.subject, denied.measure, rate.amount, 0, denied.wait)


def _told(call: Call, budget: Budget, hold: Hold) -> str:
    balance = call.state.budgets.balance(budget, call.started_at)
    name, spent, limit, share = _figures(balance)
    way = f";route={budget.route_to}" if budget is hold.beyond and budget.route_to else ""
    return f"{name};spent={spent};limit={limit};percent={share}{way}"


def _duration(seconds: float) -> bytes:
    """`17ms`, `1s`, `6m0s`, `1h0m0s`: as OpenAI writes it."""
    if seconds < 1:
        return b"%dms" % round(seconds * 1000)
    whole = round(seconds + 0.4999)
    if whole < 60:
        return b"%ds" % whole
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return (f"{hours}h{text}" if hours else text).encode()
