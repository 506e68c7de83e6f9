"""The demo provider on its own: what it says, what it counts, and that no request can hurt it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omniroute.upstream.demo import MODELS, Demo, tokens
from omniroute.upstream.transport import Deadlines, Origin, Request

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def raw(body: bytes, path: str = "/v1/chat/completions") -> tuple[int, bytes]:
    async def send() -> tuple[int, bytes]:
        request = Request(Origin("https", "demo", 443), "POST", path, (), body, Deadlines())
        answer = await Demo().send(request)
        return answer.status, await answer.read(1 << 30)

    return asyncio.run(send())


def body(said: Any = "Zürich", model: str = "echo", **more: Any) -> bytes:
    return msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": said}], **more})


def told(said: Any = "Zürich", model: str = "echo", **more: Any) -> Any:
    status, answer = raw(body(said, model, **more))
    assert status == 200, answer
    return msgspec.json.decode(answer)


def chunks(said: Any = "Zürich", model: str = "echo", **more: Any) -> list[Any]:
    status, answer = raw(body(said, model, stream=True, stream_options={"include_usage": True}, **more))
    assert status == 200, answer
    lines = [line.removeprefix(b"data: ") for line in answer.splitlines() if line.startswith(b"data: ")]
    assert lines.pop() == b"[DONE]"
    return [msgspec.json.decode(line) for line in lines]


def function(name: str, parameters: Any = CITY) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def called(answer: Any) -> list[tuple[str, Any]]:
    calls = answer["choices"][0]["message"].get("tool_calls") or []
    return [(call["function"]["name"], msgspec.json.decode(call["function"]["arguments"])) for call in calls]


def filled(schema: Any, said: str = "Ada") -> Any:
    form = {"type": "json_schema", "json_schema": {"name": "form", "schema": schema}}
    return msgspec.json.decode(told(said, response_format=form)["choices"][0]["message"]["content"])


def test_it_repeats_what_it_was_told():
    (choice,) = told("Grüße, 世界 😀")["choices"]
    assert choice["message"]["content"] == "You said: Grüße, 世界 😀"
    assert choice["finish_reason"] == "stop"


def test_it_calls_the_first_tool():
    answer = told(tools=[function("weather"), function("clock")])
    assert called(answer) == [("weather", {"city": "Zürich"})]
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


def test_it_calls_the_tool_that_is_asked_for():
    tools = [function("weather"), function("clock")]
    asked = {"type": "function", "function": {"name": "clock"}}
    assert called(told(tools=tools, tool_choice=asked)) == [("clock", {"city": "Zürich"})]
    assert called(told(tools=tools, tool_choice="none")) == []


def test_it_uses_the_result_of_a_tool():
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Zürich"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "Sunny"},
    ]
    answer = told(messages=messages, tools=[function("weather")])
    assert answer["choices"][0]["message"]["content"] == "The tool says: Sunny"
    assert called(answer) == []


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"$ref": "#/$defs/P", "$defs": {"P": {"properties": {"name": {"type": "string"}}}}}, {"name": "Ada"}),
        ({"$ref": "#/$defs/Nowhere"}, "Ada"),
        ({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"]}, {"b": "Ada"}),
        ({"type": "array", "items": {"type": "integer", "minimum": 3}, "minItems": 2}, [3, 3]),
        ({"type": "integer", "minimum": 2.5}, 3),
        ({"type": "number", "minimum": 2.5}, 2.5),
        ({"type": "number", "minimum": True}, 1),
        ({"type": ["boolean", "null"]}, True),
        ({"type": "null"}, None),
        ({"enum": ["red", "blue"]}, "red"),
        ({"const": {"a": [1]}}, {"a": [1]}),
        ({"anyOf": [{"type": "boolean"}, {"type": "string"}]}, True),
        ({"type": "string", "maxLength": 2}, "Ad"),
    ],
)
def test_it_fills_in_a_schema(schema: Any, value: Any):
    assert filled(schema) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": {"a": 1}},
        {"anyOf": {"a": 1}},
        {"type": {"a": 1}},
        {"type": [[1]]},
        {"$ref": "#/" + "a/" * 10_000},
        {"type": "integer", "maxLength": -1, "minimum": 2**63},
    ],
)
def test_what_it_does_not_understand_gives_a_small_value(schema: Any):
    assert filled(schema) in ("Ada", 1)


def test_a_constant_that_would_be_the_whole_answer_is_left_out():
    assert filled({"const": "x" * 100_000}) == ""


@pytest.mark.parametrize("schema", [{"required": [[1]], "properties": {}}, {"type": "object", "properties": [1]}])
def test_properties_that_are_none_give_an_empty_object(schema: Any):
    assert called(told(tools=[function("weather", schema)])) == [("weather", {})]


def test_a_schema_that_grows_without_end_is_filled_in_part():
    node = {"type": "array", "items": {"$ref": "#/$defs/node"}, "minItems": 16}
    began = time.perf_counter()
    answer = told(
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "tree", "schema": {"$ref": "#/$defs/node", "$defs": {"node": node}}},
        }
    )
    assert time.perf_counter() - began < 0.5
    assert len(answer["choices"][0]["message"]["content"]) < 10_000


def test_a_prompt_of_eight_megabytes_takes_no_time():
    for said in ("word, " * 1_400_000, " " * 8_000_000, [{"type": "text", "text": "ab! " * 50_000}] * 40):
        message = body(said)
        took = []
        for _ in range(3):
            began = time.perf_counter()
            status, answer = raw(message)
            took.append(time.perf_counter() - began)
        assert status == 200
        assert len(answer) < 10_000
        assert min(took) < 0.1


def test_the_tokens_of_a_long_prompt_are_counted_by_its_beginning():
    assert told("word " * 200_000)["usage"]["prompt_tokens"] == pytest.approx(200_000, rel=0.001)
    assert told("one two, three")["usage"]["prompt_tokens"] == 4


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("tools", [[], [function("weather")]])
def test_each_delta_is_a_token_of_its_usage(model: str, tools: list[Any]):
    more: dict[str, Any] = {"tools": tools} if tools else {}
    *pieces, last = chunks("Over the hills, and far away", model, **more)
    deltas = [piece["choices"][0]["delta"] for piece in pieces if piece["choices"]]
    thought = sum(bool(delta.get("reasoning_content")) for delta in deltas)
    said = sum(bool(delta.get("content") or delta.get("tool_calls")) for delta in deltas)
    usage = last["usage"]
    assert usage["completion_tokens"] == thought + said
    assert usage["completion_tokens_details"]["reasoning_tokens"] == thought
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert told("Over the hills, and far away", model, **more)["usage"] == usage


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("tools", [[], [function("weather")]])
@pytest.mark.parametrize("limit", [1, 3, 12])
def test_it_stops_at_max_tokens(model: str, tools: list[Any], limit: int):
    more: dict[str, Any] = {"tools": tools} if tools else {}
    answer = told("word " * 50, model, max_tokens=limit, **more)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] <= limit
    assert called(answer) == []
    if model == "echo" and not tools:
        assert len(tokens(answer["choices"][0]["message"]["content"])) == limit


def test_a_limit_that_suffices_is_not_reached():
    whole = told()["usage"]["completion_tokens"]
    assert told(max_tokens=whole)["choices"][0]["finish_reason"] == "stop"
    assert told(max_tokens=whole - 1)["choices"][0]["finish_reason"] == "length"


def test_another_model_is_refused_by_name():
    status, answer = raw(body(model="oracle"))
    assert status == 400
    assert b"agent, echo" in answer


WORDS = ("type", "properties", "required", "items", "minItems", "enum", "const", "anyOf", "allOf", "$ref", "$defs")
leaves = (
    st.sampled_from(["object", "array", "integer", "string", "null", "#/$defs/a", "#", "a"])
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
keys = st.sampled_from([*WORDS, "minimum", "maxLength", "a"])
schemas = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=150, deadline=None)
@given(schemas)
def test_no_schema_hurts_it(schema: Any):
    form = {"type": "json_schema", "json_schema": {"name": "form", "schema": schema}}
    for more in ({"response_format": form}, {"tools": [function("f", schema)]}):
        try:
            asked = body(**more)
        except OverflowError:  # an integer that the test's own encoder cannot write
            return
        began = time.perf_counter()
        status, answer = raw(asked)
        assert time.perf_counter() - began < 0.5
        assert status in (200, 400)
        assert len(answer) < 20_000


# ------------------------------------------------------------------------------------------------- vectors, pictures


def made(path: str, **fields: Any) -> tuple[int, Any]:
    status, answer = raw(msgspec.json.encode(fields), path)
    return status, msgspec.json.decode(answer)


@given(st.lists(st.text(max_size=40).filter(bool), min_size=1, max_size=4), st.integers(1, 300))
@settings(deadline=None, max_examples=50)
def test_every_vector_has_the_length_one_and_the_dimensions_asked_for(texts: list[str], size: int):
    status, answer = made("/v1/embeddings", model="embed", input=texts, dimensions=size)
    assert status == 200
    assert [line["index"] for line in answer["data"]] == list(range(len(texts)))
    for line in answer["data"]:
        assert len(line["embedding"]) == size
        assert sum(one * one for one in line["embedding"]) == pytest.approx(1)


def test_more_numbers_than_the_demo_makes_are_refused():
    assert made("/v1/embeddings", model="embed", input=["x"] * 2048)[0] == 200
    status, answer = made("/v1/embeddings", model="embed", input=["x"] * 9, dimensions=65_536)
    assert (status, answer["error"]["param"]) == (400, "dimensions")


def test_a_long_text_takes_no_long_time():
    began = time.perf_counter()
    assert made("/v1/embeddings", model="embed", input=["word " * 1_000_000])[0] == 200
    assert time.perf_counter() - began < 2


def test_a_prompt_always_has_the_same_picture_and_another_prompt_another():
    fox = made("/v1/images/generations", model="image", prompt="a fox", n=2)[1]["data"]
    assert fox == made("/v1/images/generations", model="image", prompt="a fox", n=2)[1]["data"]
    whale = made("/v1/images/generations", model="image", prompt="a whale", n=2)[1]["data"]
    assert len({one["b64_json"] for one in (*fox, *whale)}) == 4


@pytest.mark.parametrize("size", ["2048x16", "0x5", "big", "16x100000"])
def test_a_size_that_the_demo_cannot_draw_is_refused(size: str):
    status, answer = made("/v1/images/generations", model="image", prompt="p", size=size)
    assert (status, answer["error"]["param"]) == (400, "size")


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/images/generations"])
def test_a_model_for_something_else_is_refused(path: str):
    status, answer = made(path, model="echo", input="x", prompt="x")
    assert status == 400
    assert "here not `echo`" in answer["error"]["message"]
