"""Whatever goes wrong is told in one shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from fake_application import PROBLEM, Application, Browser, Reply
from litestar import Litestar

from omniroute import api
from omniroute.api import ENDPOINTS, body


def assert_canonical(reply: Reply) -> None:
    error = reply.json["error"]
    assert set(error) == {"code", "message", "hint", "problems"}
    assert error["code"]
    assert error["message"]
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["content-length"] == str(len(reply.body))


def test_an_unknown_path_is_not_found_and_gives_no_hint(browser: Browser):
    for path in (
        "/",
        "/api",
        "/api/",
        "/api/nothing",
        "/api/config/nothing",
        "/favicon.ico",
        "/API/config",
        "/healthz",
    ):
        reply = browser("GET", path, key="writer")
        assert (reply.status, reply.code, reply.json["error"]["hint"]) == (404, "unknown_path", "")
        assert_canonical(reply)


def test_an_unknown_path_is_told_in_part_and_as_text(browser: Browser):
    reply = browser("GET", '/api/"<b>\x1b[31m\ud800' + "x" * 1000)
    assert reply.status == 404
    assert len(reply.json["error"]["message"]) < 250


def test_unknown_paths_of_the_client_api_are_told_in_its_own_shape(browser: Browser):
    reply = browser("POST", "/v1/nothing", x_request_id="r-9")
    assert reply.status == 404
    assert reply.json == {"error": {"message": "There is nothing at /v1/nothing.", "type": "not_found"}, "id": "r-9"}
    assert reply.headers["x-request-id"] == "r-9"


def test_a_wrong_method_says_which_are_right(browser: Browser):
    reply = browser("DELETE", "/api/config/reload", key="writer")
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "method_not_allowed", "POST")
    assert browser("POST", "/health").headers["allow"] == "GET, HEAD"
    assert_canonical(reply)


@pytest.mark.parametrize("host", [b"a b", b"a/b", b"<x>"])
def test_what_the_router_refuses_itself_has_the_shape_too(browser: Browser, host: bytes):
    reply = browser("GET", "/health", host=host)
    assert reply.status == 400
    assert_canonical(reply)


def test_a_body_that_is_too_large_is_refused_announced_or_not(browser: Browser):
    announced = browser("POST", "/api/auth/login", b"", content_length="4097")
    endless = browser("POST", "/api/auth/login", b"", content_length="9" * 5000)
    sent = browser("POST", "/api/auth/login", [b"x" * 4000, b"x" * 97])
    where_none_is_taken = browser("GET", "/api/config", b"{}", key="writer")
    for reply in (announced, endless, sent, where_none_is_taken):
        assert (reply.status, reply.code) == (413, "request_too_large")
        assert_canonical(reply)


def test_a_body_in_pieces_is_put_together(browser: Browser):
    assert browser("POST", "/api/auth/login", [b'{"pass', b'word":', b'"correct horse"}']).status == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data; boundary=x"]
)
def test_a_body_that_is_not_json_by_its_type_is_refused(browser: Browser, kind: str):
    reply = browser("POST", "/api/auth/login", b'{"password":"correct horse"}', content_type=kind)
    assert (reply.status, reply.code) == (415, "unsupported_media_type")
    assert_canonical(reply)


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/merge-patch+json"]
)
def test_json_may_be_called_by_its_other_names(browser: Browser, kind: str):
    assert browser("POST", "/api/auth/login", b'{"password":"correct horse"}', content_type=kind).status == 200


def test_a_compressed_body_is_refused(browser: Browser):
    assert browser("POST", "/api/auth/login", b"{}", content_encoding="gzip").status == 415
    assert (
        browser("POST", "/api/auth/login", b'{"password":"correct horse"}', content_encoding="identity").status == 200
    )


def test_a_body_that_breaks_off_or_stays_away_is_refused(browser: Browser, monkeypatch: pytest.MonkeyPatch):
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    reply = asyncio.run(browser.raw("POST", "/api/auth/login", headers, parts=()))
    assert (reply.status, reply.code) == (400, "body_incomplete")

    async def never(_receive: object, _limit: int) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    login = next(row for row in ENDPOINTS if row.path == "/api/auth/login")
    hasty = [msgspec.structs.replace(login, arrives_in=0.01)]
    browser.asgi = Litestar(api.routes(browser.application, hasty), openapi_config=None, logging_config=None)
    monkeypatch.setattr(body, "_pieces", never)
    reply = browser("POST", "/api/auth/login", b"{}")
    assert (reply.status, reply.code) == (408, "body_timeout")


def test_a_refused_reload_shows_every_problem_with_all_its_fields(application: Application, browser: Browser):
    application.files = [PROBLEM]
    reply = browser("POST", "/api/config/reload", key="writer")
    assert (reply.status, reply.code) == (422, "config_invalid")
    assert reply.json["error"]["problems"] == [
        {
            "code": "OR103",
            "severity": "error",
            "file": "omniroute.yaml",
            "line": 3,
            "col": 5,
            "path": "providers.opnai",
            "message": "no such provider",
            "hint": "",
        }
    ]
    assert reply.headers["x-omniroute-config"] == "0123456789ab"
    assert_canonical(reply)


def test_a_fault_of_ours_is_logged_and_not_told(
    application: Application, browser: Browser, caplog: pytest.LogCaptureFixture
):
    def fail() -> None:
        raise RuntimeError("/etc/omniroute/secret-place")

    application.describe = fail
    reply = browser("GET", "/api/config", key="writer", x_request_id="r-7")
    assert (reply.status, reply.code) == (500, "server")
    assert b"secret-place" not in reply.body
    assert "secret-place" in caplog.text
    assert "r-7" in caplog.text
    assert_canonical(reply)


def test_a_refused_credential_asks_for_one(browser: Browser):
    reply = browser("GET", "/api/config")
    assert reply.headers["www-authenticate"] == "Bearer"
    assert "/api/auth/login" in reply.json["error"]["hint"]
    assert_canonical(reply)


@pytest.mark.parametrize("name", ["", "a b\x7f", "x" * 129, "ü", "a\tb"])
def test_a_request_id_that_is_not_fit_for_a_header_is_replaced(browser: Browser, name: str):
    assert browser("GET", "/health", x_request_id=name).headers["x-request-id"] != name
