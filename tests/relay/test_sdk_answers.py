"""What a provider of each format says is what each official SDK hears, whole, streamed and through its helpers."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pydantic
import pytest
from google import genai
from support.providers import REFUSE, VOICES, Call, Says, Spent, provider_of, saying, stream_of, streamed, unstreamed
from support.rig import FORMATS, KEY, MODELS, NODE, PAIRS, UPSTREAM_MODEL, Rig
from support.sdks import SDKS
from support.upstream import Asked, Script, whole

MATRIX = [(client, upstream, way) for client, upstream in PAIRS for way in SDKS[client].ways]
STREAMED = [(client, upstream, way) for client, upstream, way in MATRIX if way != "whole"]
matrix = pytest.mark.parametrize(("client", "upstream", "way"), MATRIX)
streams = pytest.mark.parametrize(("client", "upstream", "way"), STREAMED)
pairs = pytest.mark.parametrize(("client", "upstream"), PAIRS)

DONE = {"openai": "stop", "responses": "completed", "anthropic": "end_turn", "gemini": "STOP", "ollama": "stop"}
CALLING = DONE | {"openai": "tool_calls", "anthropic": "tool_use"}
"""The words for an answer that is complete, and for one that waits for results; some have only one for both."""
TELLS = {
    "openai": {"prompt", "answer", "cached", "written", "reasoning"},
    "responses": {"prompt", "answer", "cached", "written", "reasoning"},
    "anthropic": {"prompt", "answer", "cached", "written", "written_1h", "reasoning"},
    "gemini": {"prompt", "answer", "cached", "reasoning"},
    "ollama": {"prompt", "answer"},
}
"""The counts of tokens that a format has a place for."""
LOST = {("gemini", "openai"): "thinking_display", ("gemini", "ollama"): "thinking_display"}
"""What is lost of the plainest request: Google's client has to ask for the thoughts to be told them."""
NAMELESS = {"ollama"}
"""The SDKs that do not know the ids of calls."""


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as rig:
        yield rig


@matrix
def test_text_arrives_under_the_name_that_was_asked_for(rig: Rig, client: str, upstream: str, way: str):
    rig.script(Says(text="Hello there, how are you?"))
    heard = rig.ask(client, upstream, way)
    assert heard.text == "Hello there, how are you?"
    assert heard.finish == DONE[client]
    assert heard.models == {MODELS[upstream]}
    assert heard.spent == Spent(prompt=11, answer=7)
    assert (heard.thinking, heard.refusal, heard.calls, heard.signatures) == ("", "", [], [])


@pytest.mark.parametrize("way", ["whole", "stream"])
@pairs
def test_the_headers_say_who_served(rig: Rig, client: str, upstream: str, way: str):
    rig.script(Says(text="Hello"))
    headers = rig.ask(client, upstream, way, extra_headers={"X-Request-Id": "mine-1"}).headers
    assert headers["x-request-id"] == "mine-1"
    assert headers["x-omniroute-provider"] == NODE[upstream]
    assert headers["x-omniroute-model"] == UPSTREAM_MODEL[upstream]
    assert headers["x-omniroute-attempts"] == "1"
    assert headers["x-omniroute-config"]
    assert headers.get("x-omniroute-losses") == LOST.get((client, upstream))
    assert headers["content-type"].startswith("application/json" if way == "whole" else STREAMS[client])
    assert ("x-omniroute-tokens-in" in headers) is (way == "whole")


@pairs
def test_a_request_without_an_id_gets_one_that_its_answer_carries(rig: Rig, client: str, upstream: str):
    rig.script(Says(text="Hello"))
    first, second = (rig.ask(client, upstream).headers["x-request-id"] for _ in range(2))
    assert first
    assert second
    assert first != second


STREAMS = dict.fromkeys(FORMATS, "text/event-stream") | {"ollama": "application/x-ndjson"}
HARD = 'Grüße, 世界 — 😀 👩‍🚀 🏳️‍🌈\n\ttab, "quotes", back\\slash, \u2028\u2029 \x85\x7f \x00 é é ﷽ data: x\n\nevent: y'


@pytest.mark.parametrize("size", [1, 3, 7, 64])
@streams
def test_text_survives_any_cut_through_its_characters(rig: Rig, client: str, upstream: str, way: str, size: int):
    rig.script(saying(Says(text=HARD, thinking=HARD[::-1], size=3), bytes_a_write=size))
    heard = rig.ask(client, upstream, way)
    assert heard.text == HARD
    assert heard.thinking == HARD[::-1]


@pairs
def test_hard_text_arrives_whole(rig: Rig, client: str, upstream: str):
    rig.script(Says(text=HARD, thinking=HARD[::-1]))
    heard = rig.ask(client, upstream)
    assert heard.text == HARD
    assert heard.thinking == HARD[::-1]


HELLO = Says(text="Hello there")


@streams
def test_a_stream_with_lines_that_end_in_crlf_is_understood(rig: Rig, client: str, upstream: str, way: str):
    pieces = [piece.replace(b"\r", b"").replace(b"\n", b"\r\n") for piece in stream_of(upstream, HELLO)]
    rig.script(lambda asked: streamed(upstream, *pieces))
    heard = rig.ask(client, upstream, way)
    assert heard.text == "Hello there"
    assert heard.finish == DONE[client]
    assert heard.models == {MODELS[upstream]}


# ----------------------------------------------------------------------------------------------------------- tools

WEATHER = Call("call_a1", "weather", '{"city": "Zürich", "days": [1, 2.50, null], "deep": {"a": {"b": "\\u00e9\\n"}}}')
CLOCK = Call("call_b2", "clock", "{}")
SEARCH = Call("call_c3", "search", '{"query": "\\"quoted\\" \\\\ text", "limit": 12345678901234567890}')


def told(client: str, *calls: Call) -> list[Any]:
    """What a client hears of calls."""
    return [("" if client in NAMELESS else call.id, call.name, json.loads(call.arguments)) for call in calls]


@matrix
def test_a_tool_call_arrives_with_its_arguments(rig: Rig, client: str, upstream: str, way: str):
    rig.script(Says(text="Let me look.", calls=(WEATHER,), size=3))
    heard = rig.ask(client, upstream, way)
    assert heard.text == "Let me look."
    assert heard.calls == told(client, WEATHER)
    assert heard.finish == CALLING[client]


@matrix
def test_parallel_calls_keep_order_ids_and_arguments(rig: Rig, client: str, upstream: str, way: str):
    rig.script(saying(Says(calls=(WEATHER, CLOCK, SEARCH), size=2), bytes_a_write=23))
    heard = rig.ask(client, upstream, way)
    assert heard.calls == told(client, WEATHER, CLOCK, SEARCH)
    assert heard.finish == CALLING[client]
    assert heard.text == ""


@pytest.mark.parametrize(("client", "way"), [(client, way) for client in FORMATS for way in SDKS[client].ways[1:]])
def test_calls_that_grow_side_by_side_are_told_apart(rig: Rig, client: str, way: str):
    starts: list[dict[str, Any]] = [
        {"index": at, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        for at, call in enumerate((WEATHER, SEARCH))
    ]
    halves = [
        {"index": at, "function": {"arguments": part}}
        for cut in (slice(None, 9), slice(9, None))
        for at, part in enumerate((WEATHER.arguments[cut], SEARCH.arguments[cut]))
    ]
    deltas = [{"role": "assistant", "tool_calls": starts}, *({"tool_calls": [half]} for half in halves)]
    chunks = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    chunks.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    envelope = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    usage |= {"prompt_tokens_details": {}, "completion_tokens_details": {}}
    said = [*(envelope | {"choices": [chunk]} for chunk in chunks), envelope | {"choices": [], "usage": usage}]
    rig.script(lambda asked: streamed("openai", *map(VOICES["openai"].event, said), b"data: [DONE]\n\n"))
    heard = rig.ask(client, "openai", way)
    assert heard.calls == told(client, WEATHER, SEARCH)


# -------------------------------------------------------------------------------------------- thinking and refusals


SIGNATURE = "EqQBCkYIBhgC+w=="
SEALED = {
    ("responses", "openai"): "omniroute.openai_chat.",
    ("responses", "responses"): SIGNATURE,
    ("responses", "anthropic"): f"omniroute.anthropic.{SIGNATURE}",
    ("responses", "gemini"): f"omniroute.gemini.{SIGNATURE}",
    ("responses", "ollama"): "omniroute.ollama.",
    ("anthropic", "openai"): "omniroute.openai_chat.",
    ("anthropic", "responses"): f"omniroute.openai_responses.rs_1.{SIGNATURE}",
    ("anthropic", "anthropic"): SIGNATURE,
    ("anthropic", "gemini"): f"omniroute.gemini.{SIGNATURE}",
    ("anthropic", "ollama"): "omniroute.ollama.",
    ("gemini", "responses"): base64.b64encode(f"omniroute.openai_responses.rs_1.{SIGNATURE}".encode()).decode(),
    ("gemini", "anthropic"): base64.b64encode(f"omniroute.anthropic.{SIGNATURE}".encode()).decode(),
    ("gemini", "gemini"): SIGNATURE,
}
"""What signs the reasoning of an upstream to a client: its own seal, or ours around it. The others have no place for a
signature, or do not need one for reasoning that nobody signed."""


@matrix
def test_reasoning_is_visible_and_a_signature_is_its_issuers(rig: Rig, client: str, upstream: str, way: str):
    rig.script(Says(thinking="First this, then that.", signature=SIGNATURE, text="Done.", size=4))
    heard = rig.ask(client, upstream, way)
    assert heard.thinking == "First this, then that."
    assert heard.text == "Done."
    sealed = SEALED.get((client, upstream))
    assert heard.signatures[-1:] == ([sealed] if sealed else [])


NO = "I will not help with that."
REFUSED = {
    ("openai", "openai"): (NO, "", "stop"),
    ("openai", "responses"): (NO, "", "stop"),
    ("openai", "anthropic"): ("", NO, "content_filter"),
    ("openai", "gemini"): (NO, "", "content_filter"),
    ("responses", "openai"): (NO, "", "completed"),
    ("responses", "responses"): (NO, "", "completed"),
    ("responses", "anthropic"): ("", NO, "incomplete:content_filter"),
    ("responses", "gemini"): (NO, "", "incomplete:content_filter"),
    ("anthropic", "openai"): ("", NO, "refusal"),
    ("anthropic", "responses"): ("", NO, "refusal"),
    ("anthropic", "anthropic"): ("", NO, "refusal"),
    ("anthropic", "gemini"): ("", NO, "refusal"),
    ("gemini", "openai"): ("", NO, "STOP"),
    ("gemini", "responses"): ("", NO, "STOP"),
    ("gemini", "anthropic"): ("", NO, "SAFETY"),
    ("gemini", "gemini"): (NO, "", "blocked:PROHIBITED_CONTENT"),
    ("ollama", "openai"): ("", NO, "stop"),
    ("ollama", "responses"): ("", NO, "stop"),
    ("ollama", "anthropic"): ("", NO, "stop"),
    ("ollama", "gemini"): ("", NO, "stop"),
}
"""A refusal as a client hears it: as such, or else as text; and the finish that tells it."""


@pytest.mark.parametrize(("client", "upstream", "way"), [cell for cell in MATRIX if cell[1] in REFUSE])
def test_a_refusal_in_words_is_heard(rig: Rig, client: str, upstream: str, way: str):
    rig.script(Says(refusal=NO))
    heard = rig.ask(client, upstream, way)
    assert (heard.refusal, heard.text, heard.finish) == REFUSED[client, upstream]


CUT = ("length", "incomplete:max_output_tokens", "max_tokens", "MAX_TOKENS", "length")
FILTERED = ("content_filter", "incomplete:content_filter", "refusal", "SAFETY", "stop")
WHOLE = ("stop", "completed", "end_turn", "STOP", "stop")
CALLED = ("tool_calls", "completed", "tool_use", "STOP", "stop")
GOOGLES = ("RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "OTHER")
GOOGLES += ("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER", "NO_IMAGE")
FINISHES: dict[str, dict[str, tuple[str, ...]]] = {
    "openai": {"stop": WHOLE, "length": CUT, "content_filter": FILTERED, "tool_calls": CALLED},
    "responses": {
        "completed": WHOLE,
        "incomplete:max_output_tokens": CUT,
        "incomplete:content_filter": FILTERED,
    },
    "anthropic": {
        "end_turn": WHOLE,
        "max_tokens": CUT,
        "stop_sequence": ("stop", "completed", "stop_sequence", "STOP", "stop"),
        "tool_use": CALLED,
        "pause_turn": ("stop", "completed", "pause_turn", "STOP", "stop"),
        "refusal": FILTERED,
        "model_context_window_exceeded": (
            "length",
            "incomplete:max_output_tokens",
            "model_context_window_exceeded",
            "MAX_TOKENS",
            "length",
        ),
    },
    "gemini": {
        "STOP": WHOLE,
        "MAX_TOKENS": CUT,
        "SAFETY": FILTERED,
        **{reason: (*FILTERED[:3], reason, FILTERED[4]) for reason in GOOGLES},
    },
    "ollama": {"stop": WHOLE, "length": CUT},
}
"""Each reason that a provider gives, and what it is to a client of each format. Those by which Google says that its
model went wrong are no answers (`test_sdk_errors.py`)."""


@pytest.mark.parametrize(
    ("client", "upstream", "reason", "way"),
    [
        (client, upstream, reason, way)
        for client, upstream, way in MATRIX
        for reason in FINISHES[upstream]
        # Google's many reasons differ by their names only, and are told apart by nobody else.
        if reason in ("STOP", "MAX_TOKENS", "SAFETY") or upstream != "gemini" or client == "gemini" or way == "whole"
    ],
)
def test_every_finish_reason_is_told_in_the_clients_words(rig: Rig, client: str, upstream: str, reason: str, way: str):
    calls = (CLOCK,) if reason in CALLING.values() and reason not in DONE.values() else ()
    sequence = "END" if reason == "stop_sequence" else None
    rig.script(Says(text="So far", calls=calls, finish=reason, stop_sequence=sequence))
    model = f"{NODE[upstream]}-{client}-{reason.replace(':', '-')}-{way}"
    heard = rig.ask(client, upstream, way, model=model)
    assert heard.finish == FINISHES[upstream][reason][FORMATS.index(client)]
    assert heard.stop_sequence == (sequence if client == "anthropic" else None)
    assert heard.text == "So far"
    assert heard.refusal == ""


# ----------------------------------------------------------------------------------------------------------- usage

ALL = Spent(prompt=1000, answer=207, cached=401, written=103, written_1h=59, reasoning=31)
SPENT = {form: replace(ALL, **{name: 0 for name in vars(ALL) if name not in TELLS[form]}) for form in FORMATS}
"""What a provider of each format tells."""
COST = {
    # 496 at 1.25, 401 at 0.125, 103 at 1.5625, 176 at 10, 31 at 12.5, all per million
    "openai": Decimal("0.0029785625"),
    "responses": Decimal("0.0029785625"),
    # 437 at 3, 401 at 0.3, 103 at 3.75, 59 at 6, 207 at 15
    "anthropic": Decimal("0.00527655"),
    # 599 at 2, 401 at 0.2, 207 at 12
    "gemini": Decimal("0.0037622"),
    # 1000 at 0.1, 207 at 0.4
    "ollama": Decimal("0.0001828"),
}


@matrix
def test_usage_is_the_same_for_client_headers_and_ledger(rig: Rig, client: str, upstream: str, way: str):
    spent = SPENT[upstream]
    rig.script(Says(text="Hello", spent=spent))
    model = f"{NODE[upstream]}-usage-{client}-{way}"
    heard = rig.ask(client, upstream, way, model=model)
    assert heard.spent is not None
    for name in TELLS[client] - {"written", "written_1h"}:
        assert getattr(heard.spent, name) == getattr(spent, name), name
    if "written" in TELLS[client]:
        assert heard.spent.written + heard.spent.written_1h == spent.written + spent.written_1h
    if way == "whole":
        if client == upstream:
            assert heard.spent == spent
        assert heard.headers["x-omniroute-tokens-in"] == "1000"
        assert heard.headers["x-omniroute-tokens-out"] == "207"
        assert Decimal(heard.headers["x-omniroute-cost"]) == COST[upstream]
    tokens = {"input": 1000, "output": 207, "cached": spent.cached, "reasoning": spent.reasoning, "estimated": 0}
    written = {"cache_write": spent.written, "cache_write_1h": spent.written_1h}
    served = {"provider": NODE[upstream], "model": UPSTREAM_MODEL[upstream], "key": "rig", "outcomes": ["success"]}
    told: dict[str, Any] = {"status": 200, "error": "", "stream": way != "whole"}
    told["losses"] = [LOST[client, upstream]] if (client, upstream) in LOST else []
    rig.books(model, cost=COST[upstream], **tokens, **written, **served, **told)


@pytest.mark.parametrize("upstream", FORMATS)
def test_a_client_that_does_not_ask_for_the_usage_of_its_stream_sees_none(rig: Rig, upstream: str):
    rig.script(Says(text="Hello", spent=SPENT[upstream]))
    model = f"{NODE[upstream]}-no-usage"
    create = rig.sdks["openai"].client.chat.completions.create
    chunks = list(create(model=model, messages=[{"role": "user", "content": "Hi"}], stream=True))
    assert [chunk.usage for chunk in chunks if chunk.usage is not None] == []
    assert all(chunk.choices for chunk in chunks)
    rig.books(model, cost=COST[upstream])


# ----------------------------------------------------------------------------------------------------- JSON answers


class City(pydantic.BaseModel):
    name: str
    population: int


QUESTION = "Which city?"
ASKED: Any = [{"role": "user", "content": QUESTION}]


def chat_city(sdk: Any, model: str, *, streams: bool) -> Any:
    chat = sdk.client.chat.completions
    if not streams:
        return chat.parse(model=model, messages=ASKED, response_format=City).choices[0].message.parsed
    with chat.stream(model=model, messages=ASKED, response_format=City) as stream:
        return stream.get_final_completion().choices[0].message.parsed


def responses_city(sdk: Any, model: str, *, streams: bool) -> Any:
    create = sdk.client.responses
    if not streams:
        return create.parse(model=model, input=QUESTION, text_format=City).output_parsed
    with create.stream(model=model, input=QUESTION, text_format=City) as stream:
        return stream.get_final_response().output_parsed


def messages_city(sdk: Any, model: str, *, streams: bool) -> Any:
    messages = sdk.client.messages
    if not streams:
        return messages.parse(model=model, messages=ASKED, max_tokens=100, output_format=City).parsed_output
    with messages.stream(model=model, messages=ASKED, max_tokens=100, output_format=City) as stream:
        return stream.get_final_message().parsed_output


def gemini_city(sdk: Any, model: str, *, streams: bool) -> Any:
    asked: Any = {"response_mime_type": "application/json", "response_schema": City}
    if not streams:
        return sdk.client.models.generate_content(model=model, contents=QUESTION, config=asked).parsed
    chunks = sdk.client.models.generate_content_stream(model=model, contents=QUESTION, config=asked)
    return City.model_validate_json("".join(chunk.text or "" for chunk in chunks))


def ollama_city(sdk: Any, model: str, *, streams: bool) -> Any:
    answer = sdk.client.chat(model, ASKED, format=City.model_json_schema(), stream=streams)
    records = answer if streams else [answer]
    return City.model_validate_json("".join(record.message.content or "" for record in records))


CITIES = {
    "openai": chat_city,
    "responses": responses_city,
    "anthropic": messages_city,
    "gemini": gemini_city,
    "ollama": ollama_city,
}
"""How each SDK gets an answer of a type: by a helper that parses it, where it has one."""
SCHEMAS: dict[str, Any] = {
    "openai": lambda body: body["response_format"]["json_schema"]["schema"],
    "responses": lambda body: body["text"]["format"]["schema"],
    "anthropic": lambda body: body["output_config"]["format"]["schema"],
    "gemini": lambda body: (
        body["generationConfig"].get("responseJsonSchema") or body["generationConfig"]["responseSchema"]
    ),
    "ollama": lambda body: body["format"],
}
"""Where a request has the schema of its answer."""


@pytest.mark.parametrize("streams", [False, True])
@pairs
def test_the_parsing_helpers_read_json_of_any_upstream(rig: Rig, client: str, upstream: str, *, streams: bool):
    rig.script(Says(text='{"name": "Zürich", "population": 443037}', size=3))
    city = CITIES[client](rig.sdks[client], MODELS[upstream], streams=streams)
    assert city == City(name="Zürich", population=443037)
    schema = SCHEMAS[upstream](rig.asked.json)
    assert schema["properties"].keys() == {"name", "population"}
    assert schema["required"] == ["name", "population"]


# --------------------------------------------------------------------------------------------- the other way of saying


@streams
def test_a_whole_answer_to_a_client_that_streams_becomes_a_stream(rig: Rig, client: str, upstream: str, way: str):
    rig.script(
        unstreamed(Says(text="Hello there", thinking="Hm.", signature="c2ln", calls=(WEATHER,), spent=SPENT[upstream]))
    )
    heard = rig.ask(client, upstream, way)
    assert (heard.text, heard.thinking) == ("Hello there", "Hm.")
    assert heard.calls == told(client, WEATHER)
    assert heard.finish == CALLING[client]
    assert heard.models == {MODELS[upstream]}
    assert heard.spent is not None
    assert heard.spent.prompt == 1000


@pairs
def test_a_stream_to_a_client_that_wants_it_whole_is_put_together(rig: Rig, client: str, upstream: str):
    says = Says(text="Hello there", calls=(WEATHER,), spent=SPENT[upstream])
    rig.script(lambda asked: streamed(upstream, *stream_of(upstream, says)))
    heard = rig.ask(client, upstream)
    assert heard.text == "Hello there"
    assert heard.calls == told(client, WEATHER)
    assert heard.models == {MODELS[upstream]}
    assert heard.headers["x-omniroute-cost"]


NOVEL: dict[str, dict[str, Any]] = {
    "openai": {
        "id": "x", "object": "chat.completion", "created": 7, "model": "m", "service_tier": "flex", "novelty": [1],
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hi", "mood": 0.1}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    },
    "responses": {
        "id": "resp_x", "object": "response", "created_at": 7.0, "model": "m", "status": "completed", "novelty": [1],
        "output": [
            {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}},
            {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "mood": 0.1, "content": []},
        ],
    },
    "anthropic": {
        "id": "msg_x", "type": "message", "role": "assistant", "model": "m", "novelty": [1],
        "content": [
            {"type": "text", "text": "Hi", "citations": None},
            {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}},
        ],
        "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"web_search_requests": 1}},
    },
    "gemini": {
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "Hi"}, {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
            ]},
            "finishReason": "STOP", "avgLogprobs": -0.25, "groundingMetadata": {"webSearchQueries": ["x"]},
        }],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
        "modelVersion": "m", "responseId": "x",
    },
    "ollama": {
        "model": "m", "created_at": "2026-05-01T10:00:00.123Z", "done": True, "done_reason": "stop",
        "total_duration": 77, "load_duration": 7, "message": {"role": "assistant", "content": "Hi"},
        "prompt_eval_count": 1, "prompt_eval_duration": 7, "eval_count": 1, "eval_duration": 7,
    },
}  # fmt: skip
"""Answers with what only their own format knows, and what the SDK keeps of the unknown."""
BESIDE = {"sdk_http_response", "parsed", "automatic_function_calling_history"}
"""What Google's SDK notes with an answer."""
AS_TOLD: dict[str, Any] = {
    "openai": lambda client, model: client.chat.completions.create(model=model, messages=ASKED).to_dict(),
    "responses": lambda client, model: client.responses.create(model=model, input=QUESTION).to_dict(),
    "anthropic": lambda client, model: client.messages.create(model=model, messages=ASKED, max_tokens=10).to_dict(),
    "gemini": lambda client, model: client.models.generate_content(model=model, contents=QUESTION).model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude=BESIDE
    ),
    "ollama": lambda client, model: client.chat(model, ASKED).model_dump(exclude_none=True),
}


@pytest.mark.parametrize("form", FORMATS)
def test_an_answer_in_the_clients_own_format_keeps_what_nobody_here_knows(rig: Rig, form: str):
    rig.script(lambda asked: whole(NOVEL[form]))
    got = AS_TOLD[form](rig.sdks[form].client, MODELS[form])
    name = "modelVersion" if form == "gemini" else "model"
    assert got == NOVEL[form] | {name: MODELS[form]}


# ------------------------------------------------------------------------------------------------------ many at once


TOLD: dict[str, Any] = {
    "openai": lambda body: body["messages"][-1]["content"],
    "responses": lambda body: body["input"][-1]["content"],
    "anthropic": lambda body: body["messages"][-1]["content"],
    "gemini": lambda body: body["contents"][-1]["parts"][0]["text"],
    "ollama": lambda body: body["messages"][-1]["content"],
}
"""What the user said last."""


def echoing(asked: Asked) -> Script:
    """Says what it was told, in pieces that mingle with those of others."""
    said = TOLD[provider_of(asked)](asked.json)
    said = said if isinstance(said, str) else said[0]["text"]
    call = Call(f"call_{said}", "echo", json.dumps({"told": said}))
    return saying(Says(text=f"{said} " * 20, calls=(call,)), gap=0.001)(asked)


async def ask_chat(client: Any, model: str, said: str) -> tuple[str, Any]:
    async with client.chat.completions.stream(model=model, messages=[{"role": "user", "content": said}]) as stream:
        message = (await stream.get_final_completion()).choices[0].message
    return message.content, json.loads(message.tool_calls[0].function.arguments)


async def ask_responses(client: Any, model: str, said: str) -> tuple[str, Any]:
    items = [{"type": "message", "role": "user", "content": said}]
    async with client.responses.stream(model=model, input=items) as stream:
        text, call = (await stream.get_final_response()).output
    return text.content[0].text, json.loads(call.arguments)


async def ask_messages(client: Any, model: str, said: str) -> tuple[str, Any]:
    messages = [{"role": "user", "content": said}]
    async with client.messages.stream(model=model, messages=messages, max_tokens=99) as stream:
        text, call = (await stream.get_final_message()).content
    return text.text, call.input


async def ask_gemini(client: Any, model: str, said: str) -> tuple[str, Any]:
    parts = []
    async for chunk in await client.aio.models.generate_content_stream(model=model, contents=said):
        parts += chunk.candidates[0].content.parts or []
    return "".join(part.text or "" for part in parts), *[
        part.function_call.args for part in parts if part.function_call
    ]


async def ask_ollama(client: Any, model: str, said: str) -> tuple[str, Any]:
    text, arguments = "", None
    async for record in await client.chat(model, [{"role": "user", "content": said}], stream=True):
        text += record.message.content
        for call in record.message.tool_calls or ():
            arguments = call.function.arguments
    return text, arguments


ASKING = {
    "openai": ask_chat,
    "responses": ask_responses,
    "anthropic": ask_messages,
    "gemini": ask_gemini,
    "ollama": ask_ollama,
}


def test_answers_that_are_under_way_together_do_not_mix(rig: Rig):
    rig.script(echoing)

    async def ask_all() -> list[tuple[str, tuple[str, Any]]]:
        url = rig.gateway.url
        options = genai.types.HttpOptions(
            base_url=url,
            api_version="v1beta",
            async_client_args={"trust_env": False, "transport": httpx.AsyncHTTPTransport()},
        )
        theirs = ollama.AsyncClient(host=url, headers={"Authorization": f"Bearer {KEY}"})
        google = genai.Client(api_key=KEY, http_options=options)
        async with (
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as one,
            anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0) as other,
            google.aio as _,
            theirs._client,
        ):
            clients = {"openai": one, "responses": one, "anthropic": other, "gemini": google, "ollama": theirs}
            wanted = [(f"{at}-{kind}-{upstream}", kind, upstream) for at in range(4) for kind, upstream in PAIRS]
            asking = (ASKING[kind](clients[kind], MODELS[upstream], said) for said, kind, upstream in wanted)
            heard = await asyncio.gather(*asking)
        google.close()
        return list(zip((said for said, _, _ in wanted), heard, strict=True))

    for said, (text, arguments) in asyncio.run(ask_all()):
        assert text == f"{said} " * 20
        assert arguments == {"told": said}
