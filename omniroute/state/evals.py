"""Runs of evals and what became of their cases: kept to be compared with the next run.

Few and slow, unlike requests: a run is written when it begins, each case when it is done, and the end. So a run that its
process did not live to end is there with what it had; `interrupt` says so of it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from omniroute.errors import Unavailable
from omniroute.state.database import UNREADABLE, Writer, reading

RunStatus = Literal["running", "done", "cancelled", "interrupted"]
CaseStatus = Literal["passed", "failed", "error", "skipped"]
"""`error` is a case that got no answer, `skipped` one that nothing could judge."""
KEPT = 200
"""Runs of a suite; older ones go when another begins."""


class Check(msgspec.Struct, frozen=True):
    """What one expectation says of an answer; `passed` is None where it could not be judged. `score` is from 0 to 1."""

    kind: str
    passed: bool | None
    score: float = 0.0
    reason: str = ""


class CaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """One case of a run. `model` is the target that answered, `cost` USD with what judged the answer; `reason` is why there
    is no answer. `answer` is empty unless answers are kept."""

    name: str
    status: CaseStatus
    score: float = 0.0
    ms: float = 0.0
    model: str = ""
    input: int = 0
    output: int = 0
    cost: Decimal | None = None
    reason: str = ""
    checks: tuple[Check, ...] = ()
    answer: str = ""


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `target` is the model that all cases were put to, empty where each has its own; times are UNIX seconds.
    Sums are over the cases that are done; `score` is their mean."""

    id: str
    suite: str
    target: str = ""
    started: float
    ended: float | None = None
    status: RunStatus = "running"
    total: int = 0
    passed: int = 0
    failed: int = 0
    score: float | None = None
    cost: Decimal | None = None
    revision: str = ""


class EvalRuns(Protocol):
    """All of it may block: call it from a thread. What cannot be read or written raises Unavailable."""

    def begin(self, run: RunRow) -> None: ...

    def add(self, run: str, case: CaseRow) -> None: ...

    def end(self, run: RunRow) -> None:
        """The run as it is at its end."""
        ...

    def interrupt(self, now: float) -> int:
        """Says of all runs that have not ended that they were interrupted; how many these are."""
        ...

    def run(self, ident: str) -> RunRow | None: ...

    def cases(self, ident: str) -> Sequence[CaseRow]:
        """In the order in which they were done."""
        ...

    def runs(self, suite: str = "", limit: int = 20) -> Sequence[RunRow]:
        """The latest, the newest first; of a suite, or of all."""
        ...

    def before(self, run: RunRow) -> RunRow | None:
        """The last run of the same suite and target that came to its end before this one."""
        ...

    def delete(self, ident: str) -> bool: ...

    def forget(self, suite: str) -> int:
        """Deletes all runs of a suite that have ended; how many."""
        ...


_RUN = RunRow.__struct_fields__
_CASE = CaseRow.__struct_fields__
_UPSERT = (
    f"INSERT INTO eval_runs ({', '.join(_RUN)}) VALUES ({', '.join('?' * len(_RUN))}) ON CONFLICT (id) DO UPDATE SET "  # noqa: S608 - our own names
    + ", ".join(f"{name} = excluded.{name}" for name in _RUN[1:])
)
_ADD = f"INSERT INTO eval_cases (run, {', '.join(_CASE)}) VALUES (?, {', '.join('?' * len(_CASE))})"  # noqa: S608 - our own names
_SELECT = f"SELECT {', '.join(_RUN)} FROM eval_runs"  # noqa: S608 - our own names
_CASES = f"SELECT {', '.join(_CASE)} FROM eval_cases WHERE run = ? ORDER BY number"  # noqa: S608 - our own names
_OLD = """
    DELETE FROM eval_runs WHERE suite = ?1 AND status <> 'running' AND id NOT IN
    (SELECT id FROM eval_runs WHERE suite = ?1 ORDER BY started DESC, id DESC LIMIT ?2)
"""
_encode = msgspec.json.encode


class SqliteEvals(Writer):
    """In tables of the run-time database. Whoever writes waits for the disk, one after the other."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._lock = threading.Lock()

    def begin(self, run: RunRow) -> None:
        with self._writing() as connection:
            connection.execute(_UPSERT, _values(run))
            connection.execute(_OLD, (run.suite, KEPT))

    def add(self, run: str, case: CaseRow) -> None:
        with self._writing() as connection:
            connection.execute(_ADD, (run, *_values(case)))

    def end(self, run: RunRow) -> None:
        with self._writing() as connection:
            connection.execute(_UPSERT, _values(run))

    def interrupt(self, now: float) -> int:
        with self._writing() as connection:
            changed = "UPDATE eval_runs SET status = 'interrupted', ended = ? WHERE status = 'running'"
            return connection.execute(changed, (now,)).rowcount

    def run(self, ident: str) -> RunRow | None:
        rows = self._runs("WHERE id = ?", ident)
        return rows[0] if rows else None

    def cases(self, ident: str) -> Sequence[CaseRow]:
        found = []
        for values in self._read(_CASES, ident):
            fields = dict(zip(_CASE, values, strict=True))
            fields["checks"] = msgspec.json.decode(fields["checks"])
            found.append(msgspec.convert(fields, CaseRow))
        return found

    def runs(self, suite: str = "", limit: int = 20) -> Sequence[RunRow]:
        return self._runs("WHERE suite = ?1 OR ?1 = '' ORDER BY started DESC, id DESC LIMIT ?2", suite, limit)

    def before(self, run: RunRow) -> RunRow | None:
        rows = self._runs(
            "WHERE suite = ? AND target = ? AND status = 'done' AND (started, id) < (?, ?) "
            "ORDER BY started DESC, id DESC LIMIT 1",
            run.suite,
            run.target,
            run.started,
            run.id,
        )
        return rows[0] if rows else None

    def delete(self, ident: str) -> bool:
        with self._writing() as connection:
            return connection.execute("DELETE FROM eval_runs WHERE id = ?", (ident,)).rowcount > 0

    def forget(self, suite: str) -> int:
        with self._writing() as connection:
            ended = "DELETE FROM eval_runs WHERE suite = ? AND status <> 'running'"
            return connection.execute(ended, (suite,)).rowcount

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _runs(self, condition: str, *values: str | float) -> list[RunRow]:
        rows = self._read(f"{_SELECT} {condition}", *values)
        return [msgspec.convert(dict(zip(_RUN, row, strict=True)), RunRow) for row in rows]

    def _read(self, query: str, *values: str | float) -> list[tuple[Any, ...]]:
        with reading(self._path, "The history of evals", "evals_unavailable") as connection:
            return [] if connection is None else connection.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction. Opened for each anew, for they are rare, and a file may be exchanged in between."""
        with self._lock:
            try:
                with closing(self._transaction()) as connection:
                    self._connection = None
                    yield connection
                    connection.execute("COMMIT")
            except (OSError, *UNREADABLE) as error:
                what = f"The history of evals cannot be written: {error}."
                raise Unavailable(what, code="evals_unavailable") from None


def _values(row: RunRow | CaseRow) -> list[object]:
    values: list[object] = list(msgspec.structs.astuple(row))
    for index, value in enumerate(values):
        if isinstance(value, Decimal):
            values[index] = format(value, "f")
        elif isinstance(value, tuple):
            values[index] = _encode(value).decode()
    return values


class MemoryEvals:
    """For tests, and for a gateway that is to leave nothing on a disk."""

    def __init__(self) -> None:
        self._runs: dict[str, RunRow] = {}
        self._cases: dict[str, list[CaseRow]] = {}

    def begin(self, run: RunRow) -> None:
        self._runs[run.id] = run
        self._cases[run.id] = []
        for old in self.runs(run.suite, len(self._runs))[KEPT:]:
            if old.status != "running":
                self.delete(old.id)

    def add(self, run: str, case: CaseRow) -> None:
        if run in self._cases:
            self._cases[run].append(case)

    def end(self, run: RunRow) -> None:
        self._runs[run.id] = run

    def interrupt(self, now: float) -> int:
        left = [run for run in self._runs.values() if run.status == "running"]
        for run in left:
            self._runs[run.id] = msgspec.structs.replace(run, status="interrupted", ended=now)
        return len(left)

    def run(self, ident: str) -> RunRow | None:
        return self._runs.get(ident)

    def cases(self, ident: str) -> Sequence[CaseRow]:
        return list(self._cases.get(ident, ()))

    def runs(self, suite: str = "", limit: int = 20) -> Sequence[RunRow]:
        found = [run for run in self._runs.values() if suite in ("", run.suite)]
        return sorted(found, key=lambda run: (run.started, run.id), reverse=True)[:limit]

    def before(self, run: RunRow) -> RunRow | None:
        for one in self.runs(run.suite, len(self._runs)):
            if one.target == run.target and one.status == "done" and (one.started, one.id) < (run.started, run.id):
                return one
        return None

    def delete(self, ident: str) -> bool:
        self._cases.pop(ident, None)
        return self._runs.pop(ident, None) is not None

    def forget(self, suite: str) -> int:
        gone = [run.id for run in self._runs.values() if run.suite == suite and run.status != "running"]
        for ident in gone:
            self.delete(ident)
        return len(gone)
