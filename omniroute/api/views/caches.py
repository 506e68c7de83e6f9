"""Answers that are given again: how many are kept, what they have saved, and how to let go of them. Never what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from omniroute.api import audit, times
from omniroute.api.control import Control
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.api.views import told
from omniroute.api.views.told import Limit, Usd
from omniroute.routing.limiting import targets
from omniroute.state.cache import Entry
from omniroute.state.usage import DIMENSIONS, Filter, Group

MILLION = 1_000_000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Hits and misses of the requests that began from `from` on and before `to`; of all of them where neither is said."""

    begin: str = msgspec.field(default="", name="from")
    end: str = msgspec.field(default="", name="to")


class SemanticCache(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`memory…` is what this process holds, `dbSize` what the next one would find. `costSaved` is what the tokens would
    have cost by today's list prices, without models that have none. Where the reference has two names for a number, both stand here."""

    enabled: bool
    memory_size: int
    memory_entries: int
    memory_max_size: int
    memory_bytes: int
    memory_max_bytes: int
    db_size: int
    db_entries: int
    hits: int
    misses: int
    hit_rate: float
    hit_rate_percent: float
    tokens_saved: int
    cost_saved: Usd


class Idempotency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    active_keys: int
    window_ms: int


class Caches(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    semantic_cache: SemanticCache
    idempotency: Idempotency


class Stats(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The same in fewer words."""

    size: int
    max_size: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    hit_rate: float


class EntriesAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Answers of a model, or of those whose name has `search` in it."""

    page: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 1
    limit: Limit = 50
    model: str | None = None
    search: str | None = None


class Kept(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One answer. `signature` stands for the request; `model` is the target that gave the answer."""

    id: str
    signature: str
    model: str
    input_tokens: int
    output_tokens: int
    size: int
    expires_at: datetime


class Pagination(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    page: int
    limit: int
    total: int
    total_pages: int


class Entries(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The latest used first."""

    entries: list[Kept]
    pagination: Pagination


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which answers to let go of; all of them where nothing is said."""

    model: str | None = None
    signature: str | None = None


class Cleared(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many there were."""

    ok: bool
    success: bool
    cleared: int
    invalidated: int
    scope: str
    message: str


class _Usage(msgspec.Struct):
    input: int = 0
    output: int = 0


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Value(msgspec.Struct):
    """What may be shown of an answer."""

    target: str
    message: _Message


_value = msgspec.json.Decoder(_Value).decode


async def show(plane: Plane, request: Request) -> Answer:
    """By the ledger, so that hits and misses are those of earlier processes too."""
    control = plane.control
    semantic = await _semantic(control, request.query(Asked))
    idempotent = control.live.current.idempotency
    window = int(idempotent.ttl * 1000) if idempotent is not None else 0
    idempotency = Idempotency(active_keys=len(control.state.idempotency), window_ms=window)
    return Answer(Caches(semantic_cache=semantic, idempotency=idempotency))


async def stats(plane: Plane, request: Request) -> Answer:
    """The same, flat."""
    one = await _semantic(plane.control, request.query(Asked))
    return Answer(
        Stats(
            size=one.memory_size,
            max_size=one.memory_max_size,
            bytes=one.memory_bytes,
            max_bytes=one.memory_max_bytes,
            hits=one.hits,
            misses=one.misses,
            hit_rate=one.hit_rate,
        )
    )


async def _semantic(control: Control, asked: Asked) -> SemanticCache:
    since, until = times.span(asked.begin, asked.end)
    state, caching = control.state, control.live.current.cache
    groups = await asyncio.to_thread(state.ledger.sums, Filter(since=since, until=until), DIMENSIONS)
    stored = await asyncio.to_thread(state.cache.stored)
    sums = told.total(groups)
    looked = sums.hits + sums.misses
    rate = sums.hits / looked if looked else 0.0
    return SemanticCache(
        enabled=caching is not None,
        memory_size=len(state.cache),
        memory_entries=len(state.cache),
        memory_max_size=caching.exact.entries if caching is not None else 0,
        memory_bytes=state.cache.size,
        memory_max_bytes=caching.exact.bytes if caching is not None else 0,
        db_size=stored,
        db_entries=stored,
        hits=sums.hits,
        misses=sums.misses,
        hit_rate=round(rate, 6),
        hit_rate_percent=round(rate * 100, 2),
        tokens_saved=sums.hit_input + sums.hit_output,
        cost_saved=_saved(control, groups),
    )


def _saved(control: Control, groups: Sequence[Group]) -> Decimal:
    """Of whatever has a price in the list."""
    prices = {
        (target.upstream.name, target.model): target.facts.price
        for route in control.live.current.routes.values()
        for target in targets(route)
    }
    saved = Decimal(0)
    for group in groups:
        of, sums = told.named(group), group.sums
        price = prices.get((of["provider"], of["model"])) if sums.hits else None
        if price is not None:
            saved += sums.hit_input * (price.input or 0) + sums.hit_output * (price.output or 0)
    return saved / MILLION


# ------------------------------------------------------------------------------------------------------------- entries


async def entries(plane: Plane, request: Request) -> Answer:
    """What is kept in memory. To know what an answer is of, it may have to be read for the first time: in a thread."""
    asked, state = request.query(EntriesAsked), plane.control.state
    now = state.clock.now()
    kept = [entry for entry in reversed(state.cache.entries()) if now < entry.ends]
    if asked.model is None and asked.search is None:
        total, begin = len(kept), (asked.page - 1) * asked.limit
        shown = await asyncio.to_thread(_read, kept[begin : begin + asked.limit])
    else:
        found = [one for one in await asyncio.to_thread(_read, kept) if _meant(one, asked)]
        total, begin = len(found), (asked.page - 1) * asked.limit
        shown = found[begin : begin + asked.limit]
    pages = Pagination(page=asked.page, limit=asked.limit, total=total, total_pages=-(-total // asked.limit))
    return Answer(Entries(entries=shown, pagination=pages))


async def clear(plane: Plane, request: Request) -> Answer:
    """Answers are given anew from now on, by whoever asked."""
    chosen, cache = request.query(Chosen), plane.control.state.cache
    kept = cache.entries()
    if chosen.signature is not None:
        kept = [entry for entry in kept if entry.name.hex() == chosen.signature]
    if chosen.model is not None:
        of_model = {one.id for one in await asyncio.to_thread(_read, kept) if one.model == chosen.model}
        kept = [entry for entry in kept if entry.name.hex() in of_model]
    for entry in kept:
        cache.drop(entry.name)
    scope = "model" if chosen.model is not None else "signature" if chosen.signature is not None else "all"
    detail = {"scope": scope, "cleared": str(len(kept))}
    await audit.record(plane, request, "cache.clear", chosen.model or chosen.signature or "", detail=detail)
    count = len(kept)
    return Answer(
        Cleared(
            ok=True, success=True, cleared=count, invalidated=count, scope=scope, message=f"{count} answers are gone."
        )
    )


def _read(kept: Sequence[Entry]) -> list[Kept]:
    """Those of which it can be told what they are of."""
    return [one for one in map(_kept, kept) if one is not None]


def _kept(entry: Entry) -> Kept | None:
    text = entry.item.value()
    if text is None:
        return None
    value = _value(text)
    usage = value.message.usage or _Usage()
    return Kept(
        id=entry.name.hex(),
        signature=entry.name.hex(),
        model=value.target,
        input_tokens=usage.input,
        output_tokens=usage.output,
        size=entry.item.size,
        expires_at=times.told(entry.ends),
    )


def _meant(one: Kept, asked: EntriesAsked) -> bool:
    return asked.model in (None, one.model) and (asked.search is None or asked.search in one.model)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/cache",
        access="admin.read",
        body_limit=0,
        serve=show,
        summary="How many answers are kept to be given again, how often they were, `?from&to`, and what that has saved.",
        told=Told(query=Asked, answer=Caches, refuses=(503,)),
    ),
    Endpoint(
        method="GET",
        path="/api/cache/stats",
        access="admin.read",
        body_limit=0,
        serve=stats,
        summary="The same in fewer words.",
        told=Told(query=Asked, answer=Stats, refuses=(503,)),
    ),
    Endpoint(
        method="GET",
        path="/api/cache/entries",
        access="admin.read",
        body_limit=0,
        serve=entries,
        summary="The answers that are kept, `?page&limit&model&search`, without what they say.",
        told=Told(query=EntriesAsked, answer=Entries),
    ),
    *(
        Endpoint(
            method="DELETE",
            path=path,
            access="admin.write",
            body_limit=0,
            serve=clear,
            summary="Lets go of all answers that are kept, or of those of one `?model`, or of one by its `?signature`.",
            told=Told(query=Chosen, answer=Cleared),
        )
        for path in ("/api/cache", "/api/cache/stats", "/api/cache/entries")
    ),
)
