"""Counting through the gateway: who is asked in which words, and what stands in where nobody can say."""

from __future__ import annotations

import asyncio
import base64
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from support import tables
from support.gateway import Gateway
from support.upstream import Asked, Script, Upstream, whole

from omniroute import app
from omniroute.config.overrides import Overrides
from omniroute.formats import openai_chat, tokens
from omniroute.formats.anthropic import decode_request, peek_count
from omniroute.formats.codecs import CHAT, COUNTING
from omniroute.formats.patch import Quirks
from omniroute.relay import counting
from omniroute.routing.tables import Endpoint, Origin, Service

PATH = "/v1/messages/count_tokens"
CONFIG = """\
version: 1
server: {{data_dir: '{{data_dir}}'}}
providers:
  anthropic: {{base_url: '{url}', connections: {{main: {{api_key: '${{env:KEY}}'}}}}, models: {{claude-sonnet-4-5: {{}}}}}}
  openai: {{base_url: '{url}/openai', connections: {{main: {{api_key: '${{env:KEY}}'}}}}, models: {{gpt-4o: {{}}}}}}
  gemini: {{base_url: '{url}/gemini', connections: {{main: {{api_key: '${{env:KEY}}'}}}}, models: {{gemini-2.5-pro: {{}}}}}}
  plain:
    type: openai-compatible
    base_url: '{url}'
    connections: {{main: {{}}}}
    models: {{gpt-4o: {{}}, claude: {{upstream_id: claude-opus-4-8}}, gemini-2.5-flash: {{}}}}
aliases: {{fast: plain/gpt-4o}}
combos:
  either: {{targets: [plain/gpt-4o, anthropic/claude-sonnet-4-5]}}
"""
PICTURE = base64.b64encode(b"GIF89a" + struct.pack("<HH", 1024, 1024)).decode()
BODY: dict[str, Any] = {
    "system": "Be brief.",
    "tools": [{"name": "now", "description": "The time of day.", "input_schema": {"type": "object", "properties": {}}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Что на этой картинке? 12345"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": PICTURE}},
            ],
        }
    ],
}


@pytest.fixture(scope="module")
def upstream():
    with Upstream(counts) as running:
        yield running


def counts(asked: Asked) -> Script:
    if asked.path.endswith(":countTokens"):
        return whole({"totalTokens": 17, "promptTokensDetails": []})
    if asked.path.endswith("/responses/input_tokens"):
        return whole({"object": "response.input_tokens", "input_tokens": 31})
    return whole({"input_tokens": 42})


@pytest.fixture(scope="module")
def gateway(upstream):
    with Gateway(CONFIG.format(url=upstream.url), KEY="sk-a") as running:
        yield running


def count(gateway: Gateway, model: str, body: dict[str, Any] = BODY) -> httpx.Response:
    return httpx.post(gateway.url + PATH, json=body | {"model": model}, trust_env=False, timeout=20)


def ours(model: str) -> int:
    return tokens.count(decode_request(peek_count(msgspec.json.encode(BODY | {"model": "m"}))), model)


@pytest.mark.parametrize(
    ("asked", "serving"),
    [
        ("plain/gpt-4o", "gpt-4o"),
        ("fast", "gpt-4o"),
        ("plain/claude", "claude-opus-4-8"),
        ("plain/gemini-2.5-flash", "gemini-2.5-flash"),
    ],
)
def test_an_estimate_is_for_the_model_that_would_serve(gateway, asked, serving):
    assert count(gateway, asked).json() == {"input_tokens": ours(serving), "estimated": True}


def test_the_models_of_one_prompt_differ():
    assert (
        len({ours(model) for model in ("gpt-4o", "gpt-4", "claude-opus-4-8", "claude-3-haiku", "gemini-2.5-flash")})
        == 5
    )


def test_of_a_combo_the_one_that_counts_is_asked(gateway, upstream):
    upstream.script = counts
    assert count(gateway, "either").json() == {"input_tokens": 42}


@pytest.mark.parametrize("status", [404, 405, 501])
def test_an_upstream_that_turns_out_not_to_count_is_stood_in_for(gateway, upstream, status):
    upstream.script = lambda _asked: whole({"type": "error", "error": {"type": "x", "message": "no"}}, status)
    upstream.asked.clear()
    told = count(gateway, "anthropic/claude-sonnet-4-5")
    assert (told.status_code, told.json()) == (200, {"input_tokens": ours("claude-sonnet-4-5"), "estimated": True})
    assert len(upstream.asked) == 1


DEEP = b'{"input_tokens":1,"details":' + b"[" * 20_000 + b"]" * 20_000 + b"}"


def test_a_connection_is_not_ill_because_its_provider_cannot_count(gateway, upstream):
    upstream.script = lambda _asked: whole({"type": "error", "error": {"type": "x", "message": "no"}}, 501)
    upstream.asked.clear()
    for _ in range(15):  # more than open the circuit of a connection that fails
        count(gateway, "anthropic/claude-sonnet-4-5")
    assert len(upstream.asked) == 15


@pytest.mark.parametrize("said", [b"", b"{}", b'{"input_tokens":"many"}', b'{"input_tokens":-1}', b"<html>", DEEP])
def test_an_answer_that_is_no_count_is_stood_in_for(gateway, upstream, said):
    upstream.script = lambda _asked: Script(pieces=[said])
    assert count(gateway, "anthropic/claude-sonnet-4-5").json()["estimated"] is True


def test_a_request_that_cannot_be_read_is_refused_and_not_estimated(gateway):
    wrong = {"messages": [{"role": "user", "content": [{"type": "image"}]}]}
    assert count(gateway, "plain/gpt-4o", wrong).status_code == 400


def test_others_are_answered_while_much_is_counted(gateway):
    large = {"messages": [{"role": "user", "content": "-" * 3_000_000}]}
    count(gateway, "plain/gpt-4o")  # whatever has to be loaded is
    with ThreadPoolExecutor(4) as pool:
        counts = [pool.submit(count, gateway, "plain/gpt-4o", large) for _ in range(4)]
        began = time.monotonic()
        assert httpx.get(gateway.url + "/health", trust_env=False).status_code == 200
        assert time.monotonic() - began < 2
        assert {answer.result().json()["estimated"] for answer in counts} == {True}


HEARTBEAT = """
import asyncio, sys, time
from omniroute.formats import tokens
from omniroute.formats.ir import Chat, Text, Turn

def chat(size):
    return Chat(turns=(Turn("user", (Text("a word 12 " * size),)),))

async def main():
    longest, last = 0.0, time.perf_counter()
    async def beat():
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last), now
    beating = asyncio.create_task(beat())
    await asyncio.sleep(0.02)
    for model in ("gpt-4o", "gpt-4", "claude-opus-4-8"):
        for size in (1, 50_000):
            await asyncio.to_thread(tokens.count, chat(size), model)
    await asyncio.sleep(0.02)
    print(longest)

if sys.argv[1] == "preload":
    tokens.load()
asyncio.run(main())
"""


def longest_gap(way: str) -> float:
    """Between two beats of an event loop, seconds, in a process that counts for the first time."""
    command = [sys.executable, "-c", HEARTBEAT, way]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def test_the_first_count_holds_nobody_up_where_the_vocabularies_are_loaded_before():
    assert any(longest_gap("preload") < 0.1 for _ in range(3)), "not once, whatever else the processor does"
    assert longest_gap("as needed") > 0.1, "if that is gone, so can the setting"


def test_the_vocabularies_are_loaded_at_the_start_where_the_configuration_says_so(tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(tokens, "load", lambda: loaded.append(True))

    async def started(setting: str) -> bool:
        loaded.clear()
        file = tmp_path / "omniroute.yaml"
        file.write_text(f"version: 1\nserver: {{data_dir: '{tmp_path}/data'{setting}}}\nproviders: {{demo: {{}}}}\n")
        service = app.Service(file, Overrides())
        async with service.lifespan(None):
            return bool(loaded)

    assert asyncio.run(started(", preload_tokenizers: true"))
    assert not asyncio.run(started(""))


# --------------------------------------------------------------------------------------------- in another's words


def target(**changed: Any):
    plain = tables.target("other/claude-sonnet-4-5")
    place = Endpoint(origin=Origin("http", "127.0.0.1", 1), base_path="/v1")
    upstream = msgspec.structs.replace(
        plain.upstream,
        endpoints={"anthropic": place},
        operations={"count_tokens": Service(format="anthropic", endpoint=place)},
        **changed,
    )
    return msgspec.structs.replace(plain, upstream=upstream, formats=("anthropic",))


def prepared(of):
    body = msgspec.json.encode(
        {
            "model": "fast",
            "max_tokens": 7,
            "temperature": 0.5,
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        }
    )
    call: Any = SimpleNamespace(
        endpoint=SimpleNamespace(format="openai_chat"),
        codec=CHAT["openai_chat"],
        chat=None,
        headers=[(b"anthropic-beta", b"x")],
        variant={},
        gateway=SimpleNamespace(orders=None),
        policies=(),
        head=None,
        pictures={},
        cleared={},
    )
    return counting._prepare(call, openai_chat.peek(body), of, "anthropic")


def test_a_client_of_another_format_has_its_request_counted_as_it_would_be_sent():
    made = prepared(target())
    assert made.path == "/messages/count_tokens"
    assert made.headers == ()
    sent = msgspec.json.decode(made.body)
    assert sent["model"] == "claude-sonnet-4-5"
    assert sent["messages"] == [{"role": "user", "content": "Hi"}]
    assert "Be brief." in str(sent["system"])
    assert not sent.keys() & {"max_tokens", "temperature", "stream"}


def test_a_provider_counts_in_its_own_format_whatever_the_client_speaks(gateway, upstream):
    upstream.script = counts
    upstream.asked.clear()
    assert count(gateway, "openai/gpt-4o").json() == {"input_tokens": 31}
    assert count(gateway, "gemini/gemini-2.5-pro").json() == {"input_tokens": 17}
    openai, gemini = upstream.asked
    assert openai.path == "/openai/responses/input_tokens"
    assert openai.json["model"] == "gpt-4o"
    assert [tool["name"] for tool in openai.json["tools"]] == ["now"]
    assert not openai.json.keys() & {"stream", "store", "max_output_tokens"}
    assert gemini.path == "/gemini/models/gemini-2.5-pro:countTokens"
    assert gemini.json["generateContentRequest"]["model"] == "models/gemini-2.5-pro"
    assert "Be brief." in str(gemini.json["generateContentRequest"]["systemInstruction"])


@pytest.mark.parametrize("form", COUNTING)
def test_every_format_that_counts_reads_what_it_writes(form):
    counter = COUNTING[form]
    assert counter.decode_count(counter.encode_count(17, estimated=False)) == 17
    assert counter.decode_count(counter.encode_count(17, estimated=True)) == 17
    assert b"estimated" in counter.encode_count(17, estimated=True)
    for wrong in (b"", b"[]", b"<html>"):
        with pytest.raises(ValueError, match=r"."):
            counter.decode_count(wrong)


@pytest.mark.parametrize("wrong", ["-1", "1.5", "1e30", "1000000001", '"17"', "null", "true", "[]", "{}"])
@pytest.mark.parametrize("form", COUNTING)
def test_a_count_that_cannot_be_is_none(form, wrong):
    counter = COUNTING[form]
    told = counter.encode_count(17, estimated=False).replace(b":17", b":" + wrong.encode())
    with pytest.raises(ValueError, match=r"."):
        counter.decode_count(told)


@pytest.mark.parametrize("form", COUNTING)
def test_what_one_format_counts_can_be_asked_of_every_other(form):
    call: Any = SimpleNamespace(
        endpoint=SimpleNamespace(format="anthropic"),
        codec=CHAT["anthropic"],
        chat=None,
        headers=[],
        named={},
        variant={},
        gateway=SimpleNamespace(orders=None),
        policies=(),
        head=None,
        pictures={},
        cleared={},
    )
    place = Endpoint(origin=Origin("http", "127.0.0.1", 1), base_path="")
    upstream = msgspec.structs.replace(target().upstream, endpoints={form: place})
    of = msgspec.structs.replace(target(), upstream=upstream, formats=(form,))
    call.head = peek_count(msgspec.json.encode(BODY | {"model": "m"}))
    made = counting._prepare(call, call.head, of, form)
    assert made.codec is CHAT[form]
    assert b"Be brief." in made.body
    assert "картинке".encode() in made.body
    assert b"The time of day." in made.body
    query = made.path.removeprefix("/models/") if form == "gemini" else ""
    again = COUNTING[form].peek_count(made.body, query)
    told = CHAT[form].decode_request(again)
    asked = decode_request(call.head)
    assert tokens.count(told, "gpt-4o") == pytest.approx(tokens.count(asked, "gpt-4o"), abs=20)


def test_a_count_heeds_the_providers_quirks():
    assert "system" not in msgspec.json.decode(prepared(target(quirks=Quirks(drop=("system",)))).body)


def test_a_provider_counts_only_in_a_format_that_can_be_counted_and_that_it_speaks():
    assert counting._counts_in(target()) == "anthropic"
    assert counting._counts_in(tables.target("other/m")) is None
    of = target()
    elsewhere = msgspec.structs.replace(of.upstream, endpoints={})
    assert counting._counts_in(msgspec.structs.replace(of, upstream=elsewhere)) is None
    unknown = {"count_tokens": Service(format="openai_chat", endpoint=of.upstream.endpoints["anthropic"])}
    assert (
        counting._counts_in(
            msgspec.structs.replace(of, upstream=msgspec.structs.replace(of.upstream, operations=unknown))
        )
        is None
    )
