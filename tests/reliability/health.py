"""Figures on health and the queue: `python tests/reliability/health.py [schedules]`.

Random schedules of the queue in virtual time, each held to its laws all the way (`tests/relay/test_queue.py` runs the
first 2,000), and what health, limits and the queue cost a request.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.tables import connection, state, target
from support.waiting import schedule

from omniroute.relay import health
from omniroute.routing.availability import obstacle
from omniroute.routing.plan import Candidate
from omniroute.routing.tables import NO_RETRY
from omniroute.upstream import quota

ROUNDS = 100_000
PLAIN = "date content-type transfer-encoding connection server vary via cf-ray request-id cache-control x-a x-b x-c x-d"
LIMITS = {
    "x-ratelimit-limit-requests": "5000",
    "x-ratelimit-limit-tokens": "160000",
    "x-ratelimit-remaining-requests": "4999",
    "x-ratelimit-remaining-tokens": "159976",
    "x-ratelimit-reset-requests": "12ms",
    "x-ratelimit-reset-tokens": "6m0s",
}


def schedules(count: int) -> None:
    outcomes: Counter[str] = Counter()
    began = time.perf_counter()
    for seed in range(count):
        outcomes.update(schedule(seed)[1])
    seconds = time.perf_counter() - began
    print(f"{count} schedules, {outcomes.total()} requests in {seconds:.0f} s")
    for outcome, number in outcomes.most_common():
        print(f"  {number:8} {outcome}")


def costs() -> None:
    running, way = state(), connection("a.x")
    asked = Candidate(target("a/m", way), way, NO_RETRY)
    plain = [(name.encode(), b"x") for name in PLAIN.split()]
    told = [*plain, *((name.encode(), value.encode()) for name, value in LIMITS.items())]

    def call() -> None:
        given = health.leave(running, asked, 1.0)
        assert given is not None
        health.report(running, asked, given, "success", None, 1.0)

    timed("whether a candidate may be asked", lambda: obstacle(asked.target, way, running, 1.0))
    timed("leave for a call, and its report", call)
    timed(f"an answer's {len(plain)} headers, none about limits", lambda: quota.told(plain))
    timed("the same with the six of OpenAI, read and kept", lambda: health.learn(running, asked, told))


def timed(what: str, once: Callable[[], object]) -> None:
    best = min(one_round(once) for _ in range(5))
    print(f"  {best:6.2f} µs  {what}")


def one_round(once: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(ROUNDS // 5):
        once()
    return (time.process_time() - began) / (ROUNDS // 5) * 1e6


if __name__ == "__main__":
    costs()
    schedules(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
