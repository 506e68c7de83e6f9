"""What rows alone cannot say of editing: secrets, references between things, keys that are shown once, money, passwords."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from editing import Editor
from support.edited import KEY

from omniroute.errors import Fault, UpstreamError
from omniroute.routing.availability import obstacle
from omniroute.state.audit import Wanted
from omniroute.state.base import Profile
from omniroute.state.quotas import Allowance

CANARY = "gsk_canary0123456789abcdef"


def problems(reply: Any) -> list[tuple[str, str]]:
    assert (reply.status, reply.code) == (422, "config_invalid"), reply.body
    return [(problem["code"], problem["path"]) for problem in reply.json["error"]["problems"]]


def audited(editor: Editor) -> list[Any]:
    found, _ = editor.service.state.audit.page(Wanted())
    return [one.entry for one in reversed(found)]


# -------------------------------------------------------------------------------------------------------------- secrets


def post(editor: Editor, **more: Any) -> Any:
    return editor.do("POST", "/api/providers", {"provider": "groq", "name": "team", "apiKey": CANARY, **more})


def test_a_key_in_a_body_is_kept_apart_and_the_file_refers_to_it(editor: Editor):
    reply = post(editor)
    (name,) = editor.secrets
    assert name.startswith("groq.team-")
    assert f"api_key: ${{secret:{name}}}" in editor.text
    assert reply.json["connection"]["apiKey"] == f"${{secret:{name}}}"
    (connection,) = editor.service.live.current.upstreams["groq"].connections
    assert connection.auth.secret is not None
    assert connection.auth.secret.reveal() == CANARY
    seen = [reply.body, editor.text.encode(), msgspec.json.encode(audited(editor))]
    seen += [editor.do("GET", path).body for path in ("/api/providers", "/api/providers/groq.team", "/api/config")]
    assert not any(CANARY.encode() in one for one in seen)


def test_a_new_key_takes_the_place_of_the_old_one_which_is_forgotten(editor: Editor):
    post(editor)
    (old,) = editor.secrets
    assert editor.do("PATCH", "/api/providers/groq.team", {"apiKey": "gsk_another012345"}).status == 200
    (new,) = editor.secrets
    assert new != old
    assert editor.service.vault.get(new) == "gsk_another012345"
    assert editor.do("PUT", "/api/providers/groq.team", {"apiKey": "${env:LAB_KEY}"}).status == 200
    assert editor.secrets == []
    assert "api_key: ${env:LAB_KEY}" in editor.text


def test_a_key_stays_while_other_things_change_and_goes_with_its_connection(editor: Editor):
    post(editor)
    kept = editor.secrets
    assert editor.do("PUT", "/api/providers/groq.team", {"priority": 7}).status == 200
    assert editor.do("POST", "/api/models/alias", {"alias": "q", "model": "demo/echo"}).status == 201
    assert editor.secrets == kept
    assert editor.do("DELETE", "/api/providers/groq.team").status == 200
    assert editor.secrets == []


@pytest.mark.parametrize("more", [{"priority": -1}, {"headers": {"host": "x"}}, {"maxConcurrent": 0}])
def test_the_key_of_a_write_that_is_refused_is_not_kept(editor: Editor, more: dict[str, Any]):
    problems(post(editor, **more))
    assert editor.secrets == []


@pytest.mark.parametrize("key", ["", "two\nlines", "ümlaut", "x" * 5000])
def test_a_key_that_no_header_can_carry_is_refused(editor: Editor, key: str):
    reply = post(editor, apiKey=key)
    assert (reply.status, reply.code) == (422, "invalid_secret")
    assert not key or key[:50] not in reply.json["error"]["message"]


def test_a_reference_that_leads_nowhere_is_a_problem(editor: Editor):
    before = editor.text
    for reference in ("${env:NOT_SET_AT_ALL}", "${secret:nothing}", "${file:/nowhere/at/all}"):
        assert [code for code, _ in problems(post(editor, apiKey=reference))] == ["OR111"]
    assert editor.text == before


def test_where_secrets_cannot_be_kept_nothing_changes(editor: Editor):
    before = editor.text
    editor.service.vault.path.parent.mkdir(exist_ok=True)
    editor.service.vault.path.write_text("what is this?")
    reply = post(editor)
    assert (reply.status, reply.code) == (503, "secrets_unavailable")
    assert editor.text == before
    assert editor.service.vault.path.read_text() == "what is this?"


def test_the_credential_of_a_header_is_kept_apart_too(editor: Editor):
    reply = post(editor, headers={"x-api-key": CANARY, "x-team": "a"})
    headers = reply.json["connection"]["headers"]
    assert headers["x-team"] == "a"
    assert headers["x-api-key"].startswith("${secret:groq.team-")
    assert len(editor.secrets) == 2
    assert CANARY not in editor.text


def test_a_connection_that_signs_in_leaves_no_token_behind(editor: Editor):
    oauth = {"clientId": "app", "clientSecret": CANARY}
    reply = editor.do("POST", "/api/providers", {"provider": "codex", "name": "me", "oauth": oauth})
    assert reply.status == 201, reply.body
    shown = reply.json["connection"]
    assert (shown["authType"], shown["oauth"]["clientId"]) == ("oauth", "app")
    assert shown["oauth"]["clientSecret"].startswith("${secret:codex.me.client-")
    assert CANARY not in editor.text
    editor.service.vault.put("oauth.codex.me", "a token of a login")
    assert editor.do("PATCH", "/api/providers/codex.me", {"priority": 2}).status == 200
    assert "oauth.codex.me" in editor.secrets
    assert editor.do("DELETE", "/api/providers/codex.me").status == 200
    assert editor.secrets == []


# ----------------------------------------------------------------------------------------------------------- providers


def test_the_last_connection_goes_and_the_provider_stays(editor: Editor):
    post(editor)
    assert editor.do("DELETE", "/api/providers/groq.team").status == 200
    assert "groq" in editor.service.bundle.spec.providers
    assert editor.service.live.current.upstreams["groq"].connections == ()
    assert [warning.code for warning in editor.service.live.current.warnings] == ["OR409"]
    assert post(editor).status == 201


def test_a_provider_that_nobody_knows_is_a_problem(editor: Editor):
    assert ("OR201", "providers.grok") in problems(post(editor, provider="grok"))


def test_a_connection_that_is_switched_off_is_not_called(editor: Editor):
    assert editor.do("PATCH", "/api/providers/lab.spare", {"isActive": False}).status == 200
    assert [each.name for each in editor.service.live.current.upstreams["lab"].connections] == ["main"]
    assert editor.do("GET", "/api/providers/lab.spare").json["connection"]["testStatus"] == "disabled"
    assert editor.do("PATCH", "/api/providers/lab.spare", {"isActive": True}).status == 200
    assert "enabled: true" not in editor.text


def test_what_providers_tell_of_their_limits_counts_or_not(editor: Editor):
    state, now = editor.service.state, editor.service.state.clock.monotonic()
    state.quotas.learn("lab.spare", [Allowance("requests", 0, 10, now + 60, now + 60)], now)
    gateway = editor.service.live.current
    target = gateway.routes["lab/qwen3-32b"].steps[0]

    def held() -> bool:
        (spare,) = (one for one in editor.service.live.current.upstreams["lab"].connections if one.name == "spare")
        return obstacle(target, spare, state, now) is not None

    assert held()
    before = editor.text
    for path, enabled in (("/api/rate-limits", False), ("/api/rate-limit", True)):
        reply = editor.do("POST", path, {"connectionId": "lab.spare", "enabled": enabled})
        assert (reply.status, reply.json["enabled"]) == (200, enabled), reply.body
        assert held() is enabled
    assert editor.text == before
    assert editor.do("POST", "/api/rate-limits", {"connectionId": "lab.none", "enabled": True}).status == 404


def test_a_connection_tells_how_it_is(editor: Editor):
    state = editor.service.state
    fault = Fault(kind="rate_limited", status=429, message="slow down")
    error = UpstreamError("rate_limited", fault)
    state.breakers.note("lab.main", error.kind, state.clock.monotonic(), 30.0, Profile())
    state.used["lab.main"] = state.clock.now()
    shown = editor.do("GET", "/api/providers/lab.main").json["connection"]
    assert (shown["testStatus"], shown["lastError"]) == ("unavailable", "cooling down after rate_limited")
    assert shown["cooldownUntil"] > shown["lastUsedAt"]
    reset = editor.do("POST", "/api/resilience/reset")
    assert (reset.status, reset.json["resetCount"]) == (200, 1)
    assert editor.do("GET", "/api/providers/lab.main").json["connection"]["testStatus"] == "active"
    assert [entry.action for entry in audited(editor)] == ["resilience.reset"]


def test_what_something_else_refers_to_is_not_deleted(editor: Editor):
    before = editor.text
    assert problems(editor.do("DELETE", "/api/combos/coding")) == [
        ("OR202", "combos.other.targets[0]"),
        ("OR202", "keys.team-a.allow[0]"),
    ]
    assert ("OR202", "combos.other.targets[1]") in problems(editor.do("DELETE", "/api/models/alias?alias=fast"))
    allowed = {"name": "k", "allowedModels": ["mine"]}
    assert editor.do("POST", "/api/combos", {"name": "mine", "models": ["demo/echo"]}).status == 201
    assert editor.do("POST", "/api/keys", allowed).status == 201
    assert problems(editor.do("DELETE", "/api/combos/mine")) == [("OR202", "keys.k.allow[0]")]
    assert editor.do("DELETE", "/api/keys/k").status == 200
    assert editor.do("DELETE", "/api/combos/mine").status == 200
    assert editor.do("POST", "/api/combos", {"name": "lab", "models": ["lab/qwen3-32b"]}).status == 201
    assert problems(editor.do("DELETE", "/api/provider-nodes/lab"))
    assert editor.do("DELETE", "/api/combos/lab").status == 200
    assert editor.text == before


def test_names_stay_for_others_refer_to_them(editor: Editor):
    for path in ("/api/combos/coding", "/api/keys/team-a", "/api/policies/house"):
        reply = editor.do("PATCH", path, {"name": "other-name"})
        assert (reply.status, reply.code) == (422, "name_fixed")


def test_a_node_does_not_take_the_name_of_a_provider_of_the_catalogue(editor: Editor):
    for prefix in ("openai", "cc"):
        body = {"prefix": prefix, "type": "openai-compatible", "baseUrl": "http://10.0.0.1/v1"}
        assert editor.do("POST", "/api/provider-nodes", body).code == "prefix_taken"


def test_a_hidden_model_is_not_listed_and_answers(editor: Editor):
    body = {"provider": "lab", "modelId": "qwen3-32b", "hidden": True}
    assert editor.do("PATCH", "/api/provider-models", body).status == 200
    gateway = editor.service.live.current
    assert "lab/qwen3-32b" not in [listed.id for listed in gateway.models]
    assert "lab/qwen3-32b" in gateway.routes
    assert editor.do("GET", "/api/provider-models?provider=demo").json == {"models": [], "total": 0}


def test_an_alias_is_put_whether_it_is_there_or_not(editor: Editor):
    for model in ("demo/echo", "demo/agent"):
        assert editor.do("PUT", "/api/models/alias", {"alias": "new", "model": model}).status == 200
    assert "  new: demo/agent\n" in editor.text
    reply = editor.do("DELETE", "/api/models/alias", {"alias": "new"})
    assert (reply.status, reply.json["success"]) == (200, True)


def test_combos_take_their_defaults_where_they_say_nothing(editor: Editor):
    body = {"comboDefaults": {"strategy": "round-robin", "maxRetries": 3}}
    assert editor.do("PUT", "/api/settings/combo-defaults", body).status == 200
    routes = editor.service.live.current.routes
    assert (routes["other"].strategy, routes["other"].retry.attempts) == ("round-robin", 3)
    assert (routes["coding"].strategy, routes["coding"].retry.attempts) == ("priority", 1)
    assert editor.do("GET", "/api/combos/other").json["strategy"] == "round-robin"


# ----------------------------------------------------------------------------------------------------------------- keys


def call(editor: Editor, key: str) -> int:
    return editor("GET", "/api/keys", key=key).status


def test_a_key_is_shown_once_and_works_until_it_is_rotated_or_deleted(editor: Editor):
    made = editor.do("POST", "/api/keys", {"name": "ops", "roles": ["admin.read"]})
    first = made.json["key"]
    assert first not in editor.text
    assert call(editor, first) == 200
    for path in ("/api/keys", "/api/keys/ops"):
        assert first.encode() not in editor.do("GET", path).body
    rotated = editor.do("POST", "/api/keys/ops/rotate")
    second = rotated.json["key"]
    assert rotated.headers["etag"] == editor.tag("/api/keys/ops")
    assert (call(editor, first), call(editor, second)) == (401, 200)
    assert editor.do("DELETE", "/api/keys/ops").status == 200
    assert call(editor, second) == 401
    assert first.encode() not in msgspec.json.encode(audited(editor))
    assert [entry.action for entry in audited(editor)] == ["keys.create", "keys.rotate", "keys.delete"]
    assert editor.do("POST", "/api/keys/ops/rotate").status == 404


def test_the_editors_own_key_may_be_deleted_and_then_it_is_over(editor: Editor):
    assert editor.do("DELETE", "/api/keys/editor").status == 200
    assert call(editor, KEY) == 401


def test_a_trial_of_a_key_makes_none(editor: Editor):
    before = editor.text
    for path in ("/api/keys?dry_run=1", "/api/keys/team-a/rotate?dry_run=1"):
        reply = editor.do("POST", path, {"name": "ops"} if "rotate" not in path else None)
        assert (reply.status, reply.json["key"]) == (200, None)
    assert editor.text == before


# ---------------------------------------------------------------------------------------------------------------- money


def test_a_budget_is_made_for_a_key_and_shows_how_it_stands(editor: Editor):
    shown = editor.do("GET", "/api/usage/budget?keyId=team-a").json["budgets"]
    assert [(each["budget"], each["limit"], each["period"], each["spent"]) for each in shown] == [
        ("team-a", 50.0, "monthly", 0.0)
    ]
    reply = editor.do("POST", "/api/usage/budget", {"keyId": "team-a", "limit": 2.5, "period": "daily"})
    assert reply.status == 200, reply.body
    assert [each["budget"] for each in reply.json["budgets"]] == ["team-a", "team-a-daily"]
    assert reply.json["budgets"][1]["remaining"] == 2.5
    assert "budgets: [team-a, team-a-daily]" in editor.text
    again = editor.do("POST", "/api/usage/budget", {"keyId": "team-a", "limit": 60, "period": "monthly"})
    assert "team-a: {limit: 60, period: monthly}   # of the department" in editor.text
    assert len(again.json["budgets"]) == 2


def test_a_budget_may_be_said_as_other_gateways_say_it(editor: Editor):
    body = {
        "apiKeyId": "team-a",
        "dailyLimitUsd": 1,
        "monthlyLimitUsd": 20,
        "warningThreshold": 0.5,
        "resetTime": "06:00",
    }
    assert editor.do("POST", "/api/usage/budget", body).status == 200
    budgets = editor.service.bundle.spec.budgets
    assert (budgets["team-a"].limit, budgets["team-a"].warn_at, budgets["team-a"].reset) == (20, "50%", "06:00")
    assert budgets["team-a-daily"].limit == 1


def test_a_shared_budget_is_not_changed_for_one_key(editor: Editor):
    assert (
        editor.do("POST", "/api/keys", {"name": "b", "budgets": ["team-a"], "allowedModels": ["demo/*"]}).status == 201
    )
    assert editor.do("POST", "/api/usage/budget", {"keyId": "b", "limit": 1, "period": "monthly"}).status == 200
    budgets = editor.service.bundle.spec.budgets
    assert (budgets["team-a"].limit, budgets["b-monthly"].limit) == (50, 1)
    assert editor.do("DELETE", "/api/usage/budget?keyId=b").json["budgets"] == []
    assert list(editor.service.bundle.spec.budgets) == ["team-a"]


def test_a_budget_of_nobody_is_told(editor: Editor):
    for method, path, body, status in (
        ("POST", "/api/usage/budget", {"keyId": "nobody", "limit": 1, "period": "daily"}, 404),
        ("POST", "/api/usage/budget", {"keyId": "team-a"}, 400),
        ("POST", "/api/usage/budget", {"limit": 1, "period": "daily"}, 400),
        ("GET", "/api/usage/budget?keyId=nobody", None, 404),
        ("DELETE", "/api/usage/budget?keyId=team-a&period=daily", None, 404),
        ("DELETE", "/api/usage/budget", None, 400),
    ):
        assert editor.do(method, path, body).status == status, (method, path, body)


def test_prices_lie_over_those_of_the_catalogue(editor: Editor):
    assert editor.do("GET", "/api/pricing").json["lab"] == {"qwen3-32b": {"input": 0.4, "output": 0.9}}
    body = {"lab": {"qwen3-32b": {"output": 1.5, "cached": 0.1}, "new": {"input": 3, "output": 12}}}
    reply = editor.do("PATCH", "/api/pricing", body)
    assert reply.status == 200, reply.body
    assert reply.json["pricing"]["lab"]["new"] == {"input": 3.0, "output": 12.0}
    assert "lab/qwen3-32b: {input: 0.4, output: 1.5, cache_read: 0.1}   # negotiated" in editor.text
    assert editor.do("DELETE", "/api/pricing?provider=lab&model=new").status == 200
    assert editor.do("DELETE", "/api/pricing?provider=lab&model=new").status == 404
    assert editor.do("DELETE", "/api/pricing").json["pricing"] == {}
    assert editor.do("GET", "/api/pricing").json["lab"] == {"qwen3-32b": {"input": 0.5, "output": 1.0}}


@pytest.mark.parametrize("price", [{"input": -1}, {"input": 1e9}])
def test_a_price_that_cannot_be_is_a_problem(editor: Editor, price: dict[str, float]):
    assert problems(editor.do("PATCH", "/api/pricing", {"lab": {"m": price}}))


def test_the_catalogue_tells_its_prices_and_models(editor: Editor):
    defaults = editor.do("GET", "/api/pricing/defaults?provider=openai").json
    assert list(defaults) == ["openai"]
    models = editor.do("GET", "/api/pricing/models").json
    assert models["lab"]["models"] == [{"id": "qwen3-32b", "name": "qwen3-32b", "custom": True}]
    assert models["anthropic"]["alias"] == "cc"


# ------------------------------------------------------------------------------------------------------------- settings


def test_a_proxys_password_is_taken_and_never_told(editor: Editor):
    body = {
        "level": "provider",
        "id": "lab",
        "proxy": {"type": "http", "host": "10.0.0.5", "port": 3128, "username": "u", "password": CANARY},
    }
    reply = editor.do("PUT", "/api/settings/proxy", body)
    assert reply.status == 200, reply.body
    shown = reply.json["providers"]["lab"]
    assert (shown["url"], shown["hasPassword"]) == ("http://10.0.0.5:3128", True)
    assert editor.secrets[0].startswith("proxy.providers.lab-")
    assert CANARY not in editor.text
    for path in ("", "?level=provider&id=lab", "?resolve=lab.main"):
        assert CANARY.encode() not in editor.do("GET", f"/api/settings/proxy{path}").body
    assert editor.do("GET", "/api/settings/proxy?resolve=lab.main").json["level"] == "provider"
    assert editor.do("GET", "/api/settings/proxy?resolve=demo.default").json["level"] == "direct"
    before = editor.text
    assert editor.do("PUT", "/api/settings/proxy", {"providers": {"lab": shown}}).status == 200
    assert editor.text == before
    port = {"level": "provider", "id": "lab", "proxy": {"port": 3129}}
    assert editor.do("PATCH", "/api/settings/proxy", port).json["providers"]["lab"]["hasPassword"] is True
    assert editor.do("DELETE", "/api/settings/proxy?level=provider&id=lab").json["providers"] == {}
    assert editor.secrets == []
    assert editor.do("DELETE", "/api/settings/proxy?level=provider&id=lab").status == 404


def test_a_proxy_for_nothing_and_one_that_cannot_be_are_refused(editor: Editor):
    for proxy, level, name in (
        ({"host": "h", "port": 1}, "provider", "nobody"),
        ({"host": "h h", "port": 1}, "global", ""),
        ({"host": "h", "port": 99999}, "global", ""),
        ({"url": "ftp://h:1"}, "global", ""),
    ):
        problems(editor.do("PUT", "/api/settings/proxy", {"level": level, "id": name, "proxy": proxy}))
    for body in ({}, {"level": "combo", "proxy": {"host": "h", "port": 1}}, {"level": "global", "proxy": {"port": 1}}):
        assert editor.do("PUT", "/api/settings/proxy", body).status == 400


def test_the_filter_of_addresses_takes_both_spellings(editor: Editor):
    for body in ({"mode": "blacklist", "blacklist": ["203.0.113.9"]}, {"addBlacklist": "203.0.113.10"}):
        assert editor.do("PUT", "/api/settings/ip-filter", body).status == 200
    spec = editor.service.bundle.spec.settings.ip_filter
    assert (spec.mode, spec.block) == ("block", ("203.0.113.9", "203.0.113.10"))
    assert (
        editor.do("PUT", "/api/settings/ip-filter", {"enabled": False, "removeBlacklist": "203.0.113.9"}).status == 200
    )
    spec = editor.service.bundle.spec.settings.ip_filter
    assert (spec.mode, spec.block) == ("off", ("203.0.113.10",))


@pytest.mark.parametrize(
    "body",
    [
        {"profiles": {"oauth": {"failureThreshold": 4, "resetTimeoutMs": 9000, "cooldownMs": 700}}},
        {"profiles": {"oauth": {"circuitBreakerThreshold": 4, "circuitBreakerReset": 9000, "transientCooldown": 700}}},
        {
            "providerBreaker": {"oauth": {"failureThreshold": 4, "resetTimeoutMs": 9000}},
            "connectionCooldown": {"oauth": {"baseCooldownMs": 700}},
        },
    ],
)
def test_profiles_may_be_said_as_other_gateways_say_them(editor: Editor, body: dict[str, Any]):
    assert editor.do("PATCH", "/api/resilience", body).status == 200
    spec = editor.service.bundle.spec.resilience.profiles.oauth
    assert (spec.failure_threshold, spec.reset_timeout, spec.cooldown) == (4, "9s", "700ms")
    both = {"requestQueue": {"concurrent": 3, "concurrentRequests": 4}}
    assert editor.do("PUT", "/api/resilience", both).status == 400


def test_anybody_may_ask_whether_a_login_is_needed(editor: Editor):
    reply = editor("GET", "/api/settings/require-login")
    assert reply.json == {"requireLogin": True, "hasPassword": False, "setupComplete": False}
    assert editor("POST", "/api/settings/require-login", b'{"requireLogin": false}').status == 401


def test_a_password_becomes_a_hash_and_ends_what_the_old_one_began(editor: Editor):
    first = editor.service.first_password.text
    page = editor.login(first)
    held = {"cookie": page.token, "x_omniroute_csrf": page.json["csrfToken"]}
    other = editor.login(first)
    reply = editor("PUT", "/api/settings/require-login", b'{"password": "a new password"}', **held)
    assert reply.status == 200, reply.body
    assert (reply.json["success"], reply.json["hasPassword"]) == (True, True)
    assert "password_hash: $argon2id$" in editor.text
    assert b"argon2id" not in reply.body
    assert not any("argon2id" in entry.diff for entry in audited(editor))
    assert editor("GET", "/api/keys", cookie=other.token).status == 401
    again = {"cookie": reply.token, "x_omniroute_csrf": reply.json["csrfToken"]}
    assert editor("GET", "/api/keys", **again).status == 200
    assert (editor.login(first).status, editor.login("a new password").status) == (401, 200)
    assert b"$argon2id" not in editor.do("GET", "/api/config").body


@pytest.mark.parametrize("body", [{"password": "seven77"}, {"password": "x" * 1025}, {}, {"other": 1}])
def test_a_password_that_is_none_is_refused(editor: Editor, body: dict[str, Any]):
    before = editor.text
    assert editor.do("POST", "/api/settings/require-login", body).status == 400
    assert editor.text == before


def test_who_waits_after_wrong_passwords_is_listed_and_let_off(editor: Editor):
    for _ in range(5):
        assert editor.login("wrong password").status == 401
    assert editor.login("wrong password").status == 429
    (waiting,) = editor.do("GET", "/api/policies").json["lockedIdentifiers"]
    assert waiting["identifier"] == "192.0.2.1"
    assert 0 < waiting["remainingMs"] <= 300_000
    body = {"action": "unlock", "identifier": "192.0.2.1"}
    assert editor.do("POST", "/api/policies", body).json["success"] is True
    assert editor.do("POST", "/api/policies", body).status == 404
    assert editor.do("POST", "/api/policies", {"action": "lock", "identifier": "x"}).status == 400
    assert editor.login("wrong password").status == 401


# --------------------------------------------------------------------------------------------------------- several files


def test_a_thing_is_edited_in_the_file_where_it_stands(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    main = 'version: 1\ninclude: [more.yaml]\nserver: {data_dir: "{data}"}\nproviders: {demo: {type: demo}}\nkeys:\n  e: {digest: "{digest}", roles: [admin.write]}\n'
    more = "# of the other team\ncombos:\n  theirs: {targets: [demo/echo]}   # one line\n"
    editor = Editor(tmp_path, {"omniroute.yaml": main, "more.yaml": more})
    try:
        before = editor.text
        assert editor.do("PATCH", "/api/combos/theirs", {"strategy": "random"}).status == 200
        assert editor.do("POST", "/api/combos", {"name": "new", "models": ["demo/agent"]}).status == 201
        assert editor.text == before
        text = (tmp_path / "config" / "more.yaml").read_text()
        assert "theirs: {targets: [demo/echo], strategy: random}   # one line" in text
        assert "  new:\n" in text
    finally:
        editor.close()


# ------------------------------------------------------------------------------------------------------------ at once


def test_editors_at_once_lose_nothing(editor: Editor):
    """Twenty of them, on the same object and on different ones: a write that was made of an older state is told so."""

    async def count(number: int) -> int:
        done = 0
        for _ in range(4):
            while True:
                got = await editor.send("GET", "/api/combos/coding", key=KEY)
                delay = got.json["config"]["retryDelayMs"]
                body = msgspec.json.encode({"config": {"retryDelayMs": delay + 1}})
                put = await editor.send("PUT", "/api/combos/coding", body, key=KEY, if_match=got.headers["etag"])
                if put.status == 200:
                    done += 1
                    break
                assert put.status == 412, put.body
        return done

    async def own(number: int) -> None:
        for turn in range(4):
            body = msgspec.json.encode({"alias": f"a{number}", "model": "demo/echo" if turn % 2 else "demo/agent"})
            assert (await editor.send("PUT", "/api/models/alias", body, key=KEY)).status == 200

    async def all_of_them() -> int:
        counted = await asyncio.gather(*(count(number) for number in range(5)), *(own(number) for number in range(15)))
        return sum(done for done in counted if done)

    made = asyncio.run(all_of_them())
    combo = editor.do("GET", "/api/combos/coding").json
    assert (made, combo["config"]["retryDelayMs"]) == (20, 520)
    aliases = editor.do("GET", "/api/models/alias").json["aliases"]
    assert all(aliases[f"a{number}"] == "demo/echo" for number in range(15))
    assert {path.suffix for path in editor.path.parent.iterdir()} <= {".yaml", ".lock"}, "something was left beside it"
