"""What models cost, in `/api`: USD per million tokens, or per image, pixel or second. Other gateways' words for the same
rates, `cached` and `cache_creation`, are taken and told besides."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET

from omniroute.api.crud import Body, Shown
from omniroute.api.resources.fields import Maybe, changed
from omniroute.catalog import Price
from omniroute.config.spec.providers import PriceSpec, RatesSpec
from omniroute.errors import BadRequest

RATES = RatesSpec.__struct_fields__
FLAT = (*RATES, "per_image", "per_pixel", "per_second")
OTHER = {"cached": "cache_read", "cache_creation": "cache_write"}
"""Rates by what other gateways call them."""


class RatesShown(Shown, frozen=True, kw_only=True, omit_defaults=True):
    """USD per million tokens. What is not known is left out."""

    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None
    cache_write_1h: float | None = None
    reasoning: float | None = None
    audio_input: float | None = None
    audio_output: float | None = None
    image_input: float | None = None
    image_output: float | None = None
    cached: float | None = None
    cache_creation: float | None = msgspec.field(default=None, name="cache_creation")


class TierShown(RatesShown, frozen=True, kw_only=True, omit_defaults=True):
    """What a whole request costs whose prompt has more tokens than `above`."""

    above: int


class PriceShown(RatesShown, frozen=True, kw_only=True, omit_defaults=True):
    """What a model costs."""

    per_image: float | None = None
    per_pixel: float | None = None
    per_second: float | None = None
    tiers: list[TierShown] | None = None
    service_tiers: dict[str, RatesShown] = msgspec.field(default_factory=dict)


class RatesBody(Body, frozen=True, kw_only=True):
    """USD per million tokens."""

    input: float | Maybe = UNSET
    output: float | Maybe = UNSET
    cache_read: float | Maybe = UNSET
    cache_write: float | Maybe = UNSET
    cache_write_1h: float | Maybe = UNSET
    reasoning: float | Maybe = UNSET
    audio_input: float | Maybe = UNSET
    audio_output: float | Maybe = UNSET
    image_input: float | Maybe = UNSET
    image_output: float | Maybe = UNSET
    cached: float | Maybe = UNSET
    cache_creation: float | Maybe = msgspec.field(default=UNSET, name="cache_creation")


class TierBody(RatesBody, frozen=True, kw_only=True):
    """What a whole request costs whose prompt has more tokens than `above`."""

    above: int


class PriceBody(RatesBody, frozen=True, kw_only=True):
    """What a model costs, or what is to change of it."""

    per_image: float | Maybe = UNSET
    per_pixel: float | Maybe = UNSET
    per_second: float | Maybe = UNSET
    tiers: list[TierBody] | Maybe = UNSET
    service_tiers: dict[str, RatesBody] | Maybe = UNSET


def price_shown(spec: PriceSpec | Price) -> PriceShown:
    """A price of the file, or of the catalogue."""
    tiers = None if spec.tiers is None else [TierShown(above=tier.above, **_rates(tier)) for tier in spec.tiers]
    named: Mapping[str, Any]
    named = {tier.name: tier for tier in spec.service_tiers} if isinstance(spec, Price) else spec.service_tiers
    return PriceShown(
        **_rates(spec),
        per_image=_number(spec.per_image),
        per_pixel=_number(spec.per_pixel),
        per_second=_number(spec.per_second),
        tiers=tiers or None,
        service_tiers={name: RatesShown(**_rates(tier)) for name, tier in named.items()},
    )


def _rates(spec: Any) -> dict[str, Any]:
    rates = {name: _number(getattr(spec, name)) for name in RATES}
    return {**rates, **{word: rates[name] for word, name in OTHER.items()}}


def _number(value: Decimal | float | None) -> float | None:
    return None if value is None else float(value)


def price_data(old: Any, body: PriceBody) -> dict[str, Any]:
    """A price as data of the file."""
    tiers: Any = body.tiers
    if isinstance(tiers, list):
        tiers = [{"above": tier.above, **changed({}, _said(tier))} for tier in tiers]
    named: Any = body.service_tiers
    if isinstance(named, dict):
        named = {name: changed({}, _said(rates)) for name, rates in named.items()}
    flat = {name: _plain(getattr(body, name)) for name in FLAT if name not in RATES}
    return changed(old, {**_said(body), **flat, "tiers": tiers, "service_tiers": named})


def _said(body: RatesBody) -> dict[str, Any]:
    said = {name: getattr(body, name) for name in RATES}
    for word, name in OTHER.items():
        other = getattr(body, word)
        if other is UNSET:
            continue
        if said[name] not in (UNSET, other):
            raise BadRequest(f"`{word}` is another word for the same rate, and they differ.", code="invalid_body")
        said[name] = other
    return {name: _plain(value) for name, value in said.items()}


def _plain(value: Any) -> Any:
    """3.0 as 3, as a person writes it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
