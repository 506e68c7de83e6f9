"""Codex before the gateway: it speaks OpenAI's Responses and nothing else, always as a stream."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from agents.captures import FOLDER, captured
from agents.tools import Desk, Ran
from agents.turns import IDS, booked, results, uses
from support.rig import Rig

MODELS = {"anthropic": "anth-codex", "openai": "open-codex"}
LOSSES = {
    "anthropic": ["namespace.description", "tool", "prompt_cache_key", "client_metadata"],
    "openai": ["namespace.description", "tool", "thinking_display", "prompt_cache_key", "client_metadata"],
}
"""What of its requests an upstream's format has no words for. The tool is OpenAI's own search of the web."""
QUIET = """
stream_max_retries = 0
request_max_retries = 0
[analytics]
enabled = false
[otel]
exporter = "none"
metrics_exporter = "none"
[features]
apps = false
plugins = false
"""
"""Below the provider's settings: it asks nobody twice, and nobody else."""


def codex(desk: Desk, model: str, more: str = "") -> Ran:
    folder = desk.home / ".codex"
    folder.mkdir()
    (folder / "config.toml").write_text(desk.settings("Codex", "toml") + QUIET + more)
    return desk.run(
        "node",
        desk.tools / "@openai/codex/bin/codex.js",
        *("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--model", model),
        "What does note.txt say?",
        **desk.exports("Codex"),
    )


def asks_for_the_note(rig: Rig, desk: Desk) -> None:
    rig.script(uses("exec_command", {"cmd": f"cat {desk.work / 'note.txt'}"}))


@pytest.mark.parametrize("upstream", ["anthropic", "openai"])
def test_it_runs_a_command_and_tells_what_came_back(rig: Rig, desk: Desk, upstream: str):
    word = desk.note()
    asks_for_the_note(rig, desk)
    ran = codex(desk, MODELS[upstream])
    assert (ran.status, ran.out.strip()) == (0, f"The note says {word}."), ran.err
    assert [(asked.method, asked.path) for asked in desk.sent] == [("POST", "/v1/responses")] * 2
    assert desk.gateway.statuses == [200, 200]
    assert desk.strayed == []
    before, after = rig.upstream.asked
    assert results(before) == []
    ((ident, text),) = results(after)
    assert ident == IDS[upstream]
    assert text.endswith(f"\n{word}\n")
    assert booked(rig, MODELS[upstream], 2) == [(200, LOSSES[upstream])] * 2


@pytest.mark.parametrize("upstream", ["anthropic", "openai"])
def test_it_calls_a_function_of_an_mcp_server(rig: Rig, desk: Desk, upstream: str):
    """It sends these in a namespace for each server, and knows them in no other way."""
    word = desk.note()
    server = [str(Path(__file__).parent / "words.py"), str(desk.work / "note.txt")]
    rig.script(uses("mcp__words__lookup", {"word": "note"}))
    more = f"[mcp_servers.words]\ncommand = {json.dumps(sys.executable)}\nargs = {json.dumps(server)}\n"
    ran = codex(desk, f"{MODELS[upstream]}-mcp", more)
    assert (ran.status, ran.out.strip()) == (0, f"The note says {word}."), ran.err
    ((ident, text),) = results(rig.upstream.asked[-1])
    assert ident == IDS[upstream]
    assert word in text


def test_what_it_sends_is_what_was_reviewed(rig: Rig, desk: Desk, golden):
    desk.note()
    asks_for_the_note(rig, desk)
    assert codex(desk, "anth/chat").status == 0
    for number, asked in enumerate(desk.sent, 1):
        golden(FOLDER / "codex" / f"{number}.json", captured(desk, asked))


def test_it_says_that_a_model_is_not_there(rig: Rig, desk: Desk):
    ran = codex(desk, "no-such-model")
    assert ran.status != 0
    assert "no-such-model" in ran.err
