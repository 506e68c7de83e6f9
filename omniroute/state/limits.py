"""How much may be asked in a time: rates of requests and of tokens, and how much at once.

A rate is GCRA in the form of a leaky bucket (ITU-T I.371, annex A): each request fills the bucket by one, which leaks
evenly, so that `60/1m` is one a second in the long run and sixty in one go after a minute of silence. Levels are whole
numbers of nanoseconds times units and thus exact: no rounding ever lets one more through, or one less.

Tokens are known at the end only. What a request may take is *reserved* meanwhile, outside of the bucket; at the end the
reservation goes and the truth is poured in, which may overfill the bucket and makes the next ones wait. So a refund
cannot take out what somebody else has poured in, however long the request took.

A step of the clock backwards neither gives nor takes, and one forwards gives no more than an empty bucket.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import msgspec

Per = Literal["key", "ip", "model", "provider", "connection", "global"]
Measure = Literal["requests", "tokens", "concurrent"]

SECOND = 1_000_000_000
MOST_COUNTERS = 100_000
"""Of one limit, some 30 MB. Beyond it the one that was used the longest ago is forgotten, if nothing is under way."""
SOON = 1.0
"""Seconds to wait where only the end of what is under way can help."""


class Rate(msgspec.Struct, frozen=True):
    """So much in `period` nanoseconds. A unit weighs `period`, `amount` leaks in a nanosecond, and the bucket holds
    `capacity`."""

    amount: int
    period: int
    capacity: int = 0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "capacity", self.amount * self.period)


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of the configuration. Everyone that `per` tells apart has it for themselves."""

    name: str
    per: Per
    requests: Rate | None = None
    tokens: Rate | None = None
    concurrent: int | None = None


class Charge(msgspec.Struct, frozen=True, gc=False):
    """One request on one limit: `subject` is whom it is counted for (the key, the address, the model …), `tokens` what
    is reserved."""

    limit: Limit
    subject: str
    tokens: int = 0


class Denied(msgspec.Struct, frozen=True):
    """Which limit refused, by which of its measures, and the seconds after which asking again makes sense."""

    limit: Limit
    subject: str
    measure: Measure
    wait: float


class Standing(msgspec.Struct, frozen=True):
    """What is left of one measure; `reset` is the seconds until all of it is there again."""

    limit: str
    subject: str
    measure: Measure
    amount: int
    remaining: int
    reset: float


class Counter(msgspec.Struct):
    """One limit for one subject. Levels are of the moment `seen` (nanoseconds)."""

    limit: Limit
    seen: int
    requests: int = 0
    tokens: int = 0
    reserved: int = 0
    under_way: int = 0

    def advance(self, limit: Limit, now: int) -> None:
        """Lets leak out what has leaked since, and takes up another definition of the limit."""
        if limit is not self.limit:
            self._redefine(limit)
        passed = now - self.seen
        self.seen = now
        if passed <= 0:
            return
        if self.requests and limit.requests is not None:
            left = self.requests - passed * limit.requests.amount
            self.requests = max(0, left)
        if self.tokens and limit.tokens is not None:
            left = self.tokens - passed * limit.tokens.amount
            self.tokens = max(0, left)

    def _redefine(self, limit: Limit) -> None:
        """A reload keeps what was used, as so many requests and tokens, up to a full bucket of the new size."""
        self.requests = _rescaled(self.requests, self.limit.requests, limit.requests)
        self.tokens = _rescaled(self.tokens, self.limit.tokens, limit.tokens)
        self.limit = limit

    def refusal(self, tokens: int) -> tuple[Measure, float] | None:
        """Why one more with so many tokens may not pass now, and for how many seconds."""
        limit = self.limit
        if limit.concurrent is not None and self.under_way >= limit.concurrent:
            return "concurrent", SOON
        rate = limit.requests
        if rate is not None:
            over = self.requests + rate.period - rate.capacity
            if over > 0:
                return "requests", over / rate.amount / SECOND
        rate = limit.tokens
        if rate is not None:
            held = self.reserved * rate.period
            over = self.tokens + held + min(tokens, rate.amount) * rate.period - rate.capacity
            if over > 0:
                leaks = min(over, self.tokens)  # what is reserved does not leak
                return "tokens", max(leaks / rate.amount / SECOND, SOON if held else 0.0)
        return None

    @property
    def idle(self) -> bool:
        """Whether forgetting it makes no difference."""
        return not (self.requests or self.tokens or self.reserved or self.under_way)


def _rescaled(level: int, old: Rate | None, new: Rate | None) -> int:
    if old is None or new is None:
        return 0
    return min(level * new.period // old.period, new.capacity) if old != new else level


class Lease(msgspec.Struct):
    """What was taken for one request, with the tokens reserved of each counter; to be settled once."""

    taken: list[tuple[Charge, Counter, int]]
    open: bool = True


class Limits(Protocol):
    """Counters by the name of the limit and its subject. All `now` are seconds of one monotonic clock."""

    def take(self, charges: Sequence[Charge], now: float) -> Lease | Denied:
        """Counts a request on all of the limits, or on none: then it says which refused for the longest."""
        ...

    def look(self, charge: Charge, now: float) -> Denied | None:
        """Whether `take` would refuse; takes nothing."""
        ...

    def settle(self, lease: Lease, tokens: int, now: float) -> None:
        """The request is over and took so many tokens. A second time does nothing."""
        ...

    def tightest(self, lease: Lease, now: float) -> list[Standing]:
        """Of the requests and of the tokens that a request was counted on, the limit with the least left."""
        ...

    def stand(self, charges: Sequence[Charge], now: float) -> list[Standing]:
        """What is left of all measures of what a request would be counted on; takes nothing."""
        ...

    def view(self, now: float) -> list[Standing]:
        """What is left of everything that is in use."""
        ...


class MemoryLimits:
    """Counters that are full again are forgotten, two for each one that comes, the longest unused first."""

    def __init__(self, most: int = MOST_COUNTERS) -> None:
        self._counters: dict[str, OrderedDict[str, Counter]] = {}  # the longest unused first
        self._most = most

    def take(self, charges: Sequence[Charge], now: float) -> Lease | Denied:
        moment = round(now * SECOND)
        taken = []
        denied: Denied | None = None
        for charge in charges:
            limit = charge.limit
            counter = self._counter(limit, charge.subject, moment)
            refusal = counter.refusal(charge.tokens)
            if refusal is not None and (denied is None or refusal[1] > denied.wait):
                denied = Denied(limit, charge.subject, *refusal)
            reserved, rate = 0, limit.tokens
            if rate is not None:  # one that may take more than there ever is goes when all is there, and owes the rest
                reserved = min(rate.amount, charge.tokens)
            taken.append((charge, counter, reserved))
        if denied is not None:
            return denied
        for charge, counter, reserved in taken:
            rate = charge.limit.requests
            if rate is not None:
                counter.requests += rate.period
            if reserved:
                counter.reserved += reserved
            counter.under_way += 1
        return Lease(taken)

    def look(self, charge: Charge, now: float) -> Denied | None:
        subjects = self._counters.get(charge.limit.name)
        counter = None if subjects is None else subjects.get(charge.subject)
        if counter is None:
            return None
        counter.advance(charge.limit, round(now * SECOND))
        refusal = counter.refusal(charge.tokens)
        return None if refusal is None else Denied(charge.limit, charge.subject, *refusal)

    def settle(self, lease: Lease, tokens: int, now: float) -> None:
        if not lease.open:
            return
        lease.open = False
        moment = round(now * SECOND)
        for _, counter, reserved in lease.taken:
            counter.under_way -= 1
            counter.reserved -= reserved
            rate = counter.limit.tokens  # which a reload may have changed meanwhile
            if rate is not None:
                counter.advance(counter.limit, moment)
                counter.tokens += tokens * rate.period

    def tightest(self, lease: Lease, now: float) -> list[Standing]:
        moment = round(now * SECOND)
        requests: Tight | None = None
        tokens: Tight | None = None
        for charge, counter, _ in lease.taken:
            limit = counter.limit
            rate = limit.requests
            if rate is not None:
                counter.advance(limit, moment)
                left = (rate.capacity - counter.requests) // rate.period
                if requests is None or left < requests[0]:
                    requests = left, charge, rate, counter.requests
            rate = limit.tokens
            if rate is not None:
                counter.advance(limit, moment)
                used = counter.tokens + counter.reserved * rate.period
                left = (rate.capacity - used) // rate.period
                if tokens is None or left < tokens[0]:
                    tokens = left, charge, rate, used
        found = []
        if requests is not None:
            found.append(_standing("requests", *requests))
        if tokens is not None:
            found.append(_standing("tokens", *tokens))
        return found

    def stand(self, charges: Sequence[Charge], now: float) -> list[Standing]:
        moment = round(now * SECOND)
        found: list[Standing] = []
        for charge in charges:
            subjects = self._counters.get(charge.limit.name)
            counter = None if subjects is None else subjects.get(charge.subject)
            if counter is None:
                counter = Counter(charge.limit, moment)
            counter.advance(charge.limit, moment)
            found += _all_standings(charge.subject, counter)
        return found

    def view(self, now: float) -> list[Standing]:
        moment = round(now * SECOND)
        found: list[Standing] = []
        for subjects in self._counters.values():
            for subject, counter in subjects.items():
                counter.advance(counter.limit, moment)
                found += _all_standings(subject, counter)
        return found

    def _counter(self, limit: Limit, subject: str, moment: int) -> Counter:
        subjects = self._counters.get(limit.name)
        if subjects is None:
            subjects = self._counters[limit.name] = OrderedDict()
        counter = subjects.get(subject)
        if counter is None:
            self._forget(subjects, moment)
            counter = subjects[subject] = Counter(limit, moment)
            return counter
        if len(subjects) > 1:
            subjects.move_to_end(subject)
        counter.advance(limit, moment)
        return counter

    def _forget(self, subjects: OrderedDict[str, Counter], moment: int) -> None:
        """Looks at the two that were used the longest ago: those behind them were used later still."""
        for _ in range(min(2, len(subjects))):
            subject, counter = next(iter(subjects.items()))
            counter.advance(counter.limit, moment)
            if counter.under_way:
                subjects.move_to_end(subject)
            elif counter.idle or len(subjects) >= self._most:
                del subjects[subject]


Tight = tuple[int, Charge, Rate, int]
"""What is left of a measure, below 0 where more was taken; for whom, of which rate, and the level of its bucket."""


def _standing(measure: Measure, left: int, charge: Charge, rate: Rate, used: int) -> Standing:
    amount = rate.amount
    return Standing(charge.limit.name, charge.subject, measure, amount, max(0, left), used / amount / SECOND)


def _all_standings(subject: str, counter: Counter) -> Iterator[Standing]:
    yield from _standings(subject, counter)
    concurrent = counter.limit.concurrent
    if concurrent is not None:
        left = max(0, concurrent - counter.under_way)
        yield Standing(counter.limit.name, subject, "concurrent", concurrent, left, 0.0)


def _standings(subject: str, counter: Counter) -> Iterator[Standing]:
    limit = counter.limit
    rate = limit.requests
    if rate is not None:
        left = max(0, rate.capacity - counter.requests) // rate.period
        yield Standing(limit.name, subject, "requests", rate.amount, left, counter.requests / rate.amount / SECOND)
    rate = limit.tokens
    if rate is not None:
        used = counter.tokens + counter.reserved * rate.period
        left = max(0, rate.capacity - used) // rate.period
        yield Standing(limit.name, subject, "tokens", rate.amount, left, used / rate.amount / SECOND)
