"""Speech as text from end to end: the official SDK before a gateway before scripted providers of each format."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest
from support import legal
from support.gateway import Gateway
from support.upstream import Asked, Script, Upstream, events, whole

HERE = Path(__file__).parents[1] / "formats" / "transcription"
AUDIO = {file.name: file.read_bytes() for file in sorted((HERE / "audio").iterdir())}
WAV = AUDIO["speech.wav"]
REPLIES = {name: json.loads((HERE / f"{name}.json").read_bytes()) for name in ("openai", "deepgram", "assemblyai")}
TEXT = REPLIES["openai"]["text"]
MODELS = {"openai": "openai/whisper-1", "deepgram": "deepgram/nova-3", "assemblyai": "assemblyai/universal-3-pro"}
KEYS = {"OPEN_KEY": "sk-open", "DEEP_KEY": "sk-deep", "ASSEMBLY_KEY": "sk-assembly"}
CONFIG = """
version: 1
server: {data_dir: '{data_dir}', strict_translation: %(strict)s}
providers:
  openai: {base_url: '%(url)s/openai/v1', connections: {main: {api_key: '${env:OPEN_KEY}'}}}
  deepgram: {base_url: '%(url)s/deepgram/v1', connections: {main: {api_key: '${env:DEEP_KEY}'}}}
  assemblyai:
    base_url: '%(url)s/assemblyai/v2'
    connections: {main: {api_key: '${env:ASSEMBLY_KEY}'}}
    timeouts: {total: 3s}
  own:
    type: openai-compatible
    base_url: '%(url)s/openai/v1'
    connections: {main: {}}
    models: {listener: {kind: transcription, upstream_id: whisper-turbo, price: {per_second: 0.00002}}}
combos: {speech: {targets: [assemblyai/universal-3-pro, deepgram/nova-3]}}
resilience:
  profiles:
    api_key:
      failure_threshold: 1000
      cooldown: 0s
      max_cooldown: 0.001ms
      reset_timeout: 0.001ms
      honour_retry_after: false
"""
JOB = {"id": "job-1", "status": "processing"}


def serving(asked: Asked) -> Script:
    """What the providers document that they answer."""
    provider, path = asked.path.split("/")[1], asked.path.partition("/v")[2][1:].partition("?")[0]
    match provider, path:
        case "openai", "/audio/transcriptions":
            return whole(REPLIES["openai"])
        case "deepgram", "/listen":
            return whole(REPLIES["deepgram"])
        case "assemblyai", "/upload":
            return whole({"upload_url": "https://cdn.example/1"})
        case "assemblyai", "/transcript":
            return whole(JOB | {"status": "queued"})
        case "assemblyai", "/transcript/job-1":
            return whole(REPLIES["assemblyai"] | {"id": "job-1"})
    return whole({"error": {"message": f"no such path: {asked.path}"}}, 404)


class Rig:
    def __init__(self, upstream: Upstream, gateway: Gateway) -> None:
        self.upstream = upstream
        self.gateway = gateway
        self.sdk = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="anonymous", max_retries=0, timeout=20)

    def ask(self, model: str, file: Any = ("speech.wav", WAV), **more: Any) -> Any:
        return self.sdk.audio.transcriptions.create(model=model, file=file, extra_headers=self._named(), **more)

    def raw(self, model: str, **more: Any) -> Any:
        create = self.sdk.audio.transcriptions.with_raw_response.create
        return create(model=model, file=("speech.wav", WAV), extra_headers=self._named(), **more)

    def _named(self) -> dict[str, str]:
        """A name of its own for each request, under which it stands in the ledger."""
        self.latest = f"request-{uuid4()}"
        return {"x-request-id": self.latest}

    def post(self, content: bytes, content_type: str = "multipart/form-data; boundary=b") -> httpx.Response:
        headers = {"content-type": content_type}
        return httpx.post(f"{self.gateway.url}/v1/audio/transcriptions", content=content, headers=headers, timeout=20)

    def row(self) -> dict[str, Any]:
        """The one row of the ledger that the latest request has."""
        deadline = time.monotonic() + 5
        while True:
            found = [row for row in self.gateway.rows() if row["request_id"] == self.latest]
            if found or time.monotonic() > deadline:
                (row,) = found
                return row
            time.sleep(0.02)


@pytest.fixture(scope="module")
def parts() -> Iterator[Rig]:
    with Upstream() as upstream, Gateway(CONFIG % {"url": upstream.url, "strict": "false"}, **KEYS) as gateway:
        rig = Rig(upstream, gateway)
        yield rig
        rig.sdk.close()
        assert "Traceback" not in gateway.said()


@pytest.fixture
def rig(parts: Rig) -> Rig:
    time.sleep(0.003)
    parts.upstream.script = serving
    parts.upstream.asked.clear()
    return parts


def field(name: str, data: bytes, more: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + data + b"\r\n"


FILE = field("file", WAV, '; filename="speech.wav"')

# ------------------------------------------------------------------------------------------------------------ answers


@pytest.mark.parametrize("provider", sorted(MODELS))
def test_the_sdk_understands_every_format_of_every_provider(rig, provider):
    model = MODELS[provider]
    plain = rig.ask(model)
    assert plain.text == TEXT
    assert plain.task == "transcribe"
    assert plain.duration == pytest.approx({"openai": 4.48, "deepgram": 4.5, "assemblyai": 5}[provider])
    assert plain.language in ("english", "en", "en_us")
    verbose = rig.ask(model, response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert (verbose.segments[1].start, verbose.segments[1].end) == (2.5, 3.5)
    assert verbose.words[0].word == "Hello"
    assert rig.ask(model, response_format="text") == TEXT + "\n"
    assert rig.ask(model, response_format="srt").startswith("1\n00:00:00,500 --> 00:00:01,250\nHello there.\n\n2\n")
    assert "&lt;fine&gt; &amp; done." in rig.ask(model, response_format="vtt")
    diarized = rig.ask(model, response_format="diarized_json")
    assert [one.text.strip() for one in diarized.segments] == ["Hello there.", "It's <fine> & done."]


@pytest.mark.parametrize("name", [name for name in AUDIO if name != "bare.aac"])
def test_every_type_of_file_gets_there(rig, name):
    rig.ask(MODELS["deepgram"], (name, AUDIO[name]))
    (asked,) = rig.upstream.asked
    assert asked.body == AUDIO[name]
    assert asked.headers["content-type"].startswith("audio/")


def test_what_reaches_the_providers(rig):
    rig.ask(MODELS["openai"], ("grüße.mp3", WAV), prompt="über", temperature=0.5, include=["logprobs"])
    rig.ask(MODELS["deepgram"], language="de")
    rig.ask(MODELS["assemblyai"])
    first, second, *rest = rig.upstream.asked
    assert first.headers["authorization"] == "Bearer sk-open"
    form = first.body
    assert "grüße.wav".encode() in form  # by its bytes it is one, and the provider goes by the name
    for name, value in (("prompt", "über"), ("temperature", "0.5"), ("include[]", "logprobs"), ("model", "whisper-1")):
        assert f'name="{name}"\r\n\r\n{value}\r\n'.encode() in form
    assert (second.headers["authorization"], second.body) == ("Token sk-deep", WAV)
    assert second.path == "/deepgram/v1/listen?model=nova-3&smart_format=true&utterances=true&language=de"
    assert [(one.method, one.path.removeprefix("/assemblyai/v2")) for one in rest] == [
        ("POST", "/upload"),
        ("POST", "/transcript"),
        ("GET", "/transcript/job-1"),
    ]
    assert {one.headers["authorization"] for one in rest} == {"sk-assembly"}


def test_the_length_is_measured_where_the_provider_does_not_tell_it(rig):
    rig.upstream.script = lambda asked: whole({"text": "Hi"})
    raw = rig.raw(MODELS["openai"])
    assert json.loads(raw.text)["duration"] == 0.9655
    assert raw.headers["x-omniroute-audio-seconds"] == "0.966"


def test_losses_are_told(rig):
    raw = rig.raw(MODELS["deepgram"], prompt="x", temperature=0.5, response_format="verbose_json")
    assert raw.headers["x-omniroute-losses"] == "prompt, temperature, segment_details"
    assert json.loads(rig.row()["losses"]) == ["prompt", "temperature", "segment_details"]


# --------------------------------------------------------------------------------------------------------------- cost


@pytest.mark.parametrize(
    ("model", "reply", "seconds", "cost"),
    [
        ("openai/whisper-1", REPLIES["openai"], "4.48", Decimal("0.0001") * 5),
        ("openai/whisper-1", {"text": "Hi", "duration": 1.25}, "1.25", Decimal("0.0001") * Decimal("1.25")),
        ("own/listener", {"text": "Hi", "duration": 100}, "100", Decimal("0.002")),
        ("deepgram/nova-3", REPLIES["deepgram"], "4.5", Decimal("0.00007167") * Decimal("4.5")),
        (
            "openai/gpt-4o-transcribe",
            {
                "text": "Hi",
                "usage": {
                    "type": "tokens",
                    "input_tokens": 114,
                    "output_tokens": 45,
                    "total_tokens": 159,
                    "input_token_details": {"audio_tokens": 100, "text_tokens": 14},
                },
            },
            "0.966",
            (Decimal(14) * Decimal("2.5") + 100 * 6 + 45 * 10) / 1_000_000,
        ),
    ],
)
def test_the_cost_is_by_the_second_or_by_the_token(rig, model, reply, seconds, cost):
    rig.upstream.script = lambda asked: whole(reply)
    raw = rig.raw(model)
    assert Decimal(raw.headers["x-omniroute-cost"]) == cost
    assert raw.headers["x-omniroute-audio-seconds"] == seconds
    row = rig.row()
    assert Decimal(row["cost"]) == cost
    assert (row["operation"], row["status"], row["requested"]) == ("transcriptions", 200, model)
    assert row["input"] == reply.get("usage", {}).get("input_tokens", 0)


# ------------------------------------------------------------------------------------------------------------ streams

TOKENS = (
    b'{"type":"tokens","input_tokens":14,"output_tokens":5,"total_tokens":19,'
    b'"input_token_details":{"audio_tokens":10,"text_tokens":4}}'
)
DELTAS = (
    b'data: {"type":"transcript.text.delta","delta":"Hel"}\n\n',
    b'data: {"type":"transcript.text.delta","delta":"lo"}\n\n',
    b'data: {"type":"transcript.text.done","text":"Hello","usage":' + TOKENS + b"}\n\n",
)


def test_a_stream_is_handed_on(rig):
    rig.upstream.script = lambda asked: events(*DELTAS, gap=0.01)
    told = list(rig.ask("openai/gpt-4o-transcribe", stream=True))
    assert [one.type for one in told] == ["transcript.text.delta"] * 2 + ["transcript.text.done"]
    assert told[-1].usage.input_tokens == 14
    assert b'name="stream"\r\n\r\ntrue' in rig.upstream.asked[0].body
    row = rig.row()
    assert (row["stream"], row["input"], row["output"]) == (1, 14, 5)
    assert Decimal(row["cost"]) == (Decimal(4) * Decimal("2.5") + 10 * 6 + 5 * 10) / 1_000_000


@pytest.mark.parametrize("provider", sorted(MODELS))
def test_a_provider_that_does_not_stream_is_told_as_one_delta_and_the_end(rig, provider):
    told = list(rig.ask(MODELS[provider], stream=True))
    assert [one.type for one in told] == ["transcript.text.delta", "transcript.text.done"]
    assert told[0].delta == told[1].text == TEXT


def test_a_stream_that_breaks_off_is_told(rig):
    rig.upstream.script = lambda asked: events(DELTAS[0], cut=True)
    with pytest.raises(openai.APIError) as caught:
        list(rig.ask("openai/gpt-4o-transcribe", stream=True))
    assert "[openai]" in str(caught.value)
    row = rig.row()
    assert (row["status"], row["error"]) == (200, "server")
    assert Decimal(row["cost"]) == Decimal("0.0001") * Decimal("0.966")  # it has been listened to
    assert json.loads(row["attempts"])[0]["outcome"] in ("truncated", "connect")


# ------------------------------------------------------------------------------------------------------------ refusals


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return legal.refusal("openai", answer.content)


@pytest.mark.parametrize(
    ("content", "status", "param", "code"),
    [
        (FILE + b"--b--\r\n", 400, "model", None),
        (field("model", b"openai/whisper-1") + b"--b--\r\n", 400, "file", None),
        (field("model", b"openai/whisper-1") + FILE, 400, None, "invalid_multipart"),
        (field("model", b"openai/whisper-1") + FILE[:500], 400, None, "invalid_multipart"),
        (b"", 400, None, "invalid_multipart"),
        (b'{"model": "openai/whisper-1"}', 400, None, "invalid_multipart"),
        (FILE + FILE + b"--b--\r\n", 400, "file", "invalid_multipart"),
        (field("model", b"openai/whisper-1") * 2 + FILE + b"--b--\r\n", 400, "model", None),
        (field("model", b"x") * 100 + FILE + b"--b--\r\n", 413, None, "request_too_large"),
        (field("model", b"openai/nothing-of-that-kind/x") + field("file", b"%PDF-1.7") + b"--b--", 400, "file", "unsupported_file"),
        (field("model", b"no-such-model") + FILE + b"--b--\r\n", 404, None, "model_not_found"),
        (field("model", b"openai/gpt-4o") + FILE + b"--b--\r\n", 400, "model", "model_not_for_this"),
        (field("model", b"openai/whisper-1") + field("response_format", b"docx") + FILE + b"--b--", 400, "response_format", None),
    ],
)  # fmt: skip
def test_bad_forms_are_refused_and_nothing_is_sent(rig, content, status, param, code):
    error = refused(rig.post(content), status)
    if param:
        assert error["param"] == param
    if code:
        assert error["code"] == code
    assert rig.upstream.asked == []


def test_other_bodies_are_refused(rig):
    for kind in ("application/json", "text/plain", "multipart/mixed; boundary=b", ""):
        refused(rig.post(b"{}", kind), 415)
    refused(rig.post(FILE, "multipart/form-data"), 400)


def test_a_page_of_another_origin_cannot_send_a_form(rig):
    content = field("model", MODELS["deepgram"].encode()) + FILE + b"--b--\r\n"
    here = f"127.0.0.1:{rig.gateway.port}"
    for origin, status in (("https://evil.example", 403), ("null", 403), (f"http://{here}", 200), ("", 403)):
        headers = {"content-type": "multipart/form-data; boundary=b", "origin": origin}
        answer = httpx.post(f"http://{here}/v1/audio/transcriptions", content=content, headers=headers)
        assert answer.status_code == status, origin
    assert len(rig.upstream.asked) == 1


def test_a_wrong_type_is_refused_whatever_it_is_called(rig):
    for name, data in (("speech.wav", b"%PDF-1.7 and more"), ("notes.txt", b"hello"), ("a.mp3", AUDIO["bare.aac"])):
        with pytest.raises(openai.BadRequestError) as caught:
            rig.ask(MODELS["openai"], (name, data))
        assert caught.value.code == "unsupported_file"
        assert "mp3" in caught.value.message
    assert rig.upstream.asked == []


def test_a_file_that_is_too_large_is_refused_and_one_of_just_the_size_is_not(rig):
    large = WAV + b"\0" * (25 * 1024 * 1024 - len(WAV))
    assert rig.ask(MODELS["deepgram"], ("speech.wav", large)).text == TEXT
    assert len(rig.upstream.asked[0].body) == len(large)
    rig.upstream.asked.clear()
    with pytest.raises(openai.APIStatusError) as caught:
        rig.ask(MODELS["deepgram"], ("speech.wav", large + b"\0"))
    assert caught.value.status_code == 413
    with pytest.raises(openai.APIStatusError) as caught:
        rig.ask(MODELS["deepgram"], ("speech.wav", large * 2))
    assert caught.value.status_code == 413
    assert rig.upstream.asked == []


def test_how_large_a_file_may_be_is_a_setting(parts):
    config = CONFIG.replace("strict_translation: %(strict)s", f"audio_limit: {len(WAV)}B") % {"url": parts.upstream.url}
    with Gateway(config, **KEYS) as gateway:
        rig = Rig(parts.upstream, gateway)
        assert rig.ask(MODELS["deepgram"]).text == TEXT
        for file in (WAV + b"\0", WAV + b"\0" * 6_000_000):
            with pytest.raises(openai.APIStatusError) as caught:
                rig.ask(MODELS["deepgram"], ("speech.wav", file))
            assert caught.value.status_code == 413
            assert "server.audio_limit" in caught.value.message


@pytest.mark.parametrize("provider", sorted(MODELS))
@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
def test_refusals_of_providers_are_told(rig, provider, status):
    said = {"openai": {"error": {"message": "no way"}}, "deepgram": {"err_msg": "no way"}}.get(
        provider, {"error": "no way"}
    )
    rig.upstream.script = lambda asked: whole(said, status, retry_after="7")
    with pytest.raises(openai.APIStatusError) as caught:
        rig.ask(MODELS[provider])
    assert caught.value.status_code == status
    assert f"[{provider}] no way" in caught.value.message
    assert caught.value.response.headers["retry-after"] == "7"
    outcomes = {400: "invalid", 401: "auth", 429: "rate_limited", 500: "server_error", 503: "overloaded"}
    assert json.loads(rig.row()["attempts"])[0]["outcome"] == outcomes[status]


@pytest.mark.parametrize("provider", sorted(MODELS))
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"text": []}'])
def test_an_answer_that_is_none_is_a_502(rig, provider, body):
    rig.upstream.script = lambda asked: whole(body)
    with pytest.raises(openai.InternalServerError) as caught:
        rig.ask(MODELS[provider])
    assert caught.value.status_code == 502
    assert caught.value.code == "upstream_malformed"


def test_a_job_that_fails_falls_back_and_the_file_is_there_once_more(rig):
    def script(asked: Asked) -> Script:
        if asked.path.endswith("/transcript/job-1"):
            return whole(JOB | {"status": "error", "error": "Transcoding failed."})
        return serving(asked)

    rig.upstream.script = script
    raw = rig.raw("speech")
    assert raw.headers["x-omniroute-provider"] == "deepgram"
    assert raw.headers["x-omniroute-attempts"] == "2"
    assert rig.upstream.asked[-1].body == WAV
    first, second = json.loads(rig.row()["attempts"])
    assert (first["outcome"], second["outcome"]) == ("server_error", "success")


def test_a_job_that_takes_too_long_ends_at_the_deadline(rig):
    rig.upstream.script = lambda asked: whole(JOB) if "/transcript" in asked.path else serving(asked)
    begun = time.monotonic()
    with pytest.raises(openai.APIStatusError) as caught:
        rig.ask(MODELS["assemblyai"])
    assert caught.value.status_code == 504
    assert time.monotonic() - begun < 3.5
    polls = [asked for asked in rig.upstream.asked if asked.method == "GET"]
    assert len(polls) == 3  # after 0.5, 1.25 and 2.4 seconds


def test_a_client_that_leaves_ends_the_polling(rig):
    rig.upstream.script = lambda asked: whole(JOB) if "/transcript" in asked.path else serving(asked)
    content = field("model", MODELS["assemblyai"].encode()) + FILE + b"--b--\r\n"
    rig.latest = "request-of-one-who-left"
    head = (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(content)}\r\n"
        f"content-type: multipart/form-data; boundary=b\r\nx-request-id: {rig.latest}\r\n\r\n"
    )
    with closing(socket.create_connection(("127.0.0.1", rig.gateway.port), timeout=5)) as one:
        one.sendall(head.encode() + content)
        deadline = time.monotonic() + 3
        while not any(asked.method == "GET" for asked in rig.upstream.asked):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    asked = len(rig.upstream.asked)
    row = rig.row()
    assert (row["status"], row["code"]) == (499, "client_gone")
    time.sleep(0.8)
    assert len(rig.upstream.asked) == asked


def test_a_body_that_comes_in_small_pieces_is_read(rig):
    content = field("model", MODELS["deepgram"].encode()) + FILE + b"--b--\r\n"

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(content), 700):
            yield content[at : at + 700]

    answer = httpx.post(
        f"{rig.gateway.url}/v1/audio/transcriptions",
        content=pieces(),
        headers={"content-type": "multipart/form-data; boundary=b"},
        timeout=20,
    )
    assert answer.json()["text"] == TEXT


def test_a_strict_gateway_refuses_what_would_be_lost():
    with Upstream(serving) as upstream, Gateway(CONFIG % {"url": upstream.url, "strict": "true"}, **KEYS) as gateway:
        rig = Rig(upstream, gateway)
        with pytest.raises(openai.BadRequestError) as caught:
            rig.ask(MODELS["deepgram"], prompt="x")
        assert (caught.value.code, caught.value.param) == ("unsupported_by_target", "prompt")
        assert upstream.asked == []
        assert rig.ask(MODELS["deepgram"]).text == TEXT
        rig.sdk.close()
