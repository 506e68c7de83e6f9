"""Answers in lines, through the whole relay: a clock that is real, loading that asks nobody, errors by status."""

from __future__ import annotations

import asyncio
import random
from hashlib import sha256
from itertools import count
from typing import Any

import msgspec
import pytest

from omniroute import catalog
from omniroute.config import bundle
from omniroute.config.compile import compile_gateway
from omniroute.relay import relay
from omniroute.relay.ingress import Endpoint, Gate
from omniroute.routing.live import Live
from omniroute.state.base import Clock
from omniroute.state.memory import MemoryLedger, memory_state
from omniroute.upstream.client import Client

CONFIG = """\
version: 1
auth: {require_api_key: true}
providers:
  open: {type: openai-compatible, base_url: "http://127.0.0.1:9/v1", connections: {main: {}}, models: {m: {}}}
  ollama: {base_url: "http://127.0.0.1:9", connections: {main: {}}, models: {m: {}}}
aliases: {coding: open/m, local: ollama/m}
keys: {test: {digest: "{digest}", allow: ["*"]}}
"""
KEY = b"sk-of-the-test"
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
SPENT = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}


def line(**record: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "created_at": "2025-10-09T12:00:00Z"} | record) + b"\n"


def event(usage: Any = None, finish: str | None = None, **delta: str) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + msgspec.json.encode(CHUNK | {"choices": [choice], "usage": usage}) + b"\n\n"


ANSWER = {"role": "assistant", "content": "Hi"}
OPENAI = [event(**ANSWER), event(SPENT, "stop"), b"data: [DONE]\n\n"]
WHOLE = [
    msgspec.json.encode(
        CHUNK
        | {"object": "chat.completion", "usage": SPENT}
        | {"choices": [{"index": 0, "message": ANSWER, "finish_reason": "stop"}]}
    )
]
COUNTS = {"prompt_eval_count": 3, "eval_count": 1}
OLLAMA = [
    line(message=ANSWER, done=False),
    line(message=ANSWER | {"content": ""}, done=True, done_reason="stop", total_duration=77, **COUNTS),
]
HI = {"messages": [{"role": "user", "content": "Hi"}]}


class Reply:
    def __init__(self, status: int, content_type: bytes, pieces: list[bytes]) -> None:
        self.status = status
        self.headers = [(b"content-type", content_type)]
        self._pieces = iter(pieces)

    async def chunk(self) -> bytes:
        return next(self._pieces, b"")

    async def read(self, limit: int) -> bytes:
        return b"".join(self._pieces)

    def close(self) -> None: ...


class Transport:
    """Answers with one reply, and keeps what it was asked."""

    def __init__(self, content_type: bytes, pieces: list[bytes], status: int = 200) -> None:
        self.reply = status, content_type, pieces
        self.asked: list[Any] = []

    async def send(self, request: Any) -> Reply:
        self.asked.append(request)
        return Reply(*self.reply)

    async def close(self) -> None: ...


def call(tmp_path, transport: Transport, spoken: str, body: dict[str, Any]) -> tuple[int, dict[bytes, bytes], bytes]:
    """What a client of the format is answered: the status, the headers and the body."""
    file = tmp_path / "omniroute.yaml"
    file.write_text(CONFIG.replace("{digest}", f"sha256:{sha256(KEY).hexdigest()}"))
    books = catalog.load()
    ticks = count()
    state = msgspec.structs.replace(
        memory_state(),
        ledger=MemoryLedger(100),
        clock=Clock(now=lambda: 1700000000.0, monotonic=lambda: float(next(ticks))),
        random=random.Random(1),
    )
    row = Endpoint(
        path="/api/x",
        method="POST",
        operation="chat",
        format=spoken,
        serve=relay.chat,
        access="client",
        body_limit=None,
        metered=True,
    )
    live = Live(compile_gateway(bundle.read(file, books), books))
    application = Gate(live, state, Client({"httptools": transport})).app(row)
    sent = msgspec.json.encode(body)
    headers = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer " + KEY), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/api/x", "query_string": b"", "headers": headers}
    heard: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(message: Any) -> None:
        heard.append(message)

    asyncio.run(application(scope, receive, send))
    said = b"".join(message.get("body", b"") for message in heard)
    return heard[0]["status"], dict(heard[0]["headers"]), said


@pytest.mark.parametrize("spoken", ["ollama", "ollama_generate"])
def test_an_answer_says_how_long_it_took(tmp_path, spoken):
    asked = {"model": "coding:latest"} | (HI if spoken == "ollama" else {"prompt": "Hi"})
    status, headers, said = call(tmp_path, Transport(b"text/event-stream", OPENAI), spoken, asked)
    assert (status, headers[b"content-type"]) == (200, b"application/x-ndjson")
    first, last = map(msgspec.json.decode, said.splitlines())
    assert (first["model"], first["created_at"]) == ("coding", "2023-11-14T22:13:20Z")
    assert (last["prompt_eval_count"], last["eval_count"]) == (3, 1)
    assert last["prompt_eval_duration"] > 0
    assert last["eval_duration"] > 0
    assert last["total_duration"] == last["prompt_eval_duration"] + last["eval_duration"]
    status, headers, said = call(tmp_path, Transport(b"application/json", WHOLE), spoken, asked | {"stream": False})
    assert (status, headers[b"content-type"]) == (200, b"application/json")
    assert msgspec.json.decode(said)["total_duration"] >= 10**9


@pytest.mark.parametrize(
    ("spoken", "body"), [("ollama", {"messages": []}), ("ollama_generate", {"prompt": ""}), ("ollama_generate", {})]
)
def test_to_load_a_model_asks_nobody_where_nothing_is_loaded(tmp_path, spoken, body):
    transport = Transport(b"application/json", WHOLE)
    status, _, said = call(tmp_path, transport, spoken, {"model": "coding", **body})
    assert status == 200
    assert msgspec.json.decode(said)["done_reason"] == "load"
    assert transport.asked == []
    status, _, said = call(tmp_path, transport, spoken, {"model": "nothing", **body})
    assert status == 404
    assert "nothing" in msgspec.json.decode(said)["error"]


def test_to_load_a_model_is_handed_on_to_who_can(tmp_path):
    transport = Transport(b"application/x-ndjson", OLLAMA)
    status, _, said = call(tmp_path, transport, "ollama", {"model": "local", "messages": [], "keep_alive": "1h"})
    assert status == 200
    assert msgspec.json.decode(said.splitlines()[-1])["total_duration"] == 77
    (request,) = transport.asked
    assert b'"keep_alive":"1h"' in request.body


def test_an_upstream_of_lines_is_asked_in_its_chat_and_told_to_clients_of_any_form(tmp_path):
    transport = Transport(b"application/x-ndjson; charset=utf-8", OLLAMA)
    for spoken, asked, word in (
        ("ollama", HI, b'"model":"local"'),
        ("ollama_generate", {"prompt": "Hi"}, b'"response":"Hi"'),
        ("openai_completions", {"prompt": "Hi", "stream": True}, b'"text":"Hi"'),
        ("anthropic", HI | {"max_tokens": 9, "stream": True}, b'"text":"Hi"'),
    ):
        status, _, said = call(tmp_path, transport, spoken, {"model": "local"} | asked)
        assert status == 200
        assert word in said
        assert msgspec.json.decode(transport.asked[-1].body).get("stream", True) is True


def test_an_error_comes_with_its_status(tmp_path):
    transport = Transport(b"application/json", [b'{"error":{"message":"no such thing","type":"x"}}'], 400)
    status, headers, said = call(tmp_path, transport, "ollama", {"model": "coding", **HI})
    assert (status, headers[b"content-type"]) == (400, b"application/json")
    assert set(msgspec.json.decode(said)) == {"error"}
    status, _, said = call(tmp_path, transport, "ollama", {"model": "coding", "messages": [{"role": "x"}]})
    assert status == 400
    assert "messages[0].role" in msgspec.json.decode(said)["error"]
