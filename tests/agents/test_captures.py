"""What the tools sent once, replayed into every upstream's format: nothing but codecs, so it needs no tool."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from agents.captures import FOLDER, stored
from agents.turns import IDS

from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.codecs import CHAT
from omniroute.formats.ir import Chat, ToolCall, ToolResult

SPOKEN = {"claude-code": "anthropic", "cline": "ollama", "codex": "openai_responses", "gemini-cli": "gemini"}
"""Whose format each tool speaks."""
MOUNT = "/v1beta/models/"
SERVED = {
    "anthropic": "claude-sonnet-5",
    "gemini": "gemini-3-pro",
    "ollama": "qwen3",
    "openai_chat": "gpt-5",
    "openai_responses": "gpt-5",
}
CAPTURES = dict(stored())


def received(name: str) -> Head:
    capture = CAPTURES[name]
    path, _, query = capture["path"].partition("?")
    codec = CHAT[SPOKEN[name.partition("/")[0]]]
    rest = path.removeprefix(MOUNT) if path.startswith(MOUNT) else ""
    return codec.peek(msgspec.json.encode(capture["body"]), rest, query.encode())


def sent_on(chat: Chat, upstream: str) -> tuple[Any, list[str]]:
    """The body for an upstream, and what it lost."""
    fields, losses = CHAT[upstream].encode_request(chat, SERVED[upstream])
    return msgspec.json.decode(patch.join(fields)), list(dict.fromkeys(loss.code for loss in losses))


def test_there_are_captures_of_every_tool():
    assert {name.partition("/")[0] for name in CAPTURES} == set(SPOKEN)


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_loses_what_was_reviewed(name: str, golden):
    tool = name.partition("/")[0]
    chat = CHAT[SPOKEN[tool]].decode_request(received(name))
    lost = {upstream: sent_on(chat, upstream)[1] for upstream in CHAT if upstream != SPOKEN[tool]}
    told = msgspec.json.format(msgspec.json.encode(lost), indent=1).decode()
    golden(FOLDER / tool / f"losses-{name.partition('/')[2]}.json", told + "\n")


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_keeps_its_tools_its_call_and_its_result(name: str):
    tool, _, number = name.partition("/")
    chat = CHAT[SPOKEN[tool]].decode_request(received(name))
    blocks = [block for turn in chat.turns for block in turn.blocks]
    calls = [block for block in blocks if isinstance(block, ToolCall)]
    results = [block.id for block in blocks if isinstance(block, ToolResult)]
    assert [call.id for call in calls] == results
    assert len(calls) == (number == "2")
    assert {call.id for call in calls} <= set(IDS.values())
    for upstream in CHAT:
        if upstream == SPOKEN[tool]:
            continue
        text = msgspec.json.encode(sent_on(chat, upstream)[0]).decode()
        for one in chat.tools:
            assert one.opaque is not None or f'"{one.name}"' in text
        for call in calls:
            assert text.count(f'"{call.name}"') >= 2
