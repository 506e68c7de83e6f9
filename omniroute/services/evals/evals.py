"""The evals of a gateway: starts runs, keeps their history, compares each with the last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec

from omniroute.config.spec import Spec
from omniroute.errors import Conflict, NotFound, Unavailable
from omniroute.routing import request_id
from omniroute.routing.inquiry import Ask
from omniroute.routing.live import Live
from omniroute.routing.resolve import resolve, variant
from omniroute.routing.tables import ANONYMOUS, Principal
from omniroute.services.evals import judging
from omniroute.services.evals.runner import Run, judged_row, summed
from omniroute.services.evals.suites import suite_of
from omniroute.state.base import Clock
from omniroute.state.evals import CaseRow, EvalRuns, RunRow

log = logging.getLogger("omniroute.evals")
AT_ONCE = 4
"""Runs under way at the same time."""


class Comparison(msgspec.Struct, frozen=True, rename="camel"):
    """A run against the one before it, by the names of cases. `scoreDelta` is None where one of them has no score."""

    run_id: str
    score_delta: float | None
    regressions: tuple[str, ...]
    improvements: tuple[str, ...]
    new: tuple[str, ...]
    gone: tuple[str, ...]


class Seen(msgspec.Struct, frozen=True):
    """A run with its cases; `compared` is None where there is none before it, or it has not come to its end. `problem`
    says what of it could not be kept."""

    run: RunRow
    cases: Sequence[CaseRow]
    compared: Comparison | None = None
    problem: str = ""


class Evals:
    """Runs, those under way and those of before."""

    def __init__(self, live: Live, spec: Callable[[], Spec], ask: Ask, store: EvalRuns, clock: Clock) -> None:
        self._live = live
        self._spec = spec
        self._ask = ask
        self._store = store
        self._clock = clock
        self._running: dict[str, Run] = {}
        self._closed = False

    async def recover(self) -> None:
        """Says of the runs that another process has left over that they were interrupted."""
        try:
            left = await asyncio.to_thread(self._store.interrupt, self._clock.now())
        except Unavailable as error:
            log.error("whether evals were interrupted is not known: %s", error)
            return
        if left:
            log.warning("%d runs of evals were interrupted by the end of their process", left)

    async def start(self, name: str, target: str = "") -> Run:
        """Begins a run, which goes on by itself. Raises NotFound for a suite or a target that is not there, Conflict
        where enough are under way, Unavailable where it could not be written down."""
        suite = suite_of(self._spec(), name, target)
        if target:
            resolve(self._live.current, variant(target)[0])
        if self._closed:
            raise Unavailable("The gateway is shutting down.", code="shutting_down")
        if len(self._running) >= AT_ONCE:
            raise Conflict(f"{AT_ONCE} runs are under way: wait for one, or cancel it.", code="runs_busy")
        row = RunRow(
            id=request_id.new(),
            suite=name,
            target=target,
            started=self._clock.now(),
            total=len(suite.cases),
            revision=self._live.current.revision.label,
        )
        run = Run(row, suite, self._principal(suite.key), self._ask, self._store, self._clock)
        self._running[row.id] = run
        try:
            await asyncio.to_thread(self._store.begin, row)
        except BaseException:
            del self._running[row.id]
            raise
        run.task = asyncio.create_task(run.main(), name=f"eval {row.id}")
        run.task.add_done_callback(lambda _: self._running.pop(row.id, None))
        return run

    async def score(self, name: str, outputs: Mapping[str, str]) -> Seen:
        """Judges answers that somebody else has, by all that takes no model; nothing is kept. Raises NotFound."""
        suite = suite_of(self._spec(), name)
        rows = []
        for case in suite.cases:
            if case.name not in outputs:
                rows.append(CaseRow(name=case.name, status="error", reason="there is no output of this case"))
                continue
            said = outputs[case.name]
            judged = await judging.judge(case.expect, case.question, said, None)
            rows.append(
                msgspec.structs.replace(judged_row(case.name, said, judged, 0.0, otherwise="skipped"), answer="")
            )
        now = self._clock.now()
        run = RunRow(id="", suite=name, started=now, ended=now, status="done", total=len(suite.cases))
        return Seen(summed(run, rows), rows)

    def running(self, ident: str) -> Run | None:
        """A run that is under way in this process."""
        run = self._running.get(ident)
        return None if run is None or run.over else run

    async def see(self, ident: str) -> Seen:
        """A run, under way or of before. Raises NotFound, and Unavailable where the history cannot be read."""
        run = self.running(ident)
        if run is not None:
            return Seen(run.row, list(run.cases), problem=run.problem)
        return await asyncio.to_thread(self._see, ident)

    def _see(self, ident: str) -> Seen:
        row = self._store.run(ident)
        if row is None:
            raise _unknown(ident)
        cases = self._store.cases(ident)
        if row.status == "running":  # by another process, or there is no word yet that it was interrupted
            row = summed(row, cases)
        return Seen(row, cases, self._compared(row, cases))

    def _compared(self, row: RunRow, cases: Sequence[CaseRow]) -> Comparison | None:
        before = self._store.before(row) if row.status == "done" else None
        return None if before is None else compare(row, cases, before, self._store.cases(before.id))

    async def history(self, suite: str = "", limit: int = 20) -> Sequence[RunRow]:
        """The latest runs, of a suite or of all, the newest first; those under way as far as they are."""
        rows = await asyncio.to_thread(self._store.runs, suite, limit)
        return [self._running[row.id].row if row.id in self._running else row for row in rows]

    async def cancel(self, ident: str) -> bool:
        """Ends a run that is under way, and returns when it has; False where there is none."""
        run = self.running(ident)
        if run is None or run.task is None:
            return False
        run.task.cancel()
        await asyncio.wait([run.task])
        return True

    async def delete(self, ident: str) -> None:
        """Forgets a run. Raises NotFound."""
        if not await asyncio.to_thread(self._store.delete, ident):
            raise _unknown(ident)

    async def forget(self, suite: str) -> int:
        """Forgets the runs of a suite, which need not be there any more."""
        return await asyncio.to_thread(self._store.forget, suite)

    async def close(self) -> None:
        """Ends what is under way, for the process does; from now on nothing begins."""
        self._closed = True
        tasks = [run.task for run in self._running.values() if run.task is not None]
        for run in self._running.values():
            run.cancelled = "interrupted"
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _principal(self, key: str) -> Principal:
        """Who asks; lint has seen to it that there is such a key."""
        principals = self._live.current.principals.values()
        return next((one for one in principals if key and one.name == key), ANONYMOUS)


def compare(run: RunRow, cases: Sequence[CaseRow], before: RunRow, former: Sequence[CaseRow]) -> Comparison:
    """What has changed from one run to the next."""
    now = {case.name: case.status == "passed" for case in cases}
    then = {case.name: case.status == "passed" for case in former}
    both = [name for name in now if name in then]
    delta = None if run.score is None or before.score is None else round(run.score - before.score, 4)
    return Comparison(
        run_id=before.id,
        score_delta=delta,
        regressions=tuple(name for name in both if then[name] and not now[name]),
        improvements=tuple(name for name in both if now[name] and not then[name]),
        new=tuple(name for name in now if name not in then),
        gone=tuple(name for name in then if name not in now),
    )


def _unknown(ident: str) -> NotFound:
    return NotFound(f"There is no run `{ident[:80]}` here.", code="run_not_found")
