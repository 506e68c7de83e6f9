"""`/api/combos`: several models behind one name."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from omniroute.api.crud import Body, Resource, Shown
from omniroute.api.leaves import found
from omniroute.api.resources.fields import Maybe, changed, duration, milliseconds
from omniroute.api.resources.references import check_unnamed
from omniroute.api.write import Changes, Draft, View
from omniroute.config.spec.combos import ComboDefaultsSpec, ComboSpec, TargetSpec
from omniroute.document import GONE
from omniroute.errors import BadRequest, Unprocessable


class When(Shown, frozen=True, kw_only=True):
    """For which requests a target is there."""

    min_tokens: int = 0
    max_tokens: int | None = None
    has: list[str] = msgspec.field(default_factory=list)
    tags: dict[str, str] = msgspec.field(default_factory=dict)


class Target(Shown, frozen=True, kw_only=True):
    """A step of a combo."""

    model: str
    weight: int
    timeout_ms: int | None
    when: When | None


class Hedge(Shown, frozen=True, kw_only=True):
    """When the next target is asked as well; `budget` is a share such as `5%`."""

    after_ms: int
    budget: str


class Config(Shown, frozen=True, kw_only=True):
    """How the targets are tried. `retry_on` and `on` are kinds of failures; without an `on` all but `invalid` lead on."""

    max_retries: int
    retry_delay_ms: int
    retry_on: list[str]
    on: list[str] | None
    hedge: Hedge | None
    sticky: str | None


class ComboShown(Shown, frozen=True, kw_only=True):
    """A combo. Its name is its id."""

    id: str
    name: str
    strategy: str
    models: list[Target]
    config: Config


class WhenBody(Body, frozen=True, kw_only=True):
    """For which requests a target is there."""

    min_tokens: int | Maybe = UNSET
    max_tokens: int | Maybe = UNSET
    has: list[str] | Maybe = UNSET
    tags: dict[str, str] | Maybe = UNSET


class TargetBody(Body, frozen=True, kw_only=True):
    """A step of a combo."""

    model: str
    weight: int | Maybe = UNSET
    timeout_ms: float | Maybe = UNSET
    when: WhenBody | Maybe = UNSET


class HedgeBody(Body, frozen=True, kw_only=True):
    """When the next target is asked as well."""

    after_ms: float
    budget: str | Maybe = UNSET


class ConfigBody(Body, frozen=True, kw_only=True):
    """How the targets are tried. `timeoutMs` is for all targets that have none of their own."""

    max_retries: int | Maybe = UNSET
    retry_delay_ms: float | Maybe = UNSET
    retry_on: list[str] | Maybe = UNSET
    on: list[str] | Maybe = UNSET
    hedge: HedgeBody | Maybe = UNSET
    sticky: str | Maybe = UNSET
    timeout_ms: float | Maybe = UNSET


class ComboBody(Body, frozen=True, kw_only=True):
    """A combo, or what is to change of it. A model is its name, or an object."""

    name: str | UnsetType = UNSET
    strategy: str | Maybe = UNSET
    models: Annotated[list[str | TargetBody], Meta(min_length=1)] | UnsetType = UNSET
    config: ConfigBody | Maybe = UNSET


def shown(now: View, name: str) -> ComboShown:
    spec = now.bundle.spec
    combo, defaults = spec.combos[name], spec.settings.combo_defaults
    return ComboShown(
        id=name,
        name=name,
        strategy=combo.strategy or defaults.strategy,
        models=[_target(TargetSpec(model=each) if isinstance(each, str) else each) for each in combo.targets],
        config=_config(combo, defaults),
    )


def _target(spec: TargetSpec) -> Target:
    when = None
    if spec.when is not None:
        when = When(
            min_tokens=spec.when.min_tokens,
            max_tokens=spec.when.max_tokens,
            has=list(spec.when.has),
            tags=dict(spec.when.tags),
        )
    timeout = milliseconds(spec.timeout) if spec.timeout is not None else None
    return Target(model=spec.model, weight=spec.weight, timeout_ms=timeout, when=when)


def _config(combo: ComboSpec, defaults: ComboDefaultsSpec) -> Config:
    retry, on = combo.retry or defaults.retry, defaults.on if combo.on is None else combo.on
    hedge = combo.hedge
    return Config(
        max_retries=retry.attempts,
        retry_delay_ms=milliseconds(retry.delay),
        retry_on=list(retry.on),
        on=None if on is None else list(on),
        hedge=None if hedge is None else Hedge(after_ms=milliseconds(hedge.after), budget=hedge.budget),
        sticky=combo.sticky,
    )


def changes(draft: Draft, name: str, body: ComboBody | None) -> Changes:
    place = ("combos", name)
    if body is None:
        check_unnamed(draft, name)
        return {place: GONE}
    _same_name(name, body.name)
    old = found(draft.bundle, place)
    data = changed(old, {"strategy": body.strategy, "targets": _targets(body, old)})
    if body.config is not UNSET:
        data = changed(data, configured(data, body.config or ConfigBody()))
    return {place: data}


def _same_name(name: str, said: str | UnsetType) -> None:
    if said is not UNSET and said != name:
        raise Unprocessable(f"The name of `{name}` stays: others refer to it. Make another one.", code="name_fixed")


def _targets(body: ComboBody, old: Any) -> Any:
    """The targets as they are written: what is only a name stays one, and an old entry that says the same stays."""
    timeout = duration(body.config.timeout_ms) if isinstance(body.config, ConfigBody) else UNSET
    if body.models is UNSET and timeout in (UNSET, None):
        return UNSET
    before: list[Any] = old.get("targets", []) if isinstance(old, dict) else []
    entries = list(before) if body.models is UNSET else [_entry(each, before) for each in body.models]
    return entries if timeout in (UNSET, None) else [_hurried(each, timeout) for each in entries]


def _entry(target: str | TargetBody, before: list[Any]) -> Any:
    if isinstance(target, str):
        return target
    same = [one for one in before if (one if isinstance(one, str) else one["model"]) == target.model]
    old = same[0] if len(same) == 1 and isinstance(same[0], dict) else {"model": target.model}
    when: Any = target.when
    if isinstance(when, WhenBody):
        when = changed(old.get("when"), msgspec.structs.asdict(when)) or None
    weight = None if target.weight == 1 and "weight" not in old else target.weight
    entry = changed(old, {"weight": weight, "timeout": duration(target.timeout_ms), "when": when})
    return target.model if set(entry) == {"model"} and not any(one is old for one in before) else entry


def _hurried(entry: Any, timeout: str) -> Any:
    return {"timeout": timeout, **({"model": entry} if isinstance(entry, str) else entry)}


def configured(old: Any, body: Any) -> dict[str, Any]:
    """What the `config` of a combo, or of all of them, says as keys of the file."""
    before = old.get("retry") if isinstance(old, dict) else None
    retry: Any = changed(
        before,
        {"attempts": body.max_retries, "delay": duration(body.retry_delay_ms), "on": body.retry_on},
    )
    hedge: Any = getattr(body, "hedge", UNSET)
    if isinstance(hedge, HedgeBody):
        earlier = old.get("hedge") if isinstance(old, dict) else None
        hedge = changed(earlier, {"after": duration(hedge.after_ms), "budget": hedge.budget})
    return {
        "retry": (retry or None) if retry != (before or {}) else UNSET,
        "on": body.on,
        "hedge": hedge,
        "sticky": getattr(body, "sticky", UNSET),
    }


def named(body: Any) -> str:
    if not isinstance(body.name, str):
        raise BadRequest("A combo needs a `name`.", code="invalid_body", param="name")
    return body.name


COMBOS = Resource(
    path="/api/combos",
    noun="combo",
    many="combos",
    body=ComboBody,
    shown_type=ComboShown,
    names=lambda now: list(now.bundle.spec.combos),
    places=lambda name: (("combos", name),),
    shown=shown,
    changes=changes,
    named=named,
    told_only=frozenset({"id"}),
    example={
        "name": "night",
        "strategy": "weighted",
        "models": [{"model": "demo/echo", "weight": 3}, "demo/agent"],
        "config": {"maxRetries": 1, "retryDelayMs": 250},
    },
    change={"config": {"maxRetries": 2}},
)
