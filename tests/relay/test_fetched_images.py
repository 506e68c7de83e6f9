"""Images by address before upstreams that only take the images themselves: fetched where the configuration says so.

The gateway runs in the test's own process, because its fetcher is to reach a server on this machine, which no
configuration can allow.
"""

from __future__ import annotations

import asyncio
import socket
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.upstream import Asked, Script, Upstream, whole

from omniroute.app import Service
from omniroute.config.overrides import Overrides
from omniroute.upstream.image import Fetcher

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 10
DATA = b64encode(PNG).decode()
IMAGE = "http://pictures.test/a.png"
CONFIG = """\
version: 1
server:
  data_dir: '{folder}/data'
  {fetch}
providers:
  oll: {{type: ollama-compatible, base_url: '{url}', connections: {{main: {{}}}}, models: {{m: {{}}}}}}
  gem:
    type: gemini-compatible
    base_url: '{url}/v1beta'
    connections: {{main: {{}}}}
    models: {{m: {{upstream_id: gemini-2.0-flash}}}}
  plain: {{type: openai-compatible, base_url: '{url}/v1', connections: {{main: {{}}}}, models: {{m: {{}}}}}}
  gemini: {{base_url: '{url}/v1beta', connections: {{main: {{api_key: '${{env:KEY}}'}}}}}}
combos:
  either: {{targets: [oll/m, plain/m]}}
  falling: {{targets: [oll/m, gem/m]}}
"""
ON = "fetch_images: {enabled: true, hosts: [pictures.test]}"
ANSWERS = {
    "/api/chat": {
        "model": "m",
        "message": {"role": "assistant", "content": "a cat"},
        "done": True,
        "done_reason": "stop",
    },
    "/v1beta/models/gemini-2.0-flash:generateContent": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "a cat"}]}, "finishReason": "STOP"}]
    },
    "/v1beta/models/gemini-2.0-flash:countTokens": {"totalTokens": 99},
    "/v1/chat/completions": {
        "id": "1",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a cat"}}],
    },
}


def serving(asked: Asked) -> Script:
    return whole(ANSWERS[asked.path])


async def pictures(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A host of pictures: one that is there, and nothing else."""
    line = await reader.readline()
    body = PNG if b"/a.png" in line else b""
    status = b"200 OK" if body else b"404 Not Found"
    writer.write(b"HTTP/1.1 %b\r\ncontent-type: image/png\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
    await writer.drain()
    writer.close()


Ask = Callable[..., Awaitable[httpx.Response]]


def run(folder: Path, upstream: Upstream, test: Callable[[Ask, list[str]], Awaitable[None]], fetch: str = ON) -> None:
    """Has a gateway in this process asked; the test is given how to, and the names that were resolved."""

    async def running() -> None:
        resolved: list[str] = []
        host = await asyncio.start_server(pictures, "127.0.0.1", 0)
        port = host.sockets[0].getsockname()[1]

        async def resolve(name: str, _port: int) -> list[Any]:
            resolved.append(name)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        file = folder / "omniroute.yaml"
        file.write_text(CONFIG.format(folder=folder, fetch=fetch, url=upstream.url))
        service = Service(file, Overrides())
        service.client.images = Fetcher(resolve=resolve, public=lambda _address: True)
        way = httpx.ASGITransport(app=service.app())
        try:
            async with httpx.AsyncClient(transport=way, base_url="http://127.0.0.1") as client:

                async def ask(model: str, address: str = IMAGE, path: str = "/v1/messages") -> httpx.Response:
                    upstream.asked.clear()
                    resolved.clear()
                    image = {"type": "image", "source": {"type": "url", "url": address}}
                    words = {"type": "text", "text": "What is it?"}
                    messages = [{"role": "user", "content": [words, image, image]}]
                    return await client.post(path, json={"model": model, "max_tokens": 9, "messages": messages})

                await test(ask, resolved)
        finally:
            await service.client.close()
            service.state.ledger.close()
            host.close()

    asyncio.run(running())


@pytest.fixture(scope="module")
def upstream():
    with Upstream(serving) as one:
        yield one


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sk-x")


def test_an_image_is_fetched_once_and_sent_itself(tmp_path: Path, upstream: Upstream):
    async def test(ask: Ask, resolved: list[str]) -> None:
        told = await ask("oll/m")
        assert told.status_code == 200, told.text
        assert told.json()["content"] == [{"type": "text", "text": "a cat"}]
        assert "x-omniroute-losses" not in told.headers
        assert resolved == ["pictures.test"]
        (message,) = upstream.asked[0].json["messages"]
        assert message["images"] == [DATA, DATA]
        assert (await ask("gem/m")).status_code == 200
        parts = upstream.asked[0].json["contents"][0]["parts"]
        assert parts[1:] == [{"inlineData": {"mimeType": "image/png", "data": DATA}}] * 2

    run(tmp_path, upstream, test)


def test_an_upstream_that_reads_addresses_gets_the_address(tmp_path: Path, upstream: Upstream):
    async def test(ask: Ask, resolved: list[str]) -> None:
        assert (await ask("plain/m")).status_code == 200
        assert upstream.asked[0].json["messages"][0]["content"][1]["image_url"]["url"] == IMAGE
        assert resolved == []

    run(tmp_path, upstream, test)


def test_an_image_that_cannot_be_had_is_the_callers_to_hear_of_and_no_providers(tmp_path: Path, upstream: Upstream):
    async def test(ask: Ask, resolved: list[str]) -> None:
        told = await ask("oll/m", "http://pictures.test/none.png")
        assert told.status_code == 400
        error = told.json()["error"]
        assert error["type"] == "invalid_request_error"
        assert (
            error["message"] == "The image at `turns[0].blocks[1]` was not fetched: its host answered with status 404."
        )
        assert upstream.asked == []
        assert resolved == ["pictures.test"]
        assert (await ask("falling", "http://pictures.test/none.png")).status_code == 400
        assert resolved == ["pictures.test"], "for the next target it would not be there either"
        for address in ("http://other.test/a.png", "https://169.254.169.254/latest/meta-data"):
            told = await ask("oll/m", address)
            assert told.status_code == 400
            assert "server.fetch_images.hosts" in told.text
            assert (upstream.asked, resolved) == ([], [])

    run(tmp_path, upstream, test)


def test_a_target_that_needs_no_fetching_is_next_where_fetching_failed(tmp_path: Path, upstream: Upstream):
    async def test(ask: Ask, _resolved: list[str]) -> None:
        told = await ask("either", "http://pictures.test/none.png")
        assert told.status_code == 200
        assert told.headers["x-omniroute-provider"] == "plain"
        assert [asked.path for asked in upstream.asked] == ["/v1/chat/completions"]

    run(tmp_path, upstream, test)


def test_what_was_fetched_serves_the_next_target_too(tmp_path: Path, upstream: Upstream):
    async def test(ask: Ask, resolved: list[str]) -> None:
        upstream.script = lambda asked: whole({"error": "busy"}, 503) if asked.path == "/api/chat" else serving(asked)
        told = await ask("falling")
        assert told.status_code == 200, told.text
        assert told.headers["x-omniroute-provider"] == "gem"
        assert resolved == ["pictures.test"]

    try:
        run(tmp_path, upstream, test)
    finally:
        upstream.script = serving


def test_a_provider_that_counts_is_sent_the_image_too(tmp_path: Path, upstream: Upstream):
    async def test(ask: Ask, resolved: list[str]) -> None:
        told = await ask("gemini/gemini-2.0-flash", path="/v1/messages/count_tokens")
        assert told.json() == {"input_tokens": 99}
        assert resolved == ["pictures.test"]
        assert DATA.encode() in upstream.asked[0].body

    run(tmp_path, upstream, test)


def test_where_it_is_off_the_setting_is_named_and_nothing_is_looked_up(tmp_path: Path, upstream: Upstream):
    async def test(ask: Ask, resolved: list[str]) -> None:
        for model in ("oll/m", "gem/m"):
            told = await ask(model)
            assert told.status_code == 400
            assert "`server.fetch_images`" in told.json()["error"]["message"]
            assert (upstream.asked, resolved) == ([], [])
        assert (await ask("either")).headers["x-omniroute-provider"] == "plain"

    run(tmp_path, upstream, test, fetch="fetch_images: {hosts: [pictures.test]}")
