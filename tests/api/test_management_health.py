from __future__ import annotations

import pytest
from fake_application import PROBLEM, Application, Browser

from omniroute.state.base import LedgerHealth, Profile, on
from omniroute.state.quotas import Allowance

SICK = LedgerHealth(ok=False, reason="disk full: /var/lib/omniroute", pending=7, written=3, lost=1)


def break_down(application: Application, *connections: str) -> None:
    now = application.time.monotonic
    for connection in connections:
        application.state.breakers.note(connection, "rate_limited", now, 20.0, Profile())


@pytest.mark.parametrize("path", ["/health", "/livez"])
def test_alive_is_told_to_anyone_whatever_else_is_wrong(application: Application, browser: Browser, path: str):
    application.draining, application.ledger.told = True, SICK
    reply = browser("GET", path)
    assert (reply.status, reply.json) == (200, {"status": "ok"})


def test_ready_ends_with_draining_and_not_with_the_ledger(application: Application, browser: Browser):
    application.ledger.told = SICK
    assert (browser("GET", "/readyz").status, browser("GET", "/readyz").json) == (200, {"status": "ready"})
    application.draining = True
    assert (browser("GET", "/readyz").status, browser("GET", "/readyz").json) == (503, {"status": "draining"})


@pytest.mark.parametrize("who", [{}, {"key": "client"}, {"cookie": "stale"}])
def test_strangers_learn_one_word(application: Application, browser: Browser, who: dict[str, str]):
    assert browser("GET", "/api/monitoring/health", **who).json == {"status": "healthy"}
    application.ledger.told = SICK
    assert browser("GET", "/api/monitoring/health", **who).json == {"status": "degraded"}


def test_all_that_is_well_is_healthy(browser: Browser):
    told = browser("GET", "/api/monitoring/health", key="reader").json
    assert told["status"] == "healthy"
    assert told["providerSummary"] == {
        "catalogCount": 35,
        "configuredCount": 2,
        "activeCount": 2,
        "monitoredCount": 2,
    }
    assert set(told["providerHealth"]) == {"openai.team", "openai.spare", "lab.main"}
    assert told["providerHealth"]["lab.main"]["available"] is True
    well = {"ok": True, "reason": ""}
    rows = {"pending": 0, "written": 0, "lost": 0}
    assert told["storage"] == {**well, **rows, "ledger": well, "audit": well, "cache": well, "backups": well}
    assert told["circuitBreakers"] == {"open": 0, "halfOpen": 0, "closed": 3, "total": 3}
    assert (told["config"]["revision"], told["config"]["status"]) == ("0123456789ab", "synced")


def test_a_connection_that_cools_down_degrades_and_says_until_when(application: Application, browser: Browser):
    break_down(application, "lab.main")
    told = browser("GET", "/api/monitoring/health", key="reader").json
    assert told["status"] == "degraded"
    assert told["providerSummary"]["activeCount"] == 1
    health = told["providerHealth"]["lab.main"]
    assert (health["provider"], health["available"], health["kind"]) == ("lab", False, "rate_limited")
    assert health["cooldownUntil"] == "2023-11-14T22:13:40Z"


def test_nothing_left_to_call_is_unhealthy(application: Application, browser: Browser):
    break_down(application, "lab.main", "openai.team", "openai.spare")
    assert browser("GET", "/api/monitoring/health").json == {"status": "unhealthy"}
    assert browser("GET", "/api/monitoring/health", key="reader").json["providerSummary"]["activeCount"] == 0


def test_a_ledger_that_cannot_write_degrades(application: Application, browser: Browser):
    application.ledger.told = SICK
    told = browser("GET", "/api/monitoring/health", key="reader").json
    assert (told["status"], told["storage"]["lost"], told["storage"]["reason"]) == ("degraded", 1, SICK.reason)


@pytest.mark.parametrize("part", ["audit", "cache"])
def test_an_audit_log_or_a_cache_that_cannot_write_degrades(application: Application, browser: Browser, part: str):
    kept = getattr(application.state, part)
    kept.health = lambda: "no space left"
    told = browser("GET", "/api/monitoring/health", key="reader").json
    assert told["status"] == "degraded"
    assert told["storage"][part] == {"ok": False, "reason": "no space left"}
    assert (told["storage"]["ok"], told["storage"]["reason"]) == (False, "no space left")


def test_files_that_do_not_run_degrade_and_are_shown(application: Application, browser: Browser):
    application.live.problems = (PROBLEM,)
    told = browser("GET", "/api/monitoring/health", key="reader").json
    assert (told["status"], told["config"]["status"]) == ("degraded", "failed")
    assert told["config"]["problems"][0]["code"] == "OR103"


def test_draining_degrades(application: Application, browser: Browser):
    application.draining = True
    assert browser("GET", "/api/monitoring/health").json == {"status": "degraded"}


def test_models_limits_and_who_waits_are_shown(application: Application, browser: Browser):
    state, now = application.state, application.time.monotonic
    state.breakers.note(on("lab.main", "m"), "rate_limited", now, 20.0, Profile())
    state.quotas.learn(on("lab.main", "m"), [Allowance("tokens", 5, 100, now + 20, now + 2)], now)
    state.counters.acquire("lab.main")
    told = browser("GET", "/api/monitoring/health", key="reader").json
    shown = told["providerHealth"]["lab.main"]
    assert (told["status"], told["waiting"], shown["available"], shown["inFlight"]) == ("healthy", {}, True, 1)
    assert shown["models"] == {"m": "cooling down after rate_limited"}
    limit = {"model": "m", "unit": "tokens", "remaining": 5.0, "limit": 100.0, "resetAt": "2023-11-14T22:13:40Z"}
    assert shown["remaining"] == [limit]
