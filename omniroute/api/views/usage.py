"""What was used, by whom and of what; how it goes on; and one connection's share of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from omniroute.api import times
from omniroute.api.control import Control
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.api.views import told
from omniroute.api.views.told import ANONYMOUS, ByName, Usd, Used
from omniroute.errors import NotFound
from omniroute.state.health import health
from omniroute.state.usage import DIMENSIONS, Filter, Group, Sums

DAY = 86_400
HOUR = 3_600
MINUTES = 10
RANGES = {"1d": 1, "7d": 7, "30d": 30, "90d": 90, "all": 0}
Range = Literal["1d", "7d", "30d", "90d", "all"]
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class OfModel(Used, kw_only=True, rename="camel"):
    """`rawModel` is as the provider calls it."""

    raw_model: str
    provider: str


class OfAccount(OfModel, kw_only=True, rename="camel"):
    """One model on one connection."""

    connection_id: str
    account_name: str


class OfKey(Used, kw_only=True, rename="camel"):
    """The requests of one key."""

    api_key_id: str
    api_key_name: str


class Minute(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of the last ten minutes, the present one last."""

    start: datetime
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost: Usd


class Active(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many calls of a connection are under way. Which model each is for is not counted: `model` is empty."""

    model: str
    provider: str
    account: str
    connection_id: str
    count: int


class Pending(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Requests that have not ended: under way by connection, and waiting for a place by key."""

    by_account: dict[str, int]
    waiting_by_key: dict[str, int]


class History(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Sums of all requests that were asked for, together and apart."""

    total_requests: int
    total_prompt_tokens: int
    total_completion_tokens: int
    total_cost: Usd
    unpriced_requests: int
    by_provider: dict[str, Used]
    by_model: dict[str, OfModel]
    by_account: dict[str, OfAccount]
    by_api_key: dict[str, OfKey]
    last_10_minutes: list[Minute] = msgspec.field(name="last10Minutes")
    active_requests: list[Active]
    pending: Pending


async def history(plane: Plane, request: Request) -> Answer:
    """Sums over the time that is asked for, without an end those of now included."""
    wanted, state = request.query(ByName).wanted(), plane.control.state
    minute = int(state.clock.now() // 60) - MINUTES + 1
    recent = msgspec.structs.replace(wanted, since=minute * 60.0, until=math.inf)
    groups = await asyncio.to_thread(state.ledger.sums, wanted, DIMENSIONS)
    minutes = await asyncio.to_thread(state.ledger.sums, recent, (), 60)
    whole = told.total(groups)
    return Answer(
        History(
            total_requests=whole.requests,
            total_prompt_tokens=whole.input,
            total_completion_tokens=whole.output,
            total_cost=whole.cost,
            unpriced_requests=whole.unpriced,
            by_provider={
                name: told.used(sums)
                for name, (_, sums) in told.folded(groups, lambda of: of["provider"] or None).items()
            },
            by_model=_by_model(groups),
            by_account=_by_account(groups),
            by_api_key=_by_key(groups),
            last_10_minutes=_minutes(minutes, minute),
            active_requests=_active(plane.control),
            pending=Pending(
                by_account={one.connection_id: one.count for one in _active(plane.control)},
                waiting_by_key={name or ANONYMOUS: count for name, count in state.line.by_key().items()},
            ),
        )
    )


def _by_model(groups: Sequence[Group]) -> dict[str, OfModel]:
    found = told.folded(groups, lambda of: f"{of['model']} ({of['provider']})" if of["model"] else None)
    return {
        label: OfModel(**told.amounts(sums), raw_model=of["model"], provider=of["provider"])
        for label, (group, sums) in found.items()
        for of in [told.named(group)]
    }


def _by_account(groups: Sequence[Group]) -> dict[str, OfAccount]:
    def label(of: Any) -> str | None:
        connection = of["connection"]
        return f"{of['model']} ({of['provider']} - {told.account(connection)})" if connection else None

    return {
        name: OfAccount(
            **told.amounts(sums),
            raw_model=of["model"],
            provider=of["provider"],
            connection_id=of["connection"],
            account_name=told.account(of["connection"]),
        )
        for name, (group, sums) in told.folded(groups, label).items()
        for of in [told.named(group)]
    }


def _by_key(groups: Sequence[Group]) -> dict[str, OfKey]:
    return {
        name or ANONYMOUS: OfKey(**told.amounts(sums), api_key_id=name, api_key_name=name or ANONYMOUS)
        for name, (_, sums) in told.folded(groups, lambda of: of["key"]).items()
    }


def _minutes(groups: Iterable[Group], first: int) -> list[Minute]:
    there = {group.start // 60: group.sums for group in groups}
    return [_minute(number, there.get(number, Sums())) for number in range(first, first + MINUTES)]


def _minute(number: int, sums: Sums) -> Minute:
    return Minute(
        start=times.told(number * 60),
        requests=sums.requests,
        prompt_tokens=sums.input,
        completion_tokens=sums.output,
        cost=sums.cost,
    )


def _active(control: Control) -> list[Active]:
    connections = [one for upstream in control.live.current.upstreams.values() for one in upstream.connections]
    counts = [(one, control.state.counters.in_flight(one.id)) for one in connections]
    return [
        Active(model="", provider=one.id.partition(".")[0], account=one.name, connection_id=one.id, count=count)
        for one, count in counts
        if count
    ]


# ------------------------------------------------------------------------------------------------------------ analytics


class AnalyticsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The last so many days, until now; and by name, as in the history."""

    range: Range = "30d"
    key: str | None = None
    model: str | None = None
    provider: str | None = None
    connection: str | None = None
    route: str | None = None


class Part(Used, kw_only=True, rename="camel"):
    """One name's share of it all, in percent of the requests."""

    name: str
    share_pct: float


class Step(Used, kw_only=True, rename="camel"):
    """One step of time: a day (UTC), in the range of one day an hour."""

    date: str
    start: datetime


class DayOfModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    date: str
    model: str
    requests: int
    total_tokens: int
    cost: Usd


class Weekday(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    day: str
    requests: int
    total_tokens: int
    avg_tokens: float


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Rates are in percent; `streak` is how many days up to today had requests."""

    total_requests: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    unique_models: int
    unique_accounts: int
    unique_api_keys: int
    successful_requests: int
    success_rate_pct: float
    avg_latency_ms: float
    total_cost: Usd
    unpriced_requests: int
    first_request: datetime | None
    last_request: datetime | None
    fallback_count: int
    fallback_rate_pct: float
    streak: int


class Analytics(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Series and parts, the greatest first. Days are those of UTC, weeks begin on Mondays."""

    range: Range
    since: datetime | None
    summary: Summary
    trend: list[Step]
    daily_trend: list[Step]
    activity_map: dict[str, int]
    by_model: list[Part]
    by_provider: list[Part]
    by_api_key: list[Part]
    by_account: list[Part]
    by_route: list[Part]
    weekly_pattern: list[Weekday]
    weekly_tokens: list[int]
    weekly_counts: list[int]
    daily_by_model: list[DayOfModel]
    model_names: list[str]


async def analytics(plane: Plane, request: Request) -> Answer:
    """For charts: steps of time and breakdowns."""
    asked, state = request.query(AnalyticsQuery), plane.control.state
    now = state.clock.now()
    since = _begin(asked.range, now)
    wanted = Filter(since=since, **{name: getattr(asked, name) for name in DIMENSIONS})
    ask = state.ledger.sums
    groups = await asyncio.to_thread(ask, wanted, DIMENSIONS)
    days = await asyncio.to_thread(ask, wanted, ("model",), DAY)
    hours = await asyncio.to_thread(ask, wanted, (), HOUR) if asked.range == "1d" else []
    daily = _steps(days, DAY)
    models = _parts(groups, "model")
    week = _week(daily)
    return Answer(
        Analytics(
            range=asked.range,
            since=times.told(since) if since else None,
            summary=_summary(groups, daily, now),
            trend=_told_steps(
                _steps(hours, HOUR) if asked.range == "1d" else daily, "%Y-%m-%dT%H:%MZ" if hours else "%Y-%m-%d"
            ),
            daily_trend=_told_steps(daily, "%Y-%m-%d"),
            activity_map={_date(start): sums.input + sums.output for start, sums in daily.items()},
            by_model=models,
            by_provider=_parts(groups, "provider"),
            by_api_key=_parts(groups, "key", ANONYMOUS),
            by_account=_parts(groups, "connection"),
            by_route=_parts(groups, "route"),
            weekly_pattern=week,
            weekly_tokens=[day.total_tokens for day in week],
            weekly_counts=[day.requests for day in week],
            daily_by_model=[_day_of_model(group) for group in sorted(days, key=_place)],
            model_names=[part.name for part in models],
        )
    )


def _begin(asked: Range, now: float) -> float:
    """Of one day, 24 hours and what has passed of this one; of more, that many days of which this one is the last."""
    days = RANGES[asked]
    if days == 1:
        return (now // HOUR - 23) * HOUR
    return (now // DAY - days + 1) * DAY if days else 0.0


def _place(group: Group) -> tuple[int, tuple[str, ...]]:
    return group.start, group.names


def _date(start: int, form: str = "%Y-%m-%d") -> str:
    return times.told(start).strftime(form)


def _steps(groups: Iterable[Group], step: int) -> dict[int, Sums]:
    """By time, also the steps between in which nothing was."""
    there: dict[int, Sums] = {}
    for group in groups:
        there.setdefault(group.start, Sums()).add(group.sums)
    if not there:
        return {}
    return {start: there.get(start, Sums()) for start in range(min(there), max(there) + 1, step)}


def _told_steps(steps: dict[int, Sums], form: str) -> list[Step]:
    return [
        Step(**told.amounts(sums), date=_date(start, form), start=times.told(start)) for start, sums in steps.items()
    ]


def _parts(groups: Sequence[Group], by: Any, nameless: str = "") -> list[Part]:
    found = told.folded(groups, lambda of: of[by] or nameless or None)
    whole = sum(group.sums.requests for group in groups)
    parts = [
        Part(**told.amounts(sums), name=name, share_pct=_percent(sums.requests, whole))
        for name, (_, sums) in found.items()
    ]
    return sorted(parts, key=lambda part: (-part.requests, part.name))


def _percent(count: int, of: int) -> float:
    return round(100 * count / of, 2) if of else 0.0


def _week(days: dict[int, Sums]) -> list[Weekday]:
    """By day of the week; the mean is over the days of the range that are one."""
    counts, requests, tokens = [0] * 7, [0] * 7, [0] * 7
    for start, sums in days.items():
        day = times.told(start).weekday()
        counts[day] += 1
        requests[day] += sums.requests
        tokens[day] += sums.input + sums.output
    return [
        Weekday(
            day=DAYS[day],
            requests=requests[day],
            total_tokens=tokens[day],
            avg_tokens=round(tokens[day] / counts[day], 1) if counts[day] else 0.0,
        )
        for day in range(7)
    ]


def _day_of_model(group: Group) -> DayOfModel:
    sums = group.sums
    return DayOfModel(
        date=_date(group.start),
        model=group.names[0],
        requests=sums.requests,
        total_tokens=sums.input + sums.output,
        cost=sums.cost,
    )


def _summary(groups: Sequence[Group], days: dict[int, Sums], now: float) -> Summary:
    whole, names = told.total(groups), [told.named(group) for group in groups]
    good = whole.requests - whole.failed
    return Summary(
        total_requests=whole.requests,
        prompt_tokens=whole.input,
        completion_tokens=whole.output,
        total_tokens=whole.input + whole.output,
        unique_models=len({of["model"] for of in names} - {""}),
        unique_accounts=len({of["connection"] for of in names} - {""}),
        unique_api_keys=len({of["key"] for of in names} - {""}),
        successful_requests=good,
        success_rate_pct=_percent(good, whole.requests),
        avg_latency_ms=told.mean_ms(whole),
        total_cost=whole.cost,
        unpriced_requests=whole.unpriced,
        first_request=times.told(whole.first) if whole.requests else None,
        last_request=times.told(whole.last) if whole.requests else None,
        fallback_count=whole.fallbacks,
        fallback_rate_pct=_percent(whole.fallbacks, whole.requests),
        streak=_streak(days, now),
    )


def _streak(days: dict[int, Sums], now: float) -> int:
    today, count = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0), 0
    while (sums := days.get(int((today - timedelta(days=count)).timestamp()))) is not None and sums.requests:
        count += 1
    return count


# ------------------------------------------------------------------------------------------------------- one connection


class Quota(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the provider said of one limit. `model` is empty where it is of all; without a `limit`, how much was used is
    not known either."""

    model: str
    unit: str
    used: float | None
    total: float | None
    remaining: float
    reset_at: datetime
    unlimited: bool = False


class Connection(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was asked of one connection, and what its provider says is left. Without `quotas` there is a `message`."""

    connection_id: str
    provider: str
    name: str
    usage: Used
    by_model: dict[str, Used]
    quotas: dict[str, Quota]
    message: str


class Span(msgspec.Struct, frozen=True, kw_only=True):
    begin: str = msgspec.field(default="", name="from")
    end: str = msgspec.field(default="", name="to")


async def connection(plane: Plane, request: Request) -> Answer:
    """One connection's usage by the ledger, and its quota as far as answers have told."""
    asked, ident, control = request.query(Span), request.params["connectionId"], plane.control
    since, until = times.span(asked.begin, asked.end)
    provider = ident.partition(".")[0]
    upstream = control.live.current.upstreams.get(provider)
    known = {one.id: one for one in upstream.connections} if upstream is not None else {}
    if ident not in known:
        raise NotFound("Connection not found: GET /api/monitoring/health lists them.", code="connection_not_found")
    wanted = Filter(since=since, until=until, connection=ident)
    groups = await asyncio.to_thread(control.state.ledger.sums, wanted, DIMENSIONS)
    quotas = _quotas(control, ident)
    return Answer(
        Connection(
            connection_id=ident,
            provider=provider,
            name=known[ident].name,
            usage=told.used(told.total(groups)),
            by_model={
                name: told.used(sums) for name, (_, sums) in told.folded(groups, lambda of: of["model"] or None).items()
            },
            quotas=quotas,
            message="" if quotas else "Its provider has not said lately what is left of its limits.",
        )
    )


def _quotas(control: Control, ident: str) -> dict[str, Quota]:
    clock = control.state.clock
    now = clock.monotonic()
    allowances = health(control.state, [ident], now)[ident].allowances
    return {
        f"{model} {one.unit}".strip(): Quota(
            model=model,
            unit=one.unit,
            used=None if one.limit is None else max(0.0, one.limit - one.remaining),
            total=one.limit,
            remaining=one.remaining,
            reset_at=times.told(one.until - now + clock.now()),
        )
        for model, said in allowances.items()
        for one in said
    }


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/usage/history",
        access="admin.read",
        body_limit=0,
        serve=history,
        summary="What was used, by provider, model, account and key, `?from&to&key&model&provider&connection&route`; the last ten minutes; what is under way.",
        told=Told(query=ByName, answer=History, refuses=(503,)),
    ),
    Endpoint(
        method="GET",
        path="/api/usage/analytics",
        access="admin.read",
        body_limit=0,
        serve=analytics,
        summary="Series and breakdowns for charts, `?range=1d|7d|30d|90d|all` and by name.",
        told=Told(query=AnalyticsQuery, answer=Analytics, refuses=(503,)),
    ),
    Endpoint(
        method="GET",
        path="/api/usage/{connectionId}",
        access="admin.read",
        body_limit=0,
        serve=connection,
        summary="What one connection was used for, and what its provider says is left of its limits.",
        told=Told(query=Span, answer=Connection, refuses=(404, 503)),
    ),
)
