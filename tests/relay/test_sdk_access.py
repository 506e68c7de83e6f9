"""Who may call what, what models there are, and how many tokens a prompt has: asked by the official SDKs."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.providers import Says, refusing, saying
from support.rig import FORMATS as CLIENTS
from support.rig import KEY, MODELS, NODE, Rig, digest
from support.upstream import Asked, Script, whole

FORMATS = ("openai", "anthropic")
"""The SDKs that have an exception for each kind of refusal, and can leave the key out."""
NARROW, OLD, YOUNG, WIDE = "sk-narrow", "sk-old", "sk-young", "sk-wide"
TODAY = datetime.now(UTC).date()
KEYS = f""",
  narrow: {{digest: "sha256:{digest(NARROW)}", allow: [team, "open/*"]}},
  old: {{digest: "sha256:{digest(OLD)}", expires: {TODAY - timedelta(days=1)}}},
  young: {{digest: "sha256:{digest(YOUNG)}", expires: {TODAY + timedelta(days=1)}}}"""
CATALOGUE = """
  anthropic:
    base_url: {url}/v1
    headers: {anthropic-beta: of-the-node}
    connections: {main: {api_key: "${env:ANTH_KEY}"}}
"""
COMBOS = """
combos:
  team: {targets: [anth/chat, open/chat]}
  counted: {targets: [open/chat, anthropic/claude-sonnet-4-5]}
"""


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig(COMBOS, providers=CATALOGUE, keys=KEYS, auth="require_api_key: true") as rig:
        yield rig


# ------------------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("key", [KEY, YOUNG])
def test_a_right_key_may_call(rig: Rig, name: str, key: str):
    rig.script(Says(text="Come in."))
    assert rig.sdk(name, key).ask("whole", MODELS[name]).text == "Come in."


@pytest.mark.parametrize("way", ["whole", "stream"])
@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize(
    ("key", "says"), [("sk-unknown", "not known"), (OLD, "expired"), (KEY + "x", "not known"), (KEY[:-1], "not known")]
)
def test_a_wrong_key_is_an_authentication_error_and_reaches_no_provider(
    rig: Rig, name: str, key: str, says: str, way: str
):
    rig.script(Says(text="Come in."))
    sdk = rig.sdk(name, key)
    with pytest.raises(sdk.error) as raised:
        sdk.ask(way, MODELS[name])
    told = sdk.failed(raised.value)
    assert told.status == 401
    if name in FORMATS:
        assert told.name == "AuthenticationError"
    assert says in told.message
    assert key not in told.message
    assert told.headers["www-authenticate"] == "Bearer"
    assert rig.upstream.asked == []


@pytest.mark.parametrize("name", FORMATS)
def test_without_a_key_there_is_no_answer_where_one_is_required(rig: Rig, name: str):
    rig.script(Says(text="Come in."))
    sdk = rig.sdks[name]
    with pytest.raises(sdk.errors.AuthenticationError, match="needs an API key"):
        sdk.ask("whole", MODELS[name], extra_headers={"Authorization": sdk.errors.omit})
    with pytest.raises(sdk.errors.AuthenticationError):
        sdk.client.with_options(default_headers={"Authorization": "Basic eDp5"}).models.list()
    assert rig.upstream.asked == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_key_may_come_in_another_header_and_two_different_ones_conflict(rig: Rig, name: str):
    rig.script(Says(text="Come in."))
    sdk = rig.sdks[name]
    other = {"Authorization": sdk.errors.omit, "x-api-key": YOUNG}
    assert sdk.ask("whole", MODELS[name], extra_headers=other).text == "Come in."
    assert sdk.ask("whole", MODELS[name], extra_headers={"x-api-key": KEY}).text == "Come in."
    with pytest.raises(sdk.errors.BadRequestError, match="two different keys"):
        sdk.ask("whole", MODELS[name], extra_headers={"x-api-key": YOUNG})
    assert len(rig.upstream.asked) == 2


@pytest.mark.parametrize("name", CLIENTS)
def test_an_allow_list_holds_for_models_and_combos(rig: Rig, name: str):
    rig.script(Says(text="Come in."))
    sdk = rig.sdk(name, NARROW)
    assert sdk.ask("whole", "team").text == "Come in."
    assert sdk.ask("whole", "open/chat").text == "Come in."
    rig.upstream.asked.clear()
    for model in ("anth/chat", "counted", "anthropic/claude-sonnet-4-5"):
        with pytest.raises(sdk.error) as raised:
            sdk.ask("stream", model)
        told = sdk.failed(raised.value)
        assert told.status == 403
        assert "`narrow`" in told.message
    assert rig.upstream.asked == []


@pytest.mark.parametrize("name", FORMATS)
def test_an_allow_list_holds_for_lists(rig: Rig, name: str):
    assert {model.id for model in rig.sdk(name, NARROW).models()} == {"team", "open/chat"}


@pytest.mark.parametrize("upstream", CLIENTS)
@pytest.mark.parametrize("name", CLIENTS)
def test_a_provider_gets_its_own_credential_and_never_the_callers(rig: Rig, name: str, upstream: str):
    rig.script(Says(text="Fine."))
    rig.ask(name, upstream)
    places = {"anthropic": ("x-api-key", "{}"), "gemini": ("x-goog-api-key", "{}")}
    place, form = places.get(upstream, ("authorization", "Bearer {}"))
    headers = rig.asked.headers
    assert headers[place] == form.format(f"sk-provider-{NODE[upstream]}")
    assert not [
        one for one, value in headers.items() if KEY in value or one.startswith(("x-stainless", "x-goog-api-c"))
    ]


# ----------------------------------------------------------------------------------------------------------- models


@pytest.mark.parametrize("name", FORMATS)
def test_the_list_of_models_is_what_may_be_asked_for(rig: Rig, name: str):
    listed = {model.id: model for model in rig.sdks[name].models()}
    assert {"team", "counted", "open/chat", "anth/chat", "anthropic/claude-sonnet-4-5"} <= listed.keys()
    assert not [ident for ident in listed if "*" in ident]
    for ident in ("team", "open/chat", "anthropic/claude-sonnet-4-5"):
        one = rig.sdks[name].client.models.retrieve(ident)
        assert one.id == ident
        assert one.to_dict() == listed[ident].to_dict()
    if name == "openai":
        assert {model.object for model in listed.values()} == {"model"}
        assert (listed["team"].owned_by, listed["open/chat"].owned_by) == ("combo", "open")
    else:
        assert {model.type for model in listed.values()} == {"model"}
        assert all(isinstance(model.created_at, datetime) and model.display_name for model in listed.values())
        claude = listed["anthropic/claude-sonnet-4-5"]
        assert (claude.max_tokens, claude.lifecycle) == (64000, "active")
        assert claude.max_input_tokens >= 200_000


@pytest.mark.parametrize("name", FORMATS)
def test_a_model_that_is_not_there_is_not_found(rig: Rig, name: str):
    rig.script(Says(text="Come in."))
    sdk = rig.sdks[name]
    with pytest.raises(sdk.errors.NotFoundError):
        sdk.client.models.retrieve("open/nothing")
    with pytest.raises(sdk.errors.NotFoundError) as raised:
        sdk.ask("stream", "taem")
    assert "team" in str(raised.value)
    if name == "openai":
        assert raised.value.code == "model_not_found"
        assert raised.value.type == "invalid_request_error"
    assert rig.upstream.asked == []


# ------------------------------------------------------------------------------------------------------ request ids


@pytest.mark.parametrize("name", FORMATS)
def test_the_sdks_know_the_name_of_their_request(rig: Rig, name: str):
    rig.script(Says(text="Hi"))
    client = rig.sdks[name].client
    ask: dict[str, Any] = {"model": MODELS[name], "messages": [{"role": "user", "content": "Hi"}]}
    headers = {"X-Request-Id": "trace-0815"}
    if name == "openai":
        answer = client.chat.completions.create(**ask, extra_headers=headers)
    else:
        answer = client.messages.create(**ask, max_tokens=9, extra_headers=headers)
    assert answer._request_id == "trace-0815"
    rig.script(refusing(400, "invalid_request_error", "No."))
    sdk = rig.sdks[name]
    with pytest.raises(sdk.errors.BadRequestError) as raised:
        sdk.ask("whole", MODELS[name], extra_headers=headers)
    assert raised.value.request_id == "trace-0815"


# -------------------------------------------------------------------------------------------------- counting tokens


def count(rig: Rig, model: str, **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": "How many tokens is this?"}]
    return rig.sdks["anthropic"].client.messages.count_tokens(model=model, messages=messages, **more)


def counting(asked: Asked) -> Script:
    return whole({"input_tokens": 2095}) if asked.path.endswith("/count_tokens") else saying(Says(text="No."))(asked)


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", "counted"])
def test_a_provider_that_counts_is_asked(rig: Rig, model: str):
    rig.script(counting)
    told = count(rig, model, system="Be brief.", extra_headers={"anthropic-beta": "token-counting-2024-11-01"})
    assert told.input_tokens == 2095
    assert "estimated" not in told.to_dict()
    asked = rig.asked
    assert asked.path == "/v1/messages/count_tokens"
    assert asked.json == {
        "model": "claude-sonnet-4-5",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "How many tokens is this?"}],
    }
    names = [line.partition(b":")[0].lower() for line in asked.head.split(b"\r\n")[1:] if line]
    assert len(names) == len(set(names)), "each header is sent once"
    assert asked.headers["anthropic-beta"] == "of-the-node,token-counting-2024-11-01"
    assert asked.headers["x-api-key"] == "sk-provider-anth"
    assert asked.headers["content-type"] == "application/json"


@pytest.mark.parametrize("model", ["open/chat", "anth/chat", "team"])
def test_where_nobody_counts_an_estimate_says_that_it_is_one(rig: Rig, model: str):
    rig.script(counting)
    told = count(rig, model)
    assert 5 < told.input_tokens < 40
    assert told.to_dict()["estimated"] is True
    assert rig.upstream.asked == []


def test_an_estimate_stands_in_for_a_provider_that_cannot_count_now(rig: Rig):
    rig.script(refusing(529, "overloaded_error", "Overloaded"))
    told = count(rig, "anthropic/claude-sonnet-4-5")
    assert told.to_dict()["estimated"] is True
    assert len(rig.upstream.asked) == 1


def test_a_refusal_to_count_is_told(rig: Rig):
    rig.script(refusing(400, "invalid_request_error", "messages: too strange"))
    errors = rig.sdks["anthropic"].errors
    with pytest.raises(errors.BadRequestError, match=r"\[anthropic\] messages: too strange"):
        count(rig, "anthropic/claude-sonnet-4-5")


# ------------------------------------------------------------------------------------------- a catalogue provider


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("way", ["whole", "stream", "helper"])
def test_a_provider_of_the_catalogue_is_served_by_its_own_price(rig: Rig, name: str, way: str):
    rig.script(Says(text="Hi"))
    model = f"claude-sonnet-4-5-{name}-{way}"
    heard = rig.sdks[name].ask(way, "anthropic/claude-sonnet-4-5")
    assert heard.text == "Hi"
    assert heard.models == {"anthropic/claude-sonnet-4-5"}
    if way == "whole":
        assert float(heard.headers["x-omniroute-cost"]) > 0
    names = [line.partition(b":")[0].lower() for line in rig.asked.head.split(b"\r\n")[1:] if line]
    assert len(names) == len(set(names)), f"{model}: each header is sent once"


# ------------------------------------------------------------------------------------------------- beside the SDKs


def get(rig: Rig, path: str, **headers: str) -> tuple[int, Any, Any]:
    request = urllib.request.Request(rig.gateway.url + path, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), error.headers


def test_a_method_that_an_endpoint_has_not_is_told_in_its_shape(rig: Rig):
    auth = {"authorization": f"Bearer {KEY}"}
    status, body, headers = get(rig, "/v1/chat/completions", **auth)
    assert (status, headers["allow"]) == (405, "POST")
    assert body["error"]["type"] == "invalid_request_error"
    status, body, headers = get(rig, "/v1/messages", **auth)
    assert (status, headers["allow"]) == (405, "POST")
    assert body["type"] == "error"


def test_health_needs_no_key(rig: Rig):
    for path in ("/health", "/livez", "/readyz"):
        assert get(rig, path)[0] == 200
