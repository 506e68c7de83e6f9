"""A request that the gateway makes of itself, and what became of it: how services ask the engine without knowing it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from omniroute.errors import Fault
from omniroute.routing.tables import ANONYMOUS, Principal, Route
from omniroute.state.base import Attempt

Standing = Literal["served", "tried", "alone"]
"""What an inquiry leaves behind. One that is `served` is a client's request like any other: policies, limits, budgets,
health and the ledger count it. One that is `tried` leaves nothing, and what is known against connections holds for it.
One that is `alone` leaves nothing either, and nothing is held against anybody: a connection that is cooling down is
called. The last two are under no policy and no setting, for they are about who answers and not about who asks."""


class Inquiry(msgspec.Struct, frozen=True, kw_only=True):
    """A POST of a client. `path` is a row of the client API, `body` its JSON; `principal` is who asks. `routes` are names
    that hold for this request alone, beside those of the configuration."""

    path: str
    body: bytes
    standing: Standing
    principal: Principal = ANONYMOUS
    routes: Mapping[str, Route] = {}


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What the client would have got, and what the ledger would say of it. `fault` is what went wrong, if anything did,
    `ms` how long it took, `cost` USD where it is known; `target` and `connection` are those asked last."""

    status: int
    body: bytes
    fault: Fault | None = None
    attempts: tuple[Attempt, ...] = ()
    target: str = ""
    connection: str = ""
    ms: float = 0.0
    input: int = 0
    output: int = 0
    cost: Decimal | None = None

    @property
    def outcome(self) -> str:
        """How the last try ended, as in the ledger; empty where nobody was asked."""
        asked = [attempt.outcome for attempt in self.attempts if attempt.outcome != "skipped"]
        return asked[-1] if asked else ""


Ask = Callable[[Inquiry], Awaitable[Answered]]
"""The engine from inside. Raises nothing but CancelledError: a refusal is an answer with a fault."""
