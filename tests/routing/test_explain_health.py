"""What an explanation says of health: the same that the plan goes by."""

from __future__ import annotations

from pathlib import Path

from support.tables import PROFILE, state

from omniroute import catalog
from omniroute.config import bundle
from omniroute.config.compile import compile_gateway
from omniroute.routing.availability import GATEWAY
from omniroute.routing.explain import explain
from omniroute.state.base import State, on
from omniroute.state.quotas import Allowance

NOW = 1000.0
CONFIG = """\
version: 1
providers:
  a:
    type: openai-compatible
    base_url: http://127.0.0.1:1/v1
    connections: {x: {}, busy: {max_concurrent: 1}, few: {}}
    models: {m: {}}
resilience: {queue: {concurrent: 1}}
"""


def told(running: State, path: Path) -> list[tuple[str, str, float | None, str]]:
    (path / "omniroute.yaml").write_text(CONFIG)
    known = catalog.load()
    gateway = compile_gateway(bundle.read(path / "omniroute.yaml", known), known)
    steps = explain(gateway, running, "a/m", "openai_chat").steps
    return [(step.connection, step.reason, step.seconds, step.scarce) for step in steps]


def test_each_reason_is_told_and_when_it_ends(tmp_path: Path):
    running = state(now=NOW)
    running.breakers.note(on("a.x", "m"), "rate_limited", NOW, 7.0, PROFILE)
    running.counters.acquire("a.busy")
    running.quotas.learn("a.few", [Allowance("tokens", 1, 100, NOW + 60, NOW + 6)], NOW)
    assert told(running, tmp_path) == [
        ("a.x", "`m` cooling down after rate_limited", 7.0, ""),
        ("a.busy", "busy: 1 requests under way", 1.0, ""),
        ("a.few", "", None, "tokens"),
    ]


def test_a_gateway_that_is_busy_is_told_of_every_candidate(tmp_path: Path):
    running = state(now=NOW)
    running.counters.acquire(GATEWAY)
    reasons = [reason for _, reason, _, _ in told(running, tmp_path)]
    assert reasons == ["the gateway is busy: 1 requests under way"] * 3
