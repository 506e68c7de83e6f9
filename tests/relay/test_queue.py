"""Waiting for a place, in virtual time: who gets it, who does not, and that none is ever lost."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from support.tables import PROFILE, combo, connection, target
from support.waiting import Rig, played, schedule

from omniroute.routing.tables import Queue, Route

ONE = combo("one", "priority", target("a/m", connection("a.x", max_concurrent=1)))
PATIENT = Queue(max_wait=4.0, concurrent=None)
SCHEDULES = 2000


def served(rig: Rig) -> list[str]:
    """The requests in the order in which they got their places."""
    return [name for _, name, what in rig.log if what.startswith("at ")]


def ended(rig: Rig, name: str) -> tuple[float, str]:
    return next((at, what) for at, one, what in reversed(rig.log) if one == name)


async def together(rig: Rig, *requests: tuple[str, str], route: Route = ONE, seconds: float = 1.0) -> list[str]:
    return await asyncio.gather(*(rig.request(name, route, seconds, key=key) for name, key in requests))


def test_requests_wait_for_a_place_and_get_it_in_the_order_they_came():
    rig = played(PATIENT, lambda rig: together(rig, *[(str(number), "k") for number in range(4)]))
    assert served(rig) == ["0", "1", "2", "3"]
    assert [at for at, _, what in rig.log if what.startswith("at ")] == pytest.approx([0, 1, 2, 3])


def test_whoever_waits_too_long_is_told_to_come_again():
    rig = played(PATIENT, lambda rig: together(rig, ("0", "k"), ("1", "k"), seconds=9.0))
    assert ended(rig, "1") == (pytest.approx(4.0), "refused all_connections_cooling")


def test_without_a_wait_nobody_waits():
    rig = played(Queue(max_wait=0.0, concurrent=1), lambda rig: together(rig, ("0", "k"), ("1", "k")))
    assert ended(rig, "1") == (0.0, "refused all_connections_cooling")


def test_the_wait_ends_with_the_deadline_of_the_request():
    rig = played(Queue(max_wait=60.0, concurrent=None), lambda rig: together(rig, ("0", "k"), ("1", "k"), seconds=9.0))
    assert ended(rig, "1") == (pytest.approx(5.0), "refused all_connections_cooling"), "`timeouts.total` is 5 s"


def test_keys_take_turns():
    many = [(f"a{number}", "a") for number in range(5)]
    rig = played(
        Queue(20.0, None), lambda rig: together(rig, *many, ("b0", "b"), ("c0", "c"), ("b1", "b"), seconds=0.3)
    )
    assert served(rig) == ["a0", "a1", "b0", "c0", "a2", "b1", "a3", "a4"]


def test_the_gateways_own_places_count_over_all_connections():
    settings = Queue(max_wait=20.0, concurrent=2)
    routes = [combo(name, "priority", target(f"{name}/m")) for name in "abc"]

    async def play(rig: Rig) -> None:
        await asyncio.gather(*(rig.request(str(n), routes[n % 3], 1.0) for n in range(6)))

    rig = played(settings, play)
    assert rig.most["gateway"] == 2
    assert [at for at, _, what in rig.log if what.startswith("at ")] == pytest.approx([0, 0, 1, 1, 2, 2])


def test_a_client_that_leaves_frees_its_place_in_the_line():
    async def play(rig: Rig) -> None:
        tasks = [asyncio.ensure_future(rig.request(str(n), ONE, 1.0)) for n in range(3)]
        await asyncio.sleep(0.5)
        tasks[1].cancel()
        await asyncio.wait(tasks)

    rig = played(PATIENT, play)
    assert served(rig) == ["0", "2"]
    assert ended(rig, "2") == (pytest.approx(2.0), "success")


def test_a_client_that_leaves_just_when_it_is_its_turn_passes_the_place_on():
    async def play(rig: Rig) -> None:
        tasks = [asyncio.ensure_future(rig.request(str(n), ONE, 1.0)) for n in range(3)]
        await asyncio.sleep(0)

        def leave_at_the_turn() -> None:
            if rig.state.line.waiting == 2:
                rig.loop.call_soon(leave_at_the_turn)
            else:
                tasks[1].cancel()

        rig.loop.call_at(rig.loop.now + 1.0, leave_at_the_turn)
        await asyncio.wait(tasks)

    rig = played(PATIENT, play)
    assert served(rig) == ["0", "2"]


def test_a_place_that_was_waited_for_is_kept_while_the_request_gathers_what_it_needs():
    async def play(rig: Rig) -> None:
        first = asyncio.ensure_future(rig.request("first", ONE, 1.0))
        await asyncio.sleep(0)
        waits = asyncio.ensure_future(rig.request("waits", ONE, 1.0, gather=0.5))
        await asyncio.sleep(1.2)
        late = asyncio.ensure_future(rig.request("late", ONE, 1.0))
        await asyncio.wait([first, waits, late])

    rig = played(PATIENT, play)
    assert served(rig) == ["first", "waits", "late"]
    assert ended(rig, "waits") == (pytest.approx(2.5), "success")


def test_a_short_cooldown_is_waited_for_and_a_long_one_is_not():
    def cooling(seconds: float):
        async def play(rig: Rig) -> None:
            rig.state.breakers.note("a.x", "rate_limited", rig.loop.time(), seconds, PROFILE)
            await together(rig, ("0", "k"), ("1", "k"))

        return play

    rig = played(PATIENT, cooling(2.0))
    assert [at for at, _, what in rig.log if what.startswith("at ")] == pytest.approx([2, 3])
    rig = played(PATIENT, cooling(30.0))
    assert ended(rig, "0") == (0.0, "refused all_connections_cooling")


def test_a_connection_that_is_probed_is_tried_by_one_and_then_open_to_all_who_wait():
    free = combo("free", "priority", target("a/m", connection("a.x")))

    async def play(rig: Rig) -> None:
        rig.state.breakers.note("a.x", "auth", rig.loop.time(), None, PROFILE)
        await together(rig, *[(str(n), "k") for n in range(4)], route=free, seconds=0.3)

    rig = played(Queue(max_wait=4.5, concurrent=None), play)
    assert [at for at, _, what in rig.log if what.startswith("at ")] == pytest.approx([3, 3.3, 3.3, 3.3])


def test_the_one_try_is_promised_to_one_also_while_that_gathers_what_it_needs():
    free = combo("free", "priority", target("a/m", connection("a.x")))

    async def play(rig: Rig) -> None:
        rig.state.breakers.note("a.x", "auth", rig.loop.time(), None, PROFILE)
        await asyncio.gather(*(rig.request(str(n), free, 0.3, gather=0.1) for n in range(3)))

    rig = played(Queue(max_wait=4.5, concurrent=None), play)
    assert [ended(rig, name)[1] for name in "012"] == ["success"] * 3


def test_a_full_line_turns_away_whoever_comes():
    rig = played(PATIENT, lambda rig: together(rig, *[(str(n), "k") for n in range(5)]), length=2)
    assert served(rig) == ["0", "1", "2"]
    assert [ended(rig, name)[0] for name in "34"] == [0.0, 0.0]


def test_a_place_that_is_free_elsewhere_is_taken_by_whoever_may_use_it():
    x, y = connection("a.x", max_concurrent=1), connection("a.y", max_concurrent=1)
    only_x = combo("x", "priority", target("a/m", x))
    both = combo("both", "priority", target("a/m", x, y))

    async def play(rig: Rig) -> None:
        await asyncio.gather(
            rig.request("long", only_x, 3.0),
            rig.request("short", both, 1.0),
            rig.request("waits for x", only_x, 1.0),
            rig.request("waits for any", both, 1.0),
        )

    rig = played(PATIENT, play)
    assert [(at, name) for at, name, what in rig.log if what.startswith("at ")][2:] == [
        (pytest.approx(1.0), "waits for any"),
        (pytest.approx(3.0), "waits for x"),
    ]


def test_no_place_is_lost_and_nobody_waits_in_vain_in_random_schedules():
    seen: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        _, outcomes = schedule(seed)
        seen.update(outcomes)
    assert {"success", "cancelled", "rate_limited", "refused all_connections_cooling"} <= set(seen)
