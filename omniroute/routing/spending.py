"""What a budget is to be told by the ledger: all of its period at the start, at a reload what came with a new budget,
another period or other keys."""

from __future__ import annotations

from collections.abc import Callable, Collection
from decimal import Decimal

import msgspec

from omniroute.routing.tables import Gateway
from omniroute.state.budgets import Balance, Budget, Budgets, Span, same_periods, span

Spent = Callable[[Collection[str], float, float], Decimal]
"""`Ledger.spent`, of whichever ledger."""


class Change(msgspec.Struct, frozen=True):
    """The spending of `joined` keys in the period of `now` counts on the budget from now on, that of those that `left`
    does no more. `fresh` is a budget that nothing is known of yet, or nothing of a period as it has it now."""

    budget: Budget
    now: float
    period: Span
    joined: frozenset[str]
    left: frozenset[str]
    fresh: bool


def payers(gateway: Gateway) -> dict[str, frozenset[str]]:
    """The names of the keys that each budget pays for."""
    names: dict[str, set[str]] = {name: set() for name in gateway.budgets}
    for principal in gateway.principals.values():
        for budget in principal.budgets:
            names[budget.name].add(principal.name)
    return {name: frozenset(keys) for name, keys in names.items()}


def changes(old: Gateway | None, new: Gateway, now: float) -> list[Change]:
    """What the ledger is to be asked when `new` comes to run."""
    before = payers(old) if old is not None else {}
    defined = old.budgets if old is not None else {}
    found = []
    for name, keys in payers(new).items():
        budget = new.budgets[name]
        fresh = name not in defined or not same_periods(defined[name], budget)
        known = frozenset() if fresh else before[name]
        if fresh or keys != known:
            found.append(Change(budget, now, span(budget, now), keys - known, known - keys, fresh))
    return found


def spent(read: Spent, change: Change) -> Decimal:
    """What the change adds to the budget's account; negative where it takes away. For a thread: it asks the disk."""
    period = change.period
    total = Decimal(0)
    if change.joined:
        total += read(change.joined, period.start, period.end)
    if change.left:
        total -= read(change.left, period.start, period.end)
    return total


def balances(gateway: Gateway, budgets: Budgets, now: float) -> list[tuple[Balance, frozenset[str]]]:
    """How all budgets stand, each with the keys that it pays for."""
    paying = payers(gateway)
    return [(budgets.balance(budget, now), paying[name]) for name, budget in gateway.budgets.items()]
