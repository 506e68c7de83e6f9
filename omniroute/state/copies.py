"""Copies of the run-time database, and the way to put one in the place of another while the gateway runs.

A copy is made page by page of one moment, by SQLite's own online backup, while rows go on being written; it holds
history alone.  What comes back is never the file that was given but a new one, of our own schema, with the rows of the
given one in it.

Putting it in place needs nobody's stop.  Whoever exchanges the files holds the write lock of the old one, with nothing
left in its log; each writer looks once more, when it has got that lock, whether the file is still the one of that name
(`Writer._begin`), and else opens the new one.  So a row is in the file that was there before or in the one that is there
then, and the old one is kept as a whole.  It works between processes as within one.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from omniroute.errors import Unavailable
from omniroute.state import rollups
from omniroute.state.base import UsageRow
from omniroute.state.database import BUSY_TIMEOUT, OPENING, UNREADABLE, identity, make_private
from omniroute.state.migrations import upgrade
from omniroute.state.shape import LEFT_OUT, Facts, Unfit, check_types, columns, guard, inspect, shape
from omniroute.state.sqlite import BROKEN, decode

PAGES = 256
"""Pages that are copied at once: a mebibyte."""
CHAINED = frozenset({"audit", "audit_head"})
"""Tables that no copy replaces: what was done stays told, also by whoever puts an older file in place."""
TRIES = 20
"""How often a moment is looked for in which the log is empty: a writer comes a few times a second."""
PAUSE = 0.05
_AGREED = """
    SELECT coalesce(max(number), 0) FROM main.audit AS ours JOIN old.audit AS theirs USING (number)
    WHERE ours.digest = theirs.digest
"""
MARGIN = 16 << 20
"""Bytes that stay free on the disk."""
ROWS = 256


class Stopped(Exception):
    """The process ends; the copy was given up."""


def copy(source: Path, target: Path, stopped: Callable[[], bool] = lambda: False) -> Facts:
    """The history in `source` at this moment as a file of its own, looked at as a whole before it gets its name. Raises
    Unavailable where it cannot be made, and then there is none. Blocks; call it from a thread."""
    if not source.exists():
        raise Unavailable("There is no history yet to be copied.", code="history_unavailable")
    _need(target.parent, _size(source))
    with _in_the_making(target) as raw, _in_the_making(target, ".whole") as compact:
        try:
            counted = _copy_pages(source, raw, stopped)
            made = _history_alone(raw, compact)
            facts = inspect(made)
        except (*UNREADABLE, OSError, Unfit) as error:
            raise Unavailable(
                f"The history cannot be copied: {str(error).rstrip('.')}.", code="backup_failed"
            ) from None
        if any(facts.rows[name] != number for name, number in counted.items()):
            raise Unavailable("The copy has not as many rows as the history.", code="backup_failed")
        publish(made, target)
    return facts


def rebuild(source: Path, target: Path, *, ours: bool) -> Facts:
    """A new database with the rows of `source`, whoever has written that. `ours` is a copy that was made here: its record
    of what was done comes along. Raises Unfit, and then there is no `target`. Blocks; call it from a thread."""
    facts = inspect(source)
    _need(target.parent, facts.size)
    with _in_the_making(target) as fresh:
        try:
            with closing(sqlite3.connect(fresh, isolation_level=None, uri=True)) as connection:
                upgrade(connection, facts.version)
                connection.execute("PRAGMA journal_mode = OFF")
                guard(connection, facts.size)
                connection.execute("ATTACH ? AS given", (f"{source.absolute().as_uri()}?mode=ro&immutable=1",))
                connection.execute("BEGIN")
                for table in shape(facts.version).tables:
                    if table not in LEFT_OUT and (ours or table not in CHAINED):
                        _take(connection, table, "given")
                connection.execute("COMMIT")
                connection.execute("DETACH given")
                upgrade(connection)
                if not ours:
                    rollups.refill(connection)
            if not ours:
                _read_all(fresh)
        except UNREADABLE as error:
            raise Unfit(f"The rows of the database cannot be taken over: {error}.") from None
        publish(fresh, target)
    return facts


def exchange(path: Path, fresh: Path, aside: Path, between: Callable[[str], None] = lambda _damage: None) -> str:
    """Puts `fresh` in the place of `path`, and what was there at `aside`, with its log if that could not be closed. Gives
    why the old one could not be read; empty where it could. `between` is told that when nothing is written any more and
    both are in their old places: it may look at either. Raises Unavailable where others do not let go of the old one;
    then nothing has changed. Blocks; call it from a thread."""
    for _ in range(TRIES):
        with _held(path) as state:
            if state.ready:
                damage = state.damage or _carry_over(path, fresh)
                between(damage)
                with OPENING:
                    _put(path, fresh, aside)
                return damage
        time.sleep(PAUSE)
    raise Unavailable("The database is in use; try again.", code="history_unavailable")


def check(path: Path) -> str:
    """Why the database is damaged; empty where it is sound, not there yet, or only busy. Blocks; call it from a thread."""
    if not path.exists():
        return ""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)) as connection:
            with OPENING:
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("BEGIN")
                connection.execute("PRAGMA user_version").fetchone()
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            return "" if verdict == "ok" else str(verdict).replace("\n", " ")
    except UNREADABLE as error:
        return "" if _is_busy(error) else str(error)


def publish(made: Path, target: Path) -> None:
    """Gives a finished file its name, for good also where the machine stops at that moment."""
    sync(made)
    made.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Waits until the disk has it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ------------------------------------------------------------------------------------------------------------ copying


def _copy_pages(source: Path, target: Path, stopped: Callable[[], bool]) -> Mapping[str, int]:
    """Gives how many rows of history each table had at the moment that was copied."""

    def look(_status: int, _remaining: int, _total: int) -> None:
        if stopped():
            raise Stopped

    uri = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)) as there,
        closing(sqlite3.connect(target, isolation_level=None)) as here,
    ):
        with OPENING:
            there.execute("PRAGMA trusted_schema = OFF")
            there.execute("BEGIN")  # without it, each row that is written meanwhile would begin the copy anew
            (version,) = there.execute("PRAGMA user_version").fetchone()
        if version == 0:
            raise Unfit("there is nothing in it")
        counted = {
            name: there.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608 - our own names only
            for name in shape(version).tables
            if name not in LEFT_OUT
        }
        there.backup(here, pages=PAGES, progress=look)
        here.execute("PRAGMA journal_mode = DELETE")
        return counted


def _history_alone(raw: Path, compact: Path) -> Path:
    """The copy without what is no history, and without pages that once held something."""
    with closing(sqlite3.connect(raw, isolation_level=None)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for table in LEFT_OUT & shape(version).tables.keys():
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names only
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        if not free:
            return raw
        connection.execute("VACUUM INTO ?", (str(compact),))
    return compact


@contextmanager
def _in_the_making(target: Path, ending: str = "") -> Iterator[Path]:
    """An empty file of our own beside the target, that nobody takes for one; gone at the end if it has no name by then."""
    path = target.with_name(f".{target.name}{ending}.partial")
    remove(path)
    make_private(path)
    try:
        yield path
    finally:
        remove(path)


def remove(path: Path) -> None:
    """The file, and what SQLite keeps beside it."""
    for each in (path, *beside(path), path.with_name(f"{path.name}-journal")):
        each.unlink(missing_ok=True)


def beside(path: Path) -> tuple[Path, Path]:
    """The log of a database, and the index of that."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in (path, beside(path)[0]) if each.exists())


def _need(folder: Path, size: int) -> None:
    """Raises before the disk is full, and not when it is."""
    if shutil.disk_usage(folder).free < size + MARGIN:
        raise Unavailable(f"The disk has no {size >> 20} MiB left for a copy.", code="disk_full")


# ---------------------------------------------------------------------------------------------------------- taking over


def _take(connection: sqlite3.Connection, table: str, schema: str) -> None:
    """All rows of a table of another database, by the columns that both have."""
    there = {column.name for column in columns(connection, table, schema)}
    names = ", ".join(column.name for column in columns(connection, table) if column.name in there)
    connection.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM {schema}.{table}")  # noqa: S608 - our own names only


def _read_all(path: Path) -> None:
    """Raises Unfit where a row is not one that the ledger could have written."""
    names = ", ".join(UsageRow.__struct_fields__)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        rows = connection.execute(f"SELECT {names} FROM usage")  # noqa: S608 - our own names only
        while some := rows.fetchmany(ROWS):
            for values in some:
                try:
                    decode(values)
                except BROKEN:
                    raise Unfit(f"The request `{str(values[0])[:80]!r}` is not one that a ledger writes.") from None


def _carry_over(path: Path, fresh: Path) -> str:
    """What was done, from the old database to the new. Gives why it cannot be read, if so; then the new one keeps its
    own."""
    if not path.exists():
        return ""
    with closing(sqlite3.connect(fresh, isolation_level=None, uri=True)) as connection:
        try:
            connection.execute("ATTACH ? AS old", (f"{path.absolute().as_uri()}?mode=ro",))
            there = {name for (name,) in connection.execute("SELECT name FROM old.sqlite_master WHERE type = 'table'")}
            if there >= CHAINED:
                connection.execute("BEGIN")
                _go_on(connection)
                for name in CHAINED:
                    check_types(connection, name, columns(connection, name))
                connection.execute("COMMIT")
        except (*UNREADABLE, Unfit) as error:
            return str(error)
    return ""


def _go_on(connection: sqlite3.Connection) -> None:
    """Lets the new record end as the old one does. A digest is over all rows before it, so up to the last row of which
    both have the same, they tell the same, and those of the copy cannot have been damaged since."""
    if connection.execute("SELECT 1 FROM old.audit LIMIT 1").fetchone() is None:
        return
    (last,) = connection.execute(_AGREED).fetchone()
    connection.execute("DELETE FROM main.audit WHERE number > ?", (last,))
    names = ", ".join(column.name for column in columns(connection, "audit"))
    connection.execute(
        f"INSERT INTO main.audit ({names}) SELECT {names} FROM old.audit WHERE number > ?",  # noqa: S608 - our own names only
        (last,),
    )
    connection.execute("DELETE FROM main.audit_head")
    _take(connection, "audit_head", "old")


# ----------------------------------------------------------------------------------------------------------- exchanging


class _State(msgspec.Struct):
    """Whether a file can be exchanged now, and why it cannot be read where that is so."""

    ready: bool = False
    damage: str = ""


@contextmanager
def _held(path: Path) -> Iterator[_State]:
    """Nobody writes to the file while this lasts: either the lock is held, or nobody can get it."""
    if not path.exists():
        yield _State(ready=True)
        return
    before = identity(path)
    state = _State()
    connection: sqlite3.Connection | None = None
    try:
        try:
            connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None)
            state.damage = _folded(connection)
            connection.execute("BEGIN IMMEDIATE")
            state.ready = before == identity(path) and (bool(state.damage) or not _written_ahead(path))
        except (*UNREADABLE, OSError) as error:
            state = _State(ready=not _is_busy(error), damage=str(error))
        yield state
    finally:
        if connection is not None:
            connection.close()


def _folded(connection: sqlite3.Connection) -> str:
    """Puts what is in the log into the file, and gives why that does not work; whether it was all is to be looked at."""
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except UNREADABLE as error:
        return "" if _is_busy(error) else str(error)
    return ""


def _is_busy(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF in (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    )


def _written_ahead(path: Path) -> bool:
    """Whether there is something in the log that is not in the file yet."""
    log = beside(path)[0]
    return log.exists() and log.stat().st_size > 0


def _put(path: Path, fresh: Path, aside: Path) -> None:
    """The old one, complete, gets its other name first: at every moment one of both is there whole."""
    log, index = beside(path)
    if path.exists():
        _name_also(path, aside)
    if _written_ahead(path):
        log.rename(beside(aside)[0])
    for each in (log, index):
        each.unlink(missing_ok=True)
    publish(fresh, path)


def _name_also(path: Path, name: Path) -> None:
    with suppress(OSError):
        name.hardlink_to(path)
        return
    path.rename(name)  # a file system without links: for a moment there is none of the old name
