from __future__ import annotations

import msgspec
import pytest
from fake_application import PROBLEM, Application, Browser, gateway

from omniroute.secret import Secret


def test_the_running_configuration_is_shown_as_written(browser: Browser):
    assert browser("GET", "/api/config", key="reader").json == {
        "revision": "0123456789ab",
        "config": {"providers": {"openai": {"api_key": "${env:OPENAI_API_KEY}"}}},
    }


def test_a_secret_in_the_wrong_place_is_a_failure_and_not_an_answer(
    application: Application, browser: Browser, caplog: pytest.LogCaptureFixture
):
    application.spec = {"api_key": Secret("sk-live-1")}
    reply = browser("GET", "/api/config", key="reader")
    assert reply.status == 500
    assert b"sk-live" not in reply.body
    assert "sk-live" not in caplog.text


def test_the_status_names_what_runs(browser: Browser):
    assert browser("GET", "/api/config/status", key="reader").json == {
        "revision": "0123456789ab",
        "digest": "0123456789abcdef",
        "generation": 1,
        "loadedAt": "2023-11-14T21:56:40Z",
        "source": "omniroute.yaml",
        "status": "synced",
        "since": "2023-11-14T21:56:40Z",
        "desired": "0123456789abcdef",
        "workers": [
            {
                "pid": 7,
                "revision": "0123456789ab",
                "digest": "0123456789abcdef",
                "generation": 1,
                "loadedAt": "2023-11-14T21:56:40Z",
            }
        ],
        "checkout": None,
        "lastAttemptAt": "2023-11-14T21:56:40Z",
        "problems": [],
        "warnings": [],
    }


def test_a_reload_answers_when_the_new_configuration_runs(application: Application, browser: Browser):
    application.files = gateway(digest="f" * 64, generation=2)
    reply = browser("POST", "/api/config/reload", key="writer")
    assert reply.status == 200
    assert (reply.json["success"], reply.json["changed"]) == (True, True)
    assert (reply.json["revision"], reply.json["generation"]) == ("f" * 12, 2)
    assert reply.headers["x-omniroute-config"] == "f" * 12
    assert browser("POST", "/api/config/reload", key="writer", body=b"{}").json["changed"] is False


def test_after_a_refused_reload_the_old_one_goes_on_and_the_status_says_why(application: Application, browser: Browser):
    application.files = [PROBLEM]
    assert browser("POST", "/api/config/reload", key="writer").status == 422
    told = browser("GET", "/api/config/status", key="reader").json
    assert (told["status"], told["revision"]) == ("failed", "0123456789ab")
    assert [problem["code"] for problem in told["problems"]] == ["OR103"]
    application.files = gateway(digest="e" * 64, generation=2)
    browser("POST", "/api/config/reload", key="writer")
    assert browser("GET", "/api/config/status", key="reader").json["status"] == "synced"


def test_the_warnings_of_what_runs_are_shown(application: Application, browser: Browser):
    application.live.swap(msgspec.structs.replace(gateway(), warnings=(PROBLEM,)))
    told = browser("GET", "/api/config/status", key="reader").json
    assert (told["status"], told["warnings"][0]["line"]) == ("synced", 3)
