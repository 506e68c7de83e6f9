"""What administrators and the files do is written down, can be looked through, and cannot be changed unseen."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from hashlib import sha256
from typing import Any

import pytest
from fake_application import PROBLEM, Application, Browser
from support.eventually import until
from support.gateway import Gateway, environment

from omniroute.state.audit import Entry

KEY = "sk-omni-of-the-administrator"
PASSWORD = "a first password"
CONFIG = f"""\
version: 1
server: {{data_dir: "{{data_dir}}"}}
providers: {{demo: {{}}}}
keys: {{admin: {{digest: "sha256:{sha256(KEY.encode()).hexdigest()}", roles: [client, admin.write]}}}}
"""


def filled(application: Application) -> None:
    for number in range(5):
        application.state.audit.append(
            Entry(at=1000.0 + number, actor="w", via="key", action=f"combos.{'update' if number % 2 else 'delete'}")
        )


def shown(browser: Browser, query: bytes) -> list[int]:
    reply = browser("GET", "/api/compliance/audit-log", key="reader", query=query)
    assert reply.status == 200
    return [row["id"] for row in reply.json]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        (b"", [5, 4, 3, 2, 1]),
        (b"limit=2&offset=1", [4, 3]),
        (b"action=combos.update", [4, 2]),
        (b"action=combos.", [5, 4, 3, 2, 1]),
        (b"actor=nobody", []),
        (b"from=1002&to=1004", [4, 3]),
        (b"since=1970-01-01T00:16:42Z&until=1970-01-01T01:16:44%2B01:00", [4, 3]),
        (b"from=1970-01-01T01:16:44+01:00", [5]),
        (b"from=2100-01-01", []),
    ],
)
def test_a_query_shows_what_fits_it_the_newest_first(
    application: Application, browser: Browser, query: bytes, rows: list[int]
):
    filled(application)
    assert shown(browser, query) == rows


@pytest.mark.parametrize(
    "query",
    [
        b"limit=0",
        b"limit=1001",
        b"limit=x",
        b"offset=-1",
        b"from=yesterday",
        b"from=nan",
        b"from=-5",
        b"to=1e99",
        b"from=2&to=1",
        b"acter=w",
        b"actor=a&actor=b",
        b"from=0001-01-01T00:00:00%2B23:59",
        b"to=1700000000000",
    ],
)
def test_a_query_that_means_nothing_is_refused(browser: Browser, query: bytes):
    reply = browser("GET", "/api/compliance/audit-log", key="reader", query=query)
    assert (reply.status, reply.code) == (400, "invalid_query")


def test_a_row_says_who_what_when_in_both_spellings(application: Application, browser: Browser):
    browser.login("wrong")
    browser.logged_in()
    browser("POST", "/api/config/reload", b"{}", key="writer", x_request_id="mine")
    reply = browser("GET", "/api/compliance/audit-log", key="reader", query=b"limit=2")
    assert reply.headers["x-total-count"] == "3"
    reload, login = reply.json
    assert (reload["actor"], reload["via"], reload["action"], reload["outcome"]) == (
        "w",
        "key",
        "config.reload",
        "done",
    )
    assert (reload["requestId"], reload["request_id"], reload["revision"]) == ("mine", "mine", "0123456789ab")
    assert reload["timestamp"] == reload["createdAt"] == "2023-11-14T22:13:20Z"
    assert (login["actor"], login["resourceType"], login["status"], login["ip"]) == (
        "session",
        "auth",
        "success",
        "192.0.2.1",
    )


def test_logins_that_fail_and_logouts_are_written_down(application: Application, browser: Browser):
    browser.login("wrong")
    browser("POST", "/api/auth/logout", **browser.logged_in())
    browser("POST", "/api/auth/logout")
    rows = browser("GET", "/api/compliance/audit-log", key="reader").json
    told = [(row["action"], row["outcome"], row["actor"]) for row in rows]
    assert told == [("auth.logout", "done", "session"), ("auth.login", "done", "session"), ("auth.login", "failed", "")]


def test_a_reload_that_fails_is_written_down_with_the_problem(application: Application, browser: Browser):
    application.files = [PROBLEM]
    browser("POST", "/api/config/reload", key="writer")
    (row,) = browser("GET", "/api/compliance/audit-log", key="reader").json
    assert (row["outcome"], row["details"]) == ("failed", {"problem": "OR103 no such provider"})


def test_a_chain_that_holds_says_so(application: Application, browser: Browser):
    filled(application)
    reply = browser("GET", "/api/compliance/verify", key="reader")
    assert reply.json == {"ok": True, "rows": 5, "brokenAt": None, "reason": ""}


# ------------------------------------------------------------------------------------------------- the real application


def call(gateway: Gateway, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    request = urllib.request.Request(
        gateway.url + path,
        method=method,
        headers={"authorization": f"Bearer {KEY}", "content-type": "application/json"},
        data=None if body is None else json.dumps(body).encode(),
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def actions(gateway: Gateway) -> list[tuple[str, str, str]]:
    _, rows = call(gateway, "GET", "/api/compliance/audit-log")
    return [(row["action"], row["actor"], row["outcome"]) for row in reversed(rows)]


def verified(gateway: Gateway) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "omniroute", "audit", "verify", "--data-dir", str(gateway.ledger.parent)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False, timeout=60)


def test_a_process_writes_down_its_life_and_finds_what_was_changed_behind_its_back():
    with Gateway(CONFIG, INITIAL_PASSWORD=PASSWORD) as gateway:
        assert call(gateway, "POST", "/api/auth/login", {"password": "wrong"})[0] == 401
        assert call(gateway, "POST", "/api/auth/login", {"password": PASSWORD})[0] == 200
        gateway.write(CONFIG + "aliases: {a: demo/echo}\n")
        until(lambda: ("config.reload", "file", "done") in actions(gateway))
        gateway.write(CONFIG + "aliases: {a: dmo/echo}\n")
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: any(outcome == "failed" and action == "config.reload" for action, _, outcome in actions(gateway)))
        assert call(gateway, "POST", "/api/config/reload", {})[0] == 422
        told = actions(gateway)
        assert told[0] == ("process.start", "omniroute", "done")
        assert ("auth.login", "admin", "failed") in told
        assert ("auth.login", "session", "done") in told
        assert told[-1] == ("config.reload", "admin", "failed")
        assert KEY not in gateway.ledger.read_bytes().decode("latin-1")
        gateway.stop()
        ended = verified(gateway)
        assert (ended.returncode, ended.stdout) == (0, f"the audit log is whole: {len(told) + 1} rows\n")

        with closing(sqlite3.connect(gateway.ledger, isolation_level=None)) as database:
            database.execute("UPDATE audit SET entry = replace(entry, 'failed', 'done') WHERE number = 2")
        ended = verified(gateway)
        assert ended.returncode == 1
        assert "broken at row 2" in ended.stdout
        gateway.write(CONFIG)
        gateway.start()
        until(lambda: "the audit log is broken at row 2" in gateway.said())
        code, verdict = call(gateway, "GET", "/api/compliance/verify")
        assert (code, verdict["ok"], verdict["brokenAt"]) == (200, False, 2)
        assert call(gateway, "GET", "/v1/models")[0] == 200
