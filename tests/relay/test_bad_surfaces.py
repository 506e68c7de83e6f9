"""Bad input on every client endpoint beside chat completions and messages: a clear refusal in the format of the surface,
and nothing sent to any provider."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from formats.swaps import ODD, TEXTS, TOKENS, places, put, text, token, without
from relay.malformed import PIXEL
from relay.test_bad_input import BATCH, Wire, cpu, post
from support import legal, speech
from support.gateway import Gateway
from support.upstream import Asked, Script, Upstream, events, whole

SEED = 20128
KEY = "sk-or-a-caller"
CONFIG = """\
version: 1
server: {data_dir: '{data_dir}', body_limit: 1MiB}
keys: {caller: {digest: 'sha256:%s'}}
providers:
  demo: {type: demo}
  open:
    type: openai-compatible
    base_url: '{url}/openai'
    connections: {main: {}}
    models: {m: {}, vec: {kind: embedding}, pic: {kind: image}, ear: {kind: transcription}}
  oll: {type: ollama-compatible, base_url: '{url}/ollama', connections: {main: {}}, models: {m: {}}}
  gem: {type: gemini-compatible, base_url: '{url}/gemini', connections: {main: {}}, models: {m: {}}}
combos:
  seeing: {targets: [oll/m, open/m]}
"""
IMAGE = f"data:image/png;base64,{PIXEL}"
FUNCTION = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {"at": {}}}}
CONTENTS = [
    {"role": "user", "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": PIXEL}}]},
    {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {"at": "x"}}}]},
    {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"result": "seen"}}}]},
]
GEMINI = {
    "contents": CONTENTS,
    "systemInstruction": {"parts": [{"text": "Be kind."}]},
    "tools": [{"functionDeclarations": [FUNCTION]}],
    "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    "generationConfig": {"maxOutputTokens": 16, "temperature": 0.5, "stopSequences": ["END"], "topK": 3},
}
RESPONSES = {
    "model": "open/m",
    "instructions": "Be kind.",
    "input": [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "Hi"}, {"type": "input_image", "image_url": IMAGE}],
        },
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "seen"},
    ],
    "tools": [{"type": "function", **FUNCTION}],
    "max_output_tokens": 16,
    "reasoning": {"effort": "low"},
    "store": False,
}
OLLAMA = {
    "model": "open/m",
    "messages": [
        {"role": "user", "content": "Hi", "images": [PIXEL]},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": {"at": "x"}}}]},
        {"role": "tool", "tool_name": "look", "content": "seen"},
    ],
    "tools": [{"type": "function", "function": FUNCTION}],
    "options": {"temperature": 0.5, "num_predict": 16, "stop": ["END"]},
    "stream": False,
}
EMBED = {"model": "open/vec", "input": ["a", "b"], "dimensions": 3, "encoding_format": "float"}
DRAW = {"model": "open/pic", "prompt": "a", "n": 1, "size": "1024x1024", "response_format": "b64_json"}
GEM_EMBED = {"content": {"parts": [{"text": "a"}]}, "taskType": "CLUSTERING", "outputDimensionality": 3}
SURFACES: dict[str, tuple[str, dict[str, Any]]] = {
    "/v1/responses": ("openai", RESPONSES),
    "/v1/responses/input_tokens": ("openai", {name: RESPONSES[name] for name in ("model", "input", "tools")}),
    "/v1/completions": (
        "openai",
        {"model": "open/m", "prompt": ["Hi"], "max_tokens": 16, "stop": ["END"], "echo": False},
    ),
    "/v1beta/models/open/m:generateContent": ("gemini", GEMINI),
    "/v1beta/models/open/m:streamGenerateContent?alt=sse": ("gemini", GEMINI),
    "/v1beta/models/open/m:streamGenerateContent": ("gemini", GEMINI),
    "/v1beta/models/open/m:countTokens": ("gemini", {"contents": CONTENTS}),
    "/v1beta/models/open/vec:embedContent": ("gemini", GEM_EMBED),
    "/v1beta/models/open/vec:batchEmbedContents": ("gemini", {"requests": [GEM_EMBED]}),
    "/api/chat": ("ollama", OLLAMA),
    "/v1/api/chat": ("ollama", OLLAMA),
    "/api/generate": ("ollama", {"model": "open/m", "prompt": "Hi", "images": [PIXEL], "options": {"seed": 1}}),
    "/api/embed": ("ollama", {"model": "open/vec", "input": ["a", "b"], "truncate": True}),
    "/api/embeddings": ("ollama", {"model": "open/vec", "prompt": "a"}),
    "/v1/embeddings": ("openai", EMBED),
    "/v1/images/generations": ("openai", DRAW),
    "/v1/providers/open/embeddings": ("openai", EMBED | {"model": "vec"}),
    "/v1/providers/open/images/generations": ("openai", DRAW | {"model": "pic"}),
}
AT_ONCE = (b'"done_reason":"load"', b'"done_reason":"unload"')
"""What the gateway says by itself to who only has a model of Ollama's loaded."""
EACH = 180
"""Cases of an endpoint that go through the whole gateway; the codecs alone meet all of them (`test_bad_requests.py`)."""


def answer(asked: Asked) -> Script:
    """A provider that is content with anything that is JSON."""
    body = json.loads(asked.body)
    if asked.path.endswith("/embeddings"):
        count = len(body["input"]) if isinstance(body["input"], list) else 1
        vector = [0.5] * min(body.get("dimensions") or 1, 8)
        return whole({"data": [{"embedding": vector, "index": at} for at in range(count)], "model": "theirs"})
    if asked.path.endswith("/generations"):
        return whole({"created": 1, "data": [{"b64_json": PIXEL}]})
    return events(*speech.streamed("openai")) if body.get("stream") else whole(speech.whole("openai"))


@pytest.fixture(scope="module")
def gateway():
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    with Upstream(answer) as upstream, Gateway((CONFIG % digest).replace("{url}", upstream.url)) as one:
        one.upstream = upstream
        yield one
        assert "Traceback" not in one.said(), one.said()[-6000:]


def refusal(form: str, body: bytes) -> str:
    """The words of a refusal; fails where its shape is not that of the surface."""
    if form in ("openai", "anthropic"):
        return legal.refusal(form, body)["message"]
    told = json.loads(body)
    assert set(told) == {"error"}, told
    error = told["error"]
    if form == "ollama":
        assert isinstance(error, str)
        return error
    assert {"code", "message", "status"} <= set(error) <= {"code", "message", "status", "details"}, error
    return error["message"]


def call(gateway: Gateway, method: str, path: str, **more: Any) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=20) as client:
        return client.request(method, gateway.url + path, **more)


def refused(gateway: Gateway, form: str, status: int, method: str, path: str, **more: Any) -> str:
    """The words of a refusal that no provider has heard of."""
    gateway.upstream.asked.clear()
    told = call(gateway, method, path, **more)
    assert told.status_code == status, (path, told.status_code, told.text)
    assert told.headers["content-type"] == "application/json"
    assert gateway.upstream.asked == []
    return refusal(form, told.content)


def mutated(good: dict[str, Any], chance: random.Random) -> Iterator[tuple[object, bytes]]:
    spots = list(places(good))
    while True:
        path = chance.choice(spots)
        match chance.randrange(6):
            case 0:
                yield ("without", path), text(without(good, path))
            case 1:
                one = chance.choice(TOKENS)
                yield (path, one[:20]), token(good, path, one)
            case 2:
                yield (
                    (path, "bytes"),
                    text(put(good, path, "XY")).replace(b"XY", chance.choice([b"\xff", b"\xc3", b"\0"])),
                )
            case 3:
                name = chance.choice(list(good))
                yield ("twice", name), text(good)[:-1] + b"," + text({name: good[name]})[1:]
            case _:
                odd = chance.choice((*ODD, *TEXTS))
                yield (path, odd), text(put(good, path, odd))


@pytest.mark.parametrize("path", SURFACES)
def test_a_malformed_body_is_refused_in_the_words_of_the_surface_and_goes_no_further(gateway, path):
    form, good = SURFACES[path]
    fixed = [b"", b"null", b"[]", b"{}", b'"x"', b"{", b"\xff", text(good)[:-9], text([good]), b"[" * 100_000]
    cases = [(body[:9], body) for body in fixed]
    cases += islice(mutated(good, random.Random(f"{SEED} {path}")), EACH)
    cases.append(("good", text(good)))
    gateway.upstream.asked.clear()
    wrong, served, sent = [], 0, 0
    before = cpu(gateway)
    with closing(Wire(gateway)) as wire:
        queue = iter(cases)
        while batch := list(islice(queue, BATCH)):
            told = wire.ask([post(path, body) for _, body in batch])
            for (why, body), (status, headers, said) in zip(batch, told, strict=True):
                served += status == 200
                sent += (status == 200 and not any(one in said for one in AT_ONCE)) or b"ignores" in said
                try:
                    assert headers["x-request-id"]
                    assert status == 200 or 400 <= status < 500
                    assert status == 200 or why != "good"
                    assert status != 200 or body not in fixed
                    if status != 200:
                        assert refusal(form, said)
                except (AssertionError, LookupError, ValueError) as error:
                    wrong.append(f"{why}: {type(error).__name__} {error}: {status} {said[:160]!r}")
    assert not wrong, f"{len(wrong)} of {len(cases)}\n" + "\n".join(wrong[:30])
    asked = len(gateway.upstream.asked)
    assert asked == (0 if "oken" in path else sent), "what was refused was sent all the same"
    assert 0 < served < len(cases)
    assert (cpu(gateway) - before) / len(cases) < 0.05


def test_a_wrong_method_is_told_the_right_ones_in_the_shape_of_the_surface(gateway):
    for path, (form, _) in SURFACES.items():
        for method in ("PUT", "PATCH", "OPTIONS", "PROPFIND"):
            told = call(gateway, method, path.partition("?")[0])
            assert told.status_code == 405, (method, path)
            assert "POST" in told.headers["allow"].split(", ")
            assert method in refusal(form, told.content)
        head = call(gateway, "HEAD", path.partition("?")[0])
        assert head.content == b""
        assert head.status_code in (404, 405), path


UNKNOWN = {
    "openai": ("/v1/x", "/v1/responses/x/y", "/v1/embeddings/x", "/v1/images", "/v1/images/edits", "/v1/audio/speech"),
    "gemini": ("/v1beta", "/v1beta/x", "/v1beta/models/", "/v1beta/files", "/api/v1beta/x", "/v1beta/cachedContents/x"),
    "ollama": ("/v1/api", "/v1/api/x", "/v1/api/chat/x"),
}


def test_an_unknown_path_is_told_so_in_the_shape_of_its_surface(gateway):
    for form, paths in UNKNOWN.items():
        for path in paths:
            assert refused(gateway, form, 404, "POST", path, json={})
            if path != "/v1beta/models/":
                assert refused(gateway, form, 404, "DELETE" if form != "gemini" else "GET", path)
    for path in ("/api/x", "/api/pull", "/api/config/x", "/api/chatter", "/v1betas", "/v1x"):
        told = call(gateway, "POST", path, json={})
        assert told.status_code in (401, 403, 404), path
        assert set(told.json()) == {"error"}


NAMES = (
    *("%00", "%0d%0ax:y", "a%0ab", "%ff", "%", "%zz", "..", "%2e%2e", "..%2f..%2fetc", "x" * 300, "a/" * 200 + "b"),
    *("nowhere/m", "a%3Ab", "a:b:c", ":", "/", "//", "%2F", "models", "models/", "%E2%80%AE", "%F0%9F%98%80", "open"),
    *("OPEN/M", "open/%2e/m", "open/%2e%2e/open/m", "gem/%2e%2e/%2e%2e/x", "gem/%2e%2e/x"),
)


def test_a_path_with_a_strange_model_is_refused_and_never_another(gateway):
    for name in NAMES:
        for action in ("generateContent", "streamGenerateContent", "countTokens", "embedContent"):
            gateway.upstream.asked.clear()
            told = call(gateway, "POST", f"/v1beta/models/{name}:{action}", json=GEMINI | GEM_EMBED)
            assert 400 <= told.status_code < 500, (name, action, told.text)
            assert refusal("gemini", told.content)
            assert gateway.upstream.asked == []


def test_a_path_that_names_no_model_or_no_action_says_what_there_is(gateway):
    for path in ("/v1beta/models/:generateContent", "/v1beta/models/open/m", "/v1beta/models/open/m:predict"):
        words = refused(gateway, "gemini", 404, "POST", path, json=GEMINI)
        assert "generateContent" in words
        assert "countTokens" in words
    words = refused(gateway, "gemini", 404, "POST", "/v1beta/models/nothing:generateContent", json=GEMINI)
    assert "nothing" in words


def test_a_query_is_a_credential_or_a_mode_and_nothing_else(gateway):
    path = "/v1beta/models/open/m:generateContent"
    for query in ("?key=wrong", f"?key={KEY}x", "?key=", "?key=%00", f"?key={KEY}&key=other", "?key=" + "x" * 5000):
        told = call(gateway, "POST", path + query, json=GEMINI)
        if query != "?key=":
            assert told.status_code in (400, 401), (query, told.text)
        assert KEY not in told.text
        if told.status_code != 200:
            assert refusal("gemini", told.content)
    for query in (
        f"?key={KEY}",
        "?alt=json",
        f"?key={KEY}&alt=sse",
        "?%24alt=json;enum-encoding=int",
        "?prettyPrint=false",
    ):
        assert call(gateway, "POST", path + query, json=GEMINI).status_code == 200, query
    words = refused(gateway, "gemini", 400, "POST", "/v1beta/models/open/m:streamGenerateContent?alt=xml", json=GEMINI)
    assert "alt" in words
    for path in ("/v1/models", "/v1beta/models", "/v1/embeddings", "/v1/images/generations"):
        for query in (
            "?limit=x",
            "?pageSize=-1",
            "?pageToken=%ff",
            "?after_id=%00",
            "?limit=" + "9" * 400,
            "?a[]=b&&=&",
        ):
            told = call(gateway, "GET", path + query)
            assert told.status_code in (200, 400), (path, query, told.text)
            if told.status_code == 400:
                assert refusal("gemini" if "beta" in path else "openai", told.content)


def test_an_unknown_item_of_a_response_is_refused_by_its_place(gateway):
    for item in (
        {"type": "unheard_of"},
        {"type": "message"},
        {"role": "nobody", "content": "x"},
        {"type": 1},
        "x",
        None,
    ):
        words = refused(gateway, "openai", 400, "POST", "/v1/responses", json=RESPONSES | {"input": [item]})
        assert "input" in words, words


# --------------------------------------------------------------------------------- what somebody would have to fetch

ADDRESS = "https://example.com/a.png"
SEEN = {
    "/v1/chat/completions": (
        "openai",
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": ADDRESS}}]}]},
    ),
    "/v1/responses": (
        "openai",
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": ADDRESS}]}]},
    ),
    "/v1/messages": (
        "anthropic",
        {
            "max_tokens": 9,
            "messages": [
                {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": ADDRESS}}]},
            ],
        },
    ),
    "/v1beta/models/{model}:generateContent": (
        "gemini",
        {"contents": [{"parts": [{"fileData": {"mimeType": "image/png", "fileUri": ADDRESS}}]}]},
    ),
}


@pytest.mark.parametrize("path", SEEN)
def test_an_image_by_its_address_is_refused_where_nobody_would_fetch_it(gateway, path):
    form, good = SEEN[path]
    for model in ("oll/m", "gem/m"):
        if model == "gem/m" and form == "gemini":
            continue  # its own format goes on as it came
        words = refused(gateway, form, 400, "POST", path.format(model=quote(model)), json={"model": model} | good)
        assert "server.fetch_images" in words, words
        assert "data" in words
    gateway.upstream.asked.clear()
    told = call(gateway, "POST", path.format(model="seeing"), json={"model": "seeing"} | good)
    assert told.status_code == 200, told.text
    (asked,) = gateway.upstream.asked
    assert asked.path == "/openai/chat/completions"
    assert ADDRESS in asked.body.decode()
