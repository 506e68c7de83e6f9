"""Where requests go, over HTTP and with real health: names, combos, connections, breakers."""

from __future__ import annotations

import hashlib
import json
import ssl
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any

import httpx
import pytest
from support import legal, speech
from support.gateway import Gateway
from support.upstream import Asked, Script, Upstream, events, whole

KEY = "sk-or-an-administrator-who-only-reads"
LIMITED = "sk-or-a-caller-with-few-models"
SURFACES = ("openai", "anthropic")
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here is TLS, and to load all authorities for each request takes longer than the request."""


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def head_of(profile: str) -> str:
    return f"""\
version: 1
server: {{data_dir: '{{data_dir}}'}}
keys:
  admin: {{digest: 'sha256:{digest(KEY)}', roles: [admin.read]}}
  few: {{digest: 'sha256:{digest(LIMITED)}', allow: [known, "a/*"]}}
resilience: {{profiles: {{api_key: {{{profile}}}}}}}
"""


class Scripted(Upstream):
    """Answers by the first part of the path, which is the provider, and the key, which is the connection; well where
    nothing else is said."""

    def __init__(self) -> None:
        super().__init__(self._script)
        self.says: dict[str, Any] = {}

    def _script(self, asked: Asked) -> Script:
        for name in (asked.headers.get("authorization", "").removeprefix("Bearer "), provider_of(asked)):
            if name in self.says:
                said = self.says[name]
                return said(asked) if callable(said) else said
        form = "anthropic" if asked.path.endswith("/messages") else "openai"
        return events(*speech.streamed(form)) if asked.json.get("stream") else whole(speech.whole(form))

    def went_to(self) -> list[str]:
        """The providers, in the order in which they were asked."""
        return [provider_of(asked) for asked in self.asked]


def provider_of(asked: Asked) -> str:
    return asked.path.split("/")[1]


def error(status: int, **headers: str) -> Script:
    return whole(
        {"error": {"message": f"status {status}", "type": "t", "param": None, "code": None}}, status, **headers
    )


def providers(upstream: Upstream, *names: str, models: str = "m", more: str = "") -> str:
    """One connection each, which needs no key."""
    listed = ", ".join(f"{model}: {{}}" for model in models.split())
    rows = [
        f"  {name}: {{type: openai-compatible, base_url: '{upstream.url}/{name}', connections: {{main: {{}}}}, "
        f"models: {{{listed}}}{more}}}"
        for name in names
    ]
    return "\n".join(["providers:", *rows, ""])


def ask(gateway: Gateway, model: str, surface: str = "openai", key: str = "", **more: Any) -> httpx.Response:
    headers = {"x-api-key": key} if key else {}
    body = speech.ask(model, **more)
    return httpx.post(
        gateway.url + speech.PATHS[surface], json=body, headers=headers, trust_env=False, timeout=20, verify=PLAIN
    )


def health(gateway: Gateway) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {KEY}"}
    told = httpx.get(f"{gateway.url}/api/monitoring/health", headers=headers, trust_env=False, verify=PLAIN).json()
    return dict(told["providerHealth"])


# ------------------------------------------------------------------------------------------------------------- names

NAMES = """\
aliases:
  short: a/m
  "wide-*": b/*
  "wide-x*": c/*
  "wide-exact": a/m
  "*": b/m2
combos:
  known: {targets: [a/m]}
  a: {targets: [b/m]}
  b-m: {targets: [c/m]}
"""
RESOLVED = {
    "known": ("a", "m"),
    "a": ("b", "m"),  # a combo before a provider of the same name
    "a/m": ("a", "m"),
    "a/unlisted": ("a", "unlisted"),
    "a/with/slashes": ("a", "with/slashes"),
    "short": ("a", "m"),
    "wide-m": ("b", "m"),
    "wide-xm": ("c", "m"),  # the more specific pattern
    "wide-exact": ("a", "m"),  # an exact name before any pattern
    "b-m": ("c", "m"),
}


@pytest.fixture(scope="module")
def named():
    with Scripted() as upstream:
        config = head_of("cooldown: 1s") + providers(upstream, "a", "b", "c", models="m m2") + NAMES
        with Gateway(config) as gateway:
            yield gateway, upstream


def test_a_name_means_what_the_contract_says_in_its_order(named):
    gateway, upstream = named
    for surface in SURFACES:
        for name, (provider, model) in RESOLVED.items():
            upstream.asked.clear()
            answer = ask(gateway, name, surface)
            assert answer.status_code == 200, (name, answer.text)
            assert [(provider_of(asked), asked.json["model"]) for asked in upstream.asked] == [(provider, model)], name
            assert answer.headers["x-omniroute-provider"] == provider
            assert answer.headers["x-omniroute-model"] == model
            assert legal.answer(surface, answer.content).model == name


def test_a_pattern_for_everything_is_the_last_resort_that_the_config_says(named):
    gateway, upstream = named
    upstream.asked.clear()
    assert ask(gateway, "whatever").status_code == 200
    assert [(provider_of(asked), asked.json["model"]) for asked in upstream.asked] == [("b", "m2")]


def test_a_key_may_use_what_it_is_allowed_by_the_name_it_asks_for(named):
    gateway, _ = named
    for surface in SURFACES:
        for name, status in (("known", 200), ("a/m", 200), ("short", 403), ("b/m", 403), ("a", 403)):
            answer = ask(gateway, name, surface, LIMITED)
            assert answer.status_code == status, name
            if status == 403:
                assert name in legal.refusal(surface, answer.content)["message"]
    listed = httpx.get(
        f"{gateway.url}/v1/models", headers={"x-api-key": LIMITED}, trust_env=False, verify=PLAIN
    ).json()["data"]
    assert {model["id"] for model in listed} == {"known", "a/m", "a/m2"}


@pytest.fixture(scope="module")
def bare():
    """Models that stand alone, and no pattern that takes the rest."""
    with Scripted() as upstream:
        rows = providers(upstream, "a", "b", models="both") + providers(upstream, "c", models="gpt-single other")[11:]
        with Gateway(head_of("cooldown: 1s") + rows + "combos: {coding: {targets: [a/both]}}\n") as gateway:
            yield gateway, upstream


def test_a_model_that_one_provider_has_needs_no_prefix(bare):
    gateway, upstream = bare
    upstream.asked.clear()
    assert ask(gateway, "gpt-single").status_code == 200
    assert upstream.went_to() == ["c"]


def test_a_model_that_several_have_is_refused_with_its_candidates(bare):
    gateway, upstream = bare
    upstream.asked.clear()
    for surface in SURFACES:
        answer = ask(gateway, "both", surface)
        assert answer.status_code == 400
        told = legal.refusal(surface, answer.content)
        assert "`a/both`" in told["message"]
        assert "`b/both`" in told["message"]
        assert told.get("code", "model_ambiguous") == "model_ambiguous"
    assert not upstream.asked


def test_a_model_that_nobody_has_is_refused_with_the_nearest_names(bare):
    gateway, upstream = bare
    upstream.asked.clear()
    for name, near in (
        ("gpt-singel", "gpt-single"),
        ("codin", "coding"),
        ("c/gpt-single2", None),
        ("zzz", "/v1/models"),
    ):
        for surface in SURFACES:
            answer = ask(gateway, name, surface)
            if near is None:
                assert answer.status_code == 200, "catalogues age, providers do not wait for them"
                continue
            assert answer.status_code == 404
            told = legal.refusal(surface, answer.content)
            assert near in told["message"]
            assert told["type"] in ("invalid_request_error", "not_found_error")
            assert told.get("code", "model_not_found") == "model_not_found"
    assert ask(gateway, "d/gpt-single").status_code == 404


# ------------------------------------------------------------------------------------------------------------ combos


def test_combos_spread_their_load_by_their_strategy_and_nest():
    with Scripted() as upstream:
        combos = """\
combos:
  turns: {strategy: round-robin, targets: [a/m, b/m, c/m]}
  shares: {strategy: weighted, targets: [{model: a/m, weight: 3}, {model: b/m, weight: 1}]}
  chance: {strategy: random, targets: [a/m, b/m, c/m]}
  inner: {strategy: round-robin, targets: [b/m, c/m]}
  outer: {targets: [a/m, inner]}
"""
        with Gateway(head_of("cooldown: 1m") + providers(upstream, "a", "b", "c") + combos) as gateway:
            assert counted(gateway, upstream, "turns", 30) == {"a": 10, "b": 10, "c": 10}
            shares = counted(gateway, upstream, "shares", 200)
            assert 120 < shares["a"] < 180
            chance = counted(gateway, upstream, "chance", 60)
            assert set(chance) == {"a", "b", "c"}
            assert counted(gateway, upstream, "outer", 5) == {"a": 5}
            upstream.says["a"] = error(503)
            assert counted(gateway, upstream, "outer", 6) == {"a": 1, "b": 3, "c": 3}, "a combo within keeps its turns"
            upstream.says["b"] = error(503)
            assert counted(gateway, upstream, "outer", 6) == {"b": 1, "c": 6}


def counted(gateway: Gateway, upstream: Scripted, model: str, count: int) -> dict[str, int]:
    """Which providers were asked, in so many requests that all were answered."""
    upstream.asked.clear()
    with httpx.Client(trust_env=False, timeout=20, verify=PLAIN) as client:
        for _ in range(count):
            answer = client.post(gateway.url + speech.PATHS["openai"], json=speech.ask(model))
            assert answer.status_code == 200, answer.text
    return dict(Counter(upstream.went_to()))


def test_retries_are_as_many_as_the_combo_says_and_only_for_what_it_says():
    with Scripted() as upstream:
        combos = """\
combos:
  twice: {targets: [a/m, b/m], retry: {attempts: 2, delay: 10ms, on: [timeout, connect]}}
"""
        with Gateway(
            head_of("cooldown: 0s, failure_threshold: 100") + providers(upstream, "a", "b") + combos
        ) as gateway:
            upstream.says["a"] = Script(refuse=True)
            answer = ask(gateway, "twice")
            assert (answer.status_code, answer.headers["x-omniroute-attempts"]) == (200, "4")
            assert upstream.went_to() == ["a", "a", "a", "b"]
            upstream.asked.clear()
            upstream.says["a"] = error(503)
            assert ask(gateway, "twice").headers["x-omniroute-attempts"] == "2"
            assert upstream.went_to() == ["a", "b"]


# ------------------------------------------------------------------------------------------------------- connections


def keyed(upstream: Upstream, selection: str) -> str:
    return f"""\
providers:
  p:
    type: openai-compatible
    base_url: '{upstream.url}/p'
    models: {{m: {{}}, m2: {{}}}}
    selection: {selection}
    connections:
      one: {{api_key: "${{env:KEY_ONE}}"}}
      two: {{api_key: "${{env:KEY_TWO}}"}}
      spare: {{api_key: "${{env:KEY_SPARE}}", priority: 2}}
"""


KEYS = {"KEY_ONE": "one", "KEY_TWO": "two", "KEY_SPARE": "spare"}


def used(upstream: Upstream) -> list[str]:
    """The connections, by the keys that they showed."""
    return [asked.headers["authorization"].removeprefix("Bearer ") for asked in upstream.asked]


def test_the_next_connection_of_a_provider_is_used_when_one_fails():
    with Scripted() as upstream, Gateway(head_of("cooldown: 1m") + keyed(upstream, "fill-first"), **KEYS) as gateway:
        upstream.says["one"] = error(429)
        assert ask(gateway, "p/m").headers["x-omniroute-attempts"] == "2"
        assert used(upstream) == ["one", "two"]
        upstream.asked.clear()
        assert ask(gateway, "p/m").headers["x-omniroute-attempts"] == "1", "one cools down"
        upstream.says["two"] = error(401)
        assert ask(gateway, "p/m").status_code == 200
        assert used(upstream) == ["two", "two", "spare"]
        told = health(gateway)
        assert [told[f"p.{name}"]["kind"] for name in ("one", "two", "spare")] == ["rate_limited", "auth", ""]
        upstream.says["spare"] = error(429, retry_after="30")
        answer = ask(gateway, "p/m")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
        upstream.asked.clear()
        for surface in SURFACES:
            answer = ask(gateway, "p/m", surface)
            assert answer.status_code == 503, "not all of them are only busy: one has lost its right"
            assert 25 <= int(answer.headers["retry-after"]) <= 30
            message = legal.refusal(surface, answer.content)["message"]
            assert all(f"`p.{name}`" in message for name in ("one", "two", "spare"))
        assert not upstream.asked
        skipped = json.loads(gateway.rows(expected=6)[-1]["attempts"])
        assert [one["outcome"] for one in skipped] == ["skipped"] * 3


@pytest.mark.parametrize("selection", ["round-robin", "random", "weighted"])
def test_connections_share_by_their_selection_within_a_priority(selection):
    with (
        Scripted() as upstream,
        Gateway(
            head_of("cooldown: 1m") + keyed(upstream, selection) + "combos: {both: {targets: [p/m, p/m2]}}\n", **KEYS
        ) as gateway,
    ):
        assert counted(gateway, upstream, "p/m", 40) == {"p": 40}
        shares = Counter(used(upstream))
        assert set(shares) == {"one", "two"}
        assert selection != "round-robin" or shares["one"] == shares["two"]
        upstream.asked.clear()
        assert counted(gateway, upstream, "both", 40) == {"p": 40}
        assert set(Counter(used(upstream))) == {"one", "two"}, "two models of a provider are no reason to skip a turn"


def test_a_connection_that_is_full_is_passed_over():
    release: Future[None] = Future()

    def slow(asked: Asked) -> Script:
        first, *rest = speech.streamed("openai")
        return events(first, *rest, hold=release)

    with Scripted() as upstream:
        config = head_of("cooldown: 1m") + keyed(upstream, "fill-first").replace('ONE}"}', 'ONE}", max_concurrent: 2}')
        with Gateway(config, **KEYS) as gateway, ThreadPoolExecutor(3) as pool:
            upstream.says["one"] = upstream.says["two"] = slow
            waiting = []
            for count in (1, 2, 3):
                waiting.append(pool.submit(ask, gateway, "p/m", stream=True))
                wait_for(lambda count=count: len(upstream.asked) == count)
            release.set_result(None)
            assert [one.result().status_code for one in waiting] == [200] * 3
            assert used(upstream) == ["one", "one", "two"]


def wait_for(what: Any, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# ----------------------------------------------------------------------------------------------------------- breakers


def test_a_circuit_opens_at_the_threshold_and_closes_after_a_probe():
    profile = "failure_threshold: 3, reset_timeout: 1s, cooldown: 0s"
    with Scripted() as upstream, Gateway(head_of(profile) + providers(upstream, "a")) as gateway:
        upstream.says["a"] = Script(pieces=[b"<html>"], content_type="text/html")
        for failures in (1, 2, 3):
            assert ask(gateway, "a/m").status_code == 502
            assert health(gateway)["a.main"]["failures"] == failures
        assert health(gateway)["a.main"]["state"] == "open"
        answer = ask(gateway, "a/m")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert len(upstream.asked) == 3
        wait_for(lambda: health(gateway)["a.main"]["state"] == "half-open")
        assert ask(gateway, "a/m").status_code == 502, "the probe fails, and all is as before"
        assert ask(gateway, "a/m").status_code == 503
        wait_for(lambda: health(gateway)["a.main"]["state"] == "half-open")
        hold: Future[None] = Future()
        upstream.says["a"] = events(speech.begin("openai"), *speech.streamed("openai"), hold=hold)
        with ThreadPoolExecutor(1) as pool:
            probe = pool.submit(ask, gateway, "a/m", stream=True)
            wait_for(lambda: len(upstream.asked) == 5)
            assert ask(gateway, "a/m").status_code == 503, "one probe at a time, until it speaks"
            hold.set_result(None)
            assert probe.result().status_code == 200
        told = health(gateway)["a.main"]
        assert (told["state"], told["failures"], told["available"]) == ("closed", 0, True)
        del upstream.says["a"]
        assert ask(gateway, "a/m").status_code == 200


def test_a_probe_whose_client_leaves_gives_the_turn_back():
    profile = "failure_threshold: 1, reset_timeout: 200ms, cooldown: 0s"
    with Scripted() as upstream, Gateway(head_of(profile) + providers(upstream, "a")) as gateway:
        upstream.says["a"] = Script(refuse=True)
        assert ask(gateway, "a/m").status_code == 502
        time.sleep(0.25)
        upstream.says["a"] = Script(silent=True)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(
                gateway.url + speech.PATHS["openai"], json=speech.ask("a/m"), timeout=0.1, trust_env=False, verify=PLAIN
            )
        wait_for(lambda: upstream.busy == 0)
        del upstream.says["a"]
        wait_for(lambda: gateway.rows()[-1]["status"] == 499)
        assert ask(gateway, "a/m").status_code == 200


def test_a_cooldown_grows_and_ends_with_the_first_success():
    profile = "failure_threshold: 100, cooldown: 100ms, max_cooldown: 400ms"
    with Scripted() as upstream, Gateway(head_of(profile) + providers(upstream, "a")) as gateway:
        upstream.says["a"] = error(503)
        for pause in (0.1, 0.2, 0.4, 0.4):
            fails_and_cools_down(gateway, pause)
        del upstream.says["a"]
        assert ask(gateway, "a/m").status_code == 200
        upstream.says["a"] = error(503)
        fails_and_cools_down(gateway, 0.1)


def fails_and_cools_down(gateway: Gateway, pause: float) -> None:
    """One more failure, and the pause after it, to its end."""
    began = time.time()
    assert ask(gateway, "a/m").status_code == 503
    ended = time.time()
    until = health(gateway)["a.main"].get("cooldownUntil")
    if until is not None:  # else this machine was too slow to see it
        assert began + pause - 0.01 < datetime.fromisoformat(until).timestamp() < ended + pause + 0.01
    wait_for(lambda: health(gateway)["a.main"]["available"])


def test_retry_after_is_honoured_and_passed_on():
    profile = "cooldown: 100ms, max_cooldown: 100ms"
    with Scripted() as upstream, Gateway(head_of(profile) + providers(upstream, "a", "b", "c")) as gateway:
        for name, said, seconds in (("a", {"retry_after": "2"}, 2), ("b", {"retry_after_ms": "1500"}, 2)):
            upstream.says[name] = error(429, **said)
            for surface in SURFACES:
                answer = ask(gateway, f"{name}/m", surface)
                assert (answer.status_code, int(answer.headers["retry-after"])) == (429, seconds)
            time.sleep(0.2)
            assert ask(gateway, f"{name}/m").status_code == 429, "it waits for longer than its own cooldown"
        assert upstream.went_to() == ["a", "b"], "the second time nobody was asked"
        soon = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
        upstream.says["c"] = error(503, retry_after=soon)
        assert 27 <= int(ask(gateway, "c/m").headers["retry-after"]) <= 30
        assert 27 <= int(ask(gateway, "c/m").headers["retry-after"]) <= 30


def test_a_callers_own_mistake_touches_no_health():
    profile = "failure_threshold: 1, cooldown: 1m"
    with Scripted() as upstream, Gateway(head_of(profile) + providers(upstream, "a")) as gateway:
        for status in (400, 404, 409, 413, 422):
            upstream.says["a"] = error(status)
            for _ in range(3):
                assert ask(gateway, "a/m").status_code == status
        assert health(gateway)["a.main"]["failures"] == 0
        assert health(gateway)["a.main"]["available"]


def refused(status: int, message: str, code: str | None = None) -> Script:
    return whole({"error": {"message": message, "type": "t", "param": None, "code": code}}, status)


def test_a_model_that_cools_down_leaves_its_connection_to_the_others():
    with Scripted() as upstream, Gateway(head_of("cooldown: 1m") + providers(upstream, "a", models="m m2")) as gateway:

        def limited(asked: Asked) -> Script:
            return (
                refused(429, "Rate limit reached for m in organization o")
                if asked.json["model"] == "m"
                else whole(speech.whole("openai"))
            )

        upstream.says["a"] = limited
        assert ask(gateway, "a/m").status_code == 429
        answer = ask(gateway, "a/m")
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "all_connections_cooling")
        assert "`m` cooling down after rate_limited" in answer.json()["error"]["message"]
        assert len(upstream.asked) == 1
        assert ask(gateway, "a/m2").status_code == 200
        assert health(gateway)["a.main"]["failures"] == 0


def test_a_model_that_a_provider_does_not_have_is_asked_for_elsewhere():
    combo = "combos: {both: {targets: [a/m, b/m]}}\n"
    with (
        Scripted() as upstream,
        Gateway(head_of("cooldown: 1m") + providers(upstream, "a", "b", models="m m2") + combo) as gateway,
    ):
        upstream.says["a"] = refused(404, "The model `m` does not exist", "model_not_found")
        assert [ask(gateway, "both").status_code for _ in range(3)] == [200, 200, 200]
        assert upstream.went_to() == ["a", "b", "b", "b"]
        answer = ask(gateway, "a/m")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        assert ask(gateway, "a/m2").status_code == 404
        assert upstream.went_to()[4:] == ["a"], "another name is asked for"


def test_a_provider_that_refuses_our_key_is_never_dead_for_good():
    profile = "cooldown: 1s, max_cooldown: 1s"
    with Scripted() as upstream, Gateway(head_of(profile) + providers(upstream, "a")) as gateway:
        upstream.says["a"] = error(401)
        assert ask(gateway, "a/m").status_code == 401
        told = health(gateway)["a.main"]
        assert (told["state"], told["kind"]) == ("open", "auth")
        assert ask(gateway, "a/m").status_code == 503
        wait_for(lambda: health(gateway)["a.main"]["available"])
        assert ask(gateway, "a/m").status_code == 401
        del upstream.says["a"]
        wait_for(lambda: health(gateway)["a.main"]["available"])
        assert ask(gateway, "a/m").status_code == 200
        assert health(gateway)["a.main"]["state"] == "closed"


def test_health_outlives_a_reload():
    with Scripted() as upstream:
        config = head_of("cooldown: 1m") + providers(upstream, "a", "b")
        with Gateway(config) as gateway:
            upstream.says["a"] = error(503)
            assert ask(gateway, "a/m").status_code == 503
            gateway.write(config + "aliases: {fresh: a/m}\n")
            wait_for(lambda: ask(gateway, "fresh").status_code == 503)
            assert health(gateway)["a.main"]["failures"] == 1
            assert len(upstream.asked) == 1
