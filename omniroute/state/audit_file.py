"""The audit log in a table of the run-time database.

An entry is bound to the one before it when it is written, inside the transaction that writes it: so the chain holds over
restarts, and over several processes that write one file. What the file does not take waits in memory, within a bound.

The last row is sealed with the same key, so that rows cannot be cut off at the end either. Two things are found out while
it is written, and are written down themselves: that the last row is not the one that was sealed (`audit.cut`), and that
the file is not the one that this process wrote before (`audit.replaced`), as after a restore.
"""

from __future__ import annotations

import hmac
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from omniroute.errors import Unavailable
from omniroute.state import audit_key
from omniroute.state.audit import FIRST, Entry, Row, Verdict, Wanted, digest, seal, written
from omniroute.state.database import RETRY, Scribe, reading

CAPACITY = 10_000
BYTES = 16 * 1024 * 1024
"""Entries that wait in memory at most, and their bytes: some carry the difference between two versions of a file."""
PATIENCE = 2.0
"""Seconds that an entry is waited for to reach the disk, which takes one sync of it."""
CUT = "audit.cut"

_INSERT = "INSERT INTO audit (number, entry, digest, at, actor, action) VALUES (?, ?, ?, ?, ?, ?)"
_LAST = "SELECT number, digest FROM audit ORDER BY number DESC LIMIT 1"
_DIGEST = "SELECT digest FROM audit WHERE number = ?"
_HEAD = "SELECT number, seal FROM audit_head"
_SEAL = "INSERT INTO audit_head (only, number, seal) VALUES (1, ?, ?) ON CONFLICT (only) DO UPDATE SET number = excluded.number, seal = excluded.seal"
_ALL = "SELECT number, entry, digest, at, actor, action FROM audit ORDER BY number"
_entry = msgspec.json.Decoder(Entry).decode


class SqliteAudit(Scribe):
    """Any thread appends; one, our own, writes."""

    what = "the audit log"

    def __init__(
        self, path: Path, key: Path, *, capacity: int = CAPACITY, size: int = BYTES, retry: float = RETRY
    ) -> None:
        super().__init__(path, gather=0.0, retry=retry)
        self._key_path = key
        self._key: bytes | None = None
        self._capacity = capacity
        self._size = size
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._lost = 0
        self._lost_told = 0
        self._last: tuple[int, bytes] | None = None
        self._broken = ""
        self._lock = threading.Lock()
        self._start("audit")

    def append(self, entry: Entry) -> None:
        """Returns once it is on the disk, or, where that does not work, at once."""
        text = written(entry)
        with self._lock:
            full = len(self._waiting) >= self._capacity or self._bytes + len(text) > self._size
            if full or self._closing:
                self._lost += 1
                return
            self._waiting.append(text)
            self._bytes += len(text)
            self._accepted += 1
            due = self._accepted
        self._wake()
        with self._progress:
            self._progress.wait_for(lambda: self._settled >= due or bool(self._reason), PATIENCE)

    def page(self, wanted: Wanted) -> tuple[Sequence[Row], int]:
        where, values = _where(wanted)
        with reading(self._path, "The audit log", "audit_unavailable") as connection:
            if connection is None:
                return (), 0
            (total,) = connection.execute(f"SELECT count(*) FROM audit {where}", values).fetchone()  # noqa: S608
            query = f"SELECT number, entry, digest FROM audit {where} ORDER BY number DESC LIMIT ? OFFSET ?"  # noqa: S608
            rows = connection.execute(query, (*values, wanted.limit, wanted.offset)).fetchall()
        return [_row(*each) for each in rows], total

    def verify(self) -> Verdict:
        verdict = verify(self._path, self._key_path)
        self._broken = "" if verdict.ok else f"row {verdict.broken_at}: {verdict.reason}"
        return verdict

    def health(self) -> str:
        lost = self._lost - self._lost_told
        if self._reason:
            return f"{len(self._waiting)} entries wait, {lost} are lost: {self._reason}"
        if not self._thread.is_alive() and not self._closing:
            return "the writer has stopped"
        return f"the chain is broken at {self._broken}" if self._broken else ""

    # ------------------------------------------------------------------------------------------ the writer's thread

    def _save(self, connection: sqlite3.Connection) -> None:
        if self._key is None:
            self._key = audit_key.made(self._key_path)
        with self._lock:
            due, lost = list(self._waiting), self._lost
        if not due:
            return
        self._begin(connection)
        self._last = _append(connection, self._key, [*self._remarks(connection, self._key, lost), *due])
        connection.execute("COMMIT")
        self._lost_told = lost
        with self._lock:
            for _ in due:
                self._bytes -= len(self._waiting.popleft())
        self._settle(len(due))

    def _drain(self) -> bool:
        done = super()._drain()
        if not done:
            with self._progress:
                self._progress.notify_all()  # who waits need not wait for a file that does not work
        return done

    def _remarks(self, connection: sqlite3.Connection, key: bytes, lost: int) -> Iterator[bytes]:
        """What is to be said of the file itself before anything is added to it."""
        last, head = _last(connection), connection.execute(_HEAD).fetchone()
        if not _sealed(key, last, head):
            yield _remark(CUT, last=str(last[0]), sealed=str(head[0] if head else 0))
        if self._last is not None:
            number, before = self._last
            if connection.execute(_DIGEST, (number,)).fetchone() != (before,):
                yield _remark("audit.replaced", last=str(last[0]), written=str(number))
        if lost > self._lost_told:
            yield _remark("audit.lost", entries=str(lost - self._lost_told))


def verify(path: Path, key_path: Path) -> Verdict:
    """Whether the chain of this file holds, row by row and to its sealed end. Raises Unavailable where file or key cannot
    be read."""
    with reading(path, "The audit log", "audit_unavailable") as connection:
        if connection is None:
            return Verdict(ok=True, rows=0)
        last, head = _last(connection), connection.execute(_HEAD).fetchone()
        if last[0] == 0 and head is None:
            return Verdict(ok=True, rows=0)
        key = _key(key_path)
        rows, before = 0, FIRST
        connection.text_factory = bytes
        for number, entry, told, *beside in connection.execute(_ALL):
            rows += 1
            reason = "the row is missing" if number != rows else _wrong(key, before, number, entry, told, beside)
            if reason:
                return Verdict(ok=False, rows=last[0], broken_at=rows, reason=reason)
            before = told
        if not _sealed(key, last, head):
            return Verdict(ok=False, rows=rows, broken_at=rows + 1, reason="rows have been cut off at the end")
        return Verdict(ok=True, rows=rows)


def _wrong(key: bytes, before: bytes, number: int, entry: object, told: object, beside: Sequence[object]) -> str:
    """What is wrong with a row; empty where nothing is. A column may hold anything, once somebody else has written
    there."""
    if not isinstance(entry, bytes) or not _equal(told, digest(key, before, number, entry)):
        return "it, or the key, is not what it was when the row was written"
    true = _entry(entry)
    if [true.at, true.actor.encode(), true.action.encode()] != beside:
        return "what it is looked for by is not what it says"
    return "rows before it had been cut off" if true.action == CUT else ""


def _key(path: Path) -> bytes:
    try:
        return audit_key.read(path)
    except (OSError, audit_key.BadKey) as error:
        raise Unavailable(f"The key of the audit log cannot be read: {error}.", code="audit_unavailable") from None


def _last(connection: sqlite3.Connection) -> tuple[int, bytes]:
    row = connection.execute(_LAST).fetchone()
    if row is None:
        return 0, FIRST
    number, told = row
    return number, told if isinstance(told, bytes) else b""


def _sealed(key: bytes, last: tuple[int, bytes], head: tuple[int, bytes] | None) -> bool:
    """Whether the last row is the one that was sealed; of no rows, whether none ever was."""
    if head is None:
        return last[0] == 0
    return head[0] == last[0] and _equal(head[1], seal(key, *last))


def _equal(told: object, true: bytes) -> bool:
    return isinstance(told, bytes) and hmac.compare_digest(told, true)


def _append(connection: sqlite3.Connection, key: bytes, entries: Sequence[bytes]) -> tuple[int, bytes]:
    number, before = _last(connection)
    for entry in entries:
        number += 1
        before = digest(key, before, number, entry)
        true = _entry(entry)
        connection.execute(_INSERT, (number, entry.decode(), before, true.at, true.actor, true.action))
    connection.execute(_SEAL, (number, seal(key, number, before)))
    return number, before


def _row(number: int, entry: str, told: bytes) -> Row:
    try:
        return Row(number, _entry(entry), told)
    except (msgspec.DecodeError, TypeError):
        raise Unavailable(f"Row {number} of the audit log is damaged.", code="audit_unavailable") from None


def _remark(action: str, **detail: str) -> bytes:
    return written(
        Entry(at=time.time(), actor="omniroute", via="process", action=action, outcome="failed", detail=detail)
    )


def _where(wanted: Wanted) -> tuple[str, list[str | float]]:
    """The conditions, in our own words alone, and their values."""
    conditions = ["at >= ?", "at < ?"]
    values: list[str | float] = [wanted.since, wanted.until]
    if wanted.actor:
        conditions.append("actor = ?")
        values.append(wanted.actor)
    if wanted.action.endswith("."):
        conditions.append("action >= ? AND action < ?")
        values += [wanted.action, f"{wanted.action[:-1]}/"]  # which follows the dot
    elif wanted.action:
        conditions.append("action = ?")
        values.append(wanted.action)
    return f"WHERE {' AND '.join(conditions)}", values
