"""Copies of the database, files from elsewhere, and the exchange of one for another while it is written."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from omniroute.errors import Unavailable
from omniroute.state import copies, shape
from omniroute.state.audit import Entry, Wanted
from omniroute.state.audit_file import SqliteAudit, verify
from omniroute.state.base import Attempt, Keeping, UsageRow
from omniroute.state.cache import Written
from omniroute.state.cache_file import SqliteCache
from omniroute.state.copies import Stopped, copy, exchange, rebuild
from omniroute.state.migrations import STEPS, VERSION, upgrade
from omniroute.state.shape import Unfit, inspect
from omniroute.state.sqlite import SqliteLedger, spent

ROWS = 300
SECRET = b"what somebody asked and was answered"


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
        "cost": Decimal("0.25"),
        "losses": ("a loss",),
    }
    return UsageRow(**{**known, **fields})


def written(path: Path, first: int = 0, count: int = ROWS) -> Path:
    """A database with rows and a cached answer."""
    book, kept = SqliteLedger(path, gather=0.001), SqliteCache(path, gather=0.001)
    for number in range(first, first + count):
        book.append(row(number, attempts=(Attempt("openai/gpt", "openai.team", "ok", 1.0),) if number % 7 else ()))
    kept.put(b"key", Written(bytes(16), bytes(16), SECRET * 100), 1.0, Keeping(ttl=1e9))
    assert book.close()
    kept.close()
    return path


def numbers(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as there:
        assert there.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {ident for (ident,) in there.execute("SELECT id FROM usage")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path / "data" / "omniroute.sqlite")


@pytest.fixture
def target(path: Path) -> Path:
    return path.with_name("copy.sqlite")


# -------------------------------------------------------------------------------------------------------------- copies


def test_a_copy_is_one_private_file_with_all_rows_and_nothing_beside_it(path: Path, target: Path):
    facts = copy(path, target)
    assert (facts.version, facts.rows["usage"], facts.rows["cache"]) == (VERSION, ROWS, 0)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert {file.name for file in path.parent.iterdir()} - {f"{path.name}-wal", f"{path.name}-shm"} == {
        path.name,
        target.name,
    }
    assert inspect(target) == facts
    assert numbers(target) == numbers(path)


def test_no_answer_is_in_a_copy_also_not_in_pages_that_are_free(path: Path, target: Path):
    with closing(sqlite3.connect(path)) as there:
        there.execute("PRAGMA secure_delete = OFF")
        there.execute("INSERT INTO cache VALUES (x'01', ?, 1)", (SECRET * 1000,))
        there.commit()
        there.execute("DELETE FROM cache WHERE key = x'01'")
        there.commit()
        there.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert SECRET in path.read_bytes()
    copy(path, target)
    assert SECRET not in target.read_bytes()


def test_a_copy_is_of_one_moment_while_rows_are_written(path: Path, target: Path):
    book = SqliteLedger(path, gather=0.001)
    over = threading.Event()

    def feed() -> None:
        number = ROWS
        while not over.is_set():
            book.append(row(number))
            number += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=feed)
    thread.start()
    counts = [copy(path, target).rows["usage"] for _ in range(5)]
    over.set()
    thread.join()
    assert book.close()
    assert counts == sorted(counts)
    assert counts[-1] > ROWS
    assert len(numbers(path)) == book.health().written + ROWS


def test_a_copy_that_is_given_up_leaves_nothing(path: Path, target: Path):
    with pytest.raises(Stopped):
        copy(path, target, lambda: True)
    assert not [file for file in path.parent.iterdir() if "copy" in file.name]


@pytest.mark.parametrize("content", [b"", b"no database " * 1000])
def test_what_is_no_database_is_not_copied(path: Path, target: Path, content: bytes):
    path.write_bytes(content)
    with pytest.raises(Unavailable, match="cannot be copied"):
        copy(path, target)
    assert not target.exists()
    with pytest.raises(Unavailable, match="no history"):
        copy(path.with_name("none.sqlite"), target)


def test_no_copy_is_begun_for_which_there_is_no_room(path: Path, target: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(copies, "MARGIN", 1 << 60)
    with pytest.raises(Unavailable) as refused:
        copy(path, target)
    assert refused.value.fault.code == "disk_full"


# ----------------------------------------------------------------------------------------------- files from elsewhere


def change(*statements: str) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        with closing(sqlite3.connect(path)) as there:
            for statement in statements:
                there.execute(statement)
            there.commit()

    return act


def rewritten(old: str, new: str) -> Callable[[Path], None]:
    """The text of the schema, as no statement could write it."""
    return change(
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET sql = replace(sql, '{old}', '{new}') WHERE name = 'usage'",
    )


def cut(length: float) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        os.truncate(path, int(path.stat().st_size * length))

    return act


def text(path: Path) -> None:
    path.write_text("id,started,key\n" * 10_000)


def sparse(path: Path) -> None:
    os.truncate(path, 4 << 30)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + random.Random(1).randbytes(100_000))


SIDE = "INSERT INTO cache VALUES (x'666f756c', x'00', 1)"
ATTACKS = {
    "trigger": change(f"CREATE TRIGGER t AFTER INSERT ON usage BEGIN {SIDE}; END"),
    "trigger on delete": change(f"CREATE TRIGGER t BEFORE DELETE ON cache BEGIN {SIDE}; END"),
    "view": change("CREATE VIEW v AS SELECT load_extension('/tmp/evil.so')"),
    "view in the place of a table": change("DROP TABLE usage", "CREATE VIEW usage AS SELECT * FROM cache"),
    "virtual table": change("CREATE VIRTUAL TABLE f USING fts5(x)"),
    "virtual table of pages": change("CREATE VIRTUAL TABLE d USING dbstat"),
    "another table": change("CREATE TABLE mine (x)"),
    "another index": change("CREATE INDEX mine ON usage (key)"),
    "index on an expression": change("CREATE INDEX mine ON usage (lower(key))"),
    "no table": change("DROP TABLE usage"),
    "no index": change("DROP INDEX cache_ends"),
    "another column": change("ALTER TABLE usage ADD COLUMN evil TEXT DEFAULT 'x'"),
    "a column less": change("ALTER TABLE usage DROP COLUMN policies"),
    "a default that runs": rewritten("DEFAULT 0", "DEFAULT (randomblob(1000000000))"),
    "a check that runs": rewritten("status INTEGER NOT NULL", "status INTEGER NOT NULL CHECK (zeroblob(1e9) NOTNULL)"),
    "a column that is worked out": rewritten("cost TEXT", "cost TEXT GENERATED ALWAYS AS (randomblob(9))"),
    "bookkeeping that runs": change(
        "ANALYZE",
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE sqlite_stat1(tbl,idx,stat CHECK (abs(stat)))' WHERE name = 'sqlite_stat1'",
    ),
    "migrations that run": change(
        "DROP TABLE _sqlite_migrations", "CREATE TABLE _sqlite_migrations (x CHECK (abs(x)))"
    ),
    "migrations as a view": change("DROP TABLE _sqlite_migrations", "CREATE VIEW _sqlite_migrations AS SELECT 1"),
    "a schema that is none": rewritten("CREATE TABLE", "CREATE TRIGGER"),
    "no version": change("PRAGMA user_version = 0"),
    "a version to come": change(f"PRAGMA user_version = {VERSION + 1}"),
    "an older version than it is": change("PRAGMA user_version = 1"),
    "a negative version": change("PRAGMA user_version = -5"),
    "a number that is text": change("UPDATE usage SET input = 'many' WHERE id = (SELECT min(id) FROM usage)"),
    "a text that is a blob": change("UPDATE usage SET key = x'ff00' WHERE id = (SELECT max(id) FROM usage)"),
    "a cost that is none": change("UPDATE usage SET cost = '1.2.3' WHERE id = (SELECT max(id) FROM usage)"),
    "attempts that are none": change("UPDATE usage SET attempts = '[{\"target\": 5}]'"),
    "attempts that are no JSON": change("UPDATE usage SET attempts = 'x'"),
    "attempts without an end": change(
        "UPDATE usage SET attempts = hex(zeroblob(40000000)) WHERE id = (SELECT min(id) FROM usage)"
    ),
    "losses that are deep": change(
        "UPDATE usage SET losses = replace(hex(zeroblob(200000)), '0', '[') WHERE id = (SELECT max(id) FROM usage)"
    ),
    "text": text,
    "nothing": empty,
    "garbage": garbage,
    "four sparse gibibytes": sparse,
    "half of it": cut(0.5),
    "a byte less": lambda path: os.truncate(path, path.stat().st_size - 1),
    "one page": lambda path: os.truncate(path, 4096),
    "a hundred bytes": lambda path: os.truncate(path, 100),
}


@pytest.fixture(scope="module")
def given_once(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("given")
    copy(written(folder / "omniroute.sqlite"), folder / "given.sqlite")
    return (folder / "given.sqlite").read_bytes()


@pytest.fixture
def given(tmp_path: Path, given_once: bytes) -> Path:
    """A file as it would be handed in."""
    path = tmp_path / "given.sqlite"
    path.write_bytes(given_once)
    return path


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_file_that_is_not_just_a_history_is_refused_and_nothing_comes_of_it(attack: str, given: Path, tmp_path: Path):
    ATTACKS[attack](given)
    before = {file.name for file in tmp_path.iterdir()}
    began = time.monotonic()
    with pytest.raises(Unfit):
        rebuild(given, tmp_path / "fresh.sqlite", ours=False)
    assert time.monotonic() - began < 20
    assert {file.name for file in tmp_path.iterdir()} == before


def test_a_history_of_this_version_is_taken_over_as_it_is(given: Path, tmp_path: Path):
    fresh = tmp_path / "fresh.sqlite"
    facts = rebuild(given, fresh, ours=False)
    assert facts.rows["usage"] == ROWS
    assert inspect(fresh).version == VERSION
    assert numbers(fresh) == numbers(given)
    assert spent(fresh, ["team-a"], 0, 10) == Decimal("0.25") * ROWS


@pytest.mark.parametrize("version", range(1, VERSION))
def test_a_history_of_each_earlier_version_is_brought_up_to_date(version: int, tmp_path: Path):
    given, fresh = tmp_path / "given.sqlite", tmp_path / "fresh.sqlite"
    with closing(sqlite3.connect(given, isolation_level=None)) as there:
        upgrade(there, version)
        there.execute("PRAGMA journal_mode = DELETE")
        names = [column.name for column in shape.columns(there, "usage")]
        values = ["x" if column.type == "TEXT" else 0 for column in shape.columns(there, "usage")]
        values[names.index("attempts")] = values[names.index("losses")] = "[]"
        values[names.index("cost")] = "0.5"
        if "policies" in names:
            values[names.index("policies")] = "[]"
        there.execute(f"INSERT INTO usage VALUES ({', '.join('?' * len(names))})", values)
    assert rebuild(given, fresh, ours=False).version == version
    assert inspect(fresh).version == VERSION
    assert len(SqliteLedger(fresh).recent(5)) == 1


def test_a_look_into_a_file_that_takes_too_long_is_given_up(given: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shape, "LEAST", -1e9)
    monkeypatch.setattr(shape, "STEPS", 100)
    with pytest.raises(Unfit, match="interrupted"):
        inspect(given)


def test_nothing_but_reading_is_possible_in_a_file_from_elsewhere(given: Path):
    with shape.untrusted(given) as there:
        for statement in (
            "DELETE FROM usage",
            "CREATE TABLE x (y)",
            "ATTACH ':memory:' AS more",
            "SELECT load_extension('x')",
            "SELECT writefile('x', 'y')",
            "SELECT randomblob(10)",
            "PRAGMA writable_schema = ON",
            "PRAGMA journal_mode = DELETE",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        ):
            with pytest.raises(sqlite3.DatabaseError):
                there.execute(statement)


# ------------------------------------------------------------------------------------------------------ damaged pages


def pages(path: Path) -> int:
    return path.stat().st_size // 4096


def damaged(path: Path, chance: random.Random) -> None:
    """A page of it, spoiled in one of a few ways."""
    number = chance.randrange(pages(path))
    start = number * 4096 + (100 if number == 0 and chance.random() < 0.5 else 0)
    with path.open("r+b") as file:
        file.seek(start + chance.choice((0, 0, 8, chance.randrange(3000))))
        file.write(chance.choice((b"\xff" * 64, b"\0" * 1024, chance.randbytes(256), b"\x0d\0\0\xff\xff")))


def test_no_damaged_page_makes_more_than_a_refusal(given: Path, tmp_path: Path, given_once: bytes):
    """What is not noticed is what no structure can tell: then the rows are taken over, and can be read."""
    chance, refused = random.Random(7), 0
    fresh = tmp_path / "fresh.sqlite"
    for _ in range(150):
        given.write_bytes(given_once)
        damaged(given, chance)
        try:
            rebuild(given, fresh, ours=False)
        except Unfit:
            refused += 1
            assert not fresh.exists()
        else:
            inspect(fresh)
            fresh.unlink()
    assert refused > 75


def test_a_damaged_history_is_put_aside_as_it_is_and_another_one_written(path: Path, target: Path):
    copy(path, target)
    chance = random.Random(3)
    for number in range(20):
        damaged(path, chance)
        fresh, aside = path.with_name("fresh"), path.with_name(f"aside-{number}")
        content = path.read_bytes()
        rebuild(target, fresh, ours=True)
        exchange(path, fresh, aside)
        assert aside.read_bytes() == content
        assert len(numbers(path)) == ROWS
        assert not path.with_name(f"{path.name}-wal").exists()


# ------------------------------------------------------------------------------------------------------- the exchange


def test_no_row_is_lost_where_files_are_exchanged_while_it_is_written(path: Path, target: Path):
    copy(path, target)
    book, kept = SqliteLedger(path, gather=0.001), SqliteCache(path, gather=0.001)
    over = threading.Event()
    appended = ROWS

    def feed() -> None:
        nonlocal appended
        while not over.is_set():
            book.append(row(appended))
            kept.put(b"%d" % appended, Written(bytes(16), b"%016d" % appended, b"value"), 1.0, Keeping())
            appended += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=feed)
    thread.start()
    asides = []
    for number in range(25):
        fresh = path.with_name("fresh")
        rebuild(target, fresh, ours=True)
        asides.append(path.with_name(f"aside-{number}"))
        assert exchange(path, fresh, asides[-1]) == ""
        time.sleep(0.01)
    over.set()
    thread.join()
    assert book.close()
    kept.close()
    found = set().union(*map(numbers, [path, *asides]))
    assert len(found) == appended
    assert (book.health().ok, book.health().lost) == (True, 0)


def test_the_moment_between_is_one_in_which_nobody_writes(path: Path, target: Path):
    copy(path, target)
    fresh, aside = path.with_name("fresh"), path.with_name("aside")
    rebuild(target, fresh, ours=True)
    book = SqliteLedger(path, gather=0.001)
    seen: list[tuple[str, int, int]] = []

    def between(damage: str) -> None:
        book.append(row(ROWS + 1))
        assert not book.flush(0.05)
        seen.append((damage, len(numbers(path)), len(numbers(fresh))))

    exchange(path, fresh, aside, between)
    assert book.flush()
    assert seen == [("", ROWS, ROWS)]
    assert (len(numbers(path)), len(numbers(aside))) == (ROWS + 1, ROWS)
    assert book.close()


def test_where_there_was_nothing_a_history_is_put(path: Path, target: Path):
    copy(path, target)
    other = path.with_name("other.sqlite")
    fresh = path.with_name("fresh")
    rebuild(target, fresh, ours=True)
    assert exchange(other, fresh, path.with_name("aside")) == ""
    assert not path.with_name("aside").exists()
    assert len(numbers(other)) == ROWS


def test_a_reader_that_does_not_let_go_makes_no_half_exchange(
    path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(copies, "BUSY_TIMEOUT", 0.01)
    monkeypatch.setattr(copies, "PAUSE", 0.001)
    copy(path, target)
    fresh = path.with_name("fresh")
    rebuild(target, fresh, ours=True)
    book = SqliteLedger(path, gather=0.001)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM usage").fetchone()
        book.append(row(ROWS + 1))
        assert book.flush()
        with pytest.raises(Unavailable, match="in use"):
            exchange(path, fresh, path.with_name("aside"))
    assert (path.with_name("aside").exists(), fresh.exists()) == (False, True)
    assert len(book.recent(1000)) == ROWS + 1
    assert book.close()


def test_each_version_has_the_shape_that_its_steps_make():
    for version in range(1, len(STEPS) + 1):
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as there:
            upgrade(there, version)
            names = {name for (name,) in there.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert set(shape.shape(version).tables) == names - {"_sqlite_migrations"}


def test_no_damaged_page_makes_a_ledger_hang_or_fail_in_an_unknown_way(path: Path):
    with closing(sqlite3.connect(path)) as there:
        there.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sound, chance, found = path.read_bytes(), random.Random(11), 0
    for number in range(100):
        copies.remove(path)
        path.write_bytes(sound)
        damaged(path, chance)
        book = SqliteLedger(path, gather=0.001, retry=0.001)
        book.append(row(ROWS + number))
        unreadable = []
        for look in (partial(book.recent, 1000), book.totals, partial(book.spent, ["team-a"], 0, 10)):
            try:
                look()
            except Unavailable as error:
                unreadable.append(error.fault.code)
        assert set(unreadable) <= {"ledger_unavailable"}
        deadline = time.monotonic() + 10
        while not book.flush(0.01) and book.health().ok:
            assert time.monotonic() < deadline
        assert book.health().pending == (0 if book.health().ok else 1)
        found += bool(copies.check(path))
        book.close()
    assert found > 50


def test_sums_are_made_of_the_rows_whatever_a_file_says_of_them(given: Path, tmp_path: Path):
    change("UPDATE usage_sums SET requests = 999999, cost = '999999'")(given)
    fresh = tmp_path / "fresh.sqlite"
    rebuild(given, fresh, ours=False)
    with closing(sqlite3.connect(fresh)) as there:
        told = there.execute("SELECT span, sum(requests), sum(cost) FROM usage_sums GROUP BY span").fetchall()
    assert told == [(3600, ROWS, 0.25 * ROWS), (86400, ROWS, 0.25 * ROWS)]


def noted(path: Path, *actions: str) -> None:
    log = SqliteAudit(path, path.with_name("audit.key"))
    for number, action in enumerate(actions):
        log.append(Entry(at=float(number), actor="a", via="key", action=action))
    assert log.close()


def test_no_copy_takes_back_what_was_done(path: Path, target: Path):
    noted(path, "keys.create")
    copy(path, target)
    noted(path, "keys.delete", "keys.create")
    for ours in (True, False):
        fresh = path.with_name("fresh")
        rebuild(target, fresh, ours=ours)
        exchange(path, fresh, path.with_name(f"aside-{ours}"))
        noted(path, "backups.restore")
    log = SqliteAudit(path, path.with_name("audit.key"))
    rows, total = log.page(Wanted())
    told = [each.entry.action for each in reversed(rows)]
    assert told == ["keys.create", "keys.delete", "keys.create", "backups.restore", "backups.restore"]
    assert (total, log.verify().ok) == (5, True)
    assert log.close()


def test_where_nothing_can_be_read_the_record_of_a_copy_counts_and_never_that_of_a_file(path: Path, target: Path):
    noted(path, "keys.create")
    copy(path, target)
    for ours, expected in ((True, 1), (False, 0)):
        path.write_bytes(b"no database " * 1000)
        fresh = path.with_name("fresh")
        rebuild(target, fresh, ours=ours)
        assert exchange(path, fresh, path.with_name(f"aside-{ours}")) != ""
        with closing(sqlite3.connect(path)) as there:
            assert there.execute("SELECT count(*) FROM audit").fetchone() == (expected,)


def test_what_was_done_is_mended_as_far_as_a_copy_knows_it(path: Path, target: Path):
    noted(path, "keys.create", "keys.update")
    copy(path, target)
    noted(path, "keys.delete")
    change("UPDATE audit SET entry = '{}', action = 'x' WHERE number = 1")(path)
    fresh = path.with_name("fresh")
    rebuild(target, fresh, ours=True)
    assert exchange(path, fresh, path.with_name("aside")) == ""
    assert verify(path, path.with_name("audit.key")).ok
    change("UPDATE audit SET entry = '{}', action = 'x' WHERE number = 3")(path)
    rebuild(target, fresh, ours=True)
    exchange(path, fresh, path.with_name("aside-2"))
    assert verify(path, path.with_name("audit.key")).broken_at == 3  # no copy has it, so it stays told


def test_a_record_whose_values_are_of_other_types_is_damaged(path: Path, target: Path):
    noted(path, "keys.create")
    copy(path, target)
    noted(path, "keys.delete")
    change("UPDATE audit SET entry = x'00' WHERE number = 2")(path)
    fresh = path.with_name("fresh")
    rebuild(target, fresh, ours=True)
    assert "a type" in exchange(path, fresh, path.with_name("aside"))
    assert inspect(copy_of(path)).rows["audit"] == 1


def copy_of(path: Path) -> Path:
    target = path.with_name("another.sqlite")
    copy(path, target)
    return target


def test_words_that_are_no_text_are_a_damage_like_any_other(path: Path, target: Path):
    copy(path, target)
    change(
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_master SET name = CAST(x'a5a5' AS TEXT), sql = CAST(x'435245415445205441424c4520' AS TEXT)",
    )(path)
    with pytest.raises(UnicodeDecodeError), closing(sqlite3.connect(path)) as there:
        there.execute("SELECT * FROM usage")
    with pytest.raises(Unfit):
        inspect(path)
    with pytest.raises(Unavailable):
        copy(path, path.with_name("other.sqlite"))
    with pytest.raises(Unavailable):
        spent(path, ["team-a"], 0, 10)
    assert copies.check(path)
    fresh = path.with_name("fresh")
    rebuild(target, fresh, ours=True)
    assert exchange(path, fresh, path.with_name("aside"))
    assert len(numbers(path)) == ROWS
