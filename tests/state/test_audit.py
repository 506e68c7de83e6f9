"""The audit log: its contract, what tampering with its file is found out, and a disk that fails."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from omniroute.errors import Unavailable
from omniroute.state import audit_file, audit_key
from omniroute.state.audit import Audit, Entry, MemoryAudit, Wanted, written
from omniroute.state.audit_file import SqliteAudit


def entry(number: int, **fields: object) -> Entry:
    known = {
        "at": 1000.0 + number,
        "actor": "ops",
        "via": "key",
        "action": "combos.update",
        "target": f"combo-{number}",
    }
    return Entry(**{**known, **fields})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "omniroute.sqlite"


def opened(path: Path, **options: float) -> SqliteAudit:
    return SqliteAudit(path, path.with_name(audit_key.NAME), **{"retry": 0.01, **options})


@pytest.fixture(params=["memory", "file"])
def audit(request: pytest.FixtureRequest, path: Path) -> Iterator[Audit]:
    log = MemoryAudit() if request.param == "memory" else opened(path)
    yield log
    assert log.close()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


# -------------------------------------------------------------------------------------------------------- contract


def test_the_newest_come_first_and_all_are_counted(audit: Audit) -> None:
    for number in range(5):
        audit.append(entry(number))
    rows, total = audit.page(Wanted(limit=2, offset=1))
    assert ([row.number for row in rows], total) == ([4, 3], 5)
    assert rows[0].entry == entry(3)
    assert audit.verify().ok
    assert audit.health() == ""


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(actor="ops"), [4, 3, 1]),
        (Wanted(actor="nobody"), []),
        (Wanted(action="combos.update"), [1]),
        (Wanted(action="combos."), [3, 1]),
        (Wanted(action="combos"), []),
        (Wanted(since=1001.0, until=1003.0), [3, 2]),
        (Wanted(since=1001.0, actor="eve", action="auth."), [2]),
    ],
    ids=str,
)
def test_a_filter_shows_what_fits_it(audit: Audit, wanted: Wanted, found: list[int]) -> None:
    audit.append(entry(0))
    audit.append(entry(1, actor="eve", action="auth.login"))
    audit.append(entry(2, action="combos.delete"))
    audit.append(entry(3, action="combos-of-others.read"))
    rows, total = audit.page(wanted)
    assert ([row.number for row in rows], total) == (found, len(found))


@pytest.mark.parametrize("hostile", ["\ud800", "\0", "x'); DROP TABLE audit; --", "é" * 9, "\u2028\x1b[31m"], ids=ascii)
def test_any_text_is_kept_and_the_chain_holds(audit: Audit, hostile: str) -> None:
    audit.append(entry(0, actor=hostile, target=hostile, diff=hostile, detail={hostile: hostile}))
    audit.append(entry(1))
    assert audit.verify().ok
    rows, total = audit.page(Wanted())
    assert total == 2
    assert rows[1].entry.diff in (hostile, "?")
    assert audit.page(Wanted(actor=rows[1].entry.actor))[1] == 1


# ------------------------------------------------------------------------------------------------------- the chain


@pytest.fixture(name="left")
def five_rows(path: Path) -> Path:
    """A file with five rows, left by a process that has ended."""
    log = opened(path)
    for number in range(5):
        log.append(entry(number))
    assert log.close()
    return path


def verify(path: Path) -> tuple[bool, int | None]:
    verdict = audit_file.verify(path, path.with_name(audit_key.NAME))
    return verdict.ok, verdict.broken_at


def test_the_chain_goes_on_after_a_restart(left: Path) -> None:
    log = opened(left)
    log.append(entry(5))
    assert [row.number for row in log.page(Wanted())[0]] == [6, 5, 4, 3, 2, 1]
    assert log.close()
    assert verify(left) == (True, None)


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE audit SET entry = replace(entry, 'ops', 'eve') WHERE number = 3", 3),
        ("UPDATE audit SET actor = 'eve' WHERE number = 3", 3),
        ("UPDATE audit SET digest = zeroblob(32) WHERE number = 2", 2),
        ("UPDATE audit SET digest = 'text' WHERE number = 2", 2),
        ("UPDATE audit SET entry = x'00' WHERE number = 2", 2),
        ("DELETE FROM audit WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number = 4", 4),
        ("DELETE FROM audit WHERE number = 5", 5),
        ("DELETE FROM audit WHERE number > 1", 2),
        ("DELETE FROM audit", 1),
        ("DELETE FROM audit_head", 6),
        ("UPDATE audit_head SET number = 4", 6),
        ("INSERT INTO audit SELECT 6, entry, digest, at, actor, action FROM audit WHERE number = 5", 6),
        ("UPDATE audit SET number = 9 WHERE number = 5", 5),
    ],
)
def test_whoever_touches_a_row_is_found_out(left: Path, statement: str, broken_at: int) -> None:
    change(left, statement)
    assert verify(left) == (False, broken_at)
    log = opened(left)
    assert not log.verify().ok
    assert "broken" in log.health()
    log.close()


def test_rows_that_were_cut_off_stay_missed_when_it_goes_on(left: Path) -> None:
    change(left, "DELETE FROM audit WHERE number > 3")
    log = opened(left)
    log.append(entry(9))
    rows, _ = log.page(Wanted(limit=2))
    assert [row.entry.action for row in rows] == ["combos.update", "audit.cut"]
    assert rows[1].entry.detail == {"last": "3", "sealed": "5"}
    assert log.close()
    assert verify(left) == (False, 4)


def test_another_key_does_not_fit(left: Path) -> None:
    left.with_name(audit_key.NAME).unlink()
    with pytest.raises(Unavailable, match=r"audit\.key"):
        verify(left)
    log = opened(left)
    log.append(entry(5))
    assert log.close()
    assert verify(left) == (False, 1)


def test_a_file_that_was_put_in_its_place_is_told_of(left: Path) -> None:
    old = left.read_bytes()
    log = opened(left)
    log.append(entry(5))
    fresh = left.with_suffix(".old")
    fresh.write_bytes(old)
    for name in ("-wal", "-shm"):
        left.with_name(left.name + name).unlink(missing_ok=True)
    fresh.replace(left)
    log.append(entry(6))
    rows, _ = log.page(Wanted())
    assert [row.entry.action for row in rows[:2]] == ["combos.update", "audit.replaced"]
    assert rows[1].entry.detail == {"last": "5", "written": "6"}
    assert log.verify().ok
    assert log.close()


def test_two_processes_may_write_one_file(path: Path) -> None:
    one, other = opened(path), opened(path)
    for number in range(10):
        (one, other)[number % 2].append(entry(number))
    assert one.close()
    assert other.close()
    assert verify(path) == (True, None)
    assert len(opened(path).page(Wanted())[0]) == 10


def test_file_and_key_are_for_nobody_else(left: Path) -> None:
    assert stat.S_IMODE(left.with_name(audit_key.NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    assert sorted(file.name for file in left.parent.iterdir()) == ["audit.key", "omniroute.sqlite"]
    assert left.with_name(audit_key.NAME).read_text().strip().encode() not in left.read_bytes()


# ------------------------------------------------------------------------------------------------------ a sick disk


def test_a_damaged_file_stops_nobody_and_is_written_once_it_is_mended(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all, " * 1000)
    log = opened(path)
    began = time.monotonic()
    for number in range(20):
        log.append(entry(number))
    assert time.monotonic() - began < 1.0, "after the first failure nobody waits"
    assert "20 entries wait, 0 are lost" in log.health()
    with pytest.raises(Unavailable):
        log.page(Wanted())
    path.unlink()
    assert log.flush()
    assert log.health() == ""
    assert [row.entry.target for row in log.page(Wanted(limit=2))[0]] == ["combo-19", "combo-18"]
    assert log.verify().ok
    assert log.close()


@pytest.mark.parametrize("bound", [{"capacity": 3}, {"size": 3 * len(written(entry(0)))}], ids=str)
def test_what_waits_is_bounded_and_what_is_lost_is_written_down(path: Path, bound: dict[str, int]) -> None:
    path.parent.mkdir()
    path.mkdir()  # which no database can be
    log = opened(path, **bound)
    wait_for(lambda: log.health() != "")
    for number in range(10):
        log.append(entry(number))
    assert "3 entries wait, 7 are lost" in log.health()
    path.rmdir()
    assert log.flush()
    rows, total = log.page(Wanted(action="audit.lost"))
    assert (total, rows[0].entry.detail) == (1, {"entries": "7"})
    assert log.health() == ""
    assert log.close()


def test_a_key_that_is_none_is_told_of(path: Path) -> None:
    path.parent.mkdir()
    key = path.with_name(audit_key.NAME)
    key.write_text("not a key")
    log = opened(path)
    log.append(entry(0))
    assert "does not hold the key" in log.health()
    key.unlink()
    assert log.flush()
    assert log.verify() == audit_file.Verdict(ok=True, rows=1)
    assert log.close()


CHILD = """
    import sys
    from pathlib import Path
    from omniroute.state.audit import Entry
    from omniroute.state.audit_file import SqliteAudit
    path = Path(sys.argv[1])
    log = SqliteAudit(path, path.with_name("audit.key"))
    for number in range(10**9):
        log.append(Entry(at=1.0, actor="a", via="key", action="x.y"))
        sys.stdout.write("x\\n")
        sys.stdout.flush()
"""


def test_a_killed_process_leaves_a_chain_that_holds_with_all_that_was_answered(path: Path) -> None:
    total = 0
    for kill in range(3):
        command = [sys.executable, "-c", textwrap.dedent(CHILD), str(path)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(3 + kill):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        total += 3 + kill + len(child.stdout.read().split())
        child.stdout.close()
        child.wait(5)
        verdict = audit_file.verify(path, path.with_name(audit_key.NAME))
        assert verdict.ok
        assert total <= verdict.rows
        total = verdict.rows
