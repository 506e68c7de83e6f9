"""What is left of a provider's limits, in the headers that each of them has for it."""

import time

import pytest

from omniroute.state.quotas import Allowance, MemoryQuotas
from omniroute.upstream import quota

MOMENT = 1_774_483_200.0  # 2026-03-26T00:00:00Z
NOW = 50.0


def read(headers):
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return quota.allowances(quota.told(pairs), MOMENT, NOW)


SAID = {
    "OpenAI": (
        {
            "content-type": "application/json",
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "6m0s",
            "x-ratelimit-limit-tokens": "150000",
            "x-ratelimit-remaining-tokens": "149984",
            "x-ratelimit-reset-tokens": "6ms",
        },
        {
            "model": [
                Allowance("requests", 0, 60, NOW + 360, NOW + 6),
                Allowance("tokens", 149984, 150000, NOW + 0.006, NOW + 0.0006),
            ]
        },
    ),
    "Groq": (
        {
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-remaining-requests": "14370",
            "x-ratelimit-reset-requests": "2m59.56s",
        },
        {"model": [Allowance("requests", 14370, 14400, NOW + 179.56, pytest.approx(NOW + 179.56 / 14400))]},
    ),
    "Azure": (
        {"x-ratelimit-remaining-tokens": "7000", "x-ratelimit-limit-tokens": "8000", "x-ratelimit-reset-tokens": "10"},
        {"model": [Allowance("tokens", 7000, 8000, NOW + 10, NOW + 1)]},
    ),
    "Azure without a limit": (
        {"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-limit-tokens": "-1", "x-ratelimit-reset-tokens": "0"},
        {},
    ),
    "Anthropic": (
        {
            "anthropic-ratelimit-requests-limit": "1000",
            "anthropic-ratelimit-requests-remaining": "999",
            "anthropic-ratelimit-requests-reset": "2026-03-26T00:00:10Z",
            "anthropic-ratelimit-output-tokens-limit": "16000",
            "anthropic-ratelimit-output-tokens-remaining": "0",
            "anthropic-ratelimit-output-tokens-reset": "2026-03-26T00:01:00+00:00",
        },
        {
            "model": [
                Allowance("requests", 999, 1000, NOW + 10, pytest.approx(NOW + 0.01)),
                Allowance("output tokens", 0, 16000, NOW + 60, NOW + 6),
            ]
        },
    ),
    "Cerebras": (
        {
            "x-ratelimit-limit-requests-day": "1000",
            "x-ratelimit-remaining-requests-day": "0",
            "x-ratelimit-reset-requests-day": "33011.382867",
        },
        {"model": [Allowance("requests of the day", 0, 1000, NOW + 33011.382867, NOW + 33011.382867)]},
    ),
    "Mistral, which tells no reset": (
        {"x-ratelimit-limit-req-minute": "720", "x-ratelimit-remaining-req-minute": "0"},
        {"model": [Allowance("requests of the minute", 0, 720, NOW + 60, NOW + 60)]},
    ),
    "OpenRouter": (
        {
            "x-ratelimit-limit": "50",
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": str(int(MOMENT * 1000) + 90_000),
        },
        {"connection": [Allowance("requests", 0, 50, NOW + 90, NOW + 90)]},
    ),
    "seconds since 1970": (
        {"x-ratelimit-remaining": "3", "x-ratelimit-reset": str(int(MOMENT) + 30)},
        {"connection": [Allowance("requests", 3, None, NOW + 30, NOW + 30)]},
    ),
    "the draft up to 07": (
        {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "42", "ratelimit-reset": "7"},
        {"connection": [Allowance("requests", 42, 100, NOW + 7, NOW + 7)]},
    ),
    "the draft from 08 on": (
        {"ratelimit": '"burst";r=50;t=30, "daily";r=3;t=8000'},
        {"connection": [Allowance("requests", 3, None, NOW + 8000, NOW + 8000)]},
    ),
    "a reset that is over": (
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(MOMENT) - 30)},
        {"connection": [Allowance("requests", 0, None, NOW, NOW)]},
    ),
    "nothing that can be read": (
        {
            "x-ratelimit-remaining": "many",
            "x-ratelimit-reset": "soon",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "2026-03-26T00:00:10",
            "ratelimit": "x",
        },
        {},
    ),
    "a month": (
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2592000"},
        {"connection": [Allowance("requests", 0, None, NOW + 86_400, NOW + 86_400)]},
    ),
}


@pytest.mark.parametrize(("headers", "expected"), SAID.values(), ids=SAID)
def test_what_is_left_is_read_from_the_headers(headers, expected):
    assert read(headers) == expected


def test_what_is_used_up_is_short_until_it_is_usable_and_few_until_it_is_all_there():
    quotas = MemoryQuotas()
    quotas.learn("a.x|m", read(SAID["OpenAI"][0])["model"], NOW)
    shortage = quotas.short("a.x|m", NOW + 5)
    assert (shortage.unit, shortage.empty_until, shortage.few_until) == ("requests", NOW + 6, NOW + 360)
    assert quotas.short("a.x|m", NOW + 360) is None
    assert not quotas.any_short()
    assert quotas.short("a.x", NOW) is None


def test_the_next_answer_replaces_what_was_known():
    quotas = MemoryQuotas()
    quotas.learn("a", [Allowance("requests", 0, 100, NOW + 60, NOW + 60)], NOW)
    quotas.learn("a", [Allowance("requests", 99, 100, NOW + 60, NOW + 60)], NOW + 1)
    assert quotas.short("a", NOW + 1) is None
    assert [one.remaining for one in quotas.known(NOW + 1)["a"]] == [99]
    assert quotas.known(NOW + 60) == {}


@pytest.mark.parametrize(("remaining", "limit", "short"), [(5, 100, True), (6, 100, False), (1, None, False)])
def test_few_is_a_twentieth(remaining, limit, short):
    quotas = MemoryQuotas()
    quotas.learn("a", [Allowance("requests", remaining, limit, NOW + 60, NOW + 60)], NOW)
    assert (quotas.short("a", NOW) is not None) == short


def test_names_that_callers_make_up_cannot_fill_the_memory():
    quotas = MemoryQuotas(names=10)
    for index in range(50):
        quotas.learn(f"a|{index}", [Allowance("requests", 0, 1, NOW + 60, NOW + 60)], NOW)
    assert set(quotas.known(NOW)) == {f"a|{index}" for index in range(40, 50)}
    assert quotas.short("a|39", NOW) is None


def test_an_answer_without_such_headers_costs_next_to_nothing():
    names = (
        "date content-type content-length connection server vary via cf-ray request-id cache-control set-cookie etag"
    )
    headers = [(name.encode(), b"x") for name in names.split()]
    rounds = 20_000
    began = time.perf_counter()
    for _ in range(rounds):
        quota.told(headers)
    assert (time.perf_counter() - began) / rounds < 3e-6  # three times the 1 µs it may take
