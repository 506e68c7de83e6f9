"""Answers that are kept: bounds, time, and the file behind them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing

import pytest

from omniroute.state.base import Keeping
from omniroute.state.cache import NAMES, MemoryCache, Written
from omniroute.state.cache_file import SqliteCache

KEEPING = Keeping(ttl=60.0, entries=3, bytes=100)
OUTLINE = b"from"


def item(value=b"value", key=b"k", outline=OUTLINE):
    return Written(outline, key.ljust(32), value)


def given(cache, name, now=0.0):
    """What is kept under the name."""
    entry = cache.get(name, now)
    return None if entry is None else entry.item.value()


def found(cache, key, now=0.0, outline=OUTLINE):
    """The name of what has the key."""
    entry = cache.find(outline, lambda: key.ljust(32), now)
    return None if entry is None else entry.name


@pytest.fixture(params=["memory", "file"])
def cache(request, tmp_path):
    """Each of the caches, for the contract that both keep."""
    one = MemoryCache() if request.param == "memory" else SqliteCache(tmp_path / "d" / "o.sqlite", gather=0.01)
    yield one
    one.close()


def test_what_was_put_is_there_until_its_time_is_over(cache):
    cache.put(b"k", item(b"value", b"k"), 100.0, KEEPING)
    assert given(cache, b"k", 159.9) == b"value"
    assert given(cache, b"k", 160.0) is None
    assert len(cache) == 0


def test_what_was_not_asked_for_the_longest_makes_room(cache):
    for number in range(3):
        cache.put(b"%d" % number, item(b"value", b"%d" % number), 0.0, KEEPING)
    given(cache, b"0", 1.0)
    cache.put(b"3", item(b"value", b"3"), 1.0, KEEPING)
    assert [given(cache, b"%d" % number, 1.0) for number in range(4)] == [b"value", None, b"value", b"value"]


def test_bytes_are_bounded_and_one_that_is_larger_than_all_of_them_drives_out_nothing(cache):
    cache.put(b"a", item(b"x" * 60, b"a"), 0.0, KEEPING)
    cache.put(b"b", item(b"x" * 101, b"b"), 0.0, KEEPING)
    assert given(cache, b"a", 0.0) is not None
    assert given(cache, b"b", 0.0) is None
    cache.put(b"c", item(b"x" * 60, b"c"), 0.0, KEEPING)
    assert (given(cache, b"a", 0.0), given(cache, b"c", 0.0)) == (None, b"x" * 60)


def test_the_newest_value_of_a_key_counts(cache):
    cache.put(b"k", item(b"one", b"k"), 0.0, KEEPING)
    cache.put(b"k", item(b"two", b"k"), 50.0, KEEPING)
    assert given(cache, b"k", 100.0) == b"two"
    assert len(cache) == 1


def test_other_names_lead_to_what_is_kept_and_are_bounded(cache):
    cache.put(b"k", item(), 0.0, KEEPING)
    for number in range(100):
        cache.name(b"%d" % number, b"k", KEEPING)
    assert given(cache, b"0") is None
    assert given(cache, b"99") == b"value"
    assert sum(given(cache, b"%d" % number) is not None for number in range(100)) == 3 * NAMES


def test_what_is_written_otherwise_is_found_by_its_outline_and_its_key(cache):
    cache.put(b"a", item(key=b"one"), 0.0, KEEPING)
    cache.put(b"b", item(key=b"two"), 0.0, KEEPING)
    cache.put(b"c", item(key=b"three", outline=b"else"), 0.0, KEEPING)
    assert [found(cache, key) for key in (b"one", b"two", b"three")] == [b"a", b"b", None]
    assert found(cache, b"three", outline=b"else") == b"c"
    cache.put(b"d", item(key=b"four"), 30.0, KEEPING)  # and lets go of the first
    assert [found(cache, key) for key in (b"one", b"two", b"four")] == [None, b"b", b"d"]
    assert [found(cache, key, 70.0) for key in (b"two", b"four")] == [None, b"d"]
    cache.drop(b"d")
    assert found(cache, b"four") is None


def test_nobody_is_asked_for_a_key_where_nothing_can_be_the_same(cache):
    def key():
        raise AssertionError

    cache.put(b"a", item(), 0.0, KEEPING)
    assert cache.find(b"else", key, 0.0) is None
    cache.drop(b"a")
    assert cache.find(OUTLINE, key, 0.0) is None


def test_of_two_that_were_kept_at_once_for_the_same_one_may_go(cache):
    for name in (b"a", b"b"):
        cache.put(name, item(), 0.0, KEEPING)
    first = found(cache, b"k")
    cache.drop({b"a": b"b", b"b": b"a"}[first])
    assert found(cache, b"k") == first
    cache.drop(first)
    assert found(cache, b"k") is None
    assert len(cache) == 0


class Draft:
    """Asked for what it says as late as possible."""

    outline = OUTLINE
    size = 10

    def __init__(self, key=b"k", value=b"value"):
        self.answer, self.digest, self.asked = value, key.ljust(32), 0

    def key(self):
        return self.digest

    def value(self):
        self.asked += 1
        return self.answer


# --------------------------------------------------------------------------------------------------------- the file


def rows(path):
    """The keys, without what they begin with and end in here, and the values."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT key, value FROM cache ORDER BY key").fetchall()
    return [(key.removeprefix(OUTLINE).rstrip(), value) for key, value in found]


def warmed(path, now, keeping=KEEPING):
    cache = SqliteCache(path)
    asyncio.run(cache.warm(now, keeping))
    return cache


def test_a_new_process_begins_where_the_last_one_ended(tmp_path):
    path = tmp_path / "o.sqlite"
    first = SqliteCache(path)
    for number in range(4):
        first.put(b"%d" % number, item(b"value", b"%d" % number), float(number), KEEPING)
    first.close()
    assert [key for key, _ in rows(path)] == [b"1", b"2", b"3"]
    second = warmed(path, 61.5)
    names = [found(second, b"%d" % number, 61.5) for number in range(4)]
    assert names[:2] == [None, None]
    assert [given(second, name, 61.5) for name in names[2:]] == [b"value", b"value"]
    second.close()


def test_a_smaller_cache_takes_up_what_ends_last_and_deletes_the_rest(tmp_path):
    path = tmp_path / "o.sqlite"
    first = SqliteCache(path)
    for number in range(3):
        first.put(b"%d" % number, item(b"value", b"%d" % number), float(number), KEEPING)
    first.close()
    second = warmed(path, 3.0, Keeping(ttl=60.0, entries=1, bytes=100))
    second.close()
    assert [key for key, _ in rows(path)] == [b"2"]


def test_nothing_is_written_while_a_request_is_served(tmp_path):
    path = tmp_path / "o.sqlite"
    cache = SqliteCache(path, gather=60.0)
    cache.put(b"k", item(b"value", b"k"), 0.0, KEEPING)
    assert given(cache, b"k", 0.0) == b"value"
    assert not path.exists()
    cache.close()
    assert rows(path) == [(b"k", b"value")]


def test_only_what_has_stayed_is_looked_into_and_written(tmp_path):
    path = tmp_path / "o.sqlite"
    cache = SqliteCache(path, gather=60.0)
    drafts = [Draft(b"%d" % number) for number in range(5)]
    for number, draft in enumerate(drafts):
        cache.put(b"%d" % number, draft, 0.0, KEEPING)
    cache.put(b"no", Draft(value=None), 0.0, KEEPING)
    cache.close()
    assert [draft.asked for draft in drafts] == [0, 0, 0, 1, 1]
    assert [key for key, _ in rows(path)] == [b"3", b"4"]


def test_what_has_been_looked_into_to_be_written_is_kept_as_that(tmp_path):
    cache = SqliteCache(tmp_path / "o.sqlite", gather=0.0)
    draft = Draft()
    cache.put(b"k", draft, 0.0, KEEPING)
    until(lambda: cache._known)
    cache.put(b"other", item(key=b"other"), 0.0, KEEPING)
    assert cache.get(b"k", 0.0).item == Written(OUTLINE, b"k".ljust(32), b"value")
    assert cache._memory.bytes == 10
    cache.close()


def test_what_goes_after_it_was_written_goes_from_the_file_too(tmp_path):
    path = tmp_path / "o.sqlite"
    cache = SqliteCache(path, gather=0.0)
    for key in (b"a", b"b"):
        cache.put(key, item(key=key), 0.0, KEEPING)
    until(lambda: path.exists() and len(cache._rows) == 2 and not cache._changes)
    cache.drop(b"a")
    cache.close()
    assert [key for key, _ in rows(path)] == [b"b"]


def test_what_an_earlier_version_has_written_is_let_go(tmp_path):
    path = tmp_path / "o.sqlite"
    first = SqliteCache(path)
    first.put(b"k", item(), 0.0, KEEPING)
    first.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO cache (key, value, ends) VALUES (?, 'x', 100.0)", (b"d" * 32,))
        connection.commit()
    second = warmed(path, 0.0)
    assert len(second) == 1
    second.close()
    assert [key for key, _ in rows(path)] == [b"k"]


def written(path):
    """Whether there is a row."""
    try:
        return bool(rows(path))
    except sqlite3.OperationalError:
        return False


def until(what, seconds=5.0):
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.005)


@pytest.mark.parametrize("state", ["missing", "no database", "a folder", "without the table"])
def test_a_file_that_cannot_be_used_leaves_a_cache_in_memory(tmp_path, state, caplog):
    path = tmp_path / "o.sqlite"
    if state == "no database":
        path.write_bytes(b"not a database" * 1000)
    elif state == "a folder":
        path.mkdir()
    elif state == "without the table":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE something (x)")
    cache = SqliteCache(path, gather=0.01)
    asyncio.run(cache.warm(0.0, KEEPING))
    cache.put(b"k", item(b"value", b"k"), 0.0, KEEPING)
    time.sleep(0.1)
    assert given(cache, b"k", 0.0) == b"value"
    cache.close()


def test_a_file_that_was_deleted_is_made_again(tmp_path):
    path = tmp_path / "o.sqlite"
    cache = SqliteCache(path, gather=0.01)
    cache.put(b"a", item(b"value", b"a"), 0.0, KEEPING)
    until(lambda: path.exists() and not cache._changes)
    until(lambda: written(path))
    path.unlink()
    assert given(cache, b"a", 0.0) == b"value"
    cache.put(b"b", item(b"value", b"b"), 0.0, KEEPING)
    cache.close()
    assert (b"b", b"value") in rows(path)


def test_the_ledger_and_the_cache_bring_a_new_file_up_to_date_side_by_side(tmp_path):
    from omniroute.state.sqlite import SqliteLedger

    for number in range(5):
        path = tmp_path / f"{number}.sqlite"
        ledger, cache = SqliteLedger(path, gather=0.0), SqliteCache(path, gather=0.0)
        cache.put(b"k", item(b"value", b"k"), 0.0, KEEPING)
        ledger.flush()
        cache.close()
        assert ledger.health().ok, ledger.health()
        ledger.close()
        assert rows(path) == [(b"k", b"value")]
