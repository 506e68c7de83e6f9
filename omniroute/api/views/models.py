"""Which models there are, and which of them can be asked now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from omniroute.api import audit, times
from omniroute.api.control import Control
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.api.views.told import Limit, Usd
from omniroute.catalog import Model
from omniroute.errors import BadRequest, NotFound
from omniroute.routing.availability import obstacle
from omniroute.routing.limiting import targets
from omniroute.routing.resolve import resolve
from omniroute.routing.tables import Target
from omniroute.state.base import MODEL, on

COMBO = "combo"


class Priced(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """USD per million tokens, or per image."""

    input: Usd | None
    output: Usd | None
    cache_read: Usd | None
    cache_write: Usd | None
    per_image: Usd | None


class One(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A model under the name that it is asked for. `custom` ones stand in the configuration and in no catalogue."""

    id: str
    name: str
    type: str
    custom: bool
    context_length: int | None = msgspec.field(name="context_length")
    max_output: int | None
    capabilities: list[str]
    price: Priced | None
    deprecated: str | None


class OfProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of the catalogue or the configuration; `active` where it is configured."""

    provider: str
    active: bool
    models: list[One]


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """By provider, combos among them under a name of their own."""

    catalog: dict[str, OfProvider]
    catalog_version: str


class CatalogueQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Of one provider, or of those that are configured."""

    provider: str | None = None
    active: bool = False


async def catalogue(plane: Plane, request: Request) -> Answer:
    """What the catalogue lists and what the configuration adds."""
    asked, control = request.query(CatalogueQuery), plane.control
    configured = _configured(control)
    names = dict.fromkeys((*control.catalog.providers, *configured))
    found = {
        name: _of_provider(control, name, configured)
        for name in names
        if asked.provider in (None, name) and (name in configured or not asked.active)
    }
    if asked.provider is not None and not found:
        raise NotFound(f"There is no provider `{asked.provider[:80]}` here.", code="provider_not_found")
    return Answer(Catalogue(catalog=found, catalog_version=control.catalog.version))


def _configured(control: Control) -> dict[str, list[tuple[str, Model | None]]]:
    """What can be asked for, by provider; combos and aliases have no facts of their own."""
    found: dict[str, list[tuple[str, Model | None]]] = {name: [] for name in control.live.current.upstreams}
    for line in control.live.current.models:
        found.setdefault(line.owned_by, []).append((line.id, line.facts))
    return found


def _of_provider(control: Control, name: str, configured: dict[str, list[tuple[str, Model | None]]]) -> OfProvider:
    row = control.catalog.providers.get(name)
    shipped = control.catalog.models(name)
    models = {
        ident: _one(ident, facts, custom=facts is None or facts.id not in shipped)
        for ident, facts in configured.get(name, ())
    }
    for ident, facts in shipped.items():
        models.setdefault(f"{name}/{ident}", _one(f"{name}/{ident}", facts, custom=False))
    title = row.title if row is not None else name
    return OfProvider(provider=title, active=name in configured, models=list(models.values()))


def _one(ident: str, facts: Model | None, *, custom: bool) -> One:
    price = facts.price if facts is not None else None
    return One(
        id=ident,
        name=facts.id if facts is not None else ident,
        type=(facts.kind or "chat") if facts is not None else COMBO,
        custom=custom,
        context_length=facts.context if facts is not None else None,
        max_output=facts.max_output if facts is not None else None,
        capabilities=sorted(facts.capabilities) if facts is not None else [],
        price=Priced(
            input=price.input,
            output=price.output,
            cache_read=price.cache_read,
            cache_write=price.cache_write,
            per_image=price.per_image,
        )
        if price is not None
        else None,
        deprecated=facts.deprecated if facts is not None else None,
    )


# --------------------------------------------------------------------------------------------------------- availability


class Counted(msgspec.Struct, frozen=True):
    total: int
    available: int


class Available(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether one model of a provider can be asked now; `reason` and `cooldownUntil` are of the connection that will be
    available first."""

    provider: str
    model: str
    available: bool
    reason: str
    cooldown_until: datetime | None
    remaining_ms: int
    connections: Counted


class Availability(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`unavailableCount` is of all that fit, also those on other pages."""

    count: int
    unavailable_count: int
    models: list[Available]


class AvailabilityQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Of one provider; only what cannot be asked; so many of them."""

    provider: str | None = None
    unavailable: bool = False
    limit: Limit = 1000
    offset: int = 0


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """`model` may be an alias or a combo, and then there is a line for each target. With `provider`, or the `action`
    `clear`, what is held against the model there is forgotten; without a `model`, against all of the provider."""

    model: str | None = None
    provider: str | None = None
    action: Literal["check", "clear"] | None = None


class Checked(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`available` if any of the targets is. `cleared` are the connections, and the models on them, against which something
    was held until now; `removed` says whether there were any."""

    model: str
    available: bool
    targets: list[Available]
    success: bool = True
    removed: bool = False
    cleared: list[str] = []


async def availability(plane: Plane, request: Request) -> Answer:
    """Every model that the configuration leads to."""
    asked, control = request.query(AvailabilityQuery), plane.control
    found = [
        _available(control, target)
        for target in _all_targets(control)
        if asked.provider in (None, target.upstream.name)
    ]
    missing = [one for one in found if not one.available]
    shown, begin = missing if asked.unavailable else found, max(0, asked.offset)
    return Answer(
        Availability(count=len(shown), unavailable_count=len(missing), models=shown[begin : begin + asked.limit])
    )


async def check(plane: Plane, request: Request) -> Answer:
    """One model; or, as the reference has it, a model of a provider that is to be tried again."""
    named = request.json(Named)
    if named.action == "clear" or (named.action is None and named.provider is not None):
        return await _clear(plane, request, named)
    if not named.model:
        raise BadRequest(
            "`model` is missing: `provider/model`, an alias or a combo.", code="invalid_body", param="model"
        )
    name = named.model if named.provider is None else f"{named.provider}/{named.model}"
    return Answer(_checked(plane.control, name, targets(resolve(plane.control.live.current, name))))


def _checked(control: Control, name: str, leads_to: Iterator[Target], cleared: Sequence[str] = ()) -> Checked:
    found = [_available(control, target) for target in _distinct(leads_to)]
    available = any(one.available for one in found)
    return Checked(model=name, available=available, targets=found, removed=bool(cleared), cleared=list(cleared))


async def clear(plane: Plane, request: Request) -> Answer:
    """What is held against a model, or a provider, is forgotten."""
    return await _clear(plane, request, request.json(Named))


async def _clear(plane: Plane, request: Request, named: Named) -> Answer:
    if not named.provider:
        raise BadRequest(
            "`provider` is missing: whose model is to be tried again.", code="invalid_body", param="provider"
        )
    control = plane.control
    gateway = control.live.current
    upstream = gateway.upstreams.get(gateway.prefixes.get(named.provider, named.provider))
    if upstream is None:
        raise NotFound(f"No provider `{named.provider[:80]}` is configured here.", code="provider_not_found")
    model = named.model.removeprefix(f"{upstream.name}/") if named.model else None
    cleared = _held(control, [one.id for one in upstream.connections], model)
    for name in cleared:
        control.state.breakers.forget(name)
        control.state.quotas.forget(name)
    target = f"{upstream.name}/{model}" if model else upstream.name
    await audit.record(plane, request, "availability.clear", target, detail={"cleared": ", ".join(cleared)})
    if model:
        return Answer(_checked(control, target, targets(resolve(gateway, target)), cleared))
    of_provider = (one for one in _all_targets(control) if one.upstream is upstream)
    return Answer(_checked(control, target, of_provider, cleared))


def _held(control: Control, connections: Sequence[str], model: str | None) -> list[str]:
    """The names that something is known against: of the connections themselves, and of their models, or of one."""
    now = control.state.clock.monotonic()
    known = dict.fromkeys((*control.state.breakers.known(now), *control.state.quotas.known(now)))
    if model is None:
        return [name for name in known if name.partition(MODEL)[0] in connections]
    wanted = {*connections, *(on(one, model) for one in connections)}
    return [name for name in known if name in wanted]


def _all_targets(control: Control) -> Iterator[Target]:
    return _distinct(target for route in control.live.current.routes.values() for target in targets(route))


def _distinct(all_targets: Iterator[Target]) -> Iterator[Target]:
    seen: set[str] = set()
    for target in all_targets:
        if target.id not in seen:
            seen.add(target.id)
            yield target


def _available(control: Control, target: Target) -> Available:
    clock, now = control.state.clock, control.state.clock.monotonic()
    found = [obstacle(target, one, control.state, now) for one in target.upstream.connections]
    hindered = [one for one in found if one is not None]
    first = min(hindered, key=lambda one: one.until) if found and len(hindered) == len(found) else None
    return Available(
        provider=target.upstream.name,
        model=target.id.partition("/")[2],
        available=len(hindered) < len(found),
        reason=first.reason if first is not None else "" if found else "the provider has no connections",
        cooldown_until=times.told(first.until - now + clock.now()) if first is not None else None,
        remaining_ms=max(0, int((first.until - now) * 1000)) if first is not None else 0,
        connections=Counted(len(found), len(found) - len(hindered)),
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/models/catalog",
        access="admin.read",
        body_limit=0,
        serve=catalogue,
        summary="All models by provider, of the catalogue and of the configuration, `?provider&active`, with their facts and prices.",
        told=Told(query=CatalogueQuery, answer=Catalogue, refuses=(404,)),
    ),
    Endpoint(
        method="GET",
        path="/api/models/availability",
        access="admin.read",
        body_limit=0,
        serve=availability,
        summary="Which models can be asked now, `?provider&unavailable&limit&offset`, and why and until when others cannot.",
        told=Told(query=AvailabilityQuery, answer=Availability),
    ),
    Endpoint(
        method="POST",
        path="/api/models/availability",
        access="admin.write",
        body_limit=4096,
        serve=check,
        summary="Whether one model, alias or combo can be asked now. `{provider, model}` has a model tried again, as does `action: clear`.",
        told=Told(body=Named, answer=Checked, refuses=(404,), example={"model": "openai/gpt-5.4"}),
    ),
    Endpoint(
        method="DELETE",
        path="/api/models/availability",
        access="admin.write",
        body_limit=4096,
        serve=clear,
        summary="Forgets what is held against a model of a provider, so that it is tried again.",
        told=Told(body=Named, answer=Checked, refuses=(404,), example={"provider": "openai", "model": "gpt-5.4"}),
    ),
)
