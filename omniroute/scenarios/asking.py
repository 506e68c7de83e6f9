"""What would become of one request, asked before it is made: `omniroute explain model` and `POST /api/explain`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

import msgspec

from omniroute.catalog import Catalog
from omniroute.config.bundle import Bundle
from omniroute.config.compile import compile_gateway
from omniroute.config.spec.scenarios import GivenSpec
from omniroute.formats.ir import Chat
from omniroute.relay.admit import check_model
from omniroute.routing.conditions import Content, Facts
from omniroute.routing.explain import Explanation, explain
from omniroute.routing.policies import Supposed
from omniroute.routing.tables import ANONYMOUS, Gateway
from omniroute.scenarios import clock, request, world
from omniroute.scenarios.clock import VirtualLoop
from omniroute.scenarios.outcome import Outcome
from omniroute.scenarios.runner import Stage
from omniroute.state.base import State

CONTENT: frozenset[Content] = frozenset(get_args(Content))
"""What conditions of targets can ask for."""


def given(
    model: str,
    *,
    key: str,
    spoken: str,
    tokens: int | None,
    has: Sequence[str],
    headers: Sequence[str],
    at: str | None,
) -> GivenSpec:
    """The request in the words of scenarios. Raises ValueError where they have no such word."""
    fields: dict[str, object] = {
        "model": model,
        "key": key or None,
        "format": spoken,
        "tokens": tokens,
        "has": list(has),
        "headers": dict(_header(each) for each in headers),
        "at": at or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    made = msgspec.convert({name: value for name, value in fields.items() if value is not None}, GivenSpec)
    datetime.fromisoformat(made.at)
    return made


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise ValueError(f"a header is `NAME: VALUE`, not {text!r}")
    return name.strip(), value.strip()


def explained(bundle: Bundle, catalog: Catalog, asked: GivenSpec) -> tuple[Explanation, Outcome]:
    """The decision as data, and what would become of the request where every provider answers. Raises CallError where
    nothing has that name, or the key may not use it."""
    gateway = compile_gateway(bundle, catalog, resolve=False)

    async def main(loop: VirtualLoop) -> tuple[Explanation, Outcome]:
        decided = told(gateway, world.state(gateway, asked, loop), asked, request.chat(asked))
        return decided, await Stage(gateway, loop).play(asked)

    return clock.run(main)


def told(gateway: Gateway, state: State, asked: GivenSpec, chat: Chat | None) -> Explanation:
    """The decision as data, as things stand in this state, which is looked at and not changed. Raises CallError where
    nothing has that name, or the key may not use it."""
    callers = {principal.name: principal for principal in gateway.principals.values()}
    caller = callers.get(asked.key or "", ANONYMOUS)
    check_model(caller, asked.model)
    subject = Supposed(
        principal=caller,
        operation=asked.operation,
        agent=next((value for name, value in asked.headers.items() if name.lower() == "user-agent"), ""),
        ip=asked.ip,
        time=datetime.fromisoformat(asked.at).timestamp(),
        tokens=asked.tokens or 0,
        traits=frozenset({*asked.has, *(("stream",) if asked.stream else ())}),
    )
    facts = Facts(
        tokens=asked.tokens or 0, has=frozenset(CONTENT.intersection(asked.has)), tags=caller.tags, stream=asked.stream
    )
    return explain(gateway, state, asked.model, asked.format, subject, facts=facts, chat=chat)
