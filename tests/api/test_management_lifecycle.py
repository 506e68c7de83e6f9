"""The end of the process over the network: who may, and when."""

from __future__ import annotations

import pytest
from fake_application import PROBLEM, Application, Browser

from omniroute.state.audit import Wanted

BOTH = pytest.mark.parametrize("path", ["/api/restart", "/api/shutdown"])


@BOTH
def test_it_is_answered_written_down_and_begun(application: Application, browser: Browser, path: str):
    reply = browser("POST", path, key="writer")
    assert (reply.status, reply.json["success"], reply.json["drainTimeout"]) == (202, True, 30)
    assert application.ended == [path == "/api/restart"]
    (row,), _ = application.state.audit.page(Wanted())
    assert (row.entry.actor, row.entry.action) == ("w", f"gateway.{path.rpartition('/')[2]}")


@BOTH
def test_a_locked_gateway_ends_by_nobodys_request(application: Application, browser: Browser, path: str):
    application.locked = True
    reply = browser("POST", path, key="writer")
    assert (reply.status, reply.code) == (409, "config_locked")
    assert application.ended == []


@BOTH
def test_a_session_needs_its_word(application: Application, browser: Browser, path: str):
    page = browser.logged_in()
    assert browser("POST", path, cookie=page["cookie"]).status == 403
    assert application.ended == []
    assert browser("POST", path, **page).status == 202


def test_files_that_make_no_gateway_are_told_before_it_ends(application: Application, browser: Browser):
    application.files = [PROBLEM]
    reply = browser("POST", "/api/restart", key="writer")
    assert (reply.status, reply.code, application.ended) == (422, "config_invalid", [])
    assert browser("POST", "/api/shutdown", key="writer").status == 202


def test_everybody_may_ask_whether_it_is_set_up(application: Application, browser: Browser):
    told = browser("GET", "/api/init").json
    assert (told["initialized"], told["setupComplete"]) == (True, False)
    application.allow(require_login=False)
    assert browser("GET", "/api/init").json["setupComplete"] is True
