"""Ollama's chat and generate against recorded shapes of its servers, and against their own laws.

A folder of `ollama/` is one case: what a client or a server sent, and beside it what we understand of it (`chat.json`,
`events.json` or `message.json`, `fault-*.json`) and what we make of it (`body.json`, `through.txt`). Those of
`ollama_generate/` are what clients sent to `/api/generate`.
"""

from itertools import count, pairwise
from pathlib import Path
from random import Random

import httpx
import msgspec
import ollama as sdk
import pytest
from automata_ollama import generate as generate_automaton
from automata_ollama import ollama as automaton
from automata_ollama import request as request_automaton
from hypothesis import given
from hypothesis import strategies as st

from omniroute.errors import BadRequest, Fault, Unsupported
from omniroute.formats import anthropic, bridge, framing, ollama, ollama_generate, patch
from omniroute.formats.codec import PICTURE, TRUNCATED, Head
from omniroute.formats.fold import Message, fold
from omniroute.formats.ir import (
    Audio,
    BlockStop,
    CacheMark,
    Chat,
    Document,
    Failed,
    Finish,
    Image,
    Media,
    Opaque,
    Output,
    Raw,
    Reasoning,
    Refusal,
    RefusalDelta,
    Sampling,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolChoice,
    ToolDelta,
    ToolResult,
    ToolStart,
    Turn,
    Usage,
    UsageSeen,
)
from omniroute.formats.ollama import listing

CASES = Path(__file__).with_name("ollama")
REQUESTS = sorted(CASES.glob("*/request.json"))
STREAMS = sorted(CASES.glob("*/stream.txt"))
REPLIES = sorted(CASES.glob("*/reply.json"))
ERRORS = sorted(CASES.glob("*/error-*.json"))
PROMPTS = sorted(Path(__file__).with_name("ollama_generate").glob("*/request.json"))
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HI = {"role": "user", "content": "hi"}


def case(path):
    return path.parent.name


def pretty(value):
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def head(*, stream=True):
    return Head("coding", stream, {}, elapsed=count(1.5).__next__)


def decoded(*pieces):
    decoder = ollama.decoder()
    events = []
    for piece in pieces:
        events += decoder.feed(piece)
    return events + decoder.close()


def handed_on(way, *pieces):
    return b"".join(way.feed(piece) for piece in pieces) + way.close()


def encoded(events, codec=ollama):
    encoder = codec.encoder(head(), "1", 1700000000)
    return encoder.feed(events) + encoder.close()


def lines(stream):
    return [msgspec.json.decode(line) for line in stream.splitlines()]


def refusal(body, codec=ollama):
    with pytest.raises(BadRequest) as caught:
        codec.decode_request(codec.peek(body))
    return caught.value.fault


def understood(codec=ollama, **fields):
    body = {"model": "m"} | ({"messages": [HI]} if codec is ollama else {"prompt": "hi"}) | fields
    return codec.decode_request(codec.peek(msgspec.json.encode(body)))


def written(*blocks, role="user", **fields):
    return ollama.encode_request(Chat(turns=(Turn(role, blocks),), **fields), "theirs")


# --------------------------------------------------------------------------------------------------------- goldens


@pytest.mark.parametrize("path", REQUESTS, ids=case)
def test_a_request_means_what_was_reviewed_and_is_written_as_reviewed(path, golden):
    chat = ollama.decode_request(ollama.peek(path.read_bytes()))
    golden(path.with_name("chat.json"), pretty(chat))
    fields, losses = ollama.encode_request(chat, "theirs")
    golden(path.with_name("body.json"), pretty({"body": fields, "losses": losses}))
    request_automaton(msgspec.json.decode(patch.join(fields)))


@pytest.mark.parametrize("path", PROMPTS, ids=case)
def test_a_prompt_means_what_was_reviewed(path, golden):
    golden(path.with_name("chat.json"), pretty(ollama_generate.decode_request(ollama_generate.peek(path.read_bytes()))))


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_tells_what_was_reviewed_and_is_handed_on_as_reviewed(path, golden):
    stream = path.read_bytes()
    golden(path.with_name("events.json"), pretty(decoded(stream)))
    golden(path.with_name("through.txt"), handed_on(ollama.through(head()), stream).decode())


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_tells_what_its_stream_tells(path, golden):
    told = ollama.decode_reply(path.read_bytes())
    golden(path.with_name("message.json"), pretty(told))
    stream = path.with_name("stream.txt")
    if stream.exists():
        streamed = fold(decoded(stream.read_bytes()))
        assert told.blocks == streamed.blocks
        assert (told.usage, told.finish) == (streamed.usage, streamed.finish)


@pytest.mark.parametrize("path", ERRORS, ids=lambda path: path.stem)
def test_an_error_is_understood_as_reviewed(path, golden):
    status = int(path.stem.split("-")[1])
    fault = ollama.decode_error(status, path.read_bytes())
    assert fault.status == status
    golden(path.with_name(path.name.replace("error", "fault")), pretty(fault))


# ------------------------------------------------------------------------------------------------- streams, any way


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_tells_the_same_wherever_its_bytes_are_split(path):
    stream = path.read_bytes()
    events = decoded(stream)
    out = handed_on(ollama.through(head()), stream)
    for at in range(len(stream)):
        assert decoded(stream[:at], stream[at:]) == events
        assert handed_on(ollama.through(head()), stream[:at], stream[at:]) == out
    single = [stream[at : at + 1] for at in range(len(stream))]
    assert decoded(*single) == events
    assert handed_on(ollama.through(head()), *single) == out


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_handed_on_tells_the_same_under_the_name_that_was_asked_for(path):
    stream = path.read_bytes()
    way = ollama.through(head())
    out = handed_on(way, stream)
    events = [
        msgspec.structs.replace(event, model="coding") if isinstance(event, Start) else event
        for event in decoded(stream)
    ]
    if way.fault is not None:
        assert isinstance(events[-1], Failed)
        assert way.fault.status == events[-1].fault.status
        assert "error" in lines(out)[-1]
        return
    assert decoded(out) == events
    usages = [event.usage for event in events if isinstance(event, UsageSeen)]
    assert way.usage == (usages[-1] if usages else None)
    assert way.finish == events[-1].reason
    assert way.committed == any(isinstance(event, TextDelta | ThinkingDelta | ToolStart | Media) for event in events)


@pytest.mark.parametrize("path", STREAMS, ids=case)
@pytest.mark.parametrize(("codec", "reads"), [(ollama, automaton), (ollama_generate, generate_automaton)])
def test_a_stream_translated_is_a_legal_stream(path, codec, reads):
    events = decoded(path.read_bytes())
    seen = reads(encoded(events, codec))
    told = fold(events)
    said = "".join(block.text for block in told.blocks if isinstance(block, Text))
    assert seen.content.replace(PICTURE, "") == said
    assert seen.thinking == "".join(block.text for block in told.blocks if isinstance(block, Thinking))
    calls = [block for block in told.blocks if isinstance(block, ToolCall)]
    assert [(call["id"], call["name"], call["arguments"]) for call in seen.calls] == [
        (call.id, call.name, msgspec.json.decode(call.arguments)) for call in calls
    ]
    assert (seen.error is None) == (told.fault is None)


# --------------------------------------------------------------------------------------------------- requests, read


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content"),
        ({"messages": [HI | {"images": PNG}]}, "messages[0].images"),
        ({"messages": [HI | {"images": [1]}]}, "messages[0].images[0]"),
        ({"messages": [HI, HI | {"images": [PNG, "https://x.test/a.png"]}]}, "messages[1].images[1]"),
        ({"messages": [HI | {"images": [f"data:image/png;base64,{PNG}"]}]}, "messages[0].images[0]"),
        ({"messages": [HI | {"images": [""]}]}, "messages[0].images[0]"),
        ({"messages": [{"role": "system", "content": "x", "images": [PNG]}]}, "messages[0].images"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0]"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"stream": "yes"}, "stream"),
        ({"options": []}, "options"),
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"options": {"num_predict": "many"}}, "options.num_predict"),
        ({"options": {"seed": 1e30}}, "options.seed"),
        ({"options": {"stop": 1}}, "options.stop"),
        ({"format": "yaml"}, "format"),
        ({"format": [1]}, "format"),
        ({"think": "hard"}, "think"),
        ({"think": 1}, "think"),
        ({"keep_alive": []}, "keep_alive"),
        ({"top_logprobs": "2"}, "top_logprobs"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tools": [{"function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
        ({"model": ""}, "model"),
        ({"model": 1}, "model"),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(fields, param):
    fault = refusal(msgspec.json.encode({"model": "m", "messages": [HI], **fields}))
    assert (fault.status, fault.param) == (400, param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": 1}, "prompt"),
        ({"prompt": "hi", "suffix": "x"}, "suffix"),
        ({"prompt": "hi", "raw": True}, "raw"),
        ({"prompt": "hi", "template": "{{ .Prompt }}"}, "template"),
        ({"prompt": "hi", "context": [1, 2]}, "context"),
        ({"prompt": "hi", "images": ["./a.png"]}, "images[0]"),
        ({"prompt": "hi", "options": {"top_p": "x"}}, "options.top_p"),
        ({}, "prompt"),
    ],
)
def test_a_prompt_that_cannot_be_carried_is_refused_with_its_place(fields, param):
    fault = refusal(msgspec.json.encode({"model": "m", **fields}), ollama_generate)
    assert (fault.status, fault.param) == (400, param)


def test_silence_means_a_stream_and_the_latest_tag_is_none():
    for stream, told in ((None, True), (True, True), (False, False)):
        assert ollama.peek(msgspec.json.encode({"model": "m", "messages": [HI], "stream": stream})).stream is told
    for asked, model in (
        ("m", "m"),
        ("m:latest", "m"),
        ("m:7b", "m:7b"),
        ("a/m:latest", "a/m"),
        (":latest", ":latest"),
    ):
        assert ollama.peek(msgspec.json.encode({"model": asked, "messages": [HI]})).model == model
        assert ollama_generate.peek(msgspec.json.encode({"model": asked, "prompt": "x"})).model == model


@pytest.mark.parametrize(
    ("options", "limit"),
    [({"num_predict": -1}, None), ({"num_predict": 0}, None), ({"num_predict": 7.9}, 7), ({}, None)],
)
def test_a_limit_that_is_not_positive_is_none(options, limit):
    assert understood(options=options).sampling.max_tokens == limit


def test_arguments_keep_their_order_and_their_numbers():
    arguments = '{"z":12345678901234567890123,"a":1.50,"é":{"y":1e3,"b":[]}}'
    body = (
        b'{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":%b}}]}]}'
        % arguments.encode()
    )
    chat = ollama.decode_request(ollama.peek(body))
    assert chat.turns[0].blocks == (ToolCall("call_1", "f", arguments),)
    fields, losses = ollama.encode_request(chat, "m")
    assert arguments.encode() in patch.join(fields)
    assert not losses
    line = b'{"model":"m","message":{"tool_calls":[{"function":{"name":"f","arguments":%b}}]},"done":false}\n'
    assert ToolDelta(0, arguments) in decoded(line % arguments.encode())
    assert arguments.encode() in encoded([ToolStart(0, "c", "f"), ToolDelta(0, arguments), Finish("stop")])


def test_results_belong_to_the_first_call_of_their_tool_that_has_none():
    called = {"role": "assistant", "tool_calls": [{"function": {"name": name, "arguments": {}}} for name in "abab"]}
    results = [{"role": "tool", "content": name, "tool_name": name} for name in "bbaa"]
    chat = understood(messages=[HI, called, *results, {"role": "tool", "content": "?", "tool_name": "a"}])
    assert [result.id for result in chat.turns[2].blocks] == ["call_2", "call_4", "call_1", "call_3", "call_5"]
    unnamed = understood(messages=[HI, called, {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}])
    assert [result.id for result in unnamed.turns[2].blocks] == ["call_1", "call_2"]


def test_a_conversation_that_grows_keeps_the_ids_of_its_calls():
    turn = [
        HI,
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
        {"role": "tool", "content": "x", "tool_name": "f"},
    ]
    assert understood(messages=turn * 3).turns[:3] == understood(messages=[*turn, HI]).turns[:3]


JUNK = [None, True, 0, -1, 2**70, 1.5, "", "x", [], {}, [[]], [None], {"function": None}, ["\u2028"], "\ud800"]


def mutate(random, value):
    """The same with one thing in it swapped, dropped or doubled."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        if random.random() < 0.1:
            return {other: inner for other, inner in value.items() if other != key}
        return {**value, key: mutate(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.85:
        at = random.randrange(len(value))
        return [*value[:at], mutate(random, value[at]), *value[at:][random.random() < 0.9 :]]
    return random.choice(JUNK[:-1])


@pytest.mark.parametrize(("codec", "paths"), [(ollama, REQUESTS), (ollama_generate, PROMPTS)])
def test_no_request_however_malformed_raises_anything_but_bad_request(codec, paths):
    random = Random(7)
    bodies = [msgspec.json.decode(path.read_bytes()) for path in paths]
    refused = 0
    for _ in range(3000):
        body = msgspec.json.encode(mutate(random, random.choice(bodies)))
        try:
            peeked = codec.peek(body)
            chat = codec.decode_request(peeked)
        except BadRequest:
            refused += 1
            continue
        fields, _ = ollama.encode_request(chat, "m")
        request_automaton(msgspec.json.decode(patch.join(fields)))
        anthropic.encode_request(chat, "m")
    assert 300 < refused < 2800


@pytest.mark.parametrize(
    "content", [b'"\\ud800"', b'"\\udc00x"', b'"\xff"', b"[" * 100_000, b'{"a":' + b"[" * 100_000, b"1e999"]
)
def test_text_that_is_no_text_is_refused(content):
    body = b'{"model":"m","messages":[{"role":"user","content":' + content + b"}]}"
    assert refusal(body).status == 400
    assert refusal(b'{"model":"m","prompt":' + content + b"}", ollama_generate).status == 400


# --------------------------------------------------------------------------------------- requests that ask for nothing


@pytest.mark.parametrize(
    ("codec", "body", "nothing"),
    [
        (ollama, {"messages": []}, {"message": {"role": "assistant", "content": ""}}),
        (ollama, {"messages": None}, {"message": {"role": "assistant", "content": ""}}),
        (ollama, {}, {"message": {"role": "assistant", "content": ""}}),
        (ollama_generate, {}, {"response": ""}),
        (ollama_generate, {"prompt": "", "images": []}, {"response": ""}),
    ],
)
def test_a_request_that_only_loads_is_recognised_and_answered(codec, body, nothing):
    for keep_alive, reason in ((None, "load"), ("5m", "load"), (-1, "load"), (0, "unload"), ("0s", "unload")):
        peeked = codec.peek(msgspec.json.encode({"model": "m:latest", **body, "keep_alive": keep_alive}))
        answer = peeked.at_once(1700000000)
        assert msgspec.json.decode(answer) == {
            "model": "m",
            "created_at": "2023-11-14T22:13:20Z",
            **nothing,
            "done": True,
            "done_reason": reason,
        }
        with pytest.raises(BadRequest, match="loads a model"):
            codec.decode_request(peeked)
    assert codec.peek(msgspec.json.encode({"model": "m", "messages": [HI], "prompt": "x"})).at_once is None


def test_loading_is_handed_on_to_an_upstream_that_can():
    peeked = ollama.peek(b'{"model":"coding","messages":[],"keep_alive":"1h"}')
    assert patch.join(ollama.forward(peeked, "qwen3")) == b'{"model":"qwen3","messages":[],"keep_alive":"1h"}'


# ------------------------------------------------------------------------------------------------- requests, written


@pytest.mark.parametrize("path", REQUESTS, ids=case)
def test_forwarding_keeps_every_byte_but_the_model(path):
    peeked = ollama.peek(path.read_bytes())
    fields = ollama.forward(peeked, "theirs")
    assert {name: bytes(raw) for name, raw in fields.items() if name != "model"} == {
        name: bytes(raw) for name, raw in peeked.fields.items() if name != "model"
    }
    assert fields["model"] == "theirs"


@pytest.mark.parametrize("path", REQUESTS, ids=case)
def test_a_chat_comes_back_from_its_own_body(path):
    fields, losses = ollama.encode_request(ollama.decode_request(ollama.peek(path.read_bytes())), "coding")
    assert not losses
    body = patch.join(fields)
    again, losses = ollama.encode_request(ollama.decode_request(ollama.peek(body)), "coding")
    assert not losses
    assert patch.join(again) == body


@pytest.mark.parametrize(
    ("asked", "sent", "codes"),
    [
        ({"sampling": Sampling(max_tokens=5, top_k=3, stop=("a",))}, {"options": {"num_predict": 5, "top_k": 3, "stop": ["a"]}}, []),
        ({"sampling": Sampling(n=2, logit_bias=Raw(b"{}"))}, {}, ["logit_bias", "n"]),
        ({"sampling": Sampling(n=1, logprobs=True, top_logprobs=2)}, {"logprobs": True, "top_logprobs": 2}, []),
        ({"reasoning": Reasoning(effort="none")}, {"think": False}, []),
        ({"reasoning": Reasoning(off=True)}, {"think": False}, []),
        ({"reasoning": Reasoning(effort="minimal")}, {"think": "low"}, ["effort"]),
        ({"reasoning": Reasoning(effort="medium")}, {"think": "medium"}, []),
        ({"reasoning": Reasoning(effort="max")}, {"think": "high"}, ["effort"]),
        ({"reasoning": Reasoning(effort="max"), "vendor_format": "ollama"}, {"think": "max"}, []),
        ({"reasoning": Reasoning(adaptive=True)}, {}, []),
        ({"reasoning": Reasoning(adaptive=True), "vendor_format": "ollama"}, {"think": True}, []),
        ({"reasoning": Reasoning(budget=2048)}, {"think": "low"}, ["thinking_budget"]),
        ({"reasoning": Reasoning(budget=2049)}, {"think": "medium"}, ["thinking_budget"]),
        ({"reasoning": Reasoning(budget=30000, show="summarized")}, {"think": "high"}, ["thinking_display", "thinking_budget"]),
        ({"output": Output("json_object")}, {"format": "json"}, []),
        ({"output": Output("json_schema", schema=Raw(b'{"type":"object"}'), strict=True)}, {"format": {"type": "object"}}, []),
        ({"output": Output("json_schema", description="d", schema=Raw(b"{}"))}, {"format": {}}, ["schema_description"]),
        ({"output": Output("json_schema")}, {"format": "json"}, []),
        ({"verbosity": "low", "user": "u", "metadata": Raw(b"{}"), "service_tier": "flex"}, {}, ["verbosity", "user", "metadata", "service_tier"]),
        ({"vendor_format": "anthropic", "vendor": {"container": Raw(b'"c"')}}, {}, ["container"]),
        ({"vendor_format": "ollama", "vendor": {"keep_alive": Raw(b"0"), "options.num_ctx": Raw(b"9")}}, {"keep_alive": 0, "options": {"num_ctx": 9}}, []),
        ({"tool_choice": ToolChoice("required")}, {}, ["tool_choice"]),
        ({"parallel_tools": False}, {}, []),
        ({"system": (Text("a", CacheMark()), Text("b"))}, {}, ["cache_control"]),
    ],
)  # fmt: skip
def test_what_the_dialect_cannot_say_is_told(asked, sent, codes):
    fields, losses = written(Text("hi"), **asked)
    assert [loss.code for loss in losses] == codes
    rest = {name: value for name, value in fields.items() if name not in ("model", "messages", "stream")}
    assert msgspec.json.decode(msgspec.json.encode(rest)) == sent
    assert fields["stream"] is False


@pytest.mark.parametrize(
    ("choice", "names", "codes"),
    [
        (None, ["f", "g"], []),
        (ToolChoice("auto"), ["f", "g"], []),
        (ToolChoice("none"), [], []),
        (ToolChoice("required"), ["f", "g"], ["tool_choice"]),
        (ToolChoice("one", "f"), ["f", "g"], ["tool_choice"]),
        (ToolChoice("auto", allowed=("g",)), ["g"], ["allowed_tools"]),
    ],
)
def test_a_choice_of_tools_is_all_or_none(choice, names, codes):
    fields, losses = written(Text("hi"), tools=(Tool("f"), Tool("g")), tool_choice=choice)
    assert [tool["function"]["name"] for tool in fields.get("tools", ())] == names
    assert [loss.code for loss in losses] == codes


def test_tools_that_are_none_here_are_told():
    tools = (
        Tool("c", "d", custom=True),
        Tool("s", format="anthropic", opaque=Raw(b"{}")),
        Tool("t", strict=True, cache=CacheMark()),
    )
    fields, losses = written(Text("hi"), tools=tools, parallel_tools=False)
    assert [tool["function"]["name"] for tool in fields["tools"]] == ["c", "t"]
    assert {loss.code for loss in losses} == {"custom_tool", "tool", "strict", "cache_control", "parallel_tools"}


@pytest.mark.parametrize(
    ("blocks", "message", "codes"),
    [
        ((Text("a"), Image("image/png", PNG), Text("b")), {"content": "a\n\nb", "images": [PNG]}, []),
        ((Image(data=PNG, detail="high"),), {"content": "", "images": [PNG]}, ["image_detail"]),
        ((Image(file_id="f"),), {"content": ""}, ["image_file"]),
        ((Audio("aGk=", "wav"), Text("a")), {"content": "a"}, ["audio"]),
        ((Document(text="t", name="n", context="c", citations=True),), {"content": "n\n\nc\n\nt"}, ["citations"]),
        ((Document("application/pdf", "aGk="),), {"content": ""}, ["document"]),
        ((Opaque("anthropic", "search_result", Raw(b"{}")),), {"content": ""}, ["search_result"]),
        ((), {"content": ""}, []),
    ],
)
def test_what_a_message_cannot_hold_is_told(blocks, message, codes):
    fields, losses = written(*blocks)
    assert fields["messages"] == [{"role": "user"} | message]
    assert [loss.code for loss in losses] == codes


def test_an_image_by_its_address_is_refused_and_not_dropped():
    for blocks in (
        (Image(url="https://x.test/a.png"),),
        (ToolResult("c", (Image(url="https://x.test/a.png"),)),),
    ):
        with pytest.raises(Unsupported, match=r"server\.fetch_images") as caught:
            written(Text("look"), *blocks)
        assert caught.value.fault.param.startswith("turns[0].blocks[1]")


def test_an_assistants_turn_keeps_its_own_thinking_and_no_others():
    blocks = (
        Thinking("mine ", issuer="ollama"),
        Thinking("theirs", "sealed", issuer="anthropic"),
        Thinking("too", issuer="ollama"),
        Text("a"),
        Refusal("b"),
        ToolCall("c1", "f", '{"a":1}'),
        ToolCall("c2", "g", "free", custom=True),
        ToolCall("c3", "h", "[1"),
    )
    fields, losses = written(*blocks, role="assistant")
    (message,) = msgspec.json.decode(patch.join(fields))["messages"]
    assert message == {
        "role": "assistant",
        "content": "ab",
        "thinking": "mine too",
        "tool_calls": [
            {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}},
            {"id": "c2", "function": {"index": 1, "name": "g", "arguments": {"input": "free"}}},
            {"id": "c3", "function": {"index": 2, "name": "h", "arguments": {"arguments": "[1"}}},
        ],
    }
    assert [loss.code for loss in losses] == ["thinking", "arguments"]


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        (None, 9),
        ({}, 9),
        ({"num_predict": 5}, 5),
        ({"num_predict": 500}, 9),
        ({"num_predict": -1}, 9),
        ({"num_predict": 0}, 9),
        ({"num_predict": None, "seed": 1}, 9),
        ({"num_predict": 8.0}, 8),
    ],
)
def test_a_limit_is_set_and_only_ever_lowered(options, limit):
    peeked = ollama.peek(msgspec.json.encode({"model": "m", "messages": [HI], "options": options}))
    for fields in (
        ollama.forward(peeked, "m"),
        ollama.encode_request(ollama.decode_request(peeked), "m")[0],
    ):
        sent = msgspec.json.decode(patch.join(ollama.limited(fields, 9)))
        assert sent["options"] == {**(options or {}), "num_predict": limit}


def test_a_model_that_cannot_think_is_asked_without():
    refused = ollama.decode_error(400, (CASES / "errors/error-400-think.json").read_bytes())
    assert ollama.seal_refused(refused)
    assert not ollama.seal_refused(ollama.decode_error(400, (CASES / "errors/error-400-tools.json").read_bytes()))
    fields, _ = written(Text("hi"), reasoning=Reasoning(effort="low"))
    assert ollama.unsealed(fields) == {name: value for name, value in fields.items() if name != "think"}
    assert ollama.unsealed(written(Text("hi"))[0]) is None


# -------------------------------------------------------------------------------------------------- answers, written

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NAMES = st.sampled_from(["f", "get_weather", "名"])
PIECES = st.text(st.sampled_from('{"é x}:1'), min_size=1, max_size=4)
EVENTS = st.lists(
    st.one_of(
        st.builds(TextDelta, TEXT),
        st.builds(TextDelta, TEXT, st.just(Raw(b'[{"token":"a","logprob":-1.0}]'))),
        st.builds(RefusalDelta, TEXT),
        st.builds(ThinkingDelta, TEXT, issuer=st.just("anthropic")),
        st.builds(ThinkingDelta, signature=st.just("s"), issuer=st.just("anthropic")),
        st.builds(ThinkingDelta, redacted=st.just("r"), issuer=st.just("anthropic")),
        st.builds(ToolStart, st.integers(0, 3), NAMES, NAMES, st.booleans()),
        st.builds(ToolDelta, st.integers(0, 3), PIECES),
        st.builds(BlockStop, st.none() | st.integers(0, 3)),
        st.builds(Media, st.just(Image(media_type="image/png", data="aGk="))),
        st.builds(Media, st.just(Image(url="https://x.test/a.png"))),
        st.builds(Media, st.just(Audio("aGk=", "wav"))),
        st.builds(Media, st.just(Opaque("anthropic", "x", Raw(b"{}")))),
        st.builds(UsageSeen, st.builds(Usage, *[st.integers(0, 99)] * 4)),
        st.builds(Start),
    ),
    max_size=14,
)
ENDS = st.one_of(
    st.builds(Finish, st.sampled_from(["stop", "length", "tool_calls", "refusal", "context_window", "content_filter"])),
    st.builds(lambda text: Failed(Fault(kind="overloaded", status=529, message=text)), TEXT),
)


@given(EVENTS, st.lists(ENDS, max_size=2), EVENTS)
def test_whatever_an_encoder_is_fed_its_stream_is_legal(events, ends, after):
    for codec, reads in ((ollama, automaton), (ollama_generate, generate_automaton)):
        seen = reads(encoded([*events, *ends, *after], codec))
        if not ends:
            assert seen.error == TRUNCATED.message


@given(EVENTS, st.builds(Finish, st.sampled_from(["stop", "length"])))
def test_a_whole_answer_says_what_the_stream_says(events, finish):
    told = fold([*events, finish])
    for codec, reads in ((ollama, automaton), (ollama_generate, generate_automaton)):
        streamed = reads(encoded([*events, finish], codec))
        at_once = reads(codec.encode_reply(told, head(), "1", 1700000000) + b"\n")
        for name in ("content", "thinking", "images", "calls", "logprobs", "reason"):
            if name != "content" or codec is ollama:
                assert getattr(at_once, name) == getattr(streamed, name), name
            assert len(at_once.content) == len(streamed.content)


@given(EVENTS, st.builds(Finish, st.sampled_from(["stop", "length"])))
def test_what_an_encoder_writes_a_decoder_reads(events, finish):
    told = fold([*events, finish])
    back = fold(decoded(encoded([*events, finish])))
    calls = [block for block in told.blocks if isinstance(block, ToolCall)]
    heard = [block for block in back.blocks if isinstance(block, ToolCall)]
    assert [(call.id, call.name) for call in heard if call.id] == [(call.id, call.name) for call in calls if call.id]
    assert "".join(block.text for block in back.blocks if isinstance(block, Thinking)) == "".join(
        block.text for block in told.blocks if isinstance(block, Thinking)
    )
    spent = None if told.usage is None else (told.usage.input, told.usage.output)
    assert (None if back.usage is None else (back.usage.input, back.usage.output)) == spent
    assert back.finish == ("tool_calls" if calls and finish.reason == "stop" else finish.reason)


def test_a_call_is_told_once_its_arguments_are_whole_and_in_its_turn():
    encoder = ollama.encoder(head(), "1", 1700000000)
    opening = [ToolStart(0, "a", "f"), ToolDelta(0, '{"x"'), ToolStart(1, "b", "g"), ToolDelta(1, "{}"), BlockStop(1)]
    assert encoder.feed(opening) == b""
    first, second = lines(encoder.feed([ToolDelta(0, ":1}"), BlockStop(0)]))[0]["message"]["tool_calls"]
    assert first == {"id": "a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}
    assert second == {"id": "b", "function": {"index": 1, "name": "g", "arguments": {}}}
    assert encoder.feed([ToolStart(2, "c", "h")]) == b""
    (last, _end) = lines(encoder.feed([Finish("tool_calls")]))
    assert last["message"]["tool_calls"] == [{"id": "c", "function": {"index": 2, "name": "h", "arguments": {}}}]


def test_durations_are_those_that_the_client_waited():
    clock = iter([0.25, 2.0]).__next__
    encoder = ollama.encoder(Head("m", True, {}, elapsed=clock), "1", 1700000000)
    encoder.feed([Start(), UsageSeen(Usage(7, 0))])
    encoder.feed([ThinkingDelta("hm")])
    (end,) = lines(encoder.feed([UsageSeen(Usage(7, 3)), Finish("stop")]))
    assert {name: value for name, value in end.items() if name.endswith(("duration", "count"))} == {
        "total_duration": 2_000_000_000,
        "load_duration": 0,
        "prompt_eval_count": 7,
        "prompt_eval_duration": 250_000_000,
        "eval_count": 3,
        "eval_duration": 1_750_000_000,
    }
    told = Message(blocks=(Text("a"),), usage=Usage(7, 3), finish="stop")
    whole = msgspec.json.decode(ollama.encode_reply(told, Head("m", False, {}, elapsed=lambda: 1.5), "1", 0))
    assert (whole["total_duration"], whole["eval_duration"]) == (1_500_000_000, 1_500_000_000)
    assert "prompt_eval_duration" not in whole, "nobody knows when the first word was"


def test_a_translation_takes_the_time_from_the_head():
    ticks = count()
    way = bridge.stream(anthropic, ollama, Head("m", True, {}, elapsed=ticks.__next__), "id", 1700000000)
    way.feed((Path(__file__).parent / "anthropic/text/stream.txt").read_bytes())
    assert next(ticks) == 2, "once at the first word, once at the end: no clock is read for a piece of text"


# ----------------------------------------------------------------------------------------------------- answers, read


def test_no_bytes_of_an_upstream_raise_out_of_a_stream():
    random = Random(11)
    streams = [path.read_bytes() for path in STREAMS]
    for _ in range(3000):
        stream = bytearray(random.choice(streams))
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(stream) + 1)
            stream[at : at + random.randrange(4)] = random.choice(
                [b"", b"\xff", b"\n", b"null", b"1", b'"', b"{", b"[1]", b"}"]
            )
        events = decoded(bytes(stream))
        assert isinstance(events[-1], Finish | Failed)
        assert sum(isinstance(event, Finish | Failed) for event in events) == 1
        assert sum(isinstance(event, Start) for event in events) <= 1
        automaton(encoded(events))
        out = handed_on(ollama.through(head()), bytes(stream))
        last = lines(out)[-1]
        assert "error" in last or last["done"]


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 100_000,
        b'{"message":' + b"[" * 100_000,
        b'{"x":' + b"[" * 100_000,
        b"1",
        b'"x"',
        b"{}",
        b"{}x",
        b'{"message":1}',
        b"data: {}",
    ],
)
def test_malformed_lines_end_the_stream_with_a_fault(payload):
    line = payload + b"\n"
    (failed,) = decoded(line)
    assert failed.fault.code == "upstream_malformed"
    way = ollama.through(head())
    assert way.feed(line).startswith(b'{"error":"the answer is not what it should be')
    assert (way.feed(line), way.close(), way.fail(TRUNCATED)) == (b"", b"", b"")
    with pytest.raises(ValueError):
        ollama.decode_reply(payload)
    with pytest.raises(ValueError):
        ollama.relabel(payload, Head("m", stream=False, fields={}))


@pytest.mark.parametrize("calls", [[{}], [{"function": None}], [{"function": {"arguments": {}}}]])
def test_a_call_of_no_function_is_malformed(calls):
    line = msgspec.json.encode({"model": "m", "message": {"tool_calls": calls}, "done": False}) + b"\n"
    assert decoded(line)[-1].fault.code == "upstream_malformed"


def test_hostile_counts_are_held_within_bounds():
    line = b'{"model":"m","message":{"content":"a"},"done":true,"prompt_eval_count":1e300,"eval_count":-7}\n'
    assert [event.usage for event in decoded(line) if isinstance(event, UsageSeen)] == [Usage(2**53, 0)]


def test_an_error_status_is_a_kind_that_all_formats_know():
    kinds = {404: "not_found", 401: "authentication", 429: "rate_limited", 503: "unavailable", 500: "server"}
    for status, kind in kinds.items():
        assert ollama.decode_error(status, b'{"error":"x"}').kind == kind


# -------------------------------------------------------------------------------------------------- answers, handed on


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_handed_on_differs_in_its_models_name_only(path):
    body = path.read_bytes()
    reply = ollama.relabel(body, Head("coding", stream=False, fields={}))
    told = ollama.decode_reply(body)
    if told.fault is not None:
        assert (reply.fault, reply.body) == (told.fault, b"")
        return
    assert msgspec.json.decode(reply.body) == {**msgspec.json.decode(body), "model": "coding"}
    assert (reply.usage, reply.finish) == (told.usage, told.finish)
    assert reply.fault is None


def line_of(content, model="llama3.2", **more):
    record = {
        "model": model,
        "created_at": "2025-10-09T12:00:00.1Z",
        "message": {"role": "assistant", "content": content},
    }
    return msgspec.json.encode(record | {"done": False} | more) + b"\n"


END = b'{"model":"llama3.2","created_at":"x","message":{"role":"assistant","content":""},"done":true}\n'


def test_blocks_of_content_pass_with_their_model_renamed():
    way = ollama.through(head())
    assert way.feed(line_of("")) == line_of("", "coding")
    assert not way.committed
    assert way.feed(line_of("a")) == line_of("a", "coding")
    assert (way.committed, way.produced) == (True, 1)
    block = b"".join(line_of(text) for text in ("b", "c", '"model":"llama3.2"', '"done":true', '"done":false', "é"))
    assert way.feed(block) == block.replace(b'"model":"llama3.2"', b'"model":"coding"')
    assert way.produced == 7


@given(
    st.lists(TEXT, min_size=3, max_size=12),
    st.lists(st.integers(0, 3000), max_size=6),
    st.sampled_from([(b"", b""), (b'":', b'": '), (b"\n", b"\r\n"), (b"\n", b"\n\n")]),
)
def test_pieces_of_any_size_are_handed_on_alike(texts, cuts, changed):
    stream = b"".join(map(line_of, texts)).replace(*changed) + END
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    way = ollama.through(head())
    out = handed_on(way, *(stream[start:stop] for start, stop in pairwise(edges)))
    due = [msgspec.json.decode(line) | {"model": "coding"} for _, line in framing.NDJSON().feed(stream)]
    assert lines(out) == due
    assert way.produced >= sum(map(bool, texts))


@pytest.mark.parametrize(
    "odd",
    [
        line_of("o", "another-model"),
        line_of("o").replace(b'":', b'": '),
        line_of("o").replace(b'"model":"llama3.2",', b""),
        line_of("o").replace(b"\n", b"\r\n"),
        line_of("o", meta={"model": "llama3.2", "done": False}),
        line_of("o", error=None),
        line_of("o").replace(b'"done":false', b'"done": false'),
        line_of("o").replace(b',"done":false', b""),
    ],
)
def test_a_line_that_is_written_otherwise_is_renamed_too(odd):
    way = ollama.through(head())
    out = way.feed(line_of("a") + line_of("b"))
    out += way.feed(line_of("c") + odd + line_of("d")) + way.feed(line_of("e"))
    assert way.fault is None
    assert [line["model"] for line in lines(out)] == ["coding"] * 6
    assert "".join(line["message"]["content"] for line in lines(out)) == "abcode"
    assert way.produced == 6


def test_arguments_that_speak_of_a_model_stay_as_they_are():
    message = {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"function": {"name": "f", "arguments": {"model": "llama3.2"}}}],
    }
    way = ollama.through(head())
    way.feed(line_of("a"))
    (told,) = lines(way.feed(line_of("", message=message)))
    assert (told["model"], told["message"]) == ("coding", message)
    assert lines(way.feed(END))[0]["done"]
    assert way.finish == "tool_calls"


def test_an_upstream_lost_in_mid_stream_ends_in_an_error():
    way = ollama.through(head())
    out = way.feed(line_of("a")) + way.fail(Fault(kind="timeout", status=504, message="no byte for 120 s"))
    assert out.endswith(b'{"error":"no byte for 120 s"}\n')
    assert way.fault.status == 504
    assert (way.close(), way.feed(line_of("b"))) == (b"", b"")


def test_an_endless_line_is_cut_off(monkeypatch):
    monkeypatch.setattr(framing, "EVENT_LIMIT", 100)
    way = ollama.through(head())
    assert way.feed(b"x" * 50) == b""
    assert way.feed(b"x" * 100).startswith(b'{"error":')
    assert decoded(b"x" * 50, b"x" * 100)[-1].fault.code == "upstream_malformed"


def test_what_is_no_error_is_one_without_words():
    for body in (b"", b"[]", b"1", b"null", b'{"error":null}', b"[" * 100_000, b"\xff"):
        assert ollama.decode_error(500, body) == Fault(kind="server", status=500, message="")


# ------------------------------------------------------------------------------------------------- the official client


def served(answer, *, status=200, kind=b"application/x-ndjson"):
    """The official client, and what it sent; the server answers with these bytes."""
    sent = []

    def serve(request):
        sent.append(request)
        return httpx.Response(status, content=answer, headers={"content-type": kind})

    return sdk.Client("http://test", transport=httpx.MockTransport(serve)), sent


STORY = [
    Start("x", "theirs"),
    ThinkingDelta("Hm.", issuer="anthropic"),
    TextDelta("Hel"),
    TextDelta("lo 👋"),
    ToolStart(0, "toolu_1", "get_weather"),
    ToolDelta(0, '{"city":'),
    ToolDelta(0, '"Oslo"}'),
    BlockStop(0),
    UsageSeen(Usage(12, 34)),
    Finish("tool_calls"),
]


def test_the_official_client_reads_a_stream_and_its_own_request_is_read():
    client, sent = served(encoded(STORY))

    def get_weather(city: str) -> str:
        """The weather of a city.

        Args:
          city: Its name
        """
        return city

    messages = [
        {"role": "user", "content": "hi", "images": [PNG]},
        sdk.Message(role="assistant", content="", tool_calls=[
            sdk.Message.ToolCall(function=sdk.Message.ToolCall.Function(name="get_weather", arguments={"city": "Oslo"}))
        ]),
        {"role": "tool", "content": "cold", "tool_name": "get_weather"},
    ]  # fmt: skip
    parts = list(
        client.chat(
            "coding",
            messages=messages,
            tools=[get_weather],
            stream=True,
            think=True,
            format={"type": "object"},
            options=sdk.Options(temperature=0.5, num_ctx=4096),
            keep_alive="5m",
        )
    )
    assert "".join(part.message.content for part in parts) == "Hello 👋"
    assert "".join(part.message.thinking or "" for part in parts) == "Hm."
    (call,) = [call for part in parts for call in part.message.tool_calls or ()]
    assert (call.function.name, call.function.arguments) == ("get_weather", {"city": "Oslo"})
    last = parts[-1]
    assert (last.done, last.done_reason, last.model) == (True, "stop", "coding")
    assert (last.prompt_eval_count, last.eval_count) == (12, 34)
    assert (last.total_duration, last.prompt_eval_duration, last.eval_duration) == (2_500_000_000, 1_500_000_000, 10**9)
    chat = ollama.decode_request(ollama.peek(sent[0].content))
    assert chat.stream
    assert chat.turns[2].blocks == (ToolResult("call_1", (Text("cold"),)),)
    assert chat.tools[0].name == "get_weather"
    assert set(chat.vendor) == {"keep_alive", "options.num_ctx"}


def test_the_official_client_reads_a_whole_answer():
    client, sent = served(ollama.encode_reply(fold(STORY), head(), "1", 1700000000), kind=b"application/json")
    told = client.chat("coding", messages=[HI])
    assert (told.message.content, told.message.thinking) == ("Hello 👋", "Hm.")
    assert told.message.tool_calls[0].function.arguments == {"city": "Oslo"}
    assert told.eval_duration == 1_500_000_000
    assert not ollama.peek(sent[0].content).stream


def test_the_official_client_generates():
    client, sent = served(encoded(STORY[:4] + STORY[8:], ollama_generate))
    parts = list(client.generate("coding", "hi", system="Be.", images=[PNG], stream=True, think="low"))
    assert "".join(part.response for part in parts) == "Hello 👋"
    assert parts[0].thinking == "Hm."
    assert parts[-1].eval_count == 34
    chat = ollama_generate.decode_request(ollama_generate.peek(sent[0].content))
    assert chat.turns[0].blocks == (Text("hi"), Image("image/png", PNG))
    whole = ollama_generate.encode_reply(fold(STORY[:4] + STORY[8:]), head(), "1", 1700000000)
    client, _ = served(whole, kind=b"application/json")
    assert client.generate("coding", "hi").response == "Hello 👋"


def test_the_official_client_is_told_that_a_model_is_loaded():
    client, sent = served(ollama_generate.peek(b'{"model":"coding","prompt":""}').at_once(1700000000))
    assert client.generate("coding").done_reason == "load"
    assert ollama_generate.peek(sent[0].content).at_once is not None
    client, sent = served(ollama.peek(b'{"model":"coding"}').at_once(1700000000))
    assert client.chat("coding").done_reason == "load"
    assert ollama.peek(sent[0].content).at_once is not None


def test_the_official_client_raises_what_it_is_told():
    fault = Fault(kind="overloaded", status=529, message="too busy")
    client, _ = served(encoded([Start(), TextDelta("a"), Failed(fault)]))
    seen = []
    with pytest.raises(sdk.ResponseError, match="too busy"):
        seen += (part.message.content for part in client.chat("coding", messages=[HI], stream=True))
    assert seen == ["a"]
    client, _ = served(ollama.encode_error(fault, "r"), status=404, kind=b"application/json")
    with pytest.raises(sdk.ResponseError, match="too busy") as caught:
        client.chat("coding", messages=[HI])
    assert caught.value.status_code == 404
    assert ollama.ping(head()) == b""


# ------------------------------------------------------------------------------------------------ what models there are

CODING = listing.Described("coding", "chat", 200_000, frozenset({"tools", "vision", "reasoning", "pdf"}), 1700000000)
EMBED = listing.Described("openai/text-embedding-3-small", "embedding")


def test_the_official_client_lists_models():
    client, _ = served(listing.tags([CODING, EMBED]), kind=b"application/json")
    first, second = client.list().models
    assert (first.model, second.model) == ("coding", "openai/text-embedding-3-small")
    assert first.modified_at.timestamp() == 1700000000
    assert first.digest != second.digest
    client, _ = served(listing.ps([CODING], 1700000000.5), kind=b"application/json")
    (ready,) = client.ps().models
    assert (ready.name, ready.context_length) == ("coding", 200_000)
    assert ready.expires_at.timestamp() == 1700086400
    assert "version" in msgspec.json.decode(listing.version())


def test_the_official_client_is_shown_a_model():
    client, sent = served(listing.show(CODING), kind=b"application/json")
    shown = client.show("coding:latest")
    assert listing.asked(sent[0].content) == "coding"
    assert shown.capabilities == ["completion", "thinking", "tools", "vision"]
    architecture = shown.modelinfo["general.architecture"]
    assert shown.modelinfo[f"{architecture}.context_length"] == 200_000
    assert shown.parameters == "num_ctx 200000"
    client, _ = served(listing.show(EMBED), kind=b"application/json")
    assert client.show("x").capabilities == ["embedding"]


def test_who_asks_to_be_shown_a_model_names_it():
    assert listing.asked(b'{"name":"m:latest"}') == "m"
    assert listing.asked(b'{"model":"m:7b","verbose":true}') == "m:7b"
    for body in (b"", b"[]", b"{}", b'{"model":1}', b'{"model":""}', b"\xff", b"[" * 100_000):
        with pytest.raises(BadRequest):
            listing.asked(body)
