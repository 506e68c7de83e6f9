"""Who leaves, who is slow, and what the server does when it has to stop itself."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import struct
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import legal, speech
from support.gateway import Gateway
from support.upstream import Asked, Script, Upstream, events

KEY = "sk-or-an-administrator-who-only-reads"
MEBIBYTE = 1 << 20
ENDED = (0, -signal.SIGTERM)
"""uvicorn ends by the signal that it was told to end with, after all is done."""
CONFIG = """\
version: 1
server: {data_dir: '{data_dir}', drain_timeout: %s}
keys: {admin: {digest: 'sha256:%s', roles: [admin.read]}}
providers:
  openai-like: {type: openai-compatible, base_url: '%s/openai', connections: {main: {}}, models: {m: {}}}
  anthropic-like: {type: anthropic-compatible, base_url: '%s/anthropic', connections: {main: {}}, models: {m: {}}}
"""


def config(upstream: Upstream, drain: str = "2s") -> str:
    return CONFIG % (drain, hashlib.sha256(KEY.encode()).hexdigest(), upstream.url, upstream.url)


def form_of(asked: Asked) -> str:
    return asked.path.split("/")[1]


def request(surface: str, model: str, *, stream: bool) -> bytes:
    body = json.dumps(speech.ask(model, stream=stream)).encode()
    head = f"POST {speech.PATHS[surface]} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def wait_for(what: Any, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(what())


def read_until(one: socket.socket, mark: bytes) -> bytes:
    heard = b""
    while mark not in heard:
        data = one.recv(65536)
        assert data, heard
        heard += data
    return heard


def silent(asked: Asked) -> Script:
    return Script(silent=True)


def half(asked: Asked) -> Script:
    return Script(pieces=[b'{"id":'], hang=True)


def mid_stream(asked: Asked) -> Script:
    form = form_of(asked)
    return events(speech.begin(form) + speech.say(form, "Hel"), hang=True)


PHASES = {"waiting for headers": (silent, False), "in a whole answer": (half, False), "in a stream": (mid_stream, True)}


def test_a_client_that_leaves_stops_the_work_upstream():
    with Upstream() as upstream, Gateway(config(upstream)) as gateway:
        ways = product(PHASES.values(), ("openai", "anthropic"), ("openai-like", "anthropic-like"), (False, True))
        for (script, stream), surface, provider, reset in ways:
            upstream.script = script
            before = upstream.hung_up
            with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=5)) as one:
                one.sendall(request(surface, f"{provider}/m", stream=stream))
                assert wait_for(lambda: upstream.busy == 1)
                if stream:
                    read_until(one, b"Hel")
                else:
                    time.sleep(0.02)
                if reset:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert wait_for(lambda: upstream.busy == 0, 1.0), (script, surface, provider, reset)
            assert upstream.hung_up == before + 1
        count = len(upstream.asked)
        assert count == 24
        rows = gateway.rows(expected=count)
        assert len(rows) == count
        assert {row["status"] for row in rows} == {499}
        assert {row["code"] for row in rows} == {"client_gone"}
        for row in rows:
            (tried,) = json.loads(row["attempts"])
            assert tried["outcome"] == "abandoned"
            assert row["output"] == row["stream"], "what was produced is charged"
        assert wait_for(lambda: upstream.busy == 0, 1.0)
        assert health(gateway) == {"openai-like.main": 0, "anthropic-like.main": 0}
        assert "Traceback" not in gateway.said()
        assert "ERROR" not in gateway.said()


def health(gateway: Gateway) -> dict[str, int]:
    """Failures by connection."""
    headers = {"authorization": f"Bearer {KEY}"}
    told = httpx.get(f"{gateway.url}/api/monitoring/health", headers=headers, trust_env=False).json()
    return {name: connection["failures"] for name, connection in told["providerHealth"].items()}


def test_a_client_that_leaves_while_it_sends_is_a_row_without_an_attempt():
    with Upstream() as upstream, Gateway(config(upstream)) as gateway:
        whole = request("openai", "openai-like/m", stream=False)
        for cut in (len(whole) - 1, whole.index(b"\r\n\r\n") + 4):
            with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=5)) as one:
                one.sendall(whole[:cut])
                time.sleep(0.05)
        rows = gateway.rows(expected=2)
        assert [(row["status"], row["attempts"]) for row in rows] == [(499, "[]")] * 2
        assert not upstream.asked


def memory(gateway: Gateway) -> int:
    """Bytes that the gateway holds."""
    text = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


def test_a_client_that_reads_slowly_slows_its_upstream_down():
    def endless(asked: Asked) -> Script:
        form = form_of(asked)
        return events(speech.begin(form), speech.say(form, "x" * 4000) * 4, endless=True)

    ways = list(product(("openai", "anthropic"), ("openai-like", "anthropic-like")))
    with Upstream(endless) as upstream, Gateway(config(upstream)) as gateway:
        before = memory(gateway)
        readers = []
        for surface, provider in ways:
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            one.connect(("127.0.0.1", gateway.port))
            one.sendall(request(surface, f"{provider}/m", stream=True))
            readers.append(one)
        assert wait_for(lambda: len(upstream.asked) == len(ways))
        assert wait_for(lambda: stands_still(lambda: upstream.written))
        assert upstream.written < len(ways) * 16 * MEBIBYTE  # what kernels hold on both ways
        assert memory(gateway) - before < 20 * MEBIBYTE
        for one in readers:
            seen = upstream.written
            for _ in range(1000):
                one.recv(65536)
                if upstream.written > seen:
                    break
            assert upstream.written > seen, "it does not go on when the client reads on"
            one.close()
        assert wait_for(lambda: upstream.hung_up == len(ways), 1.0)
        assert [row["status"] for row in gateway.rows(expected=len(ways))] == [499] * len(ways)


def stands_still(value: Any) -> bool:
    before = value()
    time.sleep(0.3)
    return bool(value() == before)


# ----------------------------------------------------------------------------------------------------------- the end


def until_released(release: Future[None]) -> Any:
    """Streams begin and then wait; what is not a stream waits too."""

    def script(asked: Asked) -> Script:
        if not asked.json.get("stream"):
            return Script(silent=True)
        first, *rest = speech.streamed(form_of(asked))
        return events(first, *rest, hold=release)

    return script


@contextmanager
def streaming(gateway: Gateway, surface: str) -> Iterator[tuple[bytes, Iterator[bytes]]]:
    """A stream: its first piece, and the rest."""
    body = speech.ask(f"{surface}-like/m", stream=True)
    with (
        httpx.Client(trust_env=False, timeout=20) as client,
        client.stream("POST", gateway.url + speech.PATHS[surface], json=body) as answer,
    ):
        pieces = answer.iter_raw()
        yield next(pieces), pieces


@pytest.mark.parametrize("surface", ["openai", "anthropic"])
def test_streams_finish_when_the_server_has_to_stop(surface):
    release: Future[None] = Future()
    with Upstream(until_released(release)) as upstream, Gateway(config(upstream, "10s")) as gateway:
        with streaming(gateway, surface) as (first, pieces):
            began = time.monotonic()
            gateway.process.terminate()
            assert wait_for(lambda: refuses(gateway), 2.0)
            assert gateway.process.poll() is None
            release.set_result(None)
            told = legal.stream(surface, first + b"".join(pieces))
        assert (told.text, told.error) == (speech.TEXT, None)
        assert gateway.process.wait(10) in ENDED
        assert time.monotonic() - began < 5
        (row,) = gateway.rows(expected=1)
        assert (row["status"], row["error"], row["output"]) == (200, "", 2)
        assert "Traceback" not in gateway.said()


def refuses(gateway: Gateway) -> bool:
    try:
        urllib.request.urlopen(f"{gateway.url}/readyz", timeout=2)
    except OSError as error:
        return "refused" in str(error)
    return False


def test_what_does_not_finish_in_time_is_told_so_and_written_down():
    with Upstream(until_released(Future())) as upstream, Gateway(config(upstream, "1s")) as gateway:
        with (
            streaming(gateway, "openai") as openai,
            streaming(gateway, "anthropic") as anthropic,
            ThreadPoolExecutor(2) as pool,
        ):
            waiting = {surface: pool.submit(ask, gateway, surface) for surface in ("openai", "anthropic")}
            assert wait_for(lambda: len(upstream.asked) == 4)
            began = time.monotonic()
            gateway.process.terminate()
            for surface, (first, pieces) in (("openai", openai), ("anthropic", anthropic)):
                told = legal.stream(surface, first + b"".join(pieces))
                assert told.text == "Hel"
                assert "shutting down" in told.error["message"]
                answer = waiting[surface].result()
                assert answer.status_code == 503
                assert "shutting down" in legal.refusal(surface, answer.content)["message"]
        assert gateway.process.wait(10) in ENDED
        assert 0.9 < time.monotonic() - began < 4
        rows = gateway.rows(expected=4)
        assert sorted(row["status"] for row in rows) == [200, 200, 503, 503]
        assert {row["code"] for row in rows} == {"shutting_down"}
        assert "Traceback" not in gateway.said()


def ask(gateway: Gateway, surface: str) -> httpx.Response:
    body = speech.ask(f"{surface}-like/m")
    return httpx.post(gateway.url + speech.PATHS[surface], json=body, trust_env=False, timeout=20)


def test_a_client_that_reads_nothing_does_not_keep_the_server_from_stopping():
    def endless(asked: Asked) -> Script:
        return events(speech.begin("openai"), speech.say("openai", "x" * 4000) * 4, endless=True)

    with Upstream(endless) as upstream, Gateway(config(upstream, "1s")) as gateway:
        with closing(socket.socket()) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            one.connect(("127.0.0.1", gateway.port))
            one.sendall(request("openai", "openai-like/m", stream=True))
            assert wait_for(lambda: upstream.written and stands_still(lambda: upstream.written))
            began = time.monotonic()
            gateway.process.terminate()
            assert gateway.process.wait(10) in ENDED
            assert time.monotonic() - began < 5
        (row,) = gateway.rows(expected=1)
        assert row["code"] == "shutting_down"
