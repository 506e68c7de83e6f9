"""Trying connections, keys, addresses, proxies and combos: what is said of them, and that nothing is left behind."""

from __future__ import annotations

from typing import Any

import pytest
from support.managed import Managed, run
from support.proxies import proxying
from support.upstream import Asked, Script, Upstream, whole

from omniroute.state.limits import Charge

CONFIG = """
version: 1
server: {data_dir: "{data_dir}"}
auth: {require_login: false}
providers:
  demo: {}
  lab:
    type: openai-compatible
    base_url: URL/v1
    headers: {x-lab-token: "${env:LAB_TOKEN}"}
    connections:
      main: {api_key: "${env:LAB_KEY}"}
      spare: {api_key: "${env:SPARE_KEY}"}
    models:
      dear: {price: {input: 10, output: 10}}
      cheap: {price: {input: 1, output: 1}}
  bare:
    type: anthropic-compatible
    base_url: URL/ant
    connections: {main: {api_key: "${env:LAB_KEY}"}}
combos:
  pair: {strategy: round-robin, targets: [lab/dear, {model: lab/cheap, timeout: 5s}, inner]}
  inner: {targets: [demo/echo]}
settings: {system_prompt: {enabled: true, prompt: Never say so.}}
budgets: {all: {limit: 0, period: total}}
limits: {none: {requests: 1/1d, per: global, always: true}}
policies:
  closed: {rules: [{deny_models: {patterns: ["*"], reason: closed}}]}
MORE
"""
OK = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "OK"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
KEYS = {"LAB_KEY": "sk-lab-right", "SPARE_KEY": "sk-lab-wrong", "LAB_TOKEN": "secret-of-the-lab"}


def openai(asked: Asked) -> Script:
    """Takes one key, and has two models."""
    if asked.headers.get("authorization") != "Bearer sk-lab-right":
        return whole({"error": {"message": "Incorrect API key provided: sk-lab-wrong", "type": "x"}}, 401)
    if asked.path == "/v1/models":
        return whole({"object": "list", "data": [{"id": "one", "owned_by": "lab", "created": 7}, {"id": "two"}]})
    if asked.path == "/v1/chat/completions":
        return whole(OK)
    return whole({"error": {"message": "nothing here"}}, 404)


@pytest.fixture
def upstream(monkeypatch):
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with Upstream(openai) as one:
        yield one


def within(tmp_path, upstream: Upstream, test, more: str = "") -> None:
    run(tmp_path, CONFIG.replace("URL", upstream.url).replace("MORE", more), test)


def untouched(one: Managed) -> bool:
    """Whether neither health, limits nor usage have heard of anything."""
    state = one.service.state
    limit = one.service.live.current.limits.callers[0]
    standing = state.limits.stand([Charge(limit, "", 0)], state.clock.monotonic())
    return state.breakers.is_calm() and not one.rows() and all(each.remaining == each.amount for each in standing)


def test_a_connection_that_works_is_told_so_and_the_cheapest_model_is_asked_with_nothing_added(tmp_path, upstream):
    async def test(one: Managed) -> None:
        assert one.service.bench.probes.last_test("lab.main") is None
        told = await one("POST", "/api/providers/lab.main/test")
        assert told.status == 200
        assert {name: told.json[name] for name in ("valid", "error", "statusCode", "method", "model")} == {
            "valid": True,
            "error": None,
            "statusCode": 200,
            "method": "chat",
            "model": "cheap",
        }
        assert told.json["diagnosis"] == {"type": "ok", "source": "upstream", "message": "", "code": "success"}
        assert upstream.asked[0].json["model"] == "cheap"
        assert [message["role"] for message in upstream.asked[0].json["messages"]] == ["user"]
        shown = (await one("GET", "/api/providers/lab.main")).json["connection"]
        assert (shown["testStatus"], shown["lastError"]) == ("active", None)
        spare = (await one("GET", "/api/providers/lab.spare")).json["connection"]
        assert spare["testStatus"] == "unknown"
        assert untouched(one)

    within(tmp_path, upstream, test)


def test_a_wrong_key_is_the_accounts_fault_and_never_shown(tmp_path, upstream):
    async def test(one: Managed) -> None:
        told = (await one("POST", "/api/providers/lab.spare/test", {"model": "lab/dear"})).json
        assert (told["valid"], told["statusCode"], told["model"]) == (False, 401, "dear")
        assert (told["diagnosis"]["type"], told["diagnosis"]["source"]) == ("upstream_auth_error", "upstream")
        assert told["error"] == "[lab] Incorrect API key provided: <secret>"
        shown = (await one("GET", "/api/providers/lab.spare")).json["connection"]
        assert (shown["testStatus"], shown["lastError"]) == ("error", told["error"])
        assert untouched(one)

    within(tmp_path, upstream, test)


@pytest.mark.parametrize(
    ("script", "diagnosis", "status"),
    [
        (lambda _: whole({"error": {"message": "slow down"}}, 429), "upstream_rate_limited", 429),
        (lambda _: whole({"error": {"message": "busy"}}, 503), "upstream_unavailable", 503),
        (lambda _: whole({"error": {"message": "oops"}}, 500), "upstream_unavailable", 500),
        (lambda _: whole({"error": {"message": "pay"}}, 402), "upstream_error", 402),
        (lambda _: Script(refuse=True), "network_error", None),
        (lambda _: whole(b"no json"), "upstream_error", None),
    ],
)
def test_each_way_to_fail_has_its_diagnosis_and_is_held_against_nobody(tmp_path, upstream, script, diagnosis, status):
    async def test(one: Managed) -> None:
        upstream.script = script
        told = (await one("POST", "/api/providers/lab.main/test")).json
        assert (told["valid"], told["diagnosis"]["type"], told["statusCode"]) == (False, diagnosis, status)
        assert untouched(one)

    within(tmp_path, upstream, test)


def test_a_model_that_is_gone_is_not_the_connections_fault(tmp_path, upstream):
    def script(asked: Asked) -> Script:
        if asked.json["model"] == "cheap":
            return whole({"error": {"message": "The model `cheap` does not exist", "code": "model_not_found"}}, 404)
        return whole(OK)

    async def test(one: Managed) -> None:
        upstream.script = script
        told = (await one("POST", "/api/providers/lab.main/test")).json
        assert (told["valid"], told["model"]) == (True, "dear")

    within(tmp_path, upstream, test)


def test_a_connection_that_cools_down_is_called_all_the_same(tmp_path, upstream):
    async def test(one: Managed) -> None:
        state = one.service.state
        connection = one.service.live.current.upstreams["lab"].connections[0]
        state.breakers.note("lab.main", "rate_limited", state.clock.monotonic(), 60.0, connection.profile)
        assert (await one("POST", "/api/providers/lab.main/test")).json["valid"]
        assert state.breakers.view("lab.main", state.clock.monotonic()).blocked

    within(tmp_path, upstream, test)


def test_a_provider_whose_models_nobody_knows_is_asked_for_them_first(tmp_path, upstream):
    def script(asked: Asked) -> Script:
        if asked.path.startswith("/ant/models"):
            return whole({"data": [{"id": "claude-x", "display_name": "X"}], "has_more": False})
        assert asked.path == "/ant/messages"
        assert asked.json["model"] == "claude-x"
        return whole(
            {
                "id": "m",
                "type": "message",
                "role": "assistant",
                "model": "claude-x",
                "content": [{"type": "text", "text": "OK"}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 1, "output_tokens": 1},
            }
        )

    async def test(one: Managed) -> None:
        upstream.script = script
        assert (await one("POST", "/api/providers/bare.main/test")).json["valid"]
        upstream.script = lambda _: whole({"data": []})
        told = (await one("POST", "/api/providers/bare.main/test")).json
        assert (told["valid"], told["diagnosis"]["type"]) == (False, "unsupported")

    within(tmp_path, upstream, test)


def test_a_batch_tries_those_of_its_mode_and_counts_them(tmp_path, upstream):
    async def test(one: Managed) -> None:
        told = (await one("POST", "/api/providers/test-batch", {"mode": "all"})).json
        assert told["summary"] == {"total": 4, "passed": 2, "failed": 2}
        assert [(each["connectionId"], each["valid"], each["authType"]) for each in told["results"]] == [
            ("demo.default", True, "none"),
            ("lab.main", True, "apikey"),
            ("lab.spare", False, "apikey"),
            ("bare.main", False, "apikey"),
        ]
        chosen = {}
        for mode in ("free", "apikey", "compatible", "oauth"):
            said = (await one("POST", "/api/providers/test-batch", {"mode": mode})).json
            chosen[mode] = [each["connectionId"] for each in said["results"]]
        keyed = ["lab.main", "lab.spare", "bare.main"]
        assert chosen == {"free": ["demo.default"], "apikey": keyed, "compatible": keyed, "oauth": []}
        told = (await one("POST", "/api/providers/test-batch", {"mode": "provider", "providerId": "lab"})).json
        assert [each["connectionName"] for each in told["results"]] == ["main", "spare"]
        assert (await one("POST", "/api/providers/test-batch", {"mode": "provider"})).status == 400
        assert (await one("POST", "/api/providers/test-batch", {"mode": "provider", "providerId": "x"})).status == 404
        assert (await one("POST", "/api/providers/test-batch", {"mode": "each"})).status == 400

    within(tmp_path, upstream, test)


def test_what_is_not_there_is_not_found(tmp_path, upstream):
    async def test(one: Managed) -> None:
        for path in ("/api/providers/lab.other/test", "/api/providers/nobody.main/test", "/api/combos/none/test"):
            assert (await one("POST", path)).status == 404
        assert (await one("GET", "/api/providers/lab/models")).status == 404
        assert (await one("POST", "/api/combos/test", {"comboName": "none"})).json["error"]["code"] == "combo_not_found"
        assert (await one("POST", "/api/combos/test", {})).status == 400

    within(tmp_path, upstream, test)


# ------------------------------------------------------------------------------------------------------- credentials


def test_a_key_is_tried_and_kept_nowhere(tmp_path, upstream):
    async def test(one: Managed) -> None:
        before = one.service.path.read_bytes()
        for key, valid, status in (("sk-lab-right", True, 200), ("sk-lab-wrong", False, 401)):
            told = (await one("POST", "/api/providers/validate", {"provider": "lab", "apiKey": key})).json
            assert (told["valid"], told["statusCode"]) == (valid, status)
            assert upstream.asked[-1].headers["x-lab-token"] == "secret-of-the-lab"
        assert one.service.path.read_bytes() == before
        assert untouched(one)
        assert one.service.bench.probes.last_test("lab.trial") is None

    within(tmp_path, upstream, test)


def test_a_provider_of_the_catalogue_is_tried_at_another_address(tmp_path, upstream):
    async def test(one: Managed) -> None:
        body = {"provider": "groq", "apiKey": "sk-lab-right", "baseUrl": f"{upstream.url}/v1"}
        told = (await one("POST", "/api/providers/validate", body)).json
        assert (told["valid"], told["method"]) == (True, "chat")
        assert upstream.asked[-1].headers["authorization"] == "Bearer sk-lab-right"

    within(tmp_path, upstream, test)


def test_another_address_gets_nothing_that_the_file_has_for_the_provider(tmp_path, upstream):
    async def test(one: Managed) -> None:
        body = {"provider": "lab", "apiKey": "sk-other", "baseUrl": f"{upstream.url}/v1"}
        assert not (await one("POST", "/api/providers/validate", body)).json["valid"]
        assert "x-lab-token" not in upstream.asked[-1].headers
        body["apiKey"] = "${env:LAB_KEY}"  # nor is a reference followed
        assert not (await one("POST", "/api/providers/validate", body)).json["valid"]
        assert upstream.asked[-1].headers["authorization"] == "Bearer ${env:LAB_KEY}"

    within(tmp_path, upstream, test)


BAD_ADDRESSES = (
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
    "ftp://host/",
    "http://user:password@127.0.0.1/v1",
    "http://127.0.0.1/v1?x=1",
    "http://127.0.0.1/v1#x",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:0/",
    "http://",
    "//127.0.0.1/",
    "http://exa mple/",
    "http://${env:LAB_KEY}/",
    "${env:LAB_KEY}",
    "http://127.0.0.1\\@evil.example/",
    "http://bücher.example/",
    "",
)


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_an_address_of_another_form_is_refused_before_anything_is_sent(tmp_path, upstream, address):
    async def test(one: Managed) -> None:
        if address:
            body: dict[str, Any] = {"provider": "groq", "apiKey": "k", "baseUrl": address}
            assert (await one("POST", "/api/providers/validate", body)).json["error"]["code"] == "invalid_base_url"
        told = await one("POST", "/api/provider-nodes/validate", {"baseUrl": address})
        assert told.json["error"]["code"] == "invalid_base_url"
        assert not upstream.asked

    within(tmp_path, upstream, test)


def test_a_redirect_is_followed_nowhere(tmp_path, upstream):
    async def test(one: Managed) -> None:
        upstream.script = lambda asked: Script(302, {"location": f"{upstream.url}/elsewhere"})
        told = (
            await one("POST", "/api/provider-nodes/validate", {"baseUrl": f"{upstream.url}/v1", "apiKey": "k"})
        ).json
        assert not told["valid"]
        assert not any("elsewhere" in asked.path for asked in upstream.asked)

    within(tmp_path, upstream, test)


def test_what_cannot_be_tried_is_refused_in_words(tmp_path, upstream):
    async def test(one: Managed) -> None:
        async def code(**body: str) -> str:
            told = (await one("POST", "/api/providers/validate", body)).json
            return told["error"]["code"] if isinstance(told["error"], dict) else told["diagnosis"]["type"]

        assert await code(provider="nobody", apiKey="k") == "provider_not_found"
        assert await code(provider="groq", apiKey="") == "auth_missing"
        assert await code(provider="groq", apiKey="two\r\nlines") == "invalid_key"
        assert await code(provider="groq", apiKey="ключ") == "invalid_key"
        assert await code(provider="azure", apiKey="k") == "variable_missing"
        assert await code(provider="deepgram", apiKey="k") == "unsupported"
        assert not upstream.asked

    within(tmp_path, upstream, test)


def test_an_address_tells_which_type_of_node_it_is(tmp_path, upstream):
    def ollama(asked: Asked) -> Script:
        if asked.path == "/api/tags":
            return whole({"models": [{"name": "qwen3:8b", "size": 1}]})
        return whole({"error": "nothing"}, 404)

    async def test(one: Managed) -> None:
        node = {"baseUrl": f"{upstream.url}/v1", "apiKey": "sk-lab-right"}
        told = (await one("POST", "/api/provider-nodes/validate", node)).json
        assert (told["valid"], told["type"], told["formats"], told["models"]) == (
            True,
            "openai-compatible",
            ["openai_chat"],
            ["one", "two"],
        )
        told = (await one("POST", "/api/provider-nodes/validate", {**node, "apiKey": "no"})).json
        assert (told["valid"], told["type"], told["diagnosis"]["type"]) == (
            False,
            "openai-compatible",
            "upstream_auth_error",
        )
        told = (await one("POST", "/api/provider-nodes/validate", {**node, "model": "one"})).json
        assert (told["valid"], told["method"], told["model"]) == (True, "chat", "one")
        upstream.script = ollama
        told = (await one("POST", "/api/provider-nodes/validate", {"baseUrl": upstream.url})).json
        assert (told["valid"], told["type"], told["models"]) == (True, "ollama-compatible", ["qwen3:8b"])
        assert (await one("POST", "/api/provider-nodes/validate", {**node, "type": "soap"})).status == 400

    within(tmp_path, upstream, test)


def test_an_address_where_nobody_listens_is_a_matter_of_the_network(tmp_path, upstream):
    async def test(one: Managed) -> None:
        told = (await one("POST", "/api/provider-nodes/validate", {"baseUrl": "http://127.0.0.1:1/v1"})).json
        assert (told["valid"], told["diagnosis"]["type"], told["statusCode"]) == (False, "network_error", None)

    within(tmp_path, upstream, test)


# ------------------------------------------------------------------------------------------------------------- models


def test_models_are_the_providers_word_or_else_what_is_known_here(tmp_path, upstream):
    async def test(one: Managed) -> None:
        told = (await one("GET", "/api/providers/lab.main/models")).json
        assert (told["provider"], told["connectionId"], told["source"]) == ("lab", "lab.main", "api")
        assert told["models"] == [
            {"id": "one", "object": "model", "created": 7, "owned_by": "lab"},
            {"id": "two", "object": "model", "created": 0, "owned_by": ""},
        ]
        told = (await one("GET", "/api/providers/lab.spare/models")).json
        assert told["source"] == "local_catalog"
        assert "sk-lab-wrong" not in told["reason"]
        assert [each["id"] for each in told["models"]] == ["dear", "cheap"]
        told = (await one("GET", "/api/providers/demo.default/models")).json
        assert (told["source"], len(told["models"])) == ("local_catalog", 4)
        for wrong in (whole(b"<html>"), whole({"data": "x"}), Script(pieces=[b'{"data":['], cut=True)):
            upstream.script = lambda _, wrong=wrong: wrong
            assert (await one("GET", "/api/providers/lab.main/models")).json["source"] == "local_catalog"
        assert untouched(one)

    within(tmp_path, upstream, test)


def test_a_list_in_parts_is_read_to_its_end_and_no_further(tmp_path, upstream):
    def script(asked: Asked) -> Script:
        more = "after_id=a" not in asked.path
        name = "a" if more else "b"
        return whole({"data": [{"id": name}], "has_more": more, "last_id": name})

    async def test(one: Managed) -> None:
        upstream.script = script
        told = (await one("GET", "/api/providers/bare.main/models")).json
        assert [each["id"] for each in told["models"]] == ["a", "b"]
        upstream.script = lambda _: whole({"data": [{"id": "a"}], "has_more": True, "last_id": "a"})
        upstream.asked.clear()
        assert len((await one("GET", "/api/providers/bare.main/models")).json["models"]) == len(upstream.asked) == 20

    within(tmp_path, upstream, test)


# ------------------------------------------------------------------------------------------------------------ proxies


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_proxy_is_gone_through_and_nothing_is_sent_to_the_provider(tmp_path, upstream, kind):
    async def test(one: Managed) -> None:
        async with proxying(kind, user=("u", "p")) as proxy:
            given = {"type": kind, "host": "127.0.0.1", "port": proxy.port, "username": "u", "password": "p"}
            told = (await one("POST", "/api/settings/proxy/test", {"proxy": given, "provider": "lab"})).json
            assert (told["success"], told["provider"], told["error"]) == (True, "lab", None)
            assert told["proxyUrl"] == f"{kind}://***@127.0.0.1:{proxy.port}"
            assert proxy.asked == [("127.0.0.1", upstream.port)]
            given["password"] = "wrong"
            told = (await one("POST", "/api/settings/proxy/test", {"proxy": given})).json
            assert not told["success"]
            assert "wrong" not in str(told)
        told = (await one("POST", "/api/settings/proxy/test", {"proxy": {**given, "port": 1}})).json
        assert (told["success"], told["error"]) == (False, "the proxy refused the connection")
        assert not upstream.asked

    within(tmp_path, upstream, test)


def test_the_configured_proxy_is_tried_where_none_is_given(tmp_path, upstream):
    async def test(one: Managed) -> None:
        told = (await one("POST", "/api/settings/proxy/test", {"provider": "lab"})).json
        assert (told["success"], told["proxyUrl"]) == (False, "http://127.0.0.1:1")

    settings = "settings: {system_prompt: {enabled: true, prompt: Never say so.}}"
    proxied = settings[:-1] + ', proxy: {providers: {lab: {url: "http://127.0.0.1:1"}}}}'
    run(tmp_path, CONFIG.replace(settings, proxied).replace("URL", upstream.url).replace("MORE", ""), test)


def test_a_proxy_test_leads_to_configured_providers_alone(tmp_path, upstream):
    async def test(one: Managed) -> None:
        given = {"type": "http", "host": "127.0.0.1", "port": upstream.port}
        for provider in ("http://169.254.169.254", "groq", "demo"):
            told = await one("POST", "/api/settings/proxy/test", {"proxy": given, "provider": provider})
            assert told.json["error"]["code"] == "provider_not_found"
        assert (await one("POST", "/api/settings/proxy/test", {"provider": "lab"})).json["error"]["code"] == "no_proxy"
        for wrong in ({"type": "https"}, {"host": ""}, {"host": "a b"}, {"port": 0}, {"port": "x"}, {"port": 70000}):
            told = await one("POST", "/api/settings/proxy/test", {"proxy": {**given, **wrong}})
            assert told.json["error"]["code"] == "invalid_proxy"

    within(tmp_path, upstream, test)


# ------------------------------------------------------------------------------------------------------------- combos


def test_each_target_of_a_combo_is_called_and_the_first_that_answers_is_named(tmp_path, upstream):
    def script(asked: Asked) -> Script:
        return whole({"error": {"message": "no"}}, 500) if asked.json["model"] == "dear" else whole(OK)

    async def test(one: Managed) -> None:
        upstream.script = script
        for told in (
            (await one("POST", "/api/combos/pair/test")).json,
            (await one("POST", "/api/combos/test", {"comboName": "pair"})).json,
        ):
            assert (told["comboName"], told["strategy"], told["resolvedBy"]) == ("pair", "round-robin", "lab/cheap")
            assert [(each["model"], each["status"], each["statusCode"]) for each in told["results"]] == [
                ("lab/dear", "error", 500),
                ("lab/cheap", "ok", 200),
                ("demo/echo", "ok", 200),
            ]
        assert untouched(one)
        assert one.service.state.counters.peek("pair") == 0

    within(tmp_path, upstream, test)


def test_a_combo_is_tested_as_its_connections_are_now(tmp_path, upstream):
    async def test(one: Managed) -> None:
        state = one.service.state
        profile = one.service.live.current.upstreams["lab"].connections[0].profile
        for name in ("lab.main", "lab.spare"):
            state.breakers.note(name, "rate_limited", state.clock.monotonic(), 60.0, profile)
        told = (await one("POST", "/api/combos/pair/test")).json
        assert told["resolvedBy"] == "demo/echo"
        assert told["results"][0]["diagnosis"]["type"] == "upstream_unavailable"
        assert told["results"][0]["diagnosis"]["source"] == "local"
        assert not upstream.asked

    within(tmp_path, upstream, test)
