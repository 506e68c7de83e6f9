"""Runs scenarios, and finds the rules that none of them would miss."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from time import perf_counter

import msgspec
from msgspec.structs import replace

from omniroute.catalog import Catalog
from omniroute.config.bundle import Bundle
from omniroute.config.compile import compile_gateway
from omniroute.config.spec.scenarios import GivenSpec
from omniroute.config.spec.words import seconds
from omniroute.relay import inside
from omniroute.relay.call import Call
from omniroute.relay.ingress import Gate
from omniroute.routing.live import Live
from omniroute.routing.tables import ANONYMOUS, Gateway
from omniroute.scenarios import clock, request, upstream, world
from omniroute.scenarios.case import Case
from omniroute.scenarios.clock import VirtualLoop
from omniroute.scenarios.outcome import Difference, Outcome, Told, differences, outcome


class Result(msgspec.Struct, frozen=True):
    """A scenario that was run. It has passed where nothing differs. `seconds` are real ones."""

    name: str
    file: str
    line: int
    differences: tuple[Difference, ...]
    outcome: Outcome
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.differences


class Unmissed(msgspec.Struct, frozen=True):
    """A rule without which every scenario would end as it does."""

    policy: str
    rule: str
    file: str
    line: int


class Report(msgspec.Struct, frozen=True):
    """All that was run, and the rules that nothing of it would miss."""

    results: tuple[Result, ...]
    unmissed: tuple[Unmissed, ...] = ()

    @property
    def failed(self) -> int:
        return sum(not result.passed for result in self.results)


def run(bundle: Bundle, catalog: Catalog, cases: Sequence[Case]) -> Report:
    """What became of every scenario."""
    gateway = compile_gateway(bundle, catalog, resolve=False)

    async def main(loop: VirtualLoop) -> Report:
        stage = Stage(gateway, loop)
        return Report(tuple([await stage.result(case) for case in cases]))

    return clock.run(main)


def covered(report: Report, bundle: Bundle, catalog: Catalog, cases: Sequence[Case]) -> Report:
    """The report with the rules that no scenario would miss: each is taken out, one by one, and those that passed are
    run again. Where none of them fails then, nothing shows what the rule is for."""
    sound = [(case, one.outcome) for case, one in zip(cases, report.results, strict=True) if one.passed]

    async def main(loop: VirtualLoop) -> Report:
        return replace(report, unmissed=tuple(await _unmissed(bundle, catalog, loop, sound)))

    return clock.run(main)


class Stage:
    """Where scenarios of one configuration are played. A digest cannot be turned back into its key, so every key has a
    stand-in here, which is looked up as the real one would be."""

    def __init__(self, gateway: Gateway, loop: VirtualLoop) -> None:
        self._callers = {one.name: one for one in gateway.principals.values()}
        principals = {_digest(name): one for name, one in self._callers.items()}
        self._gateway = replace(gateway, principals=principals)
        self._loop = loop

    async def result(self, case: Case) -> Result:
        began = perf_counter()
        got = await self.play(case.given)
        return Result(case.name, case.file, case.line, differences(case.expect, got), got, perf_counter() - began)

    async def play(self, given: GivenSpec) -> Outcome:
        """What becomes of the request, the last one where it is sent several times."""
        gateway = self._gateway if not given.tags else self._tagged(given)
        state = world.state(gateway, given, self._loop)
        script = upstream.Script(given)
        row = request.endpoint(given)
        key = _stand_in(given.key or "") if given.key or given.tags else ""
        seen: list[Call] = []
        app = Gate(Live(gateway), state, script).app(inside.watched(row, seen))
        body = request.body(given)
        told = Told(given.format)
        before = 0
        for number in range(given.times):
            if number:
                await asyncio.sleep(seconds(given.every))
            seen.clear()
            before = len(script.sent)
            told = Told(given.format)
            await app(request.scope(given, key), inside.received(body), told.send)
        return outcome(seen[-1] if seen else None, told, script.sent[before:])

    def _tagged(self, given: GivenSpec) -> Gateway:
        """The configuration in which the caller has the tags of the scenario."""
        name = given.key or ""
        caller = self._callers.get(name, ANONYMOUS)
        tagged = replace(caller, tags={**caller.tags, **given.tags})
        return replace(self._gateway, principals={**self._gateway.principals, _digest(name): tagged})


def _stand_in(key: str) -> str:
    return f"stand-in:{key}"


def _digest(key: str) -> bytes:
    return sha256(_stand_in(key).encode()).digest()


# ------------------------------------------------------------------------------------------------------------- coverage


async def _unmissed(
    bundle: Bundle, catalog: Catalog, loop: VirtualLoop, sound: Sequence[tuple[Case, Outcome]]
) -> list[Unmissed]:
    """The rules that can be taken out one by one, and every scenario that passed still does. A scenario can only miss
    the rules of a policy that applied to it."""
    found = []
    for policy, spec in bundle.spec.policies.items():
        concerned = [case for case, outcome in sound if policy in (*outcome.policies, *outcome.shadows)]
        for index, rule in enumerate(spec.rules):
            if not concerned or not await _missed(_without(bundle, policy, index), catalog, loop, concerned):
                file, line, _ = bundle.locate(("policies", policy, "rules", index))
                found.append(Unmissed(policy, rule.kind, file, line))
    return found


async def _missed(bundle: Bundle, catalog: Catalog, loop: VirtualLoop, cases: Sequence[Case]) -> bool:
    stage = Stage(compile_gateway(bundle, catalog, resolve=False), loop)
    for case in cases:
        if not (await stage.result(case)).passed:
            return True
    return False


def _without(bundle: Bundle, policy: str, index: int) -> Bundle:
    """The configuration without one rule."""
    spec = bundle.spec
    rules = spec.policies[policy].rules
    changed = replace(spec.policies[policy], rules=(*rules[:index], *rules[index + 1 :]))
    return replace(bundle, spec=replace(spec, policies={**spec.policies, policy: changed}))
