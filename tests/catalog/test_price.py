"""What calls cost, reckoned by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from omniroute.catalog.price import Price, ServiceTier, Tier, by_second, ceiling, cost, drawn, split_tier

CLAUDE = Price(
    input=Decimal(3),
    output=Decimal(15),
    cache_read=Decimal("0.3"),
    cache_write=Decimal("3.75"),
    cache_write_1h=Decimal(6),
)
GEMINI = Price(
    input=Decimal("1.25"),
    output=Decimal(10),
    cache_read=Decimal("0.125"),
    tiers=(Tier(above=200_000, input=Decimal("2.5"), output=Decimal(15)),),
)
SONAR = Price(input=Decimal(2), output=Decimal(8), reasoning=Decimal(3))
PLAIN = Price(input=Decimal("0.15"), output=Decimal("0.6"))
LISTENER = Price(input=Decimal("2.5"), output=Decimal(10), audio_input=Decimal(6), per_second=Decimal("0.0001"))
LONG_THINKER = Price(
    input=Decimal(1),
    output=Decimal(4),
    reasoning=Decimal(2),
    tiers=(Tier(above=200_000, input=Decimal(2), output=Decimal(6)),),
)
STEEP = Price(
    input=Decimal(1),
    output=Decimal(5),
    cache_read=Decimal("0.1"),
    tiers=(
        Tier(above=100_000, input=Decimal(2), output=Decimal(6)),
        Tier(above=500_000, input=Decimal(4), output=Decimal(8), cache_read=Decimal(1)),
    ),
)
SERVED = msgspec.structs.replace(
    CLAUDE, service_tiers=(ServiceTier(name="flex", input=Decimal("1.5"), output=Decimal("7.5")),)
)
PRIORITY = msgspec.structs.replace(
    GEMINI, service_tiers=(ServiceTier(name="priority", input=Decimal("2.5"), output=Decimal(20)),)
)
SPEAKER = Price(
    input=Decimal("2.5"),
    output=Decimal(10),
    cache_read=Decimal("1.25"),
    audio_input=Decimal(40),
    audio_output=Decimal(80),
)
PAINTER = Price(input=Decimal("0.3"), output=Decimal("2.5"), image_input=Decimal("0.5"), image_output=Decimal(30))


@pytest.mark.parametrize(
    ("price", "used", "cents"),
    [
        # input and output alone
        (PLAIN, {"input": 1_000_000, "output": 1_000_000}, "75"),
        (PLAIN, {"input": 1, "output": 0}, "0.000015"),
        (PLAIN, {"input": 0, "output": 0}, "0"),
        # 1000 fresh at 3, 500 produced at 15
        (CLAUDE, {"input": 1_000, "output": 500}, "1.05"),
        # 200 fresh at 3, 800 read at 0.3
        (CLAUDE, {"input": 1_000, "output": 0, "cached": 800}, "0.084"),
        # 100 fresh at 3, 200 read at 0.3, 300 written at 3.75, 400 written for an hour at 6, 10 produced at 15
        (
            CLAUDE,
            {"input": 1_000, "output": 10, "cached": 200, "cache_write": 300, "cache_write_1h": 400},
            "0.4035",
        ),
        # no price for reading or writing a cache: as any other input
        (PLAIN, {"input": 1_000, "output": 0, "cached": 900, "cache_write": 50, "cache_write_1h": 50}, "0.015"),
        # 100 heard at 6, 14 read at 2.5, 45 produced at 10
        (LISTENER, {"input": 114, "output": 45, "audio_input": 100}, "0.1085"),
        # more heard than there was: no more than there was
        (LISTENER, {"input": 10, "output": 0, "audio_input": 100}, "0.006"),
        # no price for sound: as any other input
        (PLAIN, {"input": 1_000, "output": 0, "audio_input": 900}, "0.015"),
        # no price for an hour: that of the shorter cache
        (
            Price(input=Decimal(3), output=Decimal(15), cache_write=Decimal("3.75")),
            {"input": 100, "output": 0, "cache_write_1h": 100},
            "0.0375",
        ),
        # 60 of 100 were reasoning, at 3; 40 told at 8
        (SONAR, {"input": 0, "output": 100, "reasoning": 60}, "0.05"),
        # reasoning without a price of its own costs what output costs, and is not charged twice
        (CLAUDE, {"input": 0, "output": 100, "reasoning": 60}, "0.15"),
        # up to 200 000 tokens the usual tier, above it the other, for the whole of the call
        (GEMINI, {"input": 200_000, "output": 1_000}, "26"),
        (GEMINI, {"input": 200_001, "output": 1_000}, "51.50025"),
        # a read token costs a tenth of a fresh one in either tier: 100 000 at 2.5, 200 000 at 0.25
        (GEMINI, {"input": 300_000, "output": 0, "cached": 200_000}, "30"),
        # reasoning at half of output in either tier: 100 at 3
        (LONG_THINKER, {"input": 300_000, "output": 100, "reasoning": 100}, "60.03"),
        # two tiers: the highest that is passed counts
        (STEEP, {"input": 100_001, "output": 0}, "20.0002"),
        (STEEP, {"input": 600_000, "output": 1_000}, "240.8"),
        # what the tier itself tells of a kind counts before the ratio: 400 000 at 4, 200 000 at 1
        (STEEP, {"input": 600_000, "output": 0, "cached": 200_000}, "180"),
        # in the flex tier half of all, that of a read token by its ratio: 100 at 1.5, 900 at 0.15, 10 at 7.5
        (SERVED, {"input": 1_000, "output": 10, "cached": 900, "service_tier": "flex"}, "0.036"),
        # a tier of service that nothing is known of costs what others do
        (SERVED, {"input": 1_000, "output": 10, "cached": 900, "service_tier": "turbo"}, "0.072"),
        # a long prompt costs as many times more in a tier of service as without: 2.5/1.25 of 2.5, 15/10 of 20
        (PRIORITY, {"input": 300_000, "output": 1_000, "service_tier": "priority"}, "153"),
        # 600 heard at 40, 300 said at 80, 400 read at 2.5, 100 written at 10
        (SPEAKER, {"input": 1_000, "output": 400, "audio_input": 600, "audio_output": 300}, "5"),
        # of what was heard 900 were read from a cache: charged once, at 1.25, and 100 at 40
        (SPEAKER, {"input": 1_000, "output": 0, "cached": 900, "audio_input": 1_000}, "0.5125"),
        # 258 seen at 0.5, 42 read at 0.3, 1290 drawn at 30, 10 written at 2.5
        (PAINTER, {"input": 300, "output": 1_300, "image_input": 258, "image_output": 1_290}, "3.88666"),
        # no tier for long prompts
        (CLAUDE, {"input": 400_000, "output": 0}, "120"),
        # a provider that reports more of a part than of the whole: the part is charged, nothing is taken off
        (PLAIN, {"input": 100, "output": 10, "cached": 200, "reasoning": 20}, "0.0042"),
        # known to be free
        (Price(input=Decimal(0), output=Decimal(0)), {"input": 500_000, "output": 10}, "0"),
    ],
)
def test_a_call_costs_what_was_reckoned_by_hand(price: Price, used: dict[str, int], cents: str) -> None:
    assert cost(price, **used) == Decimal(cents) / 100


@pytest.mark.parametrize(
    "price", [Price(), Price(input=Decimal(1)), Price(output=Decimal(1)), Price(per_image=Decimal("0.04"))]
)
def test_an_unknown_price_makes_an_unknown_cost(price: Price) -> None:
    assert cost(price, input=10, output=1) is None


def test_what_produces_nothing_needs_no_price_for_it() -> None:
    assert cost(Price(input=Decimal("0.1")), input=10, output=0) == Decimal("0.000001")
    assert cost(Price(output=Decimal(1)), input=10, output=0) is None


PER_IMAGE = Price(input=Decimal(5), output=Decimal(10), per_image=Decimal("0.04"))
TIERS = {"high/1024-x-1024": Price(per_image=Decimal("0.167")), "1024-x-1024": Price(per_image=Decimal("0.009"))}
SQUARE = (1024, 1024)


@pytest.mark.parametrize(
    ("price", "tiers", "asked", "dollars"),
    [
        (PER_IMAGE, {}, {"images": 2, "size": None, "quality": None, "input": None, "output": 0}, "0.08"),
        (PER_IMAGE, {}, {"images": 1, "size": SQUARE, "quality": "high", "input": 20, "output": 4160}, "0.0401"),
        (PER_IMAGE, TIERS, {"images": 3, "size": SQUARE, "quality": "high", "input": None, "output": 0}, "0.501"),
        (PER_IMAGE, TIERS, {"images": 1, "size": SQUARE, "quality": "odd", "input": None, "output": 0}, "0.009"),
        (PER_IMAGE, TIERS, {"images": 1, "size": (512, 512), "quality": "high", "input": None, "output": 0}, "0.04"),
        (None, TIERS, {"images": 1, "size": SQUARE, "quality": "high", "input": 7, "output": 0}, "0.167"),
        (
            Price(per_pixel=Decimal("0.0000001")),
            {},
            {"images": 2, "size": (100, 10), "quality": None, "input": None, "output": 0},
            "0.0002",
        ),
        (
            Price(input=Decimal(5), output=Decimal(10)),
            {},
            {"images": 1, "size": SQUARE, "quality": None, "input": 20, "output": 1000},
            "0.0101",
        ),
        (  # 4 160 tokens drawn at 40, 20 read at 5: what was counted counts before the size
            Price(input=Decimal(5), per_image=Decimal("0.04"), image_output=Decimal(40)),
            TIERS,
            {"images": 1, "size": SQUARE, "quality": "high", "input": 20, "output": 4160},
            "0.1665",
        ),
    ],
)
def test_images_cost_what_was_reckoned_by_hand(
    price: Price | None, tiers: dict[str, Price], asked: Any, dollars: str
) -> None:
    assert drawn(price, tiers, **asked) == Decimal(dollars)


@pytest.mark.parametrize(
    ("price", "size", "tokens"),
    [
        (None, SQUARE, 20),
        (Price(input=Decimal(5)), SQUARE, 20),  # of GPT image models the price of the image's tokens is not listed
        (Price(input=Decimal(1), output=Decimal(1)), SQUARE, None),  # nobody counted
        (Price(per_pixel=Decimal("0.0000001")), None, None),
    ],
)
def test_images_of_an_unknown_price_have_an_unknown_cost(
    price: Price | None, size: tuple[int, int] | None, tokens: int | None
) -> None:
    assert drawn(price, {}, images=1, size=size, quality=None, input=tokens, output=100) is None


@pytest.mark.parametrize(
    ("ident", "tier", "model"),
    [
        ("1024-x-1536/gpt-image-1.5", "1024-x-1536", "gpt-image-1.5"),
        ("high/1024-x-1024/gpt-image-1", "high/1024-x-1024", "gpt-image-1"),
        ("accounts/fireworks/models/flux-1-dev-fp8", "", "accounts/fireworks/models/flux-1-dev-fp8"),
        ("gpt-image-1", "", "gpt-image-1"),
    ],
)
def test_a_tier_is_told_from_a_model(ident: str, tier: str, model: str) -> None:
    assert split_tier(ident) == (tier, model)


def test_sums_are_exact() -> None:
    third = Price(input=Decimal("0.0028"), output=Decimal("0.1"))
    one = cost(third, input=1, output=1)
    assert one is not None
    assert sum([one] * 1_000_000, Decimal(0)) == Decimal("0.1028")


def test_absurd_counts_stay_exact() -> None:
    assert cost(PLAIN, input=10**18, output=1) == Decimal("150000000000.0000006")


def test_seconds_are_charged_to_the_millisecond():
    assert by_second(LISTENER, 4.480000019073486) == Decimal("0.000448")
    assert by_second(LISTENER, 3600) == Decimal("0.36")
    assert by_second(LISTENER, 0.0004) == 0
    for absurd in (-1.0, float("-inf"), float("nan")):
        assert by_second(LISTENER, absurd) == 0
    for absurd in (1e300, float("inf")):
        assert by_second(LISTENER, absurd) == 1_000
    assert by_second(PLAIN, 5.0) is None


@pytest.mark.parametrize(
    ("price", "tokens", "dollars"),
    [
        (PLAIN, (1_000_000, 1_000_000), "0.75"),
        (CLAUDE, (1_000_000, 100_000), "7.5"),  # all of it written to a cache for an hour: 6, and 1.5
        (LISTENER, (1_000_000, 0), "6"),
        (GEMINI, (200_000, 1_000), "0.26"),
        (GEMINI, (400_000, 1_000), "1.015"),
        (SERVED, (1_000_000, 0), "6"),
        (PRIORITY, (300_000, 1_000), "1.53"),
        (STEEP, (600_000, 0), "2.4"),
        (PAINTER, (0, 1_000_000), "30"),
        (Price(), (1_000, 1_000), "0"),
        (PLAIN, (-5, -5), "0"),
    ],
)
def test_the_most_that_a_request_can_cost_is_by_the_dearest_kind_of_token(
    price: Price, tokens: tuple[int, int], dollars: str
) -> None:
    assert ceiling(price, *tokens) == Decimal(dollars)
