from __future__ import annotations

import asyncio
import re

import msgspec
import pytest
from fake_application import HASH, OTHER_HASH, PASSWORD, Application, Browser

from omniroute.api.throttle import FAILURES


def test_the_right_password_opens_a_session(browser: Browser):
    reply = browser.login()
    assert reply.status == 200
    assert reply.json["success"] is True
    assert browser("GET", "/api/config", cookie=reply.token).status == 200


def test_the_cookie_is_for_our_pages_only(browser: Browser):
    cookie = browser.login().headers["set-cookie"]
    assert re.fullmatch(r"auth_token=[\w-]{43}; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict", cookie)


@pytest.mark.parametrize(
    "under_tls", [{"scheme": "https"}, {"origin": "https://gw.example.com", "host": b"gw.example.com"}]
)
def test_under_tls_the_cookie_is_secure(browser: Browser, under_tls):
    assert browser.login(**under_tls).headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " ", PASSWORD.upper(), HASH, "\x00", "ü" * 300])
def test_a_wrong_password_is_refused(browser: Browser, password: str):
    reply = browser.login(password)
    assert (reply.status, reply.code) == (401, "wrong_password")
    assert "set-cookie" not in reply.headers


def test_five_failures_make_a_peer_wait_five_minutes(browser: Browser):
    for _ in range(FAILURES):
        assert browser.login("wrong").status == 401
        browser.time.pass_by(10)
    reply = browser.login()
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (429, "too_many_logins", "250")
    assert browser.login(peer="192.0.2.77").status == 200
    browser.time.pass_by(249)
    assert browser.login().status == 429
    browser.time.pass_by(1)
    assert browser.login().status == 200


def test_forwarding_headers_make_no_new_peer(browser: Browser):
    for number in range(FAILURES):
        browser.login("wrong", x_forwarded_for=f"10.0.0.{number}")
    assert browser.login(x_forwarded_for="10.0.0.99", forwarded="for=10.0.0.99").status == 429


def test_tries_at_the_same_moment_cannot_slip_through_together(browser: Browser):
    body = msgspec.json.encode({"password": "wrong"})

    async def storm() -> list[int]:
        replies = await asyncio.gather(*(browser.send("POST", "/api/auth/login", body) for _ in range(20)))
        return sorted(reply.status for reply in replies)

    assert asyncio.run(storm()) == [401] * FAILURES + [429] * (20 - FAILURES)


def test_a_right_password_forgives_the_failures_before_it(browser: Browser):
    for _ in range(FAILURES - 1):
        browser.login("wrong")
    assert browser.login().status == 200
    for _ in range(FAILURES):
        assert browser.login("wrong").status == 401


def test_without_a_password_there_is_nothing_to_log_in_to(application: Application, browser: Browser):
    application.hash = None
    reply = browser.login()
    assert (reply.status, reply.code, reply.json["needsSetup"]) == (403, "needs_setup", True)
    assert "omniroute password" in reply.json["error"]["hint"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"password":1}',
        b'{"password":null}',
        b'{"password":"\\ud800x"}',
        b'{"password":"\xff"}',
        b"[" * 4000,
    ],
)
def test_a_login_that_is_none_is_a_bad_request_and_no_try(browser: Browser, body: bytes):
    for _ in range(FAILURES + 1):
        reply = browser("POST", "/api/auth/login", body)
        assert (reply.status, reply.code) == (400, "invalid_body")


def test_a_login_replaces_the_session_there_was(browser: Browser):
    first = browser.login().token
    second = browser.login(cookie=first).token
    assert first != second
    assert browser("GET", "/api/config", cookie=first).status == 401
    assert browser("GET", "/api/config", cookie=second).status == 200


def test_logout_ends_the_session_everywhere(browser: Browser):
    page, other = browser.logged_in(), browser.logged_in()
    reply = browser("POST", "/api/auth/logout", **page)
    assert (reply.status, reply.json, reply.token) == (200, {"success": True}, "")
    assert "Max-Age=0" in reply.headers["set-cookie"]
    assert browser("GET", "/api/config", cookie=page["cookie"]).status == 401
    assert browser("GET", "/api/config", cookie=other["cookie"]).status == 200
    assert browser("POST", "/api/auth/logout").status == 200


def test_a_session_ends_after_its_lifetime_whatever_it_did(browser: Browser):
    cookie = browser.login().token
    browser.time.pass_by(43_199)
    assert browser("GET", "/api/config", cookie=cookie).status == 200
    browser.time.pass_by(1)
    assert browser("GET", "/api/config", cookie=cookie).status == 401


def test_a_new_password_ends_every_session_of_the_old_one(application: Application, browser: Browser):
    cookie = browser.login().token
    application.hash = OTHER_HASH
    assert browser("GET", "/api/config", cookie=cookie).status == 401
    application.hash = None
    assert browser("GET", "/api/config", cookie=cookie).status == 401


def test_the_status_tells_a_page_what_it_needs(application: Application, browser: Browser):
    page = browser.logged_in()
    inside = browser("GET", "/api/auth/status", cookie=page["cookie"]).json
    assert inside == {"authenticated": True, "needsSetup": False, "csrfToken": page["x_omniroute_csrf"]}
    outside = {"authenticated": False, "needsSetup": False, "csrfToken": None}
    assert browser("GET", "/api/auth/status").json == outside
    assert browser("GET", "/api/auth/status", cookie="stale").json == outside
    assert browser("GET", "/api/auth/status", key="client").json == outside
    assert browser("GET", "/api/auth/status", key="reader").json["authenticated"] is True
    application.hash = None
    assert browser("GET", "/api/auth/status").json["needsSetup"] is True


def test_of_two_different_session_cookies_none_counts(browser: Browser):
    token = browser.login().token
    planted = [(b"host", b"localhost"), (b"cookie", b"auth_token=planted; a=b")]
    same = (b"cookie", f"x=y;auth_token={token}".encode())
    assert asyncio.run(browser.raw("GET", "/api/config", [*planted, same])).status == 401
    assert asyncio.run(browser.raw("GET", "/api/config", [planted[0], same, same])).status == 200


@pytest.mark.parametrize("cookie", ["", "=", "auth_token", "auth_token=", ";;;", "Auth_Token=x", "auth_token=\xff\x00"])
def test_a_cookie_that_is_none_opens_nothing(browser: Browser, cookie: str):
    headers = [(b"host", b"localhost"), (b"cookie", cookie.encode("latin-1"))]
    assert asyncio.run(browser.raw("GET", "/api/config", headers)).status == 401


def test_a_key_counts_before_the_cookie(browser: Browser):
    page = browser.logged_in()
    assert browser("GET", "/api/config", key="client", **page).status == 403
    assert browser("GET", "/api/config", key="revoked", **page).status == 401


def test_a_key_is_taken_from_every_place_a_client_may_send_it(browser: Browser):
    for place in ({"x-api-key": "writer"}, {"x-goog-api-key": "writer"}, {"query": b"a=b&key=writer"}):
        assert browser("POST", "/api/config/reload", **place).status == 200
    conflict = browser("GET", "/api/config", key="writer", **{"x-api-key": "reader"})
    assert (conflict.status, conflict.code) == (400, "conflicting_credentials")
