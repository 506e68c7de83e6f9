"""Answers that are given again, as the official SDKs hear them."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from support.providers import Call, Says, Spent
from support.rig import FORMATS, MODELS, NODE, PAIRS, UPSTREAM_MODEL, Rig, digest
from support.sdks import SDKS
from support.upstream import Asked, Script, whole

SAID = Says(text="Paris is the capital of France.", spent=Spent(prompt=12, answer=8))
FIRST = "x-omniroute-cache"
DONE = {"openai": "stop", "responses": "completed", "anthropic": "end_turn", "gemini": "STOP", "ollama": "stop"}
CROSSING = [(one, other) for one in ("openai", "anthropic") for other in ("openai", "anthropic")]
KEYS = {name: f"sk-omniroute-of-{name}" for name in ("web", "mail", "sales")}
_words = itertools.count()


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    keys = "".join(f', {name}: {{digest: "sha256:{digest(key)}"}}' for name, key in KEYS.items())
    with Rig("cache: {exact: {max_entries: 200}, groups: {support: [web, mail]}}", keys=keys) as rig:
        yield rig


@pytest.fixture
def words() -> list[dict[str, Any]]:
    """Messages that nobody has sent before."""
    return [{"role": "user", "content": f"What is the capital of country {next(_words)}?"}]


def ask(rig: Rig, client: str, way: str, messages: Any, upstream: str = "openai", **more: Any) -> Any:
    """Asks in such a way that OpenAI's and Anthropic's words mean the same."""
    if client == "openai":
        more.setdefault("max_tokens", 4096)
    return rig.ask(client, upstream, way, messages=messages, **more)


def in_words_of(client: str, messages: Any) -> dict[str, Any]:
    """One turn as each SDK takes it."""
    text = messages[0]["content"]
    named = {"responses": {"input": text}, "gemini": {"contents": [{"role": "user", "parts": [{"text": text}]}]}}
    return named.get(client, {"messages": messages})


def way_back(heard: Any) -> str | None:
    """What the answer says of the cache, where the SDK's way shows headers."""
    return heard.headers.get(FIRST) if heard.headers else None


@pytest.mark.parametrize("again", ["whole", "stream", "helper"])
@pytest.mark.parametrize("first", ["whole", "stream"])
@pytest.mark.parametrize("upstream", FORMATS)
@pytest.mark.parametrize(("one", "other"), CROSSING)
def test_an_answer_is_given_again_in_whichever_format_and_form_it_is_asked_for(
    rig: Rig, words: Any, one: str, other: str, upstream: str, first: str, again: str
):
    rig.script(SAID)
    told = ask(rig, one, first, words, upstream)
    assert way_back(told) == "MISS"
    if first == "stream":
        time.sleep(0.05)  # a stream is read, and so kept, after its client has had it all
    heard = ask(rig, other, again, words, upstream)
    assert len(rig.upstream.asked) == 1
    assert heard.text == SAID.text
    assert heard.finish == DONE[other]
    assert heard.models == {MODELS[upstream]}
    assert heard.spent is None or (heard.spent.prompt, heard.spent.answer) == (12, 8)
    if heard.headers:
        assert heard.headers[FIRST] == "HIT"
        assert heard.headers["x-omniroute-provider"] == NODE[upstream]
        assert heard.headers["x-omniroute-model"] == UPSTREAM_MODEL[upstream]
        assert heard.headers["x-omniroute-attempts"] == "0"


@pytest.mark.parametrize("again", ["whole", "stream", "helper"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_every_sdk_hears_the_answer_to_its_own_request_again(
    rig: Rig, words: Any, client: str, upstream: str, again: str
):
    if again not in SDKS[client].ways:
        pytest.skip("the SDK has no such way")
    rig.script(SAID)
    first, heard = (rig.ask(client, upstream, way, **in_words_of(client, words)) for way in ("whole", again))
    assert len(rig.upstream.asked) == 1
    assert (heard.text, heard.finish, heard.models) == (first.text, first.finish, first.models)


def test_a_hit_costs_nothing_and_stands_in_the_ledger(rig: Rig, words: Any):
    rig.script(SAID)
    ask(rig, "openai", "whole", words, model="open-of-the-ledger-1")
    heard = ask(rig, "openai", "whole", words, model="open/chat")
    assert heard.headers[FIRST] == "HIT"
    assert heard.headers["x-omniroute-cost"] == "0"
    assert heard.headers["x-omniroute-tokens-in"] == "12"
    again = ask(rig, "openai", "stream", words, model="open-of-the-ledger-2")
    assert again.models == {"open-of-the-ledger-2"}
    served = {"provider": "open", "model": "vendor-chat", "status": 200, "input": 12, "output": 8}
    rig.books("open-of-the-ledger-1", **served, outcomes=["success"], cost=Decimal("0.000095"))
    rig.books("open-of-the-ledger-2", **served, outcomes=[], cache="hit", cost=Decimal(0), connection="", stream=1)


def test_each_answer_has_an_id_of_its_own(rig: Rig, words: Any):
    rig.script(SAID)
    client = rig.sdks["openai"].client.chat.completions
    answers = [client.create(model="open/chat", messages=words) for _ in range(3)]
    assert len({answer.id for answer in answers}) == 3
    assert len(rig.upstream.asked) == 1


def test_thinking_is_told_again(rig: Rig, words: Any):
    rig.script(Says(text="Paris.", thinking="Easy.", signature="c2lnbmVk"))
    first = rig.ask("anthropic", "anthropic", messages=words)
    again = rig.ask("anthropic", "anthropic", "stream", messages=words)
    assert (again.thinking, again.signatures) == (first.thinking, first.signatures) == ("Easy.", ["c2lnbmVk"])
    assert len(rig.upstream.asked) == 1


@pytest.mark.parametrize("way", ["whole", "stream"])
@pytest.mark.parametrize(
    "said",
    [
        Says(calls=(Call("call_1", "weather", '{"city": "Paris"}'),)),
        Says(text="Paris is the cap", finish="length"),
        Says(refusal="I would rather not."),
        Says(text=""),
    ],
    ids=["calls a tool", "cut off", "refusal", "empty"],
)
def test_what_is_no_whole_good_answer_in_words_is_not_given_again(rig: Rig, words: Any, said: Says, way: str):
    rig.script(said)
    for _ in range(2):
        tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
        heard = ask(rig, "openai", way, words, tools=tools)
        assert heard.headers[FIRST] == "MISS"
    assert len(rig.upstream.asked) == 2


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 0.5},
        {"n": 2},
        {"extra_headers": {"X-OmniRoute-No-Cache": "true"}},
        {"extra_body": {"web_search_options": {}}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_what_is_not_to_be_compared_is_neither_looked_for_nor_kept(rig: Rig, words: Any, more: Any):
    rig.script(SAID)
    for _ in range(2):
        assert FIRST not in ask(rig, "openai", "whole", words, **more).headers
    assert len(rig.upstream.asked) == 2
    assert ask(rig, "openai", "whole", words).headers[FIRST] == "MISS"
    before = len(rig.upstream.asked)
    ask(rig, "openai", "whole", words, **more)
    assert len(rig.upstream.asked) == before + 1


def test_a_temperature_of_0_is_as_good_as_one_that_repeats_itself(rig: Rig, words: Any):
    rig.script(SAID)
    for expected in ("MISS", "HIT"):
        assert ask(rig, "openai", "whole", words, temperature=0).headers[FIRST] == expected


CHANGES: list[dict[str, Any]] = [
    {"max_tokens": 7},
    {"top_p": 0.5},
    {"seed": 1},
    {"stop": ["x"]},
    {"response_format": {"type": "json_object"}},
    {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
    {"user": "somebody"},
    {"reasoning_effort": "low"},
    {"logprobs": True},
    {"verbosity": "low"},
    {"frequency_penalty": 0.5},
    {"logit_bias": {"1": 2}},
    {"model": "anth/chat"},
    {"extra_body": {"top_k": 3}},
    {"extra_headers": {"openai-beta": "x=v1"}},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_whatever_shapes_the_answer_makes_another_request(rig: Rig, words: Any, change: Any):
    rig.script(SAID)
    ask(rig, "openai", "whole", words)
    assert ask(rig, "openai", "whole", words, **change).headers[FIRST] == "MISS"
    assert ask(rig, "openai", "whole", words).headers[FIRST] == "HIT"


def test_a_word_more_in_any_place_of_a_conversation_makes_another_request(rig: Rig, words: Any):
    rig.script(SAID)
    turns = [{"role": "system", "content": "Be brief."}, *words, {"role": "assistant", "content": "Yes?"}, *words]
    ask(rig, "openai", "whole", turns)
    for number in range(len(turns)):
        other = [dict(turn) for turn in turns]
        other[number]["content"] += " "
        assert ask(rig, "openai", "whole", other).headers[FIRST] == "MISS"
    assert ask(rig, "openai", "whole", turns).headers[FIRST] == "HIT"


def test_answers_are_shared_within_a_group_of_keys_and_nowhere_else(rig: Rig, words: Any):
    rig.script(SAID)
    sdks = {name: rig.sdk("openai", key) for name, key in KEYS.items()}

    def said(name: str) -> str:
        return sdks[name].ask("whole", "open/chat", words).headers[FIRST]

    assert [said(name) for name in ("web", "mail", "sales", "mail", "sales")] == ["MISS", "HIT", "MISS", "HIT", "HIT"]
    assert rig.ask("openai", "openai", messages=words).headers[FIRST] == "MISS"


def test_a_stream_that_breaks_off_is_not_kept(rig: Rig, words: Any):
    from support.providers import saying

    whole_answer = saying(SAID)

    def broken(asked: Asked) -> Script:
        script = whole_answer(asked)
        return Script(pieces=script.pieces[: len(script.pieces) // 2], content_type="text/event-stream", cut=True)

    rig.script(broken)
    with pytest.raises(Exception):  # noqa: B017 - each SDK has its own
        ask(rig, "openai", "stream", words)
    rig.script(SAID)
    assert ask(rig, "openai", "stream", words).headers[FIRST] == "MISS"


def test_a_stream_whose_client_leaves_is_not_kept(rig: Rig, words: Any):
    rig.script(Says(text="word " * 200))
    stream = rig.sdks["openai"].client.chat.completions.create(model="open/chat", messages=words, stream=True)
    next(iter(stream))
    stream.close()
    time.sleep(0.1)
    rig.script(SAID)
    assert ask(rig, "openai", "stream", words).text == SAID.text


def test_a_conversation_goes_on_after_an_answer_that_was_given_again(rig: Rig):
    rig.script(SAID)
    client = rig.sdks["responses"].client.responses
    question = f"Where is {next(_words)}?"
    first, again = (client.create(model="resp/chat", input=question) for _ in range(2))
    assert len(rig.upstream.asked) == 1
    assert first.id != again.id
    client.create(model="resp/chat", input="And then?", previous_response_id=again.id)
    assert question in json.dumps(rig.upstream.asked[-1].json)


def test_an_upstream_that_refuses_leaves_nothing(rig: Rig, words: Any):
    rig.script(lambda asked: whole({"error": {"message": "no"}}, 400))
    with pytest.raises(rig.sdks["openai"].error):
        ask(rig, "openai", "whole", words)
    rig.script(SAID)
    assert ask(rig, "openai", "whole", words).headers[FIRST] == "MISS"


def test_a_hit_is_served_while_every_account_cools_down_and_after_a_restart_and_without_its_database():
    with Rig("cache: {}") as rig:
        gateway = rig.gateway
        text = gateway.path.read_text().replace("cooldown: 0s", "cooldown: 60s").replace("0.001ms", "60s")
        gateway.write(text)
        while "generation 2" not in gateway.said():
            time.sleep(0.02)
        words = [{"role": "user", "content": "Capital of France?"}]
        rig.script(SAID)
        assert ask(rig, "openai", "whole", words).headers[FIRST] == "MISS"
        rig.script(lambda asked: whole({"error": {"message": "slow down"}}, 429))
        other = [{"role": "user", "content": "Something else"}]
        for _ in range(2):
            with pytest.raises(rig.sdks["openai"].errors.RateLimitError):
                ask(rig, "openai", "whole", other)
        assert len(rig.upstream.asked) == 1  # the second one found the account cooling
        assert ask(rig, "openai", "stream", words).headers[FIRST] == "HIT"

        gateway.stop()
        gateway.start()
        rig.script(SAID)
        assert ask(rig, "anthropic", "whole", words).headers[FIRST] == "HIT"

        gateway.ledger.unlink()
        assert ask(rig, "openai", "whole", words).headers[FIRST] == "HIT"
        assert ask(rig, "openai", "whole", other).headers[FIRST] == "MISS"
        assert ask(rig, "openai", "whole", other).headers[FIRST] == "HIT"


def test_of_two_that_race_the_answer_of_the_faster_one_is_kept():
    from support.providers import saying

    slow, fast = saying(Says(text="The slow one.")), saying(Says(text="The fast one."))

    def script(asked: Asked) -> Script:
        if "/messages" not in asked.path:
            late = slow(asked)
            late.pause = 3.0
            return late
        return fast(asked)

    more = """
cache: {}
combos:
  both: {strategy: priority, targets: [open/chat, anth/chat], hedge: {after: 50ms, budget: 100%}}
"""
    with Rig(more.strip()) as rig:
        rig.script(script)
        words = [{"role": "user", "content": "Who is it?"}]
        for expected in ("MISS", "HIT"):
            heard = ask(rig, "openai", "stream", words, model="both")
            assert (heard.text, heard.headers[FIRST]) == ("The fast one.", expected)
            assert heard.headers["x-omniroute-provider"] == "anth"
