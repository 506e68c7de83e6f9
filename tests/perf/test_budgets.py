"""What a request may cost of our own code: CPU time, without sockets and without the server.

The budgets are the design's, with three times of slack, on the machine that they were made on; another is as fast as it
does a fixed piece of work (`slowness`), measured beside each figure, for a shared machine changes its speed by half within
minutes. A figure is the best of several rounds, for other work only ever adds. What breaks one of these has put something
onto the hot path.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from omniroute import catalog
from omniroute.config import bundle
from omniroute.config.compile import compile_gateway
from omniroute.relay.ingress import ENDPOINTS, Gate
from omniroute.routing.live import Live
from omniroute.state.base import Clock
from omniroute.state.cache import MemoryCache
from omniroute.state.memory import MemoryLedger, memory_state
from omniroute.upstream.client import Client

ROUNDS = 7
SLACK = 3
PASSTHROUGH_1K = 60e-6 * SLACK
PASSTHROUGH_64K = 200e-6 * SLACK
TRANSLATED_64K = 500e-6 * SLACK
CHUNK = 3e-6 * (SLACK + 1)  # the difference of two figures, and so twice as unsteady
TRANSLATED_CHUNK = 12e-6 * SLACK
CACHE = 20e-6 * SLACK
HIT = {1024: 1.5, 65536: 1.15}  # how much dearer a miss is; reading 64 KiB and naming it is common to both
WORK = 60e-6  # what the piece of work takes on the machine that the budgets were made on

CONFIG = """\
version: 1
auth: {require_api_key: true}
providers:
  open: {type: openai-compatible, base_url: "http://127.0.0.1:9/v1", connections: {main: {}}, models: {m: {}}}
  anth: {type: anthropic-compatible, base_url: "http://127.0.0.1:9/v1", connections: {main: {}}, models: {m: {}}}
aliases: {same: open/m, other: anth/m}
keys: {bench: {digest: "{digest}", allow: ["*"]}}
policies: {sane: {rules: [{max_tokens: {output: 32000}}]}}
"""
KEY = b"sk-of-the-bench"
WORDS = "The gateway hands the request to the provider that was chosen for it. "
OPENAI = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": WORDS * 8}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
}
ANTHROPIC = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": WORDS * 8}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 10, "output_tokens": 20},
}


class Reply:
    """An answer that is there already, in the pieces that it would come in."""

    status = 200

    def __init__(self, content_type: bytes, pieces: list[bytes]) -> None:
        self.headers = [(b"content-type", content_type)]
        self._pieces = iter(pieces)

    async def chunk(self) -> bytes:
        return next(self._pieces, b"")

    async def read(self, limit: int) -> bytes:
        return b"".join(self._pieces)

    def close(self) -> None: ...


class Transport:
    """Answers everything with the same reply, at once."""

    def __init__(self, content_type: bytes, pieces: list[bytes]) -> None:
        self._reply = content_type, pieces

    async def send(self, request: Any) -> Reply:
        return Reply(*self._reply)

    async def close(self) -> None: ...


def whole(reply: Any) -> Transport:
    return Transport(b"application/json", [json.dumps(reply).encode()])


def openai_stream(chunks: int) -> Transport:
    def event(delta: Any, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return b"data: %s\n\n" % json.dumps(told).encode()

    pieces = [event({"role": "assistant", "content": ""})]
    pieces += [event({"content": " word"}) for _ in range(chunks)]
    pieces += [event({}, "stop"), b"data: [DONE]\n\n"]
    return Transport(b"text/event-stream", pieces)


def anthropic_stream(chunks: int) -> Transport:
    def event(kind: str, **told: Any) -> bytes:
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), json.dumps({"type": kind, **told}).encode())

    delta = event("content_block_delta", index=0, delta={"type": "text_delta", "text": " word"})
    pieces = [
        event("message_start", message=ANTHROPIC | {"content": [], "stop_reason": None}),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *[delta] * chunks,
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 9}),
        event("message_stop"),
    ]
    return Transport(b"text/event-stream", pieces)


def request(model: str, size: int, *, stream: bool = False) -> bytes:
    """A chat of about this many bytes, in messages of a paragraph each."""
    messages = [{"role": ("user", "assistant")[n % 2], "content": WORDS * 10} for n in range(size // 740 or 1)]
    messages.append({"role": "user", "content": "And then?"})
    return json.dumps({"model": model, "messages": messages, "max_tokens": 512, "stream": stream}).encode()


@pytest.fixture
def cost(tmp_path):
    """A function that measures: seconds of CPU for one request, answered by this transport."""
    file = tmp_path / "omniroute.yaml"
    books = catalog.load()

    def measure(transport: Transport, body: bytes, times: int, *, more: str = "", **state_parts: Any) -> float:
        file.write_text(CONFIG.replace("{digest}", f"sha256:{sha256(KEY).hexdigest()}") + more)
        live = Live(compile_gateway(bundle.read(file, books), books))
        state = msgspec.structs.replace(
            memory_state(),
            ledger=MemoryLedger(100),
            clock=Clock(),
            random=random.Random(1),
            **state_parts,
        )
        application = Gate(live, state, Client({"httptools": transport})).app(ENDPOINTS[0])
        return asyncio.run(best(application, body, times))

    return measure


async def best(application: Callable[..., Awaitable[None]], body: bytes, times: int) -> float:
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"authorization", b"Bearer " + KEY),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ],
    }
    statuses = set()

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    figures = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(times):
            await application(dict(scope), receive, send)
        figures.append((time.thread_time() - began) / times)
    assert statuses == {200}
    return min(figures)


def slowness() -> float:
    """How much slower this machine is now than the one that the budgets were made on; never less than 1."""

    def work() -> None:
        for _ in range(10):
            told = msgspec.json.decode(msgspec.json.encode(OPENAI))
            told.update({name: str(value) for name, value in told.items()})

    figures = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(50):
            work()
        figures.append((time.thread_time() - began) / 50)
    return max(1.0, min(figures) / WORK)


@pytest.mark.parametrize(
    ("model", "size", "reply", "budget"),
    [
        ("same", 1024, OPENAI, PASSTHROUGH_1K),
        ("same", 65536, OPENAI, PASSTHROUGH_64K),
        ("other", 65536, ANTHROPIC, TRANSLATED_64K),
    ],
    ids=["passthrough-1K", "passthrough-64K", "translated-64K"],
)
def test_a_request_stays_within_its_budget(cost, model, size, reply, budget):
    figure = cost(whole(reply), request(model, size), 200)
    assert figure < budget * slowness(), f"{figure * 1e6:.1f} µs"


@pytest.mark.parametrize(
    ("model", "stream", "budget"),
    [("same", openai_stream, CHUNK), ("other", anthropic_stream, TRANSLATED_CHUNK)],
    ids=["passthrough", "translated"],
)
def test_a_chunk_of_a_stream_stays_within_its_budget(cost, model, stream, budget):
    body = request(model, 1024, stream=True)
    few, many = (cost(stream(chunks), body, 5) for chunks in (100, 2100))
    figure = (many - few) / 2000
    assert figure < budget * slowness(), f"{figure * 1e6:.1f} µs"


class Forgetful(MemoryCache):
    """Keeps everything and finds nothing, so that every request is a miss."""

    def get(self, name, now):
        return None

    def find(self, outline, key, now):
        return None


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("size", [1024, 65536], ids=["1K", "64K"])
@pytest.mark.parametrize(("model", "way"), [("same", openai_stream), ("other", anthropic_stream)])
def test_a_hit_of_the_cache_is_much_cheaper_than_a_miss(cost, model, way, size, stream):
    reply = whole(OPENAI if model == "same" else ANTHROPIC)
    body = request(model, size, stream=stream)
    transport = way(100) if stream else reply
    turns = [  # in turns, so that a slow moment meets both
        (cost(transport, body, 20, more="cache: {}", cache=Forgetful()), cost(transport, body, 20, more="cache: {}"))
        for _ in range(3)
    ]
    miss, hit = (min(figures) for figures in zip(*turns, strict=True))
    assert hit * HIT[size] <= miss, f"{hit * 1e6:.1f} µs against {miss * 1e6:.1f} µs"


def test_a_miss_of_the_cache_stays_within_its_budget(cost):
    body = request("same", 1024)
    figure = cost(whole(OPENAI), body, 200, more="cache: {}", cache=Forgetful()) - cost(whole(OPENAI), body, 200)
    assert figure < CACHE * slowness(), f"{figure * 1e6:.1f} µs"
