"""`/api/provider-models`: models that the catalogue does not know, or knows otherwise; `/api/models/alias`: other names."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from omniroute.api.crud import Body, Resource, Shown
from omniroute.api.leaves import found
from omniroute.api.resources.fields import Maybe, applied, changed
from omniroute.api.resources.prices import PriceBody, PriceShown, price_data, price_shown
from omniroute.api.resources.references import check_unnamed
from omniroute.api.write import Changes, Draft, Trial, View
from omniroute.config.spec.providers import ModelSpec
from omniroute.document import GONE
from omniroute.errors import BadRequest


class ModelShown(Shown, frozen=True, kw_only=True):
    """A model of a provider, as far as the files say something of it."""

    id: str
    provider: str
    model_id: str
    model_name: str | None
    kind: str | None
    context: int | None
    max_output: int | None
    capabilities: list[str] | None
    price: PriceShown | None
    upstream_id: str | None
    hidden: bool


class ModelBody(Body, frozen=True, kw_only=True):
    """A model, or what is to change of it."""

    provider: str | UnsetType = UNSET
    model_id: str | UnsetType = UNSET
    model_name: str | Maybe = UNSET
    kind: str | Maybe = UNSET
    context: int | Maybe = UNSET
    max_output: int | Maybe = UNSET
    capabilities: list[str] | Maybe = UNSET
    price: PriceBody | Maybe = UNSET
    upstream_id: str | Maybe = UNSET
    hidden: bool | Maybe = UNSET


class ModelQuery(Trial, frozen=True, kw_only=True, rename="camel"):
    """Which model is to be deleted; `model` is the same as `modelId`."""

    provider: str = ""
    model_id: str = ""
    model: str = ""


class ModelFilter(msgspec.Struct, frozen=True):
    """Of which provider."""

    provider: str = ""


class ModelList(msgspec.Struct, frozen=True):
    """The models."""

    models: list[ModelShown]
    total: int


def names(now: View) -> list[str]:
    return [f"{name}/{model}" for name, provider in now.bundle.spec.providers.items() for model in provider.models]


def places(name: str) -> tuple[tuple[str, ...], ...]:
    provider, _, model = name.partition("/")
    return (("providers", provider, "models", model),)


def shown(now: View, name: str) -> ModelShown:
    provider, _, model = name.partition("/")
    spec: ModelSpec = now.bundle.spec.providers[provider].models[model]
    return ModelShown(
        id=name,
        provider=provider,
        model_id=model,
        model_name=spec.title,
        kind=spec.kind,
        context=spec.context,
        max_output=spec.max_output,
        capabilities=None if spec.capabilities is None else list(spec.capabilities),
        price=None if spec.price is None else price_shown(spec.price),
        upstream_id=spec.upstream_id,
        hidden=spec.hidden,
    )


def listed(now: View, query: ModelFilter) -> dict[str, Any]:
    every = [shown(now, name) for name in names(now) if query.provider in ("", name.partition("/")[0])]
    return {"models": every, "total": len(every)}


def changes(draft: Draft, name: str, body: ModelBody | None) -> Changes:
    place = places(name)[0]
    if body is None:
        return {place: GONE}
    old = found(draft.bundle, place)
    data = applied(old, body, "kind", "context", "max_output", "capabilities", "upstream_id")
    price: Any = body.price
    if isinstance(price, PriceBody):
        price = price_data(data.get("price"), price)
    hidden: Any = body.hidden or (body.hidden if body.hidden is UNSET else None)
    return {place: changed(data, {"title": body.model_name, "price": price, "hidden": hidden})}


def named(body: Any) -> str:
    model = getattr(body, "model", "") or body.model_id
    if not isinstance(body.provider, str) or not isinstance(model, str) or not body.provider or not model:
        raise BadRequest("Say which model: `provider` and `modelId`.", code="invalid_body")
    return f"{body.provider}/{model}"


MODELS = Resource(
    path="/api/provider-models",
    noun="model",
    many="models",
    one="model",
    by=ModelQuery,
    body=ModelBody,
    shown_type=ModelShown,
    names=names,
    places=places,
    shown=shown,
    changes=changes,
    named=named,
    told_only=frozenset({"id"}),
    example={
        "provider": "lab",
        "modelId": "my-tune",
        "modelName": "My tune",
        "context": 32768,
        "price": {"input": 1.5, "output": 6},
    },
    change={"provider": "lab", "modelId": "my-tune", "hidden": True, "price": {"output": 7}},
    listed=listed,
    listed_type=ModelList,
    listed_by=ModelFilter,
)


# -------------------------------------------------------------------------------------------------------------- aliases


class AliasShown(Shown, frozen=True, kw_only=True):
    """An alias and what it stands for."""

    alias: str
    model: str


class AliasBody(Body, frozen=True, kw_only=True):
    """An alias and what it stands for: `provider/model`, a combo, another alias, or a pattern with `*` for one."""

    alias: str | UnsetType = UNSET
    model: str | UnsetType = UNSET


class AliasQuery(Trial, frozen=True, kw_only=True):
    """Which alias is to be deleted."""

    alias: str = ""


class AliasList(msgspec.Struct, frozen=True, rename="camel"):
    """All aliases, and the version of the catalogue that they lead into."""

    aliases: dict[str, str]
    catalog_version: str


def _aliases(now: View, _query: Any) -> dict[str, Any]:
    return {"aliases": dict(now.bundle.spec.aliases), "catalogVersion": now.control.catalog.version}


def _alias_changes(draft: Draft, name: str, body: AliasBody | None) -> Changes:
    if body is None:
        check_unnamed(draft, name)
        return {("aliases", name): GONE}
    target = found(draft.bundle, ("aliases", name)) if body.model is UNSET else body.model
    if target is GONE:
        raise BadRequest("An alias needs a `model`.", code="invalid_body", param="model")
    return {("aliases", name): target}


def _alias_named(body: Any) -> str:
    if not isinstance(body.alias, str) or not body.alias:
        raise BadRequest("Say which `alias`.", code="invalid_body", param="alias")
    return body.alias


ALIASES = Resource(
    path="/api/models/alias",
    noun="alias",
    many="aliases",
    by=AliasQuery,
    body=AliasBody,
    shown_type=AliasShown,
    names=lambda now: list(now.bundle.spec.aliases),
    places=lambda name: (("aliases", name),),
    shown=lambda now, name: AliasShown(alias=name, model=now.bundle.spec.aliases[name]),
    changes=_alias_changes,
    named=_alias_named,
    verbs=frozenset({"POST", "PUT", "DELETE"}),
    upserts=True,
    example={"alias": "quick", "model": "demo/echo"},
    change={"alias": "quick", "model": "demo/agent"},
    listed=_aliases,
    listed_type=AliasList,
)
