"""What the SDKs of OpenAI and Anthropic ask in chats is what a provider of the two formats is asked, or is told as a loss.

The expectations are written out here; for all five formats they are files (`test_sdk_features.py`).
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from support.providers import Call, Says
from support.rig import KEY, MODELS, Rig

FORMATS = ("openai", "anthropic")
PAIRS = [(client, upstream) for client in FORMATS for upstream in FORMATS]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
JPEG = "/9j/4AAQSkZJRgABAQEAYABgAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRof"
PDF = "JVBERi0xLjQKJcOkw7zDtsOfCjIgMCBvYmoKPDwvTGVuZ3RoIDMgMCBSPj4Kc3RyZWFtCg=="
PICTURE = "https://example.com/cat.png"
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ARGUMENTS = '{"city": "Zürich", "n": 1.50}'


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as rig:
        yield rig


@dataclass(frozen=True)
class Case:
    """The same request in both dialects. Across formats the provider is asked the other one's, but for what `instead`
    says; and these are the losses towards each format."""

    openai: dict[str, Any]
    anthropic: dict[str, Any]
    openai_instead: dict[str, Any] | None = None
    anthropic_instead: dict[str, Any] | None = None
    openai_losses: str | None = None
    anthropic_losses: str | None = None


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def tool_call(ident: str, arguments: str = ARGUMENTS) -> dict[str, Any]:
    return {"id": ident, "type": "function", "function": {"name": "weather", "arguments": arguments}}


def tool_use(ident: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": ident, "name": "weather", "input": json.loads(ARGUMENTS)}


def result(ident: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": ident, "content": content, **more}


def base64_image(media_type: str, data: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def image_url(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


OPENAI_TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells the weather", "parameters": PARAMETERS},
}
ANTHROPIC_TOOL = {"name": "weather", "description": "Tells the weather", "input_schema": PARAMETERS}
TOOLS: dict[str, Any] = {"openai": {"tools": [OPENAI_TOOL]}, "anthropic": {"tools": [ANTHROPIC_TOOL]}}

CASES = {
    "a plain question": Case(
        openai={"max_tokens": 4096, "messages": [user("Grüße, 世界 😀")]},
        anthropic={"messages": [user("Grüße, 世界 😀")]},
    ),
    "a system prompt": Case(
        openai={"max_tokens": 4096, "messages": [{"role": "system", "content": "Be brief."}, user("Hi")]},
        anthropic={"system": "Be brief.", "messages": [user("Hi")]},
    ),
    "several system prompts": Case(
        openai={
            "max_tokens": 4096,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": [text("Speak"), text("French.")]},
                user("Hi"),
            ],
        },
        anthropic={
            "system": [text("Be brief."), text("Speak"), text("French.")],
            "messages": [user("Hi")],
        },
        openai_instead={
            "messages": [{"role": "system", "content": "Be brief.\n\nSpeak\n\nFrench."}, user("Hi")],
        },
    ),
    "a conversation": Case(
        openai={
            "max_tokens": 4096,
            "messages": [user("One?"), assistant("1"), user([text("Two?"), text("And three?")]), assistant("2"), user("!")],
        },
        anthropic={
            "messages": [user("One?"), assistant("1"), user([text("Two?"), text("And three?")]), assistant("2"), user("!")],
        },
        openai_instead={
            "messages": [user("One?"), assistant("1"), user("Two?\n\nAnd three?"), assistant("2"), user("!")],
        },
    ),
    "tools": Case(
        openai={"max_tokens": 4096, "messages": [user("Weather?")], **TOOLS["openai"]},
        anthropic={"messages": [user("Weather?")], **TOOLS["anthropic"]},
    ),
    "any tool": Case(
        openai={"max_tokens": 4096, "messages": [user("W?")], **TOOLS["openai"], "tool_choice": "required"},
        anthropic={"messages": [user("W?")], **TOOLS["anthropic"], "tool_choice": {"type": "any"}},
    ),
    "a certain tool, once": Case(
        openai={
            "max_tokens": 4096,
            "messages": [user("W?")],
            **TOOLS["openai"],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
        },
        anthropic={
            "messages": [user("W?")],
            **TOOLS["anthropic"],
            "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        },
    ),
    "no tool": Case(
        openai={"max_tokens": 4096, "messages": [user("W?")], **TOOLS["openai"], "tool_choice": "none"},
        anthropic={"messages": [user("W?")], **TOOLS["anthropic"], "tool_choice": {"type": "none"}},
    ),
    "a tool's result": Case(
        openai={
            "max_tokens": 4096,
            "messages": [
                user("Weather?"),
                assistant("Let me see.", tool_calls=[tool_call("call_1")]),
                {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"},
            ],
            **TOOLS["openai"],
        },
        anthropic={
            "messages": [
                user("Weather?"),
                assistant([text("Let me see."), tool_use("call_1")]),
                user([result("call_1", "Sunny")]),
            ],
            **TOOLS["anthropic"],
        },
    ),
    "parallel results, and a question": Case(
        openai={
            "max_tokens": 4096,
            "messages": [
                user("Weather?"),
                assistant(None, tool_calls=[tool_call("call_1"), tool_call("call_2")]),
                {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"},
                {"role": "tool", "tool_call_id": "call_2", "content": [text("Rain"), text("and wind")]},
                user("So?"),
            ],
            **TOOLS["openai"],
        },
        anthropic={
            "messages": [
                user("Weather?"),
                assistant([tool_use("call_1"), tool_use("call_2")]),
                user([result("call_1", "Sunny"), result("call_2", [text("Rain"), text("and wind")]), text("So?")]),
            ],
            **TOOLS["anthropic"],
        },
        openai_instead={
            "messages": [
                user("Weather?"),
                assistant(None, tool_calls=[tool_call("call_1"), tool_call("call_2")]),
                {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"},
                {"role": "tool", "tool_call_id": "call_2", "content": "Rain\n\nand wind"},
                user("So?"),
            ],
        },
    ),
    "images": Case(
        openai={
            "max_tokens": 4096,
            "messages": [
                user([text("What?"), image_url(PICTURE), image_url(f"data:image/png;base64,{PNG}")]),
                assistant("A cat."),
                user([image_url(f"data:image/jpeg;base64,{JPEG}")]),
            ],
        },
        anthropic={
            "messages": [
                user(
                    [
                        text("What?"),
                        {"type": "image", "source": {"type": "url", "url": PICTURE}},
                        base64_image("image/png", PNG),
                    ]
                ),
                assistant("A cat."),
                user([base64_image("image/jpeg", JPEG)]),
            ],
        },
    ),
    "a document": Case(
        openai={
            "max_tokens": 4096,
            "messages": [
                user(
                    [
                        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
                        text("Read it."),
                    ]
                )
            ],
        },
        anthropic={
            "messages": [
                user(
                    [
                        {
                            "type": "document",
                            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                            "title": "a.pdf",
                        },
                        text("Read it."),
                    ]
                )
            ],
        },
    ),
    "a schema for the answer": Case(
        openai={
            "max_tokens": 4096,
            "messages": [user("Who?")],
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
        },
        anthropic={
            "messages": [user("Who?")],
            "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        },
    ),
    "sampling and stops": Case(
        openai={"max_tokens": 100, "messages": [user("Hi")], "temperature": 0.25, "stop": ["END", "STOP"], "user": "u-1"},
        anthropic={
            "max_tokens": 100,
            "messages": [user("Hi")],
            "temperature": 0.25,
            "stop_sequences": ["END", "STOP"],
            "metadata": {"user_id": "u-1"},
        },
    ),
}  # fmt: skip


def sent_to(rig: Rig, client: str, upstream: str, **request: Any) -> dict[str, Any]:
    """What the provider is asked when a client asks this."""
    rig.script(Says(text="Fine."))
    heard = rig.ask(client, upstream, **request)
    assert heard.text == "Fine."
    body: dict[str, Any] = rig.asked.json
    body["losses"] = heard.headers.get("x-omniroute-losses")
    return body


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_request_means_the_same_to_every_provider(rig: Rig, client: str, upstream: str, name: str):
    case = CASES[name]
    asked = getattr(case, client)
    body = sent_to(rig, client, upstream, **asked)
    expected = dict(getattr(case, upstream))
    losses = None
    if client != upstream:
        expected |= getattr(case, f"{upstream}_instead") or {}
        losses = getattr(case, f"{upstream}_losses")
    expected["model"] = {"openai": "vendor-chat", "anthropic": "claude-sonnet-4-5"}[upstream]
    if upstream == "anthropic":
        expected.setdefault("max_tokens", 4096)
    assert body.pop("losses") == losses
    assert comparable(body) == comparable(expected)
    assert rig.asked.headers["content-type"] == "application/json"
    assert rig.asked.path == {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}[upstream]


def comparable(body: Any) -> Any:
    """A body with the arguments of calls as values: how their JSON is spaced means nothing."""
    if isinstance(body, dict):
        return {
            name: json.loads(value) if name == "arguments" and isinstance(value, str) else comparable(value)
            for name, value in body.items()
        }
    return [comparable(one) for one in body] if isinstance(body, list) else body


# ---------------------------------------------------------------------------------------------------------- losses


def test_images_and_errors_in_results_reach_an_openai_upstream_beside_the_result(rig: Rig):
    messages = [
        user("Weather?"),
        assistant([tool_use("call_1"), tool_use("call_2")]),
        user(
            [
                result("call_1", [text("A picture:"), base64_image("image/png", PNG)]),
                result("call_2", "No such city", is_error=True),
            ]
        ),
    ]
    body = sent_to(rig, "anthropic", "openai", messages=messages, **TOOLS["anthropic"])
    one, two, moved = body["messages"][2:]
    assert one == {"role": "tool", "tool_call_id": "call_1", "content": "A picture:"}
    assert two == {"role": "tool", "tool_call_id": "call_2", "content": "Error: No such city"}
    assert moved["role"] == "user"
    assert image_url(f"data:image/png;base64,{PNG}") in moved["content"]
    assert body["losses"] == "tool_result_media, is_error"


def test_images_and_errors_in_results_reach_an_anthropic_upstream_as_they_are(rig: Rig):
    messages = [
        user("Weather?"),
        assistant([tool_use("call_1")]),
        user([result("call_1", [text("Look:"), base64_image("image/png", PNG)], is_error=True)]),
    ]
    body = sent_to(rig, "anthropic", "anthropic", messages=messages, **TOOLS["anthropic"])
    assert body["messages"] == messages
    assert body["losses"] is None


def test_a_picture_in_an_openai_clients_tool_message_is_part_of_the_result(rig: Rig):
    content = [text("Look:"), image_url(f"data:image/png;base64,{PNG}")]
    messages = [
        user("Weather?"),
        assistant(None, tool_calls=[tool_call("call_1")]),
        {"role": "tool", "tool_call_id": "call_1", "content": content},
    ]
    body = sent_to(rig, "openai", "anthropic", messages=messages, **TOOLS["openai"])
    assert body["messages"][2] == user([result("call_1", [text("Look:"), base64_image("image/png", PNG)])])


def test_knobs_that_anthropic_lacks_are_told(rig: Rig):
    asked = {"messages": [user("Hi")], "seed": 7, "logit_bias": {"50256": -100}, "logprobs": True, "top_logprobs": 2}
    more = {"presence_penalty": 0.5, "frequency_penalty": 0.25, "n": 2, "store": True}
    body = sent_to(rig, "openai", "anthropic", **asked, **more)
    told = set(body["losses"].split(", "))
    assert told >= {"seed", "logit_bias", "logprobs", "presence_penalty", "frequency_penalty", "n", "store"}
    assert body.keys() == {"model", "max_tokens", "messages", "losses"}


def test_knobs_that_openai_lacks_are_told(rig: Rig):
    asked = {"messages": [user("Hi")], "top_k": 40, "container": "c_1"}
    marked = [text("Be brief.") | {"cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    body = sent_to(rig, "anthropic", "openai", system=marked, **asked)
    assert set(body["losses"].split(", ")) == {"top_k", "container", "cache_control"}
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, user("Hi")]


def test_losses_stand_in_the_ledger(rig: Rig):
    rig.script(Says(text="Fine."))
    rig.ask("openai", "anthropic", model="anth-losses", seed=7)
    rig.books("anth-losses", losses=["seed"], status=200)


# -------------------------------------------------------------------------------------------------------- thinking


@pytest.mark.parametrize(("effort", "asked"), [("low", 2048), ("medium", 8192), ("high", 24576)])
def test_an_effort_becomes_a_budget(rig: Rig, effort: str, asked: int):
    body = sent_to(rig, "openai", "anthropic", reasoning_effort=effort, max_completion_tokens=64000)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": asked}
    assert body["max_tokens"] == 64000


def test_a_budget_becomes_an_effort_and_is_told(rig: Rig):
    body = sent_to(rig, "anthropic", "openai", thinking={"type": "enabled", "budget_tokens": 2048}, max_tokens=9000)
    assert body["reasoning_effort"] == "low"
    assert body["losses"] == "thinking_budget"


SIGNATURE = "EqQBCkYIBhgCKkBw/4z+x=="


@pytest.mark.parametrize("way", ["whole", "stream", "helper"])
def test_signed_thinking_goes_back_to_anthropic_byte_by_byte(rig: Rig, way: str):
    rig.script(Says(thinking="Hm — 😀 \u2028", signature=SIGNATURE, text="Yes."))
    heard = rig.ask("anthropic", "anthropic", way)
    back = assistant(
        [{"type": "thinking", "thinking": heard.thinking, "signature": "".join(heard.signatures)}, text(heard.text)]
    )
    body = sent_to(rig, "anthropic", "anthropic", messages=[user("Hello"), back, user("Sure?")])
    assert body["messages"][1] == assistant(
        [{"type": "thinking", "thinking": "Hm — 😀 \u2028", "signature": SIGNATURE}, text("Yes.")]
    )
    assert body["losses"] is None


@pytest.mark.parametrize("way", ["whole", "stream", "helper"])
def test_reasoning_of_an_openai_upstream_goes_through_an_anthropic_client_and_back(rig: Rig, way: str):
    rig.script(Says(thinking="Let me see.", text="Yes.", calls=(Call("call_1", "weather", ARGUMENTS),)))
    heard = rig.ask("anthropic", "openai", way, **TOOLS["anthropic"])
    thought = {"type": "thinking", "thinking": heard.thinking, "signature": "".join(heard.signatures)}
    back = assistant([thought, text(heard.text), {**tool_use("call_1"), "input": heard.calls[0][2]}])
    messages = [user("Hello"), back, user([result("call_1", "Sunny")])]
    body = sent_to(rig, "anthropic", "openai", messages=messages, **TOOLS["anthropic"])
    assert body["messages"][1]["reasoning_content"] == "Let me see."
    assert body["losses"] is None
    elsewhere = sent_to(rig, "anthropic", "anthropic", messages=messages, **TOOLS["anthropic"])
    assert elsewhere["messages"][1]["content"] == [text("Yes."), back["content"][2]]


def test_thinking_of_another_issuer_is_left_out_and_told(rig: Rig):
    back = assistant([{"type": "thinking", "thinking": "Hm", "signature": SIGNATURE}, text("Yes.")])
    body = sent_to(rig, "anthropic", "openai", messages=[user("Hello"), back, user("Sure?")])
    assert body["messages"][1] == assistant("Yes.")
    assert body["losses"] == "thinking"


def test_redacted_thinking_goes_back_as_it_came(rig: Rig):
    sealed = {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3p=="}
    messages = [user("Hello"), assistant([sealed, text("Yes.")]), user("Sure?")]
    assert sent_to(rig, "anthropic", "anthropic", messages=messages)["messages"] == messages


# ------------------------------------------------------------------------------------------------- the same format

ODD = {
    "openai": b"""{
  "messages" :[ {"role":"user" , "content": [ {"type":"text","text":"gr\\u00fc\\u00dfe \xc3\xa4", "x" : 1.50 } ],"novelty":[1,2 ,3]},
   {"role":"assistant","content":"\\ud83d\\ude00","tool_calls":[]  }, {"content":"Go", "role":"user","weight":1e2}\t],
  "novel_field" : { "a":[ ] , "b" : 12345678901234567890 } ,"temperature":0.70,
  "model" :"open/chat" }""",
    "anthropic": b"""{ "model":"anth/chat","max_tokens" : 64 ,
  "system":[ {"type":"text", "text":"Hi" , "cache_control":{"type":"ephemeral" , "ttl":"1h"}} ],
 "messages":[{"role":"user","content":[{"type":"text","text":"gr\\u00fc\\u00dfe \xc3\xa4","x" : 1.50}],"novelty":[1,2 ,3]},
   {"role":"assistant" , "content":[{"type":"thinking","thinking":"hm","signature":"c2ln/+=="} , {"type":"novel_block","z":1e2}]},
   {"content" :"Go","role":"user" }
 ] , "novel_field":{ "a":[ ] } }""",
}


@pytest.mark.parametrize("form", FORMATS)
def test_the_bytes_of_the_messages_stay_as_they_are(rig: Rig, form: str):
    rig.script(Says(text="Fine."))
    sent = ODD[form]
    path = "/v1/chat/completions" if form == "openai" else "/v1/messages"
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    with urllib.request.urlopen(urllib.request.Request(rig.gateway.url + path, sent, headers)) as answer:
        answer.read()
    came = rig.asked.body
    for field in (b'"messages"', b'"novel_field"', b'"system"', b'"temperature"'):
        if field in sent:
            assert value_of(came, field) == value_of(sent, field)
    assert rig.asked.json == json.loads(sent) | {"model": rig.asked.json["model"]}
    assert rig.asked.json["model"] in ("vendor-chat", "claude-sonnet-4-5")


def value_of(body: bytes, field: bytes) -> bytes:
    """The bytes of a top-level value."""
    text = body.decode()
    start = text.index(":", text.index(field.decode()) + len(field)) + 1
    start += len(text[start:]) - len(text[start:].lstrip())
    _value, end = json.JSONDecoder().raw_decode(text, start)
    return text[start:end].encode()


@pytest.mark.parametrize("form", FORMATS)
def test_an_sdks_own_request_is_handed_on_whole(rig: Rig, form: str):
    unknown = {"extra_body": {"of_tomorrow": {"deep": [1, None]}}}
    messages = [user([text("Hi") | {"of_tomorrow": 1}])]
    body = sent_to(rig, form, form, messages=messages, **unknown)
    assert body["messages"] == messages
    assert body["of_tomorrow"] == {"deep": [1, None]}


@pytest.mark.parametrize("upstream", FORMATS)
def test_anthropics_headers_go_to_anthropic_only(rig: Rig, upstream: str):
    rig.script(Says(text="Fine."))
    more = {"anthropic-beta": "context-1m-2025-08-07", "anthropic-version": "2026-01-01", "x-mine": "secret"}
    rig.ask("anthropic", upstream, extra_headers=more)
    headers = rig.asked.headers
    if upstream == "anthropic":
        assert headers["anthropic-beta"] == "context-1m-2025-08-07"
        assert headers["anthropic-version"] == "2026-01-01"
    else:
        assert not [name for name in headers if name.startswith("anthropic")]
    assert "x-mine" not in headers


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_provider_gets_its_own_credential_and_never_the_callers(rig: Rig, client: str, upstream: str):
    rig.script(Says(text="Fine."))
    rig.ask(client, upstream)
    own = {"openai": ("authorization", "Bearer sk-provider-open"), "anthropic": ("x-api-key", "sk-provider-anth")}
    name, value = own[upstream]
    headers = rig.asked.headers
    assert headers[name] == value
    assert not [name for name, value in headers.items() if KEY in value or name.startswith("x-stainless")]
    if upstream == "anthropic" and client == "openai":
        assert headers["anthropic-version"] == "2023-06-01"


# --------------------------------------------------------------------------------------------------- the SDKs' own loops


class Place(pydantic.BaseModel):
    city: str


@pytest.mark.parametrize("upstream", FORMATS)
def test_a_strict_tool_is_parsed_by_openais_helper(rig: Rig, upstream: str):
    import openai

    rig.script(Says(calls=(Call("call_1", "Place", '{"city": "Zürich"}'),), size=3))
    chat = rig.sdks["openai"].client.chat.completions
    ask: Any = {
        "model": MODELS[upstream],
        "messages": [user("Where?")],
        "tools": [openai.pydantic_function_tool(Place)],
    }
    whole = chat.parse(**ask).choices[0].message.tool_calls
    with chat.stream(**ask) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    assert whole[0].function.parsed_arguments == streamed[0].function.parsed_arguments == Place(city="Zürich")
    assert [event.arguments for event in done] == ['{"city": "Zürich"}']
    tool = rig.upstream.asked[0].json["tools"][0]
    assert (tool["function"] if upstream == "openai" else tool)["strict"] is True


@pytest.mark.parametrize("upstream", FORMATS)
def test_a_loop_of_tool_calls_runs_to_its_end(rig: Rig, upstream: str):
    """As an agent does it: the answer's own objects go back as they are."""
    first = Says(thinking="I need the weather.", signature=SIGNATURE, text="One moment.", calls=(
        Call("call_1", "weather", ARGUMENTS), Call("call_2", "weather", '{"city": "Bern"}')))  # fmt: skip
    for name in FORMATS:
        rig.script(first)
        if name == "openai":
            chat = rig.sdks[name].client.chat.completions
            ask: Any = {"model": MODELS[upstream], **TOOLS[name]}
            messages: list[Any] = [user("Weather in two cities?")]
            said = chat.create(messages=messages, **ask).choices[0].message
            messages += [said, *({"role": "tool", "tool_call_id": c.id, "content": "Sunny"} for c in said.tool_calls)]
            rig.script(Says(text="Sunny in both."))
            assert chat.create(messages=messages, **ask).choices[0].message.content == "Sunny in both."
        else:
            create = rig.sdks[name].client.messages.create
            ask = {"model": MODELS[upstream], "max_tokens": 99, **TOOLS[name]}
            messages = [user("Weather in two cities?")]
            heard = create(messages=messages, **ask)
            results = [result(block.id, "Sunny") for block in heard.content if block.type == "tool_use"]
            messages += [assistant(heard.content), user(results)]
            rig.script(Says(text="Sunny in both."))
            assert create(messages=messages, **ask).content[0].text == "Sunny in both."
        roles = [message["role"] for message in rig.asked.json["messages"]]
        assert roles == (
            ["user", "assistant", "tool", "tool"] if upstream == "openai" else ["user", "assistant", "user"]
        )


# ---------------------------------------------------------------------------------------------------------- strictness


@pytest.fixture(scope="module")
def strict() -> Iterator[Rig]:
    with Rig("combos: {mixed: {targets: [anth/first, open/second]}}", server=", strict_translation: true") as rig:
        yield rig


@pytest.mark.parametrize("way", ["whole", "stream"])
@pytest.mark.parametrize("client", FORMATS)
def test_strictness_refuses_a_loss_before_anything_is_sent(strict: Rig, client: str, way: str):
    strict.script(Says(text="Fine."))
    sdk = strict.sdks[client]
    asked: dict[str, Any] = {"seed": 7} if client == "openai" else {"top_k": 7}
    upstream = "anthropic" if client == "openai" else "openai"
    with pytest.raises(sdk.errors.BadRequestError) as raised:
        sdk.ask(way, MODELS[upstream], **asked)
    (name,) = asked
    assert name in str(raised.value)
    assert "strict_translation" in str(raised.value)
    if client == "openai":
        assert raised.value.param == "sampling.seed"
    assert strict.upstream.asked == []


def test_strictness_prefers_a_target_that_loses_nothing(strict: Rig):
    strict.script(Says(text="Fine."))
    heard = strict.sdks["openai"].ask("whole", "mixed", seed=7)
    assert heard.headers["x-omniroute-provider"] == "open"
    assert [asked.json["model"] for asked in strict.upstream.asked] == ["second"]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_strictness_lets_pass_what_loses_nothing(strict: Rig, client: str, upstream: str):
    strict.script(Says(text="Fine."))
    assert strict.ask(client, upstream).text == "Fine."
    own = {"openai": {"seed": 7}, "anthropic": {"top_k": 7}}
    if client == upstream:
        assert strict.ask(client, upstream, **own[client]).text == "Fine."
