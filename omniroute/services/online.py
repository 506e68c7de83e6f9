"""Findings that only the providers can tell: whether connections work, and whether models are there (`validate --online`).

A connection is tried as `POST /api/providers/{id}/test` does it, with one small call; models are held against the list of
their provider, where it has one that names at least one of them: some list only what they recommend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import msgspec

from omniroute.config.bundle import Bundle
from omniroute.document import Place
from omniroute.errors import Problem, UpstreamError
from omniroute.routing.live import Live
from omniroute.routing.tables import Connection, Route, Target, Upstream
from omniroute.services.bench import Bench
from omniroute.services.verdict import Verdict

AT_ONCE = 8
LONGEST = 300
"""Characters of what a provider says that stand in a finding."""
Progress = Callable[[int, int, str], None]
"""Hears how many connections have been tried, of how many, and which was the last."""


class _Heard(msgspec.Struct):
    verdict: Verdict
    models: frozenset[str]


async def findings(read: Bundle, live: Live, bench: Bench, progress: Progress) -> list[Problem]:
    """All of them, in the order of the files."""
    every = [(up, one) for up in live.current.upstreams.values() for one in up.connections]
    places, tried = asyncio.Semaphore(AT_ONCE), 0

    async def hear(upstream: Upstream, connection: Connection) -> _Heard:
        nonlocal tried
        async with places:
            verdict = await bench.probes.verdict(upstream, connection)
            models = await _listed(bench, upstream, connection)
        tried += 1
        progress(tried, len(every), connection.id)
        return _Heard(verdict, models)

    heard = await asyncio.gather(*(hear(up, one) for up, one in every))
    found = [_broken(read, one, each.verdict) for (_, one), each in zip(every, heard, strict=True)]
    listed: dict[str, frozenset[str]] = {}
    for (upstream, _), each in zip(every, heard, strict=True):
        listed[upstream.name] = listed.get(upstream.name, frozenset()) | each.models
    missing = _missing(read, live, listed)
    told = [*(problem for problem in found if problem is not None), *missing]
    return sorted(told, key=lambda one: (one.file, one.line, one.col, one.code))


async def _listed(bench: Bench, upstream: Upstream, connection: Connection) -> frozenset[str]:
    try:
        return frozenset(one.id for one in await bench.models.asked(upstream, connection))
    except UpstreamError:
        return frozenset()  # the verdict on the connection says what is wrong with it


def _broken(read: Bundle, connection: Connection, verdict: Verdict) -> Problem | None:
    if verdict.valid or verdict.diagnosis.type == "unsupported":
        return None
    provider, _, name = connection.id.partition(".")
    declared = read.spec.providers[provider].connections
    place: Place = ("providers", provider, "connections", name) if name in declared else ("providers", provider)
    kind = verdict.diagnosis.code or verdict.diagnosis.type
    said = verdict.error[:LONGEST]
    hint = HINTS.get(kind, "")
    return read.problem("OR501", place, f"the connection does not work ({kind}): {said}", hint, key=True)


HINTS = {
    "auth": "give it a key that is good, or sign in again",
    "connect": "look at the address, the proxy, and whether this machine may go there",
    "timeout": "look at the address and the proxy, or give it more time in `timeouts`",
    "quota": "the account has no credit left",
    "no_model": "look which models the account may use",
}
"""What to do, by how the call ended."""


def _missing(read: Bundle, live: Live, listed: dict[str, frozenset[str]]) -> Iterator[Problem]:
    asked: dict[str, list[tuple[Place, str]]] = {}
    for provider, place, model in _named(read, live):
        asked.setdefault(provider, []).append((place, model))
    for provider, models in asked.items():
        known = listed.get(provider, frozenset())
        if not any(model in known for _, model in models):
            continue
        for place, model in models:
            if model not in known:
                told = f"`{provider}` does not list the model `{model}`"
                hint = "look at the models of the account; a request for it will probably fail"
                yield read.problem("OR502", place, told, hint, severity="warning", key=place[0] == "providers")


def _named(read: Bundle, live: Live) -> Iterator[tuple[str, Place, str]]:
    """The models that the files name: the provider, where, and what the provider calls it."""
    for provider, spec in read.spec.providers.items():
        for name in spec.models:
            for target in _targets(live.current.routes.get(f"{provider}/{name}")):
                yield provider, ("providers", provider, "models", name), target.model
    for section, names in (("aliases", read.spec.aliases), ("combos", read.spec.combos)):
        for name in names:
            for target in _targets(live.current.routes.get(name)):
                yield target.upstream.name, (section, name), target.model


def _targets(route: Route | None) -> Sequence[Target]:
    """Those that it names itself; a combo within it has its own place."""
    return () if route is None else [step for step in route.steps if isinstance(step, Target)]
