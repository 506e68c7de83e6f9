"""Gemini CLI before the gateway: it speaks Google's generateContent, as server-sent events."""

from __future__ import annotations

import json

import pytest
from agents.captures import FOLDER, captured
from agents.tools import Desk, Ran
from agents.turns import IDS, booked, results, uses
from support.rig import Rig

MODELS = {"openai": "open-gemini", "anthropic": "anth-gemini"}
LOSSES = {"openai": ["top_k", "thinking_display"], "anthropic": ["top_k"]}
"""What of its requests an upstream's format has no words for."""
SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
}


def gemini(desk: Desk, model: str) -> Ran:
    folder = desk.home / ".gemini"
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(SETTINGS))
    return desk.run(
        "node",
        desk.tools / "@google/gemini-cli/bundle/gemini.js",
        *("--model", model, "--yolo", "--output-format", "json", "--prompt", "What does note.txt say?"),
        **desk.exports("Gemini CLI"),
        GEMINI_CLI_NO_RELAUNCH="true",
        GEMINI_CLI_TRUST_WORKSPACE="true",
    )


def asks_for_the_note(rig: Rig, desk: Desk) -> None:
    rig.script(uses("read_file", {"file_path": str(desk.work / "note.txt")}))


@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
def test_it_reads_a_file_and_tells_what_came_back(rig: Rig, desk: Desk, upstream: str):
    word = desk.note()
    asks_for_the_note(rig, desk)
    model = MODELS[upstream]
    ran = gemini(desk, model)
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["response"].endswith(f"The note says {word}.")
    assert [asked.path for asked in desk.sent] == [f"/v1beta/models/{model}:streamGenerateContent?alt=sse"] * 2
    assert desk.gateway.statuses == [200, 200]
    assert desk.strayed == []
    before, after = rig.upstream.asked
    assert results(before) == []
    ((ident, text),) = results(after)
    assert ident == IDS[upstream]
    assert word in text
    assert booked(rig, model, 2) == [(200, LOSSES[upstream])] * 2


def test_what_it_sends_is_what_was_reviewed(rig: Rig, desk: Desk, golden):
    desk.note()
    asks_for_the_note(rig, desk)
    assert gemini(desk, "open-reviewed").status == 0
    for number, asked in enumerate(desk.sent, 1):
        golden(FOLDER / "gemini-cli" / f"{number}.json", captured(desk, asked))


def test_it_says_that_a_model_is_not_there(rig: Rig, desk: Desk):
    ran = gemini(desk, "no-such-model")
    assert ran.status != 0
    assert "no-such-model" in ran.out + ran.err
