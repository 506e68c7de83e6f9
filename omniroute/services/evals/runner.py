"""Runs suites: every case through the engine, some at a time, each judged as soon as it is answered.

A run belongs to this process and is told of while it goes on: `watch` gives what is done as it is done. It may be
cancelled, and then keeps what it has. What is done is written down at once; where that fails the run goes on, and says
what was not kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from omniroute.errors import Unavailable
from omniroute.routing.inquiry import Answered, Ask, Inquiry
from omniroute.routing.tables import Principal
from omniroute.services.evals import judging
from omniroute.services.evals.judging import Judged
from omniroute.services.evals.suites import Case, Suite
from omniroute.state.base import Clock
from omniroute.state.evals import CaseRow, CaseStatus, Check, EvalRuns, RunRow, RunStatus

log = logging.getLogger("omniroute.evals")
KEPT = 4_000
"""Characters of an answer that are kept, where answers are."""


class Run:
    """One run on its way. `row` is how far it is; `problem` says what of it could not be written down,
    `cancelled` what it is called if it is ended before its end."""

    def __init__(
        self, row: RunRow, suite: Suite, principal: Principal, ask: Ask, store: EvalRuns, clock: Clock
    ) -> None:
        self.row = row
        self.cases: list[CaseRow] = []
        self.problem = ""
        self.cancelled: RunStatus = "cancelled"
        self.task: asyncio.Task[None] | None = None
        self._suite = suite
        self._principal = principal
        self._ask = ask
        self._store = store
        self._clock = clock
        self._moved = asyncio.Condition()

    @property
    def over(self) -> bool:
        return self.row.status != "running"

    async def main(self) -> None:
        """All of it. Raises nothing: how it went is in the row."""
        status: RunStatus = "done"
        try:
            places = asyncio.Semaphore(self._suite.concurrency)
            async with asyncio.TaskGroup() as group:
                for case in self._suite.cases:
                    group.create_task(self._one(case, places))
        except asyncio.CancelledError:
            status = self.cancelled
        except BaseExceptionGroup:
            log.exception("the run %s of the suite %s failed inside the gateway", self.row.id, self.row.suite)
            self.problem = "the run failed inside the gateway; its log says why"
            status = "interrupted"
        ended = msgspec.structs.replace(self.row, status=status, ended=self._clock.now())
        await self._written(self._store.end, ended)
        await self._move(ended)

    async def watch(self) -> AsyncIterator[tuple[RunRow, CaseRow | None]]:
        """Each case as it is done, those before among them, with how far the run is; at the end the run alone."""
        told = 0
        while not self.over or told < len(self.cases):
            async with self._moved:
                while told == len(self.cases) and not self.over:
                    await self._moved.wait()
            for case in self.cases[told:]:
                told += 1
                yield summed(self.row, self.cases[:told]), case
        yield self.row, None

    async def _one(self, case: Case, places: asyncio.Semaphore) -> None:
        async with places:
            began = self._clock.monotonic()
            try:
                async with asyncio.timeout(self._suite.timeout):
                    row = await self._answered(case, began)
            except TimeoutError:
                reason = f"it took longer than {self._suite.timeout:g} s"
                row = CaseRow(name=case.name, status="error", ms=self._since(began), reason=reason)
        kept = row if self._suite.stores else msgspec.structs.replace(row, answer="")
        await self._written(self._store.add, self.row.id, kept)
        self.cases.append(row)
        await self._move(summed(self.row, self.cases))

    async def _answered(self, case: Case, began: float) -> CaseRow:
        answered = await self._call(judging.CHAT, case.body)
        said = judging.text_of(answered)
        if said is None:
            return CaseRow(
                name=case.name,
                status="error",
                ms=self._since(began),
                model=answered.target,
                cost=answered.cost,
                reason=answered.fault.message if answered.fault is not None else f"status {answered.status}",
            )
        judged = await judging.judge(case.expect, case.question, said, self._call)
        row = judged_row(case.name, said, judged, answered.ms)
        return msgspec.structs.replace(
            row,
            model=answered.target,
            input=answered.input,
            output=answered.output,
            cost=_sum([answered.cost, judged.cost]),
        )

    async def _call(self, path: str, body: Mapping[str, Any]) -> Answered:
        encoded = msgspec.json.encode(body)
        return await self._ask(Inquiry(path=path, body=encoded, standing="served", principal=self._principal))

    async def _written(self, write: Any, *values: Any) -> None:
        """In a thread, and to its end, also where the run is cancelled meanwhile."""
        try:
            await asyncio.shield(asyncio.to_thread(write, *values))
        except Unavailable as error:
            if not self.problem:
                log.error("results of the run %s were not kept: %s", self.row.id, error)
            self.problem = f"not all results were kept: {error}"

    async def _move(self, row: RunRow) -> None:
        async with self._moved:
            self.row = row
            self._moved.notify_all()

    def _since(self, began: float) -> float:
        return (self._clock.monotonic() - began) * 1e3


def judged_row(name: str, answer: str, judged: Judged, ms: float, otherwise: CaseStatus = "error") -> CaseRow:
    """A case by its checks: it passed where all of them did, and has the mean of their scores; `otherwise` is what it is
    where nothing failed and something could not be judged."""
    checks = judged.checks
    known = [check for check in checks if check.passed is not None]
    unknown = [check for check in checks if check.passed is None]
    failed = [check for check in known if not check.passed]
    score = sum(check.score for check in known) / len(known) if known else 0.0
    status: CaseStatus = "failed" if failed else otherwise if unknown else "passed"
    return CaseRow(
        name=name,
        status=status,
        score=round(score, 4),
        ms=ms,
        reason=_first(failed or unknown),
        checks=checks,
        answer=answer[:KEPT],
    )


def _first(checks: Sequence[Check]) -> str:
    return next((f"{check.kind}: {check.reason}" for check in checks), "")


def summed(run: RunRow, cases: Sequence[CaseRow]) -> RunRow:
    """The run with the sums over the cases that are done. What could not be judged counts for nothing."""
    judged = [case for case in cases if case.status != "skipped"]
    return msgspec.structs.replace(
        run,
        passed=sum(case.status == "passed" for case in judged),
        failed=sum(case.status != "passed" for case in judged),
        score=round(sum(case.score for case in judged) / len(judged), 4) if judged else None,
        cost=_sum([case.cost for case in cases]),
    )


def _sum(costs: Sequence[Decimal | None]) -> Decimal | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if known else None
