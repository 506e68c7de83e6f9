"""The OpenAI chat format against recorded shapes of many servers, and against its own laws.

A folder of `openai_chat/` is one case: what a client or a server sent, and beside it what we understand of it
(`chat.json`, `events.json` or `message.json`, `fault-*.json`) and what we make of it (`body.json`, `through.txt`).
"""

from itertools import pairwise
from pathlib import Path
from random import Random

import httpx2
import msgspec
import openai
import pytest
from automata_openai import openai_chat as automaton
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from omniroute.errors import BadRequest, Fault
from omniroute.formats import framing, openai_chat, patch
from omniroute.formats.codec import TRUNCATED, Head
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
from omniroute.formats.schemas import NO_PARAMETERS

CASES = Path(__file__).with_name("openai_chat")
REQUESTS = sorted(CASES.glob("*/request.json"))
STREAMS = sorted(CASES.glob("*/stream.txt"))
REPLIES = sorted(CASES.glob("*/reply.json"))
ERRORS = sorted(CASES.glob("*/error-*.json"))


def case(path):
    return path.parent.name


def pretty(value):
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def head(*, usage=False, stream=True):
    options = {"stream_options": Raw(b'{"include_usage":true}')} if usage else {}
    return Head("coding", stream, options)


def decoded(*pieces):
    decoder = openai_chat.decoder()
    events = []
    for piece in pieces:
        events += decoder.feed(piece)
    return events + decoder.close()


def handed_on(bridge, *pieces):
    return b"".join(bridge.feed(piece) for piece in pieces) + bridge.close()


def encoded(events, *, usage=True):
    encoder = openai_chat.encoder(head(usage=usage), "chatcmpl-1", 1700000000)
    return encoder.feed(events) + encoder.close()


def refusal(body):
    with pytest.raises(BadRequest) as caught:
        openai_chat.decode_request(openai_chat.peek(body))
    return caught.value.fault


def request_body(**fields):
    return msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields})


def comparable(message):
    """A message with its log probabilities as one list, however they were cut."""
    logprobs = [one for part in message.logprobs for one in msgspec.json.decode(part)]
    return msgspec.structs.replace(message, logprobs=tuple(Raw(msgspec.json.encode(one)) for one in logprobs))


# --------------------------------------------------------------------------------------------------------- goldens


@pytest.mark.parametrize("path", REQUESTS, ids=case)
def test_a_request_means_what_was_reviewed_and_is_written_as_reviewed(path, golden):
    chat = openai_chat.decode_request(openai_chat.peek(path.read_bytes()))
    golden(path.with_name("chat.json"), pretty(chat))
    fields, losses = openai_chat.encode_request(chat, "theirs")
    golden(path.with_name("body.json"), pretty({"body": fields, "losses": losses}))


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_tells_what_was_reviewed_and_is_handed_on_as_reviewed(path, golden):
    stream = path.read_bytes()
    golden(path.with_name("events.json"), pretty(decoded(stream)))
    golden(path.with_name("through.txt"), handed_on(openai_chat.through(head()), stream).decode())


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_tells_what_its_stream_tells(path, golden):
    told = openai_chat.decode_reply(path.read_bytes())
    stream = path.with_name("stream.txt")
    if not stream.exists():
        golden(path.with_name("message.json"), pretty(told))
        return
    streamed = comparable(fold(decoded(stream.read_bytes())))
    told = comparable(told)
    if told.usage is None:
        streamed = msgspec.structs.replace(streamed, usage=None)
    assert told == streamed


@pytest.mark.parametrize("path", ERRORS, ids=lambda path: path.stem)
def test_an_error_is_understood_as_reviewed(path, golden):
    status = int(path.stem.split("-")[1])
    fault = openai_chat.decode_error(status, path.read_bytes())
    assert fault.status == status
    golden(path.with_name(path.name.replace("error", "fault")), pretty(fault))


# ------------------------------------------------------------------------------------------------- streams, any way


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_tells_the_same_wherever_its_bytes_are_split(path):
    stream = path.read_bytes()
    events = decoded(stream)
    out = handed_on(openai_chat.through(head()), stream)
    for at in range(len(stream)):
        assert decoded(stream[:at], stream[at:]) == events
        assert handed_on(openai_chat.through(head()), stream[:at], stream[at:]) == out
    single = [stream[at : at + 1] for at in range(len(stream))]
    assert decoded(*single) == events
    assert handed_on(openai_chat.through(head()), *single) == out


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_handed_on_tells_the_same_under_the_name_that_was_asked_for(path):
    stream = path.read_bytes()
    bridge = openai_chat.through(head(usage=True))
    out = handed_on(bridge, stream)
    events = [
        msgspec.structs.replace(event, model="coding") if isinstance(event, Start) else event
        for event in decoded(stream)
    ]
    if bridge.fault is not None:
        assert isinstance(events[-1], Failed)
        assert bridge.fault.status == events[-1].fault.status
        assert out.endswith(b"data: [DONE]\n\n")
        assert b'data: {"error":' in out
        return
    assert decoded(out) == events
    usages = [event.usage for event in events if isinstance(event, UsageSeen)]
    assert bridge.usage == (usages[-1] if usages else None)
    assert bridge.committed == any(
        isinstance(event, TextDelta | RefusalDelta | ThinkingDelta | ToolStart | Media) for event in events
    )


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_translated_is_a_legal_stream(path):
    seen = automaton(encoded(decoded(path.read_bytes())))
    told = fold(decoded(path.read_bytes()))
    assert seen.content == "".join(block.text for block in told.blocks if isinstance(block, Text))
    assert seen.reasoning == "".join(block.text for block in told.blocks if isinstance(block, Thinking))
    calls = [block for block in told.blocks if isinstance(block, ToolCall)]
    assert [(call["id"], call["name"], call["text"]) for call in seen.calls] == [
        (call.id, call.name, call.arguments) for call in calls
    ]
    assert (seen.error is None) == (told.fault is None)
    assert (seen.usage is None) == (told.usage is None or told.fault is not None)


# --------------------------------------------------------------------------------------------------- requests, read


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}, {"type": "image_url"}]}]},
            "messages[0].content[1].image_url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 1}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x,y"}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"filename": "x"}}]}]},
            "messages[0].content[0].file.file_id",
        ),
        (
            {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": "http://x"}]}]},
            "messages[0].content[0]",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        (
            {"messages": [{"role": "tool", "tool_call_id": "c", "content": [{"type": "refusal", "refusal": "x"}]}]},
            "messages[0].content[0]",
        ),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]}, "messages[0].tool_calls[0].function"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": 1}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}]}
                ]
            },
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"temperature": "0.5"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 2**64}, "max_tokens"),
        ({"stop": [1]}, "stop[0]"),
        ({"logprobs": "yes"}, "logprobs"),
        ({"user": 1}, "user"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
        ({"reasoning_effort": "enormous"}, "reasoning_effort"),
        ({"logit_bias": []}, "logit_bias"),
        ({"metadata": "x"}, "metadata"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "custom"}]}, "tools[0].custom"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function"),
        ({"tools": [{"function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
        ({"functions": [{"name": "f", "parameters": 1}]}, "functions[0].parameters"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "none", "tools": []}}},
            "tool_choice.allowed_tools.mode",
        ),
        ({"function_call": {"name": 1}}, "function_call.name"),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(fields, param):
    body = {
        key: value
        for key, value in {"messages": [{"role": "user", "content": "hi"}], **fields}.items()
        if value is not None
    }
    fault = refusal(msgspec.json.encode({"model": "m", **body}))
    assert (fault.status, fault.param) == (400, param)


@pytest.mark.parametrize(
    "content",
    [
        b'"\\ud800"',
        b'"\\udc00x"',
        b'[{"type":"text","text":"\\ud800"}]',
        b"[" * 100_000,
        b'[{"type":"text","text":1e999}]',
    ],
)
def test_text_that_is_no_text_is_refused(content):
    assert refusal(b'{"model":"m","messages":[{"role":"user","content":' + content + b"}]}").status == 400


JUNK = [None, True, 0, -1, 2**70, 1.5, "", "x", [], {}, [[]], [None], {"type": None}, {"type": "text"}, ["\u2028"]]


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
    return random.choice(JUNK)


def test_no_request_however_malformed_raises_anything_but_bad_request():
    random = Random(7)
    bodies = [msgspec.json.decode(path.read_bytes()) for path in REQUESTS]
    refused = 0
    for _ in range(4000):
        body = random.choice(bodies)
        for _ in range(random.choice((1, 1, 2, 3))):
            body = mutate(random, body)
        refused += refuses(msgspec.json.encode(body))
    assert 400 < refused < 3900


def refuses(body):
    """Whether a body is refused anywhere on its way, and with nothing else than a BadRequest."""
    try:
        peeked = openai_chat.peek(body)
        openai_chat.forward(peeked, "m")
        openai_chat.encoder(peeked, "id", 0)
        openai_chat.through(peeked)
        fields, _ = openai_chat.encode_request(openai_chat.decode_request(peeked), "m")
        patch.join(fields)
    except BadRequest as refused:
        return refused.fault.status == 400
    return False


def test_forwarding_keeps_every_byte_but_the_model_and_asks_for_usage():
    body = (
        b'{"model":"coding","messages":[ {"role":"user","content":"\\u0041"} ],"stream":true,"x":1e2,'
        b'"stream_options":{"include_obfuscation":false,"include_usage":false}}'
    )
    sent = patch.join(openai_chat.forward(openai_chat.peek(body), "gpt-4o"))
    assert sent == body.replace(b'"coding"', b'"gpt-4o"').replace(b'"include_usage":false', b'"include_usage":true')
    plain = body.replace(b',"stream_options":{"include_obfuscation":false,"include_usage":false}', b"")
    sent = patch.join(openai_chat.forward(openai_chat.peek(plain), "coding"))
    assert sent == plain[:-1] + b',"stream_options":{"include_usage":true}}'
    whole = plain.replace(b'"stream":true', b'"stream":false')
    assert patch.join(openai_chat.forward(openai_chat.peek(whole), "coding")) == whole


# ------------------------------------------------------------------------------------------------ requests, written

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NAME = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
CLOSED = Raw(b'{"type":"object","properties":{},"required":[],"additionalProperties":false}')
OBJECT = st.sampled_from([CLOSED, Raw(msgspec.json.format(CLOSED))])
MARK = st.none() | st.sampled_from([CacheMark(), CacheMark("1h")])
PARTS = st.lists(
    st.one_of(
        st.builds(Text, TEXT, MARK),
        st.builds(Image, media_type=st.just("image/png"), data=st.just("aGk="), cache=MARK),
        st.builds(Image, url=st.just("https://example.com/a.png"), detail=st.none() | st.just("low")),
        st.builds(Audio, st.just("aGk="), st.just("wav")),
        st.builds(Document, media_type=st.just("application/pdf"), data=st.just("aGk="), name=NAME, cache=MARK),
        st.builds(Document, file_id=NAME),
        st.just(Opaque("openai_chat", "video_url", Raw(b'{"type":"video_url","video_url":{}}'))),
    ),
    max_size=4,
).filter(lambda parts: len(parts) < 2 or not all(isinstance(part, Text) for part in parts))
RESULTS = st.lists(
    st.builds(ToolResult, NAME, st.lists(st.builds(Text, TEXT), max_size=1).map(tuple), cache=st.just(None)), max_size=2
)
USER = st.builds(lambda results, parts: (*results, *parts), RESULTS, PARTS)
ASSISTANT = st.builds(
    lambda thoughts, texts, refusals, calls: (*thoughts, *texts, *refusals, *calls),
    st.lists(st.builds(Thinking, TEXT, issuer=st.sampled_from(["openai_chat", "anthropic"])), max_size=1),
    st.lists(st.builds(Text, TEXT, MARK), max_size=1),
    st.lists(st.builds(Refusal, TEXT), max_size=1),
    st.lists(
        st.builds(ToolCall, NAME, NAME, st.text(st.characters(codec="utf-8"), max_size=8), st.booleans()), max_size=3
    ),
)
EXCHANGES = st.lists(
    st.tuples(
        st.builds(lambda blocks, name: Turn("user", blocks, name), USER, st.none()),
        st.builds(lambda blocks, name: Turn("assistant", blocks, name), ASSISTANT, st.none() | NAME),
    ),
    min_size=1,
    max_size=3,
).map(lambda pairs: tuple(turn for pair in pairs for turn in pair))
TOOLS = st.lists(
    st.one_of(
        st.builds(Tool, NAME, st.none() | TEXT, st.none() | OBJECT, st.none() | st.booleans(), cache=MARK),
        st.builds(Tool, NAME, custom=st.just(True), grammar=st.none() | OBJECT),
    ),
    max_size=3,
    unique_by=lambda tool: tool.name,
)
COUNT = st.none() | st.integers(0, 10_000)
RATIO = st.none() | st.floats(0, 2)
CHATS = st.builds(
    Chat,
    turns=EXCHANGES,
    system=st.lists(st.builds(Text, TEXT, MARK), max_size=1).map(tuple),
    tools=TOOLS.map(tuple),
    sampling=st.builds(
        Sampling,
        max_tokens=COUNT,
        temperature=RATIO,
        top_p=RATIO,
        top_k=COUNT,
        stop=st.lists(TEXT, max_size=2).map(tuple),
        seed=COUNT,
        logit_bias=st.none() | OBJECT,
        logprobs=st.none() | st.booleans(),
        n=COUNT,
    ),
    reasoning=st.none() | st.builds(Reasoning, effort=st.sampled_from(["none", "low", "xhigh"])),
    output=st.none()
    | st.just(Output("json_object"))
    | st.builds(Output, st.just("json_schema"), NAME, st.none(), OBJECT),
    verbosity=st.none() | st.just("low"),
    stream=st.booleans(),
    user=st.none() | TEXT,
    metadata=st.none() | OBJECT,
    service_tier=st.none() | st.just("flex"),
    vendor_format=st.just("openai_chat"),
    vendor=st.just({}) | st.just({"store": Raw(b"true")}),
)


def without_what_is_lost(chat):
    """The chat without cache marks and without thinking that another format issued."""

    def bare(block):
        return msgspec.structs.replace(block, cache=None) if getattr(block, "cache", None) else block

    def kept(turn):
        return tuple(
            bare(block) for block in turn.blocks if not isinstance(block, Thinking) or block.issuer == "openai_chat"
        )

    return msgspec.structs.replace(
        chat,
        system=tuple(map(bare, chat.system)),
        tools=tuple(map(bare, chat.tools)),
        turns=tuple(msgspec.structs.replace(turn, blocks=kept(turn)) for turn in chat.turns),
    )


@given(CHATS)
def test_a_chat_comes_back_from_its_own_body_but_for_the_losses_told(chat):
    fields, losses = openai_chat.encode_request(chat, "m")
    back = openai_chat.decode_request(openai_chat.peek(patch.join(fields)))
    assert back == without_what_is_lost(chat)
    assert {loss.code for loss in losses} <= {"cache_control", "thinking"}
    assert bool(losses) == (back != chat)


def losses_of(**chat):
    turns = chat.pop("turns", (Turn("user", (Text("hi"),)),))
    fields, losses = openai_chat.encode_request(Chat(turns=turns, vendor_format="anthropic", **chat), "m")
    patch.join(fields)
    return fields, [loss.code for loss in losses]


@pytest.mark.parametrize(
    ("asked", "sent", "codes"),
    [
        ({"sampling": Sampling(top_k=5)}, {}, ["top_k"]),
        ({"reasoning": Reasoning(budget=1024)}, {"reasoning_effort": "low"}, ["thinking_budget"]),
        ({"reasoning": Reasoning(budget=10_000)}, {"reasoning_effort": "medium"}, ["thinking_budget"]),
        ({"reasoning": Reasoning(budget=32_000)}, {"reasoning_effort": "high"}, ["thinking_budget"]),
        ({"reasoning": Reasoning(adaptive=True)}, {}, []),
        ({"reasoning": Reasoning(adaptive=True, effort="max")}, {"reasoning_effort": "max"}, []),
        ({"reasoning": Reasoning(off=True)}, {}, ["thinking_off"]),
        ({"reasoning": Reasoning(effort="low", show="summarized")}, {"reasoning_effort": "low"}, ["thinking_display"]),
        ({"metadata": Raw(b"{}")}, {}, ["metadata"]),
        ({"service_tier": "standard_only"}, {}, ["service_tier"]),
        ({"vendor": {"container": Raw(b'"c"')}}, {}, ["container"]),
        ({"tool_choice": ToolChoice("auto"), "parallel_tools": True}, {}, []),
        ({"tools": (Tool("web_search", format="anthropic", opaque=Raw(b"{}")),)}, {}, ["tool"]),
        (
            {"output": Output("json_schema", schema=CLOSED, strict=True)},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": CLOSED, "strict": True},
                }
            },
            [],
        ),
        (
            {"output": Output("json_schema", schema=NO_PARAMETERS, strict=True)},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": NO_PARAMETERS}}},
            ["strict"],
        ),
        ({"stream": True}, {"stream": True, "stream_options": Raw(b'{"include_usage":true}')}, []),
    ],
)
def test_what_the_dialect_cannot_say_is_told(asked, sent, codes):
    fields, lost = losses_of(**asked)
    assert fields == {"model": "m", "messages": [{"role": "user", "content": "hi"}], **sent}
    assert lost == codes


@pytest.mark.parametrize(
    ("blocks", "messages", "codes"),
    [
        (
            (ToolResult("c", (Text("no"), Text("way")), is_error=True),),
            [{"role": "tool", "tool_call_id": "c", "content": "Error: no\n\nway"}],
            ["is_error"],
        ),
        (
            (Text("look"), ToolResult("c", (Image(url="https://x/a.png"),)), ToolResult("d", (Text("fine"),))),
            [
                {"role": "tool", "tool_call_id": "c", "content": "The result is in the message that follows."},
                {"role": "tool", "tool_call_id": "d", "content": "fine"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "From the result of c:"},
                        {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
                        {"type": "text", "text": "look"},
                    ],
                },
            ],
            ["tool_result_media"],
        ),
        ((Document(url="https://x/a.pdf"), Text("?")), [{"role": "user", "content": "?"}], ["document_url"]),
        ((Document(file_id="f"), Text("?")), [{"role": "user", "content": "?"}], ["document_file"]),
        ((Image(file_id="f"), Text("?")), [{"role": "user", "content": "?"}], ["image_file"]),
        (
            (Document(text="body", name="n", context="c", citations=True), Text("?")),
            [{"role": "user", "content": "n\n\nc\n\nbody\n\n?"}],
            ["citations"],
        ),
        (
            (Document(data="aGk=", context="c"),),
            [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "file",
                            "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,aGk="},
                        }
                    ],
                }
            ],
            ["document_context"],
        ),
        (
            (Opaque("anthropic", "search_result", Raw(b"{}")), Text("?")),
            [{"role": "user", "content": "?"}],
            ["search_result"],
        ),
        ((Text("a"), Text("b")), [{"role": "user", "content": "a\n\nb"}], []),
    ],
)
def test_what_a_message_cannot_hold_goes_where_it_loses_least(blocks, messages, codes):
    fields, lost = losses_of(turns=(Turn("user", blocks),))
    assert fields["messages"] == messages
    assert lost == codes


def test_an_assistants_turn_keeps_its_own_thinking_and_no_others():
    turn = Turn(
        "assistant",
        (
            Thinking("mine", issuer="openai_chat"),
            Thinking("sealed", signature="s", issuer="openai_chat"),
            Thinking(redacted="r", issuer="openai_chat"),
            Thinking("theirs", signature="s", issuer="anthropic"),
            Text("a"),
            Text("b"),
            Image(url="https://x/a.png"),
            Opaque("anthropic", "server_tool_use", Raw(b"{}")),
        ),
    )
    fields, lost = losses_of(turns=(turn,))
    assert fields["messages"] == [
        {
            "role": "assistant",
            "content": "ab",
            "reasoning_content": "minesealed",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "sealed", "signature": "s"},
                {"type": "reasoning.encrypted", "data": "r"},
            ],
        }
    ]
    assert lost == ["thinking", "image", "server_tool_use"]


def test_an_assistants_turn_of_which_nothing_is_left_is_still_a_message():
    fields, lost = losses_of(turns=(Turn("assistant", (Thinking("x", issuer="anthropic"),)),))
    assert (fields["messages"], lost) == ([{"role": "assistant", "content": ""}], ["thinking"])


def test_parts_that_only_this_dialect_knows_go_back_into_an_assistants_message():
    odd = Raw(b'{"type":"odd"}')
    for blocks, content in (
        ((Text("a"), Opaque("openai_chat", "odd", odd)), [{"type": "text", "text": "a"}, odd]),
        ((Opaque("openai_chat", "odd", odd),), [odd]),
    ):
        fields, lost = losses_of(turns=(Turn("assistant", blocks),))
        assert (fields["messages"], lost) == ([{"role": "assistant", "content": content}], [])


def test_a_choice_among_tools_names_each_by_its_kind():
    tools = (Tool("f"), Tool("c", custom=True), Tool("s", format="anthropic", opaque=Raw(b"{}")))
    for choice, sent, codes in (
        (ToolChoice("one", "c"), {"type": "custom", "custom": {"name": "c"}}, ["tool"]),
        (ToolChoice("one", "f"), {"type": "function", "function": {"name": "f"}}, ["tool"]),
        (ToolChoice("one", "s"), None, ["tool", "tool_choice"]),
        (ToolChoice("none", allowed=("f",)), "none", ["tool"]),
        (
            ToolChoice("auto", allowed=("f", "c")),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "auto",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "custom", "custom": {"name": "c"}},
                    ],
                },
            },
            ["tool"],
        ),
    ):
        fields, lost = losses_of(tools=tools, tool_choice=choice)
        assert (fields.get("tool_choice"), lost) == (sent, codes)


# -------------------------------------------------------------------------------------------------- answers, written

PIECES = st.text(st.sampled_from('{"é x'), min_size=1, max_size=4)
EVENTS = st.lists(
    st.one_of(
        st.builds(TextDelta, TEXT),
        st.builds(TextDelta, TEXT, st.just(Raw(b'[{"token":"a"}]'))),
        st.builds(RefusalDelta, TEXT),
        st.builds(ThinkingDelta, TEXT, issuer=st.just("anthropic")),
        st.builds(ThinkingDelta, signature=st.just("s"), issuer=st.just("anthropic")),
        st.builds(ThinkingDelta, redacted=st.just("r"), issuer=st.just("anthropic")),
        st.builds(ToolStart, st.integers(0, 3), NAME, NAME, st.booleans()),
        st.builds(ToolDelta, st.integers(0, 3), PIECES),
        st.builds(BlockStop, st.none() | st.integers(0, 3)),
        st.builds(Media, st.just(Image(media_type="image/png", data="aGk="))),
        st.builds(Media, st.just(Opaque("anthropic", "x", Raw(b"{}")))),
        st.builds(UsageSeen, st.builds(Usage, *[st.integers(0, 99)] * 4)),
        st.builds(Start),
    ),
    max_size=14,
)
ENDS = st.one_of(
    st.builds(
        Finish, st.sampled_from(["stop", "length", "tool_calls", "refusal", "pause", "context_window", "stop_sequence"])
    ),
    st.builds(lambda text: Failed(Fault(kind="overloaded", status=529, message=text, type="overloaded_error")), TEXT),
)


@given(EVENTS, st.lists(ENDS, max_size=2), EVENTS)
def test_whatever_an_encoder_is_fed_its_stream_is_legal(events, ends, after):
    seen = automaton(encoded([*events, *ends, *after]))
    if not ends and not any(isinstance(event, Finish | Failed) for event in after):
        assert seen.error["code"] == TRUNCATED.code


def canonical(message):
    """A message as far as this format can tell it: blocks that touch are one, seals are not shown."""
    blocks = []
    for block in message.blocks:
        if isinstance(block, Opaque) or (isinstance(block, Thinking) and not block.text):
            continue
        if isinstance(block, Thinking):
            block = Thinking(block.text, issuer="openai_chat")
        if blocks and isinstance(block, Text | Thinking | Refusal) and type(blocks[-1]) is type(block):
            block = msgspec.structs.replace(block, text=blocks.pop().text + block.text)
        blocks.append(block)
    return blocks, [bytes(part) for part in message.logprobs], message.usage


@given(EVENTS, st.builds(Finish, st.sampled_from(["stop", "length", "tool_calls"])))
def test_what_an_encoder_writes_a_decoder_reads(events, finish):
    told = fold([*events, finish])
    back = fold(decoded(encoded([*events, finish])))
    assert canonical(back) == canonical(told)
    assert back.model == "coding"
    assert back.finish == (finish.reason if finish.reason != "stop" else finish_after(told))


def finish_after(told):
    kinds = {type(block) for block in told.blocks}
    if ToolCall in kinds:
        return "tool_calls"
    return "refusal" if Refusal in kinds and Text not in kinds else "stop"


@given(EVENTS, st.builds(Finish, st.sampled_from(["stop", "length", "tool_calls"])))
def test_a_whole_answer_says_what_the_stream_says(events, finish):
    seen = automaton(encoded([*events, finish]))
    body = msgspec.json.decode(openai_chat.encode_reply(fold([*events, finish]), head(), "chatcmpl-1", 1700000000))
    (choice,) = body["choices"]
    message = choice["message"]
    assert (body["id"], body["object"], body["created"], body["model"]) == (
        "chatcmpl-1",
        "chat.completion",
        1700000000,
        "coding",
    )
    assert (message["content"] or "", message["refusal"] or "") == (seen.content, seen.refusal)
    assert message.get("reasoning_content", "") == seen.reasoning
    assert len(message.get("images", ())) == seen.images
    calls = message.get("tool_calls", [])
    assert [(call["id"], call["type"], call[call["type"]]["name"]) for call in calls] == [
        (call["id"], call["type"], call["name"]) for call in seen.calls
    ]
    assert choice["finish_reason"] == seen.finish
    assert body.get("usage") == seen.usage


def test_a_custom_tools_call_comes_back_as_one_from_a_model_of_functions():
    tools = [{"type": "custom", "custom": {"name": "apply_patch"}}, {"type": "function", "function": {"name": "f"}}]
    asked = Head("coding", stream=True, fields={"tools": Raw(msgspec.json.encode(tools))})
    for arguments, text in (('{"input": "a \\"b\\" é"}', 'a "b" é'), ("no object", "no object")):
        pieces = [ToolDelta(0, piece) for piece in arguments]
        for end in ([BlockStop(0)], []):
            events = [Start(), ToolStart(0, "c", "apply_patch"), *pieces, *end, Finish("tool_calls")]
            encoder = openai_chat.encoder(asked, "1", 0)
            seen = automaton(encoder.feed(events) + encoder.close())
            assert seen.calls == [{"id": "c", "type": "custom", "name": "apply_patch", "text": text}]
        body = msgspec.json.decode(openai_chat.encode_reply(fold(events), asked, "1", 0))
        (call,) = body["choices"][0]["message"]["tool_calls"]
        assert call == {"id": "c", "type": "custom", "custom": {"name": "apply_patch", "input": text}}
    broken = Head("coding", stream=True, fields={"tools": Raw(b'[{"type":"custom","custom":5}]')})
    assert openai_chat.encoder(broken, "1", 0).feed([Start(), ToolStart(0, "c", "f")])


def test_a_reply_of_calls_has_no_content_and_one_of_nothing_an_empty_one():
    call = [Start(), ToolStart(0, "c", "f"), ToolDelta(0, "{}"), BlockStop(0), Finish("tool_calls")]
    message = msgspec.json.decode(openai_chat.encode_reply(fold(call), head(), "i", 0))["choices"][0]["message"]
    assert message == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    nothing = msgspec.json.decode(openai_chat.encode_reply(fold([Start(), Finish("stop")]), head(), "i", 0))
    assert nothing["choices"][0]["message"]["content"] == ""
    assert "usage" not in nothing


def test_estimated_usage_says_so():
    events = [Start(), TextDelta("a"), UsageSeen(Usage(1, 1, estimated=True)), Finish("stop")]
    assert automaton(encoded(events)).usage["estimated"] is True
    assert fold(decoded(encoded(events))).usage.estimated


def test_usage_is_streamed_only_to_who_asked_for_it():
    events = [
        Start(),
        TextDelta("a"),
        UsageSeen(Usage(9, 2, cached=3, cache_write=1, cache_write_1h=1)),
        Finish("stop"),
    ]
    assert automaton(encoded(events, usage=False)).usage is None
    assert b'"usage"' not in encoded(events, usage=False)
    assert automaton(encoded(events)).usage == {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "total_tokens": 11,
        "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def test_a_refusal_without_words_was_a_filter():
    assert automaton(encoded([Start(), TextDelta("a"), Finish("refusal")])).finish == "content_filter"
    assert automaton(encoded([Start(), RefusalDelta("no"), Finish("refusal")])).finish == "stop"


# ----------------------------------------------------------------------------------------------------- answers, read


def test_no_bytes_of_an_upstream_raise_out_of_a_stream():
    random = Random(11)
    streams = [path.read_bytes() for path in STREAMS]
    for _ in range(3000):
        stream = bytearray(random.choice(streams))
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(stream) + 1)
            stream[at : at + random.randrange(4)] = random.choice(
                [b"", b"\xff", b"\n\n", b"null", b"1", b'"', b"{", b"[1]", b"}"]
            )
        events = decoded(bytes(stream))
        assert isinstance(events[-1], Finish | Failed)
        assert sum(isinstance(event, Finish | Failed) for event in events) == 1
        assert sum(isinstance(event, Start) for event in events) <= 1
        automaton(encoded(events))
        out = handed_on(openai_chat.through(head()), bytes(stream))
        assert out.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 100_000,
        b'{"choices":' + b"[" * 100_000,
        b'{"x":' + b"[" * 100_000,
        b"1",
        b'"x"',
        b"{}x",
        b'{"choices":1}',
    ],
)
def test_malformed_events_end_the_stream_with_a_fault(payload):
    event = b"data: " + payload + b"\n\n"
    (failed,) = decoded(event)
    assert failed.fault.code == "upstream_malformed"
    bridge = openai_chat.through(head())
    assert b'"code":"upstream_malformed"' in bridge.feed(event)
    assert (bridge.feed(event), bridge.close(), bridge.fail(TRUNCATED)) == (b"", b"", b"")
    with pytest.raises(ValueError):
        openai_chat.decode_reply(payload)
    with pytest.raises(ValueError):
        openai_chat.relabel(payload, Head("m", stream=False, fields={}))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":null}', b'{"id":"x"}'])
def test_a_whole_body_that_is_no_answer_is_a_value_error(body):
    with pytest.raises(ValueError):
        openai_chat.decode_reply(body)
    with pytest.raises(ValueError):
        openai_chat.relabel(body, Head("m", stream=False, fields={}))


def test_a_finish_of_error_is_one_whole_or_streamed():
    broken = b'{"choices":[{"message":{"content":"a"},"delta":{"content":"a"},"finish_reason":"error"}]}'
    fault = openai_chat.decode_reply(broken).fault
    assert fault is not None
    assert openai_chat.relabel(broken, Head("m", stream=False, fields={})).fault == fault
    assert isinstance(decoded(b"data: " + broken + b"\n\ndata: [DONE]\n\n")[-1], Failed)
    bridge = openai_chat.through(head())
    assert b'"error"' in bridge.feed(b"data: " + broken + b"\n\n")
    assert bridge.fault is not None


def test_an_event_named_error_is_one_whatever_it_holds():
    event = b'event: error\ndata: {"error_code":7}\n\n'
    assert isinstance(decoded(event)[-1], Failed)
    bridge = openai_chat.through(head())
    assert handed_on(bridge, event).endswith(b"data: [DONE]\n\n")
    assert bridge.fault is not None


def test_an_end_after_nothing_is_a_broken_answer():
    stream = b'data: {"id":"c","model":"m"}\n\ndata: [DONE]\n\n'
    assert decoded(stream) == [Failed(TRUNCATED)]
    bridge = openai_chat.through(head())
    handed_on(bridge, stream)
    assert bridge.fault == TRUNCATED


def test_bytes_that_are_not_text_are_not_handed_on():
    with pytest.raises(ValueError, match="UTF-8"):
        openai_chat.relabel(b'{"choices":[{}],"x":"\xff"}', Head("m", stream=False, fields={}))
    bridge = openai_chat.through(head())
    bridge.feed(event_of("a"))
    out = bridge.feed(event_of("b") + event_of("c").replace(b'"c"', b'"\xff"'))
    assert out.startswith(event_of("b", "coding"))
    assert b"upstream_malformed" in out
    assert b"\xff" not in out


def test_refusals_come_as_parts_too():
    reply = b'{"choices":[{"message":{"content":[{"type":"refusal","refusal":"no"}]}}]}'
    assert openai_chat.decode_reply(reply) == Message(blocks=(Refusal("no"),), finish="refusal")


def test_hostile_counts_are_held_within_bounds():
    chunk = b'{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":-5,"completion_tokens":1e300,"total_tokens":7.5}}'
    usage = openai_chat.decode_reply(chunk).usage
    assert usage == Usage(input=0, output=2**53)
    assert openai_chat.relabel(chunk, Head("m", stream=False, fields={})).usage == usage


# -------------------------------------------------------------------------------------------------- answers, handed on


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_handed_on_differs_in_its_models_name_only(path):
    body = path.read_bytes()
    reply = openai_chat.relabel(body, Head("coding", stream=False, fields={}))
    told = openai_chat.decode_reply(body)
    if told.fault is not None:
        assert (reply.fault, reply.body) == (told.fault, b"")
        return
    assert msgspec.json.decode(reply.body) == {**msgspec.json.decode(body), "model": "coding"}
    assert reply.usage == told.usage
    assert reply.fault is None


def event_of(content, model="gpt-4o", **more):
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice], **more}
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def test_blocks_of_content_pass_with_their_model_renamed():
    bridge = openai_chat.through(head())
    assert bridge.feed(event_of("")) == event_of("", "coding")
    assert not bridge.committed
    assert bridge.feed(event_of("a")) == event_of("a", "coding")
    assert (bridge.committed, bridge.produced) == (True, 1)
    block = b"".join(event_of(text) for text in ("b", "c", '"model":"gpt-4o"', "data: [DONE]\n\n", '"usage":{', "é"))
    assert bridge.feed(block) == block.replace(b'"model":"gpt-4o"', b'"model":"coding"')
    assert bridge.produced == 7
    assert decoded(bridge.feed(event_of("x") + event_of("y")))[1:3] == [TextDelta("x"), TextDelta("y")]


@given(
    st.lists(TEXT, min_size=3, max_size=12),
    st.lists(st.integers(0, 3000), max_size=6),
    st.sampled_from([(b"", b""), (b'":', b'": '), (b"\n", b"\r\n"), (b"data: ", b": hm\n\ndata: ")]),
)
def test_pieces_of_any_size_are_handed_on_alike(texts, cuts, written):
    stream = b"".join(map(event_of, texts)).replace(*written)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    bridge = openai_chat.through(head())
    out = handed_on(bridge, *(stream[start:stop] for start, stop in pairwise(edges)), b"data: [DONE]\n\n")
    told = [data for _, data in framing.records(out)]
    assert told.pop() == b"[DONE]"
    due = [msgspec.json.decode(data) | {"model": "coding"} for _, data in framing.SSE().feed(stream)]
    assert [msgspec.json.decode(data) for data in told] == due
    assert bridge.produced == len(texts)


@pytest.mark.parametrize(
    "odd",
    [
        event_of("o", "another-model"),
        event_of("o").replace(b'":', b'": '),
        event_of("o").replace(b"data: ", b"data:"),
        event_of("o").replace(b"data: ", b": note\n\nevent: x\ndata: "),
        event_of("o").replace(b'"model":"gpt-4o",', b""),
        event_of("o").replace(b"\n", b"\r\n"),
        event_of("o", meta={"model": "gpt-4o"}),
        event_of("o", error=None),
    ],
)
def test_an_event_that_is_written_otherwise_is_renamed_too(odd):
    bridge = openai_chat.through(head())
    out = bridge.feed(event_of("a") + event_of("b"))
    out += bridge.feed(event_of("c") + odd + event_of("d")) + bridge.feed(event_of("e"))
    assert bridge.fault is None
    chunks = [msgspec.json.decode(data) for _, data in framing.records(out)]
    assert [chunk["model"] for chunk in chunks] == ["coding"] * 6
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == "abcode"
    assert bridge.produced == 6


def test_the_usage_chunk_reaches_only_who_asked_and_any_other_stays():
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    finish = event_of("").replace(b'"finish_reason":null', b'"finish_reason":"stop"')
    alone = event_of("", usage=usage).replace(
        msgspec.json.encode([{"index": 0, "delta": {"content": ""}, "finish_reason": None}]), b"[]"
    )
    within = event_of("b", usage=usage)
    stream = event_of("a") + within + finish + alone + b"data: [DONE]\n\n"
    for asked in (False, True):
        bridge = openai_chat.through(head(usage=asked))
        out = handed_on(bridge, stream)
        assert out.count(b'"usage":{') == 1 + asked
        assert bridge.usage == Usage(3, 1)
        assert bridge.finish == "stop"


def test_an_upstream_lost_in_mid_stream_ends_in_an_error_and_a_legal_end():
    bridge = openai_chat.through(head())
    out = bridge.feed(event_of("a")) + bridge.fail(Fault(kind="timeout", status=504, message="no byte for 120 s"))
    assert out.endswith(
        b'data: {"error":{"message":"no byte for 120 s","type":"server_error","param":null,"code":null}}\n\ndata: [DONE]\n\n'
    )
    assert bridge.fault.status == 504
    assert (bridge.close(), bridge.feed(event_of("b"))) == (b"", b"")


def test_an_endless_event_is_cut_off(monkeypatch):
    monkeypatch.setattr(framing, "EVENT_LIMIT", 100)
    bridge = openai_chat.through(head())
    assert bridge.feed(b"data: " + b"x" * 50) == b""
    assert b"upstream_malformed" in bridge.feed(b"x" * 100)


# ------------------------------------------------------------------------------------------------------------ errors


def test_an_error_is_told_in_the_envelope_of_the_format():
    own = Fault(kind="rate_limited", status=429, message="slow down")
    assert msgspec.json.decode(openai_chat.encode_error(own, "r")) == {
        "error": {"message": "slow down", "type": "rate_limit_error", "param": None, "code": None}
    }
    theirs = Fault(kind="invalid_request", status=400, message="no", type="tokens", code="c", param="messages[0]")
    assert msgspec.json.decode(openai_chat.encode_error(theirs, "r")) == {
        "error": {"message": "no", "type": "tokens", "param": "messages[0]", "code": "c"}
    }
    whole = msgspec.json.decode(openai_chat.encode_reply(Message(fault=own), head(), "i", 0))
    assert whole["error"]["message"] == "slow down"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b"null", b'{"error":null}', b'{"error":[1]}', b"[" * 100_000, b"\xff"]
)
def test_any_bytes_are_an_error(body):
    assert openai_chat.decode_error(500, body) == Fault(kind="server", status=500, message="")


def test_an_error_may_be_nested_up_to_any_depth():
    for depth in range(700, 1100):
        openai_chat.decode_error(500, b'{"message":' + b"[" * depth + b"]" * depth + b"}")


def test_the_official_client_raises_what_a_stream_tells():
    """The SDK decides what an error in a stream must look like."""
    client = openai.OpenAI(api_key="k", base_url="http://test")
    out = encoded([Start(), TextDelta("a"), Failed(Fault(kind="overloaded", status=529, message="too busy", code="c"))])
    response = openai.Stream(
        cast_to=ChatCompletionChunk,
        response=httpx2.Response(200, content=out, request=httpx2.Request("POST", "http://test")),
        client=client,
    )
    seen = []
    with pytest.raises(openai.APIError, match="too busy") as caught:
        seen += (chunk.choices[0].delta.content for chunk in response)
    assert caught.value.code == "c"
    client.close()
