"""The contracts of what survives a reload, and the rows that are kept.

Health and counters are facts of this process, about how its own calls fare, and are asked several times in each
request: they are plain synchronous calls on dictionaries.  The ledger is the only one that writes to a disk, and it
does so behind the request's back: `append` never waits, and no failure of the disk ever reaches a caller.

Times named `now` are seconds of one clock that the caller chooses and keeps to; `until` is told in the same.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from omniroute.errors import UpstreamKind
from omniroute.state.audit import Audit, MemoryAudit
from omniroute.state.budgets import Budgets
from omniroute.state.cache import Cache
from omniroute.state.evals import EvalRuns, MemoryEvals
from omniroute.state.idempotency import Idempotency
from omniroute.state.likeness import Likeness
from omniroute.state.limits import Limits
from omniroute.state.line import Line
from omniroute.state.quotas import MemoryQuotas, Quotas
from omniroute.state.roster import MemoryRoster, Roster
from omniroute.state.scores import Scores
from omniroute.state.sessions import Sessions
from omniroute.state.trace import Trace
from omniroute.state.usage import Dimension, Filter, Group, Page, Search, Timing

if TYPE_CHECKING:
    from omniroute.state.route_use import RouteUse

# ---------------------------------------------------------------------------------------------------------- health


class Profile(msgspec.Struct, frozen=True):
    """How patient we are with a connection; times in seconds."""

    failure_threshold: int = 12
    reset_timeout: float = 30.0
    cooldown: float = 3.0
    max_cooldown: float = 60.0
    honour_retry_after: bool = True


Outcome = UpstreamKind | Literal["success", "abandoned"]
"""How a call ended, as far as the connection is concerned; `abandoned` is for one that ended without a verdict, such
as by a client that left."""

Permit = Literal["go", "probe"]
"""Leave to call a connection; a `probe` is the one call that a half-open connection is tried with."""


class View(msgspec.Struct, frozen=True):
    """The health of a connection that had failures lately.

    `blocked` says that it is not to be called now, `until` when that ends (0 where it is not blocked); `kind` is the
    last failure, and `reason` tells a person about it.
    """

    state: Literal["closed", "open", "half-open"]
    blocked: bool
    reason: str
    kind: UpstreamKind
    until: float
    failures: int


def on(connection: str, model: str) -> str:
    """The name of one model on a connection, for whatever is known of it alone: `openai.team|gpt-5-mini`."""
    return f"{connection}{MODEL}{model}"


MODEL = "|"
"""Stands in no connection's id, and so tells the names of models from those of connections."""


class Breakers(Protocol):
    """The health of connections, by id (`openai.team`), and of single models on them (see `on`). What nothing is known
    against is not listed.

    A call goes through `admit`, and what it was given is handed back with `note`, once, however the call ends.
    """

    def is_calm(self) -> bool:
        """Whether nothing is known against anybody: then nobody need be asked about."""
        ...

    def view(self, connection: str, now: float) -> View | None:
        """What is known against it; None if nothing is."""
        ...

    def admit(self, connection: str, now: float) -> Permit | None:
        """Leave to call it; None if it is blocked. A half-open connection gives one `probe` at a time."""
        ...

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
        """What became of a call; `probe` if that is what `admit` had given. `invalid` and `abandoned` tell nothing
        about the connection and only give the probe back."""
        ...

    def clear(self, connection: str) -> None:
        """Forgets all that is known against a connection and the models on it."""
        ...

    def known(self, now: float) -> Mapping[str, View]:
        """All that is known against anything, by name."""
        ...

    def forget(self, name: str) -> None:
        """Nothing is known against it any more."""
        ...

    def reset(self) -> int:
        """Forget all of it: circuits close, and pauses end. Gives how many there were."""
        ...


class Counters(Protocol):
    """What is under way now, and whose turn is next, by name."""

    def acquire(self, name: str, limit: int | None = None) -> bool:
        """Count one more under way; False, and nothing counted, if there are `limit` already."""
        ...

    def release(self, name: str) -> None: ...

    def in_flight(self, name: str) -> int: ...

    def next(self, name: str) -> int:
        """0, 1, 2, …: the turns of a rotation, counted over reloads."""
        ...

    def peek(self, name: str) -> int:
        """What `next` would tell, without taking the turn."""
        ...


# ---------------------------------------------------------------------------------------------------------- ledger


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One try on one connection. `outcome` is `success`, an upstream kind, or `skipped` where it was not called.
    `message` says why, in the ledger in our words only: a provider's own may quote the prompt. `input`, `output` and
    `cost` (USD) are what is known that it took, also of one that failed after its provider had begun to charge, and of one
    that was given up because another one answered first."""

    target: str
    connection: str
    outcome: str
    status: int | None = None
    ms: float = 0.0
    message: str = ""
    input: int = 0
    output: int = 0
    cost: Decimal | None = None
    at: float = 0.0
    """When it began: milliseconds after the request did."""


class UsageRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request: who asked for what, who served it, what it took and what it cost. No word of its content.

    `id` sorts by time and is ours; `request_id` is what the client knows the request by. `started` is UNIX time. `error` and `code` are empty where all went well. A cost that is not
    known is None, never 0. `losses` are the codes of what translation dropped.

    Tokens are those of the answer, as its client is told them; `cost` is the sum of those of all `attempts`. `seconds` are of audio, `images` were drawn; `cache` says how
    the answer was in the cache (`hit`, `semantic`), or that it was looked for there (`miss`); it is empty where it was not, `idempotent` that it is another request's. `session` is the
    caller's own word for a conversation, `route` what the name led to, `policies` are those that applied. No address of a
    caller is kept.
    """

    id: str
    request_id: str = ""
    started: float
    key: str
    operation: str
    format: str
    requested: str
    provider: str
    connection: str
    model: str
    status: int
    error: str = ""
    code: str = ""
    stream: bool = False
    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    estimated: bool = False
    cost: Decimal | None = None
    total_ms: float = 0.0
    upstream_ms: float = 0.0
    gateway_ms: float = 0.0
    ttft_ms: float | None = None
    attempts: tuple[Attempt, ...] = ()
    losses: tuple[str, ...] = ()
    revision: str = ""
    audio_input: int = 0
    audio_output: int = 0
    service_tier: str = ""
    seconds: float | None = None
    images: int = 0
    cache: str = ""
    idempotent: bool = False
    session: str = ""
    route: str = ""
    policies: tuple[str, ...] = ()


class Totals(msgspec.Struct, frozen=True):
    """Sums over all rows; `unpriced` counts those without a cost, which `cost` therefore leaves out."""

    requests: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0


class LedgerHealth(msgspec.Struct, frozen=True):
    """Whether rows reach their place. `pending` are still in memory, `lost` will never be written; `reason` says why
    the ledger is degraded and is empty where it is not."""

    ok: bool
    reason: str = ""
    pending: int = 0
    written: int = 0
    lost: int = 0


class Ledger(Protocol):
    """The record of requests: append-only, idempotent on the row's id. All but `append` may block: call them from a
    thread."""

    def append(self, row: UsageRow) -> None:
        """Take the row and return at once. Never fails; what cannot be kept is counted as lost."""
        ...

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was appended before is in its place; False if it is not within `timeout` seconds."""
        ...

    def close(self, timeout: float = 5.0) -> bool:
        """Flush and stop. What is appended later is lost."""
        ...

    def health(self) -> LedgerHealth: ...

    def recent(self, limit: int) -> Sequence[UsageRow]:
        """The newest rows, the newest first."""
        ...

    def totals(self) -> Totals: ...

    def spent(self, keys: Collection[str], since: float, until: float) -> Decimal:
        """What the requests of these keys cost that began from `since` on and before `until` (UNIX times)."""
        ...

    def sums(self, wanted: Filter, by: Sequence[Dimension] = (), step: int = 0) -> Sequence[Group]:
        """Sums by name, and by steps of so many seconds (0: no matter when). Groups of nothing are not told."""
        ...

    def page(self, search: Search) -> Page:
        """Single requests, the newest first."""
        ...

    def find(self, ident: str) -> UsageRow | None: ...

    def timings(self, most: int) -> Sequence[Timing]:
        """How long the newest requests took."""
        ...

    def routes(self, names: Collection[str], since: float) -> Mapping[str, RouteUse]:
        """How the requests fared that were routed by these names and began from `since` on (UNIX time)."""
        ...


# --------------------------------------------------------------------------------------------------------- witness


class Witness(Protocol):
    """Who looks at requests that are over: metrics, traces, logs."""

    def append(self, row: UsageRow, trace: Trace | None) -> None:
        """Take the row and return at once. Never fails."""
        ...


class Nobody:
    """Does not look."""

    def append(self, row: UsageRow, trace: Trace | None) -> None: ...


# --------------------------------------------------------------------------------------------------------- answers


class Keeping(msgspec.Struct, frozen=True):
    """How much is kept of answers, and for how long (seconds); 0 entries keep none."""

    ttl: float = 3600.0
    entries: int = 1000
    bytes: int = 64 * 1024 * 1024


class Answer(msgspec.Struct, frozen=True):
    """An answer as its client got it, and the conversation up to and with it; JSON both."""

    response: bytes
    items: bytes


class Answers(Protocol):
    """Conversations that may go on by an answer's id, each for its owner alone. Prompts are in it: memory is the
    right place for them, and so is a store that is as short-lived."""

    def put(self, owner: str, ident: str, answer: Answer, now: float, keeping: Keeping) -> None:
        """Keep it. Where that is more than may be kept, let go of the oldest of the owner who holds the most."""
        ...

    def get(self, owner: str, ident: str, now: float) -> Answer | None: ...

    def delete(self, owner: str, ident: str) -> None: ...


# ----------------------------------------------------------------------------------------------------------- state


class Clock(msgspec.Struct, frozen=True):
    """Both kinds of time, exchangeable for tests: `now` is UNIX time, `monotonic` is for measuring; and the
    way to let some of it pass."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class State(msgspec.Struct, frozen=True):
    """All of it, in one hand. Made once for the life of the process."""

    breakers: Breakers
    counters: Counters
    ledger: Ledger
    answers: Answers
    limits: Limits
    budgets: Budgets
    scores: Scores
    sessions: Sessions
    cache: Cache
    likeness: Likeness
    idempotency: Idempotency
    clock: Clock
    random: random.Random
    roster: Roster = msgspec.field(default_factory=MemoryRoster)
    quotas: Quotas = msgspec.field(default_factory=MemoryQuotas)
    line: Line = msgspec.field(default_factory=Line)
    evals: EvalRuns = msgspec.field(default_factory=MemoryEvals)
    audit: Audit = msgspec.field(default_factory=MemoryAudit)
    witness: Witness = msgspec.field(default_factory=Nobody)
    used: dict[str, float] = msgspec.field(default_factory=dict)
    """When the last call on each connection ended, as UNIX time, by the connection's id."""
