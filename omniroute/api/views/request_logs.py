"""Single requests: what was asked, who served it, each try on the way, and what it took. Never what was said."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from omniroute.api import times
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.api.views.told import Limit, Usd, account
from omniroute.errors import BadRequest, NotFound
from omniroute.state.base import Attempt, UsageRow
from omniroute.state.usage import Page, Search

CURSOR = re.compile(r"[0-9a-f]{1,40}")
STATUSES = {"ok": (0, 400), "success": (0, 400), "error": (400, 1000), "failed": (400, 1000)}
_class = re.compile(r"([1-5])xx")
_status = re.compile(r"[1-5][0-9]{2}")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests, the newest first. `cursor` is a page's `nextCursor`; `status` is a number, a class such as `4xx`,
    `ok` or `error`; an empty `key` is that of requests without one. `account` and `apiKey` are other words for
    `connection` and `key`, `combo` is one for `route`."""

    limit: Limit = 100
    cursor: str = ""
    begin: str = msgspec.field(default="", name="from")
    end: str = msgspec.field(default="", name="to")
    key: str | None = None
    api_key: str | None = msgspec.field(default=None, name="apiKey")
    model: str | None = None
    provider: str | None = None
    connection: str | None = None
    account: str | None = None
    route: str | None = None
    combo: str | None = None
    requested: str | None = None
    session: str | None = None
    request_id: str | None = msgspec.field(default=None, name="requestId")
    operation: str | None = None
    status: str = ""
    format: Literal["json", "text"] = "json"


class Tokens(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`in` is the whole prompt, what was read from and written to a cache included."""

    given: int = msgspec.field(name="in")
    out: int
    cache_read: int
    cache_write: int
    reasoning: int
    audio_in: int
    audio_out: int
    estimated: bool


class Try(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One try of one target on one connection; `skipped` was not called, and `message` says why."""

    target: str
    connection_id: str
    outcome: str
    status: int | None
    latency_ms: float
    message: str
    input_tokens: int
    output_tokens: int
    cost: Usd | None


class Logged(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One request. Of its `duration`, `upstreamMs` were spent with providers and `gatewayMs` here."""

    id: str
    request_id: str
    timestamp: datetime
    status: int
    error: str
    code: str
    operation: str
    source_format: str
    stream: bool
    requested_model: str
    model: str
    provider: str
    connection_id: str
    account: str
    route: str
    combo_name: str
    api_key_name: str
    session: str
    tokens: Tokens
    cost: Usd | None
    duration: float
    upstream_ms: float
    gateway_ms: float
    ttft_ms: float | None
    cache: str
    idempotent: bool
    attempts: list[Try]
    losses: list[str]
    policies: list[str]
    service_tier: str
    audio_seconds: float | None
    images: int
    revision: str


class Logs(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page. Where `nextCursor` is not null, more may follow, also where this one has fewer rows than asked for."""

    logs: list[Logged]
    next_cursor: str | None


async def logs(plane: Plane, request: Request) -> Answer:
    """Requests by page. As text they are the lines that the reference has."""
    asked = request.query(Asked)
    page = await asyncio.to_thread(plane.control.state.ledger.page, _search(asked))
    if asked.format == "text":
        return Answer([_line(row) for row in page.rows], headers=_next(page))
    return Answer(Logs(logs=[_logged(row) for row in page.rows], next_cursor=page.before or None))


async def one(plane: Plane, request: Request) -> Answer:
    """One request, by its id in this log."""
    row = await asyncio.to_thread(plane.control.state.ledger.find, request.params["id"])
    if row is None:
        raise NotFound("Log not found; `?requestId=` looks for the id that a client knows.", code="log_not_found")
    return Answer(_logged(row))


def _next(page: Page) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"x-next-cursor", page.before.encode()),) if page.before else ()


def _search(asked: Asked) -> Search:
    since, until = times.span(asked.begin, asked.end)
    if asked.cursor and not CURSOR.fullmatch(asked.cursor):
        raise BadRequest("`cursor` is none that a page has told.", code="invalid_query", param="cursor")
    return Search(
        since=since,
        until=until,
        limit=asked.limit,
        before=asked.cursor,
        statuses=_statuses(asked.status),
        key=asked.key if asked.key is not None else asked.api_key,
        model=asked.model,
        provider=asked.provider,
        connection=asked.connection if asked.connection is not None else asked.account,
        route=asked.route if asked.route is not None else asked.combo,
        requested=asked.requested,
        session=asked.session,
        request_id=asked.request_id,
        operation=asked.operation,
    )


def _statuses(said: str) -> tuple[int, int]:
    if not said:
        return 0, 1000
    if said in STATUSES:
        return STATUSES[said]
    if found := _class.fullmatch(said):
        return int(found[1]) * 100, int(found[1]) * 100 + 100
    if _status.fullmatch(said):
        return int(said), int(said) + 1
    raise BadRequest("`status` is a number, `2xx` to `5xx`, `ok` or `error`.", code="invalid_query", param="status")


def _logged(row: UsageRow) -> Logged:
    return Logged(
        id=row.id,
        request_id=row.request_id,
        timestamp=times.told(row.started),
        status=row.status,
        error=row.error,
        code=row.code,
        operation=row.operation,
        source_format=row.format,
        stream=row.stream,
        requested_model=row.requested,
        model=row.model,
        provider=row.provider,
        connection_id=row.connection,
        account=account(row.connection),
        route=row.route,
        combo_name=row.route,
        api_key_name=row.key,
        session=row.session,
        tokens=_tokens(row),
        cost=row.cost,
        duration=row.total_ms,
        upstream_ms=row.upstream_ms,
        gateway_ms=row.gateway_ms,
        ttft_ms=row.ttft_ms,
        cache=row.cache,
        idempotent=row.idempotent,
        attempts=_tries(row.attempts),
        losses=list(row.losses),
        policies=list(row.policies),
        service_tier=row.service_tier,
        audio_seconds=row.seconds,
        images=row.images,
        revision=row.revision,
    )


def _tokens(row: UsageRow) -> Tokens:
    return Tokens(
        given=row.input,
        out=row.output,
        cache_read=row.cached,
        cache_write=row.cache_write + row.cache_write_1h,
        reasoning=row.reasoning,
        audio_in=row.audio_input,
        audio_out=row.audio_output,
        estimated=row.estimated,
    )


def _tries(attempts: Sequence[Attempt]) -> list[Try]:
    return [
        Try(
            target=each.target,
            connection_id=each.connection,
            outcome=each.outcome,
            status=each.status,
            latency_ms=each.ms,
            message=each.message,
            input_tokens=each.input,
            output_tokens=each.output,
            cost=each.cost,
        )
        for each in attempts
    ]


def _line(row: UsageRow) -> str:
    """`2026-03-02T09:30:00.000Z | gpt-5.4 | OPENAI | team | 11 | 7 | 200 OK`."""
    moment = times.told(row.started).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    state = f"{row.status} OK" if row.status < 400 else f"FAILED {row.status}"
    parts = (
        f"{moment}Z",
        row.model or row.requested,
        row.provider.upper() or "-",
        account(row.connection) or "-",
        str(row.input),
        str(row.output),
        state,
    )
    return " | ".join(part.replace("|", "/").replace("\n", " ") for part in parts)


ENDPOINTS = (
    *(
        Endpoint(
            method="GET",
            path=path,
            access="admin.read",
            body_limit=0,
            serve=logs,
            summary="Single requests, the newest first, in pages, `?limit&cursor&from&to&key&model&provider&connection&route&status…`; each with its tries. `?format=text` gives a line each.",
            told=Told(query=Asked, answer=Logs, refuses=(503,)),
        )
        for path in ("/api/usage/logs", "/api/usage/request-logs")
    ),
    Endpoint(
        method="GET",
        path="/api/usage/request-logs/{id}",
        access="admin.read",
        body_limit=0,
        serve=one,
        summary="One request, with each try: target, outcome, how long it took; and what translation lost.",
        told=Told(answer=Logged, refuses=(404, 503)),
    ),
)
