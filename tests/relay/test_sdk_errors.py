"""What goes wrong at a provider of each format is the right exception of each official SDK, and costs one row."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest
from support.providers import VOICES, Says, broken_off, provider_of, refusing, saying, stream_of, streamed
from support.rig import FORMATS, KEY, MODELS, NODE, PAIRS, Rig
from support.sdks import SDKS, Failed, Heard
from support.upstream import Asked, Script, whole

OTHER = {
    "openai": "anthropic",
    "responses": "gemini",
    "anthropic": "openai",
    "gemini": "ollama",
    "ollama": "responses",
}
"""Whose answer makes good what an upstream of a format fails to give."""
ENDING = ("openai", "responses", "anthropic", "ollama")
"""The upstreams whose streams say that they end; Google's go on until their bytes do not."""
FALLING_BACK = ("overloaded", "server_error", "rate_limited", "auth", "truncated", "malformed", "connect")
"""The outcomes of a provider's own failures."""
SPARE = "The spare answers."

COMBOS = "combos:\n" + "".join(
    f"  {NODE[form]}-first: {{targets: [{NODE[form]}/first, {NODE[other]}/second]}}\n" for form, other in OTHER.items()
)
ALIASES = "".join(f', "{node}1-*": {node}-first' for node in NODE.values())
WAYS = ("whole", "stream")
pairs = pytest.mark.parametrize(("client", "upstream"), PAIRS)
every = pytest.mark.parametrize(("client", "upstream", "way"), [(*pair, way) for pair in PAIRS for way in WAYS])


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(COMBOS, aliases=ALIASES, server=", ping_interval: 20ms") as rig:
        yield rig


def asked_for(asked: Asked) -> str:
    """The model that a provider is asked for."""
    if provider_of(asked) == "gemini":
        return asked.path.rpartition("/")[2].partition(":")[0]
    return asked.json["model"]


def name_of(request: pytest.FixtureRequest, prefix: str) -> str:
    """A name that no other test asks for, to find its row in the ledger by."""
    return f"{prefix}-{request.node.name}".translate(str.maketrans("[]*", "___"))


def failing(rig: Rig, client: str, **request: Any) -> Failed:
    """The failure of a request, by an exception of the SDK's own kind."""
    sdk = rig.sdks[client]
    with pytest.raises(sdk.error) as raised:
        sdk.ask(request.pop("way", "whole"), **request)
    return sdk.failed(raised.value)


# ------------------------------------------------------------------------------------------------ refusals of a provider


@dataclass(frozen=True)
class Refusal:
    """A status, the provider's own type for it in each format, and what the SDKs make of it."""

    status: int
    types: tuple[str, str]
    raises: tuple[str, str]
    kind: str
    google: str

    def type_of(self, form: str) -> str | None:
        theirs = {"anthropic": self.types[1], "gemini": self.google, "ollama": None}
        return theirs.get(form, self.types[0])

    def raised_by(self, client: str) -> str:
        google = "ClientError" if self.status < 500 else "ServerError"
        return {"anthropic": self.raises[1], "gemini": google, "ollama": "ResponseError"}.get(client, self.raises[0])


INVALID, FAILING = "invalid_request_error", "server_error"
REFUSALS = [
    Refusal(400, (INVALID, INVALID), ("BadRequestError",) * 2, "invalid_request", "INVALID_ARGUMENT"),
    Refusal(401, (INVALID, "authentication_error"), ("AuthenticationError",) * 2, "authentication", "UNAUTHENTICATED"),
    Refusal(403, ("permission_error",) * 2, ("PermissionDeniedError",) * 2, "permission", "PERMISSION_DENIED"),
    Refusal(404, (INVALID, "not_found_error"), ("NotFoundError",) * 2, "not_found", "NOT_FOUND"),
    Refusal(
        413, (INVALID, "request_too_large"), ("APIStatusError", "ContentTooLargeError"), "too_large", "INVALID_ARGUMENT"
    ),
    Refusal(422, (INVALID, INVALID), ("UnprocessableEntityError",) * 2, "invalid_request", "INVALID_ARGUMENT"),
    Refusal(
        429, ("rate_limit_exceeded", "rate_limit_error"), ("RateLimitError",) * 2, "rate_limited", "RESOURCE_EXHAUSTED"
    ),
    Refusal(500, (FAILING, "api_error"), ("InternalServerError",) * 2, "server", "INTERNAL"),
    Refusal(
        503, (FAILING, "api_error"), ("InternalServerError", "ServiceUnavailableError"), "unavailable", "UNAVAILABLE"
    ),
    Refusal(
        529, (FAILING, "overloaded_error"), ("InternalServerError", "OverloadedError"), "overloaded", "UNAVAILABLE"
    ),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal.status))
@every
def test_a_refusal_keeps_its_class_and_says_who_spoke(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str, way: str, refusal: Refusal
):
    rig.script(refusing(refusal.status, refusal.type_of(upstream) or "", "No such thing here."))
    model = name_of(request, NODE[upstream])
    error = failing(rig, client, way=way, model=model)
    assert error.name == refusal.raised_by(client)
    assert error.status == refusal.status
    assert error.message == f"[{NODE[upstream]}] No such thing here."
    if client in (upstream, "gemini"):
        assert error.type == refusal.type_of(client)
    assert error.headers["x-request-id"]
    assert error.headers["x-omniroute-provider"] == NODE[upstream]
    assert len(rig.upstream.asked) == 1
    said = {"status": refusal.status, "error": refusal.kind, "stream": way == "stream"}
    rig.books(model, input=0, output=0, cost=None, **said)


OF_AN_IMAGE = {
    "openai": ("image_parse_error", "invalid_image", "messages[0]"),
    "responses": ("image_parse_error", "invalid_image", "messages[0]"),
    "anthropic": ("invalid_request_error", None, None),
    "gemini": ("INVALID_ARGUMENT", "invalid_image", "messages[0]"),
    "ollama": (None, None, None),
}
"""Type, code and place of the same error, as far as a client has places for them."""


@pytest.mark.parametrize("upstream", ["openai", "responses"])
@pytest.mark.parametrize("client", FORMATS)
def test_type_code_and_param_of_a_refusal_are_kept(rig: Rig, client: str, upstream: str):
    rig.script(refusing(400, "image_parse_error", "It is no image.", code="invalid_image", param="messages[0]"))
    error = failing(rig, client, model=MODELS[upstream])
    assert error.message == f"[{NODE[upstream]}] It is no image."
    assert (error.type, error.code, error.param) == OF_AN_IMAGE[client]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_the_callers_own_mistake_is_not_tried_on_another_target(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str, way: str
):
    rig.script(refusing(400, "invalid_request_error", "Bad.", code="x", param="messages"))
    model = name_of(request, f"{NODE[upstream]}1")
    error = failing(rig, client, way=way, model=model)
    assert error.status == 400
    assert [provider_of(asked) for asked in rig.upstream.asked] == [upstream]
    rig.books(model, outcomes=["invalid"])


@pairs
def test_retry_after_reaches_the_client(rig: Rig, client: str, upstream: str):
    rig.script(refusing(429, "rate_limit_error", "Slow down.", retry_after="7"))
    error = failing(rig, client, model=MODELS[upstream])
    assert error.headers["retry-after"] == "7"


@pairs
def test_a_refusal_that_is_not_json_says_its_status_and_no_more(rig: Rig, client: str, upstream: str):
    page = b"<html>nginx at 10.2.3.4 says 502</html>"
    rig.script(lambda asked: Script(502, {}, [page], content_type="text/html"))
    error = failing(rig, client, model=MODELS[upstream])
    assert error.status == 502
    assert "10.2.3.4" not in error.message
    assert f"[{NODE[upstream]}]" in error.message


@pairs
def test_a_connection_that_is_dropped_is_a_server_error(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str
):
    rig.script(lambda asked: Script(refuse=True))
    model = name_of(request, NODE[upstream])
    error = failing(rig, client, model=model)
    assert error.status == 502
    assert f"[{NODE[upstream]}]" in error.message
    rig.books(model, status=502)


@pairs
def test_an_answer_that_is_not_the_formats_is_a_server_error(rig: Rig, client: str, upstream: str):
    rig.script(lambda asked: whole({"what": "is this"}))
    error = failing(rig, client, model=MODELS[upstream])
    assert error.status == 502
    assert f"[{NODE[upstream]}]" in error.message


# ------------------------------------------------------------------------------------------------------------ fallback

OVERLOADED = "Overloaded now"
LONG = Says(text="This is how it begins, and so it goes on", thinking="Hm, let me see", signature="c2ln", size=4)
BEGINNING = {"openai": 1, "responses": 4, "anthropic": 2, "gemini": 0, "ollama": 0}
"""How many events a stream has before the first that says anything."""


def begun(upstream: str) -> list[bytes]:
    return list(stream_of(upstream, LONG))[: BEGINNING[upstream]]


def garbage(upstream: str) -> bytes:
    return b"{not json\n" if upstream == "ollama" else b"data: {not json\n\n"


FAILURES: dict[str, Callable[[str], Script]] = {
    "error event": lambda upstream: broken_off(upstream, LONG, after=BEGINNING[upstream], error=OVERLOADED),
    "error at once": lambda upstream: broken_off(upstream, LONG, after=0, error=OVERLOADED),
    "truncated": lambda upstream: broken_off(upstream, LONG, after=BEGINNING[upstream]),
    "empty": lambda upstream: streamed(upstream),
    "dropped": lambda upstream: streamed(upstream, *begun(upstream), cut=True),
    "refused": lambda upstream: Script(refuse=True),
    "garbage": lambda upstream: streamed(upstream, garbage(upstream)),
    "content and error at once": lambda upstream: streamed(
        upstream, until_content(upstream) + VOICES[upstream].failure(OVERLOADED)
    ),
    "500": lambda upstream: whole({"error": {"message": "Boom"}}, 500),
    "429": lambda upstream: whole({"error": {"message": "Slow down"}}, 429),
    "401": lambda upstream: whole({"error": {"message": "Who are you?"}}, 401),
    "529": lambda upstream: whole({"error": {"message": "Overloaded"}}, 529),
}


def first_fails(upstream: str, failure: Callable[[str], Script]) -> Callable[[Asked], Script]:
    def script(asked: Asked) -> Script:
        return failure(upstream) if asked_for(asked) == "first" else saying(Says(text=SPARE))(asked)

    return script


@pytest.mark.parametrize("failure", FAILURES)
@pairs
def test_a_failure_before_the_first_content_leads_to_the_next_target(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str, failure: str
):
    rig.script(first_fails(upstream, FAILURES[failure]))
    model = name_of(request, f"{NODE[upstream]}1")
    heard: Heard = rig.sdks[client].ask("stream", model=model)
    assert heard.text == SPARE
    assert heard.thinking == ""
    assert heard.models == {model}
    assert heard.headers["x-omniroute-provider"] == NODE[OTHER[upstream]]
    assert heard.headers["x-omniroute-attempts"] == "2"
    models = [asked_for(asked) for asked in rig.upstream.asked]
    assert models in (["first", "second"], ["first", "first", "second"] if failure == "refused" else None), (
        "only a connection that was closed under the request may be tried again"
    )
    rig.books(
        model,
        targets=[f"{NODE[upstream]}/first", f"{NODE[OTHER[upstream]]}/second"],
        outcomes=lambda outcomes: outcomes[0] in FALLING_BACK and outcomes[1] == "success",
        status=200,
        error="",
        provider=NODE[OTHER[upstream]],
        input=11,
        output=7,
    )


@pytest.mark.parametrize("status", [401, 429, 500, 529])
@pairs
def test_a_whole_answer_falls_back_too(rig: Rig, client: str, upstream: str, status: int):
    rig.script(first_fails(upstream, lambda _: whole({"error": {"message": "No"}}, status)))
    heard = rig.sdks[client].ask("whole", model=f"{NODE[upstream]}1-whole")
    assert heard.text == SPARE
    assert heard.headers["x-omniroute-attempts"] == "2"


@pairs
def test_when_all_targets_fail_the_last_one_is_told(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str
):
    rig.script(refusing(500, "server_error", "Out of order."))
    model = name_of(request, f"{NODE[upstream]}1")
    error = failing(rig, client, model=model)
    assert error.message == f"[{NODE[OTHER[upstream]]}] Out of order."
    assert error.headers["x-omniroute-attempts"] == "2"
    assert len(rig.upstream.asked) == 2
    rig.books(model, status=500, outcomes=["server_error", "server_error"])


# ----------------------------------------------------------------------------------------------------- after the content


def until_content(upstream: str) -> bytes:
    """A stream up to where it has said `This is `."""
    pieces = list(stream_of(upstream, LONG))
    spoken = next(at for at, piece in enumerate(pieces) if b'" is "' in piece)
    return b"".join(pieces[: spoken + 1])


BREAKS: dict[str, Callable[[str], dict[str, Any]]] = {
    "error event": lambda upstream: {"rest": [VOICES[upstream].failure(OVERLOADED)]},
    "garbage": lambda upstream: {"rest": [garbage(upstream)]},
    "truncated": lambda upstream: {"rest": []},
    "dropped": lambda upstream: {"rest": [], "cut": True},
}


def breaking(upstream: str, broken: str, hold: Future[None]) -> Script:
    """A stream that fails only when its content has been heard."""
    how = BREAKS[broken](upstream)
    return streamed(upstream, until_content(upstream), *how.pop("rest"), hold=hold, **how)


def listen(rig: Rig, client: str, model: str, hold: Future[None] | None = None) -> tuple[str, Failed]:
    """The text of a stream up to the exception that ends it; releases `hold` once the text is there."""
    sdk = rig.sdks[client]
    text = ""
    with pytest.raises(sdk.error) as raised:
        for piece in sdk.texts(model):
            text += piece
            if text == "This is " and hold is not None and not hold.done():
                hold.set_result(None)
    return text, sdk.failed(raised.value)


BROKEN = {
    "openai": "APIError",
    "responses": "Broken",
    "anthropic": "APIStatusError",
    "gemini": "ServerError",
    "ollama": "ResponseError",
}
"""The exception that ends a stream."""


@pytest.mark.parametrize("broken", BREAKS)
@pairs
def test_a_failure_after_content_is_the_sdks_error_and_never_a_second_answer(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str, broken: str
):
    hold: Future[None] = Future()
    rig.script(lambda asked: breaking(upstream, broken, hold))
    model = name_of(request, f"{NODE[upstream]}1")
    text, error = listen(rig, client, model, hold)
    assert text == "This is "
    assert error.message.startswith(f"[{NODE[upstream]}] ")
    assert error.name == BROKEN[client]
    if broken == "error event":
        assert error.message == f"[{NODE[upstream]}] Overloaded now"
        if client == upstream != "responses":
            assert error.type == (VOICES[upstream].OVERLOADED or None)
    assert len(rig.upstream.asked) == 1
    failed = lambda outcomes: len(outcomes) == 1 and outcomes[0] in FALLING_BACK  # noqa: E731 - a condition
    rig.books(model, status=200, error=bool, output=bool, estimated=1, outcomes=failed)


@pytest.mark.parametrize("failure", ["error event", "error at once", "truncated", "garbage", "empty", "dropped"])
@pairs
def test_the_last_target_has_its_failure_told_whenever_it_comes(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str, failure: str
):
    rig.script(lambda asked: FAILURES[failure](upstream))
    model = name_of(request, NODE[upstream])
    text, error = listen(rig, client, model)
    assert text == ""
    assert error.message.startswith(f"[{NODE[upstream]}]")
    rig.books(model, error=bool)


@pytest.mark.parametrize("upstream", ENDING)
def test_what_comes_after_a_streams_end_is_not_heard(rig: Rig, upstream: str):
    again = list(stream_of(upstream, Says(text=" And again.")))
    rig.script(lambda asked: streamed(upstream, *stream_of(upstream, Says(text="Once.")), *again))
    for client in FORMATS:
        heard = rig.sdks[client].ask("stream", model=MODELS[upstream])
        assert heard.text == "Once."


NOISE = {
    "openai": [b": a comment\n\n", b"event: of_tomorrow\ndata: {}\n\n"],
    "responses": [b": a comment\n\n", VOICES["responses"].event({"type": "response.of_tomorrow", "delta": "x"})],
    "anthropic": [
        VOICES["anthropic"].event({"type": "ping"}),
        b": a comment\n\n",
        VOICES["anthropic"].event({"type": "of_tomorrow", "index": 0, "delta": 7}),
    ],
    "gemini": [b": a comment\n\n", VOICES["gemini"].event({"modelVersion": "x", "of_tomorrow": 1})],
    "ollama": [b"\n"],
}
"""What a stream may hold beside its events."""


@pytest.mark.parametrize(("client", "upstream"), [pair for pair in PAIRS if pair[0] != pair[1]])
def test_pings_and_unknown_events_disturb_no_client(rig: Rig, client: str, upstream: str):
    pieces = list(stream_of(upstream, LONG))
    rig.script(lambda asked: streamed(upstream, *(piece for one in pieces for piece in (*NOISE[upstream], one))))
    for way in SDKS[client].ways[1:]:
        assert rig.ask(client, upstream, way).text == LONG.text


# ----------------------------------------------------------------------------------------------------------- the end


@pytest.mark.parametrize(("client", "upstream"), [pair for pair in PAIRS if pair[1] in ENDING])
def test_an_answer_is_over_when_it_says_so_whatever_its_provider_does_then(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str
):
    """SDKs leave at the end of an answer, before the end of its bytes: that is no client that went away."""
    hold: Future[None] = Future()
    rig.script(lambda asked: streamed(upstream, b"".join(stream_of(upstream, LONG)), hold=hold))
    model = name_of(request, NODE[upstream])
    began = time.monotonic()
    heard = rig.sdks[client].ask("stream", model=model)
    assert heard.text == LONG.text
    assert time.monotonic() - began < 5
    if not hold.done():  # the gateway waits for its provider a quarter of a second, and a client may take longer
        hold.set_result(None)
    rig.books(model, status=200, error="", outcomes=["success"], estimated=0, output=7)


@pairs
def test_a_failure_in_a_stream_ends_it_although_its_provider_goes_on(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str
):
    hold: Future[None] = Future()
    told = VOICES[upstream].failure(OVERLOADED)
    rig.script(lambda asked: streamed(upstream, until_content(upstream), told, hold=hold, hang=True))
    model = name_of(request, f"{NODE[upstream]}1")
    assert listen(rig, client, model, hold)[0] == "This is "
    rig.books(model, status=200, error=bool, outcomes=["server_error" if upstream == "ollama" else "overloaded"])


@pairs
def test_streams_leave_the_connection_to_their_provider_open_for_the_next(rig: Rig, client: str, upstream: str):
    rig.script(Says(text="Hello"))
    rig.ask(client, upstream, "stream")
    before = rig.upstream.connections
    for way in SDKS[client].ways * 3:
        assert rig.ask(client, upstream, way).text == "Hello"
    assert rig.upstream.connections == before


RAW: dict[str, Any] = {
    "openai": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
    "responses": ("/v1/responses", {"input": "Hi"}),
    "anthropic": ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}),
    "gemini": ("/v1beta/models/{}:streamGenerateContent?alt=sse", {"contents": [{"parts": [{"text": "Hi"}]}]}),
    "ollama": ("/api/chat", {"messages": [{"role": "user", "content": "Hi"}]}),
}
PINGS = {"openai": b": ping", "responses": b": ping", "anthropic": b"event: ping", "gemini": b"", "ollama": b""}
"""What shows that a stream is alive, in the formats that have a word for it."""


@pairs
def test_the_gateways_own_pings_disturb_no_client(rig: Rig, client: str, upstream: str):
    pieces = [until_content(upstream), b"".join(stream_of(upstream, LONG))[len(until_content(upstream)) :]]
    rig.script(lambda asked: streamed(upstream, *pieces, gap=0.05))
    for way in SDKS[client].ways[1:]:
        assert rig.ask(client, upstream, way).text == LONG.text
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    path, asked = RAW[client]
    body = json.dumps(asked | ({} if client == "gemini" else {"model": MODELS[upstream], "stream": True})).encode()
    request = urllib.request.Request(rig.gateway.url + path.format(MODELS[upstream]), body, headers)
    with urllib.request.urlopen(request) as answer:
        assert PINGS[client] in answer.read()
