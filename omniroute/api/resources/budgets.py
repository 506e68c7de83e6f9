"""`/api/usage/budget`: how much the requests of a key may cost, and how much of it is left.

In the files a budget has a name, and keys name those that pay for them.  Here a key and a period say which: one that the
key has for itself is changed, and where it has none, one is made for it, so that nobody else's limit moves.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from math import inf
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from omniroute.api import times
from omniroute.api.crud import REFUSES, Body, Shown, after, view
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.leaves import Steps, etag, etag_of_all, found
from omniroute.api.plane import Plane
from omniroute.api.resources.fields import changed
from omniroute.api.write import Changes, Draft, Trial, View, Write, write
from omniroute.config.bundle import Bundle
from omniroute.document import GONE
from omniroute.errors import BadRequest, NotFound

Period = Literal["hourly", "daily", "weekly", "monthly", "total"]
Usd = Annotated[float, Meta(ge=0, le=1_000_000_000)]


class BudgetShown(Shown, frozen=True, kw_only=True):
    """A budget of a key, in USD. `sharedWith` are the other keys that it pays for; `warning` says that `warnAt`, a share,
    is reached; `known` is false until the ledger has been asked what was spent before the start."""

    key_id: str
    budget: str
    limit: float
    period: str
    spent: float
    reserved: float
    remaining: float
    resets_at: datetime | None
    warn_at: str
    warning: bool
    known: bool
    shared_with: list[str]


class BudgetList(Shown, frozen=True, kw_only=True):
    """The budgets of all keys, or of one."""

    budgets: list[BudgetShown]


class BudgetBody(Body, frozen=True, kw_only=True):
    """A limit for a key and a period; or for several periods at once, as other gateways say it. `warningThreshold` is a
    share of 1, `resetTime` a time of the day."""

    key_id: str | UnsetType = UNSET
    api_key_id: str | UnsetType = UNSET
    limit: Usd | UnsetType = UNSET
    period: Period | UnsetType = UNSET
    daily_limit_usd: Usd | UnsetType = UNSET
    weekly_limit_usd: Usd | UnsetType = UNSET
    monthly_limit_usd: Usd | UnsetType = UNSET
    warning_threshold: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    reset_interval: Literal["daily", "weekly", "monthly"] | UnsetType = UNSET
    reset_time: str | UnsetType = UNSET
    timezone: str | UnsetType = UNSET


class Whose(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of which key."""

    key_id: str = ""
    api_key_id: str = ""


class Which(Trial, frozen=True, kw_only=True, rename="camel"):
    """Which budget is to go: of a key, and of one period or of all."""

    key_id: str = ""
    api_key_id: str = ""
    period: Period | Literal[""] = ""


def _owners(bundle: Bundle, budget: str) -> list[str]:
    return [name for name, key in bundle.spec.keys.items() if budget in key.budgets]


def budgets_shown(now: View, only: str = "") -> list[BudgetShown]:
    """How the budgets stand that pay for a key, or for all of them."""
    running = now.control.live.current.budgets
    moment = now.control.state.clock.now()
    told = []
    for key, spec in now.bundle.spec.keys.items():
        for name in spec.budgets if only in ("", key) else ():
            written = now.bundle.spec.budgets[name]
            limit = Decimal(str(written.limit))
            one = now.control.state.budgets.balance(running[name], moment) if name in running else None
            spent, reserved = (one.spent, one.reserved) if one else (Decimal(0), Decimal(0))
            told.append(
                BudgetShown(
                    key_id=key,
                    budget=name,
                    limit=written.limit,
                    period=written.period,
                    spent=float(spent),
                    reserved=float(reserved),
                    remaining=float(max(Decimal(0), limit - spent - reserved)),
                    resets_at=None if one is None or one.resets == inf else times.told(one.resets),
                    warn_at=written.warn_at,
                    warning=one is not None and one.warned,
                    known=one is None or one.known,
                    shared_with=[other for other in _owners(now.bundle, name) if other != key],
                )
            )
    return told


async def show(plane: Plane, request: Request) -> Answer:
    query, now = request.query(Whose), view(plane)
    key = query.key_id or query.api_key_id
    if key and key not in now.bundle.spec.keys:
        raise NotFound(f"There is no key `{key[:100]}`.", code="unknown_keys")
    tag = etag(now.bundle, _places(now.bundle, key)) if key else etag_of_all(now.bundle)
    return Answer(BudgetList(budgets=budgets_shown(now, key)), headers=((b"etag", tag.encode()),))


def _places(bundle: Bundle, key: str) -> list[Steps]:
    spec = bundle.spec.keys.get(key)
    return [("keys", key, "budgets"), *(("budgets", name) for name in (spec.budgets if spec else ()))]


async def change(plane: Plane, request: Request) -> Answer:
    trial, body = request.query(Trial), request.json(BudgetBody)
    key, limits = _key(body), _limits(body)

    def changes(draft: Draft) -> Changes:
        _check(draft.bundle, key)
        made: dict[Steps, Any] = {}
        named = list(draft.bundle.spec.keys[key].budgets)
        for period, limit in limits.items():
            name = _own(draft.bundle, key, period) or _free(draft.bundle, f"{key}-{period}")
            if name not in named:
                named.append(name)
            made[("budgets", name)] = _data(found(draft.bundle, ("budgets", name)), period, limit, body)
        return {**made, ("keys", key, "budgets"): named}

    return await _write(plane, request, "budgets.update", key, changes, trial)


def _key(body: Any) -> str:
    said = {value for value in (body.key_id, body.api_key_id) if value}
    if len(said) != 1:
        raise BadRequest("Say of which key: `keyId`.", code="invalid_body", param="keyId")
    return str(said.pop())


def _check(bundle: Bundle, key: str) -> None:
    if key not in bundle.spec.keys:
        raise NotFound(f"There is no key `{key[:100]}`.", code="unknown_keys")


def _limits(body: BudgetBody) -> dict[Period, float]:
    limits: dict[Period, float] = {}
    if isinstance(body.limit, float):
        period: Any = body.period or body.reset_interval or "monthly"
        limits[period] = body.limit
    others: tuple[tuple[Period, Any], ...] = (
        ("daily", body.daily_limit_usd),
        ("weekly", body.weekly_limit_usd),
        ("monthly", body.monthly_limit_usd),
    )
    limits |= {period: limit for period, limit in others if limit is not UNSET}
    if not limits:
        raise BadRequest("Say how much: `limit` and `period`.", code="invalid_body", param="limit")
    return limits


def _own(bundle: Bundle, key: str, period: str) -> str:
    """The budget of this period that the key has for itself; empty where it has none."""
    for name in bundle.spec.keys[key].budgets:
        if bundle.spec.budgets[name].period == period and _owners(bundle, name) == [key]:
            return name
    return ""


def _free(bundle: Bundle, name: str) -> str:
    tries: Iterator[str] = (name if number == 1 else f"{name}-{number}" for number in range(1, 1_000_000))
    return next(each for each in tries if each not in bundle.spec.budgets)


def _data(old: Any, period: Period, limit: float, body: BudgetBody) -> dict[str, Any]:
    threshold: Any = body.warning_threshold
    warn_at = UNSET if threshold is UNSET else f"{round(threshold * 100, 2):g}%"
    whole = int(limit) if limit.is_integer() else limit
    values = {
        "limit": whole,
        "period": period,
        "warn_at": warn_at,
        "reset": body.reset_time,
        "timezone": body.timezone,
    }
    return changed(old, values)


async def delete(plane: Plane, request: Request) -> Answer:
    query = request.query(Which)
    key = _key(query)

    def changes(draft: Draft) -> Changes:
        _check(draft.bundle, key)
        spec = draft.bundle.spec
        gone = [name for name in spec.keys[key].budgets if query.period in ("", spec.budgets[name].period)]
        if not gone:
            raise NotFound(f"The key `{key}` has no such budget.", code="unknown_budget")
        left = [name for name in spec.keys[key].budgets if name not in gone]
        unused: dict[Steps, Any] = {("budgets", name): GONE for name in gone if _owners(draft.bundle, name) == [key]}
        return {("keys", key, "budgets"): left or GONE, **unused}

    return await _write(plane, request, "budgets.delete", key, changes, query)


async def _write(plane: Plane, request: Request, action: str, key: str, changes: Any, trial: Trial) -> Answer:
    one = Write(
        action=action,
        target=key,
        etag_of=lambda bundle: etag(bundle, _places(bundle, key)),
        changes=changes,
        shown=lambda now: msgspec.to_builtins({"budgets": budgets_shown(now, key)}),
        also={"success": not trial.dry_run},
    )
    return await write(plane, request, one, dry_run=trial.dry_run)


_WRITTEN = after(BudgetList, success=bool)

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/usage/budget",
        access="admin.read",
        body_limit=0,
        serve=show,
        summary="How the budgets stand that pay for the keys, or for one (`?keyId`).",
        told=Told(query=Whose, answer=BudgetList, refuses=(404,)),
    ),
    Endpoint(
        method="POST",
        path="/api/usage/budget",
        access="admin.write",
        body_limit=16384,
        serve=change,
        summary="Sets how much a key may spend in a period.",
        told=Told(
            query=Trial,
            body=BudgetBody,
            answer=_WRITTEN,
            refuses=(404, *REFUSES),
            example={"keyId": "team-a", "limit": 50, "period": "monthly"},
        ),
    ),
    Endpoint(
        method="DELETE",
        path="/api/usage/budget",
        access="admin.write",
        body_limit=0,
        serve=delete,
        summary="Takes the budget of a key and period away, or all of the key (`?keyId&period`).",
        told=Told(query=Which, answer=_WRITTEN, refuses=(404, *REFUSES)),
    ),
)
