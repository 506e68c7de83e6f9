"""What is known of a model, and what its provider wants otherwise: the catalogue, changed by what the file says."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from omniroute.catalog import Model, Offer, Price, Provider
from omniroute.config.spec.providers import ModelSpec, PriceSpec, QuirksSpec
from omniroute.formats import patch


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
    """Prices of the file over those of the catalogue; written as they are read, so that 0.1 is a tenth."""
    said = {name: Decimal(str(value)) for name, value in msgspec.structs.asdict(spec).items() if value is not None}
    return msgspec.structs.replace(base or Price(), **said)
