"""What a file says of prices, over what the catalogue knows."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from omniroute.catalog import Model
from omniroute.catalog.price import Price, ServiceTier, Tier
from omniroute.config.compile.facts import model_facts
from omniroute.config.spec.providers import ModelSpec, PriceSpec

LISTED = Price(
    input=Decimal(2),
    output=Decimal(12),
    cache_read=Decimal("0.2"),
    tiers=(Tier(above=200_000, input=Decimal(4), output=Decimal(18)),),
    service_tiers=(ServiceTier(name="flex", input=Decimal(1)),),
)


def compiled(own: dict, overlay: dict | None = None, listed: Price | None = LISTED) -> Price | None:
    """The price of a model whose block says `own`, with what stands under `pricing:`."""
    spec = msgspec.convert({"price": own} if own else {}, ModelSpec)
    above = None if overlay is None else msgspec.convert(overlay, PriceSpec)
    return model_facts(Model(id="m", kind="chat", price=listed), spec, above).price


def test_what_the_file_leaves_out_is_as_the_catalogue_knows_it():
    assert compiled({}) == LISTED
    assert compiled({"cache_read": 0.1}) == msgspec.structs.replace(LISTED, cache_read=Decimal("0.1"), stated=True)


def test_the_overlay_counts_before_the_block_of_the_model():
    price = compiled({"input": 1, "output": 5}, {"input": 0.1})
    assert price is not None
    assert (price.input, price.output) == (Decimal("0.1"), Decimal(5))


def test_tiers_of_long_prompts_replace_those_of_the_catalogue_and_stand_in_the_order_of_their_bounds():
    tiers = [{"above": 500_000, "input": 8}, {"above": 100_000, "input": 3, "cache_read": 0.3}]
    price = compiled({}, {"tiers": tiers})
    assert price is not None
    assert price.tiers == (
        Tier(above=100_000, input=Decimal(3), cache_read=Decimal("0.3")),
        Tier(above=500_000, input=Decimal(8)),
    )
    none = compiled({}, {"tiers": []})
    assert none is not None
    assert none.tiers == ()


def test_tiers_of_service_replace_those_of_the_same_name():
    price = compiled({"service_tiers": {"flex": {"input": 0.5}, "priority": {"input": 4}}})
    assert price is not None
    assert price.service_tiers == (
        ServiceTier(name="flex", input=Decimal("0.5")),
        ServiceTier(name="priority", input=Decimal(4)),
    )


def test_a_file_without_prices_states_none():
    assert compiled({}, None, None) is None
    assert compiled({"input": 0}, None, None) == Price(input=Decimal(0), stated=True)


@pytest.mark.parametrize("value", [-0.01, 1_000_001, float("inf"), float("nan"), "1"])
def test_a_price_is_a_number_within_reason(value):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"input": value}, PriceSpec)
