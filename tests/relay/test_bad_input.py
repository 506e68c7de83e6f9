"""Whatever a caller sends, the answer is a refusal in the caller's own format, or legal: never a failure, never silence,
never growth."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import threading
import zlib
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from relay.malformed import OPENAI, VALID, Case, cases
from support import legal, speech
from support.gateway import Gateway
from support.upstream import Asked, Script, Upstream, events, whole

SEED = 20128
MEBIBYTE = 1 << 20
KEY = "sk-or-a-caller"
LIMIT = MEBIBYTE
BATCH = 25
COUNT = "/v1/messages/count_tokens"
CONFIG = """\
version: 1
server: {data_dir: '{data_dir}', body_limit: 1MiB}
keys: {caller: {digest: 'sha256:%s'}}
providers:
  demo: {type: demo}
  openai-like: {type: openai-compatible, base_url: '%s/openai', connections: {main: {}}, models: {m: {}}}
  anthropic-like: {type: anthropic-compatible, base_url: '%s/anthropic', connections: {main: {}}, models: {m: {}}}
"""
RUNS = (
    ("openai", speech.PATHS["openai"], "demo/echo", 6000),
    ("anthropic", speech.PATHS["anthropic"], "demo/agent", 5000),
    ("openai", speech.PATHS["openai"], "openai-like/m", 2000),
    ("anthropic", speech.PATHS["anthropic"], "anthropic-like/m", 2000),
    ("openai", speech.PATHS["openai"], "anthropic-like/m", 1000),
    ("anthropic", speech.PATHS["anthropic"], "openai-like/m", 1000),
    ("anthropic", COUNT, "demo/echo", 3000),
)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def _no_constant(text: str) -> float:
    raise ValueError(text)


def strict(asked: Asked) -> Script:
    """A provider that takes JSON by the letter, and nothing else."""
    form = asked.path.split("/")[1]
    try:
        body = json.loads(asked.body.decode(), parse_constant=_no_constant)
        assert isinstance(body["messages"], list)
        assert body["model"] == "m"
    except (ValueError, AssertionError, RecursionError) as error:
        return whole({"type": "error", "error": {"type": "invalid_request_error", "message": repr(error)}}, 400)
    return events(*speech.streamed(form)) if body.get("stream") else whole(speech.whole(form))


@pytest.fixture(scope="module")
def gateway():
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    with Upstream(strict) as upstream, Gateway(CONFIG % (digest, upstream.url, upstream.url)) as one:
        one.upstream = upstream
        yield one
        assert "Traceback" not in one.said(), one.said()[-6000:]
        assert httpx.get(f"{one.url}/readyz", trust_env=False).status_code == 200


def resident(gateway: Gateway) -> int:
    text = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


def cpu(gateway: Gateway) -> float:
    """Seconds of CPU that the gateway has used."""
    fields = Path(f"/proc/{gateway.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


class Wire:
    """A kept connection on which requests go out in batches, and answers come back in order."""

    def __init__(self, gateway: Gateway) -> None:
        self._socket = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
        self._held = b""

    def close(self) -> None:
        self._socket.close()

    def ask(self, requests: list[bytes]) -> list[tuple[int, dict[str, str], bytes]]:
        self._socket.sendall(b"".join(requests))
        return [self._answer() for _ in requests]

    def _answer(self) -> tuple[int, dict[str, str], bytes]:
        head = self._until(b"\r\n\r\n").decode("ascii")
        line, *rows = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows if row)}
        if "content-length" in headers:
            body = self._take(int(headers["content-length"]))
        else:
            body = b""
            while size := int(self._until(b"\r\n"), 16):
                body += self._take(size + 2)[:-2]
            self._take(2)
        return int(line.split(" ")[1]), headers, body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._held:
            self._more()
        head, _, self._held = self._held.partition(mark)
        return head

    def _take(self, size: int) -> bytes:
        while len(self._held) < size:
            self._more()
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def _more(self) -> None:
        data = self._socket.recv(1 << 18)
        assert data, f"the connection was closed; left: {self._held[:200]!r}"
        self._held += data


@dataclass
class Tally:
    """What came of a run."""

    wrong: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    passed: int = 0


def post(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def judge(surface: str, path: str, case: Case, status: int, headers: dict[str, str], body: bytes) -> None:
    assert headers["x-request-id"]
    if status != 200:
        assert 400 <= status < 500
        assert headers["content-type"] == "application/json"
        legal.refusal(surface, body)
        return
    assert case.verdict == "either", "it was taken"
    if path == COUNT:
        assert json.loads(body)["input_tokens"] >= 0
    elif headers["content-type"].startswith("text/event-stream"):
        assert legal.stream(surface, body).error is None
    else:
        legal.answer(surface, body)


def run(gateway: Gateway, surface: str, path: str, corpus: list[Case]) -> Tally:
    tally = Tally()
    with closing(Wire(gateway)) as wire:
        queue = iter(corpus)
        while batch := list(islice(queue, BATCH)):
            told = wire.ask([post(path, case.body) for case in batch])
            for case, (status, headers, body) in zip(batch, told, strict=True):
                tally.statuses[status] += 1
                tally.passed += status == 200
                try:
                    judge(surface, path, case, status, headers, body)
                except (AssertionError, LookupError, ValueError) as error:
                    seen = f"{status} {body[:160]!r}"
                    tally.wrong.append(f"{case.why}: {type(error).__name__} {str(error)[:120]}: {seen}")
    return tally


def test_twenty_thousand_malformed_bodies_are_refused_in_the_callers_own_words(gateway):
    corpora = [list(cases(surface, model, count, SEED)) for surface, _, model, count in RUNS]
    assert sum(map(len, corpora)) == 20_000
    tallies: list[Tally | None] = [None] * len(RUNS)

    def work(at: int) -> None:
        surface, path, _, _ = RUNS[at]
        tallies[at] = run(gateway, surface, path, corpora[at])

    for at, (surface, path, _, _) in enumerate(
        RUNS
    ):  # so that what is loaded once, and caches that are bounded, are there before
        run(gateway, surface, path, corpora[at][:2500])
    before = resident(gateway)
    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(RUNS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for (surface, path, model, count), tally in zip(RUNS, tallies, strict=True):
        assert tally is not None, f"{path} with {model} did not come to its end"
        label = f"{path} with {model} ({surface}): {len(tally.wrong)} of {count}"
        assert not tally.wrong, label + "\n" + "\n".join(tally.wrong[:40])
        assert 0 < tally.passed < count / 2, tally.statuses
    grown = resident(gateway) - before
    assert grown < 20 * MEBIBYTE, f"{grown / MEBIBYTE:.1f} MiB"


def test_no_body_takes_long(gateway):
    """In CPU seconds, for time is shared with whatever else the machine does."""
    heavy = {
        "100 000 levels": b'{"model":"demo/echo","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "as many open": b'{"model":"demo/echo","messages":' + b'[{"a":' * 80_000,
        "a wide list": b'{"model":"demo/echo","messages":[' + b"1," * 200_000 + b"1]}",
        "many keys": b'{"model":"demo/echo",' + b",".join(b'"%d":1' % n for n in range(30_000)) + b"}",
        "many repeated keys": b'{"model":"demo/echo",' + b'"a":1,' * 60_000 + b'"messages":[]}',
        "many spaced keys": b'{ "model" :"demo/echo"' + b"".join(b', "%d" : 1' % n for n in range(30_000)) + b" }",
        "many messages": json.dumps({**OPENAI, "model": "demo/echo", "messages": OPENAI["messages"] * 900}).encode(),
        "a long string": json.dumps(
            {**OPENAI, "model": "demo/echo", "user": "ü" * 200_000}, ensure_ascii=False
        ).encode(),
        "escapes": b'{"model":"demo/echo","messages":[{"role":"user","content":"' + rb"A" * 80_000 + b'"}]}',
        "digits": b'{"model":"demo/echo","seed":' + b"9" * 400_000 + b',"messages":[]}',
        "backslashes": b'{"model":"demo/echo","' + b"\\\\" * 200_000 + b'":1,"a":1,"a":2}',
    }
    for name, body in heavy.items():
        assert len(body) <= LIMIT, name
        for surface in ("openai", "anthropic"):
            before = cpu(gateway)
            with closing(Wire(gateway)) as wire:
                ((status, _, _),) = wire.ask([post(speech.PATHS[surface], body)])
            assert status < 500, name
            assert cpu(gateway) - before <= 0.25, (name, surface)


# ------------------------------------------------------------------------------------------------ around the body

ENDPOINTS = (("openai", speech.PATHS["openai"]), ("anthropic", speech.PATHS["anthropic"]), ("anthropic", COUNT))


def call(gateway: Gateway, method: str, path: str, **more: Any) -> httpx.Response:
    if method == "POST":
        more["headers"] = {"content-type": "application/json"} | dict(more.get("headers") or {})
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.request(method, gateway.url + path, **more)


def refused(answer: httpx.Response, surface: str, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    return legal.refusal(surface, answer.content)


def body_of(surface: str) -> dict[str, Any]:
    return {"model": "demo/echo", **VALID[surface]}


def test_a_wrong_method_is_told_the_right_one(gateway):
    for surface, path in (*ENDPOINTS, ("openai", "/v1/models"), ("openai", "/v1/models/demo%2Fecho")):
        right = "GET" if "models" in path else "POST"
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} - {right}:
            answer = call(gateway, method, path, json=body_of(surface))
            refused(answer, surface, 405)
            assert answer.headers["allow"].split(", ")[0] == right
        head = call(gateway, "HEAD", path)
        assert (head.status_code, head.content) == (405, b"")


def test_an_unknown_path_is_told_so_in_the_shape_of_its_surface(gateway):
    paths = {
        "openai": ["/v1", "/v1/", "/v1/x", "/v1/chat", "/v1/chat/completions/x", "/v1/model", "/v1/embedding"],
        "anthropic": ["/v1/messages/x", "/v1/messages/count_tokens/x", "/v1/messages/batches"],
    }
    for surface, names in paths.items():
        for path in names:
            for method in ("GET", "POST", "DELETE"):
                refused(call(gateway, method, path), surface, 404)
    assert refused(call(gateway, "GET", "/v1/models/nothing"), "openai", 404)["code"] == "model_not_found"
    anthropic = {"anthropic-version": "2023-06-01"}
    refused(call(gateway, "GET", "/v1/models/nothing", headers=anthropic), "anthropic", 404)


@pytest.mark.parametrize(
    "path", ["/x", "/", "/api", "/api/x", "/health/x", "/.env", "/v2/models", "/%2e%2e/etc/passwd"]
)
def test_every_other_unknown_path_is_a_404_in_json(gateway, path):
    answer = call(gateway, "GET", path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()["error"]["message"]


def test_a_model_is_found_by_any_spelling_of_its_path_and_by_no_other(gateway):
    for path in ("/v1/models/demo/echo", "/v1/models/demo%2Fecho", "/v1/models/demo%2fecho", "/v1/models/demo/echo/"):
        assert call(gateway, "GET", path).json()["id"] == "demo/echo"
    strange = [
        "%00",
        "%ff",
        "%",
        "%zz",
        "..%2f..",
        "demo%252Fecho",
        "x" * 4000,
        "ü",
        "demo/",
        "/demo",
        "%0d%0ax:y",
        "a?b",
    ]
    for name in strange:
        refused(call(gateway, "GET", f"/v1/models/{name}"), "openai", 404)


def test_what_is_announced_or_comes_too_large_is_refused(gateway):
    def pieces() -> Any:
        for _ in range(LIMIT // 4096 + 2):
            yield b" " * 4096

    for surface, path in ENDPOINTS:
        announced = call(
            gateway, "POST", path, content=b" " * (LIMIT + 1), headers={"content-type": "application/json"}
        )
        refused(announced, surface, 413)
        chunked = call(gateway, "POST", path, content=pieces(), headers={"content-type": "application/json"})
        refused(chunked, surface, 413)
        with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=5)) as one:
            one.sendall(
                b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n"
                % path.encode()
            )
            assert one.recv(65536).startswith(b"HTTP/1.1 413 ")  # before any of it came
    just = json.dumps(body_of("openai")).encode()
    padded = just + b" " * (LIMIT - len(just))
    assert call(gateway, "POST", ENDPOINTS[0][1], content=padded).status_code == 200


def test_only_plain_json_is_taken(gateway):
    for surface, path in ENDPOINTS:
        text = json.dumps(body_of(surface)).encode()
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "json",
            "*/*",
            "",
        ):
            refused(call(gateway, "POST", path, content=text, headers={"content-type": kind}), surface, 415)
        for kind in ("application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"):
            assert call(gateway, "POST", path, content=text, headers={"content-type": kind}).status_code == 200
        assert call(gateway, "POST", path, content=text).status_code == 200
        bomb = b" " * MEBIBYTE
        for coding, coded in (
            ("gzip", gzip.compress(bomb)),
            ("deflate", zlib.compress(bomb)),
            ("br", b"x"),
            ("zstd", b"x"),
            ("gzip, identity", gzip.compress(text)),
        ):
            headers = {"content-encoding": coding, "content-type": "application/json"}
            refused(call(gateway, "POST", path, content=coded, headers=headers), surface, 415)
        plain = {"content-encoding": "Identity", "content-type": "application/json"}
        assert call(gateway, "POST", path, content=text, headers=plain).status_code == 200


CREDENTIALS = [
    ({"authorization": f"Bearer {KEY}", "x-api-key": "other"}, "", 400),
    ({"authorization": f"Bearer {KEY}", "x-goog-api-key": "other"}, "", 400),
    ({"x-api-key": KEY, "x-goog-api-key": "other"}, "", 400),
    ({"authorization": f"Bearer {KEY}"}, "?key=other", 400),
    ({}, f"?key={KEY}&key=other", 400),
    ({"authorization": f"Bearer {KEY}", "x-api-key": ""}, "", 400),
    ({"authorization": "Basic dTpw"}, "", 401),
    ({"authorization": KEY}, "", 401),
    ({"authorization": "Bearer"}, "", 401),
    ({"authorization": "Bearer other"}, "", 401),
    ({"x-api-key": ""}, "", 401),
    ({"x-api-key": "x" * 8000}, "", 401),
    ({"x-api-key": hashlib.sha256(KEY.encode()).hexdigest()}, "", 401),
    ({"authorization": f"bearer  {KEY}", "x-api-key": KEY, "x-goog-api-key": KEY}, f"?key={KEY}", 200),
    ({}, "", 200),
]


@pytest.mark.parametrize(("headers", "query", "status"), CREDENTIALS)
def test_a_request_has_one_credential_and_it_is_right(gateway, headers, query, status):
    for surface, path in (*ENDPOINTS, ("openai", "/v1/models")):
        method = "GET" if path.endswith("models") else "POST"
        more = {"json": body_of(surface)} if method == "POST" else {}
        answer = call(gateway, method, path + query, headers=headers, **more)
        if status == 200:
            assert answer.status_code == 200
            continue
        if path.endswith("models") and "x-goog-api-key" in headers:  # who sends it, speaks Gemini there
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)
            continue
        error = refused(answer, surface, status)
        assert KEY not in answer.text
        assert status == 401 or error.get("code", "conflicting_credentials") == "conflicting_credentials"
        assert ("www-authenticate" in answer.headers) == (status == 401)


def test_hostile_headers_reach_neither_the_provider_nor_the_answer(gateway):
    hostile = [(f"x-made-up-{number}".encode(), bytes([number]) * 3) for number in range(0x21, 0x7F)]
    hostile += [
        (b"cookie", b"a=b"),
        (b"x-forwarded-for", b"127.0.0.1"),
        (b"proxy-authorization", b"Basic eA=="),
        (b"te", b"trailers"),
        (b"x-request-id", "ü\x80".encode("latin-1")),
        (b"connection", b"x-made-up"),
    ]
    for surface, path in ENDPOINTS[:2]:
        gateway.upstream.asked.clear()
        body = {**body_of(surface), "model": f"{surface}-like/m"}
        with closing(Wire(gateway)) as wire:
            text = json.dumps(body).encode()
            lines = b"".join(b"%b: %b\r\n" % header for header in hostile[:90])
            head = b"POST %b HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nx-api-key: %b\r\n" % (
                path.encode(),
                KEY.encode(),
            )
            ((status, headers, _),) = wire.ask([head + lines + b"content-length: %d\r\n\r\n" % len(text) + text])
            ((_, later, _),) = wire.ask(
                [head + b"x-request-id: \xfc\x80\r\ncookie: a=b\r\nte: x\r\ncontent-length: 0\r\n\r\n"]
            )
        assert status == 200
        assert later["x-request-id"].isascii()
        assert not [name for name in headers if name.startswith("x-made-up")]
        (asked,) = gateway.upstream.asked
        assert set(asked.headers) <= {
            "host",
            "content-type",
            "content-length",
            "accept",
            "accept-encoding",
            "user-agent",
        } | ({"anthropic-version"} if surface == "anthropic" else set())
        assert KEY not in repr(asked.headers)
