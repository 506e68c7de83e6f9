"""What a request may take at the most, against what it then costs."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables import target

from omniroute.catalog import Model, Price, ceiling, cost, load
from omniroute.catalog.price import Tier, drawn
from omniroute.formats.codecs import CLIENTS
from omniroute.relay.demand import AROUND, SAID, USUAL_ANSWER, USUAL_PROMPT, Demand, _asked
from omniroute.routing.ruling import LONGEST_CONTEXT, bounds
from omniroute.routing.tables import Target


def model(price: Price | None, **facts: Any) -> Target:
    known = Model(id="m", kind="chat", price=price, **facts)
    return msgspec.structs.replace(target("p/m"), facts=known, ceiling=ceiling(price, {}))


def demand(body: dict[str, Any], form: str = "openai_chat", path: str = "") -> Demand:
    head = CLIENTS[form].peek(json.dumps({"model": "m"} | body).encode(), path)
    longest, count = _asked(head.fields, SAID[form])
    return Demand(head, longest, count=count)


UNIT = Price(input=Decimal(1_000_000), output=Decimal(0))
ANSWER = Price(input=Decimal(0), output=Decimal(1_000_000))
SAY = [{"role": "user", "parts": [{"text": "Hi"}]}]
HI = {"messages": [{"role": "user", "content": "Hi"}]}


def most(asked: Demand, *targets: Target) -> tuple[Decimal, str]:
    return asked.most(bounds((target, None) for target in targets))


def prompt(asked: Demand, **facts: Any) -> int:
    return int(most(asked, model(UNIT, **facts))[0])


def written(asked: Demand, **facts: Any) -> int:
    return int(most(asked, model(ANSWER, **facts))[0])


@pytest.mark.parametrize(
    ("form", "path", "body", "tokens"),
    [
        ("openai_chat", "", HI | {"max_tokens": 7}, 7),
        ("openai_chat", "", HI | {"max_tokens": 7, "max_completion_tokens": 9}, 9),
        ("openai_chat", "", HI | {"max_tokens": 7, "n": 3}, 21),
        ("openai_chat", "", HI | {"max_tokens": None}, 500),
        ("openai_chat", "", HI | {"n": 2}, 1000),
        ("openai_completions", "", {"prompt": "Hi", "max_tokens": 7}, 7),
        ("openai_responses", "", {"input": "Hi", "max_output_tokens": 7}, 7),
        ("anthropic", "", HI | {"max_tokens": 7}, 7),
        ("gemini", "m:generateContent", {"contents": SAY, "generationConfig": {"maxOutputTokens": 7}}, 7),
        ("gemini", "m:generateContent", {"contents": SAY, "generation_config": {"max_output_tokens": 7}}, 7),
        ("gemini", "m:generateContent", {"contents": SAY, "generationConfig": {"candidateCount": 2}}, 1000),
        ("gemini", "m:generateContent", {"contents": SAY, "generationConfig": {"candidate_count": 2}}, 1000),
        ("ollama", "", HI | {"options": {"num_predict": 7}}, 7),
        ("ollama", "", HI | {"options": {"num_predict": -1}}, 500),
        ("ollama_generate", "", {"prompt": "Hi", "options": {"num_predict": 7}}, 7),
    ],
)
def test_an_answer_is_as_long_as_the_request_allows_else_as_the_model_does(
    form: str, path: str, body: dict[str, Any], tokens: int
) -> None:
    assert written(demand(body, form, path), max_output=500) == tokens


def test_every_format_of_clients_says_how_long_an_answer_may_be() -> None:
    assert set(SAID) == set(CLIENTS)


def test_a_prompt_is_its_bytes_and_what_stands_around_it() -> None:
    asked = demand(HI)
    assert prompt(asked, context=100_000) == asked.bytes + AROUND
    assert prompt(demand({"messages": [{"role": "user", "content": "x" * 200_000}]}), context=100_000) == 100_000


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "source": {"type": "file", "file_id": "f"}},
        {"type": "input_file", "file_id": "f"},
        {"fileData": {"fileUri": "gs://a"}},
    ],
)
def test_what_points_outside_of_the_body_may_be_as_much_as_the_model_takes(part: dict[str, Any]) -> None:
    asked = demand({"messages": [{"role": "user", "content": [part]}]})
    assert prompt(asked, context=128_000) == 128_000
    assert prompt(asked) == LONGEST_CONTEXT


def test_a_model_with_a_price_for_long_prompts_takes_them_whatever_is_listed() -> None:
    asked = demand({"messages": [{"role": "user", "content": "x" * 300_000}]})
    long = Price(input=Decimal(1), output=Decimal(0), tiers=(Tier(above=200_000, input=Decimal(1_000_000)),))
    assert most(asked, model(long, context=200_000))[0] == asked.bytes + AROUND


def test_the_dearest_target_counts_and_one_without_a_price_is_named() -> None:
    cheap, dear, unknown = model(Price(input=Decimal(1), output=Decimal(1))), model(UNIT), model(None)
    asked = demand(HI | {"max_tokens": 5})
    assert most(asked, cheap, dear) == most(asked, dear)
    assert most(asked, cheap, unknown)[1] == "p/m"


def test_limits_reserve_what_is_likely() -> None:
    asked = demand(HI)
    assert USUAL_ANSWER < asked.likely < USUAL_ANSWER + 30
    assert demand(HI | {"max_tokens": 10}).likely < 40
    assert demand({"messages": [{"role": "user", "content": "x" * 10**6}]}).likely == USUAL_PROMPT + USUAL_ANSWER


PRICED = [
    row for name in load().listed for row in load().models(name).values() if row.price and row.price.input is not None
]
COUNTS = st.integers(0, 400_000)


@given(
    row=st.sampled_from(PRICED), prompts=st.tuples(*[COUNTS] * 4), sound=COUNTS, answer=COUNTS, share=st.floats(0, 1)
)
def test_no_use_costs_more_than_the_ceiling_of_any_model_in_the_catalogue(
    row: Model, prompts: tuple[int, ...], sound: int, answer: int, share: float
) -> None:
    assert row.price is not None
    total = sum(prompts)
    truth = cost(
        row.price,
        input=total,
        output=answer,
        cached=prompts[1],
        cache_write=prompts[2],
        cache_write_1h=prompts[3],
        audio_input=min(sound, prompts[0]),
        reasoning=int(answer * share),
    )
    most = ceiling(row.price, {}).most(input=total, output=answer)
    assert truth is None or (most is not None and truth <= most)


def test_pictures_cost_no_more_than_the_ceiling_in_any_size() -> None:
    books = load()
    tiers = books.tiers("openai")
    assert tiers
    for name, sizes in tiers.items():
        row = books.model("openai", name)
        price = row.price if row is not None else None
        most = ceiling(price, sizes).most(input=1000, output=0, images=2, pixels=1024 * 1024)
        for tier in sizes:
            *quality, size = tier.split("/")
            width, height = map(int, size.split("-x-"))
            truth = drawn(
                price,
                sizes,
                images=2,
                size=(width, height),
                quality=quality[0] if quality else None,
                input=900,
                output=0,
            )
            assert truth is None or (most is not None and truth <= most), (name, tier)


def test_sound_costs_by_the_second_or_by_its_tokens_whichever_is_more() -> None:
    by_second = ceiling(Price(per_second=Decimal("0.0001")), {})
    assert by_second.most(input=5000, output=100, seconds=60.0) == Decimal("0.0060")
    both = ceiling(Price(per_second=Decimal("0.0001"), input=Decimal(1_000_000), output=Decimal(0)), {})
    assert both.most(input=5000, output=0, seconds=60.0) == 5000
