"""`/api/pricing`: what models cost here, by provider and model; the catalogue's prices, and those of the files over them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from omniroute.api.crud import BODY_LIMIT, REFUSES, Written, fields, view
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.leaves import etag, etag_of_all, found
from omniroute.api.plane import Plane
from omniroute.api.resources.prices import PriceBody, PriceShown, price_data, price_shown
from omniroute.api.write import Changes, Draft, Trial, View, Write, write
from omniroute.catalog import Catalog, Model
from omniroute.config.bundle import Bundle
from omniroute.config.compile.facts import model_facts
from omniroute.config.spec.providers import ModelSpec, ProviderSpec
from omniroute.document import GONE
from omniroute.errors import BadRequest, NotFound

Prices = dict[str, dict[str, PriceShown]]


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Of which provider."""

    provider: str = ""


class Whose(Trial, frozen=True, kw_only=True):
    """Which prices of the files are to go: of a model, of a provider, or all."""

    provider: str = ""
    model: str = ""


class Overlay(Written, frozen=True, kw_only=True):
    """The prices that stand in the files, after the write."""

    pricing: Prices


class Listed(msgspec.Struct, frozen=True):
    """A model that a price can be given to."""

    id: str
    name: str
    custom: bool


class Provider(msgspec.Struct, frozen=True, rename="camel"):
    """A provider and its models."""

    id: str
    alias: str
    name: str
    auth_type: str
    format: str
    models: list[Listed]
    model_count: int


def effective(now: View, only: str) -> Prices:
    """What counts, of the providers that are configured."""
    spec, catalog = now.bundle.spec, now.control.catalog
    prices: Prices = {}
    for name, provider in spec.providers.items():
        if only in ("", name):
            listed = catalog.models(name if provider.type is None else provider.type)
            overlay = {model for who, model in _overlaid(now.bundle) if who == name}
            for model in dict.fromkeys((*listed, *provider.models, *sorted(overlay))):
                known = listed.get(model) or Model(id=model, kind=None)
                own = provider.models.get(model, ModelSpec())
                price = model_facts(known, own, spec.pricing.get(f"{name}/{model}")).price
                if price is not None:
                    prices.setdefault(name, {})[model] = price_shown(price)
    return prices


def _overlaid(bundle: Bundle) -> Iterator[tuple[str, str]]:
    for name in bundle.spec.pricing:
        provider, _, model = name.partition("/")
        yield provider, model


def overlay(now: View) -> Prices:
    """What stands in the files."""
    prices: Prices = {}
    for name, price in now.bundle.spec.pricing.items():
        provider, _, model = name.partition("/")
        prices.setdefault(provider, {})[model] = price_shown(price)
    return prices


async def show(plane: Plane, request: Request) -> Answer:
    now = view(plane)
    query = request.query(Which)
    prices = await asyncio.to_thread(effective, now, query.provider)
    return Answer(prices, headers=((b"etag", etag_of_all(now.bundle).encode()),))


async def defaults(plane: Plane, request: Request) -> Answer:
    return Answer(await asyncio.to_thread(_defaults, plane.control.catalog, request.query(Which).provider))


def _defaults(catalog: Catalog, only: str) -> Prices:
    known = {name: _known(catalog, name) for name in catalog.providers if only in ("", name)}
    return {name: prices for name, prices in known.items() if prices}


def _known(catalog: Catalog, provider: str) -> dict[str, PriceShown]:
    return {model: price_shown(row.price) for model, row in catalog.models(provider).items() if row.price is not None}


async def models(plane: Plane, request: Request) -> Answer:
    return Answer(await asyncio.to_thread(_providers, view(plane), request.query(Which).provider))


def _providers(now: View, only: str) -> dict[str, Provider]:
    spec, catalog = now.bundle.spec, now.control.catalog
    short = {name: alias for alias, name in reversed(list(catalog.provider_aliases.items()))}
    names = dict.fromkeys((*spec.providers, *catalog.providers))
    return {name: _provider(now, name, short.get(name, name)) for name in names if only in ("", name)}


def _provider(now: View, name: str, alias: str) -> Provider:
    catalog, own = now.control.catalog, now.bundle.spec.providers.get(name, ProviderSpec())
    row = catalog.providers.get(own.type or name)
    known = catalog.models(row.id) if row is not None else {}
    listed = [Listed(model, model, custom=False) for model in known]
    listed += [
        Listed(model, each.title or model, custom=True) for model, each in own.models.items() if model not in known
    ]
    return Provider(
        id=name,
        alias=alias,
        name=own.title or (row.title if row is not None else name),
        auth_type="none" if row is not None and not row.key_required else "apikey",
        format=next(iter(own.formats or (row.formats if row is not None else ())), ""),
        models=listed,
        model_count=len(listed),
    )


async def change(plane: Plane, request: Request) -> Answer:
    trial, given = request.query(Trial), fields(request)
    prices = _prices(given)

    def changes(draft: Draft) -> Changes:
        return {
            ("pricing", name): GONE
            if body is None
            else price_data(None if (old := found(draft.bundle, ("pricing", name))) is GONE else old, body)
            for name, body in prices.items()
        }

    return await _write(plane, request, "pricing.update", ", ".join(prices), changes, trial, list(prices))


def _prices(given: Mapping[str, Any]) -> dict[str, PriceBody | None]:
    try:
        bodies = msgspec.convert(given, dict[str, dict[str, PriceBody | None]])
    except msgspec.ValidationError as error:
        raise BadRequest(f"The body is not prices by provider and model: {error}.", code="invalid_body") from None
    prices = {f"{provider}/{model}": body for provider, each in bodies.items() for model, body in each.items()}
    if not prices:
        raise BadRequest("There is no price in the body.", code="invalid_body")
    return prices


async def reset(plane: Plane, request: Request) -> Answer:
    query = request.query(Whose)
    if query.model and not query.provider:
        raise BadRequest("Say of which `provider` the model is.", code="invalid_query", param="provider")
    what = "/".join(filter(None, (query.provider, query.model)))

    def meant(bundle: Bundle) -> list[str]:
        return [
            f"{provider}/{model}"
            for provider, model in _overlaid(bundle)
            if query.provider in ("", provider) and query.model in ("", model)
        ]

    def changes(draft: Draft) -> Changes:
        names = meant(draft.bundle)
        if not names and what:
            raise NotFound(f"The files have no price of `{what}`.", code="unknown_price")
        return {("pricing", name): GONE for name in names}

    return await _write(plane, request, "pricing.delete", what, changes, query, meant(plane.control.bundle))


async def _write(
    plane: Plane, request: Request, action: str, target: str, changes: Any, trial: Trial, names: list[str]
) -> Answer:
    """`If-Match` may be the tag of all prices, which the list has, or of those that are written."""
    places = [("pricing", name) for name in names]
    listed = etag_of_all(plane.control.bundle)
    one = Write(
        action=action,
        target=target,
        etag_of=etag_of_all if request.header(b"if-match") == listed else lambda bundle: etag(bundle, places),
        answered=etag_of_all,
        changes=changes,
        shown=lambda now: msgspec.to_builtins({"pricing": overlay(now)}),
    )
    return await write(plane, request, one, dry_run=trial.dry_run)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/pricing",
        access="admin.read",
        body_limit=0,
        serve=show,
        summary="What models of the configured providers cost, in USD per million tokens: the catalogue, and the files over it.",
        told=Told(query=Which, answer=Prices),
    ),
    Endpoint(
        method="PATCH",
        path="/api/pricing",
        access="admin.write",
        body_limit=BODY_LIMIT,
        serve=change,
        summary="Gives models prices of their own, by provider and model; null takes one away.",
        told=Told(
            query=Trial,
            body=dict[str, dict[str, PriceBody | None]],
            answer=Overlay,
            refuses=REFUSES,
            example={"lab": {"my-tune": {"input": 3, "output": 12, "cached": 1.5}}},
        ),
    ),
    Endpoint(
        method="DELETE",
        path="/api/pricing",
        access="admin.write",
        body_limit=0,
        serve=reset,
        summary="Goes back to the catalogue's price of a model, of a provider's models, or of all.",
        told=Told(query=Whose, answer=Overlay, refuses=(404, *REFUSES)),
    ),
    Endpoint(
        method="GET",
        path="/api/pricing/defaults",
        access="admin.read",
        body_limit=0,
        serve=defaults,
        summary="The catalogue's prices of all providers.",
        told=Told(query=Which, answer=Prices),
    ),
    Endpoint(
        method="GET",
        path="/api/pricing/models",
        access="admin.read",
        body_limit=0,
        serve=models,
        summary="The providers and models that prices can be given to.",
        told=Told(query=Which, answer=dict[str, Provider]),
    ),
)
