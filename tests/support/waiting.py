"""Requests that take places and wait for them, on a loop with virtual time: what the tests of the queue share."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
from support.tables import PROFILE, combo, connection, state, target
from support.virtual import VirtualLoop, run

from omniroute.errors import CallError, Fault, UpstreamError
from omniroute.relay import health, queue
from omniroute.relay.health import GO
from omniroute.routing.availability import probed
from omniroute.routing.plan import Candidate, current
from omniroute.routing.tables import Queue, Route
from omniroute.state.base import Clock, State, on
from omniroute.state.line import Line


def waiting_state(loop: VirtualLoop, length: int = 1000) -> State:
    clock = Clock(now=loop.time, monotonic=loop.time)
    return msgspec.structs.replace(state(), clock=clock, line=Line(length))


class Rig:
    """A gateway of few places. `log` tells what became of each request, in order."""

    def __init__(self, loop: VirtualLoop, settings: Queue, length: int = 1000) -> None:
        self.loop = loop
        self.settings = settings
        self.state = waiting_state(loop, length)
        self.log: list[tuple[float, str, str]] = []
        self.most: dict[str, int] = {}

    def call(self, route: Route, key: str = "") -> Any:
        return SimpleNamespace(
            state=self.state,
            gateway=SimpleNamespace(queue=self.settings),
            route=route,
            asked=route.name,
            operation="chat",
            policies=(),
            principal=SimpleNamespace(name=key),
            started=self.loop.time(),
            deadline=0.0,
            attempts=[],
            leave=GO,
            place=None,
            hold=None,
            head=SimpleNamespace(stream=False, body=b""),
            named={},
            shadows=(),
            claim=None,
        )

    async def request(
        self, name: str, route: Route, seconds: float, *, key: str = "", gather: float = 0.0, fails: str = ""
    ) -> str:
        """One request, from its plan to its end; `gather` is what it waits for between its place and the sending."""
        call = self.call(route, key)
        outcome = "left"
        try:
            candidates = await queue.candidates(call)
            if gather:
                await asyncio.sleep(gather)
            outcome = await self.tried(name, call, candidates, seconds, fails)
            assert gather or outcome != "busy", "what was given was not there"
        except CallError as error:
            outcome = f"refused {error.fault.code}"
        finally:
            if call.place is not None:
                call.place.free()
            self.log.append((self.loop.time() - 1000.0, name, outcome))
        return outcome

    async def tried(self, name: str, call: Any, candidates: list[Candidate], seconds: float, fails: str) -> str:
        """What the relay does with its candidates: the first that it gets a place at."""
        for candidate in candidates:
            way = candidate.connection
            given = health.leave(self.state, candidate, self.loop.time())
            if given is None or not queue.take(call, way):
                if given:
                    health.report(self.state, candidate, given, "abandoned", None, self.loop.time())
                continue
            self.log.append((self.loop.time() - 1000.0, name, f"at {way.id}"))
            outcome: Any = "abandoned"
            failure = None
            try:
                self.count(way.id)
                await asyncio.sleep(seconds)
                outcome = fails or "success"
                if fails:
                    failure = UpstreamError(outcome, Fault(kind="server", status=500, message=""))
            finally:
                health.report(self.state, candidate, given, outcome, failure, self.loop.time())
                queue.leave(call, way)
            return outcome
        return "busy"

    def count(self, name: str) -> None:
        for each in (name, "gateway"):
            self.most[each] = max(self.most.get(each, 0), self.state.counters.in_flight(each))

    def nobody_waits_for_what_is_free(self) -> None:
        """Held whenever nothing is left to do at a moment."""
        now = self.loop.time()
        for tickets in self.state.line._keys.values():
            for ticket in tickets:
                if ticket.future.done():
                    continue
                wish = ticket.take.__self__  # type: ignore[attr-defined]
                for one in wish._candidates:
                    seen = current(one, self.state, self.settings, now)
                    tries = [queue.TRY + name for name in probed(one.target, one.connection, self.state, now)]
                    promised = any(self.state.counters.in_flight(name) for name in tries)
                    assert seen.skip or promised, f"{one.connection.id} is free, and a request waits for it"

    def nothing_is_left_behind(self) -> None:
        counters = self.state.counters
        assert counters._under_way == {}, "a place was never given back"  # type: ignore[attr-defined]
        assert self.state.line.waiting == 0
        assert self.state.line.by_key() == {}
        assert self.state.line._timer is None


def played(
    settings: Queue, play: Callable[[Rig], Any], *, length: int = 1000, during: Callable[[Rig], None] | None = None
) -> Rig:
    """A play on a rig of its own, with the laws of the queue held all the way."""
    rigs: list[Rig] = []

    def idle() -> None:
        rigs[0].nobody_waits_for_what_is_free()
        if during is not None:
            during(rigs[0])

    async def main(loop: VirtualLoop) -> None:
        rigs.append(Rig(loop, settings, length))
        await play(rigs[0])
        await asyncio.sleep(0)
        rigs[0].nothing_is_left_behind()

    run(main, idle)
    return rigs[0]


def schedule(seed: int) -> tuple[Rig, list[str]]:
    """A random one: some connections with few places, requests of several keys that come, fail, leave and are slow."""
    chance = random.Random(seed)
    limits = [chance.choice([1, 1, 2, 3, None]) for _ in range(chance.randint(1, 3))]
    ways = [connection(f"a.{index}", max_concurrent=limit) for index, limit in enumerate(limits)]
    settings = Queue(max_wait=chance.choice([0.5, 3.0, 30.0]), concurrent=chance.choice([None, 1, 2, 4]))
    routes = [combo("all", "priority", target("a/m", *ways))]
    routes += [combo(way.id, "priority", target(f"a/{chance.choice('mn')}", way)) for way in ways]
    length = chance.choice([1000, 5])
    outcomes: list[str] = []

    async def play(rig: Rig) -> None:
        tasks = []
        for number in range(chance.randint(2, 25)):
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.0, 0.1, 1.0]))
            fails = chance.choice(["", "", "", "", "rate_limited", "overloaded", "auth", "timeout", "no_model"])
            request = rig.request(
                str(number),
                chance.choice(routes),
                chance.choice([0.0, 0.1, 1.0, 5.0]),
                key=chance.choice("xyz"),
                gather=chance.choice([0.0, 0.0, 0.2]),
                fails=fails,
            )
            tasks.append(asyncio.ensure_future(request))
            if chance.random() < 0.3:
                rig.loop.call_later(chance.choice([0.0, 0.05, 0.1, 1.0, 1.05, 2.0]), chance.choice(tasks).cancel)
        done = await asyncio.gather(*tasks, return_exceptions=True)
        for one in done:
            if isinstance(one, BaseException) and not isinstance(one, asyncio.CancelledError):
                raise one
            outcomes.append(one if isinstance(one, str) else "cancelled")

    rig = played(settings, play, length=length)
    for way in ways:
        assert way.max_concurrent is None or rig.most.get(way.id, 0) <= way.max_concurrent
    assert settings.concurrent is None or rig.most.get("gateway", 0) <= settings.concurrent
    return rig, outcomes


__all__ = ["PROFILE", "Rig", "on", "played", "schedule"]
