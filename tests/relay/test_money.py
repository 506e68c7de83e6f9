"""What a request costs, over HTTP: the sum of its attempts, whoever failed on the way; and how far a stream is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest
from google import genai
from support import speech
from support.gateway import Gateway
from support.rig import KEY, MODELS, Rig, digest
from support.upstream import Asked, Script, Upstream, events, whole

CONFIG = """
version: 1
server: {{data_dir: "{{data_dir}}", progress_interval: 50ms}}
providers:
  first:
    type: openai-compatible
    base_url: {url}/first
    connections: {{main: {{}}}}
    models:
      m: {{price: {{input: 10, output: 100}}}}
      vec: {{kind: embedding, price: {{input: 10}}}}
  second:
    type: openai-compatible
    base_url: {url}/second
    connections: {{main: {{}}}}
    models:
      m: {{price: {{input: 1, output: 5}}}}
      vec: {{kind: embedding, price: {{input: 1}}}}
combos:
  chat: {{strategy: priority, targets: [first/m, second/m]}}
  vectors: {{strategy: priority, targets: [first/vec, second/vec]}}
"""
SPENT = {"prompt_tokens": 40, "completion_tokens": 0, "total_tokens": 40}


class Scripted(Upstream):
    """The first provider says what a test tells it to; the second answers well."""

    def __init__(self) -> None:
        super().__init__(self._script)
        self.first: Callable[[Asked], Script] = lambda _asked: whole({}, 500)

    def _script(self, asked: Asked) -> Script:
        if asked.path.startswith("/first/"):
            return self.first(asked)
        if asked.path.endswith("/embeddings"):
            return vectors(2, 8)
        return events(*speech.streamed("openai")) if asked.json.get("stream") else whole(speech.whole("openai"))


def vectors(length: int, tokens: int) -> Script:
    data = [{"object": "embedding", "index": 0, "embedding": [0.5] * length}]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return whole({"object": "list", "data": data, "model": "theirs", "usage": usage})


def spent_and_failed(_asked: Asked) -> Script:
    """Tells what it took, and fails before it says anything."""
    chunk = {"id": "1", "object": "chat.completion.chunk", "model": "theirs", "choices": [], "usage": SPENT}
    lost = {"error": {"message": "lost", "type": "server_error", "code": None}}
    return events(*(b"data: " + json.dumps(said).encode() + b"\n\n" for said in (chunk, lost)))


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Gateway, Scripted]]:
    with Scripted() as upstream, Gateway(CONFIG.format(url=upstream.url)) as gateway:
        yield gateway, upstream


def post(gateway: Gateway, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    return httpx.post(gateway.url + path, json=body, headers=headers, trust_env=False, timeout=20)


def _decimal(attempt: dict[str, Any]) -> dict[str, Any]:
    return attempt | {"cost": attempt["cost"] and Decimal(attempt["cost"])}


def row_of(gateway: Gateway, answer: httpx.Response) -> dict[str, Any]:
    ident = answer.headers["x-request-id"]
    for _ in range(100):
        for row in gateway.rows(1):
            if row["request_id"] == ident:
                return row | {"attempts": [_decimal(attempt) for attempt in json.loads(row["attempts"])]}
        gateway.rows(10**6, 0.05)
    raise AssertionError("there is no row")


def test_a_stream_that_failed_after_it_was_charged_for_is_in_the_cost(served):
    gateway, upstream = served
    upstream.first = spent_and_failed
    answer = post(gateway, "/v1/chat/completions", speech.ask("chat", stream=True))
    assert answer.headers["x-omniroute-attempts"] == "2"
    row = row_of(gateway, answer)
    failed, served_by = row["attempts"]
    assert (failed["target"], failed["outcome"], failed["input"], failed["cost"]) == (
        "first/m",
        "server_error",
        40,
        Decimal("0.0004"),
    )
    assert (served_by["target"], served_by["outcome"], served_by["input"]) == ("second/m", "success", row["input"])
    assert Decimal(row["cost"]) == failed["cost"] + served_by["cost"]
    assert (row["input"], row["output"], row["route"]) == (3, 2, "chat")


def test_an_answer_that_was_charged_for_and_is_none_is_in_the_cost(served):
    gateway, upstream = served
    upstream.first = lambda _asked: vectors(3, 8)  # of another length than asked for
    answer = post(gateway, "/v1/embeddings", {"model": "vectors", "input": "x", "dimensions": 2})
    row = row_of(gateway, answer)
    failed, served_by = row["attempts"]
    assert (failed["outcome"], failed["input"], failed["cost"]) == ("invalid", 8, Decimal("0.00008"))
    assert (served_by["outcome"], served_by["input"], served_by["cost"]) == ("success", 8, Decimal("0.000008"))
    assert Decimal(row["cost"]) == Decimal(answer.headers["x-omniroute-cost"]) == Decimal("0.000088")
    assert answer.headers["x-omniroute-tokens-in"] == "8"  # of the answer


def test_the_ledger_keeps_the_session_and_no_address(served):
    gateway, upstream = served
    upstream.first = lambda _asked: whole(speech.whole("openai"))
    answer = post(gateway, "/v1/chat/completions", speech.ask("chat"), **{"x-session-id": "s" * 500})
    row = row_of(gateway, answer)
    assert (row["session"], row["route"], row["cache"], row["idempotent"]) == ("s" * 128, "chat", "", 0)
    assert "127.0.0.1" not in json.dumps({**row, "attempts": []}, default=str)


def test_what_fails_before_anything_is_charged_costs_nothing(served):
    gateway, upstream = served
    upstream.first = lambda _asked: whole({"error": {"message": "no"}}, 500)
    answer = post(gateway, "/v1/chat/completions", speech.ask("chat"))
    row = row_of(gateway, answer)
    assert [attempt["cost"] for attempt in row["attempts"]] == [None, Decimal("0.000013")]
    assert Decimal(row["cost"]) == Decimal(answer.headers["x-omniroute-cost"]) == Decimal("0.000013")


# -------------------------------------------------------------------------------------------------- one connection

ADMIN = "sk-or-an-administrator-who-calls"
CALLER = "sk-or-a-caller"
FORCED = """
version: 1
server: {{data_dir: "{{data_dir}}"}}
keys:
  admin: {{digest: "sha256:{admin}", roles: [client, admin.write]}}
  caller: {{digest: "sha256:{caller}"}}
providers:
  lab:
    type: openai-compatible
    base_url: {url}/second
    connections: {{main: {{}}, spare: {{}}}}
    models: {{m: {{}}}}
"""


def test_an_administrator_may_say_which_connection_serves():
    with Scripted() as upstream:
        config = FORCED.format(url=upstream.url, admin=digest(ADMIN), caller=digest(CALLER))
        with Gateway(config) as gateway:

            def asked(key: str, connection: str) -> httpx.Response:
                headers = {"authorization": f"Bearer {key}", "x-omniroute-connection": connection}
                return post(gateway, "/v1/chat/completions", speech.ask("lab/m"), **headers)

            for name in ("lab.main", "lab.spare"):
                answer = asked(ADMIN, name)
                assert answer.status_code == 200
                assert row_of(gateway, answer)["connection"] == name
            assert asked(ADMIN, "lab.nobody").json()["error"]["code"] == "connection_not_for_this"
            assert asked(CALLER, "lab.spare").status_code == 403


# --------------------------------------------------------------------------------------------------------- progress

SLOW = 0.12
TOLD = {
    "openai": "enabled",
    "responses": "enabled",
    "anthropic": "enabled",
    "gemini": "unsupported",
    "ollama": "unsupported",
}


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(server=", progress_interval: 50ms") as one:
        yield one


def progress_in(body: bytes) -> list[dict[str, Any]]:
    blocks = body.decode().split("\n\n")
    return [json.loads(block.partition("data: ")[2]) for block in blocks if block.startswith("event: progress\n")]


@pytest.mark.parametrize("form", TOLD)
def test_a_client_that_asks_for_it_is_told_how_far_a_stream_is(rig, form):
    rig.script(lambda _asked: events(*speech.streamed("openai"), gap=SLOW))
    path, body = speech.request(form, MODELS["openai"], stream=True)
    headers = {"authorization": f"Bearer {KEY}", "x-omniroute-progress": "true"}
    answer = httpx.post(rig.gateway.url + path, json=body, headers=headers, trust_env=False, timeout=20)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-omniroute-progress"] == TOLD[form]
    told = progress_in(answer.content)
    if TOLD[form] == "unsupported":
        assert told == []
        return
    assert len(told) >= 3
    assert [one.get("done", False) for one in told] == [False] * (len(told) - 1) + [True]
    assert [one["tokens_generated"] for one in told] == sorted(one["tokens_generated"] for one in told)
    assert told[-1]["tokens_generated"] == 2
    elapsed = [one["elapsed_ms"] for one in told]
    assert elapsed == sorted(elapsed)
    assert elapsed[-1] >= 3 * SLOW * 1e3 * 0.9
    assert answer.content.rstrip().rpartition(b"\n\n")[2].find(b"progress") < 0  # the format's own event is the last


ASKED = {"x-omniroute-progress": "true"}
HI: Any = [{"role": "user", "content": "Hi"}]


def openai_chunks(url: str, model: str) -> str:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, default_headers=ASKED) as client:
        chunks = client.chat.completions.create(model=model, messages=HI, stream=True)
        return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def openai_helper(url: str, model: str) -> str:
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, default_headers=ASKED) as client,
        client.chat.completions.stream(model=model, messages=HI) as stream,
    ):
        return stream.get_final_completion().choices[0].message.content or ""


def completions_chunks(url: str, model: str) -> str:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, default_headers=ASKED) as client:
        chunks = client.completions.create(model=model, prompt="Hi", stream=True)
        return "".join(choice.text for chunk in chunks for choice in chunk.choices)


def responses_events(url: str, model: str) -> str:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, default_headers=ASKED) as client:
        stream = client.responses.create(model=model, input="Hi", stream=True)
        return "".join(event.delta for event in stream if event.type == "response.output_text.delta")


def responses_helper(url: str, model: str) -> str:
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, default_headers=ASKED) as client,
        client.responses.stream(model=model, input="Hi") as stream,
    ):
        return stream.get_final_response().output_text


def anthropic_events(url: str, model: str) -> str:
    with anthropic.Anthropic(base_url=url, api_key=KEY, default_headers=ASKED) as client:
        stream = client.messages.create(model=model, messages=HI, max_tokens=9, stream=True)
        return "".join(event.delta.text for event in stream if event.type == "content_block_delta")


def anthropic_helper(url: str, model: str) -> str:
    with (
        anthropic.Anthropic(base_url=url, api_key=KEY, default_headers=ASKED) as client,
        client.messages.stream(model=model, messages=HI, max_tokens=9) as stream,
    ):
        return stream.get_final_text()


def gemini_chunks(url: str, model: str) -> str:
    options = genai.types.HttpOptions(base_url=url, headers=ASKED, client_args={"trust_env": False})
    with genai.Client(api_key=KEY, vertexai=False, http_options=options) as client:
        return "".join(chunk.text or "" for chunk in client.models.generate_content_stream(model=model, contents="Hi"))


def ollama_records(url: str, model: str) -> str:
    client = ollama.Client(host=url, headers=ASKED | {"authorization": f"Bearer {KEY}"}, trust_env=False)
    with closing(client._client):
        return "".join(record.message.content or "" for record in client.chat(model=model, messages=HI, stream=True))


READERS = (
    openai_chunks,
    openai_helper,
    completions_chunks,
    responses_events,
    responses_helper,
    anthropic_events,
    anthropic_helper,
    gemini_chunks,
    ollama_records,
)


@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
@pytest.mark.parametrize("gap", [0.0, 0.06])
@pytest.mark.parametrize("read", READERS)
def test_every_sdk_reads_a_stream_that_tells_of_its_progress(rig, read, gap, upstream):
    said = speech.streamed(upstream)
    rig.script(lambda _asked: events(*said, gap=gap) if gap else events(b"".join(said)))
    assert read(rig.gateway.url, MODELS[upstream]) == speech.TEXT


def test_nobody_else_is_told(served):
    gateway, upstream = served
    upstream.first = lambda _asked: events(*speech.streamed("openai"))
    for asked in ({}, {"x-omniroute-progress": "false"}):
        answer = post(gateway, "/v1/chat/completions", speech.ask("chat", stream=True), **asked)
        assert "x-omniroute-progress" not in answer.headers
        assert progress_in(answer.content) == []
