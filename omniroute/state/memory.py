"""State in this process's memory: dictionaries, and nothing that can fail.

Everything here is used from the event loop alone, so there are no locks; only the ledger is also read by threads.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from omniroute.errors import UpstreamKind
from omniroute.state.base import (
    MODEL,
    Answer,
    Clock,
    Keeping,
    LedgerHealth,
    Outcome,
    Permit,
    Profile,
    State,
    Totals,
    UsageRow,
    View,
)
from omniroute.state.budgets import MemoryBudgets
from omniroute.state.cache import MemoryCache
from omniroute.state.idempotency import MemoryIdempotency
from omniroute.state.likeness import MemoryLikeness
from omniroute.state.limits import MemoryLimits
from omniroute.state.route_use import RouteUse, of_rows
from omniroute.state.scores import MemoryScores
from omniroute.state.sessions import MemorySessions
from omniroute.state.usage import Dimension, Filter, Group, Page, Search, Timing, found, summed

COOLING: frozenset[UpstreamKind] = frozenset({"rate_limited", "overloaded", "auth", "quota", "no_model"})
"""Failures after which the provider is left alone for a while, from the first one on."""

ACCOUNT: frozenset[UpstreamKind] = frozenset({"auth", "quota"})
"""Failures of the account: one more call is enough to learn whether it is still refused."""

LONGEST_RETRY_AFTER = 3600.0
"""A provider that asks for more than an hour is asked again after one."""

PROBE_LEASE = 120.0
"""A probe that was never heard of again must not keep a connection closed for good."""

PROBE_WAIT = 1.0
"""How long a probe takes nobody knows; this is when asking again makes sense."""

FORGET_AFTER = 3600.0
"""What is known against a connection that is no longer called, perhaps because its name is gone."""

MODELS = 1024
"""Scores of single models that are kept. Callers may ask for any name at a provider, and each could leave one."""


class Score(msgspec.Struct):
    """What is known against one connection. `failures` counts those in a row, `cooldown` is the last pause, `open`
    says that after `until` a probe must succeed first, `probe` is when the lease of the probe under way ends."""

    kind: UpstreamKind
    failures: int = 0
    cooldown: float = 0.0
    open: bool = False
    until: float = 0.0
    probe: float = 0.0
    noted: float = 0.0

    def blocked_until(self, now: float) -> float:
        if now < self.until:
            return self.until
        if self.open and now < self.probe:
            return now + PROBE_WAIT
        return 0.0


class MemoryBreakers:
    """A circuit breaker and a cooldown in one: both say that a connection is left alone until some time.

    A pause runs its course whatever older calls report meanwhile: their successes do not shorten it, and their
    failures, the echo of what started it, do not lengthen it. Only a provider's `Retry-After` moves its end.
    """

    def __init__(self, models: int = MODELS) -> None:
        self._scores: dict[str, Score] = {}
        self._models = models

    def is_calm(self) -> bool:
        return not self._scores

    def view(self, connection: str, now: float) -> View | None:
        score = self._scores.get(connection)
        if score is None or not (score.failures or score.open or now < score.until):
            return None
        return _view(score, now)

    def admit(self, connection: str, now: float) -> Permit | None:
        score = self._scores.get(connection)
        if score is None:
            return "go"
        if score.blocked_until(now):
            return None
        if not score.open:
            return "go"
        score.probe = now + PROBE_LEASE
        return "probe"

    def note(
        self,
        connection: str,
        outcome: Outcome,
        now: float,
        retry_after: float | None,
        profile: Profile,
        *,
        probe: bool = False,
    ) -> None:
        score = self._scores.get(connection)
        match outcome:
            case "success":
                if score is not None:
                    self._succeeded(connection, score, now)
            case "invalid" | "abandoned":
                if score is not None and probe:
                    score.probe = 0.0
            case _:
                if score is None:
                    self._forget(now)
                    score = self._scores[connection] = Score(outcome)
                _failed(score, outcome, now, retry_after, profile)

    def clear(self, connection: str) -> None:
        for name in [name for name in self._scores if name.partition(MODEL)[0] == connection]:
            del self._scores[name]

    def known(self, now: float) -> Mapping[str, View]:
        views = ((name, self.view(name, now)) for name in self._scores)
        return {name: view for name, view in views if view is not None}

    def forget(self, name: str) -> None:
        self._scores.pop(name, None)

    def reset(self) -> int:
        count = len(self._scores)
        self._scores.clear()
        return count

    def _succeeded(self, connection: str, score: Score, now: float) -> None:
        if now >= score.until:
            del self._scores[connection]
        else:
            score.failures = 0
            score.cooldown = 0.0

    def _forget(self, now: float) -> None:
        """Drop scores that are old and block nothing: what changes on the list is the time to look through it. Of too
        many models, the one that has been told the longest ago makes room."""
        models = [name for name in self._scores if MODEL in name]
        if len(models) >= self._models:
            del self._scores[min(models, key=lambda name: self._scores[name].noted)]
        old = [name for name, score in self._scores.items() if now - max(score.noted, score.until) > FORGET_AFTER]
        for name in old:
            del self._scores[name]


def _failed(score: Score, kind: UpstreamKind, now: float, retry_after: float | None, profile: Profile) -> None:
    paused = now < score.until
    half_open = score.open and not paused
    score.kind = kind
    score.noted = now
    score.failures += 1
    score.probe = 0.0
    pause = 0.0
    if kind in COOLING:
        if not paused:
            pause = min(score.cooldown * 2 or profile.cooldown, profile.max_cooldown)
            score.cooldown = pause
        if retry_after and profile.honour_retry_after:
            pause = min(retry_after, LONGEST_RETRY_AFTER)
    broken = score.failures >= profile.failure_threshold and not (score.open and paused)
    if broken or (half_open and not pause):
        score.open = True
        pause = max(pause, profile.reset_timeout)
    if kind in ACCOUNT:
        score.open = True
    if pause:
        score.until = max(score.until, now + pause)


def _view(score: Score, now: float) -> View:
    until = score.blocked_until(now)
    state: Literal["closed", "open", "half-open"]
    if not score.open:
        state, reason = "closed", f"cooling down after {score.kind}" if until else f"failing: {score.kind}"
    elif now < score.until:
        state, reason = "open", f"circuit open after {score.kind}"
    else:
        state, reason = "half-open", "a probe is under way" if until else f"to be probed after {score.kind}"
    return View(state, bool(until), reason, score.kind, until, score.failures)


class MemoryCounters:
    """Names that nothing is under way for are not kept."""

    def __init__(self) -> None:
        self._under_way: dict[str, int] = {}
        self._turns: dict[str, int] = {}

    def acquire(self, name: str, limit: int | None = None) -> bool:
        count = self._under_way.get(name, 0)
        if limit is not None and count >= limit:
            return False
        self._under_way[name] = count + 1
        return True

    def release(self, name: str) -> None:
        left = self._under_way[name] - 1
        if left:
            self._under_way[name] = left
        else:
            del self._under_way[name]

    def in_flight(self, name: str) -> int:
        return self._under_way.get(name, 0)

    def next(self, name: str) -> int:
        turn = self._turns.get(name, 0)
        self._turns[name] = turn + 1
        return turn

    def peek(self, name: str) -> int:
        return self._turns.get(name, 0)


class MemoryLedger:
    """The latest rows, for tests and for a gateway that is to leave nothing on a disk. Older ones make room."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._rows: dict[str, UsageRow] = {}
        self._written = 0
        self._lost = 0
        self._closed = False

    def append(self, row: UsageRow) -> None:
        if self._closed:
            self._lost += 1
            return
        if row.id in self._rows:
            return
        self._rows[row.id] = row
        self._written += 1
        if len(self._rows) > self._capacity:
            del self._rows[next(iter(self._rows))]

    def flush(self, timeout: float = 5.0) -> bool:  # noqa: ARG002 - nothing here ever waits
        return True

    def close(self, timeout: float = 5.0) -> bool:  # noqa: ARG002 - nothing here ever waits
        self._closed = True
        return True

    def health(self) -> LedgerHealth:
        return LedgerHealth(ok=True, written=self._written, lost=self._lost)

    def recent(self, limit: int) -> Sequence[UsageRow]:
        rows = list(self._rows.values())
        return sorted(rows, key=lambda row: row.id, reverse=True)[:limit]

    def totals(self) -> Totals:
        rows = list(self._rows.values())
        return Totals(
            requests=len(rows),
            input=sum(row.input for row in rows),
            output=sum(row.output for row in rows),
            cached=sum(row.cached for row in rows),
            cache_write=sum(row.cache_write for row in rows),
            cache_write_1h=sum(row.cache_write_1h for row in rows),
            reasoning=sum(row.reasoning for row in rows),
            cost=sum((row.cost for row in rows if row.cost is not None), Decimal(0)),
            unpriced=sum(row.cost is None for row in rows),
        )

    def spent(self, keys: Collection[str], since: float, until: float) -> Decimal:
        rows = [row for row in self._rows.values() if row.key in keys and since <= row.started < until]
        return sum((row.cost for row in rows if row.cost is not None), Decimal(0))

    def sums(self, wanted: Filter, by: Sequence[Dimension] = (), step: int = 0) -> Sequence[Group]:
        return summed(list(self._rows.values()), wanted, by, step)

    def page(self, search: Search) -> Page:
        rows = [row for row in self.recent(self._capacity) if found(row, search)]
        return Page(rows[: search.limit], rows[search.limit - 1].id if len(rows) >= search.limit else "")

    def find(self, ident: str) -> UsageRow | None:
        return self._rows.get(ident)

    def timings(self, most: int) -> Sequence[Timing]:
        names = Timing.__struct_fields__
        return [Timing(*(getattr(row, name) for name in names)) for row in self.recent(most)]

    def routes(self, names: Collection[str], since: float) -> Mapping[str, RouteUse]:
        return of_rows(sorted(self._rows.values(), key=lambda row: row.id), since, names)


class _Share(msgspec.Struct):
    """What one owner holds of the answers: the ids, the oldest first, and their bytes."""

    idents: dict[str, None] = {}
    bytes: int = 0


class MemoryAnswers:
    """The newest answers, within bounds of number, bytes and time. The bounds are for all owners together; where they
    are reached, the oldest answer of who holds the most goes, so that none can drive out what the others hold."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[Answer, float]] = OrderedDict()  # the oldest first
        self._shares: dict[str, _Share] = {}
        self._bytes = 0

    def put(self, owner: str, ident: str, answer: Answer, now: float, keeping: Keeping) -> None:
        self.delete(owner, ident)
        if _size(answer) > keeping.bytes:  # to make room for it would drive out all others, and not be enough
            return
        self._kept[owner, ident] = answer, now + keeping.ttl
        share = self._shares.setdefault(owner, _Share())
        share.idents[ident] = None
        share.bytes += _size(answer)
        self._bytes += _size(answer)
        self._make_room(now, keeping)

    def _make_room(self, now: float, keeping: Keeping) -> None:
        while self._kept:
            oldest = next(iter(self._kept))
            if now >= self._kept[oldest][1]:
                self.delete(*oldest)
            elif self._bytes > keeping.bytes:
                self._shorten(max(self._shares, key=lambda owner: self._shares[owner].bytes))
            elif len(self._kept) > keeping.entries:
                self._shorten(max(self._shares, key=lambda owner: len(self._shares[owner].idents)))
            else:
                return

    def _shorten(self, owner: str) -> None:
        self.delete(owner, next(iter(self._shares[owner].idents)))

    def get(self, owner: str, ident: str, now: float) -> Answer | None:
        answer, ends = self._kept.get((owner, ident), (None, 0.0))
        return answer if now < ends else None

    def delete(self, owner: str, ident: str) -> None:
        kept = self._kept.pop((owner, ident), None)
        if kept is None:
            return
        size, share = _size(kept[0]), self._shares[owner]
        del share.idents[ident]
        share.bytes -= size
        self._bytes -= size
        if not share.idents:
            del self._shares[owner]


def _size(answer: Answer) -> int:
    return len(answer.response) + len(answer.items)


def memory_state() -> State:
    """State that begins empty and leaves nothing behind, for looking at decisions without serving."""
    return State(
        breakers=MemoryBreakers(),
        counters=MemoryCounters(),
        ledger=MemoryLedger(),
        answers=MemoryAnswers(),
        limits=MemoryLimits(),
        budgets=MemoryBudgets(),
        scores=MemoryScores(),
        sessions=MemorySessions(),
        cache=MemoryCache(),
        likeness=MemoryLikeness(),
        idempotency=MemoryIdempotency(),
        clock=Clock(),
        random=random.Random(),
    )
