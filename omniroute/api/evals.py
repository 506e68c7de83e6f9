"""Suites of evals, their runs, and how a run goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from omniroute.api import audit, times
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.config.spec.evals import SuiteSpec
from omniroute.services.evals.evals import Comparison, Seen
from omniroute.services.evals.runner import Run
from omniroute.services.evals.suites import find
from omniroute.state.evals import CaseRow, CaseStatus, Check, RunRow, RunStatus

EVENTS = "text/event-stream"
UNHELD = ((b"x-accel-buffering", b"no"),)
"""Keeps proxies from holding the events back."""
OUTPUTS = 4 * 1024 * 1024
"""Bytes of a body that may bring answers."""


class RunTold(msgspec.Struct, frozen=True, rename="camel"):
    """A run. `passRate` is in percent of the cases that are done, as the reference has it; `score` is from 0 to 1, `cost`
    USD."""

    run_id: str
    suite_id: str
    target: str | None
    status: RunStatus
    started_at: datetime
    ended_at: datetime | None
    total: int
    done: int
    passed: int
    failed: int
    pass_rate: int | None
    score: float | None
    cost: Decimal | None
    revision: str
    problem: str | None = None


class CaseTold(msgspec.Struct, frozen=True, rename="camel"):
    """A case of a run. `answer` is there where answers are kept, and while the run goes on."""

    case_id: str
    status: CaseStatus
    passed: bool
    score: float
    duration_ms: int
    model: str | None
    cost: Decimal | None
    reason: str | None
    checks: tuple[Check, ...]
    answer: str | None


class RunSeen(msgspec.Struct, frozen=True, rename="camel"):
    """A run with its cases, and against the run of the same suite and target before it."""

    run: RunTold
    cases: list[CaseTold]
    compared: Comparison | None


class CaseLine(msgspec.Struct, frozen=True, rename="camel"):
    """A case as the configuration has it."""

    id: str
    model: str | None
    input: Any
    system: str | None
    params: Mapping[str, Any]
    expect: Any


class SuiteLine(msgspec.Struct, frozen=True, rename="camel"):
    """A suite as the configuration has it, with its last run."""

    id: str
    name: str
    description: str
    model: str | None
    key: str | None
    case_count: int
    last_run: RunTold | None


class SuiteSeen(msgspec.Struct, frozen=True, rename="camel"):
    suite: SuiteLine
    cases: list[CaseLine]
    runs: list[RunTold]
    compared: Comparison | None


class Suites(msgspec.Struct, frozen=True, rename="camel"):
    suites: list[SuiteLine]
    recent_runs: list[RunTold]


class TargetBody(msgspec.Struct, frozen=True):
    """The reference's way to name a target."""

    id: str
    type: str = "model"


class RunBody(msgspec.Struct, frozen=True, rename="camel"):
    """`target` is a model, alias or combo that all cases are put to instead of their own. With `outputs`, answers by the
    names of cases, these are judged and nobody is called."""

    suite_id: str
    target: str | TargetBody | None = None
    outputs: Mapping[str, str] | None = None


class Detail(msgspec.Struct, frozen=True, rename="camel"):
    case_id: str
    case_name: str
    passed: bool
    duration_ms: int
    details: CaseTold


class Summary(msgspec.Struct, frozen=True, rename="camel"):
    total: int
    passed: int
    failed: int
    skipped: int
    pass_rate: int | None


class Scored(msgspec.Struct, frozen=True, rename="camel"):
    """What judging given answers gave; none of it is kept."""

    suite_id: str
    suite_name: str
    results: list[Detail]
    summary: Summary


class SuiteQuery(msgspec.Struct, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=200, description="How many runs.")] = 20


class Done(msgspec.Struct, frozen=True):
    success: bool
    deleted: int = 0
    cancelled: bool = False


# -------------------------------------------------------------------------------------------------------------- handlers


async def suites(plane: Plane, _request: Request) -> Answer:
    """All suites with their last run, and the latest runs of all."""
    evals = plane.control.evals
    lines = []
    for name, suite in plane.control.bundle.spec.evals.items():
        runs = await evals.history(name, 1)
        lines.append(_suite(name, suite, runs))
    return Answer(Suites(lines, [_run(run) for run in await evals.history(limit=20)]))


async def start(plane: Plane, request: Request) -> Answer:
    """Begins a run, or judges given answers."""
    body = request.json(RunBody)
    if body.outputs is not None:
        return Answer(_scored(body.suite_id, await plane.control.evals.score(body.suite_id, body.outputs)))
    target = body.target.id if isinstance(body.target, TargetBody) else body.target or ""
    run = await plane.control.evals.start(body.suite_id, target)
    detail = {"suite": body.suite_id, **({"target": target} if target else {})}
    await audit.record(plane, request, "evals.run", run.row.id, detail=detail)
    return Answer(_run(run.row), status=202)


async def suite(plane: Plane, request: Request) -> Answer:
    """One suite with its cases and its latest runs."""
    name = request.params["suite"]
    spec = find(plane.control.bundle.spec, name)
    runs = await plane.control.evals.history(name, request.query(SuiteQuery).limit)
    done = next((run for run in runs if run.status == "done"), None)
    compared = (await plane.control.evals.see(done.id)).compared if done is not None else None
    cases = [_case_line(each, case.model, case) for each, case in spec.cases.items()]
    return Answer(SuiteSeen(_suite(name, spec, runs), cases, [_run(run) for run in runs], compared))


async def forget(plane: Plane, request: Request) -> Answer:
    """Forgets the runs of a suite; the suite stands in the configuration."""
    name = request.params["suite"]
    deleted = await plane.control.evals.forget(name)
    if not deleted:
        find(plane.control.bundle.spec, name)
    await audit.record(plane, request, "evals.forget", name, detail={"runs": str(deleted)})
    return Answer(Done(success=True, deleted=deleted))


async def see(plane: Plane, request: Request) -> Answer:
    """A run as it is, or as it goes on."""
    ident = request.params["id"]
    running = plane.control.evals.running(ident)
    if EVENTS not in (request.header(b"accept") or ""):
        return Answer(_seen(await plane.control.evals.see(ident)))
    if running is not None:
        return Answer(_following(running), headers=UNHELD, media=EVENTS)
    return Answer(_ended(await plane.control.evals.see(ident)), headers=UNHELD, media=EVENTS)


async def delete(plane: Plane, request: Request) -> Answer:
    """Cancels a run that is under way, and forgets one that has ended."""
    ident = request.params["id"]
    if await plane.control.evals.cancel(ident):
        await audit.record(plane, request, "evals.cancel", ident)
        return Answer(Done(success=True, cancelled=True))
    await plane.control.evals.delete(ident)
    await audit.record(plane, request, "evals.delete", ident)
    return Answer(Done(success=True, deleted=1))


# ---------------------------------------------------------------------------------------------------------------- events


async def _following(run: Run) -> AsyncIterator[bytes]:
    """Each case as it is done, and the end."""
    done = 0
    async for row, case in run.watch():
        done += case is not None
        told = _run(row, done=done, problem=run.problem)
        yield _event(
            "done" if case is None else "progress", {"run": told, "case": None if case is None else _case(case)}
        )


async def _ended(seen: Seen) -> AsyncIterator[bytes]:
    yield _event("done", {"run": _seen(seen).run, "case": None})


def _event(name: str, value: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(value))


# ----------------------------------------------------------------------------------------------------------------- shapes


def _suite(name: str, suite: SuiteSpec, runs: Sequence[RunRow]) -> SuiteLine:
    last = _run(runs[0]) if runs else None
    return SuiteLine(name, name, suite.description, suite.model, suite.key, len(suite.cases), last)


def _case_line(name: str, model: str | None, case: Any) -> CaseLine:
    return CaseLine(name, model, case.input, case.system, case.params, case.expect)


def _run(run: RunRow, *, done: int | None = None, problem: str = "") -> RunTold:
    judged = run.passed + run.failed
    return RunTold(
        run_id=run.id,
        suite_id=run.suite,
        target=run.target or None,
        status=run.status,
        started_at=times.told(run.started),
        ended_at=None if run.ended is None else times.told(run.ended),
        total=run.total,
        done=judged if done is None else done,
        passed=run.passed,
        failed=run.failed,
        pass_rate=round(100 * run.passed / judged) if judged else None,
        score=run.score,
        cost=run.cost,
        revision=run.revision,
        problem=problem or None,
    )


def _case(case: CaseRow) -> CaseTold:
    return CaseTold(
        case_id=case.name,
        status=case.status,
        passed=case.status == "passed",
        score=case.score,
        duration_ms=round(case.ms),
        model=case.model or None,
        cost=case.cost,
        reason=case.reason or None,
        checks=case.checks,
        answer=case.answer or None,
    )


def _seen(seen: Seen) -> RunSeen:
    told = _run(seen.run, done=len(seen.cases), problem=seen.problem)
    return RunSeen(told, [_case(case) for case in seen.cases], seen.compared)


def _scored(name: str, seen: Seen) -> Scored:
    run = seen.run
    judged = run.passed + run.failed
    return Scored(
        suite_id=name,
        suite_name=name,
        results=[
            Detail(case.name, case.name, case.status == "passed", round(case.ms), _case(case)) for case in seen.cases
        ],
        summary=Summary(
            total=run.total,
            passed=run.passed,
            failed=run.failed,
            skipped=run.total - judged,
            pass_rate=round(100 * run.passed / judged) if judged else None,
        ),
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/evals",
        access="admin.read",
        body_limit=0,
        serve=suites,
        summary="The suites of evals, each with its last run, and the latest runs of all.",
        told=Told(answer=Suites, refuses=(503,)),
    ),
    Endpoint(
        method="POST",
        path="/api/evals",
        access="admin.write",
        body_limit=OUTPUTS,
        serve=start,
        summary="Begins a run of a suite, through the gateway: 202 with its id. With `outputs` judges these answers, calls nobody and keeps nothing: 200.",
        told=Told(
            body=RunBody,
            answer=RunTold,
            status=202,
            refuses=(404, 409, 503),
            example={"suiteId": "smoke", "target": "openai/gpt-5-mini"},
        ),
    ),
    Endpoint(
        method="GET",
        path="/api/evals/{suite}",
        access="admin.read",
        body_limit=0,
        serve=suite,
        summary="A suite with its cases, its latest runs, and the last of them against the one before.",
        told=Told(query=SuiteQuery, answer=SuiteSeen, refuses=(503,)),
    ),
    Endpoint(
        method="DELETE",
        path="/api/evals/{suite}",
        access="admin.write",
        body_limit=0,
        serve=forget,
        summary="Forgets the runs of a suite that have ended. The suite itself stands in the configuration.",
        told=Told(answer=Done, refuses=(503,)),
    ),
    Endpoint(
        method="GET",
        path="/api/evals/runs/{id}",
        access="admin.read",
        body_limit=0,
        serve=see,
        summary="A run with its cases, against the run before it. With `Accept: text/event-stream` it is told as it goes on: `progress` for each case, `done` at its end.",
        told=Told(answer=RunSeen, refuses=(503,)),
    ),
    Endpoint(
        method="DELETE",
        path="/api/evals/runs/{id}",
        access="admin.write",
        body_limit=0,
        serve=delete,
        summary="Cancels a run that is under way, which keeps what it has; forgets one that has ended.",
        told=Told(answer=Done, refuses=(503,)),
    ),
)
