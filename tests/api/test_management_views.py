"""The views over a made-up application: what each shows of what is known, and what it refuses."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from fake_application import Application, Browser

from omniroute.api.views.rate_limits import queued
from omniroute.api.views.telemetry import spread
from omniroute.state.base import Attempt, Keeping, Profile, UsageRow, on
from omniroute.state.cache import Written
from omniroute.state.limits import Charge, Limit, Rate
from omniroute.state.quotas import Allowance
from omniroute.state.roster import Request

NOW = 1_700_000_000.0
TRIES = (
    Attempt("openai/gpt-5.4", "openai.spare", "rate_limited", 429, 20.5, "slow down"),
    Attempt("openai/gpt-5.4", "openai.team", "success", 200, 800.25, input=11, output=7, cost=Decimal("0.1")),
)


def row(number: int, ago: float = 0.0, **fields: Any) -> UsageRow:
    started = NOW - ago
    known = {
        "id": f"{int(started * 1000):012x}{number:016x}",
        "request_id": f"req-{number}",
        "started": started,
        "key": "team-a",
        "operation": "chat",
        "format": "anthropic",
        "requested": "coding",
        "provider": "openai",
        "connection": "openai.team",
        "model": "gpt-5.4",
        "route": "coding",
        "status": 200,
        "input": 11,
        "output": 7,
        "cost": Decimal("0.1"),
        "total_ms": 812.5,
        "upstream_ms": 812.0,
        "gateway_ms": 0.5,
        "ttft_ms": 100.0,
        "attempts": TRIES,
    }
    return UsageRow(**{**known, **fields})


@pytest.fixture
def filled(application: Application) -> Application:
    rows = [
        row(1, 90_000, key="", cost=None),
        row(2, 3_000, cache="hit", cost=Decimal(0)),
        row(3, 61, provider="lab", connection="lab.main", model="m", status=503, error="overloaded", cache="miss"),
        row(4, 0, losses=("seed",), session="s"),
    ]
    for each in rows:
        application.ledger.append(each)
    return application


def get(browser: Browser, path: str, query: str = "", status: int = 200) -> Any:
    reply = browser("GET", path, key="reader", query=query.encode())
    assert reply.status == status, reply.body
    return reply.json


# --------------------------------------------------------------------------------------------------------------- usage


def test_the_history_adds_up_by_everything(filled: Application, browser: Browser):
    told = get(browser, "/api/usage/history")
    assert (told["totalRequests"], told["totalPromptTokens"], told["totalCompletionTokens"]) == (4, 44, 28)
    assert (told["totalCost"], told["unpricedRequests"]) == (0.2, 1)
    assert {name: one["requests"] for name, one in told["byProvider"].items()} == {"openai": 3, "lab": 1}
    assert told["byModel"]["gpt-5.4 (openai)"]["rawModel"] == "gpt-5.4"
    assert told["byAccount"]["gpt-5.4 (openai - team)"]["connectionId"] == "openai.team"
    assert told["byApiKey"]["anonymous"]["apiKeyId"] == ""
    assert told["byApiKey"]["team-a"]["lastUsed"] == "2023-11-14T22:13:20Z"
    assert [minute["requests"] for minute in told["last10Minutes"]] == [0] * 8 + [1, 1]


def test_costs_are_numbers_with_every_digit(application: Application, browser: Browser):
    application.ledger.append(row(1, cost=Decimal("0.1")))
    application.ledger.append(row(2, cost=Decimal("0.2")))
    application.ledger.append(row(3, cost=Decimal("1E-20")))
    assert b'"totalCost":0.30000000000000000001,' in browser("GET", "/api/usage/history", key="reader").body


@pytest.mark.parametrize(
    ("query", "requests"),
    [
        ("key=team-a", 3),
        ("key=", 1),
        ("provider=lab", 1),
        ("model=m&key=team-a", 1),
        ("route=other", 0),
        ("connection=openai.team", 3),
        (f"from={NOW - 4000}&to={NOW}", 2),
        ("from=2023-11-14T22:13:20Z", 1),
        ("to=2023-11-14", 1),
    ],
)
def test_the_history_is_of_what_is_asked_for(filled: Application, browser: Browser, query: str, requests: int):
    assert get(browser, "/api/usage/history", query)["totalRequests"] == requests


def test_what_is_under_way_is_shown(filled: Application, browser: Browser):
    filled.state.counters.acquire("openai.team")
    told = get(browser, "/api/usage/history")
    (active,) = told["activeRequests"]
    assert (active["provider"], active["account"], active["count"]) == ("openai", "team", 1)
    assert told["pending"] == {"byAccount": {"openai.team": 1}, "waitingByKey": {}}


def test_charts_have_every_day_and_every_part(filled: Application, browser: Browser):
    told = get(browser, "/api/usage/analytics", "range=7d")
    assert [(day["date"], day["requests"]) for day in told["dailyTrend"]] == [("2023-11-13", 1), ("2023-11-14", 3)]
    assert told["activityMap"] == {"2023-11-13": 18, "2023-11-14": 54}
    summary = told["summary"]
    assert (summary["totalRequests"], summary["successfulRequests"], summary["successRatePct"]) == (4, 3, 75.0)
    assert (summary["uniqueModels"], summary["uniqueApiKeys"], summary["streak"]) == (2, 1, 2)
    assert (summary["fallbackCount"], summary["fallbackRatePct"]) == (4, 100.0)
    assert [(part["name"], part["requests"], part["sharePct"]) for part in told["byModel"]] == [
        ("gpt-5.4", 3, 75.0),
        ("m", 1, 25.0),
    ]
    assert told["modelNames"] == ["gpt-5.4", "m"]
    assert (told["weeklyCounts"], told["weeklyPattern"][1]["day"]) == ([1, 3, 0, 0, 0, 0, 0], "Tue")
    assert {(day["date"], day["model"]): day["requests"] for day in told["dailyByModel"]}["2023-11-14", "m"] == 1


def test_the_chart_of_a_day_has_hours(filled: Application, browser: Browser):
    told = get(browser, "/api/usage/analytics", "range=1d")
    assert [(hour["date"], hour["requests"]) for hour in told["trend"]] == [
        ("2023-11-14T21:00Z", 1),
        ("2023-11-14T22:00Z", 2),
    ]
    assert told["summary"]["totalRequests"] == 3
    assert get(browser, "/api/usage/analytics", "range=all&key=")["summary"]["totalRequests"] == 1
    assert get(browser, "/api/usage/analytics", "range=2d", status=400)["error"]["code"] == "invalid_query"


def test_nothing_was_used_yet(browser: Browser):
    assert get(browser, "/api/usage/history")["totalRequests"] == 0
    told = get(browser, "/api/usage/analytics")
    assert (told["dailyTrend"], told["summary"]["firstRequest"], told["summary"]["streak"]) == ([], None, 0)
    assert get(browser, "/api/usage/logs") == {"logs": [], "nextCursor": None}
    assert get(browser, "/api/telemetry/summary")["p50"] is None


def test_a_connection_shows_its_usage_and_what_its_provider_told(filled: Application, browser: Browser):
    now = filled.time.monotonic
    filled.state.quotas.learn("openai.team", [Allowance("requests", 40, 100, now + 20, now + 2)], now)
    filled.state.quotas.learn(on("openai.team", "gpt-5.4"), [Allowance("tokens", 5, None, now + 20, now + 2)], now)
    told = get(browser, "/api/usage/openai.team")
    assert (told["provider"], told["name"], told["usage"]["requests"]) == ("openai", "team", 3)
    assert told["quotas"]["requests"] == {
        "model": "",
        "unit": "requests",
        "used": 60.0,
        "total": 100.0,
        "remaining": 40.0,
        "resetAt": "2023-11-14T22:13:40Z",
        "unlimited": False,
    }
    assert told["quotas"]["gpt-5.4 tokens"]["used"] is None
    silent = get(browser, "/api/usage/lab.main")
    assert (silent["quotas"], bool(silent["message"])) == ({}, True)
    assert get(browser, "/api/usage/lab.other", status=404)["error"]["code"] == "connection_not_found"


# ------------------------------------------------------------------------------------------------------------- requests


@pytest.mark.parametrize("path", ["/api/usage/logs", "/api/usage/request-logs"])
def test_requests_come_in_pages_the_newest_first(filled: Application, browser: Browser, path: str):
    seen: list[str] = []
    query = "limit=3"
    while True:
        page = get(browser, path, query)
        seen += [one["requestId"] for one in page["logs"]]
        if page["nextCursor"] is None:
            break
        query = f"limit=3&cursor={page['nextCursor']}"
    assert seen == ["req-4", "req-3", "req-2", "req-1"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status=503", [3]),
        ("status=5xx", [3]),
        ("status=error&key=team-a", [3]),
        ("status=ok", [4, 2, 1]),
        ("apiKey=&combo=coding", [1]),
        ("account=lab.main", [3]),
        ("requestId=req-2", [2]),
        ("session=s", [4]),
        ("requested=coding&model=m", [3]),
        ("operation=images", []),
        (f"from={NOW - 100}&to={NOW}", [3]),
    ],
)
def test_requests_are_found_by_what_they_are(filled: Application, browser: Browser, query: str, found: list[int]):
    assert [one["requestId"] for one in get(browser, "/api/usage/logs", query)["logs"]] == [
        f"req-{one}" for one in found
    ]


@pytest.mark.parametrize(
    "query", ["status=abc", "status=6xx", "cursor=../x", "limit=0", "limit=1001", "format=xml", "q=1"]
)
def test_a_search_that_means_nothing_is_refused(browser: Browser, query: str):
    assert get(browser, "/api/usage/logs", query, status=400)["error"]["code"] == "invalid_query"


def test_a_request_shows_each_try(filled: Application, browser: Browser):
    newest = get(browser, "/api/usage/logs", "limit=1")["logs"][0]
    assert get(browser, f"/api/usage/request-logs/{newest['id']}") == newest
    first, second = newest["attempts"]
    assert (first["outcome"], first["status"], first["latencyMs"], first["message"]) == (
        "rate_limited",
        429,
        20.5,
        "slow down",
    )
    assert (second["connectionId"], second["inputTokens"], second["cost"]) == ("openai.team", 11, 0.1)
    assert (newest["losses"], newest["tokens"]["in"], newest["comboName"]) == (["seed"], 11, "coding")
    assert get(browser, "/api/usage/request-logs/nothing", status=404)["error"]["code"] == "log_not_found"


def test_requests_are_lines_where_text_is_asked_for(filled: Application, browser: Browser):
    assert get(browser, "/api/usage/logs", "format=text&limit=2") == [
        "2023-11-14T22:13:20.000Z | gpt-5.4 | OPENAI | team | 11 | 7 | 200 OK",
        "2023-11-14T22:12:19.000Z | m | LAB | main | 11 | 7 | FAILED 503",
    ]


# ------------------------------------------------------------------------------------------------------------ telemetry


def test_percentiles_are_those_of_requests(filled: Application, browser: Browser):
    told = get(browser, "/api/telemetry/summary", "windowMs=120000")
    assert (told["count"], told["p50"], told["p99"], told["complete"]) == (2, 812.5, 812.5, True)
    assert told["phaseBreakdown"]["gateway"]["p95"] == 0.5
    assert told["phaseBreakdown"]["upstream"]["avg"] == 812.0
    assert told["phaseBreakdown"]["firstByte"]["count"] == 2
    assert {name: one["count"] for name, one in told["providers"].items()} == {"lab": 1, "openai": 1}
    assert told["errorRate"] == 0.5


def test_a_long_request_counts_when_it_ends(application: Application, browser: Browser):
    application.ledger.append(row(1, 900, total_ms=895_000.0))
    application.ledger.append(row(2, 900, total_ms=1_000.0))
    assert get(browser, "/api/telemetry/summary", "windowMs=10000")["count"] == 1


def test_the_spread_is_by_nearest_rank():
    durations = [float(number) for number in range(1, 101)]
    random.Random(1).shuffle(durations)
    told = spread(durations)
    assert (told.p50, told.p95, told.p99, told.avg) == (50.0, 95.0, 99.0, 50.5)
    assert (spread([3.0]).p50, spread([3.0]).p99) == (3.0, 3.0)
    assert spread([1.0, 2.0]).p50 == 1.0


# ------------------------------------------------------------------------------------------------------ sessions, limits


def test_sessions_are_shown_by_their_digest(application: Application, browser: Browser):
    for number in range(3):
        request = Request("claude-cli/2", "openai/gpt-5.4", "openai.team", 10, Decimal("0.1"))
        application.state.roster.note("team-a" if number else "", f"secret-{number}", request, NOW - number, 1800.0)
    told = get(browser, "/api/sessions", "limit=2")
    assert (told["count"], len(told["sessions"]), told["byApiKey"]) == (3, 2, {"team-a": 2, "anonymous": 1})
    assert b"secret" not in browser("GET", "/api/sessions", key="reader").body
    (one,) = get(browser, "/api/sessions", "key=")["sessions"]
    assert (one["requestCount"], one["tokens"], one["cost"], one["model"]) == (1, 10, 0.1, "openai/gpt-5.4")
    assert get(browser, "/api/sessions", "offset=3")["sessions"] == []


@pytest.mark.parametrize("path", ["/api/rate-limits", "/api/rate-limit"])
def test_limits_are_shown_with_what_is_left(application: Application, browser: Browser, path: str):
    state, now = application.state, application.time.monotonic
    limit = Limit(name="standard", per="key", requests=Rate(60, 60_000_000_000), concurrent=2)
    state.limits.take([Charge(limit, "team-a")], now)
    state.breakers.note(on("lab.main", "m"), "rate_limited", now, 20.0, Profile())
    state.quotas.learn("openai.team", [Allowance("tokens", 5, 100, now + 20, now + 2)], now)
    state.counters.acquire("openai.team")
    told = get(browser, path)
    stands = {one["measure"]: one["remaining"] for one in told["limits"]}
    assert (told["limits"][0]["subject"], stands) == ("team-a", {"requests": 59, "concurrent": 1})
    (lockout,) = told["lockouts"]
    assert (lockout["connectionId"], lockout["model"], lockout["remainingMs"]) == ("lab.main", "m", 20_000)
    team = next(one for one in told["connections"] if one["connectionId"] == "openai.team")
    assert (team["active"], team["learned"][0]["remaining"], team["rateLimitProtection"]) == (1, 5.0, True)
    assert told["overview"]["openai:team"]["running"] == 1
    assert told["configuration"] == {"limits": [], "queue": {"maxWaitSeconds": None, "concurrent": None, "waiting": {}}}


# ---------------------------------------------------------------------------------------------------------------- cache

KEEPING = Keeping(ttl=60.0, entries=10, bytes=10_000)


def remember(application: Application, number: int, model: str = "openai/gpt-5.4") -> None:
    said = {
        "target": model,
        "message": {"text": "a prompt phrase", "usage": {"input": 11, "output": number}},
        "losses": [],
    }
    item = Written(b"out.", b"%032d" % number, msgspec.json.encode(said))
    application.state.cache.put(b"%032d" % number, item, NOW, KEEPING)


def test_caches_tell_what_they_saved(filled: Application, browser: Browser):
    remember(filled, 1)
    told = get(browser, "/api/cache")
    one = told["semanticCache"]
    assert (one["memorySize"], one["memoryEntries"], one["dbSize"]) == (1, 1, 0)
    assert (one["hits"], one["misses"], one["hitRate"], one["hitRatePercent"]) == (1, 1, 0.5, 50.0)
    assert (one["tokensSaved"], one["costSaved"], one["enabled"]) == (18, 0, False)
    assert told["idempotency"] == {"activeKeys": 0, "windowMs": 0}
    assert get(browser, "/api/cache", f"from={NOW - 100}")["semanticCache"]["hits"] == 0
    assert get(browser, "/api/cache/stats")["hitRate"] == 0.5


def test_entries_are_shown_without_what_they_say(application: Application, browser: Browser):
    for number in range(3):
        remember(application, number, "lab/m" if number == 2 else "openai/gpt-5.4")
    told = get(browser, "/api/cache/entries", "limit=2")
    assert [one["outputTokens"] for one in told["entries"]] == [2, 1]
    assert told["pagination"] == {"page": 1, "limit": 2, "total": 3, "totalPages": 2}
    assert [one["outputTokens"] for one in get(browser, "/api/cache/entries", "limit=2&page=2")["entries"]] == [0]
    assert get(browser, "/api/cache/entries", "search=gpt")["pagination"]["total"] == 2
    assert b"phrase" not in browser("GET", "/api/cache/entries", key="reader").body


@pytest.mark.parametrize(
    ("path", "query", "left"),
    [
        ("/api/cache", "", []),
        ("/api/cache/stats", "", []),
        ("/api/cache/entries", "model=lab/m", [0, 1]),
        ("/api/cache/entries", f"signature={(b'%032d' % 1).hex()}", [0, 2]),
        ("/api/cache", "model=nothing", [0, 1, 2]),
    ],
)
def test_answers_are_let_go_of(application: Application, browser: Browser, path: str, query: str, left: list[int]):
    for number in range(3):
        remember(application, number, "lab/m" if number == 2 else "openai/gpt-5.4")
    reply = browser("DELETE", path, key="writer", query=query.encode())
    assert (reply.status, reply.json["cleared"]) == (200, 3 - len(left))
    assert [int(entry.name) for entry in application.state.cache.entries()] == left
    (noted,) = get(browser, "/api/compliance/audit-log", "action=cache.clear")
    assert noted["details"]["cleared"] == str(3 - len(left))


# --------------------------------------------------------------------------------------------------------------- models


def test_the_catalogue_has_what_is_shipped_and_what_is_configured(browser: Browser):
    told = get(browser, "/api/models/catalog")
    assert told["catalog"]["openai"]["active"] is True
    assert told["catalog"]["groq"]["active"] is False
    model = next(one for one in told["catalog"]["openai"]["models"] if one["type"] == "embedding")
    assert (model["custom"], model["id"]) == (False, f"openai/{model['name']}")
    assert told["catalogVersion"]
    assert set(get(browser, "/api/models/catalog", "active=true")["catalog"]) == {"openai", "lab"}
    assert set(get(browser, "/api/models/catalog", "provider=groq")["catalog"]) == {"groq"}
    assert get(browser, "/api/models/catalog", "provider=x", status=404)["error"]["code"] == "provider_not_found"


def post(browser: Browser, method: str, body: dict[str, str], status: int = 200) -> Any:
    reply = browser(method, "/api/models/availability", msgspec.json.encode(body), key="writer")
    assert reply.status == status, reply.body
    return reply.json


@pytest.mark.parametrize("asked", [{"model": "lab/m"}, {"model": "m", "provider": "lab", "action": "check"}])
def test_a_model_is_unavailable_as_long_as_all_connections_are(
    application: Application, browser: Browser, asked: dict[str, str]
):
    assert post(browser, "POST", asked)["available"] is True
    application.state.breakers.note(on("lab.main", "m"), "rate_limited", application.time.monotonic, 20.0, Profile())
    told = post(browser, "POST", asked)
    (target,) = told["targets"]
    assert (told["available"], target["connections"]) == (False, {"total": 1, "available": 0})
    assert (target["cooldownUntil"], target["remainingMs"]) == ("2023-11-14T22:13:40Z", 20_000)
    assert "rate_limited" in target["reason"]


@pytest.mark.parametrize(
    ("method", "asked", "cleared"),
    [
        ("DELETE", {"provider": "openai", "model": "m"}, ["openai.team|m"]),
        ("POST", {"provider": "openai", "model": "openai/m", "action": "clear"}, ["openai.team|m"]),
        ("POST", {"provider": "openai", "model": "other"}, []),
        ("DELETE", {"provider": "openai"}, ["openai.team|m", "openai.team|o"]),
    ],
)
def test_what_is_held_against_a_model_is_forgotten(
    application: Application, browser: Browser, method: str, asked: dict[str, str], cleared: list[str]
):
    state, now = application.state, application.time.monotonic
    state.breakers.note(on("openai.team", "m"), "rate_limited", now, 20.0, Profile())
    state.quotas.learn(on("openai.team", "o"), [Allowance("tokens", 0, 100, now + 20, now + 2)], now)
    told = post(browser, method, asked)
    assert (told["removed"], told["cleared"]) == (bool(cleared), cleared)
    left = {*state.breakers.known(now), *state.quotas.known(now)}
    assert left == {"openai.team|m", "openai.team|o"} - set(cleared)
    assert get(browser, "/api/compliance/audit-log")[0]["action"] == "availability.clear"


@pytest.mark.parametrize(
    ("method", "asked", "status", "code"),
    [
        ("POST", {}, 400, "invalid_body"),
        ("POST", {"model": "nothing-like-it"}, 404, "model_not_found"),
        ("DELETE", {"model": "m"}, 400, "invalid_body"),
        ("DELETE", {"provider": "nobody"}, 404, "provider_not_found"),
        ("POST", {"model": "lab/m", "action": "burn"}, 400, "invalid_body"),
    ],
)
def test_what_makes_no_sense_is_refused(browser: Browser, method: str, asked: dict[str, str], status: int, code: str):
    assert post(browser, method, asked, status)["error"]["code"] == code


def test_a_request_that_waits_for_one_of_two_connections_is_queued_at_both():
    groups = {
        frozenset({("openai/a", "openai.team"), ("openai/b", "openai.team"), ("lab/m", "lab.main")}): 2,
        frozenset({("lab/m", "lab.main")}): 1,
    }
    assert queued(groups) == {"openai.team": 2, "lab.main": 3}
