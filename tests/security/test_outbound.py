"""What of a client's request reaches a provider besides its body, and what the gateway does of its own accord meanwhile.

Headers go out by a list of those that mean something to the provider; no request starts a process or has code made of a
text, which an audit hook of the interpreter would see.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support import speech
from support.managed import Managed, run
from support.upstream import Asked, Script, Upstream, whole

from omniroute.api import ENDPOINTS

CONFIG = """
version: 1
server: {data_dir: "{data_dir}"}
auth: {require_login: false}
providers:
  openai: {base_url: URL/v1, connections: {main: {api_key: "${env:LAB_KEY}"}}, models: {m: {}}}
  anth: {type: anthropic-compatible, base_url: URL/v1, connections: {main: {api_key: "${env:LAB_KEY}"}}, models: {m: {}}}
  gem: {type: gemini-compatible, base_url: URL/v1beta, connections: {main: {api_key: "${env:LAB_KEY}"}}, models: {m: {}}}
  olla: {type: ollama-compatible, base_url: URL, connections: {main: {api_key: "${env:LAB_KEY}"}}, models: {m: {}}}
combos: {coding: {targets: [openai/m]}}
aliases: {fast: openai/m}
keys: {team-a: {digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
evals: {smoke: {model: openai/m, cases: {one: {input: Hi, expect: {contains: Hello}}}}}
cli_tools: {home: "HOME"}
"""
SENT = frozenset(
    {"host", "accept-encoding", "content-type", "content-length", "authorization", "x-api-key", "x-goog-api-key"}
)
"""What every request to a provider may have."""
MEANT = frozenset({"anthropic-version", "anthropic-beta", "openai-beta", "user-agent", "accept"})
"""What a format adds, or a client of it may say to its provider."""
HOSTILE = (
    "cookie",
    "set-cookie",
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "transfer-encoding",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "forwarded",
    "via",
    "x-real-ip",
    "referer",
    "origin",
    "sec-fetch-site",
    "x-omniroute-csrf",
    "x-session-id",
    "idempotency-key",
    "openai-organization",
    "openai-project",
    "x-goog-user-project",
    "x-amz-security-token",
    "x-original-url",
    "x-http-method-override",
    "x-stainless-helper-method",
    "x-debug",
    "host-override",
    "range",
    "if-none-match",
    "accept-language",
    "dnt",
    "x-goog-api-client",
    "helicone-auth",
    "x-portkey-api-key",
    "content-encoding-x",
)
VALUES = ("canary-of-a-header", "gzip", "close, x-api-key", "evil.com", "a" * 4000, "\x80\xff", "x\ty", "1")


def says(asked: Asked) -> Script:
    form = next((form for end, form in FORMS.items() if end in asked.path), "openai")
    return whole(speech.whole(form))


FORMS = {"/responses": "responses", "/messages": "anthropic", "enerate": "gemini", "/api/chat": "ollama"}


def test_only_listed_headers_reach_a_provider(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_KEY", "sk-of-the-lab")

    async def test(one: Managed) -> None:
        cases = 0
        for name, value in itertools.product(HOSTILE, VALUES):
            provider.asked.clear()
            model = ("openai/m", "anth/m", "gem/m", "olla/m")[cases % 4]
            path = ("/v1/chat/completions", "/v1/messages")[cases // 4 % 2]
            body = speech.ask(model)
            told = await one("POST", path, body, **{name: value.encode("latin-1").decode("latin-1")})
            cases += 1
            for asked in provider.asked:
                assert set(asked.headers) <= SENT | MEANT, (name, set(asked.headers) - SENT - MEANT)
                assert value == "1" or value not in asked.headers.values(), (name, value)
                assert asked.head.count(b"\r\n\r\n") == 1
                lines = asked.head.split(b"\r\n")[1:-2]
                assert len(lines) == len({line.partition(b":")[0].lower() for line in lines}), "a header twice"
                assert b"\r" not in asked.head.replace(b"\r\n", b"")
            assert told.status in (200, 400, 415), (name, value, told.body)
        assert cases >= 300

    with Upstream(says) as provider:
        run(tmp_path, CONFIG.replace("URL", provider.url).replace("HOME", str(tmp_path / "home")), test)


EVENTS = frozenset(
    {
        "subprocess.Popen",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.system",
        "pty.spawn",
        "pickle.find_class",
        "compile",
        "exec",
        "ctypes.dlopen",
        "code.__new__",
    }
)
ANNOTATIONS = ("/typing.py", "/msgspec/_utils.py")
"""These evaluate the annotations of our own classes."""
_heard: list[str] = []
_listening: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _listening and event in EVENTS and not sys._getframe(1).f_code.co_filename.endswith(ANNOTATIONS):
        _heard.append(f"{event}{arguments!r}"[:300])


@contextmanager
def heard() -> Iterator[list[str]]:
    """What of it happens meanwhile."""
    if not _hooked:
        sys.addaudithook(_hook)  # one that is added stays
        _hooked.append(True)
    found: list[str] = []
    _heard.clear()
    _listening.append(True)
    try:
        yield found
    finally:
        _listening.clear()
        found += _heard


_hooked: list[bool] = []
ENDS = {"/api/shutdown", "/api/restart", "/api/init", "/api/sync/cloud", "/api/cloud/bundle"}


def test_no_request_starts_a_process_or_makes_code_of_a_text(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_KEY", "sk-of-the-lab")
    evil = "__import__('os').system('id')"

    async def round_(one: Managed) -> None:
        for row in sorted(ENDPOINTS, key=lambda row: row.method in ("PUT", "PATCH", "DELETE")):
            if row.path in ENDS or "backups" in row.path:
                continue
            path = row.path.replace("{id}", "coding").replace("{tool}", "codex").replace("{suite}", "smoke")
            await one(row.method, path.replace("{provider}", "openai"), row.told.example)
            for parameter in row.parameters:
                await one(row.method, row.path.replace(f"{{{parameter}}}", evil.replace("/", "")), row.told.example)
        for model in ("openai/m", "anth/m", "gem/m", "olla/m", evil):
            said = speech.ask(model) | {"messages": [{"role": "user", "content": evil}], "user": evil}
            await one("POST", "/v1/chat/completions", said)
            await one("POST", "/v1/chat/completions", said | {"stream": True})

    async def test(one: Managed) -> None:
        await round_(one)  # what is imported when it is needed for the first time is code of the installation
        with heard() as found:
            await round_(one)
        assert found == []
        with heard() as found:
            eval("1 + 1")
        assert found, "it would be heard"

    with Upstream(says) as provider:
        run(tmp_path, CONFIG.replace("URL", provider.url).replace("HOME", str(tmp_path / "home")), test)
