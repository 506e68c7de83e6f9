"""Every client's format before every upstream's, over all recorded cases.

A case that some client sent is sent on to each other format; one that some upstream answered is told to clients of
each other format, also of those that no upstream speaks. What comes out is a file to review, so that a change of one codec shows what it does to all pairs.
"""

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random

import msgspec
import pytest
from automata_anthropic import anthropic as anthropic_automaton
from automata_anthropic import request as anthropic_request
from automata_completions import completions as completions_automaton
from automata_gemini import gemini as gemini_automaton
from automata_gemini import request as gemini_request
from automata_ollama import generate as generate_automaton
from automata_ollama import ollama as ollama_automaton
from automata_ollama import request as ollama_request
from automata_openai import openai_chat as openai_automaton
from automata_responses import openai_responses as responses_automaton
from automata_responses import request as responses_request
from stories import story

from omniroute.errors import Unsupported
from omniroute.formats import bridge, patch
from omniroute.formats.codec import Head
from omniroute.formats.codecs import CHAT, CLIENTS
from omniroute.formats.fold import fold
from omniroute.formats.ir import Finish, Raw, Refusal, Text, ToolCall, UsageSeen

HERE = Path(__file__).parent
MATRIX = HERE / "matrix"
MODELS = {
    "openai_chat": "gpt-5",
    "openai_responses": "gpt-5",
    "anthropic": "claude-sonnet-5",
    "gemini": "gemini-3-flash-preview",
    "ollama": "qwen3",
}
AUTOMATA = {
    "openai_chat": openai_automaton,
    "openai_responses": responses_automaton,
    "anthropic": anthropic_automaton,
    "gemini": gemini_automaton,
    "ollama": ollama_automaton,
    "ollama_generate": generate_automaton,
    "openai_completions": completions_automaton,
}
REQUESTS = {
    "openai_responses": responses_request,
    "anthropic": anthropic_request,
    "gemini": gemini_request,
    "ollama": ollama_request,
}
"""Rules for what is sent, of the formats that refuse what breaks them."""
ASKED = {"gemini": ("coding:streamGenerateContent", b"alt=sse")}
"""Where a format names the model and the mode outside the body."""
MODES = {"gemini": "sse"}
PAIRS = [(client, upstream) for client in CLIENTS for upstream in CHAT if client != upstream]


def recorded(kind: str, part: str) -> Iterator[tuple[str, str, Path]]:
    """The cases that have a file of a name, of one format, each with the other formats."""
    for one, other in PAIRS:
        near = one if part == "client" else other
        for path in sorted((HERE / near).glob(f"*/{kind}")):
            yield one, other, path


def params(kind: str, part: str):
    return [
        pytest.param(client, upstream, path, id=f"{path.parent.name}.{client}-{upstream}")
        for client, upstream, path in recorded(kind, part)
    ]


def pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def head(client: str, *, stream: bool = True) -> Head:
    options = {"stream_options": Raw(b'{"include_usage":true}')} if client.startswith("openai") else {}
    if client == "gemini":
        options = {"generationConfig": Raw(b'{"thinkingConfig":{"includeThoughts":true}}')}
    return Head("coding", stream, options, mode=MODES.get(client, ""), elapsed=count(1.5).__next__)


def peek(name: str, body: bytes) -> Head:
    return CLIENTS[name].peek(body, *ASKED.get(name, ()))


def streamed(client: str, upstream: str, *pieces: bytes):
    way = bridge.stream(CHAT[upstream], CLIENTS[client], head(client), "id", 1700000000)
    return way, b"".join(way.feed(piece) for piece in pieces) + way.close()


@pytest.mark.parametrize(("client", "upstream", "path"), params("request.json", "client"))
def test_a_request_is_sent_on_as_reviewed(client, upstream, path, golden):
    chat = CLIENTS[client].decode_request(peek(client, path.read_bytes()))
    reviewed = MATRIX / f"{path.parent.name}.{client}-{upstream}.request.json"
    try:
        fields, losses = CHAT[upstream].encode_request(chat, MODELS[upstream])
    except Unsupported as refusal:
        golden(reviewed, pretty({"refused": str(refusal)}))
        return
    body = patch.join(fields)
    golden(reviewed, pretty({"body": fields, "losses": losses}))
    sent = msgspec.json.decode(body)
    if upstream in REQUESTS:
        REQUESTS[upstream](sent)
    names = [call.name for turn in chat.turns for call in turn.blocks if isinstance(call, ToolCall)]
    again = CHAT[upstream].decode_request(peek(upstream, body))
    assert names == [call.name for turn in again.turns for call in turn.blocks if isinstance(call, ToolCall)]


@pytest.mark.parametrize(("client", "upstream", "path"), params("stream.txt", "upstream"))
def test_a_stream_is_told_as_reviewed(client, upstream, path, golden):
    stream = path.read_bytes()
    way, out = streamed(client, upstream, stream)
    golden(MATRIX / f"{path.parent.name}.{client}-{upstream}.stream.txt", out.decode())
    understood = {"usage": way.usage, "finish": way.finish, "fault": way.fault, "committed": way.committed}
    if client in CHAT:  # it is the same for the others
        golden(MATRIX / f"{path.parent.name}.{client}-{upstream}.understood.json", pretty(understood))
    seen = AUTOMATA[client](out)
    assert (seen.error is None) == (way.fault is None)
    for at in range(0, len(stream), 7):
        assert streamed(client, upstream, stream[:at], stream[at:])[1] == out


@pytest.mark.parametrize(("client", "upstream", "path"), params("reply.json", "upstream"))
def test_a_whole_answer_is_told_as_reviewed(client, upstream, path, golden):
    reply = bridge.whole(CHAT[upstream], CLIENTS[client], path.read_bytes(), head(client), "id", 1700000000)
    if reply.fault is not None:
        assert reply.body == b""
        return
    golden(MATRIX / f"{path.parent.name}.{client}-{upstream}.reply.json", pretty(Raw(reply.body)))
    if client not in CHAT:
        return
    told = CHAT[upstream].decode_reply(path.read_bytes())
    again = CHAT[client].decode_reply(reply.body)
    assert _calls(again) == _calls(told)
    assert "".join(block.text for block in again.blocks if isinstance(block, Text)).startswith(
        "".join(block.text for block in told.blocks if isinstance(block, Text))
    )
    if told.usage is not None:
        assert (again.usage.input, again.usage.output) == (told.usage.input, told.usage.output)
        assert again.usage.cached == (0 if client == "ollama" else told.usage.cached)  # which has no word for it


def _calls(message):
    return [(call.id, call.name) for call in message.blocks if isinstance(call, ToolCall)]


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_any_stream_of_an_upstream_is_a_legal_one_that_says_the_same(client, upstream):
    random = Random(11)
    for _ in range(1500):
        events = story(random)
        source = CHAT[upstream].encoder(head(upstream), "id", 1700000000)
        stream = source.feed(events) + source.close()
        cuts = sorted(random.randrange(len(stream) + 1) for _ in range(3))
        pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        way, out = streamed(client, upstream, *pieces)
        seen = AUTOMATA[client](out)
        decoder = CHAT[upstream].decoder()
        heard = decoder.feed(stream) + decoder.close()
        told = fold(heard)
        assert way.fault is None
        if client in CHAT:
            again = fold(CHAT[client].decoder().feed(out))
            assert _said(again) == _said(told)
            assert _calls(again) == _calls(told)
        else:
            assert _words(seen.content) == _said(told)
        assert way.finish == next(event.reason for event in heard if isinstance(event, Finish))
        usages = [event.usage for event in heard if isinstance(event, UsageSeen)]
        assert way.usage == (usages[-1] if usages else None)
        handed = CHAT[upstream].through(head(upstream))
        kept = b"".join(handed.feed(piece) for piece in pieces) + handed.close()
        AUTOMATA[upstream](kept)
        assert fold(CHAT[upstream].decoder().feed(kept)).blocks == told.blocks
        assert (handed.usage, handed.fault) == (way.usage, None)
        assert handed.finish in (way.finish, "stop"), "only a translation knows better than the upstream"
        assert handed.committed == way.committed


def _said(message):
    """Its words, but for what a format says in place of what it cannot carry."""
    return _words("".join(block.text for block in message.blocks if isinstance(block, Text | Refusal)))


def _words(said):
    return re.sub(r"\[The answer holds [^]]*\]", "", said)
