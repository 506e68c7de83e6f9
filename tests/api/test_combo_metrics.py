"""How combos have fared: the same from the file and from memory, and as the requests went."""

from __future__ import annotations

import msgspec
from support.managed import Managed, run
from support.upstream import Asked, Script, Upstream, whole

from omniroute.state.base import Attempt, UsageRow
from omniroute.state.memory import MemoryLedger
from omniroute.state.sqlite import SqliteLedger

CONFIG = """
version: 1
server: {data_dir: "{data_dir}"}
auth: {require_login: false}
providers:
  demo: {}
  lab: {type: openai-compatible, base_url: "URL/v1", connections: {main: {}}}
combos:
  pair: {targets: [lab/one, demo/echo]}
  idle: {strategy: weighted, targets: [demo/echo]}
"""
ASK = {"messages": [{"role": "user", "content": "Hello"}]}


def failing(asked: Asked) -> Script:
    return whole({"error": {"message": "no"}}, 500)


def test_requests_fallbacks_and_each_targets_calls_are_told(tmp_path):
    async def test(one: Managed) -> None:
        for _ in range(3):
            assert (await one("POST", "/v1/chat/completions", {"model": "pair", **ASK})).status == 200
        assert (await one("POST", "/v1/chat/completions", {"model": "demo/echo", **ASK})).status == 200
        one.rows()
        told = (await one("GET", "/api/combos/metrics")).json["metrics"]
        assert told["idle"] == {
            "totalRequests": 0,
            "totalSuccesses": 0,
            "totalFailures": 0,
            "totalFallbacks": 0,
            "successRate": None,
            "fallbackRate": None,
            "avgLatencyMs": None,
            "strategy": "weighted",
            "lastUsedAt": None,
            "byModel": {},
        }
        pair = told["pair"]
        assert (pair["totalRequests"], pair["totalSuccesses"], pair["totalFallbacks"]) == (3, 3, 3)
        assert (pair["successRate"], pair["fallbackRate"]) == (1, 1)
        assert pair["avgLatencyMs"] > 0
        models = pair["byModel"]
        assert (models["lab/one"]["requests"], models["lab/one"]["failures"]) == (3, 3)
        assert models["lab/one"]["lastStatus"] == "server_error"
        assert (models["demo/echo"]["successes"], models["demo/echo"]["lastStatus"]) == (3, "success")
        assert (await one("GET", "/api/combos/pair/metrics")).json == {"comboName": "pair", "metrics": pair}
        assert list((await one("GET", "/api/combos/metrics?combo=pair&range=1h")).json["metrics"]) == ["pair"]
        assert (await one("GET", "/api/combos/nobody/metrics")).status == 404
        assert (await one("GET", "/api/combos/metrics?combo=nobody")).status == 404
        assert (await one("GET", "/api/combos/metrics?range=year")).status == 400
        assert (await one("GET", "/api/combos/metrics?since=1")).status == 400

    with Upstream(failing) as upstream:
        run(tmp_path, CONFIG.replace("URL", upstream.url), test)


def row(number: int, started: float, status: int, *attempts: Attempt, route: str = "pair") -> UsageRow:
    return UsageRow(
        id=f"{int(started * 1000):012x}{number:04x}",
        started=started,
        key="",
        operation="chat",
        format="openai_chat",
        requested=route,
        provider="",
        connection="",
        model="",
        status=status,
        total_ms=10.0 * number,
        attempts=attempts,
        route=route,
    )


def test_the_file_and_the_memory_count_alike(tmp_path):
    good, bad = Attempt("b/y", "b.k", "success", 200, 4.0), Attempt("a/x", "a.k", "timeout", 504, 2.0)
    skipped = Attempt("a/x", "a.k", "skipped", message="cooling")
    base = 1_700_000_000.0
    rows = [
        row(1, base, 200, good),
        row(2, base + 1, 200, bad, good),
        row(3, base + 2, 200, skipped, good),
        row(4, base + 3, 503, bad, bad),
        row(5, base + 4, 499, good),
        row(6, base + 5, 200, good, route="other"),
        row(7, base - 900_000, 200, good),
    ]
    memory, file = MemoryLedger(), SqliteLedger(tmp_path / "x.sqlite")
    for each in rows:
        memory.append(each)
        file.append(each)
    assert file.flush()
    since = base - 10
    found = file.routes(["pair", "none"], since)
    assert found == memory.routes(["pair", "none"], since)
    use = found["pair"]
    assert (use.requests, use.successes, use.failures, use.fallbacks, use.ms) == (5, 3, 1, 2, 150.0)
    assert msgspec.to_builtins(use.targets["a/x"]) == {
        "requests": 3,
        "successes": 0,
        "ms": 6.0,
        "last": base + 3,
        "outcome": "timeout",
    }
    assert file.routes([], since) == {}
    assert file.routes(["pair"], 0.0)["pair"].requests == 6
    file.close()
