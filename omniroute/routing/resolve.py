"""Which route a model's name means.

In this order, and nothing falls through to a default: combo, `provider/model`, alias (exact, then wildcard with the
most specific first), a model id that exactly one configured provider has.  The names that can be listed are looked up
in tables made when the configuration was compiled; only wildcards and models that no list knows are worked out here.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from omniroute.catalog import Model, Price, ceiling
from omniroute.catalog.price import UNPRICED
from omniroute.errors import BadRequest, NotFound
from omniroute.routing.serving import formats
from omniroute.routing.tables import Gateway, Route, Target, Upstream

NO_TIERS: Mapping[str, Price] = MappingProxyType({})
Variant = Mapping[str, tuple[tuple[bytes, bytes], ...]]
"""What asks an upstream for it, by format: headers. A format without a row has no word for it."""
VARIANTS: Mapping[str, Variant] = {"[1m]": {"anthropic": ((b"anthropic-beta", b"context-1m-2025-08-07"),)}}
"""What the end of a name may ask for beyond the model. No name of a configuration can end so: brackets are no part of
one."""
PLAIN: Variant = {}


def variant(name: str) -> tuple[str, Variant]:
    """The model's name, and which variant of it is asked for. Raises NotFound where it asks twice."""
    if name.endswith("]"):
        for end, asked in VARIANTS.items():
            if name.endswith(end):
                model = name.removesuffix(end)
                if model.endswith(tuple(VARIANTS)):
                    raise NotFound(
                        f"There is no model `{name}` here. Did you mean `{model}`?",
                        code="model_not_found",
                        param="model",
                    )
                return model, asked
    return name, PLAIN


def resolve(gateway: Gateway, name: str) -> Route:
    """The route to a model, in whichever variant. Raises NotFound with the nearest names, or BadRequest where several
    providers have the model."""
    return known(gateway, name) or _bare(gateway, name)


def known(gateway: Gateway, name: str) -> Route | None:
    """The route to what is no model id alone; None where nothing has this name."""
    return gateway.routes.get(name) or _qualified(gateway, name) or _wildcard(gateway, name)


def at_provider(gateway: Gateway, provider: str, model: str) -> str:
    """The full name of a model that is asked for at a provider, with or without the provider's name before it. Raises
    NotFound for a provider that is not configured, BadRequest for a model that is said to be another one's."""
    name = gateway.prefixes.get(provider, provider)
    if name not in gateway.upstreams:
        known = _listed(tuple(gateway.upstreams)[:8])
        raise NotFound(f"No provider `{provider}` is configured here; there are {known}.", code="provider_not_found")
    prefix, slash, _ = model.partition("/")
    owner = gateway.prefixes.get(prefix, prefix)
    if slash and owner == name:
        return model
    full = f"{name}/{model}"
    if slash and owner in gateway.upstreams and full not in gateway.routes:
        raise BadRequest(
            f"`{model}` is a model of `{owner}`, and this is the path of `{name}`.",
            code="model_elsewhere",
            param="model",
        )
    return full


def single(upstream: Upstream, name: str, model: str, facts: Model, tiers: Mapping[str, Price] = NO_TIERS) -> Route:
    """The route to one model at one provider."""
    target = Target(
        id=f"{upstream.name}/{name}",
        upstream=upstream,
        model=model,
        formats=formats(upstream, facts.kind),
        facts=facts,
        deadlines=upstream.deadlines,
        tiers=tiers,
        ceiling=ceiling(facts.price, tiers) if facts.price is not None or tiers else UNPRICED,
    )
    return Route(name=target.id, strategy="priority", steps=(target,))


def _qualified(gateway: Gateway, name: str) -> Route | None:
    """`provider/model`, also under one of the provider's other names, and also for a model that no catalogue lists:
    catalogues age, providers do not wait for them."""
    provider, slash, model = name.partition("/")
    if not slash or not model:
        return None
    upstream = gateway.upstreams.get(gateway.prefixes.get(provider, provider))
    if upstream is None:
        return None
    return gateway.routes.get(f"{upstream.name}/{model}") or single(upstream, model, model, Model(id=model, kind=None))


def _wildcard(gateway: Gateway, name: str) -> Route | None:
    for alias in gateway.aliases:
        target = alias.translate(name)
        if target is not None:
            return gateway.routes.get(target) or _qualified(gateway, target)
    return None


def _bare(gateway: Gateway, name: str) -> Route:
    owners = gateway.bare.get(name, ())
    if len(owners) == 1:
        return gateway.routes[owners[0]]
    if owners:
        raise BadRequest(
            f"Several providers have the model `{name}`: ask for one of {_listed(owners)}.",
            code="model_ambiguous",
            param="model",
        )
    near = get_close_matches(name, (*gateway.routes, *gateway.bare), n=3, cutoff=0.6)
    hint = f" Did you mean {_listed(near)}?" if near else " `GET /v1/models` lists what there is."
    raise NotFound(f"There is no model `{name}` here.{hint}", code="model_not_found", param="model")


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
