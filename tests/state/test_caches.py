"""Answers that are kept: bounds, time, and the file behind them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing

import pytest

from omniroute.state.base import Keeping
from omniroute.state.cache import NAMES, MemoryCache
from omniroute.state.cache_file import SqliteCache

KEEPING = Keeping(ttl=60.0, entries=3, bytes=100)


@pytest.fixture(params=["memory", "file"])
def cache(request, tmp_path):
    """Each of the caches, for the contract that both keep."""
    one = MemoryCache() if request.param == "memory" else SqliteCache(tmp_path / "d" / "o.sqlite", gather=0.01)
    yield one
    one.close()


def test_what_was_put_is_there_until_its_time_is_over(cache):
    cache.put(b"k", b"value", 100.0, KEEPING)
    assert cache.get(b"k", 159.9) == b"value"
    assert cache.get(b"k", 160.0) is None
    assert len(cache) == 0


def test_what_was_not_asked_for_the_longest_makes_room(cache):
    for number in range(3):
        cache.put(b"%d" % number, b"value", 0.0, KEEPING)
    cache.get(b"0", 1.0)
    cache.put(b"3", b"value", 1.0, KEEPING)
    assert [cache.get(b"%d" % number, 1.0) for number in range(4)] == [b"value", None, b"value", b"value"]


def test_bytes_are_bounded_and_one_that_is_larger_than_all_of_them_drives_out_nothing(cache):
    cache.put(b"a", b"x" * 60, 0.0, KEEPING)
    cache.put(b"b", b"x" * 101, 0.0, KEEPING)
    assert cache.get(b"a", 0.0) is not None
    assert cache.get(b"b", 0.0) is None
    cache.put(b"c", b"x" * 60, 0.0, KEEPING)
    assert (cache.get(b"a", 0.0), cache.get(b"c", 0.0)) == (None, b"x" * 60)


def test_the_newest_value_of_a_key_counts(cache):
    cache.put(b"k", b"one", 0.0, KEEPING)
    cache.put(b"k", b"two", 50.0, KEEPING)
    assert cache.get(b"k", 100.0) == b"two"
    assert len(cache) == 1


def test_names_lead_to_keys_and_are_bounded(cache):
    for number in range(100):
        cache.name(b"%d" % number, b"key", KEEPING)
    assert cache.named(b"0") is None
    assert cache.named(b"99") == b"key"
    assert sum(cache.named(b"%d" % number) is not None for number in range(100)) == 3 * NAMES


# --------------------------------------------------------------------------------------------------------- the file


def rows(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT key, value FROM cache ORDER BY key").fetchall()


def warmed(path, now, keeping=KEEPING):
    cache = SqliteCache(path)
    asyncio.run(cache.warm(now, keeping))
    return cache


def test_a_new_process_begins_where_the_last_one_ended(tmp_path):
    path = tmp_path / "o.sqlite"
    first = SqliteCache(path)
    for number in range(4):
        first.put(b"%d" % number, b"value", float(number), KEEPING)
    first.close()
    assert [key for key, _ in rows(path)] == [b"1", b"2", b"3"]
    second = warmed(path, 61.5)
    assert [second.get(b"%d" % number, 61.5) for number in range(4)] == [None, None, b"value", b"value"]
    second.close()


def test_a_smaller_cache_takes_up_what_ends_last_and_deletes_the_rest(tmp_path):
    path = tmp_path / "o.sqlite"
    first = SqliteCache(path)
    for number in range(3):
        first.put(b"%d" % number, b"value", float(number), KEEPING)
    first.close()
    second = warmed(path, 3.0, Keeping(ttl=60.0, entries=1, bytes=100))
    second.close()
    assert [key for key, _ in rows(path)] == [b"2"]


def test_nothing_is_written_while_a_request_is_served(tmp_path):
    path = tmp_path / "o.sqlite"
    cache = SqliteCache(path, gather=60.0)
    cache.put(b"k", b"value", 0.0, KEEPING)
    assert cache.get(b"k", 0.0) == b"value"
    assert not path.exists()
    cache.close()
    assert rows(path) == [(b"k", b"value")]


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
    cache.put(b"k", b"value", 0.0, KEEPING)
    time.sleep(0.1)
    assert cache.get(b"k", 0.0) == b"value"
    cache.close()


def test_a_file_that_was_deleted_is_made_again(tmp_path):
    path = tmp_path / "o.sqlite"
    cache = SqliteCache(path, gather=0.01)
    cache.put(b"a", b"value", 0.0, KEEPING)
    until(lambda: path.exists() and not cache._changes)
    time.sleep(0.1)
    path.unlink()
    assert cache.get(b"a", 0.0) == b"value"
    cache.put(b"b", b"value", 0.0, KEEPING)
    cache.close()
    assert (b"b", b"value") in rows(path)


def test_the_ledger_and_the_cache_bring_a_new_file_up_to_date_side_by_side(tmp_path):
    from omniroute.state.sqlite import SqliteLedger

    for number in range(5):
        path = tmp_path / f"{number}.sqlite"
        ledger, cache = SqliteLedger(path, gather=0.0), SqliteCache(path, gather=0.0)
        cache.put(b"k", b"value", 0.0, KEEPING)
        ledger.flush()
        cache.close()
        assert ledger.health().ok, ledger.health()
        ledger.close()
        assert rows(path) == [(b"k", b"value")]
