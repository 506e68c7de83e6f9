"""The views of a real process: what clients did is what an administrator sees, to the digit, also after a kill."""

from __future__ import annotations

import json
import signal
import time
import urllib.error
import urllib.request
from decimal import Decimal
from hashlib import sha256
from typing import Any

from support.gateway import Gateway

ADMIN, TEAM = "sk-omni-of-the-administrator", "sk-omni-of-the-team"
CONFIG = f"""\
version: 1
server: {{data_dir: "{{data_dir}}"}}
providers: {{demo: {{}}}}
cache: {{exact: {{enabled: true}}}}
combos: {{coding: {{targets: [demo/echo]}}}}
pricing: {{demo/echo: {{input: 3, output: 15}}}}
limits: {{standard: {{per: key, requests: 100/1m, always: true}}}}
keys:
  admin: {{digest: "sha256:{sha256(ADMIN.encode()).hexdigest()}", roles: [admin.write]}}
  team: {{digest: "sha256:{sha256(TEAM.encode()).hexdigest()}"}}
"""


def call(
    gateway: Gateway, path: str, body: Any = None, key: str = ADMIN, method: str = "", **headers: str
) -> tuple[int, Any]:
    request = urllib.request.Request(
        gateway.url + path,
        method=method or ("GET" if body is None else "POST"),
        headers={"authorization": f"Bearer {key}", "content-type": "application/json", **headers},
        data=None if body is None else json.dumps(body).encode(),
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read(), parse_float=Decimal)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def seen(gateway: Gateway, requests: int) -> Any:
    """The history, once it has so many requests."""
    deadline = time.monotonic() + 10
    while (told := call(gateway, "/api/usage/history")[1])["totalRequests"] < requests:
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


def chat(gateway: Gateway, text: str, model: str = "coding", **headers: str) -> int:
    body = {"model": model, "temperature": 0, "messages": [{"role": "user", "content": text}]}
    return call(gateway, "/v1/chat/completions", body, TEAM, **headers)[0]


def test_what_clients_did_is_what_is_shown():
    with Gateway(CONFIG) as gateway:
        assert chat(gateway, "a prompt phrase", **{"x-session-id": "mine"}) == 200
        assert chat(gateway, "a prompt phrase") == 200  # from the cache
        assert chat(gateway, "hi", model="demo/nothing-like-it", **{"x-request-id": "asked-for"}) >= 400
        told = seen(gateway, 3)
        _, logs = call(gateway, "/api/usage/request-logs?key=team&limit=2")
        _, more = call(gateway, f"/api/usage/request-logs?key=team&limit=2&cursor={logs['nextCursor']}")
        rows = [*logs["logs"], *more["logs"]]
        assert len(rows) == 3
        assert told["totalCost"] == sum(row["cost"] or 0 for row in rows)
        assert told["totalPromptTokens"] == sum(row["tokens"]["in"] for row in rows)
        assert told["byApiKey"]["team"]["requests"] == 3
        (first,) = [row for row in rows if row["cache"] == "miss" and row["requestedModel"] == "coding"]
        assert first["attempts"][0]["outcome"] == "success"
        assert call(gateway, f"/api/usage/request-logs/{first['id']}")[1] == first
        assert (
            call(gateway, "/api/usage/logs?requestId=asked-for")[1]["logs"][0]["requestedModel"]
            == "demo/nothing-like-it"
        )

        _, cache = call(gateway, "/api/cache")
        assert (cache["semanticCache"]["hits"], cache["semanticCache"]["enabled"]) == (1, True)
        assert cache["semanticCache"]["tokensSaved"] > 0
        assert cache["semanticCache"]["costSaved"] > 0
        _, entries = call(gateway, "/api/cache/entries?model=demo/echo")
        assert entries["pagination"]["total"] >= 1
        assert call(gateway, "/api/cache?model=demo/echo", method="DELETE")[1]["cleared"] >= 1
        assert call(gateway, "/api/cache/entries?model=demo/echo")[1]["pagination"]["total"] == 0

        _, telemetry = call(gateway, "/api/telemetry/summary?windowMs=60000")
        assert telemetry["count"] == 3
        assert telemetry["phaseBreakdown"]["gateway"]["p99"] >= telemetry["phaseBreakdown"]["gateway"]["p50"] > 0
        _, sessions = call(gateway, "/api/sessions")
        assert [(one["key"], one["model"]) for one in sessions["sessions"]] == [("team", "demo/echo")]
        _, limits = call(gateway, "/api/rate-limits")
        (left,) = [one for one in limits["limits"] if one["subject"] == "team"]
        assert (left["limit"], left["measure"], left["amount"]) == ("standard", "requests", 100)
        assert limits["configuration"]["limits"][0]["requests"] == {"amount": 100, "seconds": 60}
        _, models = call(gateway, "/api/models/availability", {"model": "coding"})
        assert (models["available"], models["targets"][0]["provider"]) == (True, "demo")
        _, catalogue = call(gateway, "/api/models/catalog?active=true")
        assert {"demo", "combo"} <= set(catalogue["catalog"])
        _, health = call(gateway, "/api/monitoring/health")
        assert (health["status"], health["storage"]["audit"]["ok"]) == ("healthy", True)

        shown = json.dumps([told, rows, entries, sessions, telemetry, limits, health], default=str)
        assert "phrase" not in shown
        assert ADMIN not in shown
        assert TEAM not in shown
        gateway.stop(signal.SIGKILL)
        gateway.start()
        after = seen(gateway, 3)
        assert {name: after[name] for name in ("totalCost", "byModel", "byApiKey")} == {
            name: told[name] for name in ("totalCost", "byModel", "byApiKey")
        }
        _, chart = call(gateway, "/api/usage/analytics?range=1d")
        assert chart["summary"]["totalCost"] == told["totalCost"]
        assert sum(hour["requests"] for hour in chart["trend"]) == 3
