"""A million requests on limits of all kinds, under a clock that jumps: is ever one too many let through?

    python tests/reliability/limits.py [REQUESTS] [SEED]

Judged by books of its own: ideal buckets that leak only while the clock goes forwards, into which goes what was let
through; tokens by what these requests took in truth; slots by who is inside.
"""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from heapq import heappop, heappush

import msgspec

from omniroute.state.limits import SECOND, Charge, Denied, Limit, MemoryLimits, Rate

LIMITS = (
    Limit(name="per-second", per="key", requests=Rate(7, SECOND), concurrent=9),
    Limit(name="per-minute", per="key", requests=Rate(60, 60 * SECOND), tokens=Rate(200_000, 60 * SECOND)),
    Limit(name="per-hour", per="ip", requests=Rate(5_000, 3600 * SECOND), tokens=Rate(9_000_001, 3600 * SECOND)),
    Limit(name="all", per="global", requests=Rate(331, 7 * SECOND), concurrent=40),
)
SUBJECTS = 25
JUMPS = 1e-4
"""The share of steps at which the clock jumps, by up to an hour in either direction."""


class Told(msgspec.Struct):
    """What a run found."""

    requests: int = 0
    admitted: int = 0
    jumps: int = 0
    violations: int = 0
    seconds: float = 0.0
    counters: int = 0


class Book(msgspec.Struct):
    """What one subject was granted of one limit, as ideal buckets at the moment `seen`."""

    inside: int = 0
    seen: int = 0
    requests_level: int = 0
    tokens_level: int = 0

    def advance(self, limit: Limit, now: int) -> None:
        passed = max(0, now - self.seen)
        self.seen = now
        if limit.requests is not None:
            self.requests_level = max(0, self.requests_level - passed * limit.requests.amount)
        if limit.tokens is not None:
            self.tokens_level = max(0, self.tokens_level - passed * limit.tokens.amount)

    def broken(self, limit: Limit) -> bool:
        """Whether more is inside than may be. A request is let through only where its reservation fits, so tokens
        alone may stand above their limit, by what was owed at the end."""
        return (limit.requests is not None and self.requests_level > limit.requests.capacity) or (
            limit.concurrent is not None and self.inside > limit.concurrent
        )


def run(requests: int = 1_000_000, seed: int = 1) -> Told:
    """Lets so many virtual requests come."""
    chance, limits, told = random.Random(seed), MemoryLimits(), Told(requests=requests)
    books: dict[tuple[str, str], Book] = defaultdict(Book)
    ends: list[tuple[int, int, object, int, list[Charge]]] = []
    now, turn, began = 10**15, 0, time.perf_counter()
    for number in range(requests):
        now += chance.randrange(30_000_000)
        if chance.random() < JUMPS:
            now += chance.randrange(-3600, 3600) * SECOND
            told.jumps += 1
        turn += 1
        while ends and ends[0][0] <= turn:
            _, _, lease, tokens, charges = heappop(ends)
            limits.settle(lease, tokens, now / SECOND)
            for charge in charges:
                book = books[charge.limit.name, charge.subject]
                book.advance(charge.limit, round(now / SECOND * SECOND))
                book.inside -= 1
                if charge.limit.tokens is not None:
                    book.tokens_level += tokens * charge.limit.tokens.period
        estimate = chance.randrange(8_000)
        charges = [
            Charge(limit, "" if limit.per == "global" else f"{chance.randrange(SUBJECTS)}", estimate)
            for limit in chance.sample(LIMITS, chance.randint(1, len(LIMITS)))
        ]
        outcome = limits.take(charges, now / SECOND)
        for charge in charges:
            books[charge.limit.name, charge.subject].advance(charge.limit, round(now / SECOND * SECOND))
        if isinstance(outcome, Denied):
            told.violations += outcome.wait <= 0
            continue
        told.admitted += 1
        for charge in charges:
            book = books[charge.limit.name, charge.subject]
            limit = charge.limit
            if limit.tokens is not None:  # what has been settled, and the estimate, must fit
                fits = book.tokens_level + min(estimate, limit.tokens.amount) * limit.tokens.period
                told.violations += fits > limit.tokens.capacity
            if limit.requests is not None:
                book.requests_level += limit.requests.period
            book.inside += 1
            told.violations += book.broken(limit)
        heappush(ends, (turn + chance.randrange(1, 60), number, outcome, chance.randrange(16_000), charges))
    told.seconds = time.perf_counter() - began
    told.counters = sum(map(len, limits._counters.values()))
    return told


def main(arguments: list[str]) -> int:
    """Prints what a run found; 1 where a limit was broken."""
    told = run(*(int(each) for each in arguments))
    print(
        f"{told.requests:,} requests, {told.admitted:,} admitted, {told.jumps} jumps of the clock, "
        f"{told.counters} counters, {told.seconds:.1f} s: {told.violations} violations"
    )
    return 1 if told.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
