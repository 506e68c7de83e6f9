"""The ways in which a provider can fail, and what becomes of each: the table that the tests check and the docs print."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from support import speech
from support.providers import streamed
from support.upstream import Script, whole

When = Literal["status", "event", "late", "answer"]
"""How a stream tells it: as a status, for nothing was sent yet; as an event, for content was sent; `late`, as an event
where nothing is left to try and as a status before that; or not at all, because the answer is good."""

FORMATS = ("openai", "anthropic", "responses", "gemini", "ollama")
IDLE = 0.8
TOTAL = 1.8
HUGE = 10**18


@dataclass(frozen=True)
class Scene:
    """What a provider is asked in one cell. `hold` is done when the client has read the first content."""

    form: str
    stream: bool
    hold: Future[None]


@dataclass(frozen=True)
class Fault:
    """A row. `kind` is what it counts as, `status` what a caller is told where nothing is left to try; `stream_kind` is
    for a stream where that differs, `text` what a good answer says, and `None` where that is not for us to judge."""

    name: str
    what: str
    script: Callable[[Scene], Script]
    kind: str
    status: int
    when: When = "status"
    stream_kind: str = ""
    retry_after: int | None = None
    address: Literal["", "closed", "tls"] = ""
    streams: tuple[bool, ...] = (False, True)
    forms: tuple[str, ...] = FORMATS
    text: str | None = speech.TEXT

    def outcome(self, *, stream: bool) -> str:
        return (self.stream_kind or self.kind) if stream else self.kind


# -------------------------------------------------------------------------------------------------- what goes wrong


def _good(scene: Scene) -> Script:
    return streamed(scene.form, *speech.streamed(scene.form)) if scene.stream else whole(speech.whole(scene.form))


def _body(scene: Scene) -> bytes:
    return json.dumps(speech.whole(scene.form)).encode()


def _begun(scene: Scene) -> bytes:
    """A stream up to its first content."""
    return speech.begin(scene.form) + speech.say(scene.form, "Hel")


def _late(*then: bytes, **how: Any) -> Callable[[Scene], Script]:
    """A stream that goes wrong when the client has its first content."""
    return lambda scene: streamed(scene.form, _begun(scene), *then, hold=scene.hold, **how)


def _half(**how: Any) -> Callable[[Scene], Script]:
    """Half of an answer, and then what `how` says."""
    return lambda scene: _late(**how)(scene) if scene.stream else Script(pieces=[b'{"id":"'], **how)


def _cut_short(scene: Scene) -> Script:
    return _late()(scene) if scene.stream else Script(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{")


def _bodiless(scene: Scene) -> Script:
    return streamed(scene.form) if scene.stream else Script()


def _drip(gap: float) -> Callable[[Scene], Script]:
    """The answer a letter at a time."""

    def script(scene: Scene) -> Script:
        if scene.stream:
            letters = [speech.say(scene.form, letter) for letter in speech.TEXT]
            end = speech.finish(scene.form) + speech.end(scene.form)
            return streamed(scene.form, speech.begin(scene.form), *letters, end, gap=gap)
        body = _body(scene)
        size = -(-len(body) // 6)
        return Script(pieces=[body[at : at + size] for at in range(0, len(body), size)], gap=gap)

    return script


def _error(form: str, message: str, code: Any = None) -> dict[str, Any]:
    match form:
        case "openai" | "responses":
            return {"error": {"message": message, "type": "some_error", "param": None, "code": code}}
        case "gemini":
            return {"error": {"message": message, "status": "INTERNAL", "code": code or 500}}
        case "ollama":
            return {"error": message}
    return {"type": "error", "error": {"type": "api_error", "message": message}}


def _status(status: int, **headers: str) -> Callable[[Scene], Script]:
    return lambda scene: whole(_error(scene.form, f"status {status}"), status, **headers)


def _out_of_money(scene: Scene) -> Script:
    return whole(_error(scene.form, "You exceeded your current quota.", "insufficient_quota"), 429)


def _out_of_credit(scene: Scene) -> Script:
    return whole(_error(scene.form, "Your credit balance is too low to access the API."), 400)


def _broken(scene: Scene) -> bytes:
    if scene.form == "responses":
        told = {"type": "error", "code": "server_error", "message": "it broke", "param": None, "sequence_number": 9}
        return speech.event(scene.form, told)
    return speech.event(scene.form, _error(scene.form, "it broke", 500))


def _error_in_200(scene: Scene) -> Script:
    return streamed(scene.form, _broken(scene)) if scene.stream else whole(_error(scene.form, "it broke", 500))


def _garbage(form: str) -> bytes:
    if form == "ollama":
        return b"{nonsense\n"
    return (b"event: content_block_delta\n" if form == "anthropic" else b"") + b"data: {nonsense\n\n"


def _invalid(scene: Scene) -> Script:
    return streamed(scene.form, _garbage(scene.form)) if scene.stream else whole(b"{nonsense}")


def _truncated(scene: Scene) -> Script:
    half = b'{"model":"the' if scene.form == "ollama" else b'data: {"type":"content_bl'
    return _late(half)(scene) if scene.stream else whole(_body(scene)[:60])


def _not_text(scene: Scene) -> Script:
    if scene.stream:
        return streamed(scene.form, _begun(scene).replace(b"Hel", b"\xff\xfe"))
    return whole(_body(scene).replace(b"Hello", b"\xff\xfe"))


def _html(scene: Scene) -> Script:
    return Script(pieces=[b"<html><h1>Welcome to the captive portal</h1></html>"], content_type="text/html")


def _other_way(scene: Scene) -> Script:
    """A stream where a whole answer was asked for, and the reverse."""
    return whole(speech.whole(scene.form)) if scene.stream else streamed(scene.form, *speech.streamed(scene.form))


def _early_end(scene: Scene) -> Script:
    return streamed(scene.form, speech.end(scene.form))


def _no_end(scene: Scene) -> Script:
    return streamed(scene.form, *speech.streamed(scene.form)[:-1])


def _nothing_said(scene: Scene) -> Script:
    return streamed(scene.form, speech.begin(scene.form))


def _doubled(scene: Scene) -> Script:
    first, second, *rest = speech.streamed(scene.form)
    return streamed(scene.form, first, second, second, *rest)


def _crossed(scene: Scene) -> Script:
    """Content of a choice or block that nobody announced, in the middle of that of the first."""
    first, *rest = speech.streamed(scene.form)
    return streamed(scene.form, first, speech.say(scene.form, "?", index=3), *rest)


COUNTS = {
    "openai": ("prompt_tokens", "completion_tokens"),
    "anthropic": ("input_tokens", "output_tokens"),
    "responses": ("input_tokens", "output_tokens"),
    "gemini": ("promptTokenCount", "candidatesTokenCount"),
    "ollama": ("prompt_eval_count", "eval_count"),
}


def _spent(count: int) -> Callable[[Scene], Script]:
    def script(scene: Scene) -> Script:
        usage = dict.fromkeys(COUNTS[scene.form], count)
        if scene.form in ("openai", "responses"):
            usage["total_tokens"] = 2 * count
        if not scene.stream:
            return whole(speech.whole(scene.form, usage))
        first, second, _, end = speech.streamed(scene.form)
        return streamed(scene.form, first, second, speech.finish(scene.form, usage), end)

    return script


def _flooded(scene: Scene) -> Script:
    fields = b"".join(b"x-%d: y\r\n" % number for number in range(1000))
    return Script(raw=b"HTTP/1.1 200 OK\r\n" + fields + b"content-length: 2\r\n\r\n{}")


def _not_http(scene: Scene) -> Script:
    return Script(raw=b"SSH-2.0-OpenSSH_9.6\r\n")


def _silent(scene: Scene) -> Script:
    return Script(silent=True)


def _reset(scene: Scene) -> Script:
    return Script(refuse=True)


def _head_only(scene: Scene) -> Script:
    return streamed(scene.form, hang=True) if scene.stream else Script(hang=True)


def _no_content(scene: Scene) -> Script:
    return streamed(scene.form, speech.begin(scene.form), hang=True)


def _error_first(scene: Scene) -> Script:
    return streamed(scene.form, _broken(scene), *speech.streamed(scene.form))


def _error_later(scene: Scene) -> Script:
    return _late(_broken(scene), *speech.streamed(scene.form)[1:])(scene)


def _garbage_later(scene: Scene) -> Script:
    return _late(_garbage(scene.form), *speech.streamed(scene.form)[1:])(scene)


# -------------------------------------------------------------------------------------------------------- the table

STREAM = (True,)
MARKED = ("openai", "anthropic")
"""The formats whose streams have an end mark of their own, and name a piece by the index of what it belongs to alone."""
TOLD = ("openai", "anthropic", "responses", "gemini")
"""The formats whose errors say more than a text, also where there is no status."""

FAULTS = (
    # The connection
    Fault("refused", "nobody listens", _good, "connect", 502, address="closed"),
    Fault("tls-failed", "no TLS where it was expected", _good, "connect", 502, address="tls"),
    Fault("reset-first", "a reset before a byte of an answer", _reset, "connect", 502),
    Fault("not-http", "an answer that is not HTTP", _not_http, "malformed", 502),
    Fault("header-flood", "a thousand header fields", _flooded, "malformed", 502),
    Fault("hang-first", "silence instead of an answer", _silent, "timeout", 504),
    Fault("hang-after-head", "a head, then silence", _head_only, "timeout", 504),
    Fault(
        "hang-before-content", "a stream that begins, then silence", _no_content, "timeout", 504, "late", streams=STREAM
    ),
    Fault("hang-within", "silence in the middle", _half(hang=True), "timeout", 504, "event"),
    Fault("reset-within", "a reset in the middle", _half(cut=True), "truncated", 502, "event"),
    Fault("closed-within", "an end in the middle", _cut_short, "truncated", 502, "event"),
    Fault("drip", "a slow drip within the deadlines", _drip(0.1), "success", 200, "answer"),
    Fault("drip-too-long", "a slow drip beyond the total deadline", _drip(0.5), "timeout", 504, "event"),
    # The status
    Fault("302", "a redirect, which is never followed", _status(302, location="/x"), "malformed", 502),
    Fault("202", "a success without an answer", _status(202), "malformed", 502),
    Fault("400", "the request is wrong", _status(400), "invalid", 400),
    Fault("400-out-of-credit", "Anthropic's way to say so", _out_of_credit, "quota", 402, forms=("anthropic",)),
    Fault("401", "the key is wrong", _status(401), "auth", 401),
    Fault("402", "the account must pay", _status(402), "quota", 402),
    Fault("403", "the key may not", _status(403), "auth", 403),
    Fault("404", "there is no such model", _status(404), "invalid", 404),
    Fault("408", "the provider timed out", _status(408), "timeout", 408),
    Fault("409", "a conflict", _status(409), "invalid", 409),
    Fault("413", "the request is too large", _status(413), "invalid", 413),
    Fault("422", "the request makes no sense", _status(422), "invalid", 422),
    Fault("429", "too many requests", _status(429), "rate_limited", 429),
    Fault(
        "429-retry-after", "the same, with a time", _status(429, retry_after="77"), "rate_limited", 429, retry_after=77
    ),
    Fault("429-quota", "the account is out of money", _out_of_money, "quota", 429, forms=("openai", "responses")),
    Fault("500", "it failed", _status(500), "server_error", 500),
    Fault("502", "what is behind it failed", _status(502), "server_error", 502),
    Fault("503", "it is not available", _status(503), "overloaded", 503),
    Fault(
        "503-retry-after", "the same, with a time", _status(503, retry_after="99"), "overloaded", 503, retry_after=99
    ),
    Fault("504", "what is behind it timed out", _status(504), "timeout", 504),
    Fault("529", "it is overloaded", _status(529), "overloaded", 529),
    # The body
    Fault("error-in-200", "an error under status 200", _error_in_200, "server_error", 500, forms=TOLD),
    Fault("error-in-200-bare", "the same as a mere text", _error_in_200, "server_error", 502, forms=("ollama",)),
    Fault("error-first", "an error as the first event", _error_first, "server_error", 500, streams=STREAM, forms=TOLD),
    Fault("error-later", "an error after content", _error_later, "server_error", 500, "event", streams=STREAM),
    Fault("html", "a page of a captive portal", _html, "malformed", 502),
    Fault("empty", "an empty body", _bodiless, "malformed", 502, stream_kind="truncated"),
    Fault("truncated-json", "JSON that breaks off", _truncated, "malformed", 502, "event", "truncated"),
    Fault("invalid-json", "no JSON", _invalid, "malformed", 502),
    Fault("invalid-json-later", "no JSON after content", _garbage_later, "malformed", 502, "event", streams=STREAM),
    Fault("not-utf-8", "bytes that are no text", _not_text, "malformed", 502),
    Fault("nothing-said", "a stream that begins and ends", _nothing_said, "truncated", 502, "late", streams=STREAM),
    Fault("early-end", "the end mark and nothing else", _early_end, "truncated", 502, streams=STREAM, forms=MARKED),
    Fault(
        "no-end", "a whole stream without its end mark", _no_end, "success", 200, "answer", streams=STREAM, forms=MARKED
    ),
    Fault("other-way", "a stream for a whole answer, or the reverse", _other_way, "success", 200, "answer"),
    Fault("doubled", "a piece that comes twice", _doubled, "success", 200, "answer", streams=STREAM, text="Hellolo"),
    Fault(
        "crossed",
        "a piece of something unannounced",
        _crossed,
        "success",
        200,
        "answer",
        streams=STREAM,
        forms=MARKED,
        text=None,
    ),
    Fault("usage-huge", "10^18 tokens", _spent(HUGE), "success", 200, "answer"),
    Fault("usage-negative", "less than no tokens", _spent(-5), "success", 200, "answer"),
)
