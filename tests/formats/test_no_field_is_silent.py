"""Every field that the official SDKs let a caller set is carried to an upstream of another format, or told as lost, or
refused; and so is one that they do not know. Only what stands in `SAYS_NOTHING` may vanish, for the reason given there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic.types.message_create_params
import msgspec
import ollama._types
import openai.types.chat.completion_create_params
import openai.types.responses.response_create_params
import pydantic
import pytest
from google.genai import types as genai
from hostile import MODELS
from wishes import Wish, encoded, wishes

from omniroute.errors import BadRequest, Unsupported
from omniroute.formats.codecs import CHAT
from omniroute.formats.ir import Chat, Opaque, ToolResult


class Generate(pydantic.BaseModel):
    """A request to Gemini as its REST API has it."""

    contents: list[genai.Content]
    systemInstruction: genai.Content | None = None  # noqa: N815 - the API's own names
    tools: list[genai.Tool] | None = None
    toolConfig: genai.ToolConfig | None = None  # noqa: N815
    safetySettings: list[genai.SafetySetting] | None = None  # noqa: N815
    generationConfig: genai.GenerationConfig | None = None  # noqa: N815
    cachedContent: str | None = None  # noqa: N815
    labels: dict[str, str] | None = None


REQUESTS: dict[str, Any] = {
    "anthropic": anthropic.types.message_create_params.MessageCreateParamsNonStreaming,
    "openai_chat": openai.types.chat.completion_create_params.CompletionCreateParamsNonStreaming,
    "openai_responses": openai.types.responses.response_create_params.ResponseCreateParamsNonStreaming,
    "gemini": Generate,
    "ollama": ollama._types.ChatRequest,
}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
SAID = [{"role": "user", "content": "Hi"}]
LEAST: dict[str, dict[str, Any]] = {
    "anthropic": {"messages": SAID, "max_tokens": 9000, "tools": [{"name": "odd", "input_schema": SCHEMA}]},
    "openai_chat": {
        "messages": SAID,
        "tools": [{"type": "function", "function": {"name": "odd", "parameters": SCHEMA}}],
    },
    "openai_responses": {
        "input": "Hi",
        "tools": [{"type": "function", "name": "odd", "parameters": SCHEMA, "strict": False}],
    },
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "tools": [{"functionDeclarations": [{"name": "odd", "parametersJsonSchema": SCHEMA}]}],
    },
    "ollama": {"messages": SAID, "tools": [{"type": "function", "function": {"name": "odd", "parameters": SCHEMA}}]},
}
SAYS_NOTHING = {
    "stream": "it is said to every upstream by the gateway",
    "stream_options": "the gateway writes the client's stream",
    "stream_options.include_usage": "the gateway writes the client's stream",
    "stream_options.include_obfuscation": "the gateway writes the client's stream",
    "store": "the gateway keeps the answer",
    "tools.type": "it says what its absence says",
    "input.type": "it says what its absence says",
    "input.id": "a name for the item, at its provider",
    "input.status": "how far its provider was with the item",
    "input.content.logprobs": "the chances of what was said already",
    "systemInstruction.role": "it says what its absence says",
    "response_format.json_schema.strict": "where an answer is held to a schema at all, it is strictly",
    "text.format.strict": "where an answer is held to a schema at all, it is strictly",
    "input.content.file_id": "an alternative to the data that is there",
    "input.content.file_url": "an alternative to the data that is there",
    "input.output.file_id": "an alternative to the data that is there",
    "input.output.file_url": "an alternative to the data that is there",
    "contents.parts.mediaResolution.level": "a text has no resolution",
    "contents.parts.inlineData.displayName": "of a picture, a label for the tools that only Google runs",
    "contents.parts.fileData.displayName": "of a picture, a label for the tools that only Google runs",
    "tools.functionDeclarations.parameters.nullable": "arguments are always an object",
    "tools.functionDeclarations.parameters.propertyOrdering": "the properties are told in this order",
    "tools.function.parameters.type": "it says what its absence says",
    "messages.tool_name": "a result is told under the id of its call",
    "messages.content.file.file_id": "an alternative to the data that is there",
}
"""What may vanish, and why."""
WHOLE = frozenset(
    {
        "document",
        "image",
        "audio",
        "toolresult",
        "thinking",
        "tool",
        "toolcall",
        "tool_choice",
        "custom_tool",
        "cache_control",
    }
)
"""Losses of something whole, with whatever it says."""

Outcome = tuple[bytes, list[tuple[str, str, str]]] | str


def decoded(client: str, body: dict[str, Any]) -> Chat:
    codec = CHAT[client]
    return codec.decode_request(codec.peek(encoded(body), "coding:generateContent" if client == "gemini" else ""))


def outcome(client: str, body: dict[str, Any], upstream: str) -> Outcome:
    """What is sent and what is told as lost, or why it is refused."""
    try:
        fields, losses = CHAT[upstream].encode_request(decoded(client, body), MODELS[upstream])
    except (BadRequest, Unsupported) as refusal:
        return str(refusal)
    return encoded(fields), [(loss.code, loss.path, loss.what) for loss in losses]


def codes(outcome: Outcome) -> set[str]:
    return set() if isinstance(outcome, str) else {code.rpartition(".")[2] for code, _, _ in outcome[1]}


def is_carried_whole(client: str, body: dict[str, Any]) -> bool:
    """Whether something in it is kept as it came, for its own format only, or told as lost by its name."""
    try:
        chat = decoded(client, body)
    except (BadRequest, Unsupported):
        return False
    blocks = [block for turn in chat.turns for block in turn.blocks]
    blocks += [inner for block in blocks if isinstance(block, ToolResult) for inner in block.blocks]
    opaque = any(isinstance(block, Opaque) for block in blocks) or any(tool.opaque is not None for tool in chat.tools)
    return opaque or bool(chat.vendor)


def body(client: str, asked: dict[str, Any]) -> dict[str, Any]:
    """A request that can be sent, with what is asked."""
    given = {name: value for name, value in asked.items() if name != "model" or client != "gemini"}
    if client == "gemini" and "contents" in given:
        said = encoded(given["contents"])
        models = b'"functionCall":' in said or b'"thought' in said
        given["contents"] = [{**given["contents"][0], "role": "model" if models else "user"}]
    if client == "ollama" and {"thinking", "tool_calls"} & given.get("messages", [{}])[0].keys():
        given["messages"] = [{**given["messages"][0], "role": "assistant"}]
    named = {} if client == "gemini" else {"model": "coding"}
    missing = {name: value for name, value in LEAST[client].items() if not given.get(name)}
    return given | missing | named


def plain(place: str) -> str:
    """A place without the types that lead there."""
    return ".".join(step.partition("<")[0] for step in place.split("."))


def silent(client: str, wish: Wish, upstream: str) -> bool:
    without, with_it = outcome(client, wish.without, upstream), outcome(client, wish.with_it, upstream)
    usual = codes(outcome(client, body(client, {}), upstream))
    within = WHOLE.union(plain(wish.place).split("."))
    if isinstance(without, str) or within & (codes(without) - usual):
        return False
    return without == with_it and wish.without != wish.with_it


def asked(client: str) -> Iterator[Wish]:
    for wish in wishes(REQUESTS[client], lambda held: body(client, held)):
        if not is_carried_whole(client, wish.without):
            yield wish


@pytest.mark.parametrize("client", CHAT)
def test_every_field_of_a_request_is_carried_or_told_or_refused(client: str):
    vanished: dict[tuple[str, str], bool] = {}
    for wish in asked(client):
        if wish.value in ({}, []) or wish.with_it == wish.without or plain(wish.place) in SAYS_NOTHING:
            continue
        for upstream in CHAT:
            if upstream != client:
                key = (wish.place, upstream)
                vanished[key] = vanished.get(key, True) and silent(client, wish, upstream)
    assert len(vanished) > 50
    assert [key for key, gone in vanished.items() if gone] == []


def test_all_that_may_vanish_does():
    """What no longer vanishes is to be struck off the list."""
    gone = {
        plain(wish.place)
        for client in CHAT
        for wish in asked(client)
        if plain(wish.place) in SAYS_NOTHING
        and any(silent(client, wish, upstream) for upstream in CHAT if upstream != client)
    }
    assert gone == set(SAYS_NOTHING)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object within a value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(inner)


FREE = frozenset({"StreamOptions", "InputSchemaTyped", "Schema", "Parameters"})
"""What the gateway sees to itself, and schemas, whose keywords are another test's."""


@pytest.mark.parametrize("client", CHAT)
def test_a_field_that_no_sdk_knows_is_told_too(client: str):
    vanished = set()
    seen = set()
    for wish in asked(client):
        if wish.holder in seen | FREE or is_carried_whole(client, wish.with_it):
            continue
        seen.add(wish.holder)
        copy = msgspec.json.decode(encoded(wish.with_it))
        within = WHOLE.union(plain(wish.place).split("."), ["unheard"])
        holders = [one for one in objects(copy) if wish.field in one]
        for holder in holders[:1]:
            holder["unheard"] = "odd"
            for upstream in CHAT:
                told = outcome(client, copy, upstream)
                if upstream != client and not isinstance(told, str) and not codes(told) & within:
                    vanished.add((wish.holder, wish.place, upstream))
    assert sorted(vanished) == []


def test_the_order_of_properties_is_the_one_that_is_asked_for():
    order = {"type": "OBJECT", "properties": {"a": {}, "b": {}, "c": {}}, "propertyOrdering": ["c", "a", "odd", 3]}
    tools = [{"functionDeclarations": [{"name": "f", "parameters": order}]}]
    (tool,) = decoded("gemini", body("gemini", {"tools": tools})).tools
    assert tool.parameters is not None
    assert list(msgspec.json.decode(tool.parameters)["properties"]) == ["c", "a", "b"]


def test_a_field_that_stands_in_many_places_is_told_once():
    text = {"type": "text", "text": "Hi", "citations": [{"type": "char_location"}], "odd": 1}
    asked = body("anthropic", {"messages": [{"role": "user", "content": [text, text, {**text, "other": True}]}]})
    told = decoded("anthropic", asked).unread
    assert [(loss.code, loss.path) for loss in told] == [
        ("citations", "messages[0].content[0].citations"),
        ("odd", "messages[0].content[0].odd"),
        ("other", "messages[0].content[2].other"),
    ]
    assert "2 more places" in told[0].what


@pytest.mark.parametrize("nothing", [None, [], {}, ""])
def test_a_field_that_holds_nothing_is_no_loss(nothing: Any):
    said = [{"role": "assistant", "content": "Hi", "annotations": nothing}, *SAID]
    assert decoded("openai_chat", body("openai_chat", {"messages": said})).unread == ()


def test_both_spellings_of_a_field_are_known():
    said = {"parts": [{"inline_data": {"mime_type": "image/png", "data": "b2Rk", "odd_one": 1}, "odd_two": 2}]}
    told = decoded("gemini", {"contents": [said]}).unread
    assert [loss.path for loss in told] == ["contents[0].parts[0].inlineData.oddOne", "contents[0].parts[0].oddTwo"]


def test_the_phase_of_an_item_is_told():
    said = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho", "phase": "commentary"}]
    told = decoded("openai_responses", body("openai_responses", {"input": said})).unread
    assert [(loss.code, loss.path) for loss in told] == [("phase", "input[1].phase")]


def test_a_cached_content_is_told():
    _, losses = CHAT["openai_chat"].encode_request(decoded("gemini", body("gemini", {"cachedContent": "c"})), "m")
    assert "cachedContent" in {loss.code for loss in losses}
