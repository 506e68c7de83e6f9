"""How much money may be spent in a period: reserved before a request is sent, settled by what it cost.

What a request may cost at the most is reserved from all its budgets or from none, so that parallel requests cannot
spend together what each alone could. It is settled in the period in which the request began, which is the one that the
ledger's row tells: the sum of the rows and what is spent here are the same, to the last digit.

Of a period that began before the process did, or before its budget was in the configuration, the ledger knows more:
until that has been restored, nothing may be spent in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from math import inf
from typing import Literal, Protocol

import msgspec

Period = Literal["hourly", "daily", "weekly", "monthly", "total"]
NOTHING = Decimal(0)
KEPT = 3
"""Periods of a budget that are remembered: requests of the last one may be under way, and a clock may be set back."""


class Span(msgspec.Struct, frozen=True):
    """A period as UNIX times: from `start` on, until before `end`."""

    start: float
    end: float


ALWAYS = Span(0.0, inf)


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget of the configuration. `limit` and `warn_at` are USD, `reset` minutes after midnight in `zone`,
    and `route_to` the name that requests are sent to once all is spent; where there is none, they are refused."""

    name: str
    limit: Decimal
    period: Period
    warn_at: Decimal | None = None
    reset: int = 0
    zone: tzinfo = UTC
    route_to: str = ""


class Exhausted(msgspec.Struct, frozen=True):
    """A budget that has not enough left for a request. `known` is False where its ledger has not been read yet."""

    budget: Budget
    spent: Decimal
    reserved: Decimal
    resets: float
    known: bool = True

    @property
    def weight(self) -> tuple[bool, float]:
        """One that refuses counts more than one that leads elsewhere, and a later end more than an earlier one."""
        return not self.budget.route_to, self.resets


class Balance(msgspec.Struct, frozen=True):
    """A budget at a moment: `remaining` is what neither was spent nor is reserved, `resets` a UNIX time (infinite for
    a total), `warned` whether `warn_at` is reached."""

    name: str
    period: Period
    limit: Decimal
    spent: Decimal
    reserved: Decimal
    remaining: Decimal
    starts: float
    resets: float
    warned: bool
    known: bool


class Account(msgspec.Struct):
    """What was spent of a budget in one period. `told` says that the warning has been given."""

    budget: Budget
    span: Span
    spent: Decimal = NOTHING
    reserved: Decimal = NOTHING
    known: bool = True
    told: bool = False


class Reservation(msgspec.Struct):
    """So much of each account, until it is settled, once."""

    amount: Decimal
    accounts: list[tuple[Budget, Account]]
    open: bool = True


class Budgets(Protocol):
    """Accounts by the budget's name. All `now` are UNIX times, those of a request the moment at which it began."""

    def reserve(
        self, budgets: Sequence[Budget], amount: Decimal, now: float, *, beyond: bool = False
    ) -> Reservation | Exhausted:
        """Reserves the amount from all of the budgets, or from none: then it says which has not enough. `beyond` also
        reserves what is not there, of those that have somewhere to route to."""
        ...

    def settle(self, reservation: Reservation, cost: Decimal) -> list[Balance]:
        """The request is over and cost so much. Gives the budgets that reach their warning with it, once a period. A
        second time does nothing."""
        ...

    def balance(self, budget: Budget, now: float) -> Balance:
        """How the budget stands."""
        ...

    def expect(self, budget: Budget, now: float) -> None:
        """The ledger knows more of the moment's period than is known here: until `restore` has told that, nothing may be
        spent in it."""
        ...

    def restore(self, budget: Budget, now: float, spent: Decimal) -> None:
        """What the ledger knows of the period besides, or, where it is negative, what counts no more."""
        ...


class MemoryBudgets:
    """Dictionaries, used from the event loop alone."""

    def __init__(self) -> None:
        self._accounts: dict[str, list[Account]] = {}  # the latest last

    def reserve(
        self, budgets: Sequence[Budget], amount: Decimal, now: float, *, beyond: bool = False
    ) -> Reservation | Exhausted:
        accounts = [(budget, self._account(budget, now)) for budget in budgets]
        exhausted: Exhausted | None = None
        for budget, account in accounts:
            fits = account.known and account.spent + account.reserved + amount <= budget.limit
            if fits or (beyond and budget.route_to and account.known):
                continue
            found = Exhausted(budget, account.spent, account.reserved, account.span.end, account.known)
            if exhausted is None or found.weight > exhausted.weight:
                exhausted = found
        if exhausted is not None:
            return exhausted
        for _, account in accounts:
            account.reserved += amount
        return Reservation(amount, accounts)

    def settle(self, reservation: Reservation, cost: Decimal) -> list[Balance]:
        if not reservation.open:
            return []
        reservation.open = False
        reached = []
        for budget, account in reservation.accounts:
            account.reserved -= reservation.amount
            account.spent += cost
            if not account.told and warns(budget, account):
                account.told = True
                reached.append(_balance(budget, account))
        return reached

    def balance(self, budget: Budget, now: float) -> Balance:
        return _balance(budget, self._account(budget, now))

    def expect(self, budget: Budget, now: float) -> None:
        accounts = self._accounts.setdefault(budget.name, [])
        old = self._find(budget, now)
        if old is not None:
            accounts.remove(old)
        self._account(budget, now).known = False

    def restore(self, budget: Budget, now: float, spent: Decimal) -> None:
        account = self._account(budget, now)
        account.spent += spent
        account.known = True
        account.told = warns(budget, account)

    def _account(self, budget: Budget, now: float) -> Account:
        """The account of the moment's period, opened where there is none."""
        account = self._find(budget, now)
        if account is None:
            accounts = self._accounts.setdefault(budget.name, [])
            account = Account(budget, span(budget, now))
            accounts.append(account)
            del accounts[:-KEPT]
        return account

    def _find(self, budget: Budget, now: float) -> Account | None:
        """The account of the moment's period. A clock that is set back beyond what is remembered opens no fresh one:
        the oldest there is counts for it."""
        accounts = self._accounts.get(budget.name)
        if not accounts:
            return None
        latest, oldest = accounts[-1], None
        if latest.budget is budget and latest.span.start <= now < latest.span.end:  # as it nearly always is
            return latest
        for account in reversed(accounts):
            if account.budget is not budget and not same_periods(account.budget, budget):
                continue
            if account.span.start <= now < account.span.end:
                return account
            if now < account.span.start:
                oldest = account
        return oldest


def same_periods(one: Budget, other: Budget) -> bool:
    """Whether the periods of one budget are those of the other."""
    return one.period == other.period and one.reset == other.reset and one.zone == other.zone


def warns(budget: Budget, account: Account) -> bool:
    """Whether so much is spent that it is told."""
    return budget.warn_at is not None and account.spent >= budget.warn_at


def _balance(budget: Budget, account: Account) -> Balance:
    return Balance(
        name=budget.name,
        period=budget.period,
        limit=budget.limit,
        spent=account.spent,
        reserved=account.reserved,
        remaining=max(NOTHING, budget.limit - account.spent - account.reserved),
        starts=account.span.start,
        resets=account.span.end,
        warned=warns(budget, account),
        known=account.known,
    )


# --------------------------------------------------------------------------------------------------------- periods


def span(budget: Budget, now: float) -> Span:
    """The period that a moment is in.

    Days, weeks (from Monday) and months begin at the reset in the budget's zone: a day has 23 or 25 hours there when
    its clocks change. A reset at a time that is there twice is the first of them; one that is left out comes as long
    after midnight as on any other day. Hours are those of UTC, from the minutes of the reset on.
    """
    if budget.period == "total":
        return ALWAYS
    if budget.period == "hourly":
        since = (now - budget.reset % 60 * 60) % HOUR
        return Span(now - since, now - since + HOUR)
    first, days = _PERIODS[budget.period]
    day = first(datetime.fromtimestamp(now, budget.zone).replace(tzinfo=None))
    start = _reset(day, budget)
    if now < start:  # its reset is still to come
        return Span(_reset(first(day - _DAY), budget), start)
    return Span(start, _reset(first(day + days * _DAY), budget))


HOUR = 3600.0
_DAY = timedelta(days=1)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _monday(moment: datetime) -> datetime:
    return _midnight(moment) - moment.weekday() * _DAY


def _first(moment: datetime) -> datetime:
    return _midnight(moment).replace(day=1)


_PERIODS: Mapping[str, tuple[Callable[[datetime], datetime], int]] = {
    "daily": (_midnight, 1),
    "weekly": (_monday, 7),
    "monthly": (_first, 31),
}
"""The day with which the period of a moment begins, and a number of days after which the next one has."""


def _reset(day: datetime, budget: Budget) -> float:
    return (day + timedelta(minutes=budget.reset)).replace(tzinfo=budget.zone).timestamp()
