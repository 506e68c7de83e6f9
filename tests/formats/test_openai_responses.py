"""OpenAI's Responses format against the shapes of many servers, and against its own laws.

A folder of `openai_responses/` is one case: what a client or a server sent, and beside it what we understand of it
(`chat.json`, `events.json` or `message.json`, `fault-*.json`) and what we make of it (`body.json`, `through.txt`).
"""

from pathlib import Path
from random import Random

import httpx2
import msgspec
import openai
import pytest
from automata_responses import openai_responses as automaton
from automata_responses import request as legal_request
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from stories import story

from omniroute.errors import BadRequest, Fault
from omniroute.formats import anthropic, custom, framing, openai_chat, openai_responses, patch
from omniroute.formats.codec import TRUNCATED, Head
from omniroute.formats.fold import Message, fold, unfold
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

CASES = Path(__file__).with_name("openai_responses")
REQUESTS = sorted(CASES.glob("*/request.json"))
STREAMS = sorted(CASES.glob("*/stream.txt"))
REPLIES = sorted(CASES.glob("*/reply.json"))
ERRORS = sorted(CASES.glob("*/error-*.json"))


def case(path):
    return path.parent.name


def pretty(value):
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def head(**fields):
    return Head("coding", stream=True, fields={name: Raw(msgspec.json.encode(value)) for name, value in fields.items()})


def decoded(*pieces):
    decoder = openai_responses.decoder()
    events = []
    for piece in pieces:
        events += decoder.feed(piece)
    return events + decoder.close()


def handed_on(bridge, *pieces):
    return b"".join(bridge.feed(piece) for piece in pieces) + bridge.close()


def encoded(events, **fields):
    encoder = openai_responses.encoder(head(**fields), "1", 1700000000)
    return encoder.feed(events) + encoder.close()


def whole(told, **fields):
    return msgspec.json.decode(openai_responses.encode_reply(told, head(**fields), "1", 1700000000))


def refusal(body):
    with pytest.raises(BadRequest) as caught:
        openai_responses.decode_request(openai_responses.peek(body))
    return caught.value.fault


def written(**fields):
    """What is sent for a chat of another format, and what was lost."""
    chat = Chat(**{"turns": (Turn("user", (Text("hi"),)),), "vendor_format": "anthropic", **fields})
    sent, losses = openai_responses.encode_request(chat, "m")
    body = msgspec.json.decode(patch.join(sent))
    legal_request(body)
    return body, [loss.code for loss in losses]


# --------------------------------------------------------------------------------------------------------- goldens


@pytest.mark.parametrize("path", REQUESTS, ids=case)
def test_a_request_means_what_was_reviewed_and_is_written_as_reviewed(path, golden):
    chat = openai_responses.decode_request(openai_responses.peek(path.read_bytes()))
    golden(path.with_name("chat.json"), pretty(chat))
    fields, losses = openai_responses.encode_request(chat, "theirs")
    golden(path.with_name("body.json"), pretty({"body": fields, "losses": losses}))
    again = openai_responses.decode_request(openai_responses.peek(patch.join(fields)))
    if not losses:
        assert pretty([again.turns, again.tools, again.output]) == pretty([chat.turns, chat.tools, chat.output])


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_tells_what_was_reviewed_and_is_handed_on_as_reviewed(path, golden):
    stream = path.read_bytes()
    golden(path.with_name("events.json"), pretty(decoded(stream)))
    golden(path.with_name("through.txt"), handed_on(openai_responses.through(head()), stream).decode())


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_tells_what_its_stream_tells(path):
    told = openai_responses.decode_reply(path.read_bytes())
    streamed = fold(decoded(path.with_name("stream.txt").read_bytes()))
    if told.fault is not None:
        assert told.fault == streamed.fault
        return
    assert comparable(told) == comparable(streamed)


def comparable(message):
    """A message with its log probabilities as one list, and the items of servers' tools as data."""
    logprobs = [one for part in message.logprobs for one in msgspec.json.decode(part)]
    blocks = [
        msgspec.structs.replace(block, body=Raw(msgspec.json.encode(msgspec.json.decode(block.body))))
        if isinstance(block, Opaque)
        else block
        for block in message.blocks
    ]
    logprobs = tuple(Raw(msgspec.json.encode(one)) for one in logprobs)
    return msgspec.structs.replace(message, logprobs=logprobs, blocks=tuple(blocks))


@pytest.mark.parametrize("path", ERRORS, ids=lambda path: path.stem)
def test_an_error_is_understood_as_reviewed(path, golden):
    status = int(path.stem.split("-")[1])
    fault = openai_responses.decode_error(status, path.read_bytes())
    assert fault.status == status
    golden(path.with_name(path.name.replace("error", "fault")), pretty(fault))


ALIKE = ("without-deltas", "only-done-items", "only-the-end", "all-at-index-0", "unnamed-events")


@pytest.mark.parametrize("name", [*ALIKE, "delta-ids-of-their-own"])
def test_what_a_server_leaves_out_is_told_all_the_same_and_once(name):
    due = fold(decoded((CASES / "all-kinds" / "stream.txt").read_bytes()))
    assert fold(decoded((CASES / name / "stream.txt").read_bytes())) == due


# ------------------------------------------------------------------------------------------------- streams, any way


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_tells_the_same_wherever_its_bytes_are_split(path):
    stream = path.read_bytes()
    events = pretty(decoded(stream))
    out = handed_on(openai_responses.through(head()), stream)
    for at in range(0, len(stream), 1 if len(stream) < 6000 else 5):
        assert pretty(decoded(stream[:at], stream[at:])) == events
        assert handed_on(openai_responses.through(head()), stream[:at], stream[at:]) == out
    single = [stream[at : at + 1] for at in range(len(stream))]
    assert pretty(decoded(*single)) == events
    assert handed_on(openai_responses.through(head()), *single) == out


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_handed_on_tells_the_same_under_the_name_that_was_asked_for(path):
    stream = path.read_bytes()
    bridge = openai_responses.through(head())
    out = handed_on(bridge, stream)
    events = decoded(stream)
    if bridge.fault is not None:
        assert isinstance(events[-1], Failed)
        assert bridge.fault.status == events[-1].fault.status
        assert b"event: response.failed" in out
        return
    renamed = [
        msgspec.structs.replace(event, model="coding") if isinstance(event, Start) else event for event in events
    ]
    if isinstance(events[-1], Finish) and bridge.over:
        assert pretty(decoded(out)) == pretty(renamed)
    usages = [event.usage for event in events if isinstance(event, UsageSeen)]
    assert bridge.usage == (usages[-1] if usages else None)
    assert bridge.committed == any(
        isinstance(event, TextDelta | RefusalDelta | ThinkingDelta | ToolStart | Media) for event in events
    )
    assert bridge.finish in (events[-1].reason, "stop")


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_translated_is_a_legal_stream(path):
    events = decoded(path.read_bytes())
    seen = automaton(encoded(events))
    told = fold(events)
    assert (seen.error is None) == (told.fault is None)
    if told.fault is None:
        assert unnamed(fold(decoded(encoded(events)))) == unnamed(told)


def unnamed(message):
    """The blocks of a message without the ids of what was sealed, which a stream begins before it knows them."""
    return [
        msgspec.structs.replace(block, signature=(block.signature or "").partition(".")[2])
        if isinstance(block, Thinking)
        else block
        for block in comparable(message).blocks
    ]


def test_any_answer_is_a_legal_stream_that_tells_it_whole():
    random = Random(5)
    for _ in range(2000):
        events = story(random)
        cut = random.randrange(len(events) + 1)
        encoder = openai_responses.encoder(head(), "1", 1700000000)
        out = encoder.feed(events[:cut]) + encoder.feed(events[cut:]) + encoder.close()
        seen = automaton(out)
        told = fold(events)
        assert tellable(fold(decoded(out))) == tellable(told)
        body = whole(told)
        assert settled(body) == settled(seen.response)
        assert tellable(openai_responses.decode_reply(msgspec.json.encode(body))) == tellable(told)


def settled(response):
    """A response without what only a stream knows: which of its items were cut."""
    items = [{name: value for name, value in item.items() if name != "status"} for item in response["output"]]
    return {**response, "output": items}


def tellable(message):
    """The blocks of a message as this format can tell them."""
    blocks = []
    for block in message.blocks:
        match block:
            case Text(text="") | Refusal(text=""):
                continue
            case Opaque(format=form) if form != "openai_responses":
                continue
            case Opaque():
                blocks.append(msgspec.json.decode(block.body))
                continue
            case Thinking(text="", signature=None, redacted=None):
                continue
            case Thinking(redacted=str(data), issuer="openai_responses"):
                block = Thinking(signature=data, issuer="openai_responses")
            case Thinking(issuer="openai_responses" | None):
                sealed = block.signature and block.signature.rpartition(".")[2]
                block = msgspec.structs.replace(block, issuer="openai_responses", signature=sealed)
            case Audio():
                block = Text("[The answer holds a sound here, which this format cannot carry.]")
            case _:
                pass
        blocks.append(block)
    return blocks


EVENTS = st.lists(
    st.one_of(
        st.builds(TextDelta, st.text(max_size=4)),
        st.builds(TextDelta, st.just("a"), st.sampled_from([Raw(b'[{"token":"a"}]'), Raw(b"[ ]")])),
        st.builds(RefusalDelta, st.text(max_size=4)),
        st.builds(ThinkingDelta, st.text(max_size=4), issuer=st.sampled_from(["anthropic", "openai_responses"])),
        st.builds(ThinkingDelta, signature=st.just("rs_1.s"), issuer=st.just("openai_responses")),
        st.builds(ThinkingDelta, redacted=st.just("r"), issuer=st.just("anthropic")),
        st.builds(ToolStart, st.integers(0, 3), st.just("c"), st.just("f"), st.booleans()),
        st.builds(ToolDelta, st.integers(0, 3), st.text(st.sampled_from('{"é x'), min_size=1, max_size=4)),
        st.builds(BlockStop, st.none() | st.integers(0, 3)),
        st.builds(Media, st.just(Image(media_type="image/png", data="aGk="))),
        st.builds(Media, st.just(Image(url="https://example.com/a.png"))),
        st.builds(Media, st.just(Opaque("openai_responses", "mcp_call", Raw(b'{"type":\n"mcp_call"}')))),
        st.builds(UsageSeen, st.builds(Usage, *[st.integers(0, 99)] * 4)),
        st.builds(Start),
    ),
    max_size=14,
)
ENDS = st.one_of(
    st.builds(Finish, st.sampled_from(["stop", "length", "tool_calls", "refusal", "pause", "context_window"])),
    st.builds(lambda text: Failed(Fault(kind="overloaded", status=529, message=text)), st.text(max_size=4)),
)


@given(EVENTS, st.lists(ENDS, max_size=2), EVENTS)
def test_whatever_an_encoder_is_fed_its_stream_is_legal(events, ends, after):
    events = [event for at, event in enumerate(events) if not _repeats(event, events[:at])]
    seen = automaton(encoded([*events, *ends]) if ends else encoded(events))
    automaton(encoded([*events, *ends, *after] if ends else events))
    if not ends:
        assert seen.error["code"] == TRUNCATED.code


def _repeats(event, before):
    """Whether it is a sealed thought whose id another one has."""
    return isinstance(event, ThinkingDelta) and event.signature is not None and event in before


# --------------------------------------------------------------------------------------------------- requests, read


def message(*content):
    return {"role": "user", "content": list(content)}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{}]}, "input[0].type"),
        ({"input": [message(), message(), message(), {"type": "telepathy"}]}, "input[3].type"),
        ({"input": [{"type": 1}]}, "input[0].type"),
        ({"input": [{"role": "robot", "content": "hi"}]}, "input[0].role"),
        ({"input": [{"type": "message", "content": "hi"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": 1}]}, "input[0].content"),
        ({"input": [message("hi")]}, "input[0].content[0]"),
        ({"input": [message({"text": "hi"})]}, "input[0].content[0].type"),
        ({"input": [message({"type": "input_text"})]}, "input[0].content[0].text"),
        ({"input": [message({"type": "input_image"})]}, "input[0].content[0].image_url"),
        ({"input": [message({"type": "input_image", "image_url": "data:x,y"})]}, "input[0].content[0].image_url"),
        ({"input": [message({"type": "input_image", "image_url": {"url": "x"}})]}, "input[0].content[0].image_url"),
        ({"input": [message({"type": "input_file", "filename": "x"})]}, "input[0].content[0].file_id"),
        ({"input": [message({"type": "input_file", "file_data": "data:x"})]}, "input[0].content[0].file_data"),
        ({"input": [message({"type": "input_audio"})]}, "input[0].content[0].input_audio"),
        (
            {"input": [{"role": "system", "content": [{"type": "input_image", "image_url": "http://x"}]}]},
            "input[0].content[0]",
        ),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "c", "arguments": "{}"}]}, "input[0].name"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        (
            {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}]},
            "input[0].arguments",
        ),
        ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "f"}]}, "input[0].input"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": {}}]}, "input[0].output"),
        (
            {
                "input": [
                    {
                        "type": "function_call_output",
                        "call_id": "c",
                        "output": [{"type": "refusal", "refusal": "no"}],
                    }
                ]
            },
            "input[0].output[0]",
        ),
        ({"input": [{"type": "reasoning", "summary": "x"}]}, "input[0].summary"),
        ({"input": [{"type": "reasoning", "encrypted_content": 1}]}, "input[0].encrypted_content"),
        ({"instructions": 1}, "instructions"),
        ({"temperature": "0.5"}, "temperature"),
        ({"max_output_tokens": 1.5}, "max_output_tokens"),
        ({"max_output_tokens": 2**64}, "max_output_tokens"),
        ({"include": "all"}, "include"),
        ({"store": "yes"}, "store"),
        ({"user": 1}, "user"),
        ({"metadata": "x"}, "metadata"),
        ({"reasoning": {"effort": "enormous"}}, "reasoning.effort"),
        ({"reasoning": "high"}, "reasoning"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": 1}}}, "text.format.schema"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"name": "f"}]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "custom"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
        ({"tools": [{"type": "custom", "name": "f", "format": []}]}, "tools[0].format"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "none", "tools": []}}, "tool_choice.mode"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(fields, param):
    body = {name: value for name, value in {"input": "hi", **fields}.items() if value is not None}
    fault = refusal(msgspec.json.encode({"model": "m", **body}))
    assert (fault.status, fault.param) == (400, param)


def test_a_response_that_is_not_here_is_told_in_openais_words():
    body = b'{"model":"m","input":"hi","previous_response_id":"resp_1"}'
    fault = refusal(body)
    assert (fault.status, fault.code) == (400, "previous_response_not_found")
    assert patch.join(openai_responses.forward(openai_responses.peek(body), "m")) == body


def test_an_unknown_item_is_refused_before_anything_is_decided():
    with pytest.raises(BadRequest) as caught:
        openai_responses.peek(b'{"model":"m","input":[{"role":"user","content":"a"},{"type":"telepathy"}]}')
    assert caught.value.fault.param == "input[1].type"
    assert "telepathy" in caught.value.fault.message


@pytest.mark.parametrize("content", [b'"\\ud800"', b'[{"type":"input_text","text":"\\ud800"}]', b"[" * 100_000])
def test_text_that_is_no_text_is_refused(content):
    assert refusal(b'{"model":"m","input":[{"role":"user","content":' + content + b"}]}").status == 400


JUNK = [None, True, 0, -1, 2**70, 1.5, "", "x", [], {}, [[]], [None], {"type": None}, {"type": "message"}, ["\u2028"]]


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
        peeked = openai_responses.peek(body)
        fields = openai_responses.forward(peeked, "m")
        openai_responses.unsealed(fields)
        openai_responses.count_request(fields, "m")
        automaton(openai_responses.encoder(peeked, "id", 0).feed([Start(), Finish("stop")]))
        openai_responses.through(peeked)
        chat = openai_responses.decode_request(peeked)
        for codec in (openai_responses, openai_chat, anthropic):
            patch.join(codec.encode_request(chat, "m")[0])
    except BadRequest as refused:
        return refused.fault.status == 400
    return False


def test_a_request_in_words_alone_is_the_users_turn():
    chat = openai_responses.decode_request(openai_responses.peek(b'{"model":"m","input":"hi","instructions":"Be."}'))
    assert (chat.turns, chat.system) == ((Turn("user", (Text("hi"),)),), (Text("Be."),))
    prompt = openai_responses.peek(b'{"model":"m","prompt":{"id":"p"}}')
    assert openai_responses.decode_request(prompt).vendor == {"prompt": Raw(b'{"id":"p"}')}


# ------------------------------------------------------------------------------------------- requests, of the same


def test_forwarding_keeps_every_byte_but_the_model():
    body = b'{"model":"coding","input":[ {"role":"user","content":"\\u0041"} ],"stream":true,"x":1e2,"store":true}'
    sent = patch.join(openai_responses.forward(openai_responses.peek(body), "gpt-5"))
    assert sent == body.replace(b'"coding"', b'"gpt-5"')


def test_reasoning_that_another_format_sealed_is_not_forwarded():
    own = b'{ "type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA" }'
    foreign = b'{"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"omniroute.anthropic.c2ln"}'
    quoting = b'{"role":"user","content":"omniroute."}'
    body = b'{"model":"m","input":[' + b",".join((own, foreign, quoting)) + b"]}"
    sent = patch.join(openai_responses.forward(openai_responses.peek(body), "m"))
    assert sent == body.replace(foreign + b",", b"")
    alone = b'{"model":"m","input":[ ' + quoting + b"]}"
    assert patch.join(openai_responses.forward(openai_responses.peek(alone), "m")) == alone


def test_a_request_without_its_sealed_reasoning_keeps_the_rest():
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    plain = {"type": "reasoning", "summary": [], "content": []}
    said = {"role": "user", "content": "hi"}
    fields = openai_responses.unsealed({"model": "m", "input": [sealed, plain, said]})
    assert msgspec.json.decode(patch.join(fields)) == {"model": "m", "input": [plain, said]}
    assert openai_responses.unsealed({"model": "m", "input": [plain, said]}) is None
    assert openai_responses.unsealed({"model": "m", "input": "hi"}) is None
    assert openai_responses.unsealed({"model": "m"}) is None


def test_a_refused_seal_is_told_from_other_refusals():
    for status, refused in ((400, True), (404, True), (429, False), (500, False)):
        fault = openai_responses.decode_error(status, (CASES / "errors" / f"error-{status}.json").read_bytes())
        assert openai_responses.seal_refused(fault) == refused


def test_a_limit_is_set_where_it_is_smaller():
    assert openai_responses.limited({"max_output_tokens": Raw(b"9")}, 5)["max_output_tokens"] == 5
    assert openai_responses.limited({}, 5) == {"max_output_tokens": 5}


def test_a_count_is_asked_for_without_what_shapes_an_answer():
    peeked = openai_responses.peek_count(b'{"model":"m","input":"hi","stream":true,"store":false,"text":{}}')
    fields = openai_responses.count_request(openai_responses.forward(peeked, "n"), "n")
    assert patch.join(fields) == b'{"model":"n","input":"hi","text":{}}'
    assert openai_responses.decode_count(b'{"object":"response.input_tokens","input_tokens":7}') == 7
    told = openai_responses.encode_count(7, estimated=True)
    assert msgspec.json.decode(told) == {"object": "response.input_tokens", "input_tokens": 7, "estimated": True}
    assert b"estimated" not in openai_responses.encode_count(7, estimated=False)


# ------------------------------------------------------------------------------------------------ requests, written


CLOSED = Raw(b'{"type":"object","properties":{},"required":[],"additionalProperties":false}')


@pytest.mark.parametrize(
    ("asked", "sent", "codes"),
    [
        ({"sampling": Sampling(top_k=5, stop=("x",), seed=1)}, {}, ["stop", "seed", "top_k"]),
        ({"sampling": Sampling(n=2, presence_penalty=1.0)}, {}, ["presence_penalty", "n"]),
        ({"sampling": Sampling(max_tokens=1)}, {"max_output_tokens": 16}, ["max_tokens"]),
        ({"sampling": Sampling(max_tokens=99, temperature=1.0)}, {"max_output_tokens": 99, "temperature": 1.0}, []),
        (
            {"sampling": Sampling(logprobs=True, top_logprobs=2)},
            {"top_logprobs": 2, "include": ["message.output_text.logprobs"]},
            [],
        ),
        (
            {"reasoning": Reasoning(budget=1024)},
            {"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]},
            ["thinking_budget"],
        ),
        (
            {"reasoning": Reasoning(adaptive=True, effort="max", show="summarized")},
            {"reasoning": {"effort": "max", "summary": "auto"}, "include": ["reasoning.encrypted_content"]},
            [],
        ),
        ({"reasoning": Reasoning(adaptive=True)}, {"include": ["reasoning.encrypted_content"]}, []),
        ({"reasoning": Reasoning(off=True)}, {}, ["thinking_off"]),
        ({"reasoning": Reasoning(effort="none")}, {"reasoning": {"effort": "none"}}, []),
        ({"metadata": Raw(b"{}")}, {}, ["metadata"]),
        ({"user": "u" * 65}, {"user": "f20e249d15fa4b9f44ba21d154f62e1efa76ddfdce5d25139a33a4787cee5a8b"}, ["user"]),
        ({"service_tier": "standard_only"}, {}, ["service_tier"]),
        ({"vendor": {"container": Raw(b'"c"')}}, {}, ["container"]),
        ({"tool_choice": ToolChoice("auto"), "parallel_tools": True}, {}, []),
        ({"tools": (Tool("web_search", format="anthropic", opaque=Raw(b"{}")),)}, {}, ["tool"]),
        (
            {"output": Output("json_schema", schema=CLOSED, strict=True), "verbosity": "low"},
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "answer",
                        "schema": msgspec.json.decode(CLOSED),
                        "strict": True,
                    },
                    "verbosity": "low",
                }
            },
            [],
        ),
        ({"stream": True, "system": (Text("a"), Text("b"))}, {"stream": True, "instructions": "a\n\nb"}, []),
        (
            {"tools": (Tool("f"), Tool("g", "d", CLOSED, strict=True))},
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "f",
                        "parameters": {"type": "object", "properties": {}},
                        "strict": False,
                    },
                    {
                        "type": "function",
                        "name": "g",
                        "description": "d",
                        "parameters": msgspec.json.decode(CLOSED),
                        "strict": True,
                    },
                ]
            },
            [],
        ),
    ],
)
def test_what_is_asked_is_sent_and_what_cannot_be_is_told(asked, sent, codes):
    body, lost = written(**asked)
    said = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]
    assert body == {"model": "m", "input": said, "store": False, **sent}
    assert lost == codes


def user(*content):
    return {"type": "message", "role": "user", "content": list(content)}


def text(said):
    return {"type": "input_text", "text": said}


@pytest.mark.parametrize(
    ("blocks", "items", "codes"),
    [
        ((Text("a", CacheMark()), Text("b", CacheMark())), [user(text("a"), text("b"))], ["cache_control"]),
        ((ToolResult("lost", (Text("x"),)),), [user(text("Result of lost:"), text("x"))], ["tool_result"]),
        ((Image(file_id="f"), Text("?")), [user(text("?"))], ["image_file"]),
        ((Document(file_id="f"), Text("?")), [user(text("?"))], ["document_file"]),
        (
            (Document(url="https://x/a.pdf", name="n", citations=True),),
            [user({"type": "input_file", "filename": "n", "file_url": "https://x/a.pdf"})],
            ["citations"],
        ),
        ((Document(text="body", name="n", context="c"),), [user(text("n\n\nc\n\nbody"))], []),
        (
            (Document(data="aGk=", context="c"),),
            [
                user(
                    {
                        "type": "input_file",
                        "filename": "document.pdf",
                        "file_data": "data:application/pdf;base64,aGk=",
                    }
                )
            ],
            ["document_context"],
        ),
        (
            (Audio("aGk=", "wav"),),
            [user({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}})],
            [],
        ),
        ((Opaque("anthropic", "search_result", Raw(b"{}")), Text("?")), [user(text("?"))], ["search_result"]),
        ((), [user(text(""))], []),
    ],
)
def test_what_the_user_says_becomes_items(blocks, items, codes):
    body, lost = written(turns=(Turn("user", blocks),))
    assert (body["input"], lost) == (items, codes)


def test_calls_and_results_fit_whatever_was_said():
    long = "toolu_" + "x" * 100
    calls = (ToolCall(long, "f", "{}"), ToolCall("c", "g", "free", custom=True), ToolCall("lost", "h", "{}"))
    results = (ToolResult("c", (Text("no"),), is_error=True), ToolResult(long, (Image(url="https://x/a.png"),)))
    body, lost = written(turns=(Turn("assistant", (Text("a"), *calls)), Turn("user", results)))
    items = body["input"]
    assert [item["type"] for item in items] == [
        "message",
        "function_call",
        "custom_tool_call",
        "function_call",
        "function_call_output",
        "custom_tool_call_output",
        "function_call_output",
    ]
    assert items[1]["call_id"] == items[6]["call_id"] != long
    assert items[5]["output"] == "Error: no"
    assert items[6]["output"] == [{"type": "input_image", "detail": "auto", "image_url": "https://x/a.png"}]
    assert lost == ["tool_result", "is_error"]


def test_an_assistants_turn_keeps_its_own_thinking_and_no_others():
    turn = Turn(
        "assistant",
        (
            Thinking("unsigned", issuer="openai_responses"),
            Thinking("signed", signature="rs_1.gAAA", issuer="openai_responses"),
            Thinking(signature="gBBB", issuer="openai_responses"),
            Thinking(redacted="rs_2.gCCC", issuer="openai_responses"),
            Thinking("theirs", signature="s", issuer="anthropic"),
            Text("a"),
            Refusal("b"),
            Image(url="https://x/a.png"),
            Opaque("openai_responses", "web_search_call", Raw(b'{"type":"web_search_call"}')),
            Text("c"),
        ),
        "Bob",
    )
    body, lost = written(turns=(turn,))
    assert body["input"] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "signed"}],
            "encrypted_content": "gAAA",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "gBBB"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gCCC"},
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "a", "annotations": []},
                {"type": "refusal", "refusal": "b"},
            ],
        },
        {"type": "web_search_call"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "c", "annotations": []}],
        },
    ]
    assert body["include"] == ["reasoning.encrypted_content"]
    assert lost == ["name", "thinking", "thinking", "image"]


def test_an_input_of_nothing_says_so():
    body, lost = written(turns=(Turn("assistant", (Thinking("x", issuer="anthropic"),)),))
    assert body["input"] == [user(text("(The user said nothing.)"))]
    assert lost == ["thinking", "empty_turn"]


def test_a_choice_among_tools_names_each_by_its_kind():
    tools = (Tool("f"), Tool("c", custom=True), Tool("web_search", format="openai_responses", opaque=Raw(b"{}")))
    for choice, sent in (
        (ToolChoice("one", "c"), {"type": "custom", "name": "c"}),
        (ToolChoice("one", "f"), {"type": "function", "name": "f"}),
        (ToolChoice("one", "web_search"), {"type": "web_search"}),
        (ToolChoice("none", allowed=("f",)), "none"),
        (
            ToolChoice("required", allowed=("f", "web_search")),
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}],
            },
        ),
    ):
        body, lost = written(tools=tools, tool_choice=choice)
        assert (body["tool_choice"], lost) == (sent, [])
    body, lost = written(tools=tools, tool_choice=ToolChoice("one", "missing"))
    assert ("tool_choice" in body, lost) == (False, ["tool_choice"])


def test_a_grammar_stands_as_each_of_openais_formats_has_it():
    flat = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
    body = {"model": "m", "input": "hi", "tools": [{"type": "custom", "name": "c", "format": flat}]}
    chat = openai_responses.decode_request(openai_responses.peek(msgspec.json.encode(body)))
    assert msgspec.json.decode(patch.join(openai_responses.encode_request(chat, "m")[0]))["tools"] == body["tools"]
    nested = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}}
    sent = msgspec.json.decode(patch.join(openai_chat.encode_request(chat, "m")[0]))
    assert sent["tools"] == [{"type": "custom", "custom": {"name": "c", "format": nested}}]


# --------------------------------------------------------------------------------- thinking, through a client and back


def test_thinking_reaches_its_issuer_again_and_no_one_else():
    thoughts = (
        Thinking("Hm", signature="c2ln", issuer="anthropic"),
        Thinking("Plain", issuer="openai_chat"),
        Thinking(redacted="ZGF0YQ==", issuer="anthropic"),
        Thinking("Mine", signature="rs_own.gAAA", issuer="openai_responses"),
    )
    told = Message(blocks=(*thoughts, Text("a")), finish="stop")
    body = whole(told)
    (streamed,) = [automaton(encoded(unfold(told))).response]
    assert streamed["output"] == body["output"]
    assert body["output"][3]["id"] == "rs_own"
    assert body["output"][3]["encrypted_content"] == "gAAA"
    request = msgspec.json.encode({"model": "m", "input": [{"role": "user", "content": "hi"}, *body["output"]]})
    chat = openai_responses.decode_request(openai_responses.peek(request))
    assert chat.turns[1].blocks == (*thoughts, Text("a"))
    own = msgspec.json.decode(patch.join(openai_responses.encode_request(chat, "m")[0]))["input"]
    assert [item.get("encrypted_content") for item in own if item["type"] == "reasoning"] == ["gAAA"]


# ------------------------------------------------------------------------------------- custom tools, told as functions

CUSTOM = [{"type": "custom", "name": "apply_patch"}, {"type": "function", "name": "f"}]


def test_a_custom_tools_call_comes_back_as_one_from_a_model_of_functions():
    text = '*** Begin "Patch"\n\\ é 👩‍👩‍👧 \u2028\t*** End'
    for arguments in (
        msgspec.json.encode({"input": text}).decode(),
        '{ "input" : ' + msgspec.json.encode(text).decode() + " }",
        '{"input":"' + "".join(f"\\u{unit:04x}" for unit in _units(text)) + '"}',
    ):
        for size in (1, 2, 5, 1000):
            pieces = [ToolDelta(0, arguments[at : at + size]) for at in range(0, len(arguments), size)]
            events = [Start(), ToolStart(0, "c", "apply_patch"), *pieces, BlockStop(0), Finish("tool_calls")]
            seen = automaton(encoded(events, tools=CUSTOM))
            assert (seen.items[0]["type"], seen.items[0]["input"]) == ("custom_tool_call", text)
            assert whole(fold(events), tools=CUSTOM)["output"][0] == seen.items[0]


def _units(text):
    data = text.encode("utf-16-be")
    return [data[at] << 8 | data[at + 1] for at in range(0, len(data), 2)]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("", ""),
        ("{}", ""),
        ('{"other": 1}', '{"other": 1}'),
        ('{"a": 1, "input": "x"}', "x"),
        ("plain words", "plain words"),
        ('{"input": 5}', '{"input": 5}'),
        ('{"input": "a\nb\\n"}', "a\nb\n"),
        ('{"input": "cut', "cut"),
        ('{"input": "x"} and more', "x"),
    ],
)
def test_whatever_a_model_wraps_a_text_in_it_is_found(arguments, text):
    assert custom.unwrapped(arguments) == text
    unwrapping = custom.Unwrapping()
    assert "".join(map(unwrapping.feed, arguments)) + unwrapping.close() == text


def test_a_tool_that_the_upstream_called_freely_is_not_unwrapped():
    events = [ToolStart(0, "c", "apply_patch", custom=True), ToolDelta(0, '{"input":"x"}'), Finish("tool_calls")]
    assert automaton(encoded(events, tools=CUSTOM)).items[0]["input"] == '{"input":"x"}'


# -------------------------------------------------------------------------------------------------- answers, written


def test_a_response_repeats_its_request_on_one_line():
    body = b"""{"model": "coding", "input": "hi", "stream": true, "instructions": "Be\\n.", "max_output_tokens": 99,
        "tools": [ {"type": "function",\n "name": "f"} ], "metadata": {"a": "b"}, "temperature": null, "store": false}"""
    encoder = openai_responses.encoder(openai_responses.peek(body), "1", 5)
    out = encoder.feed([Start(), TextDelta("a"), Finish("stop")])
    response = automaton(out).response
    assert (response["instructions"], response["max_output_tokens"], response["store"]) == ("Be\n.", 99, False)
    assert (response["tools"], response["metadata"]) == ([{"type": "function", "name": "f"}], {"a": "b"})
    assert (response["temperature"], response["id"], response["created_at"]) == (1.0, "resp_1", 5)


def test_an_end_says_what_the_finish_was():
    for reason, status, why in (
        ("stop", "completed", None),
        ("stop_sequence", "completed", None),
        ("tool_calls", "completed", None),
        ("pause", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("context_window", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("refusal", "incomplete", "content_filter"),
    ):
        events = [Start(), TextDelta("a"), Finish(reason)]
        seen = automaton(encoded(events))
        assert (seen.status, seen.reason) == (status, why)
        assert seen.items[0]["status"] == status
        assert whole(fold(events)) == seen.response
    assert automaton(encoded([Start(), RefusalDelta("no"), Finish("refusal")])).status == "completed"


def test_usage_is_told_at_the_end():
    events = [Start(), TextDelta("a"), UsageSeen(Usage(9, 2, cached=3, cache_write=1, reasoning=1)), Finish("stop")]
    assert automaton(encoded(events)).usage == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 11,
    }
    estimated = [Start(), UsageSeen(Usage(1, 1, estimated=True)), Finish("stop")]
    assert automaton(encoded(estimated)).usage["estimated"] is True
    assert fold(decoded(encoded(estimated))).usage.estimated


def test_a_failure_in_mid_stream_is_the_state_of_the_response():
    fault = Fault(kind="rate_limited", status=429, message="slow down")
    seen = automaton(encoded([Start(), TextDelta("a"), BlockStop(), TextDelta("b"), Failed(fault)]))
    assert (seen.status, seen.error) == ("failed", {"code": "rate_limit_exceeded", "message": "slow down"})
    assert [item["content"][0]["text"] for item in seen.response["output"]] == ["a"]
    assert automaton(encoded([Failed(fault)])).status == "failed"
    assert whole(Message(fault=fault))["error"]["message"] == "slow down"


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
        bridge = openai_responses.through(head())
        out = handed_on(bridge, bytes(stream))
        assert bridge.over
        assert out.endswith(b"\n\n")


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 100_000,
        b'{"output":' + b"[" * 100_000,
        b'{"x":' + b"[" * 100_000,
        b"1",
        b'"x"',
        b"{}x",
        b'{"output":1,"item":{"type":1},"response":1}',
    ],
)
def test_malformed_events_end_the_stream_with_a_fault(payload):
    event = b"data: " + payload + b"\n\n"
    (failed,) = decoded(event)
    assert failed.fault.code == "upstream_malformed"
    bridge = openai_responses.through(head())
    assert b'"code":"upstream_malformed"' in bridge.feed(event)
    assert (bridge.feed(event), bridge.close(), bridge.fail(TRUNCATED)) == (b"", b"", b"")
    with pytest.raises(ValueError):
        openai_responses.decode_reply(payload)
    with pytest.raises(ValueError):
        openai_responses.relabel(payload, Head("m", stream=False, fields={}))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"output":null}', b'{"id":"x"}', b'{"output":[1]}'])
def test_a_whole_body_that_is_no_answer_is_a_value_error(body):
    with pytest.raises(ValueError):
        openai_responses.decode_reply(body)
    with pytest.raises(ValueError):
        openai_responses.relabel(body, Head("m", stream=False, fields={}))


def test_hostile_counts_are_held_within_bounds():
    body = b'{"output":[],"usage":{"input_tokens":-5,"output_tokens":1e300,"total_tokens":7.5}}'
    usage = openai_responses.decode_reply(body).usage
    assert usage == Usage(input=0, output=2**53)
    assert openai_responses.relabel(body, Head("m", stream=False, fields={})).usage == usage


def test_bytes_that_are_not_text_are_not_handed_on():
    with pytest.raises(ValueError, match="UTF-8"):
        openai_responses.relabel(b'{"output":[],"x":"\xff"}', Head("m", stream=False, fields={}))
    bridge = openai_responses.through(head())
    bridge.feed(delta(2, "a"))
    out = bridge.feed(delta(3, "b") + delta(4, "c").replace(b'"c"', b'"\xff"'))
    assert out.startswith(delta(3, "b"))
    assert b"upstream_malformed" in out
    assert b"\xff" not in out


# -------------------------------------------------------------------------------------------------- answers, handed on


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_handed_on_differs_in_its_models_name_only(path):
    body = path.read_bytes()
    reply = openai_responses.relabel(body, Head("coding", stream=False, fields={}))
    told = openai_responses.decode_reply(body)
    if told.fault is not None:
        assert (reply.fault, reply.body) == (told.fault, b"")
        return
    assert msgspec.json.decode(reply.body) == {**msgspec.json.decode(body), "model": "coding"}
    assert reply.usage == told.usage
    assert reply.finish in (told.finish, "stop")


def delta(number, said):
    told = {"type": "response.output_text.delta", "sequence_number": number, "item_id": "msg_1", "output_index": 0}
    data = msgspec.json.encode({**told, "content_index": 0, "delta": said})
    return b"event: response.output_text.delta\ndata: " + data + b"\n\n"


def test_blocks_of_deltas_pass_unread_and_a_failure_after_them_has_the_next_number():
    bridge = openai_responses.through(head())
    stream = (CASES / "text" / "stream.txt").read_bytes()
    start, _, _ = stream.partition(b"event: response.output_text.delta")
    assert b'"model":"coding"' in bridge.feed(start)
    assert not bridge.committed
    bridge.feed(delta(4, "a"))
    assert bridge.committed
    block = delta(5, '"model":"gpt-5"') + delta(6, "\n\nevent: response.failed\ndata: {}") + delta(7, "é")
    assert bridge.feed(block) == block
    assert bridge.produced == 4
    out = bridge.fail(Fault(kind="timeout", status=504, message="no byte for 120 s"))
    told = msgspec.json.decode(framing.records(out)[0][1])
    assert (told["type"], told["sequence_number"]) == ("response.failed", 8)
    assert told["response"]["status"] == "failed"
    assert told["response"]["model"] == "coding"
    assert told["response"]["error"] == {"code": "server_error", "message": "no byte for 120 s"}
    assert (bridge.close(), bridge.feed(block)) == (b"", b"")


def test_a_block_that_only_begins_like_deltas_is_looked_at():
    bridge = openai_responses.through(head())
    bridge.feed(delta(0, "a"))
    error = b'event: error\ndata: {"type":"error","message":"no","code":"c"}\n\n'
    odd = delta(1, "b") + error.replace(b"event: error", b"event: response.output_text.delta")
    out = bridge.feed(odd)
    assert bridge.fault is not None
    assert out.startswith(delta(1, "b"))


def test_a_response_that_never_began_fails_by_an_event_of_its_own():
    bridge = openai_responses.through(head())
    out = bridge.fail(Fault(kind="timeout", status=504, message="nothing came"))
    assert automaton(out).error == {"type": "error", "code": "server_error", "message": "nothing came", "param": None}


# ------------------------------------------------------------------------------------------------- the official client


def accumulated(stream):
    """What the SDK makes of a stream."""
    client = openai.OpenAI(
        api_key="k",
        base_url="http://test",
        http_client=httpx2.Client(
            transport=httpx2.MockTransport(
                lambda _: httpx2.Response(200, content=stream, headers={"content-type": "text/event-stream"})
            )
        ),
    )
    with client, client.responses.stream(model="coding", input="hi") as events:
        kinds = [event.type for event in events]
        return kinds, events.get_final_response()


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_the_official_client_reads_a_translated_stream(path):
    events = decoded(path.read_bytes())
    out = encoded(events)
    if not isinstance(events[-1], Finish) or events[-1].reason in ("length", "content_filter"):
        return
    kinds, response = accumulated(out)
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    told = fold(events)
    assert response.output_text == "".join(block.text for block in told.blocks if isinstance(block, Text))
    called = [item.call_id for item in response.output if item.type in ("function_call", "custom_tool_call")]
    assert called == [block.id for block in told.blocks if isinstance(block, ToolCall)]


def test_the_official_client_finds_every_field_of_a_whole_answer():
    random = Random(8)
    for _ in range(50):
        Response.model_validate(whole(fold(story(random)), tools=[{"type": "function", "name": "f"}]))
