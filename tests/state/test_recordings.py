"""Recordings of answers: who reads along, what is kept, and for how long."""

from __future__ import annotations

import asyncio

from omniroute.state.base import Keeping
from omniroute.state.idempotency import SHARE, MemoryIdempotency, Recording

KEEPING = Keeping(ttl=5.0, entries=3, bytes=1600)


def piece(text: bytes, *, more: bool = True):
    return {"type": "http.response.body", "body": text, "more_body": more}


class Client:
    """Reads what it is sent, when it is let."""

    def __init__(self, *, stalled: bool = False) -> None:
        self.heard = b""
        self.free = asyncio.Event()
        if not stalled:
            self.free.set()

    async def send(self, message) -> None:
        await self.free.wait()
        self.heard += message["body"]


def test_a_client_that_reads_nothing_holds_up_neither_the_work_nor_the_others():
    async def scene():
        recording = Recording(b"", 100)
        slow, quick = Client(stalled=True), Client()
        for client in (slow, quick):
            recording.join(client)
        readers = [asyncio.create_task(recording.read(client, client.send)) for client in (slow, quick)]
        for number in range(9):
            await asyncio.wait_for(recording.write(piece(b"%d" % number)), 1)
        recording.end()
        await asyncio.wait_for(readers[1], 1)
        assert quick.heard == b"012345678"
        assert slow.heard == b""
        slow.free.set()
        await asyncio.wait_for(readers[0], 1)
        assert slow.heard == quick.heard

    asyncio.run(scene())


def test_who_joins_late_hears_all_from_the_beginning():
    async def scene():
        recording = Recording(b"", 100)
        await recording.write(piece(b"one"))
        await recording.write(piece(b"two"))
        late = Client()
        recording.join(late)
        reading = asyncio.create_task(recording.read(late, late.send))
        await asyncio.sleep(0)
        await recording.write(piece(b"three"))
        recording.end()
        await asyncio.wait_for(reading, 1)
        assert late.heard == b"onetwothree"

    asyncio.run(scene())


def test_what_is_too_long_waits_for_the_slowest_and_is_let_go_of():
    async def scene():
        recording = Recording(b"", 10)
        slow, quick = Client(stalled=True), Client()
        for client in (slow, quick):
            recording.join(client)
        readers = [asyncio.create_task(recording.read(client, client.send)) for client in (slow, quick)]
        await recording.write(piece(b"x" * 10))
        writing = asyncio.create_task(recording.write(piece(b"y")))
        ping = asyncio.create_task(recording.write(piece(b"z")))
        await asyncio.sleep(0.01)
        assert not recording.whole
        assert not writing.done()
        slow.free.set()
        await asyncio.wait_for(asyncio.gather(writing, ping), 1)
        assert recording._messages == []
        recording.end()
        await asyncio.wait_for(asyncio.gather(*readers), 1)
        assert slow.heard == quick.heard == b"xxxxxxxxxxyz"

    asyncio.run(scene())


def test_a_reader_that_leaves_no_longer_counts():
    async def scene():
        recording = Recording(b"", 0)
        gone = Client(stalled=True)
        recording.join(gone)
        writing = asyncio.create_task(recording.write(piece(b"x")))
        await asyncio.sleep(0)
        assert not writing.done()
        recording.leave(gone)
        await asyncio.wait_for(writing, 1)
        assert recording.readers == 0

    asyncio.run(scene())


def recorded(table: MemoryIdempotency, key: bytes, now: float, size: int = 10) -> Recording:
    recording = table.begin(key, b"digest", KEEPING, now)
    asyncio.run(recording.write(piece(b"x" * size)))
    recording.end()
    table.keep(key, recording, KEEPING, now)
    return recording


def test_an_answer_is_found_while_it_is_made_and_for_a_window_after():
    table = MemoryIdempotency()
    recording = table.begin(b"k", b"d", KEEPING, 0.0)
    assert table.find(b"k", 1e9) is recording
    table.keep(b"k", recording, KEEPING, 100.0)
    assert table.find(b"k", 104.9) is recording
    assert table.find(b"k", 105.0) is None


def test_what_is_dropped_is_not_found():
    table = MemoryIdempotency()
    recording = table.begin(b"k", b"d", KEEPING, 0.0)
    table.drop(b"k", recording)
    assert table.find(b"k", 0.0) is None


def test_the_oldest_make_room_by_number_by_bytes_and_by_time():
    table = MemoryIdempotency()
    for number in range(5):
        recorded(table, b"%d" % number, number / 10)
    assert [table.find(b"%d" % number, 1.0) is not None for number in range(5)] == [False, False, True, True, True]
    assert len(table) == 3
    for number in range(5):
        recorded(table, b"%d" % number, 2.0, size=KEEPING.bytes // SHARE)
    assert table.bytes <= KEEPING.bytes
    recorded(table, b"last", 99.0)
    assert len(table) == 1
    assert table.bytes == 10


def test_an_endless_row_of_names_takes_no_more_memory():
    table = MemoryIdempotency()
    for number in range(10_000):
        table.begin(b"%d" % number, b"", KEEPING, number)
    assert len(table) == 3
