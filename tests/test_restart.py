"""The end and the new beginning of a process over the network, with streams open and requests coming."""

from __future__ import annotations

import hashlib
import http.client
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from support import speech
from support.gateway import Gateway
from support.upstream import Script, Upstream, events
from support.upstream import whole as answered

KEY = "sk-admin"
STREAMS = 20
CONFIG = f"""\
version: 1
server: {{{{data_dir: '{{{{data_dir}}}}', drain_timeout: 15s}}}}
providers:
  p: {{{{type: openai-compatible, base_url: '{{url}}/v1', connections: {{{{main: {{{{}}}}}}}}, models: {{{{m: {{{{price: {{{{input: 1, output: 1}}}}}}}}}}}}}}}}
keys:
  admin: {{{{digest: 'sha256:{hashlib.sha256(KEY.encode()).hexdigest()}', roles: [client, admin.write]}}}}
"""


def ask(gateway: Gateway, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """On a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        content = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}", "connection": "close"}
        connection.request(method, path, content, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@contextmanager
def serving() -> Iterator[tuple[Gateway, Upstream, Future[None]]]:
    """A gateway whose streams go on when the future has its result."""
    go_on: Future[None] = Future()

    def script(asked: object) -> Script:
        if asked.json.get("stream"):  # type: ignore[attr-defined]
            pieces = [
                speech.begin("openai") + speech.say("openai", "one "),
                speech.say("openai", "two"),
                b"data: [DONE]\n\n",
            ]
            return events(*pieces, hold=go_on)
        return answered(speech.whole("openai"))

    with Upstream(script) as upstream, Gateway(CONFIG.format(url=upstream.url)) as gateway:
        try:
            yield gateway, upstream, go_on
        finally:
            if not go_on.done():
                go_on.set_result(None)


def stream(gateway: Gateway) -> tuple[int, bytes]:
    return ask(gateway, "POST", "/v1/chat/completions", speech.ask("p/m", stream=True))


def open_streams(gateway: Gateway, upstream: Upstream, pool: ThreadPoolExecutor) -> list[Future[tuple[int, bytes]]]:
    """Once all of them are under way."""
    asked = [pool.submit(stream, gateway) for _ in range(STREAMS)]
    deadline = time.monotonic() + 10
    while upstream.busy < STREAMS:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return asked


def begun_again(gateway: Gateway) -> None:
    deadline = time.monotonic() + 20
    while gateway.said().count("OmniRoute ") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    gateway.wait()


def test_a_restart_finishes_all_streams_and_refuses_no_connection():
    with ThreadPoolExecutor(STREAMS + 4) as pool, serving() as (gateway, upstream, go_on):
        streams = open_streams(gateway, upstream, pool)
        over = threading.Event()
        told: list[tuple[int, bytes]] = []

        def keep_asking() -> None:
            while not over.is_set():
                told.append(ask(gateway, "POST", "/v1/chat/completions", speech.ask("p/m")))

        load = [pool.submit(keep_asking) for _ in range(4)]
        pid = gateway.process.pid
        status, body = ask(gateway, "POST", "/api/restart", {})
        assert (status, json.loads(body).get("status")) == (202, "restarting"), body
        time.sleep(0.3)
        go_on.set_result(None)
        assert all(one.result()[0] == 200 and one.result()[1].endswith(b"data: [DONE]\n\n") for one in streams)
        begun_again(gateway)
        before, deadline = len(told), time.monotonic() + 20
        while len(told) < before + 8:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        over.set()
        for one in load:
            one.result()
        assert {status for status, _ in told} == {200}
        assert (gateway.process.poll(), gateway.process.pid) == (None, pid)
        assert len(gateway.rows(STREAMS + len(told))) == STREAMS + len(told)
        assert gateway.stop() in (0, -signal.SIGTERM)


def test_a_restart_takes_up_what_counts_from_the_next_start_on():
    with serving() as (gateway, _, _):
        text = gateway.path.read_text().replace("drain_timeout: 15s", "drain_timeout: 3s")
        gateway.path.write_text(text)
        assert json.loads(ask(gateway, "POST", "/api/restart")[1])["drainTimeout"] == 15
        begun_again(gateway)
        assert json.loads(ask(gateway, "POST", "/api/restart")[1])["drainTimeout"] == 3


def test_no_restart_is_begun_that_could_not_be_finished():
    with serving() as (gateway, _, _):
        gateway.path.write_text("version: 1\nproviders: {opnai: {}}\n")
        status, body = ask(gateway, "POST", "/api/restart", {})
        error = json.loads(body)["error"]
        assert (status, error["code"], error["problems"][0]["path"]) == (422, "config_invalid", "providers.opnai")
        assert ask(gateway, "GET", "/readyz")[0] == 200


def test_a_shutdown_finishes_all_streams_and_takes_no_more():
    with ThreadPoolExecutor(STREAMS) as pool, serving() as (gateway, upstream, go_on):
        streams = open_streams(gateway, upstream, pool)
        status, body = ask(gateway, "POST", "/api/shutdown", {})
        assert (status, json.loads(body)["success"]) == (202, True)
        deadline = time.monotonic() + 5
        while listening(gateway.port):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert gateway.process.poll() is None
        go_on.set_result(None)
        assert all(one.result()[0] == 200 and one.result()[1].endswith(b"data: [DONE]\n\n") for one in streams)
        assert gateway.process.wait(20) == 0
        assert len(gateway.rows()) == STREAMS


def listening(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
