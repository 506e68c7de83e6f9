"""Promises that are easy to break in passing: what a failure costs, whom a policy reaches, what may be told onward."""

from __future__ import annotations

import hashlib
import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from support import legal, speech
from support.gateway import Gateway
from support.upstream import Asked, Script, Upstream, events, whole

from omniroute import catalog
from omniroute.config import bundle
from omniroute.config.overrides import Overrides, overridden
from omniroute.errors import ConfigError

READER = "sk-or-an-administrator-who-only-reads"
CLIENT = "sk-or-a-caller"
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM0$Jm1sR0Zb5oZ8K0jB2h0V5g"
SECRET = "sk-secret-of-the-provider-4711"
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here is TLS, and to load all authorities for each request takes longer than the request."""
LEAKS = ("leak-status", "leak-asked-to-stream", "leak-in-stream", "leak-in-words")
PLAIN_NAMES = (
    "again",
    "again500",
    "busy",
    "cold",
    "lone500",
    "lone503",
    "long",
    "stalled",
    "digits",
    "strange",
    "next",
    "limited",
    "free",
    "ended",
)


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


CONFIG = """\
version: 1
server: {{data_dir: '{{data_dir}}'}}
keys:
  reader: {{digest: 'sha256:{reader}', roles: [admin.read]}}
  caller: {{digest: 'sha256:{caller}'}}
resilience: {{profiles: {{api_key: {{cooldown: 30s, max_cooldown: 60s, failure_threshold: 100}}}}}}
providers:
  voyage: {{connections: {{main: {{api_key: '${{env:LEAKY}}'}}}}, models: {{m: {{}}}}}}
  slow:
    type: openai-compatible
    base_url: '{url}/slow'
    connections: {{main: {{}}}}
    models: {{m: {{}}}}
    timeouts: {{total: 500ms}}
  sluggish:
    type: openai-compatible
    base_url: '{url}/sluggish'
    connections: {{main: {{}}}}
    models: {{m: {{}}}}
  brief:
    type: openai-compatible
    base_url: '{url}/brief'
    connections: {{main: {{}}}}
    models: {{m: {{}}}}
    timeouts: {{total: 700ms}}
  anthropic:
    base_url: '{url}/turns'
    selection: round-robin
    connections: {{x: {{api_key: '${{env:TURN_X}}'}}, y: {{api_key: '${{env:TURN_Y}}'}}}}
    models: {{m: {{}}, n: {{}}}}
{providers}
aliases:
  short: limited/m
  "wide-*": limited/*
  named: denied/sonnet
combos:
  retried: {{targets: [again/m], retry: {{attempts: 2, delay: 50ms}}}}
  retried500: {{targets: [again500/m], retry: {{attempts: 2, delay: 50ms}}}}
  told: {{targets: [busy/m, cold/m]}}
  limited-combo: {{targets: [limited/m]}}
  patient: {{targets: [slow/m, brief/m]}}
  inner: {{targets: [sluggish/m]}}
  outer: {{targets: [{{model: inner, timeout: 300ms}}, next/m]}}
  both: {{targets: [anthropic/m, anthropic/n]}}
policies:
  short-answers:
    match: {{models: [limited/m, own/m]}}
    rules: [{{max_tokens: {{output: 100}}}}]
  none-of-these:
    rules: [{{deny_models: {{patterns: [denied/sonnet], reason: not here}}}}]
"""


class Scripted(Upstream):
    """Answers by the first part of the path, which is the provider; well where nothing else is said. Of a list, one
    answer a request, the last for all that follow."""

    def __init__(self) -> None:
        super().__init__(self._script)
        self.says: dict[str, Any] = {}

    def _script(self, asked: Asked) -> Script:
        said = self.says.get(provider_of(asked))
        if isinstance(said, list):
            said = said.pop(0) if len(said) > 1 else said[0]
        if said is not None:
            return said(asked) if callable(said) else said
        if asked.path.endswith("count_tokens"):
            return whole({"input_tokens": 42})
        form = "anthropic" if asked.path.endswith("/messages") else "openai"
        return events(*speech.streamed(form)) if asked.json.get("stream") else whole(speech.whole(form))

    def to(self, provider: str) -> list[Asked]:
        return [asked for asked in self.asked if provider_of(asked) == provider]


def provider_of(asked: Asked) -> str:
    return asked.path.split("/")[1]


def error(status: int, message: str = "no", **headers: str) -> Script:
    return whole({"error": {"message": message, "type": "t", "param": None, "code": None}}, status, **headers)


GOOD = whole(speech.whole("openai"))


@pytest.fixture(scope="module")
def served():
    with Scripted() as upstream:
        rows = [
            f"  {name}: {{type: openai-compatible, base_url: '{upstream.url}/{name}', connections: {{main: {{}}}}, "
            "models: {m: {}}}"
            for name in PLAIN_NAMES
        ]
        rows += [
            f"  {name}: {{type: openai-compatible, base_url: '{upstream.url}/{name}', models: {{m: {{}}}}, "
            "connections: {main: {api_key: '${env:LEAKY}'}}}"
            for name in LEAKS
        ]
        rows += [
            f"  {name}: {{type: openai-compatible, base_url: '{upstream.url}/{name}', connections: {{main: {{}}}}, "
            f"models: {{{model}: {{upstream_id: vendor-{model}}}}}}}"
            for name, model in (("own", "m"), ("denied", "sonnet"))
        ]
        config = CONFIG.format(
            url=upstream.url, providers="\n".join(rows), reader=digest(READER), caller=digest(CLIENT)
        )
        with Gateway(config, LEAKY=SECRET, TURN_X="sk-turn-x", TURN_Y="sk-turn-y") as gateway:
            yield gateway, upstream


def post(gateway: Gateway, path: str, body: Any, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(gateway.url + path, json=body, headers=named, trust_env=False, timeout=20, verify=PLAIN)


def ask(gateway: Gateway, model: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    return post(gateway, speech.PATHS["openai"], speech.ask(model, **more), **(headers or {}))


def count(gateway: Gateway, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    return post(gateway, "/v1/messages/count_tokens", body)


def row(gateway: Gateway, answer: httpx.Response) -> dict[str, Any]:
    """The ledger's row of an answer."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for one in gateway.rows():
            if answer.headers["x-request-id"] in (one["request_id"], one["id"]):
                return one
        time.sleep(0.05)
    raise AssertionError("the request is not in the ledger")


# ------------------------------------------------------------------------------------------------------ what is told on


QUOTED = f"wrong key in `Authorization: Bearer {SECRET}` ({SECRET})"


@pytest.mark.parametrize("name", LEAKS)
def test_a_credential_that_a_provider_quotes_reaches_neither_client_nor_ledger(served, name):
    gateway, upstream = served
    inside = speech.event("openai", {"error": {"message": QUOTED, "type": SECRET, "code": SECRET}})
    after_words = (speech.begin("openai") + speech.say("openai", "Hel"), inside)
    said = {"leak-in-stream": events(inside), "leak-in-words": events(*after_words, gap=0.1)}
    upstream.says[name] = said.get(name, error(401, QUOTED))
    answer = ask(gateway, f"{name}/m", stream=name != "leak-status")
    assert upstream.to(name)[0].headers["authorization"] == f"Bearer {SECRET}"
    assert "wrong key in" in answer.text
    assert SECRET not in answer.text
    told = row(gateway, answer)
    assert "wrong key in" not in told["attempts"]  # a provider's sentence may quote anything
    assert SECRET not in json.dumps(told)


def test_the_ledger_holds_the_request_id_that_the_client_sent(served):
    gateway, _ = served
    answer = ask(gateway, "free/m", {"x_request_id": "mine-0815"})
    assert answer.status_code == 200
    for _ in range(100):
        found = [one for one in gateway.rows() if one["request_id"] == "mine-0815"]
        if found:
            break
        time.sleep(0.05)
    assert len(found) == 1


# ------------------------------------------------------------------------------------------------- what a failure costs


@pytest.mark.parametrize(("combo", "provider", "status"), [("retried", "again", 503), ("retried500", "again500", 500)])
def test_a_retry_asks_the_same_provider_again_and_is_counted(served, combo, provider, status):
    gateway, upstream = served
    upstream.says[provider] = [error(status), GOOD]
    answer = ask(gateway, combo)
    assert answer.status_code == 200, answer.text
    assert len(upstream.to(provider)) == 2
    assert answer.headers["x-omniroute-attempts"] == "2"


def test_a_busy_connection_does_not_replace_what_a_provider_said(served):
    gateway, upstream = served
    refused = error(429, "of the busy", retry_after="7")
    refused.pause = 0.5
    upstream.says |= {"busy": refused, "cold": error(503)}
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, gateway, "told")
        while not upstream.to("busy"):
            time.sleep(0.01)
        assert ask(gateway, "cold/m").status_code == 503  # begins to cool after the plan was made
        answer = asking.result()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert "of the busy" in answer.text
    outcomes = [attempt["outcome"] for attempt in json.loads(row(gateway, answer)["attempts"])]
    assert outcomes == ["rate_limited", "skipped"]


def test_a_500_cools_nobody_down_and_a_503_does(served):
    gateway, upstream = served
    for status, then in ((500, 200), (503, 503)):
        name = f"lone{status}"
        upstream.says[name] = [error(status), GOOD]
        ask(gateway, f"{name}/m")
        assert ask(gateway, f"{name}/m").status_code == then
        assert len(upstream.to(name)) == (2 if then == 200 else 1)


def test_a_long_refusal_of_a_request_stays_one_and_touches_no_health(served):
    gateway, upstream = served
    upstream.says["long"] = [error(422, "x" * 200_000), GOOD]
    assert ask(gateway, "long/m").status_code == 422
    assert ask(gateway, "long/m").status_code == 200


def test_a_rate_limit_whose_body_never_comes_is_told_soon(served):
    gateway, upstream = served
    upstream.says["stalled"] = Script(429, {"retry-after": "7"}, [b'{"error": '], hang=True)
    began = time.monotonic()
    answer = ask(gateway, "stalled/m")
    assert time.monotonic() - began < 3
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


def test_absurd_waits_and_statuses_give_a_legal_answer(served):
    gateway, upstream = served
    upstream.says["digits"] = error(429, retry_after="9" * 400)
    upstream.says["strange"] = error(700)
    for name, status in (("digits", 429), ("strange", 502)):
        answer = ask(gateway, f"{name}/m")
        assert answer.status_code == status
        legal.refusal("openai", answer.content)
    assert int(ask(gateway, "digits/m").headers["retry-after"]) <= 86_400


def test_a_target_that_uses_up_its_time_leaves_the_next_its_own(served):
    gateway, upstream = served
    upstream.says["slow"] = Script(silent=True)
    upstream.says["brief"] = Script(pieces=GOOD.pieces, pause=0.45)
    answer = ask(gateway, "patient")
    assert (answer.status_code, answer.headers.get("x-omniroute-provider")) == (200, "brief"), answer.text


def test_the_timeout_of_a_combo_in_a_combo_counts(served):
    gateway, upstream = served
    upstream.says["sluggish"] = Script(silent=True)
    began = time.monotonic()
    answer = ask(gateway, "outer")
    assert (answer.status_code, answer.headers.get("x-omniroute-provider")) == (200, "next"), answer.text
    assert 0.25 < time.monotonic() - began < 2


def test_a_stream_that_says_it_is_done_is_a_success_though_the_provider_stays(served):
    gateway, upstream = served
    upstream.says["ended"] = events(*speech.streamed("openai"), hang=True)
    began = time.monotonic()
    answer = ask(gateway, "ended/m", stream=True)
    assert time.monotonic() - began < 3
    assert answer.text.rstrip().endswith("data: [DONE]")
    told = row(gateway, answer)
    assert [attempt["outcome"] for attempt in json.loads(told["attempts"])] == ["success"]


# --------------------------------------------------------------------------------------------------- whom a rule reaches


@pytest.mark.parametrize("name", ["limited/m", "short", "wide-m", "limited-combo"])
@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("asked", [None, 5000])
def test_no_name_and_no_null_leads_around_a_limit_of_the_output(served, name, field, asked):
    gateway, upstream = served
    body = {"model": name, "messages": [{"role": "user", "content": "Hi"}], field: asked}
    assert post(gateway, speech.PATHS["openai"], body).status_code == 200
    sent = upstream.to("limited")[-1].json
    granted = [sent[one] for one in ("max_tokens", "max_completion_tokens") if one in sent]
    assert granted == [100]


@pytest.mark.parametrize("name", ["denied/sonnet", "denied/vendor-sonnet", "named"])
def test_a_denied_model_is_denied_by_every_name(served, name):
    gateway, upstream = served
    assert ask(gateway, name).status_code == 403
    assert upstream.to("denied") == []


@pytest.mark.parametrize("name", ["own/m", "own/vendor-m"])
def test_an_upstream_id_does_not_lead_around_a_limit_of_the_output(served, name):
    gateway, upstream = served
    body = {"model": name, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5000}
    assert post(gateway, speech.PATHS["openai"], body).status_code == 200
    assert upstream.to("own")[-1].json["max_tokens"] == 100


def test_a_key_that_may_only_administer_is_no_client(served):
    gateway, _ = served
    assert ask(gateway, "free/m", {"x_api_key": READER}).status_code == 403
    assert ask(gateway, "free/m", {"x_api_key": CLIENT}).status_code == 200


# -------------------------------------------------------------------------------------------------------- other promises


def test_connections_take_turns_whatever_a_combo_repeats_or_somebody_counts(served):
    gateway, upstream = served
    for _ in range(4):
        assert ask(gateway, "both").status_code == 200
        assert count(gateway, "both").json() == {"input_tokens": 42}
    keys = [asked.headers["x-api-key"] for asked in upstream.to("turns") if asked.path.endswith("/messages")]
    assert sorted(keys[:2]) == ["sk-turn-x", "sk-turn-y"]
    assert keys[:2] == keys[2:]


COUNTING = """\
version: 1
server: {{data_dir: '{{data_dir}}'}}
providers: {{anthropic: {{base_url: '{url}/anth', connections: {{main: {{api_key: '${{env:LEAKY}}'}}}}, models: {{m: {{}}}}}}}}
"""


def test_a_count_is_estimated_where_the_provider_fails_and_its_health_hears_of_it():
    with Scripted() as upstream, Gateway(COUNTING.format(url=upstream.url), LEAKY=SECRET) as gateway:
        assert count(gateway, "anthropic/m").json() == {"input_tokens": 42}
        upstream.says["anth"] = error(503)
        upstream.asked.clear()
        for _ in range(2):
            told = count(gateway, "anthropic/m")
            assert told.status_code == 200
            assert 0 < told.json()["input_tokens"] < 42
            assert told.json()["estimated"] is True
        assert ask(gateway, "anthropic/m").status_code == 503
        assert len(upstream.asked) == 1


def test_a_provider_that_cannot_chat_is_said_to_be_one(served):
    gateway, _ = served
    answer = ask(gateway, "voyage/m")
    assert answer.status_code == 400
    assert "voyage" in legal.refusal("openai", answer.content)["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"host": "localhost:1"}, 200),
        ({"host": "192.0.2.7:80"}, 200),
        ({"host": "[::1]:80"}, 200),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"host": "evil.example", "x_api_key": CLIENT}, 200),
        ({"host": "evil.example", "x_api_key": "sk-wrong"}, 401),
    ],
)
def test_without_a_key_no_page_of_another_origin_is_served(served, headers, status):
    gateway, _ = served
    assert ask(gateway, "free/m", headers).status_code == status


def test_without_a_key_a_body_must_say_that_it_is_json(served):
    gateway, _ = served
    body = json.dumps(speech.ask("free/m")).encode()
    url = gateway.url + speech.PATHS["openai"]
    assert httpx.post(url, content=body, trust_env=False, verify=PLAIN).status_code == 415


# --------------------------------------------------------------------------------------------------- open to strangers


OPENED = "version: 1\nserver: {host: 127.0.0.1}\nauth: {require_api_key: false}\n"


def test_a_file_that_would_open_the_bound_address_is_refused(tmp_path):
    path = tmp_path / "omniroute.yaml"
    path.write_text(OPENED)
    read = bundle.read(path, catalog.load(), insecure=True)
    assert overridden(read, Overrides(), "127.0.0.1").spec.server.host == "127.0.0.1"
    with pytest.raises(ConfigError) as refused:
        overridden(read, Overrides(), "0.0.0.0")
    assert [problem.code for problem in refused.value.problems] == ["OR305"]


def test_a_reload_that_would_open_the_bound_address_leaves_the_old_rules():
    administrator = "sk-or-an-administrator"
    keys = f"keys: {{boss: {{digest: 'sha256:{digest(administrator)}', roles: [client, admin.write]}}}}\n"
    auth = json.dumps({"require_api_key": True, "password_hash": HASH})
    common = "server: {host: HOST, data_dir: '{data_dir}'}\nproviders: {demo: {}}\n" + keys
    text = "version: 1\n" + common
    with Gateway(text.replace("HOST", "0.0.0.0") + f"auth: {auth}\n") as gateway:
        gateway.write(text.replace("HOST", "127.0.0.1") + "auth: {require_api_key: false}\n")
        answer = post(gateway, "/api/config/reload", {}, authorization=f"Bearer {administrator}")
        assert answer.status_code == 422
        assert [problem["code"] for problem in answer.json()["error"]["problems"]] == ["OR305"]
        assert ask(gateway, "demo/echo").status_code == 401
        assert ask(gateway, "demo/echo", {"x_api_key": administrator}).status_code == 200
