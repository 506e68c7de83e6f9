"""What a provider of each format says is what each official SDK hears, whole, streamed and through its helpers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import anthropic
import openai
import pydantic
import pytest
from support.providers import Call, Says, Spent, saying, stream_of
from support.rig import FORMATS, KEY, MODELS, PAIRS, Rig
from support.sdks import WAYS
from support.upstream import Asked, Script, events, whole

MATRIX = [(client, upstream, way) for client, upstream in PAIRS for way in WAYS]
STREAMED = [(client, upstream, way) for client, upstream, way in MATRIX if way != "whole"]
matrix = pytest.mark.parametrize(("client", "upstream", "way"), MATRIX)
streamed = pytest.mark.parametrize(("client", "upstream", "way"), STREAMED)
pairs = pytest.mark.parametrize(("client", "upstream"), PAIRS)

DONE = {"openai": "stop", "anthropic": "end_turn"}
CALLING = {"openai": "tool_calls", "anthropic": "tool_use"}
NODE = {"openai": "open", "anthropic": "anth"}
UPSTREAM_MODEL = {"openai": "vendor-chat", "anthropic": "claude-sonnet-4-5"}


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
    assert (heard.thinking, heard.refusal, heard.calls) == ("", "", [])


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
    assert "x-omniroute-losses" not in headers
    assert headers["content-type"].startswith("application/json" if way == "whole" else "text/event-stream")
    assert ("x-omniroute-tokens-in" in headers) is (way == "whole")


@pairs
def test_a_request_without_an_id_gets_one_that_its_answer_carries(rig: Rig, client: str, upstream: str):
    rig.script(Says(text="Hello"))
    first, second = (rig.ask(client, upstream).headers["x-request-id"] for _ in range(2))
    assert first
    assert second
    assert first != second


HARD = 'Grüße, 世界 — 😀 👩‍🚀 🏳️‍🌈\n\ttab, "quotes", back\\slash, \u2028 \x7f \x00 é é ﷽ data: x\n\nevent: y'


@pytest.mark.parametrize("size", [1, 3, 7, 64])
@streamed
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


@streamed
def test_a_stream_with_lines_that_end_in_crlf_is_understood(rig: Rig, client: str, upstream: str, way: str):
    pieces = [piece.replace(b"\n", b"\r\n") for piece in stream_of(upstream, Says(text="Hello there"))]
    rig.script(lambda asked: events(*pieces))
    heard = rig.ask(client, upstream, way)
    assert heard.text == "Hello there"
    assert heard.finish == DONE[client]
    assert heard.models == {MODELS[upstream]}


# ----------------------------------------------------------------------------------------------------------- tools

WEATHER = Call("call_a1", "weather", '{"city": "Zürich", "days": [1, 2.50, null], "deep": {"a": {"b": "\\u00e9\\n"}}}')
CLOCK = Call("call_b2", "clock", "{}")
SEARCH = Call("call_c3", "search", '{"query": "\\"quoted\\" \\\\ text", "limit": 12345678901234567890}')


@matrix
def test_a_tool_call_arrives_with_its_arguments(rig: Rig, client: str, upstream: str, way: str):
    rig.script(Says(text="Let me look.", calls=(WEATHER,), size=3))
    heard = rig.ask(client, upstream, way)
    assert heard.text == "Let me look."
    assert heard.calls == [("call_a1", "weather", json.loads(WEATHER.arguments))]
    assert heard.finish == CALLING[client]


@matrix
def test_parallel_calls_keep_order_ids_and_arguments(rig: Rig, client: str, upstream: str, way: str):
    rig.script(saying(Says(calls=(WEATHER, CLOCK, SEARCH), size=2), bytes_a_write=23))
    heard = rig.ask(client, upstream, way)
    assert heard.calls == [(call.id, call.name, json.loads(call.arguments)) for call in (WEATHER, CLOCK, SEARCH)]
    assert heard.finish == CALLING[client]
    assert heard.text == ""


@pytest.mark.parametrize(("client", "way"), [(client, way) for client in FORMATS for way in ("stream", "helper")])
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
    told = [*(envelope | {"choices": [chunk]} for chunk in chunks), envelope | {"choices": [], "usage": usage}]
    rig.script(lambda asked: events(*(f"data: {json.dumps(one)}\n\n".encode() for one in told), b"data: [DONE]\n\n"))
    heard = rig.ask(client, "openai", way)
    assert heard.calls == [(call.id, call.name, json.loads(call.arguments)) for call in (WEATHER, SEARCH)]


# -------------------------------------------------------------------------------------------- thinking and refusals


@matrix
def test_reasoning_is_visible_and_a_signature_is_its_issuers(rig: Rig, client: str, upstream: str, way: str):
    rig.script(Says(thinking="First this, then that.", signature="EqQBCkYIBhgC+/==", text="Done.", size=4))
    heard = rig.ask(client, upstream, way)
    assert heard.thinking == "First this, then that."
    assert heard.text == "Done."
    if client == upstream == "anthropic":
        assert heard.signature == "EqQBCkYIBhgC+/=="
    elif client == "anthropic":
        assert heard.signature.startswith("omniroute.openai_chat")


@matrix
def test_a_refusal_in_words_is_heard(rig: Rig, client: str, upstream: str, way: str):
    rig.script(Says(refusal="I will not help with that."))
    heard = rig.ask(client, upstream, way)
    assert heard.refusal or heard.text == "I will not help with that."
    if client == "anthropic":
        assert heard.finish == "refusal"
    elif upstream == "openai":
        assert (heard.refusal, heard.text, heard.finish) == ("I will not help with that.", "", "stop")
    else:
        assert heard.finish == "content_filter"


FINISHES = {
    "openai": {
        "stop": ("stop", "end_turn"),
        "length": ("length", "max_tokens"),
        "content_filter": ("content_filter", "refusal"),
        "tool_calls": ("tool_calls", "tool_use"),
    },
    "anthropic": {
        "end_turn": ("stop", "end_turn"),
        "max_tokens": ("length", "max_tokens"),
        "stop_sequence": ("stop", "stop_sequence"),
        "tool_use": ("tool_calls", "tool_use"),
        "pause_turn": ("stop", "pause_turn"),
        "refusal": ("content_filter", "refusal"),
        "model_context_window_exceeded": ("length", "model_context_window_exceeded"),
    },
}
"""Each reason that a provider gives, and what it is to a client of OpenAI and of Anthropic."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("client", FORMATS)
@pytest.mark.parametrize(
    ("upstream", "reason"), [(upstream, reason) for upstream, reasons in FINISHES.items() for reason in reasons]
)
def test_every_finish_reason_is_told_in_the_clients_words(rig: Rig, client: str, upstream: str, reason: str, way: str):
    calls = (CLOCK,) if reason in CALLING.values() else ()
    sequence = "END" if reason == "stop_sequence" else None
    rig.script(Says(text="So far", calls=calls, finish=reason, stop_sequence=sequence))
    model = f"{NODE[upstream]}-{client}-{reason}-{way}"
    heard = rig.ask(client, upstream, way, model=model)
    assert heard.finish == FINISHES[upstream][reason][FORMATS.index(client)]
    assert heard.stop_sequence == (sequence if client == "anthropic" else None)
    assert heard.text == "So far"


# ----------------------------------------------------------------------------------------------------------- usage

SPENT = {
    "openai": Spent(prompt=1000, answer=207, cached=401, written=103, reasoning=31),
    "anthropic": Spent(prompt=1000, answer=207, cached=401, written=103, written_1h=59, reasoning=31),
}
COST = {
    # 496 at 1.25, 401 at 0.125, 103 at 1.5625, 176 at 10, 31 at 12.5, all per million
    "openai": Decimal("0.0029785625"),
    # 437 at 3, 401 at 0.3, 103 at 3.75, 59 at 6, 207 at 15
    "anthropic": Decimal("0.00527655"),
}


@matrix
def test_usage_is_the_same_for_client_headers_and_ledger(rig: Rig, client: str, upstream: str, way: str):
    spent = SPENT[upstream]
    rig.script(Says(text="Hello", spent=spent))
    model = f"{NODE[upstream]}-usage-{client}-{way}"
    heard = rig.ask(client, upstream, way, model=model)
    assert heard.spent is not None
    assert heard.spent.prompt == 1000
    assert heard.spent.answer == 207
    assert heard.spent.cached == 401
    assert heard.spent.written + heard.spent.written_1h == spent.written + spent.written_1h
    assert heard.spent.reasoning == 31
    if way == "whole":
        if client == upstream:
            assert heard.spent == spent
        assert heard.headers["x-omniroute-tokens-in"] == "1000"
        assert heard.headers["x-omniroute-tokens-out"] == "207"
        assert Decimal(heard.headers["x-omniroute-cost"]) == COST[upstream]
    tokens = {"input": 1000, "output": 207, "cached": 401, "reasoning": 31, "estimated": 0}
    written = {"cache_write": spent.written, "cache_write_1h": spent.written_1h}
    served = {"provider": NODE[upstream], "model": UPSTREAM_MODEL[upstream], "key": "rig", "outcomes": ["success"]}
    told = {"status": 200, "error": "", "stream": way != "whole", "losses": []}
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


@pytest.mark.parametrize("upstream", FORMATS)
@pytest.mark.parametrize("streams", [False, True])
def test_the_parsing_helpers_read_json_of_either_upstream(rig: Rig, upstream: str, *, streams: bool):
    rig.script(Says(text='{"name": "Zürich", "population": 443037}', size=3))
    ask: Any = {"model": MODELS[upstream], "messages": [{"role": "user", "content": "Which city?"}]}
    chat, messages = rig.sdks["openai"].client.chat.completions, rig.sdks["anthropic"].client.messages
    if streams:
        with chat.stream(**ask, response_format=City) as stream:
            parsed = stream.get_final_completion().choices[0].message.parsed
        with messages.stream(**ask, max_tokens=100, output_format=City) as stream:
            theirs = stream.get_final_message().parsed_output
    else:
        parsed = chat.parse(**ask, response_format=City).choices[0].message.parsed
        theirs = messages.parse(**ask, max_tokens=100, output_format=City).parsed_output
    assert parsed == theirs == City(name="Zürich", population=443037)
    schemas = [_schema(asked.json) for asked in rig.upstream.asked]
    assert [schema["properties"].keys() for schema in schemas] == [{"name", "population"}] * 2


def _schema(body: dict[str, Any]) -> Any:
    if "response_format" in body:
        assert body["response_format"]["type"] == "json_schema"
        return body["response_format"]["json_schema"]["schema"]
    assert body["output_config"]["format"]["type"] == "json_schema"
    return body["output_config"]["format"]["schema"]


# --------------------------------------------------------------------------------------------- the other way of saying


@streamed
def test_a_whole_answer_to_a_client_that_streams_becomes_a_stream(rig: Rig, client: str, upstream: str, way: str):
    says = Says(text="Hello there", thinking="Hm.", signature="c2ln", calls=(WEATHER,), spent=SPENT[upstream])
    rig.script(lambda asked: _unstreamed(says, asked))
    heard = rig.ask(client, upstream, way)
    assert (heard.text, heard.thinking) == ("Hello there", "Hm.")
    assert heard.calls == [("call_a1", "weather", json.loads(WEATHER.arguments))]
    assert heard.finish == CALLING[client]
    assert heard.models == {MODELS[upstream]}
    assert heard.spent is not None
    assert heard.spent.prompt == 1000


def _unstreamed(says: Says, asked: Any) -> Any:
    asked.body = json.dumps(asked.json | {"stream": False}).encode()
    return saying(says)(asked)


@pairs
def test_a_stream_to_a_client_that_wants_it_whole_is_put_together(rig: Rig, client: str, upstream: str):
    says = Says(text="Hello there", calls=(WEATHER,), spent=SPENT[upstream])
    rig.script(lambda asked: events(*stream_of(upstream, says)))
    heard = rig.ask(client, upstream)
    assert heard.text == "Hello there"
    assert heard.calls == [("call_a1", "weather", json.loads(WEATHER.arguments))]
    assert heard.models == {MODELS[upstream]}
    assert heard.headers["x-omniroute-cost"]


@pytest.mark.parametrize("form", FORMATS)
def test_an_answer_in_the_clients_own_format_keeps_what_nobody_here_knows(rig: Rig, form: str):
    theirs: dict[str, Any] = {
        "openai": {
            "id": "x", "object": "chat.completion", "created": 7, "model": "m", "service_tier": "flex", "novelty": [1],
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "Hi", "mood": 0.1}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
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
    }[form]  # fmt: skip
    rig.script(lambda asked: whole(theirs))
    client = rig.sdks[form].client
    create = client.chat.completions.create if form == "openai" else client.messages.create
    more: Any = {} if form == "openai" else {"max_tokens": 10}
    got = create(model=MODELS[form], messages=[{"role": "user", "content": "Hi"}], **more)
    assert got.to_dict() == theirs | {"model": MODELS[form]}


# ------------------------------------------------------------------------------------------------------ many at once


def echoing(asked: Asked) -> Script:
    """Says what it was told, in pieces that mingle with those of others."""
    told = asked.json["messages"][-1]["content"]
    return saying(
        Says(text=f"{told} " * 20, calls=(Call(f"call_{told}", "echo", json.dumps({"told": told})),)), gap=0.001
    )(asked)


def test_answers_that_are_under_way_together_do_not_mix(rig: Rig):
    rig.script(echoing)

    async def ask(client: Any, kind: str, upstream: str, told: str) -> tuple[str, str]:
        messages: Any = [{"role": "user", "content": told}]
        if kind == "openai":
            async with client.chat.completions.stream(model=MODELS[upstream], messages=messages) as stream:
                message = (await stream.get_final_completion()).choices[0].message
            return message.content, message.tool_calls[0].function.arguments
        async with client.messages.stream(model=MODELS[upstream], messages=messages, max_tokens=99) as stream:
            text, call = (await stream.get_final_message()).content
        return text.text, json.dumps(call.input)

    async def ask_all() -> list[tuple[str, tuple[str, str]]]:
        url = rig.gateway.url
        async with (
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as one,
            anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0) as other,
        ):
            clients = {"openai": one, "anthropic": other}
            wanted = [(f"{at}-{kind}-{upstream}", kind, upstream) for at in range(8) for kind, upstream in PAIRS]
            heard = await asyncio.gather(*(ask(clients[kind], kind, upstream, told) for told, kind, upstream in wanted))
        return list(zip((told for told, _, _ in wanted), heard, strict=True))

    for told, (text, arguments) in asyncio.run(ask_all()):
        assert text == f"{told} " * 20
        assert json.loads(arguments) == {"told": told}
