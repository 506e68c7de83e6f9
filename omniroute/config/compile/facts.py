"""What is known of a model, and what its provider wants otherwise: the catalogue, changed by what the file says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from omniroute.catalog import Model, Offer, Price, Provider
from omniroute.catalog.price import Rates, ServiceTier, Tier
from omniroute.config.spec.providers import ModelSpec, PriceSpec, QuirksSpec, RatesSpec
from omniroute.formats import patch

RATES = Rates.__struct_fields__
NUMBERS = (*RATES, "per_image", "per_pixel", "per_second")


def in_general(spec: QuirksSpec) -> QuirksSpec:
    """What counts beyond chat: a field that is missing there is missing elsewhere with better reason."""
    return msgspec.structs.replace(spec, default={})


def quirks_of(row: Provider | Offer | None, spec: QuirksSpec) -> patch.Quirks:
    """What the catalogue says of the provider or an operation of it, and what the file adds."""
    base = msgspec.convert(dict(row.quirks), patch.Quirks) if row is not None else patch.NONE
    renames = dict(spec.rename)
    if spec.max_tokens_field is not None:
        (other,) = {"max_tokens", "max_completion_tokens"} - {spec.max_tokens_field}
        renames[other] = spec.max_tokens_field
    quirks = patch.Quirks(
        split=base.split,
        values=base.values,
        drop=(*base.drop, *spec.drop),
        rename={**base.rename, **renames},
        default={**base.default, **spec.default},
        clamp={**base.clamp, **{name: (limits.min, limits.max) for name, limits in spec.clamp.items()}},
        system_role=spec.system_role or base.system_role,
        merge_system=spec.merge_system or base.merge_system,
        betas=base.betas if spec.betas is None else spec.betas,
        think_tags=spec.think_tags or base.think_tags,
    )
    return patch.NONE if quirks == patch.NONE else quirks


def model_facts(known: Model, own: ModelSpec, overlay: PriceSpec | None) -> Model:
    """What the catalogue knows, changed by what the file says."""
    price = known.price
    for spec in (own.price, overlay):
        if spec is not None:
            price = _price(spec, price)
    return msgspec.structs.replace(
        known,
        kind=own.kind or known.kind,
        context=own.context or known.context,
        max_output=own.max_output or known.max_output,
        capabilities=known.capabilities if own.capabilities is None else frozenset(own.capabilities),
        price=price,
    )


def _price(spec: PriceSpec, base: Price | None) -> Price:
    """Prices of the file over those of the catalogue; tiers of long prompts all at once, tiers of service by name."""
    known = base or Price()
    said: dict[str, Any] = {name: _decimal(getattr(spec, name)) for name in NUMBERS if getattr(spec, name) is not None}
    if spec.tiers is not None:
        tiers = [Tier(above=tier.above, **_rates(tier)) for tier in spec.tiers]
        said["tiers"] = tuple(sorted(tiers, key=lambda tier: tier.above))
    if spec.service_tiers:
        own = tuple(ServiceTier(name=name, **_rates(rates)) for name, rates in spec.service_tiers.items())
        said["service_tiers"] = (*(one for one in known.service_tiers if one.name not in spec.service_tiers), *own)
    return msgspec.structs.replace(known, **said, stated=bool(said) or known.stated)


def _rates(spec: RatesSpec) -> dict[str, Decimal]:
    return {name: _decimal(value) for name in RATES if (value := getattr(spec, name)) is not None}


def _decimal(value: float) -> Decimal:
    """As it is written, so that 0.1 is a tenth."""
    return Decimal(str(value))
