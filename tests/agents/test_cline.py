"""Cline before the gateway: of its providers the one named `ollama` speaks Ollama's own chat, lines of JSON."""

from __future__ import annotations

import json

import pytest
from agents.captures import FOLDER, captured
from agents.tools import Desk, Ran
from agents.turns import booked, calls, results, uses
from support.rig import Rig

MODELS = {"anthropic": "anth-cline", "openai": "open-cline"}
LOSSES = ["options.num_ctx"]
"""What of its requests the upstreams' formats have no words for."""


def cline(desk: Desk, model: str) -> Ran:
    found = sorted(desk.tools.glob("@cline/cli-*/bin/cline"))
    if not found:
        pytest.skip("Cline cannot be installed: there is no package of it for this machine")
    folder = desk.home / ".cline/data/settings"
    folder.mkdir(parents=True)
    told = desk.settings("Clients of Ollama", "json").replace('"coding"', json.dumps(model))
    (folder / "providers.json").write_text(told)
    (folder / "global-settings.json").write_text('{"telemetryOptOut": true, "autoUpdateEnabled": false}')
    return desk.run(
        found[0],
        *("--json", "--provider", "ollama", "--model", model, "What does note.txt say?"),
        CLINE_NO_AUTO_UPDATE="1",
        IS_TEST="true",  # else it asks its makers for feature flags
        CLINE_SESSION_BACKEND_MODE="local",  # else it leaves a process behind
    )


def said(ran: Ran) -> str:
    """Its last line tells what the run came to."""
    return json.loads(ran.out.splitlines()[-1])["text"]


def asks_for_the_note(rig: Rig, desk: Desk) -> None:
    rig.script(uses("read_files", {"files": [{"path": str(desk.work / "note.txt")}]}))


@pytest.mark.parametrize("upstream", ["anthropic", "openai"])
def test_it_reads_a_file_and_tells_what_came_back(rig: Rig, desk: Desk, upstream: str):
    word = desk.note()
    asks_for_the_note(rig, desk)
    ran = cline(desk, MODELS[upstream])
    assert ran.status == 0, ran.err
    assert said(ran).endswith(f"The note says {word}.")
    paths = [(asked.method, asked.path) for asked in desk.sent]
    assert sorted(paths) == [("GET", "/api/tags"), ("POST", "/api/chat"), ("POST", "/api/chat")]
    assert desk.gateway.statuses == [200, 200, 200]
    assert desk.strayed == []
    before, after = rig.upstream.asked
    assert results(before) == []
    ((ident, text),) = results(after)
    assert [ident] == calls(after)
    assert word in text
    again = ["thinking", *LOSSES]  # which nobody has sealed
    assert booked(rig, MODELS[upstream], 2) == [(200, LOSSES), (200, again)]


def test_what_it_sends_is_what_was_reviewed(rig: Rig, desk: Desk, golden):
    desk.note()
    asks_for_the_note(rig, desk)
    assert cline(desk, "anth/chat").status == 0
    asked = [asked for asked in desk.sent if asked.path == "/api/chat"]
    for number, one in enumerate(asked, 1):
        golden(FOLDER / "cline" / f"{number}.json", captured(desk, one))


def test_it_says_that_a_model_is_not_there(rig: Rig, desk: Desk):
    ran = cline(desk, "no-such-model")
    assert ran.status != 0
    assert "no-such-model" in said(ran)
