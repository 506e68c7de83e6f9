"""What a database of ours looks like, and the look into one that somebody else may have written.

A file that is handed in is read by SQLite itself, which no rule of ours can keep from reading it; so it is opened as one
that nobody trusts: to be read only, with nothing that a schema could have run, with limits on everything that it can
make grow, and until a deadline.  Its schema has to be, word for word, that of one of our versions: then there is no
trigger, view, virtual table, expression or default in it that we did not write ourselves.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from omniroute.errors import BadRequest
from omniroute.state.database import UNREADABLE
from omniroute.state.migrations import VERSION, upgrade

LEFT_OUT = frozenset({"cache"})
"""Tables whose rows are no history: answers hold what people wrote, and can be made again."""
STEPS = 1_000_000
"""Instructions of SQLite between two looks at the clock; each look needs the interpreter, for which it waits up to 5 ms."""
SLOWEST = 4 << 20
"""Bytes a second that the look into a file takes at least; a slower one is given up."""
LEAST = 30.0
"""Seconds that it is given in any case."""
LONGEST_VALUE = 64 << 20
MEMORY = 16 << 10
"""KiB of pages that SQLite keeps of a file that is looked into."""

_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: LONGEST_VALUE,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 400,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 3,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 8,
    sqlite3.SQLITE_LIMIT_ATTACHED: 1,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 200,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_FUNCTIONS = frozenset({"coalesce", "count", "typeof", "json_extract"})
_PRAGMAS = frozenset({"quick_check", "user_version", "page_count", "page_size"})
_own_words = re.compile(r"CREATE TABLE [\"'\[`]?\w+[\"'\]`]?\s*\([^()]*\)", re.ASCII)
"""Of what SQLite and its tools keep for themselves: columns, and no expression of any kind."""
_KEPT = ("_sqlite_migrations", "sqlite_sequence", "sqlite_stat1", "sqlite_stat4")


class Column(msgspec.Struct, frozen=True):
    """A column of a table, without those that are worked out of others."""

    name: str
    type: str
    required: bool


class Shape(msgspec.Struct, frozen=True):
    """A version's schema: `objects` by name with their text, and the columns of each table."""

    objects: Mapping[str, str]
    tables: Mapping[str, tuple[Column, ...]]


class Facts(msgspec.Struct, frozen=True):
    """What was found in a file that is sound: its schema's version, and how many rows each table has."""

    version: int
    rows: Mapping[str, int]
    size: int


class Unfit(BadRequest):
    """No database of ours, or a damaged one."""

    code = "not_a_backup"


@cache
def shape(version: int) -> Shape:
    """The schema of a version, made by its steps."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        upgrade(connection, version)
        objects = {name: _words(text) for _, name, text in _objects(connection)}
        tables = [name for kind, name, _ in _objects(connection) if kind == "table"]
        return Shape(objects, {name: columns(connection, name) for name in tables})


def columns(connection: sqlite3.Connection, named: str, schema: str = "main") -> tuple[Column, ...]:
    """Those of the table of this name in which something can be stored."""
    found = connection.execute('SELECT name, type, "notnull" FROM pragma_table_info(?, ?)', (named, schema))
    return tuple(Column(name, kind, bool(required)) for name, kind, required in found)


def inspect(path: Path) -> Facts:
    """Looks at all of a file: schema, structure, the type of each value. Raises Unfit, with the reason, where it is not
    one of ours or not sound. Blocks; call it from a thread."""
    with untrusted(path) as connection:
        version = _version(connection)
        expected = shape(version)
        _compare(connection, expected)
        if _one(connection, "PRAGMA page_count") * _one(connection, "PRAGMA page_size") != path.stat().st_size:
            raise Unfit("The file is not as long as the database in it.")
        if _one(connection, "PRAGMA quick_check(1)") != "ok":
            raise Unfit("The database is damaged.")
        for table, names in expected.tables.items():
            check_types(connection, table, names)
        rows = {name: _count(connection, name) for name in expected.tables}
        return Facts(version, rows, path.stat().st_size)


@contextmanager
def untrusted(path: Path) -> Iterator[sqlite3.Connection]:
    """A file by itself, without a log or journal beside it, with nothing in it believed. Whatever SQLite has to say of it
    becomes Unfit."""
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, cached_statements=0)) as connection:
            guard(connection, path.stat().st_size)
            connection.set_authorizer(_may)
            yield connection
    except (*UNREADABLE, OverflowError) as error:
        raise Unfit(f"The database cannot be read: {error}.") from None
    except OSError as error:
        raise Unfit(f"The file cannot be read: {error.strerror}.") from None


def guard(connection: sqlite3.Connection, size: int) -> None:
    """Limits for all that a file of this size can ask of SQLite."""
    for limit, value in _LIMITS.items():
        connection.setlimit(limit, value)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute(f"PRAGMA cache_size = -{MEMORY}")
    connection.set_progress_handler(_overdue(LEAST + size / SLOWEST), STEPS)


def _overdue(patience: float) -> Callable[[], int]:
    ends = time.monotonic() + patience
    return lambda: int(time.monotonic() > ends)


def _may(action: int, first: str | None, second: str | None, _schema: str | None, _source: str | None) -> int:
    """Reading, and nothing else."""
    fine = (
        action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)
        or (action == sqlite3.SQLITE_FUNCTION and second in _FUNCTIONS)
        or (action == sqlite3.SQLITE_PRAGMA and first in _PRAGMAS)
    )
    return sqlite3.SQLITE_OK if fine else sqlite3.SQLITE_DENY


# --------------------------------------------------------------------------------------------------------- the schema


def _objects(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """Everything but what SQLite and its tools add by themselves."""
    found = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master").fetchall()
    return [(kind, name, text) for kind, name, text in found if not _is_kept(kind, name, text)]


def _is_kept(kind: str, name: str, text: str) -> bool:
    if not text:
        return kind == "index" and name.startswith("sqlite_autoindex_")
    return kind == "table" and name in _KEPT and _own_words.fullmatch(text) is not None


def _words(text: str) -> str:
    return " ".join(text.split())


def _version(connection: sqlite3.Connection) -> int:
    version = _one(connection, "PRAGMA user_version")
    if version > VERSION:
        raise Unfit(f"The database is of version {version}, later than the {VERSION} of this program.")
    if version < 1:
        raise Unfit("This is no database of OmniRoute: it has no version.")
    return int(version)


def _compare(connection: sqlite3.Connection, expected: Shape) -> None:
    """Raises for whatever is not as the version has it."""
    there = {}
    for kind, name, text in _objects(connection):
        if expected.objects.get(name) != _words(text):
            raise Unfit(f"The database has a {_shown(kind)} `{_shown(name)}` that OmniRoute did not make.")
        there[name] = text
    missing = [name for name in expected.objects if name not in there]
    if missing:
        raise Unfit(f"The database lacks `{missing[0]}`.")


def _shown(value: object) -> str:
    return re.sub(r"[^\w ]", "?", str(value), flags=re.ASCII)[:40]


# ----------------------------------------------------------------------------------------------------------- the rows


_FITS = {
    "TEXT": "typeof({0}) = 'text'",
    "INTEGER": "typeof({0}) = 'integer'",
    "REAL": "typeof({0}) IN ('real', 'integer')",
    "BLOB": "typeof({0}) = 'blob'",
}


def check_types(connection: sqlite3.Connection, table: str, names: tuple[Column, ...]) -> None:
    """Raises Unfit for a value that does not fit its column: SQLite stores any, and a reader of ours would stumble."""
    for start in range(0, len(names), 16):  # an expression may not be too deep
        fitting = " AND ".join(map(_fits, names[start : start + 16]))
        if connection.execute(f"SELECT 1 FROM {table} WHERE NOT ({fitting}) LIMIT 1").fetchone():  # noqa: S608 - our own names only
            raise Unfit(f"The table `{table}` has a value of a type that its column does not have.")


def _fits(column: Column) -> str:
    test = _FITS[column.type].format(column.name)
    return f"({test})" if column.required else f"({column.name} IS NULL OR {test})"


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(_one(connection, f"SELECT count(*) FROM {table}"))  # noqa: S608 - our own names only


def _one(connection: sqlite3.Connection, question: str) -> Any:
    (answer,) = connection.execute(question).fetchone()
    return answer
