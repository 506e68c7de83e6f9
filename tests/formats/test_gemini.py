"""Google's `generateContent` against recorded shapes, and against the format's own laws.

A folder of `gemini/` is one case: what a client or Google sent, and beside it what we understand of it (`chat.json`,
`events.json` or `message.json`, `fault-*.json`) and what we make of it (`body.json`, `through.txt`).
"""

import base64
from pathlib import Path
from random import Random

import httpx
import msgspec
import pytest
from automata_gemini import array as array_automaton
from automata_gemini import gemini as automaton
from automata_gemini import request as legal_request
from google import genai
from google.genai import errors as sdk_errors
from google.genai import types as sdk
from hypothesis import given, settings
from hypothesis import strategies as st
from stories import story

from omniroute.errors import BadRequest, CallError, Fault, NotFound, Unsupported
from omniroute.formats import anthropic, framing, gemini, openai_chat, patch
from omniroute.formats.codec import TRUNCATED, Head
from omniroute.formats.fold import fold
from omniroute.formats.gemini import pieces, seal, views
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

CASES = Path(__file__).with_name("gemini")
REQUESTS = sorted(CASES.glob("*/request.json"))
STREAMS = sorted(CASES.glob("*/stream.txt"))
REPLIES = sorted(CASES.glob("*/reply.json"))
ERRORS = sorted(CASES.glob("errors/error-*.json"))
MODEL = "gemini-3-pro-preview"
OLDER = "gemini-2.5-flash"
ASKED = ("gemini-x:streamGenerateContent", b"alt=sse")


def case(path):
    return path.parent.name


def pretty(value):
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


SHOWN = Raw(b'{"thinkingConfig":{"includeThoughts":true}}')


def head(mode="sse", *, thoughts=True):
    return Head("coding", True, {"generationConfig": SHOWN} if thoughts else {}, mode=mode)


def decoded(*parts):
    decoder = gemini.decoder()
    events = []
    for part in parts:
        events += decoder.feed(part)
    return events + decoder.close()


def handed_on(bridge, *parts):
    return b"".join(bridge.feed(part) for part in parts) + bridge.close()


def encoded(events, mode="sse"):
    encoder = gemini.encoder(head(mode), "r1", 1700000000)
    return encoder.feed(events) + encoder.close()


def body_of(**fields):
    return msgspec.json.encode({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]} | fields)


def chunk_of(*parts, **fields):
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    return b"data: %b\n\n" % msgspec.json.encode({"candidates": [candidate], "modelVersion": "theirs"} | fields)


def comparable(message):
    """A message as far as this format tells it: a refusal is text, texts that touch are one, arguments are data."""
    blocks = []
    for block in message.blocks:
        if isinstance(block, Refusal):
            block = Text(block.text)
        if isinstance(block, ToolCall):
            block = msgspec.structs.replace(block, arguments=repr(msgspec.json.decode(block.arguments or "{}")))
        if isinstance(block, Opaque):
            block = (block.type, msgspec.json.decode(block.body))
        if blocks and isinstance(block, Text) and isinstance(blocks[-1], Text):
            block = Text(blocks.pop().text + block.text)
        blocks.append(block)
    return blocks


# --------------------------------------------------------------------------------------------------------- goldens


@pytest.mark.parametrize("path", REQUESTS, ids=case)
def test_a_request_means_what_was_reviewed_and_is_written_as_reviewed(path, golden):
    chat = gemini.decode_request(gemini.peek(path.read_bytes(), *ASKED))
    golden(path.with_name("chat.json"), pretty(chat))
    fields, losses = gemini.encode_request(chat, MODEL)
    golden(path.with_name("body.json"), pretty({"body": fields, "losses": losses}))
    legal_request(msgspec.json.decode(patch.join(fields)))


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_tells_what_was_reviewed_and_is_handed_on_as_reviewed(path, golden):
    stream = path.read_bytes()
    golden(path.with_name("events.json"), pretty(decoded(stream)))
    golden(path.with_name("through.txt"), handed_on(gemini.through(head()), stream).decode())


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_tells_what_its_stream_tells(path, golden):
    told = gemini.decode_reply(path.read_bytes())
    stream = path.with_name("stream.txt")
    if not stream.exists():
        golden(path.with_name("message.json"), pretty(told))
        return
    streamed = fold(decoded(stream.read_bytes()))
    assert comparable(told) == comparable(streamed)
    assert (told.finish, told.usage, told.fault, told.model) == (
        streamed.finish,
        streamed.usage,
        streamed.fault,
        streamed.model,
    )


@pytest.mark.parametrize("path", ERRORS, ids=lambda path: path.stem)
def test_an_error_is_understood_as_reviewed(path, golden):
    status = int(path.stem.split("-")[1])
    fault = gemini.decode_error(status, path.read_bytes())
    golden(path.with_name(path.name.replace("error", "fault")), pretty(fault))


# ------------------------------------------------------------------------------------------------- streams, any way


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_tells_the_same_wherever_its_bytes_are_split(path):
    stream = path.read_bytes()
    events = decoded(stream)
    outs = {mode: handed_on(gemini.through(head(mode)), stream) for mode in ("sse", "array")}
    for at in range(len(stream)):
        assert decoded(stream[:at], stream[at:]) == events
        for mode, out in outs.items():
            assert handed_on(gemini.through(head(mode)), stream[:at], stream[at:]) == out
    single = [stream[at : at + 1] for at in range(len(stream))]
    assert decoded(*single) == events
    assert handed_on(gemini.through(head()), *single) == outs["sse"]


@pytest.mark.parametrize("mode", ["sse", "array"])
@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_handed_on_tells_the_same_under_the_name_that_was_asked_for(path, mode):
    stream = path.read_bytes()
    bridge = gemini.through(head(mode))
    out = handed_on(bridge, stream)
    if mode == "array":
        out = b"".join(b"data: %b\n\n" % bytes(one) for one in msgspec.json.decode(out, type=list[Raw]))
    events = [
        msgspec.structs.replace(event, model="coding") if isinstance(event, Start) else event
        for event in decoded(stream)
    ]
    usages = [event.usage for event in events if isinstance(event, UsageSeen)]
    assert bridge.usage == (usages[-1] if usages else None)
    assert bridge.committed == any(isinstance(event, CONTENT) for event in events) or case(path) == "blocked-with-words"
    told = fold(decoded(out))
    if bridge.fault is not None:
        assert isinstance(events[-1], Failed)
        assert (bridge.fault.status, bridge.fault.code) == (events[-1].fault.status, events[-1].fault.code)
        assert told.fault.status == bridge.fault.status
        return
    assert decoded(out) == events
    assert bridge.finish in (told.finish, "stop")


@pytest.mark.parametrize("mode", ["sse", "array"])
@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_stream_translated_is_a_legal_stream_that_tells_the_same(path, mode):
    events = decoded(path.read_bytes())
    out = encoded(events, mode)
    seen = automaton(out) if mode == "sse" else array_automaton(out)
    told = fold(events)
    assert (seen.error is None) == (told.fault is None)
    if mode == "sse" and told.fault is None:
        again = fold(decoded(out))
        assert comparable(again) == comparable(told)
        assert again.usage == told.usage
        assert seen.model == "coding"


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_is_written_as_it_was_understood(path):
    told = gemini.decode_reply(path.read_bytes())
    again = gemini.decode_reply(gemini.encode_reply(told, head(), "r1", 1700000000))
    if told.fault is not None:
        assert again.fault.kind == told.fault.kind
        return
    assert comparable(again) == comparable(told)
    assert (again.id, again.model, again.usage) == ("r1", "coding", told.usage)


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_a_whole_answer_is_handed_on_with_nothing_but_its_model_changed(path):
    body = path.read_bytes()
    reply = gemini.relabel(body, Head("coding", stream=False, fields={}))
    told = gemini.decode_reply(body)
    if told.fault is not None:
        assert reply.fault == told.fault
        return
    assert msgspec.json.decode(reply.body) == msgspec.json.decode(body) | {"modelVersion": "coding"}
    assert reply.usage == told.usage
    assert reply.finish in (told.finish, "stop")


def test_a_block_of_chunks_passes_with_its_model_renamed_and_the_last_usage_noted():
    bridge = gemini.through(head())
    first = chunk_of({"text": "a"}, usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 1})
    assert bridge.feed(first) == first.replace(b"theirs", b"coding")
    more = chunk_of({"text": "b"}) + chunk_of(
        {"text": "c"}, usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 9}
    )
    assert bridge.feed(more) == more.replace(b"theirs", b"coding")
    assert (bridge.committed, bridge.produced, bridge.usage) == (True, 3, Usage(3, 9))


@pytest.mark.parametrize(
    "part",
    [
        {"text": 'say "finishReason": "STOP"'},
        {"text": '"modelVersion":"theirs"'},
        {"functionCall": {"name": "f", "args": {"modelVersion": "theirs", "finishReason": "SAFETY"}}},
        {"text": "\n\ndata: {}"},
    ],
)
def test_content_that_looks_like_an_end_or_a_name_is_content(part):
    bridge = gemini.through(head())
    first = chunk_of({"text": "a"})
    bridge.feed(first)
    out = bridge.feed(chunk_of(part) + first)
    told = [msgspec.json.decode(event[6:]) for event in out.split(b"\n\n") if event]
    assert told[0]["candidates"][0]["content"]["parts"] == [part]
    assert [one["modelVersion"] for one in told] == ["coding", "coding"]
    assert (bridge.finish, bridge.fault, bridge.produced) == (None, None, 3)


def test_an_answer_that_is_lost_on_the_way_ends_in_an_error():
    lost = Fault(kind="timeout", status=504, message="no byte for 60 s")
    error = b'{"error":{"code":504,"message":"no byte for 60 s","status":"DEADLINE_EXCEEDED"}}'
    for mode, told in (("sse", b"data: %b\n\n" % error), ("array", b",\r\n%b]" % error)):
        bridge = gemini.through(head(mode))
        bridge.feed(chunk_of({"text": "a"}))
        assert bridge.fail(lost) == told
        assert (bridge.fault, bridge.feed(b"x"), bridge.close(), bridge.fail(lost)) == (lost, b"", b"", b"")
    assert gemini.through(head("array")).fail(lost) == b"[%b]" % error


def test_an_encoder_that_is_left_open_tells_that_the_answer_broke_off():
    for events in ([], [Start(), TextDelta("a")]):
        assert automaton(encoded(events)).error["message"] == TRUNCATED.message
        assert array_automaton(encoded(events, "array")).error["code"] == 502


def test_an_array_is_legal_wherever_white_space_keeps_it_alive():
    encoder = gemini.encoder(head("array"), "r", 0)
    assert (gemini.ping(head("array")), gemini.ping(head())) == (b"\n", b"")
    out = b"\n"
    for events in ([TextDelta("a")], [TextDelta("b")], [Finish("stop")]):
        out += encoder.feed(events) + b"\n"
    assert array_automaton(out).text == "ab"
    assert gemini.content_type(head("array")).startswith(b"application/json")
    assert gemini.content_type(head()).startswith(b"text/event-stream")


def test_an_endless_event_is_cut_off(monkeypatch):
    monkeypatch.setattr(framing, "EVENT_LIMIT", 100)
    bridge = gemini.through(head())
    assert bridge.feed(b"data: " + b"x" * 50) == b""
    assert b"not what it should be" in bridge.feed(b"x" * 100)
    assert decoded(b"data: " + b"x" * 200)[-1].fault.code == "upstream_malformed"


def test_bytes_that_are_not_text_are_not_handed_on():
    with pytest.raises(ValueError, match="UTF-8"):
        gemini.relabel(b'{"candidates":[{}],"x":"\xff"}', Head("m", stream=False, fields={}))
    bridge = gemini.through(head())
    bridge.feed(chunk_of({"text": "a"}))
    out = bridge.feed(chunk_of({"text": "b"}) + chunk_of({"text": "c"}).replace(b'"c"', b'"\xff"'))
    assert b'"b"' in out
    assert b"\xff" not in out
    assert bridge.fault.code == "upstream_malformed"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"candidates":[]}', b'{"candidates":5}', b"[" * 5000])
def test_a_whole_answer_that_is_none_is_a_value_error(body):
    with pytest.raises(ValueError):
        gemini.decode_reply(body)
    with pytest.raises(ValueError):
        gemini.relabel(body, Head("m", stream=False, fields={}))


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_a_damaged_stream_is_never_an_exception(path):
    random = Random(3)
    stream = path.read_bytes()
    for _ in range(60):
        damaged = bytearray(stream)
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(damaged))
            damaged[at : at + random.randrange(3)] = random.randbytes(random.randrange(3))
        events = decoded(bytes(damaged))
        assert isinstance(events[-1], Finish | Failed)
        automaton(encoded(events))
        for mode in ("sse", "array"):
            handed_on(gemini.through(head(mode)), bytes(damaged))


def test_counts_beyond_reason_do_not_break_the_books():
    counts = {"promptTokenCount": 1e300, "candidatesTokenCount": -5, "thoughtsTokenCount": 2.5}
    (usage,) = (event.usage for event in decoded(chunk_of(usageMetadata=counts)) if isinstance(event, UsageSeen))
    assert usage == Usage(views.MOST, 2, reasoning=2)


# ------------------------------------------------------------------------------------------------- calls and thoughts


def test_calls_are_told_whole_and_in_the_order_in_which_they_began():
    encoder = gemini.encoder(head(), "r", 0)
    assert encoder.feed([ToolStart(0, "a", "f"), ToolDelta(0, '{"x"'), ToolStart(1, "b", "g"), BlockStop(1)]) == b""
    told = encoder.feed([ToolDelta(0, ":1}"), BlockStop(0), ToolStart(2, "c", "h"), ToolDelta(2, "[1]")])
    seen = automaton(told + encoder.feed([Finish("tool_calls")]))
    assert seen.calls == [
        {"id": "a", "name": "f", "args": {"x": 1}},
        {"id": "b", "name": "g", "args": {}},
        {"id": "c", "name": "h", "args": {"arguments": "[1]"}},
    ]
    assert seen.signatures == [seal.STAND_IN]


def test_a_call_with_free_text_becomes_one_with_an_input():
    seen = automaton(encoded([ToolStart(0, "a", "f", custom=True), ToolDelta(0, 'say "hi"'), Finish("tool_calls")]))
    assert seen.calls[0]["args"] == {"input": 'say "hi"'}


@pytest.mark.parametrize("issuer", ["anthropic", "openai_chat", "a_third"])
@pytest.mark.parametrize("whole", [True, False])
def test_what_another_format_signed_stands_on_the_part_after_it_and_comes_back_to_its_issuer(issuer, whole):
    events = [
        Start(),
        ThinkingDelta("I ", issuer=issuer),
        ThinkingDelta("add."),
        ThinkingDelta(signature="c2ln", issuer=issuer),
        BlockStop(),
        ToolStart(0, "t", "add"),
        ToolDelta(0, "{}"),
        BlockStop(0),
        ThinkingDelta(redacted="ZGFyaw==", issuer=issuer),
        TextDelta("Three."),
        ThinkingDelta(signature="dw==", issuer=issuer),
        Finish("stop"),
    ]
    if whole:
        reply = msgspec.json.decode(gemini.encode_reply(fold(events), head(), "r", 0))
        parts = reply["candidates"][0]["content"]["parts"]
    else:
        chunks = [msgspec.json.decode(event[6:]) for event in encoded(events).split(b"\n\n") if event]
        parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert [part for part in parts if part.get("thought")] != []
    assert all("thoughtSignature" not in part for part in parts if part.get("thought"))
    history = [{"role": "user", "parts": [{"text": "1 + 2"}]}, {"role": "model", "parts": parts}]
    chat = gemini.decode_request(gemini.peek(body_of(contents=history), *ASKED))
    assert [block for block in chat.turns[1].blocks if not isinstance(block, Thinking) or block.text != "I "] == [
        Thinking("I add." if whole else "add.", "c2ln", issuer=issuer),
        ToolCall("t", "add", "{}"),
        Thinking(redacted="ZGFyaw==", issuer=issuer),
        Text("Three."),
        Thinking(signature="dw==", issuer=issuer),
    ]


@pytest.mark.parametrize("thoughts", [True, False])
def test_thoughts_are_told_to_those_who_asked_for_them(thoughts):
    signed = ThinkingDelta(signature="cw==", issuer="anthropic")
    events = [ThinkingDelta("Hm.", issuer="anthropic"), signed, TextDelta("a"), Finish("stop")]
    encoder = gemini.encoder(head(thoughts=thoughts), "r", 0)
    seen = automaton(encoder.feed(events))
    whole = msgspec.json.decode(gemini.encode_reply(fold(events), head(thoughts=thoughts), "r", 0))
    texts = [part["text"] for part in whole["candidates"][0]["content"]["parts"]]
    assert (seen.thoughts, texts) == (("Hm.", ["Hm.", "a"]) if thoughts else ("", ["a"]))
    assert seen.signatures == [seal.seal("anthropic", "cw==")]
    for config in (b"5", b'{"thinkingConfig":5}', b'{"a":1,"thinking_config":{"include_thoughts":false}}'):
        asked = Head("coding", True, {"generationConfig": Raw(config)}, mode="sse")
        assert automaton(gemini.encoder(asked, "r", 0).feed(events)).thoughts == ""


def test_a_seal_survives_an_sdk_that_decodes_base64_and_encodes_it_again():
    for signature in ("c2ln", "~~??>>", "a" * 41):
        sealed = seal.seal("anthropic", signature)
        part = sdk.Part.model_validate({"text": "a", "thoughtSignature": sealed})
        again = part.model_dump(mode="json", by_alias=True, exclude_none=True)["thoughtSignature"]
        assert seal.unseal(again) == seal.unseal(sealed) == ("anthropic", signature, None)
    assert seal.unseal(seal.STAND_IN) == (None, None, None)
    assert seal.unseal("c2ln") == ("gemini", "c2ln", None)
    assert seal.unseal("b21uaXJvdXRlL!") == ("gemini", "b21uaXJvdXRlL!", None)
    part = sdk.Part.model_validate({"text": "a", "thoughtSignature": seal.STAND_IN})
    assert part.model_dump(mode="json", by_alias=True)["thoughtSignature"] == seal.STAND_IN


def test_googles_signature_goes_through_a_client_of_another_format_and_back():
    answer = chunk_of({"text": "Hm.", "thought": True}) + chunk_of(
        {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}
    )
    answer += b'data: {"candidates":[{"finishReason":"STOP"}]}\n\n'
    theirs = anthropic.encode_reply(fold(decoded(answer)), head(), "1", 0)
    content = msgspec.json.decode(theirs)["content"]
    assert content[0] == {"type": "thinking", "thinking": "Hm.", "signature": "omniroute.gemini.c2ln"}
    history = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "ok"}]},
    ]
    body = msgspec.json.encode({"model": "m", "max_tokens": 9, "messages": history})
    fields, losses = gemini.encode_request(anthropic.decode_request(anthropic.peek(body)), MODEL)
    assert fields["contents"][1]["parts"][0] == {"text": "Hm.", "thought": True}
    assert fields["contents"][1]["parts"][1]["thoughtSignature"] == "c2ln"
    assert losses == []


def test_google_is_not_sent_signatures_that_only_look_like_its_own():
    path = CASES / "sealed" / "request.json"
    asked = gemini.peek(path.read_bytes(), *ASKED)
    contents = msgspec.json.decode(patch.join(gemini.forward(asked, MODEL)))["contents"]
    assert contents[1]["parts"] == [
        {"text": "One and two.", "thought": True},
        {
            "functionCall": {"id": "toolu_1", "name": "add", "args": {"a": 1, "b": 2}},
            "thoughtSignature": seal.STAND_IN,
        },
    ]
    assert contents[3]["parts"] == [{"text": "Three."}]
    own = gemini.peek((CASES / "signatures" / "request.json").read_bytes(), *ASKED)
    assert gemini.forward(own, MODEL)["contents"] is own.fields["contents"]


def test_a_request_whose_signatures_are_refused_goes_without_them():
    asked = gemini.peek((CASES / "signatures" / "request.json").read_bytes(), *ASKED)
    contents = msgspec.json.decode(patch.join(gemini.unsealed(gemini.forward(asked, MODEL))))["contents"]
    signatures = [part.get("thoughtSignature") for content in contents for part in content["parts"]]
    assert signatures == [None, None, seal.STAND_IN, None, seal.STAND_IN, None, None, None]
    plain = gemini.peek(body_of(), *ASKED)
    assert gemini.unsealed(gemini.forward(plain, MODEL)) is None
    words = "Function call is missing a thought_signature in functionCall parts."
    assert gemini.seal_refused(Fault(kind="invalid_request", status=400, message=words))
    assert not gemini.seal_refused(Fault(kind="invalid_request", status=400, message="Unknown name"))


def test_arguments_that_come_in_pieces_may_say_any_place():
    whole = pieces.Pieces()
    told = [
        {"jsonPath": "$.a", "stringValue": "x"},
        {"jsonPath": "$.a", "stringValue": "y"},
        {"jsonPath": "$.b[0]", "numberValue": 1.5},
        {"jsonPath": "$.b[1].c", "boolValue": False},
        {"jsonPath": "$['d e'].f", "nullValue": "NULL_VALUE"},
        {"jsonPath": "$.b[7]", "numberValue": 1},
        {"jsonPath": "$.a.b", "numberValue": 1},
        {"jsonPath": "$..x", "numberValue": 1},
        {"jsonPath": "a", "numberValue": 1},
        {"jsonPath": "$", "stringValue": "all"},
    ]
    for piece in told:
        whole.add(msgspec.json.decode(msgspec.json.encode(piece), type=views.Piece))
    assert msgspec.json.decode(whole.arguments()) == {"a": "xy", "b": [1.5, {"c": False}], "d e": {"f": None}}


def test_chances_of_tokens_are_told_both_ways():
    result = {
        "chosenCandidates": [{"token": "Hi", "logProbability": -0.5}, {"token": "é", "logProbability": -1.0}],
        "topCandidates": [{"candidates": [{"token": "Hi", "logProbability": -0.5}]}, {"candidates": []}],
    }
    candidate = {"content": {"parts": [{"text": "Hié"}]}, "finishReason": "STOP", "logprobsResult": result}
    told = gemini.decode_reply(msgspec.json.encode({"candidates": [candidate]}))
    (chances,) = told.logprobs
    assert msgspec.json.decode(chances) == [
        {
            "token": "Hi",
            "logprob": -0.5,
            "bytes": [72, 105],
            "top_logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}],
        },
        {"token": "é", "logprob": -1.0, "bytes": [195, 169], "top_logprobs": []},
    ]
    whole = msgspec.json.decode(gemini.encode_reply(told, head(), "r", 0))["candidates"][0]
    assert whole["logprobsResult"] == result
    assert automaton(encoded([TextDelta("Hié", chances), Finish("stop")])).text == "Hié"
    assert automaton(encoded([TextDelta("", Raw(b"5")), Finish("stop")])).text == ""


# -------------------------------------------------------------------------------------------------- at random, hostile


def test_any_answer_is_a_legal_stream_that_tells_it_whole():
    random = Random(5)
    for _ in range(1500):
        events = story(random)
        sse, grown = encoded(events), encoded(events, "array")
        seen, other = automaton(sse), array_automaton(grown)
        assert msgspec.structs.replace(seen) == other
        told = fold(events)
        said = "".join(block.text for block in told.blocks if isinstance(block, Text | Refusal))
        assert seen.text == said
        assert seen.thoughts == "".join(block.text for block in told.blocks if isinstance(block, Thinking))
        calls = [block for block in told.blocks if isinstance(block, ToolCall)]
        assert [call["id"] for call in seen.calls] == [call.id for call in calls]
        whole = msgspec.json.decode(gemini.encode_reply(told, head(), "r1", 0))
        parts = whole["candidates"][0]["content"]["parts"]
        assert [part["functionCall"] for part in parts if "functionCall" in part] == seen.calls
        texts = [part["text"] for part in parts if "text" in part and not part.get("thought")]
        assert "".join(texts) == said
        assert whole.get("usageMetadata") == seen.usage


EVENTS = (
    Start("i", "m"),
    TextDelta("a"),
    TextDelta(""),
    RefusalDelta("no"),
    ThinkingDelta("t", issuer="anthropic"),
    ThinkingDelta(signature="s", issuer="anthropic"),
    ThinkingDelta(redacted="r", issuer="openai_chat"),
    ToolStart(0, "a", "f"),
    ToolStart(1, "b", "g", custom=True),
    ToolDelta(0, '{"x":'),
    ToolDelta(1, "z"),
    ToolDelta(7, "z"),
    BlockStop(),
    BlockStop(0),
    BlockStop(9),
    Media(Image("image/png", "aGk=")),
    Media(Image(file_id="f")),
    Media(Audio("aGk=", "wav")),
    Media(Opaque("anthropic", "x", Raw(b"{}"))),
    UsageSeen(Usage(1, 2, reasoning=9)),
    Finish("stop"),
    Failed(Fault(kind="server", status=500, message="x")),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(EVENTS), max_size=12))
def test_an_encoder_writes_nothing_illegal_whatever_it_is_fed(events):
    assert msgspec.structs.replace(automaton(encoded(events))) == array_automaton(encoded(events, "array"))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
PLACES = (
    ("contents",),
    ("contents", 0),
    ("contents", 0, "role"),
    ("contents", 0, "parts"),
    ("contents", 0, "parts", 0),
    ("contents", 0, "parts", 0, "text"),
    ("contents", 0, "parts", 1, "inlineData", "data"),
    ("contents", 1, "parts", 0, "functionCall"),
    ("contents", 1, "parts", 0, "functionCall", "args"),
    ("contents", 1, "parts", 0, "thoughtSignature"),
    ("contents", 2, "parts", 0, "functionResponse"),
    ("contents", 2, "parts", 0, "functionResponse", "response"),
    ("contents", 2, "parts", 0, "functionResponse", "parts"),
    ("systemInstruction",),
    ("systemInstruction", "parts"),
    ("tools",),
    ("tools", 0),
    ("tools", 0, "functionDeclarations"),
    ("tools", 0, "functionDeclarations", 0, "parameters"),
    ("tools", 0, "functionDeclarations", 0, "parameters", "properties"),
    ("toolConfig",),
    ("toolConfig", "functionCallingConfig"),
    ("toolConfig", "functionCallingConfig", "mode"),
    ("generationConfig",),
    ("generationConfig", "topK"),
    ("generationConfig", "maxOutputTokens"),
    ("generationConfig", "responseSchema"),
    ("generationConfig", "thinkingConfig"),
    ("generationConfig", "thinkingConfig", "thinkingBudget"),
    ("serviceTier",),
)
GOOD = {
    "contents": [
        {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"a": 1}, "parts": []}}]},
    ],
    "systemInstruction": {"parts": [{"text": "s"}]},
    "tools": [{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {}}}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    "generationConfig": {
        "topK": 4,
        "maxOutputTokens": 5,
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT"},
        "thinkingConfig": {"thinkingBudget": 1},
    },
    "serviceTier": "flex",
}


def put(place, value):
    whole = msgspec.json.decode(msgspec.json.encode(GOOD))
    holder = whole
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    return whole


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(PLACES), JSON, st.sampled_from([MODEL, OLDER]))
def test_no_request_however_malformed_raises_anything_but_bad_request(place, value, model):
    try:
        body = msgspec.json.encode(put(place, value))
    except (OverflowError, UnicodeEncodeError):
        return  # it cannot be written down
    try:
        asked = gemini.peek(body, *ASKED)
        chat = gemini.decode_request(asked)
        patch.join(gemini.limited(gemini.forward(asked, model), 3))
        fields, _ = gemini.encode_request(chat, model)
        patch.join(fields)
        openai_chat.encode_request(chat, "gpt-5")
        anthropic.encode_request(chat, "claude-sonnet-5")
    except BadRequest:
        pass


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"contents": 5}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": [5]}, "contents[0]"),
        ({"contents": [{"role": "system", "parts": [{"text": "a"}]}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"text": 5}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"parts": [{}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"functionCall": {"name": "f"}}]}]}, "contents[0].parts[0].functionCall"),
        (
            {"contents": [{"role": "model", "parts": [{"functionCall": {"args": {}}}]}]},
            "contents[0].parts[0].functionCall.name",
        ),
        (
            {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": 5}}]}]},
            "contents[0].parts[0].functionCall.args",
        ),
        (
            {"contents": [{"parts": [{"inlineData": {"data": "a"}}]}]},
            "contents[0].parts[0].inlineData.mimeType",
        ),
        ({"contents": [{"parts": [{"fileData": {}}]}]}, "contents[0].parts[0].fileData.fileUri"),
        (
            {"contents": [{"parts": [{"inlineData": {"data": "a"}, "inline_data": {"data": "a"}}]}]},
            "contents[0].parts[0].inlineData",
        ),
        ({"systemInstruction": {}, "system_instruction": {}}, "systemInstruction"),
        ({"systemInstruction": {"parts": [{"inlineData": {}}]}}, "systemInstruction.parts[0]"),
        ({"generationConfig": {"topP": 1, "top_p": 1}}, "generationConfig.topP"),
        ({"generationConfig": {"maxOutputTokens": "many"}}, "generationConfig.maxOutputTokens"),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinking_budget": 2}}},
            "generationConfig.thinkingConfig.thinkingBudget",
        ),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "toolConfig.functionCallingConfig.mode"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(fields, param):
    with pytest.raises(BadRequest) as caught:
        gemini.decode_request(gemini.peek(body_of(**fields), *ASKED))
    assert caught.value.fault.param == param
    told = msgspec.json.decode(gemini.encode_error(caught.value.fault, "req_1"))["error"]
    assert (told["code"], told["status"]) == (400, "INVALID_ARGUMENT")
    assert told["details"][0]["fieldViolations"][0]["field"] == param
    assert told["details"][-1]["requestId"] == "req_1"


# ------------------------------------------------------------------------------------------------------------ paths


@pytest.mark.parametrize(
    ("path", "query", "asked"),
    [
        ("gemini-2.5-flash:generateContent", b"", ("gemini-2.5-flash", False, "")),
        ("models/gemini-2.5-flash:streamGenerateContent", b"alt=sse", ("gemini-2.5-flash", True, "sse")),
        ("openai/gpt-5:streamGenerateContent", b"key=k&%24alt=x", ("openai/gpt-5", True, "array")),
        ("ollama/llama3:8b:generateContent", b"alt=json", ("ollama/llama3:8b", False, "")),
        ("/combo:streamGenerateContent", b"alt=json", ("combo", True, "array")),
        ("combo:countTokens", b"", ("combo", False, "count")),
    ],
)
def test_the_path_names_the_model_and_what_is_wanted_of_it(path, query, asked):
    told = gemini.peek(body_of(model="models/another"), path, query)
    assert (told.model, told.stream, told.mode) == asked
    assert "model" not in told.fields


@pytest.mark.parametrize(
    ("path", "query", "refusal"),
    [
        ("", b"", NotFound),
        ("gemini-2.5-flash", b"", NotFound),
        ("gemini-2.5-flash:embedContent", b"", NotFound),
        (":generateContent", b"", BadRequest),
        ("models/:generateContent", b"", BadRequest),
        ("m\n:generateContent", b"", BadRequest),
        ("m" * 257 + ":generateContent", b"", BadRequest),
        ("m:streamGenerateContent", b"alt=proto", BadRequest),
    ],
)
def test_a_path_that_says_nothing_is_refused(path, query, refusal):
    with pytest.raises(CallError) as caught:
        gemini.peek(body_of(), path, query)
    assert isinstance(caught.value, refusal)


def test_requests_go_to_the_path_of_their_model():
    assert gemini.path("gemini-2.5-flash", False) == "/models/gemini-2.5-flash:generateContent"
    assert gemini.path("gemini-2.5-flash", True) == "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    assert gemini.path("tunedModels/my-model", False) == "/tunedModels/my-model:generateContent"
    assert gemini.path("a b?c#d", False) == "/models/a%20b%3Fc%23d:generateContent"
    assert gemini.count_path("m") == "/models/m:countTokens"


def test_forwarding_keeps_every_byte_but_the_spelling_of_the_first_names():
    body = b'{"contents": [ {"parts":[{"text" : "hi"}]} ],"generation_config": {"top_k" : 1.0},"newField":{"a": [1]}}'
    fields = gemini.forward(gemini.peek(body, *ASKED), MODEL)
    assert {name: bytes(raw) for name, raw in fields.items()} == {
        "contents": b'[ {"parts":[{"text" : "hi"}]} ]',
        "generationConfig": b'{"top_k" : 1.0}',
        "newField": b'{"a": [1]}',
    }
    assert msgspec.json.decode(patch.join(gemini.limited(fields, 9)))["generationConfig"] == {
        "topK": 1.0,
        "maxOutputTokens": 9,
    }


@pytest.mark.parametrize(
    ("given", "limit"), [(None, 9), ({}, 9), ({"maxOutputTokens": 5}, 5), ({"max_output_tokens": 50}, 9)]
)
def test_an_answer_is_limited_to_the_smaller_number(given, limit):
    fields = {} if given is None else {"generationConfig": given}
    out = gemini.limited(gemini.forward(gemini.peek(body_of(**fields), *ASKED), MODEL), 9)
    assert msgspec.json.decode(patch.join(out))["generationConfig"] == {"maxOutputTokens": limit}
    written, _ = gemini.encode_request(Chat(turns=(Turn("user", (Text("a"),)),)), MODEL)
    assert gemini.limited(written, 9)["generationConfig"] == {"maxOutputTokens": 9}


def test_tokens_are_counted_for_contents_alone_and_for_a_whole_request():
    alone = gemini.peek_count(body_of(), "m:countTokens")
    assert list(gemini.count_request(gemini.forward(alone, MODEL), "gemini-x")) == ["contents"]
    whole = {"model": "models/m", "contents": [{"parts": [{"text": "a"}]}], "system_instruction": {"parts": []}}
    counted = gemini.peek_count(msgspec.json.encode({"generateContentRequest": whole}), "m:countTokens")
    assert gemini.decode_request(counted).turns == (Turn("user", (Text("a"),)),)
    told = msgspec.json.decode(patch.join(gemini.count_request(gemini.forward(counted, MODEL), "gemini-x")))
    assert told == {
        "generateContentRequest": {
            "model": "models/gemini-x",
            "contents": [{"parts": [{"text": "a"}]}],
            "systemInstruction": {"parts": []},
        }
    }
    assert gemini.decode_count(b'{"totalTokens": 31, "promptTokensDetails": []}') == 31
    assert gemini.encode_count(5, estimated=True) == b'{"totalTokens":5,"estimated":true}'
    assert gemini.encode_count(5, estimated=False) == b'{"totalTokens":5}'
    with pytest.raises(NotFound):
        gemini.peek_count(body_of(), "m:generateContent")
    with pytest.raises(BadRequest):
        gemini.peek(body_of(generateContentRequest=whole), "m:countTokens")


# --------------------------------------------------------------------------------------------- what goes to Google


def sent(model=MODEL, **chat):
    turns = chat.pop("turns", (Turn("user", (Text("hi"),)),))
    fields, losses = gemini.encode_request(Chat(turns=turns, vendor_format="openai_chat", **chat), model)
    fields = msgspec.json.decode(patch.join(fields))
    return fields, [loss.code for loss in losses]


F = Tool("f", parameters=Raw(b'{"type":"object"}'))


@pytest.mark.parametrize(
    ("model", "reasoning", "config", "lost"),
    [
        (MODEL, Reasoning(effort="low"), {"thinkingLevel": "low", "includeThoughts": True}, []),
        (MODEL, Reasoning(effort="medium"), {"thinkingLevel": "high", "includeThoughts": True}, ["reasoning_effort"]),
        (MODEL, Reasoning(effort="max", show="omitted"), {"thinkingLevel": "high"}, ["reasoning_effort"]),
        (MODEL, Reasoning(off=True), {"thinkingLevel": "low"}, ["thinking_off"]),
        (MODEL, Reasoning(budget=1000), {"thinkingLevel": "low", "includeThoughts": True}, ["thinking_budget"]),
        (MODEL, Reasoning(adaptive=True), {"includeThoughts": True}, []),
        ("gemini-3.1-pro-preview", Reasoning(effort="medium", show="omitted"), {"thinkingLevel": "medium"}, []),
        ("gemini-3-flash-preview", Reasoning(effort="minimal", show="omitted"), {"thinkingLevel": "minimal"}, []),
        (
            "gemini-3.8-flash",
            Reasoning(effort="minimal", show="omitted"),
            {"thinkingLevel": "low"},
            ["reasoning_effort"],
        ),
        ("gemini-3.5-flash-lite", Reasoning(effort="none"), {"thinkingLevel": "minimal"}, ["thinking_off"]),
        ("gemini-flash-latest", Reasoning(effort="low", show="omitted"), {"thinkingLevel": "low"}, []),
        (OLDER, Reasoning(effort="high"), {"thinkingBudget": 24576, "includeThoughts": True}, []),
        (OLDER, Reasoning(effort="max", show="omitted"), {"thinkingBudget": 24576}, []),
        (OLDER, Reasoning(budget=50_000, show="omitted"), {"thinkingBudget": 24576}, ["thinking_budget"]),
        (OLDER, Reasoning(adaptive=True, show="omitted"), {"thinkingBudget": -1}, []),
        (OLDER, Reasoning(effort="none"), {"thinkingBudget": 0}, []),
        ("gemini-2.5-pro", Reasoning(effort="none"), {"thinkingBudget": 128}, ["thinking_off"]),
        ("gemini-2.5-flash-lite", Reasoning(budget=100, show="omitted"), {"thinkingBudget": 512}, ["thinking_budget"]),
        ("gemini-2.0-flash", Reasoning(effort="low"), None, ["thinking"]),
        ("gemini-2.0-flash", Reasoning(off=True), None, []),
        ("gemini-2.5-flash-image", Reasoning(effort="low"), None, ["thinking"]),
        ("gemma-4-27b", Reasoning(effort="low"), None, ["thinking"]),
    ],
)
def test_how_much_to_think_is_told_in_the_models_own_words(model, reasoning, config, lost):
    fields, losses = sent(model, reasoning=reasoning)
    assert fields.get("generationConfig", {}).get("thinkingConfig") == config
    assert losses == lost


@pytest.mark.parametrize(
    ("chat", "config", "lost"),
    [
        ({"sampling": Sampling(logit_bias=Raw(b"{}"))}, {}, ["logit_bias"]),
        ({"sampling": Sampling(n=2)}, {}, ["n"]),
        ({"sampling": Sampling(seed=2**40 + 5)}, {"seed": 5}, ["seed"]),
        ({"sampling": Sampling(stop=tuple("abcdef"))}, {"stopSequences": list("abcde")}, ["stop"]),
        ({"sampling": Sampling(logprobs=True, top_logprobs=2)}, {"responseLogprobs": True, "logprobs": 2}, []),
        ({"sampling": Sampling(max_tokens=5, temperature=0.5)}, {"maxOutputTokens": 5, "temperature": 0.5}, []),
        ({"output": Output("json_object")}, {"responseMimeType": "application/json"}, []),
        (
            {"output": Output("json_schema", "n", "d", Raw(b'{"type":"object"}'))},
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
            ["schema_description"],
        ),
        ({"verbosity": "low"}, {}, ["verbosity"]),
        ({"user": "u"}, {}, ["user"]),
        ({"metadata": Raw(b"{}")}, {}, ["metadata"]),
        ({"service_tier": "scale"}, {}, ["service_tier"]),
        ({"service_tier": "auto"}, {}, []),
        ({"vendor": {"store": Raw(b"true")}}, {}, ["store"]),
    ],
)
def test_what_the_format_does_not_take_is_told(chat, config, lost):
    fields, losses = sent(**chat)
    assert fields.get("generationConfig", {}) == config
    assert losses == lost


def test_older_models_have_either_tools_or_a_form_to_answer_in():
    fields, losses = sent(OLDER, tools=(F,), output=Output("json_object"))
    assert ("generationConfig" in fields, losses) == (False, ["response_format"])
    fields, losses = sent(tools=(F,), output=Output("json_object"))
    assert (fields["generationConfig"], losses) == ({"responseMimeType": "application/json"}, [])


def test_newer_models_penalise_nothing_and_do_not_continue_their_own_turn():
    turns = (Turn("user", (Text("Name?"),)), Turn("assistant", (Text("My name is"),)))
    fields, losses = sent("gemini-3.5-flash", turns=turns, sampling=Sampling(presence_penalty=1.0, frequency_penalty=0))
    assert fields["contents"][-1] == {"role": "user", "parts": [{"text": "(Go on.)"}]}
    assert losses == ["last_turn", "presence_penalty"]
    fields, losses = sent(OLDER, turns=turns, sampling=Sampling(presence_penalty=1.0))
    assert (fields["contents"][-1]["role"], fields["generationConfig"], losses) == (
        "model",
        {"presencePenalty": 1.0},
        [],
    )


@pytest.mark.parametrize(
    ("choice", "calling", "lost"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}, []),
        (ToolChoice("none"), {"mode": "NONE"}, []),
        (ToolChoice("required"), {"mode": "ANY"}, []),
        (ToolChoice("one", "f"), {"mode": "ANY", "allowedFunctionNames": ["f"]}, []),
        (ToolChoice("one", "x"), None, ["tool_choice"]),
        (ToolChoice("required", allowed=("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}, []),
        (ToolChoice("auto", allowed=("f",)), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, []),
    ],
)
def test_a_choice_among_tools(choice, calling, lost):
    fields, losses = sent(tools=(F,), tool_choice=choice)
    assert fields.get("toolConfig", {}).get("functionCallingConfig") == calling
    assert losses == lost


def test_tools_that_are_not_functions_of_an_object():
    tools = (
        Tool("free", custom=True, grammar=Raw(b"{}"), cache=CacheMark()),
        Tool("strict", strict=True),
        Tool("web", format="anthropic", opaque=Raw(b"{}")),
        Tool("googleSearch", format="gemini", opaque=Raw(b'{"googleSearch":{}}')),
    )
    fields, losses = sent(tools=tools, parallel_tools=False)
    functions, search = fields["tools"]
    assert [one["name"] for one in functions["functionDeclarations"]] == ["free", "strict"]
    assert functions["functionDeclarations"][0]["parametersJsonSchema"]["required"] == ["input"]
    assert "parametersJsonSchema" not in functions["functionDeclarations"][1]
    assert search == {"googleSearch": {}}
    assert losses == ["cache_control", "custom_tool", "strict", "tool", "parallel_tool_calls"]
    fields, losses = sent(tool_choice=ToolChoice("required"))
    assert ("tools" in fields, losses) == (False, ["tool_choice"])


CALL = ToolCall("a", "f", "{}")
SIGNED = {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": seal.STAND_IN}
RESULT = {"functionResponse": {"id": "a", "name": "f", "response": {"output": "ok"}}}
UNANSWERED = {"functionResponse": {"id": "a", "name": "f", "response": {"error": "(There is no result.)"}}}


@pytest.mark.parametrize(
    ("turns", "contents", "lost"),
    [
        ((), [("user", [{"text": "(The conversation begins with the assistant.)"}])], ["first_turn"]),
        (
            (Turn("assistant", (Text("a"),)), Turn("assistant", (Text(""), Text("b")))),
            [
                ("user", [{"text": "(The conversation begins with the assistant.)"}]),
                ("model", [{"text": "a"}, {"text": "b"}]),
            ],
            ["first_turn"],
        ),
        ((Turn("user", ()),), [("user", [{"text": "(The user said nothing.)"}])], ["empty_turn"]),
        (
            (
                Turn("user", (Text("a"),)),
                Turn("assistant", (CALL,)),
                Turn("user", (Text("b"), ToolResult("a", (Text("ok"),)))),
            ),
            [("user", [{"text": "a"}]), ("model", [SIGNED]), ("user", [RESULT, {"text": "b"}])],
            [],
        ),
        (
            (Turn("user", (Text("a"),)), Turn("assistant", (CALL,)), Turn("user", (Text("b"),))),
            [("user", [{"text": "a"}]), ("model", [SIGNED]), ("user", [UNANSWERED, {"text": "b"}])],
            ["tool_result"],
        ),
        (
            (Turn("user", (Text("a"),)), Turn("assistant", (CALL,))),
            [("user", [{"text": "a"}]), ("model", [SIGNED]), ("user", [UNANSWERED])],
            ["tool_result"],
        ),
        (
            (Turn("user", (ToolResult("z", (Text("ok"),)), Text("b"))),),
            [("user", [{"text": "Result of z:\nok"}, {"text": "b"}])],
            ["tool_result"],
        ),
        (
            (Turn("user", (Text("a"),)), Turn("system", (Text("s"),)), Turn("user", (Text("b"),))),
            [("user", [{"text": "a"}, {"text": "<system>\ns\n</system>"}, {"text": "b"}])],
            ["system_turn"],
        ),
        (
            (
                Turn("user", (Text("a"),)),
                Turn(
                    "assistant",
                    (Thinking("t", "s", issuer="gemini"), Text("b"), Thinking(signature="u", issuer="gemini")),
                ),
            ),
            [
                ("user", [{"text": "a"}]),
                (
                    "model",
                    [
                        {"text": "t", "thought": True, "thoughtSignature": "s"},
                        {"text": "b"},
                        {"text": "", "thoughtSignature": "u"},
                    ],
                ),
            ],
            [],
        ),
        (
            (
                Turn("user", (Text("a"),)),
                Turn("assistant", (Thinking("t", "s", issuer="anthropic"), Thinking("u"), Refusal("no"))),
            ),
            [("user", [{"text": "a"}]), ("model", [{"text": "no"}])],
            ["thinking", "thinking"],
        ),
    ],
)
def test_turns_are_put_in_the_order_that_the_api_wants(turns, contents, lost):
    fields, losses = sent(turns=turns)
    assert [(content["role"], content["parts"]) for content in fields["contents"]] == contents
    assert losses == lost


def test_only_models_that_insist_on_a_signature_are_given_the_stand_in():
    turns = (
        Turn("user", (Text("a"),)),
        Turn("assistant", (CALL, ToolCall("b", "f", '{"cut'))),
        Turn("user", (ToolResult("a"), ToolResult("b"))),
    )
    fields, losses = sent(turns=turns)
    assert [part.get("thoughtSignature") for part in fields["contents"][1]["parts"]] == [seal.STAND_IN, None]
    assert fields["contents"][1]["parts"][1]["functionCall"]["args"] == {"arguments": '{"cut'}
    assert losses == ["arguments"]
    fields, _ = sent(OLDER, turns=turns)
    assert all("thoughtSignature" not in part for part in fields["contents"][1]["parts"])


IMAGE = Image("image/png", "iVBORw0K")
INLINE = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0K"}}


@pytest.mark.parametrize(
    ("block", "parts", "lost"),
    [
        (IMAGE, [INLINE], []),
        (
            Image(data="/9j/4AAQ", detail="high"),
            [{"inlineData": {"mimeType": "image/jpeg", "data": "/9j/4AAQ"}}],
            ["image_detail"],
        ),
        (
            Image(url="https://example.com/a.webp?x=1"),
            [{"fileData": {"mimeType": "image/webp", "fileUri": "https://example.com/a.webp?x=1"}}],
            [],
        ),
        (
            Image("image/png", file_id="gs://bucket/a"),
            [{"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/a"}}],
            [],
        ),
        (Audio("UklG", "wav"), [{"inlineData": {"mimeType": "audio/wav", "data": "UklG"}}], []),
        (Audio("AAAA", "pcm16"), [{"inlineData": {"mimeType": "audio/pcm", "data": "AAAA"}}], []),
        (
            Document("application/pdf", "JVBE", name="a.pdf", context="c", citations=True, cache=CacheMark()),
            [{"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}}],
            ["cache_control", "citations", "document_name", "document_context"],
        ),
        (Document(text="body", name="a.txt"), [{"text": "a.txt\n\nbody"}], []),
        (
            Document(url="https://example.com/a.pdf"),
            [{"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.com/a.pdf"}}],
            [],
        ),
        (Opaque("gemini", "x", Raw(b'{"x":1}')), [{"x": 1}], []),
        (Opaque("openai_chat", "odd", Raw(b"{}")), [], ["odd"]),
    ],
)
def test_a_block_is_written_or_told_as_lost(block, parts, lost):
    fields, losses = sent(turns=(Turn("user", (Text("a"), block)),))
    assert fields["contents"][0]["parts"][1:] == parts
    assert losses == lost


@pytest.mark.parametrize(
    ("block", "model"),
    [
        (Image(file_id="file-1"), MODEL),
        (Document(file_id="file-1"), MODEL),
        (Image(url="http://example.com/a.png"), MODEL),
        (Image(url="https://example.com/a.png"), "gemini-2.0-flash"),
        (Document(url="https://example.com/a.pdf"), "gemini-2.0-flash"),
    ],
)
def test_a_picture_that_google_cannot_read_is_refused_and_not_left_out(block, model):
    with pytest.raises(Unsupported) as caught:
        sent(model, turns=(Turn("user", (block,)),))
    assert caught.value.fault.param == "turns[0].blocks[0]"
    if isinstance(block, Image) and block.url is not None:
        assert "server.fetch_images" in str(caught.value)


def test_pictures_in_a_result_stay_there_where_the_model_reads_them():
    turns = (
        Turn("user", (Text("a"),)),
        Turn("assistant", (CALL,)),
        Turn("user", (ToolResult("a", (Text("ok"), IMAGE)),)),
    )
    fields, losses = sent(turns=turns)
    assert fields["contents"][2]["parts"][0]["functionResponse"]["parts"] == [INLINE]
    assert losses == []
    fields, losses = sent(OLDER, turns=turns)
    assert fields["contents"][2]["parts"] == [RESULT, {"text": "From the result of a:"}, INLINE]
    assert losses == ["tool_result_media"]


# --------------------------------------------------------------------------------------------------- chats, at random

WORD = st.from_regex("[a-z]{1,6}", fullmatch=True)
ADDRESS = WORD.map(lambda word: f"https://{word}.test/a.png")
MARK = st.none() | st.sampled_from([CacheMark(), CacheMark("1h")])
ANY_ID = st.text(st.sampled_from("ab._-é "), max_size=3)
ANY_TEXT = st.text(st.sampled_from('a \n"é'), max_size=4)
ISSUERS = st.sampled_from([None, "gemini", "anthropic"])
ANY_BLOCK = st.one_of(
    st.builds(Text, ANY_TEXT, MARK),
    st.builds(Refusal, ANY_TEXT),
    st.builds(Image, url=ADDRESS, cache=MARK),
    st.builds(Image, data=WORD, media_type=st.none() | WORD, detail=st.none() | WORD),
    st.builds(Audio, WORD, WORD),
    st.builds(Document, text=ANY_TEXT, cache=MARK),
    st.builds(Document, data=WORD, media_type=st.none() | st.sampled_from(["text/plain", "application/pdf", "x/y"])),
    st.builds(Thinking, ANY_TEXT, st.none() | WORD, st.none() | WORD, ISSUERS),
    st.builds(ToolCall, ANY_ID, WORD, st.sampled_from(["", "{}", '{"a":1}', "[", "2"]), st.booleans(), MARK),
    st.builds(
        ToolResult,
        ANY_ID,
        st.lists(st.builds(Text, ANY_TEXT) | st.builds(Image, data=WORD), max_size=2).map(tuple),
        st.booleans(),
        MARK,
    ),
    st.just(Opaque("openai_chat", "odd", Raw(b"{}"))),
)
ROLES = st.sampled_from(["user", "assistant", "system"])
ANY_TURN = ROLES.flatmap(
    lambda role: st.builds(
        Turn,
        st.just(role),
        st.lists(st.builds(Text, ANY_TEXT, MARK) if role == "system" else ANY_BLOCK, max_size=4).map(tuple),
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
    sampling=st.builds(Sampling, top_k=st.none() | st.integers(0, 9), stop=st.lists(ANY_TEXT, max_size=7).map(tuple)),
    reasoning=st.none()
    | st.builds(
        Reasoning,
        effort=st.none() | st.sampled_from(["none", "minimal", "low", "max"]),
        budget=st.none() | st.integers(0, 99_999),
        adaptive=st.booleans(),
    ),
    output=st.none() | st.just(Output("json_object")),
    vendor_format=st.sampled_from(["anthropic", "openai_chat"]),
)


@settings(max_examples=500, deadline=None)
@given(ANY_CHAT, st.sampled_from([MODEL, OLDER, "gemini-3.8-flash", "gemini-2.5-pro"]))
def test_whatever_a_chat_holds_the_api_would_take_its_request(chat, model):
    fields, _ = gemini.encode_request(chat, model)
    body = patch.join(fields)
    legal_request(msgspec.json.decode(body), signed=model not in (OLDER, "gemini-2.5-pro"))
    gemini.decode_request(gemini.peek(body, *ASKED))


SAID = st.text(st.sampled_from('xé"\\'), min_size=1, max_size=5)
OBJECT = st.sampled_from([Raw(b'{"type":"object"}'), Raw(b'{ "type": "object" }')])
SAYING = st.lists(
    st.one_of(
        st.builds(Text, SAID),
        st.builds(Image, media_type=st.just("image/png"), data=st.just("QUJD")),
        st.builds(Image, media_type=st.just("image/png"), url=ADDRESS),
        st.just(Image("image/png", file_id="gs://b/a.png")),
        st.builds(Audio, st.just("QUJD"), st.sampled_from(["wav", "mp3", "flac"])),
        st.builds(Document, media_type=st.just("application/pdf"), data=st.just("QUJD")),
        st.just(Opaque("gemini", "inlineData", Raw(b'{"inlineData":{"mimeType":"video/mp4","data":"QUJD"}}'))),
    ),
    min_size=1,
    max_size=3,
)
ANSWERING = st.lists(
    st.one_of(
        st.builds(Text, SAID),
        st.just(Thinking("t", signature="QUJD", issuer="gemini")),
        st.just(Opaque("gemini", "executableCode", Raw(b'{"executableCode":{"code":"1"}}'))),
    ),
    min_size=1,
    max_size=3,
)
GIVEN = st.lists(st.builds(Text, SAID), max_size=1).map(tuple)


@st.composite
def orderly(draw):
    """Turns as the API wants them, the first of each step's calls being signed."""
    turns, calls = [Turn("user", tuple(draw(SAYING)))], 0
    for _ in range(draw(st.integers(0, 3))):
        new = [ToolCall(f"id{calls + at}", draw(WORD), '{"a":1}') for at in range(draw(st.integers(0, 2)))]
        calls += len(new)
        signed = [Text("x"), Thinking(signature="QUJD", issuer="gemini")] if new else []
        turns.append(Turn("assistant", (*draw(ANSWERING), *signed, *new)))
        results = [ToolResult(call.id, draw(GIVEN), draw(st.booleans())) for call in new]
        results = [one if one.blocks else msgspec.structs.replace(one, is_error=False) for one in results]
        turns.append(Turn("user", (*results, *draw(SAYING))))
    return tuple(turns)


OWN_CHAT = st.builds(
    Chat,
    turns=orderly(),
    system=st.lists(st.builds(Text, SAID), max_size=2).map(tuple),
    tools=st.lists(
        st.builds(Tool, WORD, st.none() | SAID, OBJECT) | st.just(Tool("x", format="gemini", opaque=Raw(b'{"x":{}}'))),
        max_size=2,
        unique_by=lambda tool: tool.name,
    ).map(lambda tools: tuple(sorted(tools, key=lambda tool: tool.opaque is not None))),
    sampling=st.builds(
        Sampling,
        max_tokens=st.integers(1, 99_999),
        top_k=st.none() | st.just(3),
        stop=st.lists(SAID, max_size=2).map(tuple),
    ),
    reasoning=st.none() | st.sampled_from([Reasoning(effort="high", show="summarized"), Reasoning(show="summarized")]),
    output=st.none() | st.just(Output("json_object")) | st.builds(Output, st.just("json_schema"), schema=OBJECT),
    stream=st.just(True),
    service_tier=st.none() | st.sampled_from(["flex", "default", "priority"]),
    vendor_format=st.just("gemini"),
    vendor=st.sampled_from(
        [{}, {"labels": Raw(b'{"a":"b"}'), "generationConfig": Raw(b'{"speechConfig":{}}')}],
    ),
)


@settings(max_examples=300, deadline=None)
@given(OWN_CHAT)
def test_a_chat_comes_back_from_its_own_body(chat):
    fields, losses = gemini.encode_request(chat, MODEL)
    assert losses == []
    body = patch.join(fields)
    legal_request(msgspec.json.decode(body))
    assert gemini.decode_request(gemini.peek(body, *ASKED)) == chat


# ------------------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault(kind="invalid_request", status=400, message="m"), "INVALID_ARGUMENT", 400),
        (Fault(kind="authentication", status=401, message="m", type="authentication_error"), "UNAUTHENTICATED", 401),
        (Fault(kind="rate_limited", status=429, message="m"), "RESOURCE_EXHAUSTED", 429),
        (Fault(kind="overloaded", status=529, message="m"), "UNAVAILABLE", 529),
        (Fault(kind="server", status=500, message="m", type="DATA_LOSS"), "DATA_LOSS", 500),
        (Fault(kind="method", status=405, message="m"), "UNIMPLEMENTED", 405),
    ],
)
def test_an_error_is_told_in_the_formats_own_statuses(fault, status, code):
    told = msgspec.json.decode(gemini.encode_error(fault, ""))
    assert told == {"error": {"code": code, "message": "m", "status": status}}


def test_what_else_is_known_of_an_error_stands_in_its_details():
    fault = Fault(kind="rate_limited", status=429, message="m", code="busy", param="p", retry_after=1.5)
    again = gemini.decode_error(429, gemini.encode_error(fault, "req_1"))
    assert again == msgspec.structs.replace(fault, type="RESOURCE_EXHAUSTED")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40) | JSON.map(lambda value: repr(value).encode()))
def test_any_bytes_are_an_error(body):
    assert gemini.decode_error(500, body).status == 500


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_any_error_told_in_an_answer_is_one(said):
    try:
        written = msgspec.json.encode({"error": {"code": said, "status": said, "message": said, "details": [said]}})
    except (OverflowError, UnicodeEncodeError):
        return
    fault = gemini.decode_reply(written).fault
    assert 400 <= fault.status < 600


# -------------------------------------------------------------------------------------------------- the official SDK


def client_of(answer, content_type, status=200):
    seen = []

    def respond(request):
        seen.append(request)
        return httpx.Response(status, content=answer, headers={"content-type": content_type})

    options = sdk.HttpOptions(
        base_url="http://gateway.test",
        httpx_client=httpx.Client(transport=httpx.MockTransport(respond)),
        retry_options=sdk.HttpRetryOptions(attempts=1),
    )
    return genai.Client(api_key="k", http_options=options), seen


def heard(stream):
    """What the SDK makes of a stream."""
    client, _ = client_of(stream, "text/event-stream")
    return list(client.models.generate_content_stream(model="coding", contents="hi"))


@pytest.mark.parametrize("path", STREAMS, ids=case)
def test_the_official_client_hears_what_we_told(path):
    events = decoded(path.read_bytes())
    told = fold(events)
    ways = [encoded(events)]
    if case(path) != "finish-something-new":  # of which the SDK warns where it was handed on
        ways.append(handed_on(gemini.through(head()), path.read_bytes()))
    for stream in ways:
        if told.fault is not None:
            with pytest.raises(sdk_errors.APIError) as caught:
                heard(stream)
            assert caught.value.code == told.fault.status
            continue
        chunks = heard(stream)
        parts = [
            part
            for chunk in chunks
            for one in (chunk.candidates or ())[:1]
            for part in (one.content.parts if one.content else None) or ()
        ]
        text = "".join(part.text for part in parts if part.text and not part.thought)
        if case(path) != "blocked-with-words":  # which the SDK reads elsewhere where it was handed on
            assert text == "".join(block.text for block in told.blocks if isinstance(block, Text))
        assert {chunk.model_version for chunk in chunks} == {"coding"}
        if told.usage is not None:
            usage = chunks[-1].usage_metadata or chunks[0].usage_metadata
            assert usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0) == told.usage.input
        if case(path) != "tool-in-pieces":
            names = [part.function_call.name for part in parts if part.function_call]
            assert names == [block.name for block in told.blocks if isinstance(block, ToolCall)]


@pytest.mark.parametrize("path", REPLIES, ids=case)
def test_the_official_client_reads_a_whole_answer(path):
    told = gemini.decode_reply(path.read_bytes())
    client, seen = client_of(gemini.encode_reply(told, head(), "r1", 0), "application/json")
    answer = client.models.generate_content(model="coding", contents="hi")
    assert seen[0].url.path.endswith("/models/coding:generateContent")
    if told.fault is None:
        calls = [part.function_call for part in answer.candidates[0].content.parts if part.function_call]
        assert [call.name for call in calls] == [one.name for one in told.blocks if isinstance(one, ToolCall)]


def test_what_the_official_client_sends_is_understood():
    client, seen = client_of(
        gemini.encode_reply(fold([TextDelta("a"), Finish("stop")]), head(), "r", 0), "application/json"
    )
    contents = [
        sdk.Content(
            role="user",
            parts=[sdk.Part.from_text(text="Look."), sdk.Part.from_bytes(data=b"\xfb\xff\xfe", mime_type="image/png")],
        ),
        sdk.Content(
            role="model",
            parts=[
                sdk.Part(
                    function_call=sdk.FunctionCall(id="a", name="f", args={"x": 1}),
                    thought_signature=base64.b64decode(seal.seal("anthropic", "s")),
                )
            ],
        ),
        sdk.Content(role="user", parts=[sdk.Part.from_function_response(name="f", response={"result": "ok"})]),
    ]
    config = sdk.GenerateContentConfig(
        system_instruction="Be brief.",
        temperature=0.5,
        top_k=40,
        max_output_tokens=99,
        response_mime_type="application/json",
        response_schema={"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}},
        tools=[
            sdk.Tool(
                function_declarations=[
                    sdk.FunctionDeclaration(name="f", parameters=sdk.Schema(type="OBJECT", properties={}))
                ]
            )
        ],
        tool_config=sdk.ToolConfig(function_calling_config=sdk.FunctionCallingConfig(mode="ANY")),
        thinking_config=sdk.ThinkingConfig(thinking_budget=1024, include_thoughts=True),
        automatic_function_calling=sdk.AutomaticFunctionCallingConfig(disable=True),
    )
    answer = client.models.generate_content(model="coding", contents=contents, config=config)
    assert answer.text == "a"
    path = seen[0].url.path.partition("/models/")[2]
    chat = gemini.decode_request(gemini.peek(seen[0].content, path))
    expected = Chat(
        turns=(
            Turn("user", (Text("Look."), Image("image/png", "+//+"))),
            Turn("assistant", (Thinking(signature="s", issuer="anthropic"), ToolCall("a", "f", '{"x": 1}'))),
            Turn("user", (ToolResult("a", (Text("ok"),)),)),
        ),
        system=(Text("Be brief."),),
        tools=(Tool("f", parameters=chat.tools[0].parameters),),
        tool_choice=ToolChoice("required"),
        sampling=Sampling(max_tokens=99, temperature=0.5, top_k=40),
        reasoning=Reasoning(budget=1024, show="summarized"),
        output=Output("json_schema", schema=chat.output.schema),
        vendor_format="gemini",
    )
    assert msgspec.structs.asdict(chat) == msgspec.structs.asdict(expected)
    assert msgspec.json.decode(chat.output.schema)["properties"] == {"a": {"type": ["string", "null"]}}


def test_the_official_client_raises_what_we_refuse_and_counts_what_we_count():
    fault = Fault(kind="rate_limited", status=429, message="slow down", retry_after=3.0)
    client, _ = client_of(gemini.encode_error(fault, "req"), "application/json", 429)
    with pytest.raises(sdk_errors.ClientError) as caught:
        client.models.generate_content(model="coding", contents="hi")
    assert (caught.value.code, caught.value.status, caught.value.message) == (429, "RESOURCE_EXHAUSTED", "slow down")
    client, seen = client_of(gemini.encode_count(7, estimated=False), "application/json")
    assert client.models.count_tokens(model="coding", contents="hi").total_tokens == 7
    counted = gemini.peek_count(seen[0].content, seen[0].url.path.partition("/models/")[2])
    assert gemini.decode_request(counted).turns == (Turn("user", (Text("hi"),)),)
