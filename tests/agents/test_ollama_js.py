"""Ollama's own client for JavaScript before the gateway: it names a result by its tool, and not by an id."""

from __future__ import annotations

from pathlib import Path

import pytest
from agents.tools import Desk
from agents.turns import booked, calls, results, uses
from support.rig import KEY, Rig


@pytest.mark.parametrize("upstream", ["anthropic", "openai"])
def test_it_calls_a_tool_and_tells_what_came_back(rig: Rig, desk: Desk, upstream: str):
    word = desk.note()
    rig.script(uses("read_note", {"name": "note.txt"}))
    program = Path(__file__).parent / "ollama.mjs"
    model = f"js-{upstream[:4]}"
    ran = desk.run("node", program, desk.tools, desk.gateway.url, KEY, model, desk.work / "note.txt")
    assert (ran.status, ran.out.strip()) == (0, f"The note says {word}."), ran.err
    assert [asked.path for asked in desk.sent] == ["/api/tags", "/api/chat", "/api/chat"]
    assert desk.gateway.statuses == [200, 200, 200]
    ((ident, text),) = results(rig.upstream.asked[-1])
    assert [ident] == calls(rig.upstream.asked[-1])
    assert text == f"{word}\n"
    assert booked(rig, model, 2) == [(200, []), (200, [])]
