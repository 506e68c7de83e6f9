"""Of a tool what only one format knows: the fields that others lose, and the namespaces that others have in a name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from omniroute.errors import BadRequest
from omniroute.formats import openai_responses
from omniroute.formats.codec import Head
from omniroute.formats.codecs import CHAT
from omniroute.formats.fold import Message
from omniroute.formats.ir import Finish, ToolCall, ToolDelta, ToolStart

SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}}
FUNCTION = {"type": "function", "name": "lookup", "parameters": SCHEMA}
GROUP = {"type": "namespace", "name": "mcp__words", "description": "Words.", "tools": [FUNCTION]}
CALL = {"type": "function_call", "call_id": "c1", "namespace": "mcp__words", "name": "lookup", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "found"}
OTHERS = [name for name in CHAT if name != "openai_responses"]


def received(*tools: Any, items: Any = "Look") -> Head:
    body = {"model": "coding", "input": items, "tools": tools, "stream": True}
    return openai_responses.peek(msgspec.json.encode(body))


@pytest.mark.parametrize("upstream", [name for name in CHAT if name != "anthropic"])
def test_a_field_of_a_tool_that_no_other_format_has_is_told(upstream: str):
    tools = [{"name": "lookup", "input_schema": SCHEMA, "defer_loading": True, "type": "custom"}]
    body = {"model": "coding", "max_tokens": 9, "messages": [{"role": "user", "content": "Look"}], "tools": tools}
    codec = CHAT["anthropic"]
    chat = codec.decode_request(codec.peek(msgspec.json.encode(body)))
    _, losses = CHAT[upstream].encode_request(chat, "served")
    assert [(loss.code, loss.path) for loss in losses if loss.path.startswith("tools")] == [
        ("defer_loading", "tools[0].defer_loading")
    ]
    fields, losses = codec.encode_request(chat, "served")
    assert losses == []
    assert msgspec.json.decode(msgspec.json.encode(fields["tools"]))[0]["defer_loading"] is True


@pytest.mark.parametrize("upstream", OTHERS)
def test_a_namespace_is_part_of_the_name(upstream: str):
    head = received(GROUP, {**FUNCTION, "name": "other"}, items=[{"role": "user", "content": "Look"}, CALL, RESULT])
    chat = openai_responses.decode_request(head)
    assert [tool.name for tool in chat.tools] == ["mcp__words__lookup", "other"]
    fields, losses = CHAT[upstream].encode_request(chat, "served")
    text = msgspec.json.encode(fields).decode()
    assert text.count('"mcp__words__lookup"') >= 2  # as a tool, and in the call
    assert "namespace.description" in [loss.code for loss in losses]


def test_a_call_is_told_with_its_namespace():
    head = received(GROUP, FUNCTION)
    call = ToolCall("c2", "mcp__words__lookup", '{"word":"x"}')
    whole = msgspec.json.decode(
        openai_responses.encode_reply(Message(blocks=(call,), finish="tool_calls"), head, "i", 1)
    )
    (item,) = whole["output"]
    assert (item["namespace"], item["name"], item["call_id"]) == ("mcp__words", "lookup", "c2")

    encoder = openai_responses.encoder(head, "i", 1)
    events = [ToolStart(0, "c2", "mcp__words__lookup"), ToolDelta(0, '{"word":"x"}'), Finish("tool_calls")]
    told = [
        msgspec.json.decode(line.removeprefix(b"data: "))
        for line in (encoder.feed(events) + encoder.close()).split(b"\n")
        if line.startswith(b"data: ")
    ]
    items = [event["item"] for event in told if "item" in event]
    assert [(item["namespace"], item["name"]) for item in items] == [("mcp__words", "lookup")] * 2
    assert told[-1]["response"]["output"] == items[-1:]


def test_a_function_without_a_namespace_is_told_without():
    plain = Message(blocks=(ToolCall("c3", "lookup", "{}"),), finish="tool_calls")
    whole = msgspec.json.decode(openai_responses.encode_reply(plain, received(GROUP, FUNCTION), "i", 1))
    assert "namespace" not in whole["output"][0]
    assert whole["output"][0]["name"] == "lookup"


@pytest.mark.parametrize(
    ("tools", "place"),
    [
        ({"type": "namespace", "tools": []}, r"tools\[0\].name"),
        ({"type": "namespace", "name": "n", "tools": [3]}, r"tools\[0\].tools\[0\]"),
        ({"type": "namespace", "name": "n", "tools": [{"type": "function"}]}, r"tools\[0\].tools\[0\].name"),
        ({"type": "namespace", "name": "n", "tools": 3}, r"tools"),
    ],
)
def test_a_namespace_that_is_none_is_refused(tools: Any, place: str):
    with pytest.raises(BadRequest, match=place):
        openai_responses.decode_request(received(tools))
