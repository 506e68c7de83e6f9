"""Anthropic's Messages against recorded shapes of several servers, and against the format's own laws.

A folder of `anthropic/` is one case: what a client or a server sent, and beside it what we understand of it
(`chat.json`, `events.json`, `fault-*.json`) and what we make of it (`body.json`, `through.txt`).
"""

import random
from pathlib import Path

import msgspec
import pytest
from automata_anthropic import anthropic as automaton
from hypothesis import given, settings
from hypothesis import strategies as st

from omniroute.errors import BadRequest, Fault
from omniroute.formats import anthropic, openai_chat, patch
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
    events = anthropic.decode_reply(path.read_bytes())
    stream = path.with_name("stream.txt")
    if not stream.exists():
        golden(path.with_name("events.json"), pretty(events))
        return
    streamed = comparable(fold(decoded(stream.read_bytes())))
    assert comparable(fold(events)) == streamed


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
    events = anthropic.decode_reply(path.read_bytes())
    body = anthropic.encode_reply(events, "coding", "1", 1700000000)
    again = fold(anthropic.decode_reply(body))
    told = fold(events)
    if told.fault is not None:
        assert again.fault is not None
        assert again.fault.kind == told.fault.kind
        return
    assert comparable(again) == comparable(msgspec.structs.replace(told, id="msg_1", model="coding"))


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_is_handed_on_with_nothing_but_its_model_changed(path):
    body = path.read_bytes()
    reply = anthropic.relabel(body, "coding")
    told = fold(anthropic.decode_reply(body))
    if told.fault is not None:
        assert reply.fault == told.fault
        return
    assert msgspec.json.decode(reply.body) == msgspec.json.decode(body) | {"model": "coding"}
    assert (reply.usage, reply.finish) == (told.usage, told.finish)
