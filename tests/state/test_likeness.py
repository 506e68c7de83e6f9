"""Vectors of what was asked: found within a partition, bounded, forgotten."""

from __future__ import annotations

import random

import pytest

from omniroute.state.base import Keeping
from omniroute.state.likeness import MemoryLikeness

KEEPING = Keeping(ttl=60.0, entries=3, bytes=1000)


def test_the_nearest_is_found_with_its_cosine():
    kept = MemoryLikeness()
    kept.put(b"p", [3.0, 0.0], b"east", 0.0, KEEPING)
    kept.put(b"p", [0.0, 2.0], b"north", 0.0, KEEPING)
    key, cosine = kept.nearest(b"p", [4.0, 3.0], 0.0)
    assert key == b"east"
    assert cosine == pytest.approx(0.8)


def test_another_partition_is_not_looked_into():
    kept = MemoryLikeness()
    kept.put(b"p", [1.0, 0.0], b"k", 0.0, KEEPING)
    assert kept.nearest(b"q", [1.0, 0.0], 0.0) is None


@pytest.mark.parametrize("vector", [[], [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_a_vector_without_a_direction_is_like_nothing(vector):
    kept = MemoryLikeness()
    kept.put(b"p", [1.0, 0.0], b"k", 0.0, KEEPING)
    kept.put(b"p", vector, b"odd", 0.0, KEEPING)
    assert kept.nearest(b"p", vector, 0.0) is None
    assert kept.nearest(b"p", [1.0, 0.0], 0.0)[0] == b"k"


def test_vectors_of_another_length_take_the_place_of_those_before():
    kept = MemoryLikeness()
    kept.put(b"p", [1.0, 0.0], b"old", 0.0, KEEPING)
    assert kept.nearest(b"p", [1.0, 0.0, 0.0], 0.0) is None
    kept.put(b"p", [1.0, 0.0, 0.0], b"new", 0.0, KEEPING)
    assert kept.nearest(b"p", [1.0, 0.0, 0.0], 0.0)[0] == b"new"
    assert len(kept) == 1


def test_the_oldest_make_room_by_number_bytes_and_time():
    kept = MemoryLikeness()
    for number in range(5):
        kept.put(b"p%d" % number, [1.0, 0.0], b"k%d" % number, float(number), KEEPING)
    assert len(kept) == 3
    assert kept.nearest(b"p1", [1.0, 0.0], 5.0) is None
    assert kept.nearest(b"p2", [1.0, 0.0], 62.0) is None
    assert len(kept) == 2
    kept.put(b"large", [1.0] * 250, b"large", 62.0, KEEPING)
    assert (len(kept), kept.bytes) == (1, 1000)


def test_what_is_forgotten_leaves_nothing_behind():
    kept = MemoryLikeness()
    rng = random.Random(1)
    for _ in range(200):
        kept.put(b"%d" % rng.randrange(3), [rng.random(), rng.random()], b"%d" % rng.randrange(9), 0.0, KEEPING)
        kept.nearest(b"%d" % rng.randrange(3), [rng.random(), rng.random()], 0.0)
        kept.forget(b"%d" % rng.randrange(9))
    for number in range(9):
        kept.forget(b"%d" % number)
    assert (len(kept), kept.bytes, kept._partitions, kept._tables) == (0, 0, {}, {})


def test_the_figures_of_precision_and_recall_count_what_they_say():
    """With vectors of letters, where the run by hand has a real model: tests/reliability/likeness.py."""
    from reliability.likeness import compare, figures, pairs

    assert sum(same for same, _, _ in pairs()) == 100
    assert len(set(pairs())) == len(pairs()) == 200
    letters = "abcdefghijklmnopqrstuvwxyz"
    near = compare(lambda texts: [[text.lower().count(letter) for letter in letters] for text in texts])
    told = figures(near)
    assert sum(one.kin for one in near) == 200
    assert sum(not one.kin for one in near) == 9_900
    assert [one.given for one in told] == sorted((one.given for one in told), reverse=True)
    assert told[0].given == sum(one.cosine >= 0.8 for one in near if one.kin)
    assert told[0].recall == sum(one.same and one.cosine >= 0.8 for one in near) / 100
    assert told[0].strange == sum(one.cosine >= 0.8 for one in near if not one.kin)
    assert all(0 <= one.precision <= 1 and one.wrong <= one.given for one in told)
