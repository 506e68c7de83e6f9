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
from support.providers import Says, broken_off, event_of, provider_of, refusing, saying, stream_of
from support.rig import FORMATS, KEY, MODELS, PAIRS, Rig
from support.sdks import Heard
from support.upstream import Asked, Script, events, whole

NODE = {"openai": "open", "anthropic": "anth"}
OTHER = {"openai": "anthropic", "anthropic": "openai"}
FALLING_BACK = ("overloaded", "server_error", "rate_limited", "auth", "truncated", "malformed", "connect")
"""The outcomes of a provider's own failures."""
SPARE = "The spare answers."

COMBOS = """
combos:
  open-first: {targets: [open/first, anth/second]}
  anth-first: {targets: [anth/first, open/second]}
"""
WAYS = ("whole", "stream")
pairs = pytest.mark.parametrize(("client", "upstream"), PAIRS)
every = pytest.mark.parametrize(("client", "upstream", "way"), [(*pair, way) for pair in PAIRS for way in WAYS])


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    aliases = ', "open1-*": open-first, "anth1-*": anth-first'
    with Rig(COMBOS, aliases=aliases, server=", ping_interval: 20ms") as rig:
        yield rig


def name_of(request: pytest.FixtureRequest, prefix: str) -> str:
    """A name that no other test asks for, to find its row in the ledger by."""
    return f"{prefix}-{request.node.name}".translate(str.maketrans("[]*", "___"))


def failing(rig: Rig, client: str, **request: Any) -> Any:
    """The exception that a request raises, of the SDK's own kind."""
    sdk = rig.sdks[client]
    with pytest.raises(sdk.errors.APIError) as raised:
        sdk.ask(request.pop("way", "whole"), **request)
    return raised.value


def error_of(error: Any) -> dict[str, Any]:
    """The error that an exception tells: OpenAI's SDK has taken the envelope off."""
    assert isinstance(error.body, dict), f"{error!r} of {error.__cause__!r}"
    return error.body.get("error", error.body)


# ------------------------------------------------------------------------------------------------ refusals of a provider


@dataclass(frozen=True)
class Refusal:
    """A status, the provider's own type for it in each format, and what the SDKs make of it."""

    status: int
    types: tuple[str, str]
    raises: tuple[str, str]
    kind: str


REFUSALS = [
    Refusal(400, ("invalid_request_error", "invalid_request_error"), ("BadRequestError",) * 2, "invalid_request"),
    Refusal(401, ("invalid_request_error", "authentication_error"), ("AuthenticationError",) * 2, "authentication"),
    Refusal(403, ("permission_error", "permission_error"), ("PermissionDeniedError",) * 2, "permission"),
    Refusal(404, ("invalid_request_error", "not_found_error"), ("NotFoundError",) * 2, "not_found"),
    Refusal(413, ("invalid_request_error", "request_too_large"), ("APIStatusError", "ContentTooLargeError"), "too_large"),
    Refusal(422, ("invalid_request_error", "invalid_request_error"), ("UnprocessableEntityError",) * 2, "invalid_request"),
    Refusal(429, ("rate_limit_exceeded", "rate_limit_error"), ("RateLimitError",) * 2, "rate_limited"),
    Refusal(500, ("server_error", "api_error"), ("InternalServerError",) * 2, "server"),
    Refusal(503, ("server_error", "api_error"), ("InternalServerError", "ServiceUnavailableError"), "unavailable"),
    Refusal(529, ("server_error", "overloaded_error"), ("InternalServerError", "OverloadedError"), "overloaded"),
]  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: str(refusal.status))
@every
def test_a_refusal_keeps_its_class_and_says_who_spoke(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str, way: str, refusal: Refusal
):
    rig.script(refusing(refusal.status, refusal.types[FORMATS.index(upstream)], "No such thing here."))
    model = name_of(request, NODE[upstream])
    error = failing(rig, client, way=way, model=model)
    assert type(error).__name__ == refusal.raises[FORMATS.index(client)]
    assert error.status_code == refusal.status
    told = error_of(error)
    assert told["message"] == f"[{NODE[upstream]}] No such thing here."
    if client == upstream:
        assert told["type"] == refusal.types[FORMATS.index(client)]
    assert error.response.headers["x-request-id"]
    assert error.response.headers["x-omniroute-provider"] == NODE[upstream]
    assert len(rig.upstream.asked) == 1
    said = {"status": refusal.status, "error": refusal.kind, "stream": way == "stream"}
    rig.books(model, input=0, output=0, cost=None, **said)


@pytest.mark.parametrize("client", FORMATS)
def test_type_code_and_param_of_a_refusal_are_kept(rig: Rig, client: str):
    rig.script(refusing(400, "image_parse_error", "It is no image.", code="invalid_image", param="messages[0]"))
    error = failing(rig, client, model=MODELS["openai"])
    assert "[open] It is no image." in str(error)
    if client == "openai":
        assert (error.type, error.code, error.param) == ("image_parse_error", "invalid_image", "messages[0]")
    else:
        assert error_of(error)["type"] == "invalid_request_error"
        assert error.body["request_id"] == error.response.headers["x-request-id"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_the_callers_own_mistake_is_not_tried_on_another_target(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str, way: str
):
    rig.script(refusing(400, "invalid_request_error", "Bad.", code="x", param="messages"))
    model = name_of(request, f"{NODE[upstream]}1")
    error = failing(rig, client, way=way, model=model)
    assert error.status_code == 400
    assert [provider_of(asked) for asked in rig.upstream.asked] == [upstream]
    rig.books(model, outcomes=["invalid"])


@pairs
def test_retry_after_reaches_the_client(rig: Rig, client: str, upstream: str):
    rig.script(refusing(429, "rate_limit_error", "Slow down.", retry_after="7"))
    error = failing(rig, client, model=MODELS[upstream])
    assert error.response.headers["retry-after"] == "7"


@pairs
def test_a_refusal_that_is_not_json_says_its_status_and_no_more(rig: Rig, client: str, upstream: str):
    page = b"<html>nginx at 10.2.3.4 says 502</html>"
    rig.script(lambda asked: Script(502, {}, [page], content_type="text/html"))
    error = failing(rig, client, model=MODELS[upstream])
    assert error.status_code == 502
    assert "10.2.3.4" not in str(error)
    assert f"[{NODE[upstream]}]" in str(error)


@pairs
def test_a_connection_that_is_dropped_is_a_server_error(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str
):
    rig.script(lambda asked: Script(refuse=True))
    model = name_of(request, NODE[upstream])
    error = failing(rig, client, model=model)
    assert error.status_code >= 500
    assert NODE[upstream] in str(error)
    rig.books(model, status=error.status_code)


@pairs
def test_an_answer_that_is_not_the_formats_is_a_server_error(rig: Rig, client: str, upstream: str):
    rig.script(lambda asked: whole({"what": "is this"}))
    error = failing(rig, client, model=MODELS[upstream])
    assert error.status_code == 502
    assert f"[{NODE[upstream]}]" in str(error)


# ------------------------------------------------------------------------------------------------------------ fallback

OVERLOADED = {
    "openai": {"message": "Overloaded now", "type": "overloaded_error", "code": None, "param": None},
    "anthropic": {"type": "overloaded_error", "message": "Overloaded now"},
}
LONG = Says(text="This is how it begins, and so it goes on", thinking="Hm, let me see", signature="c2ln", size=4)


def before_content(upstream: str) -> int:
    """How many events a stream has before the first that says anything."""
    return 1 if upstream == "openai" else 2


FAILURES: dict[str, Callable[[str], Script]] = {
    "error event": lambda upstream: broken_off(upstream, LONG, after=before_content(upstream), error=OVERLOADED[upstream]),
    "error at once": lambda upstream: broken_off(upstream, LONG, after=0, error=OVERLOADED[upstream]),
    "truncated": lambda upstream: broken_off(upstream, LONG, after=before_content(upstream)),
    "empty": lambda upstream: events(),
    "dropped": lambda upstream: events(*list(stream_of(upstream, LONG))[: before_content(upstream)], cut=True),
    "refused": lambda upstream: Script(refuse=True),
    "garbage": lambda upstream: events(b"data: {not json\n\n"),
    "content and error at once": lambda upstream: events(
        until_content(upstream) + broken_off(upstream, LONG, after=0, error=OVERLOADED[upstream]).pieces[0]
    ),
    "500": lambda upstream: whole({"error": {"message": "Boom"}}, 500),
    "429": lambda upstream: whole({"error": {"message": "Slow down"}}, 429),
    "401": lambda upstream: whole({"error": {"message": "Who are you?"}}, 401),
    "529": lambda upstream: whole({"error": {"message": "Overloaded"}}, 529),
}  # fmt: skip


def first_fails(upstream: str, failure: Callable[[str], Script]) -> Callable[[Asked], Script]:
    def script(asked: Asked) -> Script:
        return failure(upstream) if asked.json["model"] == "first" else saying(Says(text=SPARE))(asked)

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
    models = [asked.json["model"] for asked in rig.upstream.asked]
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


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 503, 529])
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
    assert f"[{NODE[OTHER[upstream]]}] Out of order." in str(error)
    assert error.response.headers["x-omniroute-attempts"] == "2"
    assert len(rig.upstream.asked) == 2
    rig.books(model, status=500, outcomes=["server_error", "server_error"])


# ----------------------------------------------------------------------------------------------------- after the content


def until_content(upstream: str) -> bytes:
    """A stream up to where it has said `This is `."""
    pieces = list(stream_of(upstream, LONG))
    spoken = next(at for at, piece in enumerate(pieces) if b"is " in piece and b"thinking" not in piece)
    return b"".join(pieces[: spoken + 1])


BREAKS: dict[str, Callable[[str], dict[str, Any]]] = {
    "error event": lambda upstream: {"rest": broken_off(upstream, LONG, after=0, error=OVERLOADED[upstream]).pieces},
    "garbage": lambda upstream: {"rest": [b"data: {not json\n\n"]},
    "truncated": lambda upstream: {"rest": []},
    "dropped": lambda upstream: {"rest": [], "cut": True},
}


def breaking(upstream: str, broken: str, hold: Future[None]) -> Script:
    """A stream that fails only when its content has been heard."""
    how = BREAKS[broken](upstream)
    return events(until_content(upstream), *how.pop("rest"), hold=hold, **how)


def listen(rig: Rig, client: str, model: str, hold: Future[None] | None = None) -> tuple[str, Any]:
    """The text of a stream up to the exception that ends it; releases `hold` once the text is there."""
    sdk = rig.sdks[client]
    text = ""
    with pytest.raises(sdk.errors.APIError) as raised:
        for piece in pieces_of_text(sdk, model):
            text += piece
            if text == "This is " and hold is not None:
                hold.set_result(None)
    return text, raised.value


def pieces_of_text(sdk: Any, model: str) -> Iterator[str]:
    messages: Any = [{"role": "user", "content": "Go on"}]
    if sdk.name == "openai":
        for chunk in sdk.client.chat.completions.create(model=model, messages=messages, stream=True):
            assert chunk.choices, chunk
            yield chunk.choices[0].delta.content or ""
    else:
        with sdk.client.messages.stream(model=model, messages=messages, max_tokens=100) as stream:
            yield from stream.text_stream


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
    told = error_of(error)
    assert told["message"].startswith(f"[{NODE[upstream]}] ")
    assert type(error).__name__ == ("APIError" if client == "openai" else "APIStatusError")
    if broken == "error event":
        assert told["message"] == f"[{NODE[upstream]}] Overloaded now"
        assert told["type"] == "overloaded_error"
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
    assert error_of(error)["message"].startswith(f"[{NODE[upstream]}]")
    rig.books(model, error=bool)


@pytest.mark.parametrize("upstream", FORMATS)
def test_what_comes_after_a_streams_end_is_not_heard(rig: Rig, upstream: str):
    again = list(stream_of(upstream, Says(text=" And again.")))
    rig.script(lambda asked: events(*stream_of(upstream, Says(text="Once.")), *again))
    for client in FORMATS:
        heard = rig.sdks[client].ask("stream", model=MODELS[upstream])
        assert heard.text == "Once."


@pytest.mark.parametrize("client", FORMATS)
def test_pings_and_unknown_events_disturb_no_client(rig: Rig, client: str):
    pieces = list(stream_of("anthropic", LONG))
    noise = [event_of({"type": "ping"}), b": a comment\n\n", event_of({"type": "of_tomorrow", "index": 0, "delta": 7})]
    rig.script(lambda asked: events(*(piece for one in pieces for piece in (one, *noise))))
    sdk = rig.sdks[client]
    messages: Any = [{"role": "user", "content": "Go on"}]
    if client == "openai":
        assert sdk.ask("stream", model=MODELS["anthropic"]).text == LONG.text
        assert sdk.ask("helper", model=MODELS["anthropic"]).text == LONG.text
    else:
        with sdk.client.messages.stream(model=MODELS["anthropic"], messages=messages, max_tokens=9) as stream:
            assert stream.get_final_text() == LONG.text


# ----------------------------------------------------------------------------------------------------------- the end


@pairs
def test_an_answer_is_over_when_it_says_so_whatever_its_provider_does_then(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str
):
    """SDKs leave at the end of an answer, before the end of its bytes: that is no client that went away."""
    hold: Future[None] = Future()
    rig.script(lambda asked: events(b"".join(stream_of(upstream, LONG)), hold=hold))
    model = name_of(request, NODE[upstream])
    began = time.monotonic()
    heard = rig.sdks[client].ask("stream", model=model)
    assert heard.text == LONG.text
    assert time.monotonic() - began < 5
    hold.set_result(None)
    rig.books(model, status=200, error="", outcomes=["success"], estimated=0, output=7)


@pairs
def test_a_failure_in_a_stream_ends_it_although_its_provider_goes_on(
    rig: Rig, request: pytest.FixtureRequest, client: str, upstream: str
):
    hold: Future[None] = Future()
    told = broken_off(upstream, LONG, after=0, error=OVERLOADED[upstream]).pieces
    rig.script(lambda asked: events(until_content(upstream), *told, hold=hold, hang=True))
    model = name_of(request, f"{NODE[upstream]}1")
    assert listen(rig, client, model, hold)[0] == "This is "
    rig.books(model, status=200, error=bool, outcomes=["overloaded"])


@pairs
def test_streams_leave_the_connection_to_their_provider_open_for_the_next(rig: Rig, client: str, upstream: str):
    rig.script(Says(text="Hello"))
    rig.ask(client, upstream, "stream")
    before = rig.upstream.connections
    for way in ("stream", "helper", "whole") * 3:
        assert rig.ask(client, upstream, way).text == "Hello"
    assert rig.upstream.connections == before


@pairs
def test_the_gateways_own_pings_disturb_no_client(rig: Rig, client: str, upstream: str):
    pieces = [until_content(upstream), b"".join(stream_of(upstream, LONG))[len(until_content(upstream)) :]]
    for way in ("stream", "helper"):
        rig.script(lambda asked: events(*pieces, gap=0.1))
        assert rig.ask(client, upstream, way).text == LONG.text
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    path = "/v1/chat/completions" if client == "openai" else "/v1/messages"
    asked = {
        "model": MODELS[upstream],
        "max_tokens": 9,
        "stream": True,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    request = urllib.request.Request(rig.gateway.url + path, json.dumps(asked).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        assert b"ping" in answer.read()
