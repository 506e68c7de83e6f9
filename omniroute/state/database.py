"""The run-time database as a file: opened for reading by anybody, written by threads of their own.

The disk may be full, slow, read-only or damaged: whoever hands something to a writer does not notice. It waits in memory
and is written when the file works again, without a restart. A damaged file is reported and never touched: whoever looks
after it decides what becomes of it.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from omniroute.errors import Unavailable
from omniroute.state.migrations import VERSION, upgrade

log = logging.getLogger(__name__)

LIBRARY = sqlite3.sqlite_version_info
"""The version of SQLite that this Python is linked with."""
BUSY_TIMEOUT = 5.0
RETRY = 1.0
"""Seconds after which a file that did not work is tried again."""
UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""What comes of a file that SQLite cannot read: its own error, or what becomes of that where a damaged page gave it words
that are no text."""
OPENING = threading.RLock()
"""Held while the file is opened, and while another one is put in its place: a file and the log beside it (`-wal`) are
found by their names, one after the other, and must not be of two."""


class Replaced(Exception):
    """Another file stands where the open one did."""


class Writer:
    """Whoever writes the run-time database, from a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._identity = (0, 0)

    def _connect(self) -> sqlite3.Connection:
        """The open file; opened anew if somebody has put another one, or none, in its place. Raises OSError or
        sqlite3.Error."""
        if self._connection is not None and self._identity == identity(self._path):
            return self._connection
        self._disconnect()
        with OPENING:
            return self._open()

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_private(self._path)
        self._identity = identity(self._path)  # before it is opened: what comes between is noticed by `_begin`
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT, isolation_level=None)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Begin to write, alone until the end. Raises Replaced where another file was put in place of the open one
        while this waited for its turn: what would be written there would be lost."""
        connection.execute("BEGIN IMMEDIATE")
        if self._identity != identity(self._path):
            connection.execute("ROLLBACK")
            raise Replaced

    def _transaction(self) -> sqlite3.Connection:
        """The open file, or the one that was put in its place, with a transaction begun."""
        while True:
            connection = self._connect()
            try:
                self._begin(connection)
            except Replaced:
                continue
            return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Makes a connection that was just opened ready for use."""
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        upgrade(connection)

    def _disconnect(self) -> None:
        """Also undoes a transaction that was not committed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Scribe(Writer):
    """A writer of what must not be lost: its thread goes on trying until the file takes it.

    Who extends it appends to a queue of its own, counts in `_accepted`, and wakes the thread by `_work`; `_save` writes
    what waits and reports with `_settle`. The thread opens the file at once, so that it is known before the first entry
    whether it can be written.
    """

    what = ""
    """What is written, as it is called in the log."""

    def __init__(self, path: Path, *, gather: float, retry: float) -> None:
        super().__init__(path)
        self._gather = gather
        self._retry = retry
        self._accepted = 0
        self._settled = 0
        self._reason = ""
        self._closing = False
        self._work = threading.Event()
        self._hurry = threading.Event()
        self._progress = threading.Condition()

    def _start(self, name: str) -> None:
        self._wake()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all that was appended before is in its place; False if it is not within `timeout` seconds."""
        due = self._accepted
        self._wake()
        with self._progress:
            return self._progress.wait_for(lambda: self._settled >= due, timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Flush and stop."""
        self._closing = True
        self._wake()
        self._thread.join(timeout)
        return self._settled == self._accepted

    def _save(self, connection: sqlite3.Connection) -> None:
        """Write what is waiting. Whatever it raises means that the file does not work."""
        raise NotImplementedError

    def _settle(self, count: int) -> None:
        """So many are done with."""
        with self._progress:
            self._settled += count
            self._progress.notify_all()

    def _wake(self) -> None:
        self._hurry.set()
        self._work.set()

    def _run(self) -> None:
        while True:
            self._work.wait()
            self._hurry.wait(self._gather)
            last = self._closing
            self._work.clear()
            self._hurry.clear()
            done = self._drain()
            if last:
                break
            if not done:
                self._hurry.wait(self._retry)
                self._wake()
        self._disconnect()

    def _drain(self) -> bool:
        """Write what is waiting. False if the file does not work; it goes on waiting then."""
        try:
            self._save(self._connect())
        except Replaced:
            return self._drain()
        except Exception as error:  # noqa: BLE001 - whatever it is, the one writer must survive it
            if self._reason != (reason := str(error) or type(error).__name__):
                log.error("%s cannot be written: %s", self.what, reason)
            self._reason = reason
            self._disconnect()
            return False
        if self._reason:
            log.info("%s is written again", self.what)
            self._reason = ""
        return True


@contextmanager
def reading(path: Path, what: str, code: str, least: int = VERSION) -> Iterator[sqlite3.Connection | None]:
    """The file, to be read only, as it is at this moment; None while there is nothing in it. For any thread. Raises
    Unavailable where it cannot be read, or is not of the version yet that is `least`; `what` and `code` tell what was looked
    for."""
    if not path.exists():
        yield None
        return
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)) as connection:
            with OPENING:
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("BEGIN")  # so that all that is asked is of one moment
                (version,) = connection.execute("PRAGMA user_version").fetchone()
            if 0 < version < least:
                raise Unavailable(f"{what} is of an older version and not upgraded yet.", code=code)
            yield connection if version else None
    except UNREADABLE as error:
        raise Unavailable(f"{what} cannot be read: {error}.", code=code) from None


def make_private(path: Path) -> None:
    """Make the file if there is none, and let nobody else read it; SQLite gives its other files the same mode. A file that
    is there is not opened for that: closing it again would take away the locks that this process holds on it, and with
    them what keeps another process from removing the log (`-wal`) that is still written."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if stat.S_IMODE(path.stat().st_mode) != 0o600:
            path.chmod(0o600)


def identity(path: Path) -> tuple[int, int]:
    """What tells one file from another of the same name; zeros where there is none."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return there.st_dev, there.st_ino
