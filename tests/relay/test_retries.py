"""The pauses between tries: in virtual time, and never beyond the deadline of the request."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from support.tables import PROFILE, combo, connection, state, target
from support.virtual import VirtualLoop, run

from omniroute.errors import Fault, UpstreamError
from omniroute.relay import relay
from omniroute.relay.health import GO
from omniroute.routing.conditions import NO_FACTS
from omniroute.routing.plan import Candidate
from omniroute.routing.tables import Retry
from omniroute.state.base import Clock

RETRY = Retry(attempts=3, delay=1.0)


def tried(failures: list[UpstreamError], deadline: float) -> tuple[list[float], float]:
    """When the tries of one candidate began, and when it was given up or had answered."""
    times: list[float] = []

    async def exchange(_call: Any, _candidate: Candidate) -> UpstreamError | None:
        times.append(loops[0].time() - 1000.0)
        return failures.pop(0) if failures else None

    loops: list[VirtualLoop] = []

    async def main(loop: VirtualLoop) -> float:
        loops.append(loop)
        running = msgspec.structs.replace(state(), clock=Clock(now=loop.time, monotonic=loop.time))
        way = msgspec.structs.replace(connection("a.x"), profile=PROFILE)
        model = target("a/m", way)
        candidate = Candidate(model, way, (combo("c", "priority", model, retry=RETRY),))
        call: Any = SimpleNamespace(
            state=running,
            gateway=SimpleNamespace(queue=None),
            started=1000.0,
            deadline=1000.0 + deadline,
            attempts=[],
            leave=GO,
            place=None,
            hold=None,
            facts=NO_FACTS,
            first_byte=None,
            lost=False,
            target=None,
            connection=None,
            committed=False,
            tries=0,
            upstream_time=0.0,
            route=None,
            usage=None,
            cost=None,
        )
        await relay._again(call, candidate, exchange, await relay.once(call, candidate, exchange))
        return loop.time() - 1000.0

    ended = run(main)
    return times, ended


def overloaded(retry_after: float | None = None) -> UpstreamError:
    return UpstreamError("overloaded", Fault(kind="overloaded", status=503, message="", retry_after=retry_after))


def test_pauses_double_and_a_providers_wait_counts_where_it_is_longer():
    times, _ = tried([overloaded(), overloaded(5.0), overloaded()], deadline=60.0)
    assert times == pytest.approx([0, 1, 6, 10])


@pytest.mark.parametrize(
    ("failures", "deadline", "tries"),
    [
        ([overloaded(), overloaded(), overloaded()], 3.0, [0, 1]),
        ([overloaded(30.0)], 30.0, [0]),
        ([overloaded(29.0)], 30.0, [0, 29]),
    ],
)
def test_no_pause_goes_beyond_the_deadline(failures: list[UpstreamError], deadline: float, tries: list[float]):
    times, ended = tried(list(failures), deadline)
    assert times == pytest.approx(tries)
    assert ended < deadline
