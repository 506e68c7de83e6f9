"""What must hold whatever comes: the judgements that the corpus, the properties and the fuzzers share."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

from automata_anthropic import anthropic
from automata_completions import completions
from automata_gemini import array, gemini
from automata_ollama import generate, ollama
from automata_openai import openai_chat
from automata_responses import openai_responses

from omniroute.errors import BadRequest, CallError, Fault, NotFound
from omniroute.formats import bridge, patch
from omniroute.formats.codec import Bridge, Head
from omniroute.formats.codecs import CHAT, CLIENTS, COUNTING
from omniroute.formats.fold import fold
from omniroute.formats.ir import (
    Event,
    Finish,
    Opaque,
    Raw,
    Start,
    TextDelta,
    Thinking,
    ToolCall,
    ToolDelta,
    ToolStart,
    Usage,
)

HERE = Path(__file__).parent
MODELS = {
    "openai_chat": "gpt-5",
    "openai_responses": "gpt-5",
    "anthropic": "claude-sonnet-5",
    "gemini": "gemini-3-flash-preview",
    "ollama": "qwen3",
}
AUTOMATA = {
    "openai_chat": openai_chat,
    "openai_responses": openai_responses,
    "anthropic": anthropic,
    "gemini": gemini,
    "gemini array": array,
    "ollama": ollama,
    "ollama_generate": generate,
    "openai_completions": completions,
}
ENCODERS = (*CLIENTS, "gemini array")
"""Clients, each in each of its modes."""
ASKED = {"gemini": ("coding:streamGenerateContent", b"alt=sse")}
MOST = 2**55
"""What the sum of a few counts comes to at the most, each of them clamped to what every reader of JSON holds exactly."""


# -------------------------------------------------------------------------------------------------------- specimens


def requests(form: str) -> dict[str, bytes]:
    """Good requests of a format: those that were recorded, and those that are made of others' records."""
    found = {path.parent.name: path.read_bytes() for path in sorted((HERE / form).glob("*/request.json"))}
    for path in sorted((HERE / "matrix").glob(f"*-{form}.request.json")):
        made = json.loads(path.read_bytes())
        if "body" in made:
            found[path.name.removesuffix(".request.json")] = json.dumps(made["body"]).encode()
    return found


def streams(form: str) -> dict[str, bytes]:
    """Streams of a format, whole and broken ones."""
    found = {path.parent.name: path.read_bytes() for path in sorted((HERE / form).glob("*/stream.txt"))}
    for path in sorted((HERE / "matrix").glob(f"*.{form}-*.stream.txt")):
        found[path.name.removesuffix(".stream.txt")] = path.read_bytes()
    return found


def replies(form: str) -> dict[str, bytes]:
    """Whole answers of a format."""
    found = {path.parent.name: path.read_bytes() for path in sorted((HERE / form).glob("*/reply.json"))}
    for path in sorted((HERE / "matrix").glob(f"*.{form}-*.reply.json")):
        found[path.name.removesuffix(".reply.json")] = path.read_bytes()
    return found


# --------------------------------------------------------------------------------------------------------- requests


def _no_constant(text: str) -> float:
    raise AssertionError(f"{text} is no JSON")


def is_json(body: bytes) -> Any:
    """The value of strict JSON in UTF-8."""
    return json.loads(body.decode(), parse_constant=_no_constant)


def is_refusal(client: str, refusal: CallError) -> None:
    """Fails unless it is a caller's fault, told in words, in the client's own shape."""
    assert isinstance(refusal, BadRequest | NotFound)
    message = refusal.fault.message
    assert message, "it says nothing"
    assert len(message) < 2000, "it says too much"
    told = is_json(CLIENTS[client].encode_error(refusal.fault, "id"))
    error = told["error"]
    assert message[:40] in (error if isinstance(error, str) else error["message"])


def is_sent(codec: Any, fields: dict[str, Any]) -> None:
    """Fails unless the fields make a body that an upstream can read, and that can be limited."""
    is_json(patch.join(fields))
    again = patch.split(patch.join(codec.limited(fields, 10)))
    codec.unsealed(again)
    is_json(patch.join(patch.apply(particular(again), again)))


ANSWER: tuple[Event, ...] = (Start(), TextDelta("a"), ToolStart(0, "c", "f"), ToolDelta(0, "{}"), Finish("tool_calls"))


def is_answerable(client: str, given: Head) -> None:
    """Fails unless an answer is legal that tells again what the request said of itself."""
    codec = CLIENTS[client]
    given.elapsed = count(1.5).__next__
    if given.mode == "count" or given.at_once is not None:
        return
    encoder = codec.encoder(given, "id", 1700000000)
    mode = " array" if given.mode == "array" else ""
    AUTOMATA[client + mode](encoder.feed(ANSWER) + encoder.close())
    is_json(codec.encode_reply(fold(ANSWER), given, "id", 1700000000))


def particular(fields: dict[str, Any]) -> patch.Quirks:
    """All quirks that there are, about all fields."""
    names = [name for name in fields if name != "messages"]
    words = {name: {"auto": "x"} for name in names}
    return patch.Quirks(
        values=words, clamp=dict.fromkeys(names, (0, 1)), system_role="developer", merge_system=True, betas=()
    )


def asked(client: str, body: bytes, path: str | None = None, query: bytes = b"") -> CallError | None:
    """A request on its way to each upstream; the refusal, where it got no further than the gateway."""
    codec = CLIENTS[client]
    if path is None:
        path, query = ASKED.get(client, ("", b""))
    try:
        given = codec.peek(body, path, query)
        if client in CHAT:
            is_sent(CHAT[client], CHAT[client].forward(given, "m"))
        chat = codec.decode_request(given)
    except CallError as refusal:
        is_refusal(client, refusal)
        return refusal
    is_answerable(client, given)
    for name, upstream in CHAT.items():
        try:
            fields, losses = upstream.encode_request(chat, MODELS[name])
            is_sent(upstream, fields)
            if name in COUNTING:
                is_json(patch.join(COUNTING[name].count_request(fields, MODELS[name])))
        except CallError as refusal:
            is_refusal(client, refusal)
            continue
        assert all(loss.what for loss in losses)
    return None


def counted(client: str, body: bytes) -> None:
    """A request to count."""
    try:
        COUNTING[client].peek_count(body, "coding:countTokens" if client == "gemini" else "")
    except CallError as refusal:
        is_refusal(client, refusal)


# ---------------------------------------------------------------------------------------------------------- answers


def head(client: str, *, stream: bool = True) -> Head:
    name, _, mode = client.partition(" ")
    options = {"stream_options": Raw(b'{"include_usage":true}')} if name.startswith("openai") else {}
    mode = mode or ("sse" if name == "gemini" else "")
    return Head("coding", stream, options, mode=mode, elapsed=count(1.5).__next__)


def is_sane(usage: Usage | None) -> None:
    """Fails where the ledger could not hold the usage, or a price could not be made of it."""
    if usage is None:
        return
    counts = (usage.input, usage.output, usage.cached, usage.cache_write, usage.cache_write_1h, usage.reasoning)
    for number in (*counts, usage.audio_input, usage.audio_output):
        assert isinstance(number, int)
        assert 0 <= number <= MOST


def is_told(fault: Fault | None) -> None:
    if fault is None:
        return
    assert 400 <= fault.status < 600
    assert isinstance(fault.message, str)


def streamed(client: str, upstream: str, pieces: list[bytes]) -> tuple[Bridge, bytes]:
    """What a client hears of a stream. Nothing is raised on the way, for the client hears it as it comes."""
    way = bridge.Translated(CHAT[upstream], CLIENTS[client.partition(" ")[0]], head(client), "id", 1700000000)
    return way, b"".join([way.feed(piece) for piece in pieces]) + way.close()


def is_legal(client: str, upstream: str, pieces: list[bytes]) -> bytes:
    """A stream through a translation; fails unless it comes to exactly one legal end."""
    way, out = streamed(client, upstream, pieces)
    seen = AUTOMATA[client](out)
    assert (seen.error is None) == (way.fault is None), "it ends otherwise than it is said to"
    assert (way.finish is None) != (way.fault is None), "it neither finished nor failed, or both"
    is_sane(way.usage)
    is_told(way.fault)
    return out


def is_handed_on(form: str, pieces: list[bytes], *, legal: bool = False) -> bytes:
    """A stream handed on in its own format; where the upstream was legal, so is what the client hears."""
    way = CHAT[form].through(head(form))
    out = b"".join([way.feed(piece) for piece in pieces]) + way.close()
    if legal:
        AUTOMATA[form](out)
    is_sane(way.usage)
    is_told(way.fault)
    return out


def answered(upstream: str, body: bytes) -> None:
    """A whole answer through each client, whole and as a stream, and handed on; or a ValueError."""
    try:
        message = CHAT[upstream].decode_reply(body)
    except ValueError:
        message = None
    if message is not None:
        is_sane(message.usage)
        is_told(message.fault)
        for client in ENCODERS:
            name = client.partition(" ")[0]
            reply = bridge.reply(CLIENTS[name], message, head(client, stream=False), "id", 1700000000)
            assert (reply.body == b"") == (reply.fault is not None)
            if reply.fault is None:
                is_json(reply.body)
                if name in CHAT and all(block.name for block in message.blocks if isinstance(block, ToolCall)):
                    CHAT[name].decode_reply(reply.body)
            if name == upstream and any(isinstance(block, Opaque | Thinking) for block in message.blocks):
                continue  # its own words come back as they were, legal or not
            way = bridge.Translated(CHAT[upstream], CLIENTS[name], head(client), "id", 1700000000)
            seen = AUTOMATA[client](way.replay(message))
            assert (seen.error is None) == (way.fault is None)
    try:
        reply = CHAT[upstream].relabel(body, Head("coding", stream=False, fields={}))
    except ValueError:
        return
    is_sane(reply.usage)
    is_told(reply.fault)
    if reply.fault is None:
        is_json(reply.body)


def refused(upstream: str, status: int, body: bytes) -> None:
    """A refusal through each client."""
    fault = CHAT[upstream].decode_error(status, body)
    is_told(fault)
    assert len(fault.message) < 100_000
    for codec in CLIENTS.values():
        is_json(codec.encode_error(fault, "id"))
