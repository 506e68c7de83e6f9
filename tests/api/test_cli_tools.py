"""The tools of the command line over the management API, against a real home directory."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from fake_application import Application, Browser

from omniroute.services.clients.settings import Clients, Place
from omniroute.services.clients.tools import TOOLS
from omniroute.state.audit import Wanted


@pytest.fixture
def home(tmp_path: Path, application: Application) -> Path:
    place = Place(tmp_path / "home", (tmp_path / "bin",))
    application.clients = Clients(lambda: place, tmp_path / "store", lambda: application.time.now)
    return place.home


def post(browser: Browser, tool: str, **body: object):
    return browser("POST", f"/api/cli-tools/{tool}-settings", msgspec.json.encode(body), key="writer")


@pytest.mark.parametrize("tool", [tool.name for tool in TOOLS])
def test_a_tool_is_written_shown_and_undone(home: Path, browser: Browser, tool: str):
    reply = post(browser, tool, apiKey="or-key-of-mine", model="coding")
    assert reply.status == 200, reply.body
    assert Path(reply.json["settingsPath"]).is_relative_to(home)
    shown = browser("GET", f"/api/cli-tools/{tool}-settings", key="reader")
    assert (shown.status, shown.json["hasOmniRoute"]) == (200, True)
    assert b"or-key-of-mine" not in shown.body
    assert browser("GET", "/api/cli-tools/status", key="reader").json[tool]["configStatus"] == "configured"
    undone = browser("DELETE", f"/api/cli-tools/{tool}-settings", key="writer")
    assert set(undone.json["restored"].values()) == {"removed"}
    assert browser("GET", f"/api/cli-tools/{tool}-settings", key="reader").json["settings"] is None


def test_the_address_is_that_of_the_request_where_none_is_given(home: Path, browser: Browser):
    post(browser, "claude")
    assert '"http://127.0.0.1:20128"' in (home / ".claude/settings.json").read_text()
    post(browser, "claude", env={"ANTHROPIC_BASE_URL": "https://gw.example.com/v1", "ANTHROPIC_AUTH_TOKEN": "or-k"})
    assert '"https://gw.example.com"' in (home / ".claude/settings.json").read_text()


@pytest.mark.parametrize(
    "body",
    [
        {"baseUrl": "file:///etc/passwd"},
        {"baseUrl": 'http://x"y'},
        {"apiKey": "a\nb"},
        {"model": 'm"'},
        {"models": "x"},
    ],
)
def test_a_body_that_makes_no_sense_is_refused_and_nothing_written(home: Path, browser: Browser, body: dict[str, str]):
    assert post(browser, "aider", **{"model": "m"} | body).status == 400
    assert not home.exists()


def test_an_unknown_tool_is_not_found(home: Path, browser: Browser):
    assert browser("GET", "/api/cli-tools/runtime/nothing", key="reader").status == 404
    assert browser("GET", "/api/cli-tools/backups", key="reader", query=b"tool=nothing").status == 404
    assert browser("GET", "/api/cli-tools/backups", key="reader").status == 400


def test_backups_are_listed_restored_and_deleted(home: Path, browser: Browser):
    post(browser, "codex", model="coding")
    listed = browser("GET", "/api/cli-tools/backups", key="reader", query=b"tool=codex").json
    ident = listed["backups"][0]["id"]
    choice = msgspec.json.encode({"tool": "codex", "backupId": ident})
    assert browser("POST", "/api/cli-tools/backups", choice, key="writer").status == 200
    assert not (home / ".codex/config.toml").exists()
    assert browser("DELETE", "/api/cli-tools/backups", choice, key="writer").status == 200
    assert browser("DELETE", "/api/cli-tools/backups", choice, key="writer").status == 404


def test_what_was_done_is_written_down_without_the_key(home: Path, application: Application, browser: Browser):
    post(browser, "claude", apiKey="or-key-of-mine")
    rows, _ = application.state.audit.page(Wanted())
    assert [(row.entry.actor, row.entry.action, row.entry.target) for row in rows] == [
        ("w", "cli-tools.write", "claude")
    ]
    assert b"or-key-of-mine" not in msgspec.json.encode(rows)


def test_a_gateway_that_asks_for_keys_wants_one_for_the_tool(home: Path, application: Application, browser: Browser):
    server = msgspec.structs.replace(application.live.current.server, require_api_key=True)
    application.live.current = msgspec.structs.replace(application.live.current, server=server)
    assert post(browser, "claude").json["error"]["code"] == "key_missing"
