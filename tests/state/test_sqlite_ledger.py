"""The ledger on a disk that fails, fills up, lies, and comes back; and in a process that is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path

import pytest

from omniroute.errors import Unavailable
from omniroute.state import database, sqlite
from omniroute.state.base import Attempt, UsageRow
from omniroute.state.migrations import VERSION, upgrade
from omniroute.state.sqlite import SqliteLedger

VERSIONS = Path(__file__).with_name("versions")
"""A file of each earlier version with a row in it, as SQL."""


def row(number: int, **fields: object) -> UsageRow:
    known = {
        "id": f"{number:016x}",
        "started": 1.5,
        "key": "team-a",
        "operation": "chat",
        "format": "anthropic",
        "requested": "coding",
        "provider": "openai",
        "connection": "openai.team",
        "model": "gpt-5.4",
        "status": 200,
    }
    return UsageRow(**{**known, **fields})


Wrap = Callable[[sqlite3.Connection], sqlite3.Connection]


def ledger(path: Path, wrap: Wrap = lambda connection: connection, **options: float) -> SqliteLedger:
    """A ledger in a hurry, whose writer gets its connection through `wrap` from its first round on."""

    class Wrapped(SqliteLedger):
        def _connect(self) -> sqlite3.Connection:
            return wrap(super()._connect())

    return Wrapped(path, **{"gather": 0.005, "retry": 0.01, **options})


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "omniroute.sqlite"


def test_nobody_else_can_read_the_files(path: Path) -> None:
    book = ledger(path)
    book.append(row(1))
    assert book.flush()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = list(path.parent.iterdir())
    assert {file.name for file in files} >= {"omniroute.sqlite", "omniroute.sqlite-wal"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    book.close()
    path.chmod(0o644)
    ledger(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_file_is_opened_as_it_should_be(path: Path) -> None:
    seen: dict[str, object] = {}

    def look(there: sqlite3.Connection) -> sqlite3.Connection:
        for pragma in ("journal_mode", "synchronous", "trusted_schema", "foreign_keys", "user_version"):
            (seen[pragma],) = there.execute(f"PRAGMA {pragma}").fetchone()
        return there

    book = ledger(path, look)
    book.append(row(1))
    book.flush()
    book.close()
    assert seen == {
        "journal_mode": "wal",
        "synchronous": 2,
        "trusted_schema": 0,
        "foreign_keys": 1,
        "user_version": VERSION,
    }


def test_a_file_of_the_right_version_needs_no_migration_library(path: Path) -> None:
    ledger(path).close()
    code = f"""
        import sys
        from pathlib import Path
        from omniroute.state.sqlite import SqliteLedger
        book = SqliteLedger(Path({str(path)!r}))
        assert book.flush() and book.recent(1) == [] and book.close() and book.health().ok
        sys.exit("sqlite_utils" in sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=20)


def test_making_a_ledger_waits_for_nothing(path: Path) -> None:
    ledger(path).close()
    began = time.perf_counter()
    book = ledger(path)
    assert time.perf_counter() - began < 0.05
    book.close()


def test_rows_survive_a_restart(path: Path) -> None:
    for number in range(3):
        book = ledger(path)
        book.append(row(number, cost=Decimal("0.1")))
        assert book.close()
    assert book.totals().cost == Decimal("0.3")


def test_the_columns_are_the_fields_of_a_row(path: Path) -> None:
    ledger(path).close()
    with closing(sqlite3.connect(path)) as connection:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(usage)")]
    assert tuple(columns) == UsageRow.__struct_fields__


def test_batches_of_every_size_are_written(path: Path) -> None:
    book = ledger(path, gather=60)
    number = 0
    for size in (0, 1, 15, 17, 255, 256, 257, 289, 1_023, 1_024, 1_025, 3_000):
        for _ in range(size):
            book.append(row(number))
            number += 1
        assert book.flush()
        assert book.health().written == number
    assert len(book.recent(number + 1)) == number
    book.close()


def test_rows_that_come_all_the_time_are_written_in_batches(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []
    insert = sqlite._insert

    def slowly(connection: sqlite3.Connection, rows: list[UsageRow]) -> None:
        batches.append(len(rows))
        time.sleep(0.01)
        insert(connection, rows)

    monkeypatch.setattr(sqlite, "_insert", slowly)
    book = ledger(path, gather=0.1)
    wait_for(lambda: book._connection is not None)
    began = time.monotonic()
    for number in range(150):
        book.append(row(number))
        time.sleep(0.002)
    book.close()
    assert sum(batches) == 150
    assert len(batches) <= (time.monotonic() - began) / 0.1 + 2


def test_a_file_that_is_not_set_up_yet_has_nothing_to_tell(path: Path) -> None:
    book = ledger(path)
    book.close()
    book._path = path.with_name("fresh.sqlite")
    book._path.touch()
    assert list(book.recent(5)) == []
    assert book.totals().requests == 0


def test_a_full_disk_stops_nothing_and_loses_nothing(path: Path) -> None:
    full = threading.Event()
    full.set()

    def on_a_full_disk(there: sqlite3.Connection) -> sqlite3.Connection:
        (pages,) = there.execute("PRAGMA page_count").fetchone()
        there.execute(f"PRAGMA max_page_count = {pages if full.is_set() else 1_000_000}")
        return there

    book = ledger(path, on_a_full_disk)
    for number in range(500):
        book.append(row(number, key="k" * 100))
    assert not book.flush(0.2)
    health = book.health()
    assert not health.ok
    assert "full" in health.reason
    assert (health.pending, health.written, health.lost) == (500, 0, 0)
    full.clear()
    assert book.flush()
    health = book.health()
    assert health.ok
    assert (health.pending, health.written, health.lost) == (0, 500, 0)
    assert book.totals().requests == 500
    book.close()


@pytest.mark.parametrize("failing", ["BEGIN IMMEDIATE", "INSERT INTO usage", "COMMIT"])
def test_a_failure_at_any_step_doubles_and_loses_nothing(path: Path, failing: str) -> None:
    failures = iter(range(3))

    class Failing:
        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> object:
            return getattr(self._connection, name)

        def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
            if statement.startswith(failing) and next(failures, None) is not None:
                raise sqlite3.OperationalError("disk I/O error")
            return self._connection.execute(statement, *values)

    book = ledger(path, Failing)
    for number in range(300):
        book.append(row(number))
    assert book.flush()
    assert next(failures, None) is None, "all failures happened"
    assert book.health().written == 300
    assert book.totals().requests == 300
    book.close()


def test_a_directory_that_cannot_be_made_only_degrades(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the directory should be")
    book = ledger(tmp_path / "data" / "omniroute.sqlite")
    book.append(row(1))
    wait_for(lambda: not book.health().ok)
    assert list(book.recent(5)) == []
    (tmp_path / "data").unlink()
    assert book.flush()
    assert book.health().ok
    assert book.totals().requests == 1
    book.close()


def test_a_directory_that_is_read_only_only_degrades(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(database.os, "open", refuse)
    book = ledger(path)
    book.append(row(1))
    wait_for(lambda: not book.health().ok)
    assert "Read-only" in book.health().reason
    assert not book.close(1)
    health = book.health()
    assert (health.ok, health.pending, health.lost) == (False, 0, 1)


def test_a_damaged_file_is_reported_and_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    rubbish = b"this is no database " * 1_000
    path.write_bytes(rubbish)
    book = ledger(path)
    book.append(row(1))
    wait_for(lambda: not book.health().ok)
    assert "not a database" in book.health().reason
    with pytest.raises(Unavailable, match="cannot be read"):
        book.recent(1)
    assert path.read_bytes() == rubbish
    path.rename(path.with_suffix(".damaged"))
    assert book.flush()
    assert book.health().ok
    assert book.totals().requests == 1
    book.close()


def test_a_damaged_page_never_hangs_anything(path: Path) -> None:
    book = ledger(path)
    for number in range(2_000):
        book.append(row(number))
    assert book.close()
    whole = path.read_bytes()
    for page in range(len(whole) // 4096):
        path.write_bytes(whole[: page * 4096] + b"\xff" * 4096 + whole[page * 4096 + 4096 :])
        book = ledger(path)
        book.append(row(10_000 + page))
        book.flush(0.1)
        health = book.health()
        assert health.ok or health.pending == 1
        with suppress(Unavailable):
            book.recent(5)
            book.totals()
        book.close(1)


def test_a_file_of_a_later_version_is_left_as_it_is(path: Path) -> None:
    ledger(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    book = ledger(path)
    wait_for(lambda: not book.health().ok)
    assert f"schema version {VERSION + 1}" in book.health().reason
    book.close()


@pytest.mark.parametrize("version", range(1, VERSION))
def test_a_file_of_every_earlier_version_is_upgraded_with_its_rows(path: Path, version: int) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((VERSIONS / f"{version}.sql").read_text())
    book = ledger(path)
    book.append(row(2**62, policies=("only-cheap",)))
    assert book.flush()
    new, old = book.recent(2)
    assert book.close()
    assert new.policies == ("only-cheap",)
    assert (old.id, old.model, old.cost, old.losses) == ("0190a1b2c3d4e5f6", "gpt-5.4", Decimal("0.00123"), ("seed",))
    assert old.attempts == (Attempt("openai/gpt-5.4", "openai.team", "success", 200, 800.25),)
    assert (old.seconds, old.images, old.route, old.policies, old.cache, old.idempotent) == (None, 0, "", (), "", False)


def test_a_file_that_waits_for_its_upgrade_says_so(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((VERSIONS / "1.sql").read_text())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # whoever holds it keeps the writer waiting
        book = ledger(path)
        with pytest.raises(Unavailable, match="older version"):
            book.recent(1)
        other.execute("ROLLBACK")
    assert book.close()
    assert len(book.recent(1)) == 1


def test_an_upgrade_that_was_interrupted_is_finished(path: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    upgrade(connection)
    connection.execute("PRAGMA user_version = 0")
    upgrade(connection)
    upgrade(connection)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()


def test_the_file_may_be_deleted_at_any_time(path: Path) -> None:
    book = ledger(path)
    book.append(row(1))
    assert book.flush()
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()
    assert list(book.recent(5)) == []
    assert book.totals().requests == 0
    book.append(row(2))
    assert book.flush()
    assert [entry.id[-1] for entry in book.recent(5)] == ["2"]
    assert book.health().ok
    book.close()


def test_rows_beyond_the_bound_are_counted_as_lost(path: Path) -> None:
    book = ledger(path, capacity=10)
    wait_for(lambda: book._connection is not None)
    held = threading.Lock()
    write = book._write

    def slowly(connection: sqlite3.Connection) -> None:
        with held:
            write(connection)

    book._write = slowly
    with held:
        book.append(row(0))
        wait_for(lambda: bool(book._batch))
        for number in range(1, 15):
            book.append(row(number))
        health = book.health()
        assert (health.ok, health.pending, health.lost) == (False, 11, 4)
        assert health.reason == "rows come faster than they can be written"
    assert book.flush()
    health = book.health()
    assert (health.ok, health.pending, health.written, health.lost) == (True, 0, 11, 4)
    book.close()


@pytest.mark.parametrize(
    "fields",
    [{"input": 2**70}, {"key": "\ud800"}, {"total_ms": float("nan")}, {"started": None}, {"losses": ("\udfff",)}],
    ids=str,
)
def test_a_row_that_cannot_be_written_does_not_hold_up_others(path: Path, fields: dict[str, object]) -> None:
    book = ledger(path, gather=60)
    for number in range(20):
        book.append(row(number, **(fields if number == 7 else {})))
    assert book.flush()
    health = book.health()
    assert (health.ok, health.pending, health.written, health.lost) == (True, 0, 19, 1)
    book.close()


def test_text_from_outside_stays_text(path: Path) -> None:
    hostile = "x'); DROP TABLE usage; --"
    book = ledger(path)
    book.append(row(1, **dict.fromkeys(("key", "requested", "model", "connection", "code"), hostile)))
    book.append(row(2))
    assert book.flush()
    assert book.recent(2)[1].requested == hostile
    assert book.totals().requests == 2
    book.close()


def test_a_locked_file_is_waited_for(path: Path) -> None:
    ledger(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    book = ledger(path)
    book.append(row(1))
    assert not book.flush(0.1)
    assert list(book.recent(5)) == [], "reading does not wait for writers"
    other.execute("COMMIT")
    other.close()
    assert book.flush()
    book.close()


CHILD = """
    import sys
    from pathlib import Path
    from omniroute.state.base import UsageRow
    from omniroute.state.sqlite import SqliteLedger
    book = SqliteLedger(Path(sys.argv[1]), gather=0.002)
    for number in range(int(sys.argv[2]), 10**9):
        book.append(UsageRow(id=f"{number:016x}", started=1.0, key="", operation="chat", format="", requested="",
                             provider="", connection="", model="", status=200))
        if number % 50 == 49:
            assert book.flush()
            sys.stdout.write(f"{number}\\n")
            sys.stdout.flush()
"""


def test_a_killed_process_loses_only_what_was_not_flushed(path: Path) -> None:
    begin = 0
    for kill in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CHILD), str(path), str(begin)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        flushed = [int(child.stdout.readline()) for _ in range(5 + kill)][-1]
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read().split()
        flushed = int(rest[-1]) if rest else flushed
        child.stdout.close()
        child.wait(5)
        book = ledger(path)
        assert book.flush()
        numbers = [int(entry.id, 16) for entry in book.recent(10**6)]
        assert len(numbers) == len(set(numbers))
        assert set(range(flushed + 1)) <= set(numbers)
        assert book.totals().requests == len(numbers)
        for number in range(flushed + 1):
            book.append(row(number))  # as a caller would that does not know what was kept
        assert book.close()
        assert book.totals().requests == len(numbers)
        begin = flushed + 1
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_row_costs_the_request_and_the_writer_little(path: Path) -> None:
    book = ledger(path, gather=60)
    wait_for(lambda: book._connection is not None)
    rows = [row(number) for number in range(5_000)]
    began = time.perf_counter()
    for entry in rows:
        book.append(entry)
    appended = (time.perf_counter() - began) / len(rows)
    cpu = time.process_time()
    assert book.flush()
    written = (time.process_time() - cpu) / len(rows)
    book.close()
    assert appended < 6e-6  # three times the 2 µs it may take
    assert written < 24e-6  # three times the 8 µs it may take, of which the sums are 3


def test_opening_the_file_again_takes_no_lock_from_who_has_it_open(path: Path) -> None:
    """POSIX locks of a process are gone once it closes any descriptor of the file: with them, another process that opens
    and closes the database would take itself for the last one and remove the log that is still being written."""
    book = ledger(path)
    book.append(row(1))
    assert book.flush()
    second = ledger(path)
    assert second.flush()
    other = f"import sqlite3; c = sqlite3.connect({str(path)!r}); c.execute('SELECT 1 FROM usage'); c.close()"
    subprocess.run([sys.executable, "-c", other], check=True, timeout=20)
    assert path.with_name("omniroute.sqlite-wal").exists()
    book.append(row(2))
    assert book.flush()
    assert len(second.recent(5)) == 2
    assert book.close()
    assert second.close()
