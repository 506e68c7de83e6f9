"""Compiled tables made by hand, for tests that need no files."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from omniroute.catalog import Model
from omniroute.formats.patch import NONE
from omniroute.routing.conditions import Condition
from omniroute.routing.tables import Auth, Connection, Deadlines, Endpoint, Origin, Route, Target, Upstream
from omniroute.state.base import Clock, Profile, State
from omniroute.state.memory import memory_state

DEADLINES = Deadlines(connect=1, first_byte=2, idle=2, total=5)
PROFILE = Profile(failure_threshold=12, reset_timeout=30, cooldown=3, max_cooldown=60)


def connection(name: str, **more: Any) -> Connection:
    given = {"priority": 1, "weight": 1, "max_concurrent": None, "headers": ()} | more
    _provider, _, own = name.partition(".")
    return Connection(id=name, name=own, auth=Auth(scheme="none", secret=None), profile=PROFILE, **given)


def upstream(name: str, *connections: Connection, selection: Any = "fill-first") -> Upstream:
    return Upstream(
        name=name,
        endpoints={"openai_chat": Endpoint(origin=Origin("http", "127.0.0.1", 1), base_path="/v1")},
        connections=connections or (connection(f"{name}.main"),),
        selection=selection,
        headers=(),
        deadlines=DEADLINES,
        quirks=NONE,
        operations={},
        transport="httptools",
    )


def target(
    name: str,
    *connections: Connection,
    weight: int = 1,
    selection: Any = "fill-first",
    when: Condition | None = None,
    **facts: Any,
) -> Target:
    provider, _, model = name.partition("/")
    return Target(
        id=name,
        upstream=upstream(provider, *connections, selection=selection),
        model=model,
        formats=("openai_chat",),
        facts=Model(id=model, kind="chat", **facts),
        deadlines=DEADLINES,
        weight=weight,
        when=when,
    )


def combo(name: str, strategy: Any, *steps: Target | Route, weight: int = 1, **more: Any) -> Route:
    return Route(name=name, strategy=strategy, steps=steps, weight=weight, **more)


def state(seed: int = 1, now: float = 1000.0) -> State:
    """Empty state with a clock that stands still and chance that repeats itself."""
    return msgspec.structs.replace(
        memory_state(),
        clock=Clock(now=lambda: now, monotonic=lambda: now),
        random=random.Random(seed),
    )
