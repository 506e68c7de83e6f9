"""Limits and budgets over HTTP, in the words of each format, over a reload and a restart."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import anthropic
import httpx
import openai
import pytest
from support import speech
from support.gateway import Gateway
from support.upstream import Asked, Script, Upstream, events, whole

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
NAMES = ("plain", "few", "slots", "ruled", "spare", "talk", "poor", "twin", "led", "rich", "warned", "tight")
CONFIG = """\
version: 1
server: {{data_dir: '{{data_dir}}', trusted_proxies: [127.0.0.0/8]}}
providers:
  a: {{type: openai-compatible, base_url: '{url}/a', connections: {{main: {{}}}}, models: {{m: {{price: {{input: 1000, output: 1000}}, max_output: 100}}, free: {{price: {{input: 0, output: 0}}}}}}}}
  b: {{type: openai-compatible, base_url: '{url}/b', connections: {{main: {{}}}}, models: {{m: {{price: {{input: 1000, output: 1000}}, max_output: 100}}}}}}
combos:
  both: {{targets: [a/m, b/m]}}
keys:
{keys}
limits:
  few: {{requests: 2/1h}}
  address: {{requests: 3/1h, per: ip, always: true}}
  slots: {{concurrent: 1}}
  narrow: {{requests: 1/1h, per: provider}}
  ruled: {{requests: {ruled}/1h}}
  talk: {{tokens: 2000/1h}}
budgets:
  poor: {{limit: 12, period: daily, warn_at: 40%}}
  led: {{limit: 12, period: monthly, on_exhausted: {{route_to: a/free}}}}
  tight: {{limit: 2.5, period: daily}}
  rich: {{limit: 1000000, period: total}}
policies:
  ruled: {{match: {{tags: {{ruled: yes}}, models: [a/m]}}, rules: [{{limit: ruled}}]}}
"""
HOLDS = {
    "few": "limits: [few]",
    "slots": "limits: [slots]",
    "spare": "limits: [narrow]",
    "ruled": "tags: {ruled: 'yes'}",
    "talk": "limits: [talk]",
    "poor": "budgets: [poor]",
    "twin": "budgets: [poor, rich]",
    "led": "budgets: [led]",
    "rich": "budgets: [rich]",
    "warned": "budgets: [poor]",
    "tight": "budgets: [tight]",
}
addresses = iter(f"192.0.2.{number}" for number in range(1, 255))


def config(upstream: Upstream, ruled: int = 1) -> str:
    keys = "\n".join(
        f"  {name}: {{digest: 'sha256:{hashlib.sha256(name.encode()).hexdigest()}', {HOLDS.get(name, '')}}}"
        for name in NAMES
    )
    return CONFIG.format(url=upstream.url, keys=keys, ruled=ruled)


def answer(asked: Asked) -> Script:
    if asked.json.get("stream"):
        return events(*speech.streamed("openai"))
    return whole(speech.whole("openai", {"prompt_tokens": 3000, "completion_tokens": 2000, "total_tokens": 5000}))


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(answer) as one:
        yield one


@pytest.fixture(scope="module")
def gateway(upstream: Upstream) -> Iterator[Gateway]:
    with Gateway(config(upstream)) as one:
        yield one


def ask(
    gateway: Gateway, key: str, model: str = "a/m", *, surface: str = "openai", address: str = "", **more: Any
) -> httpx.Response:
    headers = {"x-forwarded-for": address or next(addresses)} | ({"x-api-key": key} if key else {})
    path, body = speech.request(surface, model, stream=False)
    return httpx.post(gateway.url + path, json=body | more, headers=headers, trust_env=False, timeout=20, verify=PLAIN)


def test_what_is_left_is_told_and_what_is_not_left_is_refused_by_name(gateway: Gateway) -> None:
    answers = [ask(gateway, "few") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert [each.headers["x-ratelimit-remaining-requests"] for each in answers] == ["1", "0", "0"]
    assert {each.headers["x-ratelimit-limit-requests"] for each in answers} == {"2"}
    assert answers[0].headers["x-ratelimit-reset-requests"] == "30m0s"
    error = answers[2].json()["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert "limit few: 2 requests in 3600 s for key few" in error["message"]
    assert 1795 <= int(answers[2].headers["retry-after"]) <= 1800
    assert answers[2].headers["x-should-retry"] == "false"


@pytest.mark.parametrize("surface", ["openai", "anthropic", "responses", "gemini", "ollama"])
def test_a_refusal_is_in_the_words_of_the_client(gateway: Gateway, surface: str) -> None:
    for _ in range(3):
        refused = ask(gateway, "few", surface=surface)
    assert refused.status_code == 429
    assert refused.headers["retry-after"]
    said = refused.json()
    match surface:
        case "anthropic":
            assert said["error"]["type"] == "rate_limit_error"
        case "gemini":
            assert said["error"]["status"] == "RESOURCE_EXHAUSTED"
        case "ollama":
            assert "limit few" in said["error"]
        case _:
            assert said["error"]["code"] == "rate_limit_exceeded"


def test_official_sdks_raise_their_error_at_once(gateway: Gateway) -> None:
    for _ in range(3):
        ask(gateway, "few")
    began = time.monotonic()
    with pytest.raises(openai.RateLimitError):
        openai.OpenAI(api_key="few", base_url=f"{gateway.url}/v1").chat.completions.create(
            model="a/m", messages=[{"role": "user", "content": "Hi"}]
        )
    with pytest.raises(anthropic.RateLimitError):
        anthropic.Anthropic(api_key="few", base_url=gateway.url).messages.create(
            model="a/m", max_tokens=5, messages=[{"role": "user", "content": "Hi"}]
        )
    assert time.monotonic() - began < 5


def test_an_address_has_a_limit_of_its_own_whoever_says_to_forward(gateway: Gateway) -> None:
    statuses = [ask(gateway, "", address="198.51.100.7").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert ask(gateway, "", address="198.51.100.7, 198.51.100.8").status_code == 200
    assert ask(gateway, "", address="203.0.113.5, 198.51.100.7").status_code == 429, "the last one is the proxy's word"
    assert ask(gateway, "plain", address="198.51.100.7").status_code == 429, "also with a key"


def test_only_so_many_are_under_way_at_a_time(gateway: Gateway, upstream: Upstream) -> None:
    upstream.script = lambda asked: Script(pieces=answer(asked).pieces, pause=0.5)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ask(gateway, "slots"), range(4)))
    upstream.script = answer
    assert sorted(each.status_code for each in answers) == [200, 429, 429, 429]
    assert ask(gateway, "slots").status_code == 200


def test_what_a_provider_has_used_up_is_skipped_and_then_refused(gateway: Gateway) -> None:
    answers = [ask(gateway, "spare", "both") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert [each.headers.get("x-omniroute-provider") for each in answers[:2]] == ["a", "b"]
    error = answers[2].json()["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert "limit narrow: 1 requests in 3600 s for provider a" in error["message"]


def test_tokens_are_settled_by_what_was_taken(gateway: Gateway) -> None:
    first, second = ask(gateway, "talk"), ask(gateway, "talk")
    assert first.status_code == 200
    assert int(first.headers["x-ratelimit-remaining-tokens"]) > 900, "the estimate"
    assert second.status_code == 429
    assert "2000 tokens in 3600 s" in second.json()["error"]["message"]


def test_a_policy_limits_the_models_that_it_is_about_and_a_reload_keeps_the_count(
    gateway: Gateway, upstream: Upstream
) -> None:
    assert [ask(gateway, "ruled").status_code for _ in range(2)] == [200, 429]
    assert ask(gateway, "ruled", "b/m").status_code == 200
    gateway.write(config(upstream, ruled=3))
    deadline = time.monotonic() + 10
    while "3 requests" not in gateway.said() and ask(gateway, "ruled").status_code == 429:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [ask(gateway, "ruled").status_code for _ in range(2)] == [200, 429], (
        "one of three was used before, one to see"
    )


def test_money_is_reserved_settled_warned_of_and_refused(gateway: Gateway, upstream: Upstream) -> None:
    first = ask(gateway, "poor", max_tokens=2000)
    assert first.status_code == 200
    assert first.headers["x-omniroute-cost"] == "5.0000000"
    second = ask(gateway, "twin", max_tokens=2000)
    assert second.headers["x-omniroute-budget"] == "poor;spent=5;limit=12;percent=41"
    refused = ask(gateway, "poor", max_tokens=2000)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error["code"] == "budget_exhausted"
    assert "`poor` (12 USD, daily) has 2 USD left" in error["message"]
    assert "It resets at " in error["message"]
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert refused.headers["x-omniroute-budget"].startswith("poor;spent=10;limit=12;percent=83")
    assert "budget poor: 5 of 12 USD spent, 41%" in gateway.said()
    assert gateway.said().count("budget poor:") == 1
    gateway.stop()
    gateway.start()
    again = ask(gateway, "warned", max_tokens=2000)
    assert again.status_code == 429, "what was spent is known after a restart"
    assert "has 2 USD left" in again.json()["error"]["message"]
    rows = [row for row in gateway.rows() if row["key"] in ("poor", "twin")]
    assert sum(Decimal(row["cost"]) for row in rows if row["cost"]) == 10
    assert upstream.asked


def test_a_spent_budget_leads_elsewhere(gateway: Gateway) -> None:
    answers = [ask(gateway, "led", "both", max_tokens=2000) for _ in range(4)]
    assert [each.status_code for each in answers] == [200] * 4
    assert [each.headers["x-omniroute-model"] for each in answers] == ["m", "m", "free", "free"]
    assert answers[3].headers["x-omniroute-budget"] == "led;spent=10;limit=12;percent=83;route=a/free"
    assert answers[3].json()["model"] == "both"


def test_a_model_without_a_price_is_refused_under_a_budget_only(gateway: Gateway, upstream: Upstream) -> None:
    refused = ask(gateway, "rich", "a/unlisted")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "unpriced_model"
    assert "`a/unlisted` has no price" in refused.json()["error"]["message"]
    assert ask(gateway, "plain", "a/unlisted").status_code == 200


def test_a_failure_and_a_client_that_leaves_give_back_what_was_reserved(gateway: Gateway, upstream: Upstream) -> None:
    """The budget has room for one request at a time; what was said until the client left costs a fraction of that."""
    upstream.script = lambda _: whole({"error": {"message": "no"}}, 400)
    assert [ask(gateway, "tight").status_code for _ in range(3)] == [400] * 3
    upstream.script = lambda _: Script(
        pieces=list(speech.streamed("openai"))[:1], content_type="text/event-stream", hang=True
    )
    headers = {"x-api-key": "tight", "x-forwarded-for": next(addresses)}
    body = speech.ask("a/m", stream=True)
    url = f"{gateway.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, trust_env=False, verify=PLAIN) as streamed:
        pieces = streamed.iter_bytes()  # the end of it would close the connection
        next(pieces)
        held = ask(gateway, "tight")
        assert held.status_code == 429
        assert "are reserved for requests under way" in held.json()["error"]["message"]
        assert held.headers["retry-after"] == "1"
        assert "x-should-retry" not in held.headers
    upstream.script = lambda _: whole(speech.whole("openai"))
    deadline = time.monotonic() + 5
    while ask(gateway, "tight").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
