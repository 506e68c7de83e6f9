"""The shape of the run-time database: numbered steps, each of them applied once and never changed afterwards.

`VERSION` stands in the file's `user_version`, so that an up-to-date file is recognised without asking sqlite-utils,
whose import takes 120 ms.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

from omniroute.state import rollups

if TYPE_CHECKING:
    from sqlite_utils import Database


def m001_usage(db: Database) -> None:
    """One row per request. The id sorts by time, so the table itself is in the order in which it is read; costs are
    decimals, and as text they keep every digit of any price."""
    db.execute("""
        CREATE TABLE usage (
            id TEXT PRIMARY KEY NOT NULL,
            request_id TEXT NOT NULL,
            started REAL NOT NULL,
            key TEXT NOT NULL,
            operation TEXT NOT NULL,
            format TEXT NOT NULL,
            requested TEXT NOT NULL,
            provider TEXT NOT NULL,
            connection TEXT NOT NULL,
            model TEXT NOT NULL,
            status INTEGER NOT NULL,
            error TEXT NOT NULL,
            code TEXT NOT NULL,
            stream INTEGER NOT NULL,
            input INTEGER NOT NULL,
            output INTEGER NOT NULL,
            cached INTEGER NOT NULL,
            cache_write INTEGER NOT NULL,
            cache_write_1h INTEGER NOT NULL,
            reasoning INTEGER NOT NULL,
            estimated INTEGER NOT NULL,
            cost TEXT,
            total_ms REAL NOT NULL,
            upstream_ms REAL NOT NULL,
            gateway_ms REAL NOT NULL,
            ttft_ms REAL,
            attempts TEXT NOT NULL,
            losses TEXT NOT NULL,
            revision TEXT NOT NULL
        ) WITHOUT ROWID
    """)


def m002_usage_details(db: Database) -> None:
    """What a request was besides chat, how it was answered and by what it was led. Old rows say nothing of it."""
    for column in (
        "audio_input INTEGER NOT NULL DEFAULT 0",
        "audio_output INTEGER NOT NULL DEFAULT 0",
        "service_tier TEXT NOT NULL DEFAULT ''",
        "seconds REAL",
        "images INTEGER NOT NULL DEFAULT 0",
        "cache TEXT NOT NULL DEFAULT ''",
        "idempotent INTEGER NOT NULL DEFAULT 0",
        "session TEXT NOT NULL DEFAULT ''",
        "route TEXT NOT NULL DEFAULT ''",
        "policies TEXT NOT NULL DEFAULT '[]'",
    ):
        db.execute(f"ALTER TABLE usage ADD COLUMN {column}")


def m003_cache(db: Database) -> None:
    """Answers that are given again, by the digest of what they answer. They can all be made again: the table may be
    emptied at any time."""
    db.execute(
        "CREATE TABLE cache (key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL, ends REAL NOT NULL) WITHOUT ROWID"
    )
    db.execute("CREATE INDEX cache_ends ON cache (ends)")


def m004_audit(db: Database) -> None:
    """What was done by whom. An entry is kept as the bytes that its digest is made of; what it is looked for by stands
    beside it once more. The head says which row is the last."""
    db.execute("""
        CREATE TABLE audit (
            number INTEGER PRIMARY KEY NOT NULL,
            entry TEXT NOT NULL,
            digest BLOB NOT NULL,
            at REAL NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL
        )
    """)
    db.execute("CREATE INDEX audit_actor ON audit (actor)")
    db.execute("CREATE INDEX audit_action ON audit (action)")
    db.execute(
        "CREATE TABLE audit_head (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL, seal BLOB NOT NULL)"
    )


def m005_evals(db: Database) -> None:
    """Runs of evals, and their cases in the order in which they were done. Costs are decimals, as text; the checks of a
    case are JSON."""
    db.execute("""
        CREATE TABLE eval_runs (
            id TEXT PRIMARY KEY NOT NULL,
            suite TEXT NOT NULL,
            target TEXT NOT NULL,
            started REAL NOT NULL,
            ended REAL,
            status TEXT NOT NULL,
            total INTEGER NOT NULL,
            passed INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            score REAL,
            cost TEXT,
            revision TEXT NOT NULL
        ) WITHOUT ROWID
    """)
    db.execute("CREATE INDEX eval_runs_suite ON eval_runs (suite, started)")
    db.execute("""
        CREATE TABLE eval_cases (
            number INTEGER PRIMARY KEY NOT NULL,
            run TEXT NOT NULL REFERENCES eval_runs (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            status TEXT NOT NULL,
            score REAL NOT NULL,
            ms REAL NOT NULL,
            model TEXT NOT NULL,
            input INTEGER NOT NULL,
            output INTEGER NOT NULL,
            cost TEXT,
            reason TEXT NOT NULL,
            checks TEXT NOT NULL,
            answer TEXT NOT NULL
        )
    """)
    db.execute("CREATE INDEX eval_cases_run ON eval_cases (run)")


def m006_usage_sums(db: Database) -> None:
    """Sums of the requests by hour and day, also of those that are there already."""
    db.execute(rollups.CREATE)
    rollups.prepare(db.conn)
    for statement in rollups.FILL:
        db.execute(statement)


STEPS = (m001_usage, m002_usage_details, m003_cache, m004_audit, m005_evals, m006_usage_sums)
VERSION = len(STEPS)


class TooNew(sqlite3.DatabaseError):
    """A later version of OmniRoute has written the file; it is left as it is."""


_one_at_a_time = threading.Lock()
"""Several writers of one process open the file, and the first of them brings it up to date."""


def upgrade(connection: sqlite3.Connection, version: int = VERSION) -> None:
    """Bring the file to a version; every step is a transaction of its own. A new file is made one that is written ahead:
    two that do so at once refuse each other."""
    with _one_at_a_time:
        connection.execute("PRAGMA journal_mode = WAL")
        _upgrade(connection, version)


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    (there,) = connection.execute("PRAGMA user_version").fetchone()
    if there > VERSION:
        raise TooNew(f"the file has schema version {there}, this program knows {VERSION}")
    if there >= version:
        return
    from sqlite_utils import Database, Migrations  # noqa: PLC0415 - 120 ms, and needed once per release

    migrations = Migrations("omniroute")
    steps = STEPS[:version]
    for step in steps:
        migrations()(step)
    migrations.apply(Database(connection, execute_plugins=False))
    connection.execute(f"PRAGMA user_version = {len(steps)}")
