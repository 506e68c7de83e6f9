"""Claude Code before the gateway: it speaks Anthropic's Messages, and asks for a little more than the SDK does.

The contract is https://code.claude.com/docs/en/llm-gateway-protocol.
"""

from __future__ import annotations

import http.client
import json
from contextlib import closing

import msgspec
import pytest
from agents.captures import FOLDER, captured
from agents.tools import Desk, Ran
from agents.turns import IDS, booked, results, uses
from support.rig import Rig

from omniroute.formats import anthropic

MODELS = {"openai": "open-claude", "anthropic": "anth-claude"}
LOSSES = {"openai": ["cache_control", "defer_loading", "user", "context_management"], "anthropic": []}
"""What of its requests an upstream's format has no words for, or not as many: its user is named in more characters."""
OWN = {"accept-encoding", "content-length", "content-type", "host", "x-api-key"}
"""Headers to a provider that are the gateway's."""


def claude(desk: Desk, model: str, prompt: str = "What does note.txt say?", **environment: str) -> Ran:
    environment = {"CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "", **environment}  # it asks in each run
    return desk.run(
        "node",
        desk.tools / "@anthropic-ai/claude-code/cli-wrapper.cjs",
        *("-p", prompt, "--model", model, "--output-format", "json", "--allowedTools", "Read"),
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_AUTOUPDATER="1",
        **desk.exports("Claude Code") | environment,
    )


def asks_for_the_note(rig: Rig, desk: Desk) -> None:
    rig.script(uses("Read", {"file_path": str(desk.work / "note.txt")}))


@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
def test_it_calls_a_tool_and_tells_what_came_back(rig: Rig, desk: Desk, upstream: str):
    word = desk.note()
    asks_for_the_note(rig, desk)
    ran = claude(desk, MODELS[upstream])
    assert (ran.status, json.loads(ran.out)["result"]) == (0, f"The note says {word}."), ran.err
    assert [asked.path for asked in desk.sent] == ["/v1/messages?beta=true"] * 2
    assert desk.gateway.statuses == [200, 200]
    assert desk.strayed == []
    before, after = rig.upstream.asked
    assert results(before) == []
    assert results(after) == [(IDS[upstream], f"1\t{word}\n2\t")]
    assert booked(rig, MODELS[upstream], 2) == [(200, LOSSES[upstream])] * 2


def test_what_it_sends_is_what_was_reviewed(rig: Rig, desk: Desk, golden):
    desk.note()
    asks_for_the_note(rig, desk)
    assert claude(desk, "open/chat").status == 0
    for number, asked in enumerate(desk.sent, 1):
        golden(FOLDER / "claude-code" / f"{number}.json", captured(desk, asked))


def test_all_of_it_reaches_an_upstream_of_its_format(rig: Rig, desk: Desk):
    desk.note()
    asks_for_the_note(rig, desk)
    assert claude(desk, "anth/chat").status == 0
    fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
    for ours, theirs in zip(rig.upstream.asked, desk.sent, strict=True):
        got = {name: bytes(value) for name, value in fields.decode(ours.body).items()}
        sent = {name: bytes(value) for name, value in fields.decode(theirs.body).items()}
        assert list(got) == list(sent)
        assert got == sent | {"model": b'"claude-sonnet-4-5"'}
        forwarded = {name: value for name, value in theirs.headers.items() if name.encode() in anthropic.FORWARD}
        assert {name: value for name, value in ours.headers.items() if name not in OWN} == forwarded
        assert {"anthropic-beta", "anthropic-version", "user-agent", "x-app", "x-claude-code-session-id"} <= set(
            forwarded
        )


def test_its_long_context_is_a_beta(rig: Rig, desk: Desk):
    """It takes the suffix away itself; a model that it does not know gets its betas without being known."""
    desk.note()
    asks_for_the_note(rig, desk)
    assert claude(desk, "anth-long[1m]").status == 0
    for asked in rig.upstream.asked:
        assert asked.json["model"] == "claude-sonnet-4-5"
        assert "context-1m-2025-08-07" in asked.headers["anthropic-beta"].split(",")


def test_it_discovers_the_models_that_it_can_use(rig: Rig, desk: Desk):
    desk.note()
    asks_for_the_note(rig, desk)
    assert claude(desk, "claude-house", CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY="1").status == 0
    assert "/v1/models?limit=1000" in [asked.path for asked in desk.sent]
    assert set(desk.gateway.statuses) == {200}
    found = json.loads((desk.home / ".claude/cache/gateway-models.json").read_text())
    assert [model["id"] for model in found["models"]] == ["claude-house"]


def test_it_counts_tokens(rig: Rig, desk: Desk):
    ran = claude(desk, "open/chat", "/context")
    assert ran.status == 0
    assert "Context Usage" in json.loads(ran.out)["result"]
    assert {asked.path for asked in desk.sent} == {"/v1/messages/count_tokens?beta=true"}
    assert set(desk.gateway.statuses) == {200}


def test_it_understands_that_a_model_is_not_there(rig: Rig, desk: Desk):
    ran = claude(desk, "no-such-model")
    assert ran.status != 0
    assert "no-such-model" in json.loads(ran.out)["result"]
    assert set(desk.gateway.statuses) == {404}


def test_a_probe_of_the_root_is_answered_in_peace(rig: Rig):
    """Its interactive form looks with a HEAD whether anybody is there, and takes any answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", rig.gateway.port, timeout=5)) as connection:
        connection.request("HEAD", "/")
        assert connection.getresponse().status == 404
    assert "Traceback" not in rig.gateway.said()
