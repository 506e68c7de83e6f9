"""Calls every target of a combo: through the engine, with the combo's own deadlines and proxies, and of which nothing is
left. What is known against connections holds, so the answer is what a request would meet now."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from omniroute.errors import NotFound
from omniroute.routing.inquiry import Ask
from omniroute.routing.limiting import targets
from omniroute.routing.live import Live
from omniroute.routing.tables import Route, Target
from omniroute.services import calls, verdict
from omniroute.services.verdict import Verdict
from omniroute.state.base import Clock

AT_ONCE = 8


class Step(msgspec.Struct, frozen=True):
    """A target and what calling it gave; `connection` is the one that was asked last."""

    target: Target
    connection: str
    verdict: Verdict

    @property
    def status(self) -> Literal["ok", "error"]:
        return "ok" if self.verdict.valid else "error"


class Rehearsal(msgspec.Struct, frozen=True):
    """A combo and its targets, in the order of the file, those of combos inside it in their place."""

    route: Route
    steps: tuple[Step, ...]
    at: float

    @property
    def resolved_by(self) -> str:
        """The first target that answered; empty where none did."""
        return next((step.target.id for step in self.steps if step.verdict.valid), "")


class Combos:
    """Tests combos."""

    def __init__(self, live: Live, ask: Ask, clock: Clock) -> None:
        self._live = live
        self._ask = ask
        self._clock = clock

    async def test(self, name: str) -> Rehearsal:
        """Raises NotFound."""
        route = self.find(name)
        unique = {target.id: target for target in targets(route)}
        places = asyncio.Semaphore(AT_ONCE)

        async def one_of(target: Target) -> Step:
            async with places:
                return await self._step(target)

        steps = await asyncio.gather(*map(one_of, unique.values()))
        return Rehearsal(route, tuple(steps), self._clock.now())

    def find(self, name: str) -> Route:
        """The combo of this name. Raises NotFound."""
        gateway = self._live.current
        if name not in self.names():
            raise NotFound(f"There is no combo `{name[:160]}` here.", code="combo_not_found")
        return gateway.routes[name]

    def names(self) -> list[str]:
        return [line.id for line in self._live.current.models if line.owned_by == "combo"]

    async def _step(self, target: Target) -> Step:
        method = calls.operation(target)
        if not method:
            what = f"`{target.id}` does nothing that can be asked for at small cost"
            return Step(target, "", verdict.without_call("unsupported", what, self._clock.now(), "local"))
        answered = await self._ask(calls.call(target, None, "tried"))
        said = verdict.of_answer(answered, self._clock.now(), method, target.model)
        return Step(target, answered.connection, said)
