"""What an explanation says of health: the same that the plan goes by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from support.tables import PROFILE, combo, connection, state, target

from omniroute.routing.availability import GATEWAY
from omniroute.routing.explain import explain
from omniroute.routing.tables import Queue
from omniroute.state.base import on
from omniroute.state.quotas import Allowance

NOW = 1000.0


def told(running: Any, queue: Queue | None = None) -> list[tuple[str, str, float | None, str]]:
    ways = [connection(f"a.{name}", max_concurrent=1 if name == "busy" else None) for name in ("x", "busy", "few")]
    route = combo("c", "priority", target("a/m", *ways))
    gateway: Any = SimpleNamespace(
        routes={"c": route},
        bare={},
        aliases=(),
        prefixes={},
        upstreams={},
        queue=queue,
        revision=SimpleNamespace(digest="d"),
    )
    steps = explain(gateway, running, "c", "openai_chat").steps
    return [(step.connection, step.reason, step.seconds, step.scarce) for step in steps]


def test_each_reason_is_told_and_when_it_ends():
    running = state(now=NOW)
    running.breakers.note(on("a.x", "m"), "rate_limited", NOW, 7.0, PROFILE)
    running.counters.acquire("a.busy")
    running.quotas.learn("a.few", [Allowance("tokens", 1, 100, NOW + 60, NOW + 6)], NOW)
    assert told(running) == [
        ("a.x", "`m` cooling down after rate_limited", 7.0, ""),
        ("a.busy", "busy: 1 requests under way", 1.0, ""),
        ("a.few", "", None, "tokens"),
    ]


def test_a_gateway_that_is_busy_is_told_of_every_candidate():
    running = state(now=NOW)
    running.counters.acquire(GATEWAY)
    steps = told(running, Queue(max_wait=1.0, concurrent=1))
    assert [reason for _, reason, _, _ in steps] == ["the gateway is busy: 1 requests under way"] * 3
