"""Nobody gets another's answer, whichever way answers are shared: ten thousand requests of many callers, side by side.

Every answer of the provider is unlike all others and says for whom it was made, which the gateway cannot know. Requests
are drawn from a space so small that most of them have been made before, by somebody.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from contextvars import ContextVar
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from omniroute import catalog
from omniroute.config import bundle
from omniroute.config.compile import compile_gateway
from omniroute.relay.ingress import ENDPOINTS, Gate
from omniroute.routing.live import Live
from omniroute.state.memory import MemoryLedger, memory_state
from omniroute.upstream.client import Client

REQUESTS = 10_000
BESIDE = 25
CALLERS = 12
GROUPS = {"caller-0": "a", "caller-1": "a", "caller-2": "b", "caller-3": "b"}
CONFIG = """\
version: 1
auth: {require_api_key: true}
providers:
  open: {type: openai-compatible, base_url: "http://127.0.0.1:9/v1", connections: {main: {}}, models: {m: {}, n: {}}}
keys: {%s}
cache: {exact: {max_entries: 100000}, groups: {a: [caller-0, caller-1], b: [caller-2, caller-3]}}
idempotency: {window: 1h, max_entries: 100000}
"""
asking: ContextVar[tuple[str, str]] = ContextVar("asking")
"""The caller and the request that the provider works for."""


class Reply:
    status = 200

    def __init__(self, body: bytes, content_type: bytes) -> None:
        self.headers = [(b"content-type", content_type)]
        self._body = [body]

    async def chunk(self) -> bytes:
        return self._body.pop() if self._body else b""

    async def read(self, limit: int) -> bytes:
        return await self.chunk()

    def close(self) -> None: ...


class Provider:
    """Says for whom it answers what."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[str, str]] = {}

    async def send(self, request: Any) -> Reply:
        for _ in range(3):
            await asyncio.sleep(0)
        mark = f"answer-{len(self.made)}-"
        self.made[mark] = asking.get()
        message = {"role": "assistant", "content": mark}
        told = {"id": mark, "object": "chat.completion", "created": 1, "model": "m"}
        if not json.loads(request.body).get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return Reply(json.dumps(told | {"choices": [choice]}).encode(), b"application/json")
        choice = {"index": 0, "delta": message, "finish_reason": "stop"}
        told |= {"object": "chat.completion.chunk", "choices": [choice]}
        return Reply(b"data: %s\n\ndata: [DONE]\n\n" % json.dumps(told).encode(), b"text/event-stream")

    async def close(self) -> None: ...


def draw(rng: random.Random) -> tuple[str, str, str, dict[str, Any], dict[bytes, bytes]]:
    """A caller, what it means, the path, the body, and how it names the request."""
    caller = f"caller-{rng.randrange(CALLERS)}"
    words, model, limit = rng.choice("xyz"), rng.choice(("open/m", "open/n")), rng.choice((5, 6))
    path = rng.choice(("/v1/chat/completions", "/v1/messages"))
    body = {"model": model, "max_tokens": limit, "messages": [{"role": "user", "content": words}]}
    body |= {"stream": True} if rng.random() < 0.5 else {}
    names: dict[bytes, bytes] = {}
    if rng.random() < 0.5:
        header, most = rng.choice(((b"idempotency-key", 100), (b"x-request-id", 3)))
        names[header] = b"name-%d" % rng.randrange(most)
    if rng.random() < 0.3:
        names[b"x-omniroute-no-cache"] = b"true"
    return caller, f"{model} {limit} {words}", path, body, names


async def ask(
    gate: Gate, path: str, caller: str, body: Any, names: dict[bytes, bytes]
) -> tuple[int, dict[bytes, bytes], bytes]:
    said = json.dumps(body).encode()
    heard: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [
            (b"authorization", b"Bearer sk-" + caller.encode()),
            (b"content-type", b"application/json"),
            *names.items(),
        ],
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": said, "more_body": False}

    async def send(message: Any) -> None:
        heard.append(message)

    row = next(row for row in ENDPOINTS if row.path == path and row.method == "POST")
    await gate.app(row)(scope, receive, send)
    return heard[0]["status"], dict(heard[0]["headers"]), b"".join(one.get("body", b"") for one in heard[1:])


@pytest.fixture
def gate(tmp_path):
    keys = (f'caller-{n}: {{digest: "sha256:{sha256(b"sk-caller-%d" % n).hexdigest()}"}}' for n in range(CALLERS))
    file = tmp_path / "omniroute.yaml"
    file.write_text(CONFIG % ", ".join(keys))
    books = catalog.load()
    live = Live(compile_gateway(bundle.read(file, books), books))
    state = msgspec.structs.replace(memory_state(), ledger=MemoryLedger(REQUESTS))
    provider = Provider()
    one = Gate(live, state, Client({"httptools": provider}))
    one.provider = provider
    return one


def test_nobody_gets_anothers_answer(gate):
    rng = random.Random(20_261_124)
    ways: Counter[str] = Counter()

    async def one() -> None:
        caller, meant, path, body, names = draw(rng)
        asking.set((caller, meant))
        status, headers, heard = await ask(gate, path, caller, body, names)
        if status == 422:
            ways["refused"] += 1
            assert b"answer-" not in heard
            return
        (mark,) = set(re.findall(r"answer-\d+-", heard.decode()))
        owner, was_meant = gate.provider.made[mark]
        assert was_meant == meant
        repeated = b"x-omniroute-idempotent" in headers
        cached = headers.get(b"x-omniroute-cache") == b"HIT"
        ways["repeated" if repeated else "hit" if cached else "made"] += 1
        if cached:
            assert GROUPS.get(owner, owner) == GROUPS.get(caller, caller)
            ways["shared"] += owner != caller
        else:
            assert owner == caller
        if not repeated and not cached:
            assert gate.provider.made[mark] == (caller, meant)

    async def all_of_them() -> None:
        for _ in range(REQUESTS // BESIDE):
            await asyncio.gather(*(one() for _ in range(BESIDE)))

    asyncio.run(all_of_them())
    assert min(ways[way] for way in ("refused", "repeated", "hit", "made", "shared")) > 200, ways
    rows = gate.state.ledger.recent(REQUESTS)
    free = sum(row.cost == 0 for row in rows)
    assert free == ways["repeated"] + ways["hit"]
