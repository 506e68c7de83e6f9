"""Every row × every method × everyone who may come: the answer is what the table says."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import Any

import msgspec
import pytest
from fake_application import PASSWORD, Application, Browser

from omniroute.api import ENDPOINTS
from omniroute.api.access import SUFFICIENT
from omniroute.api.endpoint import Answer, Endpoint

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
ROLES = {
    "nobody": frozenset(),
    "client": frozenset({"client"}),
    "other": frozenset({"client"}),
    "reader": frozenset({"admin.read"}),
    "writer": frozenset({"admin.write"}),
    "session": frozenset({"admin.read", "admin.write"}),
    "session without its word": frozenset({"admin.read", "admin.write"}),
    "closed session": frozenset(),
}
STRANGERS = ("revoked", "expired")


async def nothing(_plane: Any, _request: Any) -> Answer:
    return Answer({})


PATHS = sorted({row.path for row in ENDPOINTS})
GUARDS = [
    row if row.path.startswith("/api/auth/") else msgspec.structs.replace(row, serve=nothing, spooled=None)
    for row in ENDPOINTS
]
"""The rows as they stand, with nothing behind them: what they guard must not be done a thousand times."""
BODIES = {"/api/auth/login": msgspec.json.encode({"password": PASSWORD})}


def row_of(path: str, method: str) -> Endpoint | None:
    method = "GET" if method == "HEAD" else method
    return next((row for row in ENDPOINTS if (row.path, row.method) == (path, method)), None)


def one_of(path: str) -> str:
    """A path that fits the row's."""
    return path.replace("{", "some-").replace("}", "")


def expected(path: str, method: str, who: str) -> int:
    row = row_of(path, method)
    if row is None:
        return 405
    if not row.guarded:
        return 200
    if who in STRANGERS:
        return 401
    forgot = who == "session without its word" and method in WRITES
    if row.access == "public":
        return 403 if forgot and path == "/api/auth/logout" else 200
    if not ROLES[who]:
        return 401
    return 200 if ROLES[who] & SUFFICIENT[row.access] and not forgot else 403


async def credentials(browser: Browser, who: str) -> dict[str, Any]:
    if who == "nobody":
        return {}
    if "session" not in who:
        return {"key": who}
    reply = await browser.send("POST", "/api/auth/login", BODIES["/api/auth/login"])
    page = {"cookie": reply.token, "x_omniroute_csrf": reply.json["csrfToken"]}
    if who == "session without its word":
        del page["x_omniroute_csrf"]
    if who == "closed session":
        await browser.send("POST", "/api/auth/logout", **page)
    return page


def test_everyone_gets_what_the_table_grants_and_nothing_else(application: Application):
    browser = Browser(application, GUARDS)

    async def wrong() -> list[str]:
        findings = []
        for path, method, who in product(PATHS, METHODS, (*ROLES, *STRANGERS)):
            body = BODIES.get(path, b"") if method in WRITES else b""
            reply = await browser.send(method, one_of(path), body, **await credentials(browser, who))
            if reply.status != expected(path, method, who):
                findings.append(f"{method} {path} as {who}: {reply.status}, not {expected(path, method, who)}")
            if reply.status == 405 and set(reply.headers["allow"].split(", ")) - {"HEAD"} != {
                row.method for row in ENDPOINTS if row.path == path
            }:
                findings.append(f"{method} {path}: Allow is {reply.headers['allow']}")
        return findings

    assert asyncio.run(wrong()) == []


def test_every_answer_names_its_request_and_the_configuration(application: Application):
    browser = Browser(application, GUARDS)
    for path, method in product([*map(one_of, PATHS), "/api/nothing", "/v1/nothing", "/"], ("GET", "POST", "HEAD")):
        reply = browser(method, path, x_request_id="mine-1")
        assert reply.headers["x-request-id"] == "mine-1"
        assert reply.headers["x-omniroute-config"] == "0123456789ab"
        assert reply.headers["content-type"] == "application/json"
        assert browser(method, path).headers["x-request-id"] not in ("", "mine-1")


def test_a_head_request_is_answered_like_a_get_without_the_body(browser: Browser):
    got, head = browser("GET", "/health"), browser("HEAD", "/health")
    assert (head.status, head.headers["content-length"]) == (200, str(len(got.body)))
    assert head.body == b""


def test_this_machine_itself_needs_a_credential_too(browser: Browser):
    for row in ENDPOINTS:
        if row.access != "public":
            reply = browser(row.method, one_of(row.path), peer="127.0.0.1", server="127.0.0.1")
            assert (reply.status, reply.code) == (401, "login_required")


FORWARDING = ("x-forwarded-for", "x-real-ip", "forwarded", "x-client-ip", "x-forwarded-host", "x-forwarded-proto")
CLAIMS = ("127.0.0.1", "::1", "for=127.0.0.1;host=localhost", "localhost", "https", "127.0.0.1, 127.0.0.1")


@pytest.mark.parametrize("open_on_loopback", [False, True])
def test_no_forwarding_header_changes_any_right(application: Application, browser: Browser, open_on_loopback: bool):
    application.allow(require_login=not open_on_loopback)
    guarded = [row for row in ENDPOINTS if row.access != "public"]
    for header, claim, row in product(FORWARDING, CLAIMS, guarded):
        path = one_of(row.path)
        assert browser(row.method, path, **{header: claim}).status == 401
        assert browser(row.method, path, key="client", **{header: claim}).status == 403


def test_without_a_login_only_connections_that_end_on_loopback_are_open(application: Application, browser: Browser):
    application.allow(require_login=False)
    for server in ("127.0.0.1", "127.9.9.9", "::1"):
        assert browser("GET", "/api/config", server=server).status == 200
        assert browser("POST", "/api/config/reload", server=server).status == 200
    for server in ("192.0.2.9", "0.0.0.0", "::", "/run/omniroute.sock", "localhost.evil.example"):
        assert browser("GET", "/api/config", server=server, peer="127.0.0.1").status == 401
    assert browser("GET", "/api/config", server="127.0.0.1", key="client").status == 403
    assert browser("GET", "/api/config", server="127.0.0.1", key="revoked").status == 401


COMPLETE = {
    "method": "GET",
    "path": "/api/x",
    "access": "admin.read",
    "body_limit": 0,
    "serve": nothing,
    "summary": "Nothing.",
}


@pytest.mark.parametrize("missing", COMPLETE)
def test_a_row_that_leaves_something_undeclared_cannot_be_made(missing: str):
    assert Endpoint(**COMPLETE)
    with pytest.raises(TypeError):
        Endpoint(**{name: value for name, value in COMPLETE.items() if name != missing})


@pytest.mark.parametrize(
    "wrong",
    [
        {"access": "everybody"},
        {"access": ""},
        {"access": None},
        {"method": "TRACE"},
        {"method": "POST"},
        {"path": "/metricsmith"},
        {"path": "/apiary"},
    ],
)
def test_a_row_that_contradicts_itself_cannot_be_made(wrong: dict[str, Any]):
    with pytest.raises(ValueError):
        Endpoint(**{**COMPLETE, **wrong})
