"""Explanations and policy tests over the management plane: as the command line tells them, and as things stand."""

from __future__ import annotations

import asyncio

import msgspec
from support.managed import Managed, run

from omniroute import cli

CONFIG = """
version: 1
server: {data_dir: "{data_dir}"}
auth: {require_login: false}
providers: {demo: {}, ollama: {}}
combos: {pair: {targets: [ollama/x, demo/echo]}}
keys:
  team: {digest: "sha256:DIGEST", limits: [few], allow: [pair]}
limits: {few: {requests: 2/1h}}
policies:
  local:
    match: {keys: [team]}
    rules: [{deny_models: {patterns: ["ollama/*"], reason: not here}}]
    tests:
      - {name: it says so, given: {key: team, model: pair}, expect: {order: [demo/echo]}}
      - {name: and this is wrong, given: {key: team, model: pair}, expect: {order: [ollama/x]}}
  nothing:
    rules: [{max_tokens: {output: 10}}]
    tests: [{given: {model: demo/echo}, expect: {sent: {max_tokens: 10}}}]
""".replace("DIGEST", "ab" * 32)


def test_an_explanation_is_that_of_the_command_line(tmp_path, capsys):
    async def test(one: Managed) -> None:
        asked = {"model": "pair", "key": "team", "format": "anthropic", "at": "2026-03-02T09:30:00Z", "has": ["tools"]}
        told = await one("POST", "/api/explain", asked)
        assert told.status == 200
        options = ["--key", "team", "--format", "anthropic", "--at", "2026-03-02T09:30:00Z", "--has", "tools"]
        command = ["explain", "model", "pair", "--json", "-c", str(one.service.path), *options]
        assert await asyncio.to_thread(cli.main, command) == 0
        assert told.json == msgspec.json.decode(capsys.readouterr().out)
        assert [(step["target"], step["accepted"]) for step in told.json["steps"]] == [
            ("ollama/x", False),
            ("demo/echo", True),
        ]
        same = await one("POST", "/api/policies/test", asked)
        assert same.json == told.json

    run(tmp_path, CONFIG, test)


def test_an_explanation_is_of_now_and_takes_nothing(tmp_path):
    async def test(one: Managed) -> None:
        state = one.service.state
        connection = one.service.live.current.upstreams["ollama"].connections[0]
        state.breakers.note(connection.id, "rate_limited", state.clock.monotonic(), 60.0, connection.profile)
        for _ in range(4):
            told = (await one("POST", "/api/explain", {"model": "pair"})).json
            step = next(step for step in told["steps"] if step["target"] == "ollama/x")
            assert (step["accepted"], step["reason"]) == (False, "cooling down after rate_limited")
            told = (await one("POST", "/api/explain", {"model": "pair", "key": "team"})).json
            assert told["limits"][0]["remaining"] == 2
        assert not one.rows()

    run(tmp_path, CONFIG, test)


def test_what_cannot_be_explained_is_refused_in_words(tmp_path):
    async def test(one: Managed) -> None:
        async def refused(**body: object) -> tuple[int, str]:
            told = await one("POST", "/api/explain", body)
            return told.status, told.json["error"]["code"]

        assert await refused(model="pear") == (404, "model_not_found")
        assert await refused(model="pair", key="nobody") == (404, "key_not_found")
        assert await refused(model="demo/echo", key="team") == (403, "model_not_allowed")
        assert await refused(model="pair", format="soap") == (400, "invalid_body")
        assert await refused(model="pair", at="2026-13-02T09:30:00Z") == (400, "invalid_body")
        assert await refused(model="pair", tokens=0) == (400, "invalid_body")
        assert await refused(model="") == (400, "invalid_body")
        assert await refused() == (400, "invalid_body")

    run(tmp_path, CONFIG, test)


def test_the_tests_of_policies_are_run(tmp_path):
    async def test(one: Managed) -> None:
        told = (await one("POST", "/api/policies/test", {"policy": "local"})).json
        assert [(each["name"], bool(each["differences"])) for each in told["results"]] == [
            ("local: it says so", False),
            ("local: and this is wrong", True),
        ]
        assert told["results"][0]["line"] == 15
        assert len((await one("POST", "/api/policies/test")).json["results"]) == 3
        assert (await one("POST", "/api/policies/test", {"policy": "no"})).json["error"]["code"] == "policy_not_found"

    run(tmp_path, CONFIG, test)
