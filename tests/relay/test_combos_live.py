"""What combos promise, over HTTP: hedging, sticky sessions, conditions, windows, failures that lead on, shared quotas."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from relay.test_routing_live import PLAIN, Scripted, ask, digest, error, head_of, health, provider_of, wait_for
from support import legal, speech
from support.gateway import Gateway
from support.upstream import Script, events, whole

CAPTURES = Path(__file__).parents[1] / "agents" / "captures"
SILVER, GOLD = "sk-or-a-caller-of-silver", "sk-or-a-caller-of-gold"
PRICED = "m: {price: {input: 1000, output: 2000}}"


def provider(upstream: Scripted, name: str, models: str = PRICED, more: str = "") -> str:
    kind = "anthropic" if name.startswith("anth") else "openai"
    return (
        f"  {name}: {{type: {kind}-compatible, base_url: '{upstream.url}/{name}', connections: {{main: {{}}}}, "
        f"models: {{{models}}}{more}}}\n"
    )


def rows_of(gateway: Gateway, model: str, count: int = 1) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [row for row in gateway.rows() if row["requested"] == model]
        return len(found) >= count

    wait_for(there)
    return found


def tried(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["connection"].partition(".")[0], one["outcome"]) for one in json.loads(row["attempts"])]


# ------------------------------------------------------------------------------------------------------------- hedging

PAIRS = ("quick", "slow", "held", "begun", "fails", "both", "left", "whole", "once")


@pytest.fixture(scope="module")
def hedging():
    """For each pair a combo that asks the second after 0.3 s, and one with a budget of a tenth."""
    with Scripted() as upstream:
        config = head_of("cooldown: 1m") + "providers:\n"
        config += "".join(provider(upstream, f"{name}{number}") for name in PAIRS for number in (1, 2))
        config += (
            provider(upstream, "anth1") + provider(upstream, "tight1") + provider(upstream, "tight2") + "combos:\n"
        )
        for name in PAIRS:
            config += f"  {name}: {{hedge: {{after: 300ms, budget: 100%}}, targets: [{name}1/m, {name}2/m]}}\n"
        config += "  tight: {hedge: {after: 50ms, budget: 10%}, targets: [tight1/m, tight2/m]}\n"
        config += "  known: {hedge: {after: 300ms, budget: 100%}, targets: [anth1/m, quick2/m]}\n"
        with Gateway(config) as gateway:
            yield gateway, upstream


def told(answer: httpx.Response, stream: bool) -> str:
    assert answer.status_code == 200, answer.text
    return (legal.stream if stream else legal.answer)("openai", answer.content).text


@pytest.mark.parametrize("stream", [False, True])
def test_a_target_that_is_quick_is_asked_alone(hedging, stream):
    gateway, upstream = hedging
    upstream.asked.clear()
    answer = ask(gateway, "quick", stream=stream)
    assert told(answer, stream) == speech.TEXT
    assert upstream.went_to() == ["quick1"]
    assert answer.headers["x-omniroute-attempts"] == "1"


@pytest.mark.parametrize("stream", [False, True])
def test_the_next_one_answers_for_a_slow_one_whose_connection_is_closed(hedging, stream):
    gateway, upstream = hedging
    upstream.asked.clear()
    upstream.says["slow1"] = Script(silent=True)
    before = len(rows_of(gateway, "slow", 0))
    began = time.monotonic()
    answer = ask(gateway, "slow", stream=stream)
    assert told(answer, stream) == speech.TEXT
    assert 0.3 < time.monotonic() - began < 3
    assert upstream.went_to() == ["slow1", "slow2"]
    assert answer.headers["x-omniroute-attempts"] == "2"
    assert answer.headers["x-omniroute-provider"] == "slow2"
    wait_for(lambda: upstream.busy == 0)
    row = rows_of(gateway, "slow", before + 1)[-1]
    assert sorted(tried(row)) == [("slow1", "abandoned"), ("slow2", "success")]
    assert row["connection"] == "slow2.main"
    assert (row["input"], row["output"]) == (3, 2)
    lost = next(one for one in json.loads(row["attempts"]) if one["outcome"] == "abandoned")
    assert lost["message"] == "another target was faster"
    assert Decimal(lost["cost"]) > 0, "its provider has the prompt and will charge for it"
    assert Decimal(row["cost"]) == Decimal(lost["cost"]) + Decimal(3 * 1000 + 2 * 2000) / 1_000_000
    assert health(gateway)["slow1.main"]["failures"] == 0, "to be slow is no failure"


def test_what_a_loser_has_told_of_its_usage_is_what_it_costs(hedging):
    gateway, upstream = hedging
    upstream.says["anth1"] = events(speech.begin("anthropic"), hang=True)
    assert told(ask(gateway, "known", stream=True), stream=True) == speech.TEXT
    wait_for(lambda: upstream.busy == 0)
    lost = next(one for one in json.loads(rows_of(gateway, "known")[-1]["attempts"]) if one["outcome"] == "abandoned")
    assert Decimal(lost["cost"]) >= Decimal(3 * 1000) / 1_000_000
    assert Decimal(lost["cost"]) < Decimal(3 * 1000 + 5 * 2000) / 1_000_000


def test_the_first_may_still_win_after_the_second_was_asked(hedging):
    gateway, upstream = hedging
    upstream.asked.clear()
    upstream.says["held1"] = events(*speech.streamed("openai"), pause=0.6)
    upstream.says["held2"] = Script(silent=True)
    answer = ask(gateway, "held", stream=True)
    assert told(answer, stream=True) == speech.TEXT
    assert answer.headers["x-omniroute-provider"] == "held1"
    wait_for(lambda: upstream.busy == 0)
    assert sorted(tried(rows_of(gateway, "held")[-1])) == [("held1", "success"), ("held2", "abandoned")]


def test_a_stream_has_begun_with_its_first_content_and_not_with_its_head(hedging):
    gateway, upstream = hedging
    upstream.says["begun1"] = events(speech.begin("openai"), hang=True)
    answer = ask(gateway, "begun", stream=True)
    assert told(answer, stream=True) == speech.TEXT
    assert answer.headers["x-omniroute-provider"] == "begun2"
    upstream.asked.clear()
    first, second, *rest = speech.streamed("openai")
    upstream.says["begun1"] = events(first + second, *rest, gap=0.4)
    assert told(ask(gateway, "begun", stream=True), stream=True) == speech.TEXT
    assert upstream.went_to() == ["begun1"], "once it speaks nobody else is asked"


def test_a_second_that_fails_leaves_the_race_to_the_first(hedging):
    gateway, upstream = hedging
    upstream.says["fails1"] = whole(speech.whole("openai"))
    upstream.says["fails1"].pause = 0.8
    upstream.says["fails2"] = error(500)
    answer = ask(gateway, "fails")
    assert told(answer, stream=False) == speech.TEXT
    assert tried(rows_of(gateway, "fails")[-1]) == [("fails2", "server_error"), ("fails1", "success")]


@pytest.mark.parametrize("stream", [False, True])
def test_two_that_fail_are_told_as_the_last_that_did(hedging, stream):
    gateway, upstream = hedging
    upstream.says["both1"] = error(500)
    upstream.says["both1"].pause = 0.6
    upstream.says["both2"] = error(502)
    before = len(rows_of(gateway, "both", 0))
    answer = ask(gateway, "both", stream=stream)
    assert answer.status_code == 500
    assert "[both1]" in legal.refusal("openai", answer.content)["message"]
    assert answer.headers["x-omniroute-attempts"] == "2"
    assert tried(rows_of(gateway, "both", before + 1)[-1]) == [("both2", "server_error"), ("both1", "server_error")]


def test_a_client_that_leaves_ends_both(hedging):
    gateway, upstream = hedging
    upstream.asked.clear()
    upstream.says["left1"] = upstream.says["left2"] = Script(silent=True)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            gateway.url + speech.PATHS["openai"], json=speech.ask("left"), timeout=1, trust_env=False, verify=PLAIN
        )
    assert upstream.went_to() == ["left1", "left2"]
    wait_for(lambda: upstream.busy == 0)
    row = rows_of(gateway, "left")[-1]
    assert row["status"] == 499
    assert sorted(tried(row)) == [("left1", "abandoned"), ("left2", "abandoned")]


def test_no_more_requests_hedge_than_the_budget_says(hedging):
    gateway, upstream = hedging
    upstream.asked.clear()
    upstream.says["tight1"] = whole(speech.whole("openai"))
    upstream.says["tight1"].pause = 0.15
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(gateway, "tight").status_code, range(60)))
    assert set(answers) == {200}
    shares = Counter(upstream.went_to())
    assert shares["tight1"] == 60
    assert 5 <= shares["tight2"] <= 6


def test_many_races_at_once_leave_nothing_behind(hedging):
    gateway, upstream = hedging
    upstream.says["once1"] = lambda asked: events(*speech.streamed("openai"), pause=0.28 + 0.01 * (len(asked.body) % 5))
    with ThreadPoolExecutor(16) as pool:
        bodies = [{"stream": True, "user": "u" * (number % 5)} for number in range(96)]
        answers = list(pool.map(lambda more: ask(gateway, "once", **more), bodies))
    assert all(told(answer, stream=True) == speech.TEXT for answer in answers)
    wait_for(lambda: upstream.busy == 0)
    rows = rows_of(gateway, "once", 96)
    assert all(sum(outcome == "success" for _, outcome in tried(row)) == 1 for row in rows)
    assert {name for row in rows for name, outcome in tried(row) if outcome == "success"} == {"once1", "once2"}
    assert "Traceback" not in gateway.said()


# ------------------------------------------------------------------------------------------------------------- the rest


ON = (
    (0, "[timeout, overloaded]", 500, False),
    (1, "[timeout, overloaded]", 503, True),
    (2, "[timeout, overloaded]", 400, False),
    (3, "[invalid]", 404, True),
    (4, "[invalid]", 500, False),
)


@pytest.fixture(scope="module")
def combos():
    with Scripted() as upstream:
        config = head_of("cooldown: 1m").replace(
            "resilience:",
            f"  silver: {{digest: 'sha256:{digest(SILVER)}', tags: {{tier: silver}}}}\n"
            f"  gold: {{digest: 'sha256:{digest(GOLD)}', tags: {{tier: gold}}}}\nresilience:",
        )
        config += "providers:\n" + "".join(provider(upstream, name) for name in ("a", "b", "c", "d", "e"))
        config += "".join(provider(upstream, f"x{number}") for number, *_ in ON)
        windows = "small: {context: 1000}, large: {context: 8000}, unknown: {}"
        config += provider(upstream, "w", windows) + provider(upstream, "v", windows)
        keys = "main: {api_key: '${env:ONE}', quota_group: org}, other: {api_key: '${env:TWO}', quota_group: org}, "
        keys += "own: {api_key: '${env:THREE}'}"
        for name in ("q429", "q402", "q503"):
            config += provider(upstream, name).replace("connections: {main: {}}", f"connections: {{{keys}}}")
        config += """\
combos:
  sticky: {strategy: round-robin, sticky: session, targets: [a/m, b/m, c/m]}
  when:
    targets:
      - {model: a/m, when: {max_tokens: 50}}
      - {model: b/m, when: {has: [tools]}}
      - {model: c/m, when: {has: [images]}}
      - {model: d/m, when: {tags: {tier: gold}}}
      - {model: e/m, when: {min_tokens: 1000}}
  sizes: {targets: [w/small, v/small, w/large, v/unknown]}
  full: {targets: [w/small, v/small]}
"""
        config += "".join(f"  on{number}: {{on: {on}, targets: [x{number}/m, a/m]}}\n" for number, on, *_ in ON)
        with Gateway(config, ONE="one", TWO="two", THREE="three") as gateway:
            yield gateway, upstream


def sessions_of(client: str) -> tuple[str, dict[str, str], dict[str, Any]]:
    """What a client's captured request names its session with: path, headers and body."""
    captured = json.loads((CAPTURES / client / "1.json").read_text())
    return captured["path"].partition("?")[0], captured["headers"], captured["body"]


SESSIONS = {
    "the gateway's own header": ("/v1/chat/completions", lambda name: {"x-session-id": name}, lambda name: {}),
    "Claude Code's header": ("/v1/messages", lambda name: {"x-claude-code-session-id": name}, lambda name: {}),
    "Claude Code's metadata": (
        "/v1/messages",
        lambda name: {},
        lambda name: {"metadata": {"user_id": json.dumps({"device_id": "d", "session_id": name})}},
    ),
    "Claude Code's metadata before": (
        "/v1/messages",
        lambda name: {},
        lambda name: {"metadata": {"user_id": f"user_1_account_2_session_{name}"}},
    ),
    "Codex's header": ("/v1/responses", lambda name: {"session-id": name}, lambda name: {}),
    "Codex's header before": ("/v1/responses", lambda name: {"session_id": name}, lambda name: {}),
    "Codex's cache key": ("/v1/responses", lambda name: {}, lambda name: {"prompt_cache_key": name}),
}
SAYS = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
    "/v1/responses": {"input": "hi"},
}


def test_the_captured_clients_name_their_sessions_as_it_is_known_here():
    assert "x-claude-code-session-id" in sessions_of("claude-code")[1]
    assert "device_id" in sessions_of("claude-code")[2]["metadata"]["user_id"]
    assert "session-id" in sessions_of("codex")[1]
    assert "prompt_cache_key" in sessions_of("codex")[2]


@pytest.mark.parametrize("how", SESSIONS)
def test_a_session_stays_where_it_was_served(combos, how):
    gateway, upstream = combos
    path, headers, fields = SESSIONS[how]
    homes: dict[str, set[str]] = {}
    upstream.asked.clear()
    for _ in range(4):
        for name in (f"{how[:6]}-{number}" for number in range(6)):
            before = len(upstream.asked)
            answer = httpx.post(
                gateway.url + path,
                json={"model": "sticky", **SAYS[path], **fields(name)},
                headers=headers(name),
                trust_env=False,
                verify=PLAIN,
            )
            assert answer.status_code == 200, answer.text
            homes.setdefault(name, set()).add(provider_of(upstream.asked[before]))
    assert all(len(home) == 1 for home in homes.values()), homes
    assert Counter(home for (home,) in homes.values()) == {"a": 2, "b": 2, "c": 2}, "new ones go where the turn is"


def test_a_session_moves_when_its_home_is_ill_and_stays_there(combos):
    gateway, upstream = combos

    def served(caller: str = "") -> str:
        before = len(upstream.asked)
        headers = {"x-session-id": "mover"} | ({"x-api-key": caller} if caller else {})
        body = speech.ask("sticky")
        url = gateway.url + speech.PATHS["openai"]
        assert httpx.post(url, json=body, headers=headers, trust_env=False, verify=PLAIN).status_code == 200
        return provider_of(upstream.asked[before:][-1])

    home = served()
    assert {served() for _ in range(5)} == {home}
    others = [served(GOLD), served(SILVER)]
    assert len({home, *others}) == 3, "another caller's session of the same name is another one"
    upstream.says[home] = error(500)
    elsewhere = served()
    assert elsewhere != home
    del upstream.says[home]
    assert {served() for _ in range(5)} == {elsewhere}


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
LONG = "word " * 400


@pytest.mark.parametrize(
    ("key", "content", "more", "to"),
    [
        ("", "short", {}, "a"),
        ("", LONG, {"tools": [TOOL]}, "b"),
        ("", [{"type": "text", "text": LONG}, IMAGE], {}, "c"),
        ("", [{"type": "text", "text": LONG}, IMAGE], {"tools": [TOOL]}, "b"),
        (GOLD, LONG, {}, "d"),
        (SILVER, LONG * 3, {}, "e"),
    ],
)
def test_a_target_is_for_the_requests_that_meet_its_conditions(combos, key, content, more, to):
    gateway, upstream = combos
    upstream.asked.clear()
    answer = ask(gateway, "when", key=key, messages=[{"role": "user", "content": content}], **more)
    assert answer.status_code == 200, answer.text
    assert upstream.went_to() == [to]


def test_a_request_that_meets_no_condition_is_told_all_of_them(combos):
    gateway, upstream = combos
    upstream.asked.clear()
    answer = ask(gateway, "when", key=SILVER, messages=[{"role": "user", "content": LONG}])
    assert answer.status_code == 400
    refusal = legal.refusal("openai", answer.content)
    assert refusal["code"] == "no_target_for_this"
    assert "`b/m` is for requests with tools" in refusal["message"]
    assert not upstream.asked


@pytest.mark.parametrize(("number", "on", "status", "next_one"), ON)
def test_the_failures_that_are_named_lead_on_and_no_others(combos, number, on, status, next_one):
    gateway, upstream = combos
    upstream.asked.clear()
    upstream.says[f"x{number}"] = error(status)
    answer = ask(gateway, f"on{number}")
    assert upstream.went_to() == [f"x{number}"] + next_one * ["a"], on
    assert answer.status_code == (200 if next_one else status)


TOO_LONG = whole(
    {
        "error": {
            "message": "This model's maximum context length is 1000 tokens.",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    },
    400,
)


def test_a_prompt_that_is_too_long_goes_to_a_larger_window(combos):
    gateway, upstream = combos
    upstream.asked.clear()
    upstream.says["w"] = lambda asked: TOO_LONG if asked.json["model"] == "small" else whole(speech.whole("openai"))
    answer = ask(gateway, "sizes")
    assert answer.status_code == 200, answer.text
    assert [(provider_of(one), one.json["model"]) for one in upstream.asked] == [("w", "small"), ("w", "large")]
    assert health(gateway)["w.main"]["failures"] == 0
    upstream.asked.clear()
    upstream.says["w"] = TOO_LONG
    assert ask(gateway, "sizes").status_code == 200
    assert [(provider_of(one), one.json["model"]) for one in upstream.asked] == [
        ("w", "small"),
        ("w", "large"),
        ("v", "unknown"),
    ]


def test_a_prompt_that_is_too_long_for_all_is_the_clients_error(combos):
    gateway, upstream = combos
    upstream.asked.clear()
    upstream.says["w"] = TOO_LONG
    for surface in ("openai", "anthropic"):
        answer = ask(gateway, "full", surface)
        assert answer.status_code == 400
        assert "maximum context length" in legal.refusal(surface, answer.content)["message"]
    assert upstream.went_to() == ["w", "w"], "an equal window would not take it either"


def test_a_window_that_is_surely_too_small_is_not_asked(combos):
    gateway, upstream = combos
    upstream.asked.clear()
    upstream.says.pop("w", None)
    assert ask(gateway, "sizes", messages=[{"role": "user", "content": "word " * 3000}]).status_code == 200
    assert [(provider_of(one), one.json["model"]) for one in upstream.asked] == [("w", "large")]


@pytest.mark.parametrize(("said", "kind"), [(429, "rate_limited"), (402, "quota")])
def test_connections_of_one_quota_pause_together(combos, said, kind):
    gateway, upstream = combos
    upstream.asked.clear()
    upstream.says["one"] = error(said)
    assert ask(gateway, f"q{said}/m").status_code == 200
    assert used(upstream) == ["one", "three"], "the other one of the group has no quota left either"
    told = health(gateway)
    assert [told[f"q{said}.{name}"]["available"] for name in ("main", "other", "own")] == [False, False, True]
    assert told[f"q{said}.other"]["kind"] == kind
    del upstream.says["one"]


def test_a_failure_that_is_not_about_the_quota_is_nobody_elses(combos):
    gateway, upstream = combos
    upstream.asked.clear()
    upstream.says["one"] = error(503)
    assert ask(gateway, "q503/m").status_code == 200
    assert used(upstream) == ["one", "two"]
    del upstream.says["one"]


def used(upstream: Scripted) -> list[str]:
    return [asked.headers["authorization"].removeprefix("Bearer ") for asked in upstream.asked]
