"""The engine from inside: the answers of the gate, under whose name, and what is left of them."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from support.managed import Managed, run
from support.upstream import Script, Upstream, whole

from omniroute.routing.inquiry import Answered, Inquiry

CONFIG = """
version: 1
server: {data_dir: "{data_dir}"}
auth: {require_login: false, require_api_key: true}
providers:
  demo: {}
  lab: {type: openai-compatible, base_url: "URL/v1", connections: {main: {}}}
keys: {team: {digest: "sha256:DIGEST", allow: [demo/echo], limits: [few]}}
limits: {few: {requests: 1/1h}}
settings: {ip_filter: {mode: allow, allow: [192.0.2.1]}}
cache: {exact: {ttl: 1h}}
policies: {no-agents: {rules: [{deny_models: {patterns: [demo/agent], reason: no agents}}]}}
""".replace("DIGEST", "ab" * 32)


def chat(model: str, **more: object) -> Inquiry:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    fields = {"path": "/v1/chat/completions", "body": msgspec.json.encode(body), "standing": "served", **more}
    return Inquiry(**fields)


def within(tmp_path, test, url: str = "http://127.0.0.1:1") -> None:
    run(tmp_path, CONFIG.replace("URL", url), test)


def code(answered: Answered) -> tuple[int, str | None]:
    return answered.status, answered.fault.code if answered.fault is not None else None


def test_one_that_is_served_is_a_request_of_its_key_and_never_from_the_cache(tmp_path):
    async def test(one: Managed) -> None:
        ask = one.service.ask
        team = next(iter(one.service.live.current.principals.values()))
        first = await ask(chat("demo/echo", principal=team))
        assert (first.status, first.target, first.connection) == (200, "demo/echo", "demo.default")
        assert (first.outcome, first.output > 0, first.cost is not None) == ("success", True, True)
        assert code(await ask(chat("demo/echo", principal=team))) == (429, "rate_limit_exceeded")
        assert code(await ask(chat("demo/agent", principal=team))) == (403, "model_not_allowed")
        assert code(await ask(chat("demo/agent"))) == (403, "denied_by_policy")
        for _ in range(2):
            assert (await ask(chat("demo/echo"))).outcome == "success"
        assert sorted(row.key for row in one.rows()) == ["", "", "", "team", "team", "team"]
        assert len(one.service.live.current.principals) == 1

    within(tmp_path, test)


@pytest.mark.parametrize("standing", ["tried", "alone"])
def test_one_that_is_tried_leaves_nothing_behind(tmp_path, standing):
    async def test(one: Managed) -> None:
        assert (await one.service.ask(chat("demo/agent", standing=standing))).outcome == "success"
        failed = await one.service.ask(chat("lab/x", standing=standing))
        assert (failed.status, failed.outcome) == (502, "connect")
        assert one.service.state.breakers.is_calm()
        assert one.rows() == []

    within(tmp_path, test)


def test_what_is_known_against_a_connection_holds_for_one_that_is_tried_and_no_probe_is_taken(tmp_path):
    async def test(one: Managed) -> None:
        state = one.service.state
        connection = one.service.live.current.upstreams["demo"].connections[0]
        state.breakers.note(connection.id, "rate_limited", state.clock.monotonic(), 60.0, connection.profile)
        before = state.breakers.known(state.clock.monotonic()).keys()
        assert code(await one.service.ask(chat("demo/echo", standing="tried"))) == (429, "all_connections_cooling")
        assert (await one.service.ask(chat("demo/echo", standing="alone"))).status == 200
        assert state.breakers.known(state.clock.monotonic()).keys() == before

    within(tmp_path, test)


def test_a_refusal_is_an_answer(tmp_path):
    async def test(one: Managed) -> None:
        ask = one.service.ask
        assert code(await ask(chat("demo"))) == (404, "model_not_found")
        broken = await ask(msgspec.structs.replace(chat("demo/echo"), body=b"{"))
        assert broken.status == 400
        assert broken.outcome == ""

    within(tmp_path, test)


def test_one_that_is_given_up_ends_its_call_and_raises(tmp_path):
    async def test(one: Managed) -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await one.service.ask(chat("lab/x"))
        task = asyncio.create_task(one.service.ask(chat("lab/x")))
        while len(upstream.asked) < 3:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while upstream.busy:
            await asyncio.sleep(0.01)
        assert upstream.hung_up == 3
        assert [(row.status, row.code) for row in one.rows()] == [(499, "client_gone")] * 3
        upstream.script = lambda _: whole({"error": {"message": "no"}}, 400)
        assert (await one.service.ask(chat("lab/x"))).status == 400

    with Upstream(lambda _: Script(silent=True)) as upstream:
        within(tmp_path, test, upstream.url)
