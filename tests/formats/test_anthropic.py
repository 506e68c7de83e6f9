"""Anthropic's Messages against recorded shapes of several servers, and against the format's own laws.

A folder of `anthropic/` is one case: what a client or a server sent, and beside it what we understand of it
(`chat.json`, `events.json` or `message.json`, `fault-*.json`) and what we make of it (`body.json`, `through.txt`).
"""

from pathlib import Path
from random import Random

import anthropic as sdk
import httpx2
import msgspec
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from automata_anthropic import anthropic as automaton
from automata_anthropic import request as legal_request
from hypothesis import given, settings
from hypothesis import strategies as st
from stories import MEDIA, story

from omniroute.errors import BadRequest, Fault
from omniroute.formats import anthropic, framing, openai_chat, patch
from omniroute.formats.codec import TRUNCATED, Head
from omniroute.formats.fold import fold
from omniroute.formats.ir import (
    CONTENT,
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

CASES = Path(__file__).with_name("anthropic")
REQUESTS = sorted(CASES.glob("*/request.json"))
STREAMS = sorted(CASES.glob("*/stream.txt"))
REPLIES = sorted(CASES.glob("*/reply.json"))
ERRORS = sorted(CASES.glob("*/error-*.json"))
MODEL = "claude-opus-4-8"


def case(path):
    return path.parent.name


def pretty(value):
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def head(*, stream=True):
    return Head("coding", stream, {})


def decoded(*pieces):
    decoder = anthropic.decoder()
    events = []
    for piece in pieces:
        events += decoder.feed(piece)
    return events + decoder.close()


def handed_on(bridge, *pieces):
    return b"".join(bridge.feed(piece) for piece in pieces) + bridge.close()


def encoded(events):
    encoder = anthropic.encoder(head(), "1", 1700000000)
    return encoder.feed(events) + encoder.close()


def comparable(message):
    """A message whose arguments are compared as data, for a stream and a whole answer space them differently."""
    return msgspec.structs.replace(message, blocks=tuple(map(_comparable, message.blocks)))


def _comparable(block):
    match block:
        case ToolCall():
            return msgspec.structs.replace(block, arguments=_data(block.arguments or "{}"))
        case Opaque():
            return msgspec.structs.replace(block, body=_data(block.body))
        case _:
            return block


def _data(text):
    try:
        return repr(msgspec.json.decode(text))
    except msgspec.DecodeError:
        return text


# --------------------------------------------------------------------------------------------------------- goldens


@pytest.mark.parametrize("path", REQUESTS, ids=case)
def test_a_request_means_what_was_reviewed_and_is_written_as_reviewed(path, golden):
    chat = anthropic.decode_request(anthropic.peek(path.read_bytes()))
    golden(path.with_name("chat.json"), pretty(chat))
    fields, losses = anthropic.encode_request(chat, MODEL)
    golden(path.with_name("body.json"), pretty({"body": fields, "losses": losses}))


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_tells_what_was_reviewed_and_is_handed_on_as_reviewed(path, golden):
    stream = path.read_bytes()
    golden(path.with_name("events.json"), pretty(decoded(stream)))
    golden(path.with_name("through.txt"), handed_on(anthropic.through(head()), stream).decode())


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_tells_what_its_stream_tells(path, golden):
    told = anthropic.decode_reply(path.read_bytes())
    stream = path.with_name("stream.txt")
    if not stream.exists():
        golden(path.with_name("message.json"), pretty(told))
        return
    assert comparable(told) == comparable(fold(decoded(stream.read_bytes())))


@pytest.mark.parametrize("path", ERRORS, ids=lambda path: path.stem)
def test_an_error_is_understood_as_reviewed(path, golden):
    status = int(path.stem.split("-")[1])
    fault = anthropic.decode_error(status, path.read_bytes())
    golden(path.with_name(path.name.replace("error", "fault")), pretty(fault))


# ------------------------------------------------------------------------------------------------- streams, any way


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_tells_the_same_wherever_its_bytes_are_split(path):
    stream = path.read_bytes()
    events = decoded(stream)
    out = handed_on(anthropic.through(head()), stream)
    for at in range(len(stream)):
        assert decoded(stream[:at], stream[at:]) == events
        assert handed_on(anthropic.through(head()), stream[:at], stream[at:]) == out
    single = [stream[at : at + 1] for at in range(len(stream))]
    assert decoded(*single) == events
    assert handed_on(anthropic.through(head()), *single) == out


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_handed_on_tells_the_same_under_the_name_that_was_asked_for(path):
    stream = path.read_bytes()
    bridge = anthropic.through(head())
    out = handed_on(bridge, stream)
    events = [
        msgspec.structs.replace(event, model="coding") if isinstance(event, Start) and event.model else event
        for event in decoded(stream)
    ]
    usages = [event.usage for event in events if isinstance(event, UsageSeen)]
    assert bridge.usage == (usages[-1] if usages else None)
    assert bridge.committed == any(isinstance(event, CONTENT) for event in events)
    if bridge.fault is not None:
        assert isinstance(events[-1], Failed)
        assert bridge.fault.status == events[-1].fault.status
        assert b"event: error\ndata: " in out
        assert decoded(out)[-1].fault.kind == bridge.fault.kind or bridge.fault.code is not None
        return
    assert decoded(out) == events
    assert out.endswith(b"\n\n")
    names = [event for event in out.split(b"\n\n") if not event.startswith(b"event: ")]
    assert names == [b""], "the SDK skips events without a name"


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_translated_is_a_legal_stream_that_tells_the_same(path):
    events = decoded(path.read_bytes())
    out = encoded(events)
    seen = automaton(out)
    told = fold(events)
    assert (seen.error is None) == (told.fault is None)
    if told.fault is None:
        again = fold(decoded(out))
        assert comparable(again).blocks == comparable(told).blocks
        assert (again.finish, again.stop_sequence, again.usage) == (
            told.finish,
            told.stop_sequence,
            told.usage or Usage(),
        )
        assert seen.model == "coding"
        assert seen.id == "msg_1"


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_is_written_as_it_was_understood(path):
    told = anthropic.decode_reply(path.read_bytes())
    body = anthropic.encode_reply(told, head(), "1", 1700000000)
    again = anthropic.decode_reply(body)
    if told.fault is not None:
        assert again.fault is not None
        assert again.fault.kind == told.fault.kind
        return
    assert comparable(again) == comparable(msgspec.structs.replace(told, id="msg_1", model="coding"))


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_is_handed_on_with_nothing_but_its_model_changed(path):
    body = path.read_bytes()
    reply = anthropic.relabel(body, Head("coding", stream=False, fields={}))
    told = anthropic.decode_reply(body)
    if told.fault is not None:
        assert reply.fault == told.fault
        return
    assert msgspec.json.decode(reply.body) == msgspec.json.decode(body) | {"model": "coding"}
    assert (reply.usage, reply.finish) == (told.usage, told.finish)


def test_no_more_than_a_delta_is_needed_to_begin_and_no_byte_is_looked_at_twice():
    bridge = anthropic.through(head())
    start = event_of({"type": "message_start", "message": {"model": "theirs", "usage": {"input_tokens": 3}}})
    assert bridge.feed(start) == start.replace(b'"theirs"', b'"coding"')
    assert (bridge.committed, bridge.usage) == (False, Usage(3, 0))
    opening = event_of(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    ) + event_of({"type": "ping"})
    assert bridge.feed(opening) == opening
    assert not bridge.committed
    delta = event_of(delta_of("model_start"))
    assert bridge.feed(delta) == delta
    assert (bridge.committed, bridge.produced) == (True, 1)
    assert bridge.feed(delta * 3 + delta[:20]) == delta * 3
    assert bridge.feed(delta[20:]) == delta
    assert bridge.produced == 5


def event_of(data, name=None):
    return b"event: %b\ndata: %b\n\n" % ((name or data["type"]).encode(), msgspec.json.encode(data))


def delta_of(text):
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


@pytest.mark.parametrize(
    "told", ["message_delta", '"type":"message_stop"', "event: error\ndata: {}", "\n\nevent: ping"]
)
def test_content_that_looks_like_an_event_is_content(told):
    bridge = anthropic.through(head())
    stream = event_of(delta_of("a")) + event_of(delta_of(told)) * 2
    assert bridge.feed(event_of(delta_of("a"))) + bridge.feed(stream) == event_of(delta_of("a")) + stream
    assert (bridge.fault, bridge.finish, bridge.produced) == (None, None, 4)


@pytest.mark.parametrize("name", ["message_delta", "error", "message_stop"])
def test_no_end_hides_in_a_block_of_content(name):
    ends = {
        "message_delta": {
            "type": "message_delta",
            "delta": {"stop_reason": "max_tokens"},
            "usage": {"output_tokens": 9},
        },
        "error": {"type": "error", "error": {"type": "overloaded_error", "message": "no"}},
        "message_stop": {"type": "message_stop"},
    }
    bridge = anthropic.through(head())
    bridge.feed(event_of(delta_of("a")))
    bridge.feed(event_of(delta_of("b")) + event_of(ends[name]))
    assert (bridge.finish, bridge.fault is not None) == {
        "message_delta": ("length", False),
        "error": (None, True),
        "message_stop": ("stop", False),
    }[name]


def test_an_answer_that_is_lost_on_the_way_ends_in_an_error():
    lost = Fault(kind="timeout", status=504, message="no byte for 60 s")
    bridge = anthropic.through(head())
    bridge.feed(event_of(delta_of("a")))
    out = bridge.fail(lost)
    told = {"type": "error", "error": {"type": "timeout_error", "message": "no byte for 60 s"}}
    assert out == event_of(told)
    assert (bridge.fault, bridge.feed(b"x"), bridge.close(), bridge.fail(lost)) == (lost, b"", b"", b"")


def test_an_encoder_that_is_left_open_tells_that_the_answer_broke_off():
    seen = automaton(encoded([Start(), TextDelta("a")]))
    assert (seen.reason, seen.error["message"]) == (None, TRUNCATED.message)
    assert automaton(encoded([])).error is not None


def test_an_endless_event_is_cut_off(monkeypatch):
    monkeypatch.setattr(framing, "EVENT_LIMIT", 100)
    bridge = anthropic.through(head())
    assert bridge.feed(b"data: " + b"x" * 50) == b""
    assert b"not what it should be" in bridge.feed(b"x" * 100)
    assert bridge.fault.code == "upstream_malformed"
    assert decoded(b"data: " + b"x" * 200)[-1].fault.code == "upstream_malformed"


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b'event: message_stop\ndata: {"type":"message_stop"}\n\n', "upstream_truncated"),
        (b"data: [DONE]\n\n", "upstream_truncated"),
        (b'event: content_block_start\ndata: {"type":"content_block_start","index":0}\n\n', "upstream_malformed"),
        (b'event: message_start\ndata: {"type":"message_start","message":5}\n\n', "upstream_malformed"),
        (b'event: error\ndata: {"type":"error","x":' + b"[" * 5000 + b"]" * 5000 + b"}\n\n", "upstream_malformed"),
        (b'event: ping\ndata: {"type":"ping","x":"\xff"}\n\n', None),
    ],
)
def test_a_stream_that_is_none_fails_on_either_way(stream, code):
    bridge = anthropic.through(head())
    handed_on(bridge, stream)
    for fault in (decoded(stream)[-1].fault, bridge.fault):
        assert fault.status == 502
        assert code is None or fault.code == code


def test_a_block_without_a_type_is_none():
    start = {"type": "content_block_start", "index": 0, "content_block": {"text": "a"}}
    assert decoded(event_of(start))[-1].fault.code == "upstream_malformed"


def test_pieces_of_blocks_that_never_began_are_only_text():
    piece = {"type": "content_block_delta", "index": 7, "delta": {"type": "input_json_delta", "partial_json": "{}"}}
    stop = {"type": "content_block_stop", "index": 7}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    stream = event_of(piece) + event_of(stop) + event_of(end)
    assert decoded(stream) == [Start(), Finish("stop")]
    assert fold(decoded(event_of(delta_of("a")) + stream)).blocks == (Text("a"),)


def test_blocks_that_are_open_at_the_end_are_ended():
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "a", "name": "f"}}
    stream = event_of(start) + event_of({"type": "message_stop"})
    assert decoded(stream)[1:] == [ToolStart(0, "a", "f"), ToolDelta(0, "{}"), BlockStop(0), Finish("tool_calls")]


def test_the_name_of_an_event_tells_its_type_where_its_data_does_not():
    untyped = delta_of("a")
    del untyped["type"]
    stream = event_of(untyped, "content_block_delta") + event_of({}, "strange") + event_of({}, "message_stop")
    assert fold(decoded(event_of({"message": {"id": "i"}}, "message_start") + stream)).blocks == (Text("a"),)


def test_input_of_a_servers_tool_that_is_no_json_is_kept_as_text():
    block = {"type": "server_tool_use", "id": "s", "name": "n", "input": {}}
    piece = {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a'}}
    stream = event_of({"type": "content_block_start", "index": 0, "content_block": block}) + event_of(piece)
    media = decoded(stream + event_of({"type": "content_block_stop", "index": 0}))[1]
    assert msgspec.json.decode(media.block.body) == block | {"input": '{"a'}


def test_usage_that_was_estimated_is_told_as_such():
    events = [Start(), TextDelta("a"), UsageSeen(Usage(3, 2, estimated=True)), Finish("stop")]
    assert automaton(encoded(events)).usage["estimated"] is True
    assert anthropic.decode_reply(anthropic.encode_reply(fold(events), head(), "i", 0)).usage == Usage(
        3, 2, estimated=True
    )


def test_an_answer_begins_with_the_usage_that_is_known_by_then():
    events = [Start(), UsageSeen(Usage(30, 1, cached=20)), TextDelta("a")]
    start, *_ = encoded(events).split(b"\n\n")
    usage = msgspec.json.decode(start.partition(b"data: ")[2])["message"]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (10, 20)


def test_bytes_that_are_not_text_are_not_handed_on():
    with pytest.raises(ValueError, match="UTF-8"):
        anthropic.relabel(b'{"content":[],"x":"\xff"}', Head("m", stream=False, fields={}))
    bridge = anthropic.through(head())
    bridge.feed(event_of(delta_of("a")))
    out = bridge.feed(event_of(delta_of("b")) + event_of(delta_of("c")).replace(b'"c"', b'"\xff"'))
    assert out.startswith(event_of(delta_of("b")))
    assert b"\xff" not in out
    assert bridge.fault.code == "upstream_malformed"


def test_requests_go_to_one_path():
    assert (anthropic.path("m", True), anthropic.count_path("m")) == ("/messages", "/messages/count_tokens")


# --------------------------------------------------------------------------------------------------- calls, in order


def test_calls_that_grow_side_by_side_are_told_one_after_another_and_nothing_is_lost():
    events = [
        ToolStart(0, "a", "f"),
        ToolDelta(0, '{"x"'),
        ToolStart(1, "b", "g"),
        ToolDelta(1, "{}"),
        ToolDelta(0, ":1}"),
        TextDelta("after"),
        ToolStart(2, "c", "h"),
        BlockStop(1),
    ]
    encoder = anthropic.encoder(head(), "1", 0)
    live = encoder.feed(events[:2])
    assert b'"partial_json":"{\\"x\\""' in live, "the first call is told as it grows"
    waiting = encoder.feed(events[2:])
    assert b'"b"' not in waiting
    assert b"after" not in waiting
    seen = automaton(live + waiting + encoder.feed([Finish("tool_calls")]))
    assert [(block["type"], block["text"]) for block in seen.blocks] == [
        ("tool_use", '{"x":1}'),
        ("tool_use", "{}"),
        ("text", "after"),
        ("tool_use", ""),
    ]
    assert [block["start"].get("id") for block in seen.blocks] == ["a", "b", None, "c"]


def test_a_call_with_free_text_becomes_one_with_an_input():
    events = [ToolStart(0, "a", "sh", custom=True), ToolDelta(0, 'echo "é'), ToolDelta(0, '\n"'), Finish("tool_calls")]
    seen = automaton(encoded(events))
    assert msgspec.json.decode(seen.blocks[0]["text"]) == {"input": 'echo "é\n"'}
    body = msgspec.json.decode(anthropic.encode_reply(fold(events), head(), "i", 0))
    assert body["content"] == [{"type": "tool_use", "id": "a", "name": "sh", "input": {"input": 'echo "é\n"'}}]


def test_arguments_that_are_no_object_are_put_into_one():
    for text in ("[1]", "not json", '{"cut": "of'):
        events = [ToolStart(0, "a", "f"), ToolDelta(0, text), Finish("tool_calls")]
        (block,) = msgspec.json.decode(anthropic.encode_reply(fold(events), head(), "i", 0))["content"]
        assert block["input"] == {"arguments": text}


def test_thinking_goes_out_under_its_issuers_name_and_comes_back_to_it():
    events = [
        ThinkingDelta("Hm", issuer="openai_chat"),
        ThinkingDelta(signature="c2ln", issuer="openai_chat"),
        BlockStop(),
        ThinkingDelta("Plain", issuer="openai_chat"),
        ThinkingDelta(redacted="ZGF0YQ==", issuer="openai_chat"),
        ThinkingDelta("Mine", issuer="anthropic"),
        ThinkingDelta(signature="QUJD", issuer="anthropic"),
        TextDelta("So."),
        Finish("stop"),
    ]
    seen = automaton(encoded(events))
    assert [block["signature"] for block in seen.blocks] == [
        "omniroute.openai_chat.c2ln",
        "omniroute.openai_chat.",
        None,
        "QUJD",
        None,
    ]
    answer = msgspec.json.decode(anthropic.encode_reply(fold(events), head(), "i", 0))
    assert [block.get("signature") for block in answer["content"]] == [block["signature"] for block in seen.blocks]
    request = {"model": "m", "max_tokens": 9, "messages": [{"role": "assistant", "content": answer["content"]}]}
    chat = anthropic.decode_request(anthropic.peek(msgspec.json.encode(request)))
    assert chat.turns[0].blocks == (
        Thinking("Hm", signature="c2ln", issuer="openai_chat"),
        Thinking("Plain", issuer="openai_chat"),
        Thinking(redacted="ZGF0YQ==", issuer="openai_chat"),
        Thinking("Mine", signature="QUJD", issuer="anthropic"),
        Text("So."),
    )


def test_anthropic_is_not_sent_thinking_that_only_looks_like_its_own():
    theirs = {"type": "thinking", "thinking": "x", "signature": "QUJD"}
    foreign = {"type": "thinking", "thinking": "x", "signature": "omniroute.openai_chat."}
    sealed = {"type": "redacted_thinking", "data": "omniroute.openai_chat.c2ln"}
    said = {"type": "text", "text": 'He said "omniroute.'}

    def sent(*messages):
        body = msgspec.json.encode({"model": "coding", "max_tokens": 1, "messages": messages, "x": 1})
        return body, patch.join(anthropic.forward(anthropic.peek(body), "coding"))

    kept = {"role": "user", "content": "hi"}, {"role": "assistant", "content": [theirs, said]}
    before, after = sent(*kept)
    assert after == before
    _, after = sent(kept[0], {"role": "assistant", "content": [foreign, sealed, theirs, said], "y": 2})
    assert msgspec.json.decode(after)["messages"] == [kept[0], {**kept[1], "y": 2}]
    _, after = sent(kept[0], {"role": "assistant", "content": [foreign]}, {"role": "user", "content": "so?"})
    assert msgspec.json.decode(after)["messages"] == [kept[0], {"role": "user", "content": "so?"}]
    odd = {"role": "assistant", "content": [foreign, 5]}
    before, after = sent(odd)
    assert after == before, "what is malformed is the upstream's to name"


# ------------------------------------------------------------------------------------------------ answers, at random


def tellable(message):
    """A message as this format can tell it."""
    blocks = []
    for block in message.blocks:
        match block:
            case Text(text="") | Refusal(text=""):
                continue
            case Opaque(format=form) if form != "anthropic":
                continue
            case Thinking(text="", signature=None, redacted=None, issuer=None | "anthropic"):
                continue
            case Thinking(issuer=None):
                blocks.append(msgspec.structs.replace(block, issuer="anthropic"))
            case Refusal():
                blocks.append(Text(block.text))
            case Image():
                blocks.append(Text("[The answer holds an image here, which this format cannot carry.]"))
            case Audio():
                blocks.append(Text("[The answer holds a sound here, which this format cannot carry.]"))
            case ToolCall(custom=True):
                text = msgspec.json.encode({"input": block.arguments}).decode()
                blocks.append(ToolCall(block.id, block.name, text))
            case ToolCall():
                blocks.append(msgspec.structs.replace(block, arguments=block.arguments or "{}"))
            case _:
                blocks.append(block)
    finish = "refusal" if message.finish == "content_filter" else message.finish
    if finish == "stop" and any(isinstance(block, ToolCall) for block in blocks):
        finish = "tool_calls"
    return msgspec.structs.replace(
        message,
        id="msg_1",
        model="coding",
        blocks=tuple(blocks),
        usage=message.usage or Usage(),
        finish=finish,
        logprobs=(),
    )


def test_any_answer_is_a_legal_stream_that_tells_it_whole():
    random = Random(3)
    for _ in range(3000):
        events = story(random)
        told = tellable(fold(events))
        encoder = anthropic.encoder(head(), "1", 0)
        cut = random.randrange(len(events) + 1)
        out = encoder.feed(events[:cut]) + encoder.feed(events[cut:]) + encoder.close()
        automaton(out)
        cut = random.randrange(len(out))
        assert comparable(fold(decoded(out[:cut], out[cut:]))) == comparable(told)


def test_any_answer_is_a_whole_message_that_tells_it_whole():
    random = Random(4)
    for _ in range(1000):
        events = story(random)
        told = tellable(fold(events))
        blocks = tuple(map(_held, told.blocks))
        again = anthropic.decode_reply(anthropic.encode_reply(fold(events), head(), "1", 0))
        assert comparable(again) == comparable(msgspec.structs.replace(told, blocks=blocks))


def _is_object(text):
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        return False


def _held(block):
    """A call whose arguments are an object, as a whole message must have them."""
    if isinstance(block, ToolCall) and not _is_object(block.arguments):
        return msgspec.structs.replace(block, arguments=msgspec.json.encode({"arguments": block.arguments}).decode())
    return block


@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_an_encoder_writes_nothing_illegal_whatever_it_is_fed(picks):
    events = [EVERY[pick % len(EVERY)] for pick in picks]
    out = encoded(events)
    automaton(out)
    assert out == b"".join(_one_by_one(events))


def _one_by_one(events):
    encoder = anthropic.encoder(head(), "1", 1700000000)
    return [*(encoder.feed([event]) for event in events), encoder.close()]


EVERY = [
    Start("a", "b"),
    TextDelta(""),
    TextDelta("x"),
    RefusalDelta("no"),
    ThinkingDelta("hm"),
    ThinkingDelta(signature="QUJD", issuer="anthropic"),
    ThinkingDelta("hm", issuer="openai_chat"),
    ThinkingDelta(redacted="r"),
    *(ToolStart(index, "c", "f", custom) for index in (0, 1, 1) for custom in (False, True)),
    *(ToolDelta(index, text) for index in (0, 1, 2) for text in ("", '{"a"', ":1}")),
    *(BlockStop(index) for index in (None, 0, 1, 2)),
    *(Media(block) for block in MEDIA),
    UsageSeen(Usage(5, 3, cached=9)),
    Finish("stop"),
    Finish("stop_sequence", "x"),
    Failed(TRUNCATED),
]


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_damaged_stream_is_never_an_exception(path):
    random = Random(5)
    stream = path.read_bytes()
    for _ in range(60):
        damaged = bytearray(stream)
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(damaged) + 1)
            damaged[at : at + random.randrange(3)] = random.choice(
                (b"", b"\n", b'"', b"{", b"\xff", b"null", b"[" * 5000)
            )
        events = decoded(bytes(damaged))
        assert isinstance(events[-1], Finish | Failed)
        assert sum(isinstance(event, Finish | Failed) for event in events) == 1
        automaton(encoded(events))
        bridge = anthropic.through(head())
        assert handed_on(bridge, bytes(damaged)).endswith(b"\n\n")
        assert bridge.finish is not None or bridge.fault is not None


# ------------------------------------------------------------------------------------------------- requests, refused


def refused(body):
    with pytest.raises(BadRequest) as caught:
        anthropic.decode_request(anthropic.peek(body))
    return caught.value.fault


def said(*blocks):
    return {"messages": [{"role": "user", "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 2**64}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        (said("hi"), "messages[0].content[0]"),
        (said({"text": "hi"}), "messages[0].content[0]"),
        (said({"type": "text"}), "messages[0].content[0]"),
        (said({"type": "text", "text": 1}), "messages[0].content[0].text"),
        (said({"type": "text", "text": "", "cache_control": 1}), "messages[0].content[0].cache_control"),
        (said({"type": "image"}), "messages[0].content[0]"),
        (said({"type": "image", "source": {"type": "smoke"}}), "messages[0].content[0].source.type"),
        (
            said(
                {"type": "text", "text": ""},
                {"type": "image", "source": {"type": "base64", "media_type": "", "data": 1}},
            ),
            "messages[0].content[1].source.data",
        ),
        (said({"type": "document", "source": {"type": "url", "url": []}}), "messages[0].content[0].source.url"),
        (
            said({"type": "document", "source": {"type": "content", "content": [{"type": "text"}]}}),
            "messages[0].content[0].source.content[0]",
        ),
        (said({"type": "thinking"}), "messages[0].content[0]"),
        (said({"type": "redacted_thinking", "data": None}), "messages[0].content[0].data"),
        (said({"type": "tool_use", "id": "a", "name": "f", "input": "{}"}), "messages[0].content[0].input"),
        (said({"type": "tool_result"}), "messages[0].content[0]"),
        (said({"type": "tool_result", "tool_use_id": "a", "content": 1}), "messages[0].content[0].content"),
        (
            said({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "thinking", "thinking": ""}]}),
            "messages[0].content[0].content[0]",
        ),
        (
            {"messages": [{"role": "system", "content": [{"type": "image", "source": {"type": "url", "url": ""}}]}]},
            "messages[0].content[0]",
        ),
        ({"system": 1}, "system"),
        ({"system": [{"type": "image", "source": {"type": "url", "url": ""}}]}, "system[0]"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_k": 2**64}, "top_k"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": [1]}, "stop_sequences[0]"),
        ({"stream": "yes"}, "stream"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id"),
        ({"service_tier": 1}, "service_tier"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "f", "input_schema": []}]}, "tools[0].input_schema"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": True}, "thinking"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": "many"}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "heroic"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(fields, param):
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], **fields}
    fault = refused(msgspec.json.encode({name: value for name, value in asked.items() if value is not None}))
    assert (fault.status, fault.param) == (400, param)


def test_what_is_missing_is_named_as_anthropic_does():
    assert refused(b'{"model":"m","messages":[{"role":"user","content":""}]}').message == "max_tokens: Field required"
    assert refused(b'{"model":"m","max_tokens":1}').message == "messages: Field required"


JUNK = [None, True, 0, -1, 2**70, 1.5, "", "x", [], {}, [[]], [None], {"type": None}, {"type": "text"}, ["\u2028"]]


def mutated(random, value):
    """The same with one thing in it swapped, dropped or doubled."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        if random.random() < 0.1:
            return {other: inner for other, inner in value.items() if other != key}
        return {**value, key: mutated(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.85:
        at = random.randrange(len(value))
        return [*value[:at], mutated(random, value[at]), *value[at:][random.random() < 0.9 :]]
    return random.choice(JUNK)


def test_no_request_however_malformed_raises_anything_but_bad_request():
    random = Random(7)
    bodies = [msgspec.json.decode(path.read_bytes()) for path in REQUESTS]
    wrong = 0
    for _ in range(4000):
        body = random.choice(bodies)
        for _ in range(random.choice((1, 1, 2, 3))):
            body = mutated(random, body)
        try:
            peeked = anthropic.peek(msgspec.json.encode(body))
            anthropic.forward(peeked, "m")
            chat = anthropic.decode_request(peeked)
        except BadRequest:
            wrong += 1
            continue
        fields, _ = anthropic.encode_request(chat, random.choice(MODELS))
        patch.join(fields)
        patch.join(openai_chat.encode_request(chat, "m")[0])
    assert 400 < wrong < 3900


def test_forwarding_keeps_every_byte_but_the_model():
    body = b'{"model":"coding", "messages":[ {"role":"user","content":"\\u0041"} ],"max_tokens":1e1,"x":{ } }'
    peeked = anthropic.peek(body.replace(b"1e1", b"10"))
    assert patch.join(anthropic.forward(peeked, "claude")) == (
        b'{"model":"claude","messages":[ {"role":"user","content":"\\u0041"} ],"max_tokens":10,"x":{ }}'
    )


# ------------------------------------------------------------------------------------------------ requests, written

MODELS = ("claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5-20251001", "claude-3-haiku-20240307", "glm-4.6")
HI = (Turn("user", (Text("hi"),)),)
FUNCTION = Tool("f", parameters=Raw(b'{"type":"object"}'))
CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}


def written(model=MODEL, **chat):
    """What goes out for a chat of another format, and the codes of what was lost."""
    fields, losses = anthropic.encode_request(Chat(**{"turns": HI, "vendor_format": "openai_chat", **chat}), model)
    body = msgspec.json.decode(patch.join(fields))
    legal_request(body)
    return body, [loss.code for loss in losses]


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("claude-opus-5-5", 32_000),
        ("claude-sonnet-4-20250514", 32_000),
        ("anthropic/claude-3.5-sonnet", 8_192),
        ("claude-3-haiku-20240307", 4_096),
        ("claude-mythos-preview", 32_000),
        ("kimi-k2", 8_192),
    ],
)
def test_the_limit_that_is_required_is_the_models_usual_one(model, limit):
    assert written(model)[0]["max_tokens"] == limit
    assert written(model, sampling=Sampling(max_tokens=7))[0]["max_tokens"] == 7


@pytest.mark.parametrize(
    ("model", "chat", "sent", "lost"),
    [
        (MODEL, {"sampling": Sampling(temperature=0.5, top_p=0.5, top_k=5)}, {}, ["temperature", "top_p", "top_k"]),
        (MODEL, {"sampling": Sampling(temperature=1, top_p=1)}, {}, []),
        ("claude-sonnet-4-5", {"sampling": Sampling(temperature=0.5, top_p=0.5)}, {"temperature": 0.5}, ["top_p"]),
        ("claude-sonnet-4-5", {"sampling": Sampling(temperature=1, top_p=0.5)}, {"top_p": 0.5}, []),
        (
            "claude-3-haiku",
            {"sampling": Sampling(temperature=1.5, top_p=0.5)},
            {"temperature": 1, "top_p": 0.5},
            ["temperature"],
        ),
        ("glm-4.6", {"sampling": Sampling(temperature=1, top_p=1)}, {"temperature": 1, "top_p": 1}, []),
        (MODEL, {"sampling": Sampling(stop=("a", " ", ""))}, {"stop_sequences": ["a"]}, ["stop"]),
        (MODEL, {"sampling": Sampling(n=1, logprobs=False)}, {}, []),
        (
            MODEL,
            {
                "sampling": Sampling(
                    n=2,
                    seed=0,
                    presence_penalty=1,
                    frequency_penalty=1,
                    logit_bias=Raw(b"{}"),
                    logprobs=True,
                    top_logprobs=2,
                )
            },
            {},
            ["seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "n"],
        ),
        (MODEL, {"verbosity": "low"}, {}, ["verbosity"]),
        (
            MODEL,
            {"user": "u", "service_tier": "default"},
            {"metadata": {"user_id": "u"}, "service_tier": "standard_only"},
            [],
        ),
        (MODEL, {"service_tier": "flex", "metadata": Raw(b"{}")}, {}, ["metadata", "service_tier"]),
        (MODEL, {"vendor": {"store": Raw(b"true")}}, {}, ["store"]),
        (MODEL, {"output": Output("json_object")}, {}, ["response_format"]),
        (
            MODEL,
            {"output": Output("json_schema", "n", schema=patch.raw(CLOSED), strict=True)},
            {"output_config": {"format": {"type": "json_schema", "schema": CLOSED}}},
            [],
        ),
        (
            MODEL,
            {"output": Output("json_schema", "n", "d", Raw(b"{}"))},
            {},
            ["schema_description", "response_format"],
        ),
        ("claude-3-haiku", {"output": Output("json_schema", schema=Raw(b"{}"))}, {}, ["response_format"]),
        (MODEL, {"stream": True}, {"stream": True}, []),
        (MODEL, {"tool_choice": ToolChoice("required")}, {}, ["tool_choice"]),
        (MODEL, {"tool_choice": ToolChoice("auto"), "parallel_tools": False}, {}, []),
    ],
)
def test_what_the_model_or_the_format_does_not_take_is_told(model, chat, sent, lost):
    body, codes = written(model, **chat)
    assert codes == lost
    assert {name: value for name, value in body.items() if name not in ("model", "max_tokens", "messages")} == sent


@pytest.mark.parametrize(
    ("model", "reasoning", "sent", "lost"),
    [
        (MODEL, Reasoning(effort="high"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, []),
        (
            MODEL,
            Reasoning(effort="minimal"),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            ["reasoning_effort"],
        ),
        (MODEL, Reasoning(effort="none"), {"thinking": {"type": "disabled"}}, []),
        (
            MODEL,
            Reasoning(budget=5000),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
            ["thinking_budget"],
        ),
        (
            MODEL,
            Reasoning(budget=10**6),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            ["thinking_budget"],
        ),
        (MODEL, Reasoning(adaptive=True, show="omitted"), {"thinking": {"type": "adaptive", "display": "omitted"}}, []),
        ("claude-fable-5", Reasoning(off=True), {}, ["thinking_off"]),
        (
            "claude-sonnet-4-6",
            Reasoning(effort="xhigh"),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
            ["reasoning_effort"],
        ),
        ("claude-sonnet-4-6", Reasoning(budget=2000), {"thinking": {"type": "enabled", "budget_tokens": 2000}}, []),
        ("claude-haiku-4-5", Reasoning(effort="low"), {"thinking": {"type": "enabled", "budget_tokens": 2048}}, []),
        ("claude-haiku-4-5", Reasoning(effort="max"), {"thinking": {"type": "enabled", "budget_tokens": 24000}}, []),
        ("claude-haiku-4-5", Reasoning(adaptive=True), {"thinking": {"type": "enabled", "budget_tokens": 8192}}, []),
        (
            "claude-haiku-4-5",
            Reasoning(budget=10),
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            ["thinking_budget"],
        ),
        (
            "claude-haiku-4-5",
            Reasoning(budget=64000),
            {"thinking": {"type": "enabled", "budget_tokens": 24000}},
            ["thinking_budget"],
        ),
        ("glm-4.6", Reasoning(effort="high"), {"thinking": {"type": "enabled", "budget_tokens": 6144}}, []),
        ("claude-3-haiku", Reasoning(effort="high"), {}, ["reasoning_effort"]),
        ("claude-3-haiku", Reasoning(budget=2000), {}, ["thinking"]),
    ],
)
def test_how_much_to_think_is_told_in_the_models_own_words(model, reasoning, sent, lost):
    body, codes = written(model, reasoning=reasoning)
    assert codes == lost
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == sent


def test_thinking_gives_way_to_what_excludes_it():
    high = Reasoning(effort="high")
    body, codes = written("claude-haiku-4-5", reasoning=high, sampling=Sampling(max_tokens=1024))
    assert ("thinking" in body, codes) == (False, ["thinking"])
    body, codes = written(reasoning=high, tools=(FUNCTION,), tool_choice=ToolChoice("one", "f"))
    assert (body.get("thinking"), body["tool_choice"], codes) == (None, {"type": "tool", "name": "f"}, ["thinking"])
    body, codes = written(reasoning=high, sampling=Sampling(temperature=0.2, top_p=0.99))
    assert ("temperature" in body, codes) == (False, ["temperature", "top_p"])
    body, codes = written("claude-sonnet-4-6", reasoning=high, sampling=Sampling(top_k=3, top_p=0.99))
    assert (body["top_p"], codes) == (0.99, ["top_k"])
    called = (*HI, Turn("assistant", (ToolCall("a", "f", "{}"),)), Turn("user", (ToolResult("a", (Text("1"),)),)))
    body, codes = written("claude-haiku-4-5", turns=called, reasoning=high, tools=(FUNCTION,))
    assert ("thinking" in body, codes) == (False, ["thinking"])
    assert "thinking" in written(turns=called, reasoning=high, tools=(FUNCTION,))[0], "only a fixed budget is so strict"


def test_a_request_of_the_same_format_asks_for_effort_without_thinking():
    chat = Chat(turns=HI, reasoning=Reasoning(effort="low"), vendor_format="anthropic")
    fields, losses = anthropic.encode_request(chat, MODEL)
    assert (fields["output_config"], "thinking" in fields, losses) == ({"effort": "low"}, False, [])


@pytest.mark.parametrize(
    ("choice", "parallel", "sent", "lost"),
    [
        (None, None, None, []),
        (None, True, None, []),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}, []),
        (ToolChoice("auto"), None, {"type": "auto"}, []),
        (ToolChoice("none"), False, {"type": "none"}, []),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}, []),
        (ToolChoice("one", "f"), None, {"type": "tool", "name": "f"}, []),
        (ToolChoice("one", "z"), None, None, ["tool_choice"]),
        (ToolChoice("required", allowed=("f",)), None, {"type": "any"}, ["allowed_tools"]),
    ],
)
def test_a_choice_among_tools(choice, parallel, sent, lost):
    tools = (FUNCTION, Tool("g"))
    body, codes = written(tools=tools, tool_choice=choice, parallel_tools=parallel)
    assert (body.get("tool_choice"), codes) == (sent, lost)
    names = [tool["name"] for tool in body["tools"]]
    assert names == (["f"] if choice and choice.allowed else ["f", "g"])


def test_tools_that_are_not_functions_of_an_object():
    body, codes = written(
        tools=(
            Tool("sh", "Runs.", custom=True, grammar=Raw(b"{}")),
            Tool("web_search", format="openai_chat", opaque=Raw(b"{}")),
            Tool("strict", parameters=patch.raw(CLOSED), strict=True),
            Tool("open", parameters=Raw(b'{"type":"object"}'), strict=True),
            Tool("loose", strict=False),
        )
    )
    assert codes == ["custom_tool", "tool", "strict"]
    sh, strict, open_, loose = body["tools"]
    assert (sh["name"], sh["input_schema"]["required"]) == ("sh", ["input"])
    assert strict == {"name": "strict", "input_schema": CLOSED, "strict": True}
    assert open_ == {"name": "open", "input_schema": {"type": "object"}}
    assert loose == {"name": "loose", "input_schema": {"type": "object", "properties": {}}}
    assert written("claude-3-haiku", tools=(Tool("strict", strict=True),))[1] == ["strict"]


def test_only_the_last_marks_for_the_cache_are_kept():
    mark = CacheMark("1h")
    body, codes = written(
        system=(Text("s", mark),),
        tools=(msgspec.structs.replace(FUNCTION, cache=mark),),
        turns=(Turn("user", tuple(Text(str(number), mark) for number in range(4))),),
    )
    assert codes == ["cache_control"]
    assert body["system"] == "s" or "cache_control" not in body["system"][0]
    assert "cache_control" not in body["tools"][0]
    assert [block["cache_control"] for block in body["messages"][0]["content"]] == [
        {"type": "ephemeral", "ttl": "1h"}
    ] * 4


def user(*blocks):
    return Turn("user", tuple(Text(block) if isinstance(block, str) else block for block in blocks))


def assistant(*blocks):
    return Turn("assistant", tuple(Text(block) if isinstance(block, str) else block for block in blocks))


def system(text):
    return Turn("system", (Text(text),))


def messages(*turns, model=MODEL):
    body, codes = written(model, turns=turns)
    return [(message["role"], message["content"]) for message in body["messages"]], codes


OPENING = ("user", "(The conversation begins with the assistant.)")
NONE = {"type": "tool_result", "tool_use_id": "a", "content": "(There is no result.)", "is_error": True}


def called(ident):
    return {"type": "tool_use", "id": ident, "name": "f", "input": {}}


def answered(ident, text):
    return {"type": "tool_result", "tool_use_id": ident, "content": text}


@pytest.mark.parametrize(
    ("turns", "sent", "lost"),
    [
        ((user("a"), user("b")), [("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])], []),
        (
            (user("a"), assistant("b"), assistant(" ", "c \n")),
            [("user", "a"), ("assistant", [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}])],
            [],
        ),
        ((assistant("hello"), user("a")), [OPENING, ("assistant", "hello"), ("user", "a")], ["first_turn"]),
        ((), [OPENING], ["first_turn"]),
        ((user(""),), [("user", "(The user said nothing.)")], ["empty_turn"]),
        (
            (user("a"), assistant(""), user("b")),
            [("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])],
            [],
        ),
        ((user("a"), system("be brief")), [("user", "a"), ("system", "be brief")], []),
        (
            (user("a"), system("be brief"), assistant(" "), user("b")),
            [
                (
                    "user",
                    [
                        {"type": "text", "text": "a"},
                        {"type": "text", "text": "<system>\nbe brief\n</system>"},
                        {"type": "text", "text": "b"},
                    ],
                )
            ],
            ["system_turn"],
        ),
        (
            (user("a"), system("be"), system("brief"), assistant("b"), user("c")),
            [
                ("user", "a"),
                ("system", [{"type": "text", "text": "be"}, {"type": "text", "text": "brief"}]),
                ("assistant", "b"),
                ("user", "c"),
            ],
            [],
        ),
        (
            (user("a"), assistant("b"), system("be brief"), user("c")),
            [
                ("user", "a"),
                ("assistant", "b"),
                ("user", [{"type": "text", "text": "<system>\nbe brief\n</system>"}, {"type": "text", "text": "c"}]),
            ],
            ["system_turn"],
        ),
        (
            (user("a"), assistant(ToolCall("a", "f", "")), user("hm", ToolResult("a", (Text("1"),)))),
            [
                ("user", "a"),
                ("assistant", [called("a")]),
                ("user", [answered("a", "1"), {"type": "text", "text": "hm"}]),
            ],
            [],
        ),
        (
            (
                user("a"),
                assistant(ToolCall("a", "f", "{}")),
                system("x"),
                user(ToolResult("a", (Text("1"),))),
                assistant("b"),
            ),
            [
                ("user", "a"),
                ("assistant", [called("a")]),
                ("user", [answered("a", "1"), {"type": "text", "text": "<system>\nx\n</system>"}]),
                ("assistant", "b"),
            ],
            ["system_turn"],
        ),
        (
            (user("a"), assistant(ToolCall("a", "f", "{}")), user("b")),
            [("user", "a"), ("assistant", [called("a")]), ("user", [NONE, {"type": "text", "text": "b"}])],
            ["tool_result"],
        ),
        (
            (user("a"), assistant(ToolCall("a", "f", "{}"))),
            [("user", "a"), ("assistant", [called("a")]), ("user", [NONE])],
            ["tool_result"],
        ),
        (
            (user("a", ToolResult("z", (Text("1"),))),),
            [
                (
                    "user",
                    [
                        {"type": "text", "text": "Result of z:"},
                        {"type": "text", "text": "1"},
                        {"type": "text", "text": "a"},
                    ],
                )
            ],
            ["tool_result"],
        ),
        (
            (
                user("a"),
                assistant(ToolCall("call.1", "f", "{}"), ToolCall("call_1", "f", "{}")),
                user(ToolResult("call_1", (Text("2"),)), ToolResult("call.1", (Text("1"),))),
                assistant(ToolCall("call.1", "f", "{}")),
                user(ToolResult("call.1", (Text("3"),))),
            ),
            [
                ("user", "a"),
                ("assistant", [called("call_1"), called("call_1_2")]),
                ("user", [answered("call_1_2", "2"), answered("call_1", "1")]),
                ("assistant", [called("call_1_3")]),
                ("user", [answered("call_1_3", "3")]),
            ],
            [],
        ),
        (
            (
                user("a"),
                assistant(ToolCall("a", "f", "[1]"), ToolCall("b", "sh", "ls", custom=True)),
                user(ToolResult("a", (Text("1"), Text("2")), is_error=True), ToolResult("b")),
            ),
            [
                ("user", "a"),
                (
                    "assistant",
                    [
                        called("a") | {"input": {"arguments": "[1]"}},
                        called("b") | {"name": "sh", "input": {"input": "ls"}},
                    ],
                ),
                (
                    "user",
                    [
                        {
                            "type": "tool_result",
                            "tool_use_id": "a",
                            "content": [{"type": "text", "text": "1"}, {"type": "text", "text": "2"}],
                            "is_error": True,
                        },
                        {"type": "tool_result", "tool_use_id": "b"},
                    ],
                ),
            ],
            ["arguments"],
        ),
        (
            (
                user("a"),
                assistant(
                    Thinking("x", issuer="openai_chat"),
                    Thinking("y", issuer="anthropic"),
                    Refusal("no"),
                    Image(url="u"),
                ),
            ),
            [("user", "a"), ("assistant", "no")],
            ["thinking", "thinking", "image"],
        ),
    ],
)
def test_turns_are_put_in_the_order_that_the_api_wants(turns, sent, lost):
    assert messages(*turns) == (sent, lost)


def test_older_models_hear_the_system_through_the_user():
    for model in ("claude-sonnet-4-6", "glm-4.6"):
        told = [{"type": "text", "text": "a"}, {"type": "text", "text": "<system>\nbe brief\n</system>"}]
        assert messages(user("a"), system("be brief"), model=model) == ([("user", told)], ["system_turn"])


@pytest.mark.parametrize(
    ("block", "sent", "lost"),
    [
        (
            Image(data="iVBORw0"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0"}},
            [],
        ),
        (
            Image(data="/9j/4AA"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4AA"}},
            [],
        ),
        (
            Image("image/webp", "iVBORw0", detail="auto"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "iVBORw0"}},
            [],
        ),
        (
            Image(url="https://x/a.png", detail="low"),
            {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
            ["image_detail"],
        ),
        (Image(file_id="file-1"), None, ["image_file"]),
        (Audio("aGk=", "wav"), None, ["audio"]),
        (Opaque("openai_chat", "odd", Raw(b"{}")), None, ["odd"]),
        (Opaque("anthropic", "odd", Raw(b'{"type":"odd"}')), {"type": "odd"}, []),
        (Refusal("no"), {"type": "text", "text": "no"}, []),
        (Document(file_id="file-1"), None, ["document"]),
        (Document("application/zip", "aGk="), None, ["document"]),
        (Document("text/plain", "!"), None, ["document"]),
        (
            Document("text/csv", "aGk=", name="a.csv"),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "hi"},
                "title": "a.csv",
            },
            [],
        ),
        (
            Document(data="aGk=", citations=True, context="c"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
                "context": "c",
                "citations": {"enabled": True},
            },
            [],
        ),
        (
            Document(url="https://x/a.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}},
            [],
        ),
        (Thinking("x"), None, ["thinking"]),
    ],
)
def test_a_block_is_written_or_told_as_lost(block, sent, lost):
    (told,), codes = messages(user("a", block))
    assert codes == lost
    assert told == ("user", "a" if sent is None else [{"type": "text", "text": "a"}, sent])


# --------------------------------------------------------------------------------------------------- chats, at random

WORD = st.from_regex("[a-z]{1,6}", fullmatch=True)
MARK = st.none() | st.sampled_from([CacheMark(), CacheMark("1h")])
ANY_ID = st.text(st.sampled_from("ab._-é "), max_size=3)
ANY_TEXT = st.text(st.sampled_from('a \n"é'), max_size=4)
ANY_BLOCK = st.one_of(
    st.builds(Text, ANY_TEXT, MARK),
    st.builds(Refusal, ANY_TEXT),
    st.builds(Image, url=WORD, cache=MARK),
    st.builds(Image, data=WORD, media_type=st.none() | WORD),
    st.builds(Image, file_id=WORD),
    st.builds(Audio, WORD, WORD),
    st.builds(Document, text=ANY_TEXT, cache=MARK),
    st.builds(Document, data=WORD, media_type=st.none() | st.sampled_from(["text/plain", "application/pdf", "x/y"])),
    st.builds(
        Thinking, ANY_TEXT, st.none() | WORD, st.none() | WORD, st.sampled_from([None, "anthropic", "openai_chat"])
    ),
    st.builds(ToolCall, ANY_ID, WORD, st.sampled_from(["", "{}", '{"a":1}', "[", "2"]), st.booleans(), MARK),
    st.builds(ToolResult, ANY_ID, st.lists(st.builds(Text, ANY_TEXT), max_size=2).map(tuple), st.booleans(), MARK),
    st.sampled_from([Opaque("anthropic", "odd", Raw(b'{"type":"odd"}')), Opaque("openai_chat", "odd", Raw(b"{}"))]),
)
ROLES = st.sampled_from(["user", "assistant", "system"])
ANY_TURN = ROLES.flatmap(
    lambda role: st.builds(
        Turn,
        st.just(role),
        st.lists(st.builds(Text, ANY_TEXT, MARK) if role == "system" else ANY_BLOCK, max_size=3).map(tuple),
    )
)
ANY_CHAT = st.builds(
    Chat,
    turns=st.lists(ANY_TURN, max_size=6).map(tuple),
    system=st.lists(st.builds(Text, ANY_TEXT, MARK), max_size=2).map(tuple),
    tools=st.lists(st.builds(Tool, WORD, cache=MARK, custom=st.booleans()), max_size=2).map(tuple),
    tool_choice=st.none()
    | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"]))
    | st.builds(ToolChoice, st.just("one"), WORD),
    parallel_tools=st.none() | st.booleans(),
    sampling=st.builds(
        Sampling,
        max_tokens=st.none() | st.integers(0, 9000),
        temperature=st.none() | st.floats(0, 2),
        top_p=st.none() | st.floats(0, 1),
        top_k=st.none() | st.integers(0, 9),
        stop=st.lists(ANY_TEXT, max_size=2).map(tuple),
    ),
    reasoning=st.none()
    | st.builds(
        Reasoning,
        effort=st.none() | st.sampled_from(["none", "minimal", "low", "max"]),
        budget=st.none() | st.integers(0, 99_999),
        adaptive=st.booleans(),
    ),
    vendor_format=st.sampled_from(["anthropic", "openai_chat"]),
)


@settings(max_examples=400)
@given(ANY_CHAT, st.sampled_from(MODELS))
def test_whatever_a_chat_holds_the_api_would_take_its_request(chat, model):
    fields, _ = anthropic.encode_request(chat, model)
    body = patch.join(fields)
    legal_request(msgspec.json.decode(body))
    anthropic.decode_request(anthropic.peek(body))


SAID = st.text(st.sampled_from('xé"\\'), min_size=1, max_size=5)
OBJECT = st.sampled_from([patch.raw(CLOSED), Raw(msgspec.json.format(patch.raw(CLOSED)))])
ASKED = st.lists(
    st.one_of(
        st.builds(Text, SAID),
        st.builds(Image, media_type=st.just("image/png"), data=WORD, cache=st.none()),
        st.builds(Image, url=WORD),
        st.builds(Image, file_id=WORD),
        st.builds(
            Document, media_type=st.just("application/pdf"), data=WORD, name=st.none() | WORD, citations=st.booleans()
        ),
        st.builds(Document, text=SAID, context=st.none() | WORD),
        st.just(Opaque("anthropic", "odd", Raw(b'{"type":"odd"}'))),
    ),
    min_size=1,
    max_size=3,
)
ANSWERED = st.lists(
    st.one_of(
        st.builds(Text, SAID),
        st.builds(Thinking, SAID, signature=st.just("QUJD"), issuer=st.just("anthropic")),
        st.just(Thinking(redacted="QUJD", issuer="anthropic")),
    ),
    min_size=1,
    max_size=3,
)
RESULT = st.lists(st.one_of(st.builds(Text, SAID), st.builds(Image, url=WORD)), max_size=2).map(tuple)


@st.composite
def orderly(draw):
    """Turns as the API wants them."""
    turns, calls = [Turn("user", tuple(draw(ASKED)))], 0
    for _ in range(draw(st.integers(0, 3))):
        new = [ToolCall(f"toolu_{calls + at}", draw(WORD), '{"a":1}') for at in range(draw(st.integers(0, 2)))]
        calls += len(new)
        turns.append(Turn("assistant", (*draw(ANSWERED), *new)))
        results = [ToolResult(call.id, draw(RESULT), draw(st.booleans())) for call in new]
        turns.append(Turn("user", (*results, *draw(ASKED))))
        if draw(st.booleans()):
            turns.append(Turn("system", (Text(draw(SAID)),)))
            turns.append(Turn("assistant", tuple(draw(ANSWERED))))
            turns.append(Turn("user", tuple(draw(ASKED))))
    return tuple(turns)


OWN_CHAT = st.builds(
    Chat,
    turns=orderly(),
    system=st.lists(st.builds(Text, SAID, MARK), max_size=2).map(tuple),
    tools=st.lists(
        st.builds(Tool, WORD, st.none() | SAID, OBJECT, st.none() | st.just(True), cache=MARK),
        max_size=2,
        unique_by=lambda tool: tool.name,
    ).map(tuple),
    sampling=st.builds(Sampling, max_tokens=st.integers(1, 99_999), stop=st.lists(SAID, max_size=2).map(tuple)),
    reasoning=st.none()
    | st.sampled_from(
        [
            Reasoning(effort="high"),
            Reasoning(adaptive=True, show="summarized"),
            Reasoning(effort="max", adaptive=True),
            Reasoning(off=True),
        ]
    ),
    output=st.none() | st.builds(Output, st.just("json_schema"), schema=OBJECT),
    stream=st.booleans(),
    user=st.none() | SAID,
    service_tier=st.none() | st.sampled_from(["auto", "standard_only"]),
    vendor_format=st.just("anthropic"),
    vendor=st.sampled_from([{}, {"container": Raw(b'"c"')}]),
)


@given(OWN_CHAT)
def test_a_chat_comes_back_from_its_own_body(chat):
    fields, losses = anthropic.encode_request(chat, MODEL)
    assert losses == []
    body = patch.join(fields)
    legal_request(msgspec.json.decode(body))
    assert anthropic.decode_request(anthropic.peek(body)) == chat


# ------------------------------------------------------------------------------------------------- errors and counts


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(kind="rate_limited", status=429, message="m"), "rate_limit_error"),
        (Fault(kind="server", status=500, message="m", type="server_error"), "api_error"),
        (Fault(kind="billing", status=429, message="m", type="insufficient_quota"), "billing_error"),
        (Fault(kind="invalid_request", status=400, message="m", type="overloaded_error"), "overloaded_error"),
        (Fault(kind="unavailable", status=503, message="m"), "overloaded_error"),
        (Fault(kind="too_large", status=413, message="m"), "request_too_large"),
    ],
)
def test_an_error_is_told_in_the_formats_own_types(fault, kind):
    assert msgspec.json.decode(anthropic.encode_error(fault, "req_1")) == {
        "type": "error",
        "error": {"type": kind, "message": "m"},
        "request_id": "req_1",
    }


def test_a_code_is_told_where_the_sdks_look_for_it():
    fault = Fault(kind="not_found", status=404, message="m", code="thread_not_found")
    assert msgspec.json.decode(anthropic.encode_error(fault, "req_1"))["error"] == {
        "type": "not_found_error",
        "message": "m",
        "details": {"error_code": "thread_not_found"},
    }


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b"null", b'{"error":null}', b'{"error":[1]}', b"[" * 100_000, b"\xff"]
)
def test_any_bytes_are_an_error(body):
    assert anthropic.decode_error(500, body) == Fault(kind="server", status=500, message="")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"content":1}',
        b'{"content":[1]}',
        b"[" * 100_000,
        b'{"content":[{"type":"text","text":5}]}',
        b'{"content":[' + b'{"a":' * 9000,
    ],
)
def test_a_whole_answer_that_is_none_is_a_value_error(body):
    for read in (anthropic.decode_reply, lambda body: anthropic.relabel(body, Head("m", stream=False, fields={}))):
        if read is anthropic.decode_reply or b'"content":[' not in body or b'"a"' in body:
            with pytest.raises(ValueError, match=r"."):
                read(body)


def test_counts_beyond_reason_do_not_break_the_books():
    usage = {"input_tokens": -5, "output_tokens": 2**70, "cache_read_input_tokens": 1.5}
    told = anthropic.decode_reply(msgspec.json.encode({"content": [], "usage": usage | {"output_tokens": 1e300}}))
    assert told.usage == Usage(input=1, output=2**53, cached=1)


def test_tokens_are_counted_for_a_request_without_its_answer():
    body = {"model": "coding", "messages": [{"role": "user", "content": "hi"}], "system": "s"}
    peeked = anthropic.peek_count(msgspec.json.encode(body | {"max_tokens": 5, "temperature": 0.5, "stream": True}))
    sent = msgspec.json.decode(patch.join(anthropic.count_request(anthropic.forward(peeked, "claude"), "claude")))
    assert sent == body | {"model": "claude"}
    assert anthropic.decode_count(b'{"input_tokens":17,"x":1}') == 17
    assert anthropic.encode_count(17, estimated=False) == b'{"input_tokens":17}'
    assert anthropic.encode_count(17, estimated=True) == b'{"input_tokens":17,"estimated":true}'
    for wrong in (b"", b"{}", b'{"input_tokens":"x"}'):
        with pytest.raises(ValueError, match=r"."):
            anthropic.decode_count(wrong)


# -------------------------------------------------------------------------------------------------------- the client


def heard(stream):
    """What the SDK makes of a stream."""
    client = sdk.Anthropic(api_key="k", base_url="http://test")
    response = httpx2.Response(200, content=stream, request=httpx2.Request("POST", "http://test"))
    events = sdk.Stream(cast_to=RawMessageStreamEvent, response=response, client=client)
    snapshot, buffers = None, {}
    try:
        for event in events:
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    finally:
        client.close()
    return snapshot


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_the_official_client_hears_what_we_told(path):
    events = decoded(path.read_bytes())
    told = fold(events)
    ways = [encoded(events)]
    if path.parent.name not in ("malformed", "without-message-start"):  # what is handed on is not made better
        ways.append(handed_on(anthropic.through(head()), path.read_bytes()))
    for stream in ways:
        if told.fault is not None:
            with pytest.raises(sdk.APIError) as caught:
                heard(stream)
            assert told.fault.message.partition(":")[0] in str(caught.value)
            continue
        message = heard(stream)
        text = "".join(block.text for block in message.content if block.type == "text")
        assert text == "".join(block.text for block in told.blocks if isinstance(block, Text))
        assert message.model == "coding"
        usage = message.usage
        read, wrote = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        assert usage.output_tokens == told.usage.output
        assert usage.input_tokens + read + wrote in (told.usage.input, read + wrote)
        names = [block.name for block in message.content if block.type == "tool_use"]
        assert names == [block.name for block in told.blocks if isinstance(block, ToolCall)]
