"""What the wire client does beyond the contract: its pool, its one timer, back-pressure, and any cut of the bytes."""

from __future__ import annotations

import asyncio
import gc
import gzip
import random
import socket
import warnings
from math import inf

import pytest
from raw_upstream import LOOPS, Peer, alone, asking, client_tls, saying, server_tls, serving

from omniroute.errors import UpstreamError
from omniroute.upstream import connection as connection_module
from omniroute.upstream.answer import Limits
from omniroute.upstream.transport import Deadlines, Origin
from omniroute.upstream.wire import Stats, Wire

OK = b"HTTP/1.1 200 OK\r\n"
HI = OK + b"content-length: 2\r\n\r\nhi"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
EMPTY = Stats(open=0, idle=0, waiting=0)


@pytest.fixture(params=list(LOOPS))
def run(request):
    """Runs a test with a client, and proves that nothing is left of it."""

    def runner(test, **options):
        async def main():
            wire = Wire(**options)
            try:
                return await test(wire)
            finally:
                await wire.close()
                await alone()
                assert wire.stats() == EMPTY

        return LOOPS[request.param](main())

    return runner


async def settled(wire: Wire, expected: Stats) -> None:
    """Returns when the connections are as expected; the loop needs a turn or two to close one."""
    async with asyncio.timeout(2):
        while wire.stats() != expected:
            await asyncio.sleep(0.002)


async def told(wire: Wire, origin: Origin, **options) -> tuple:
    """Status, headers, body and failure of one exchange."""
    try:
        reply = await wire.send(asking(origin, **options))
    except UpstreamError as error:
        return (0, [], b"", error.kind)
    body = b""
    try:
        while piece := await reply.chunk():
            body += piece
    except UpstreamError as error:
        return (reply.status, reply.headers, body, error.kind)
    return (reply.status, reply.headers, body, "")


# The pool.


def test_a_kept_connection_is_used_again(run):
    async def test(wire):
        async with serving(saying(HI, then="next")) as upstream:
            for _ in range(5):
                reply = await wire.send(asking(upstream.origin))
                assert await reply.read(10) == b"hi"
                reply.close()
                reply.close()
            assert (upstream.accepted, len(upstream.requests)) == (1, 5)

    run(test)


def test_a_connection_goes_back_when_its_answer_is_complete_even_if_nobody_reads_it(run):
    async def test(wire):
        async with serving(saying(HI, then="next")) as upstream:
            reply = await wire.send(asking(upstream.origin))
            assert wire.stats() == Stats(open=1, idle=1, waiting=0)
            assert await (await wire.send(asking(upstream.origin))).read(10) == b"hi"
            assert await reply.read(10) == b"hi"
            assert upstream.accepted == 1

    run(test)


def test_the_connection_used_last_is_used_first(run):
    names = iter("ABC")

    async def named(peer: Peer) -> None:
        name = next(names).encode()
        while True:
            await peer.request()
            await asyncio.sleep(0.01)
            await peer.send(OK + b"content-length: 1\r\n\r\n" + name)

    async def test(wire):
        async with serving(named) as upstream:

            async def ask() -> bytes:
                return await (await wire.send(asking(upstream.origin))).read(1)

            assert sorted(await asyncio.gather(ask(), ask(), ask())) == [b"A", b"B", b"C"]
            latest = await ask()
            assert [await ask() for _ in range(5)] == [latest] * 5

    run(test)


def test_equal_origins_share_connections_and_different_ones_do_not(run):
    async def test(wire):
        async with serving(saying(HI, then="next")) as one, serving(saying(HI, then="next")) as other:
            for upstream in (one, other, one, other):
                again = Origin(upstream.origin.scheme, upstream.origin.host, upstream.origin.port)
                assert await (await wire.send(asking(again))).read(10) == b"hi"
            assert (one.accepted, other.accepted) == (1, 1)

    run(test)


def test_an_idle_connection_expires(run):
    async def test(wire):
        async with serving(saying(HI, then="next")) as upstream:
            await (await wire.send(asking(upstream.origin))).read(10)
            assert wire.stats().idle == 1
            await upstream.quiet()
            assert wire.stats() == EMPTY

    run(test, keep_idle=0.05)


def test_an_idle_connection_that_the_provider_closes_is_forgotten(run):
    async def test(wire):
        async with serving(saying(HI, then="close")) as upstream:
            await (await wire.send(asking(upstream.origin))).read(10)
            await settled(wire, EMPTY)

    run(test)


def test_bytes_on_an_idle_connection_close_it(run):
    async def late(peer: Peer) -> None:
        await peer.request()
        await peer.send(HI)
        await asyncio.sleep(0.02)
        await peer.send(OK + b"content-length: 4\r\n\r\nevil")
        await peer.hang_up()

    async def test(wire):
        async with serving(late) as upstream:
            assert (await told(wire, upstream.origin))[2] == b"hi"
            await upstream.quiet()
            await settled(wire, EMPTY)
            assert (await told(wire, upstream.origin))[2] == b"hi"
            assert upstream.accepted == 2

    run(test)


def test_an_answer_before_the_request_was_sent_whole_closes_the_connection(run):
    async def impatient(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await asyncio.sleep(0.05)

    async def test(wire):
        async with serving(impatient) as upstream:
            status, _, body, _ = await told(wire, upstream.origin, body=bytes(30 << 20))
            assert (status, body) == (413, b"no")
            assert wire.stats().idle == 0

    run(test)


def test_a_stale_connection_is_replaced_once(run):
    async def stale(peer: Peer) -> None:
        await peer.request()
        await peer.send(HI)
        await peer.request()  # the second request on a connection is met with a closed door

    async def test(wire):
        async with serving(stale) as upstream:
            for _ in range(4):
                assert (await told(wire, upstream.origin))[2] == b"hi"
            assert (upstream.accepted, len(upstream.requests)) == (4, 7)

    run(test)


def test_a_stale_connection_is_not_replaced_twice(run):
    async def broken(peer: Peer) -> None:
        await peer.request()
        if peer.server.accepted == 1:
            await peer.send(HI)
            await peer.request()

    async def test(wire):
        async with serving(broken) as upstream:
            assert (await told(wire, upstream.origin))[2] == b"hi"
            assert (await told(wire, upstream.origin))[3] == "connect"
            assert (upstream.accepted, len(upstream.requests)) == (2, 3)

    run(test)


def test_a_new_connection_that_closes_at_once_is_not_tried_again(run):
    async def test(wire):
        async with serving(saying()) as upstream:
            assert (await told(wire, upstream.origin))[3] == "connect"
            assert len(upstream.requests) == 1

    run(test)


@pytest.mark.parametrize("start", [b"H", b"HTTP/1.1 100 C\r\n\r\n", OK, CHUNKED + b"1\r\n"])
def test_a_kept_connection_that_breaks_after_a_byte_of_the_answer_is_not_tried_again(run, start):
    async def breaking(peer: Peer) -> None:
        await peer.request()
        await peer.send(HI)
        await peer.request()
        await peer.send(start)

    async def test(wire):
        async with serving(breaking) as upstream:
            await told(wire, upstream.origin)
            assert (await told(wire, upstream.origin))[3] == "truncated"
            assert len(upstream.requests) == 2

    run(test)


def test_a_kept_connection_that_only_hangs_is_not_tried_again(run):
    async def hanging(peer: Peer) -> None:
        await peer.request()
        await peer.send(HI)
        await peer.request()
        await peer.hang_up()

    async def test(wire):
        async with serving(hanging) as upstream:
            await told(wire, upstream.origin)
            assert (await told(wire, upstream.origin, deadlines=Deadlines(1, 0.05, 1, 1)))[3] == "timeout"
            assert len(upstream.requests) == 2

    run(test)


def test_requests_wait_in_turn_for_a_place(run):
    async def test(wire):
        async with serving(saying(HI, then="next")) as upstream:
            order = []

            async def ask(number: int) -> None:
                await (await wire.send(asking(upstream.origin))).read(10)
                order.append(number)

            await asyncio.gather(*(ask(number) for number in range(50)))
            assert order == list(range(50))
            assert upstream.accepted == 1

    run(test, max_connections=1)


def test_a_place_passes_on_when_its_connection_breaks(run):
    async def test(wire):
        async with serving(saying()) as upstream:
            kinds = [answer[3] for answer in await asyncio.gather(*(told(wire, upstream.origin) for _ in range(20)))]
            assert kinds == ["connect"] * 20
            assert upstream.most == 1
            await settled(wire, EMPTY)

    run(test, max_connections=1)


def test_a_place_passes_on_when_dialling_fails(run):
    async def test(wire):
        async with serving(saying()) as upstream:
            origin = upstream.origin
        kinds = [answer[3] for answer in await asyncio.gather(*(told(wire, origin) for _ in range(20)))]
        assert kinds == ["connect"] * 20
        assert wire.stats() == EMPTY

    run(test, max_connections=2)


def test_requests_that_give_up_waiting_lose_no_place(run):
    async def slow(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.005)
            await peer.send(HI)

    async def test(wire):
        async with serving(slow) as upstream:
            choice = random.Random(7)
            for _ in range(20):
                tasks = [asyncio.create_task(told(wire, upstream.origin)) for _ in range(12)]
                for task in choice.sample(tasks, 8):
                    await asyncio.sleep(choice.random() * 0.004)
                    task.cancel()
                    assert wire.stats().open <= 2
                await asyncio.wait(tasks)
                assert all(task.cancelled() or task.result()[2] == b"hi" for task in tasks)
            await settled(wire, Stats(open=wire.stats().idle, idle=wire.stats().idle, waiting=0))
            assert (await told(wire, upstream.origin))[2] == b"hi"

    run(test, max_connections=2)


@pytest.mark.parametrize("what", ["a connection", "a place"])
def test_what_is_handed_to_a_request_in_the_moment_it_gives_up_is_not_lost(run, what):
    async def test(wire):
        async with serving(saying(HI, then="next")) as upstream:
            await told(wire, upstream.origin)
            pool = wire._pools[upstream.origin]
            held = pool.take()
            waiting = asyncio.create_task(told(wire, upstream.origin))
            await asyncio.sleep(0.01)
            assert wire.stats() == Stats(open=1, idle=0, waiting=1)
            if what == "a connection":
                pool.take_back(held)
            else:
                held.drop()
                pool.forget(held)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            kept = int(what == "a connection")
            assert wire.stats() == Stats(open=kept, idle=kept, waiting=0)
            assert (await told(wire, upstream.origin))[2] == b"hi"

    run(test, max_connections=1)


def test_a_connection_that_was_lost_on_its_way_to_a_request_is_not_asked(run):
    async def test(wire):
        async with serving(saying(HI, then="next")) as upstream:
            await told(wire, upstream.origin)
            lost = wire._pools[upstream.origin].take()
            lost.drop()
            await settled(wire, EMPTY)
            reply = lost.ask(asking(upstream.origin), b"", Limits(), ends=inf)
            with pytest.raises(UpstreamError) as caught:
                await asyncio.wait_for(reply.opened(), 1)
            assert caught.value.kind == "connect"

    run(test)


def test_close_ends_what_is_under_way_and_what_waits(run):
    async def test(wire):
        async with serving(saying(then="hang")) as upstream:
            tasks = [asyncio.create_task(told(wire, upstream.origin)) for _ in range(3)]
            await asyncio.sleep(0.03)
            assert wire.stats() == Stats(open=1, idle=0, waiting=2)
            await wire.close()
            assert [answer[3] for answer in await asyncio.gather(*tasks)] == ["connect"] * 3
            await upstream.quiet()

    run(test, max_connections=1)


# Deadlines.


def full_backlog() -> tuple[socket.socket, list[socket.socket]]:
    """A listening socket that accepts nobody any more: the kernel drops what arrives, as a dead host would."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(8):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        waiting.append(client)
    return listener, waiting


def test_a_connection_that_hangs_is_given_up(run):
    listener, waiting = full_backlog()
    try:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            try:
                probe.connect(listener.getsockname())
            except TimeoutError:
                pass
            else:
                pytest.skip("this kernel accepts more connections than the backlog holds")

        async def test(wire):
            origin = Origin("http", *listener.getsockname())
            started = asyncio.get_running_loop().time()
            with pytest.raises(UpstreamError) as caught:
                await wire.send(asking(origin, deadlines=Deadlines(0.1, 5, 5, 5)))
            assert asyncio.get_running_loop().time() - started < 1
            assert (caught.value.kind, caught.value.fault.status) == ("timeout", 504)

        run(test)
    finally:
        for sock in (listener, *waiting):
            sock.close()


def test_a_tls_handshake_that_hangs_is_given_up(run):
    async def test(wire):
        async with serving(lambda peer: peer.hang_up()) as upstream:
            origin = Origin("https", "127.0.0.1", upstream.origin.port)
            assert (await told(wire, origin, deadlines=Deadlines(0.1, 5, 5, 5)))[3] == "timeout"
            await upstream.quiet()
            assert wire.stats() == EMPTY

    run(test, tls=client_tls())


def test_each_deadline_says_which_it_was(run):
    async def message(wire, handler, deadlines) -> str:
        async with serving(handler) as upstream:
            with pytest.raises(UpstreamError) as caught:
                await (await wire.send(asking(upstream.origin, deadlines=deadlines))).read(1000)
            return caught.value.fault.message

    async def test(wire):
        hang = saying(then="hang")
        stall = saying(CHUNKED, then="hang")
        drip = saying(CHUNKED, *[b"1\r\nx\r\n"] * 100, gap=0.01)
        assert "no answer" in await message(wire, hang, Deadlines(1, 0.05, 1, 1))
        assert "nothing more" in await message(wire, stall, Deadlines(1, 1, 0.05, 1))
        assert "longer than its deadline" in await message(wire, drip, Deadlines(1, 1, 1, 0.05))

    run(test)


def test_the_timer_of_one_request_does_not_meet_the_next(run):
    async def slow(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.03)
            await peer.send(HI)

    async def test(wire):
        async with serving(slow) as upstream:
            for first_byte in (0.05, 5, 0.06, 0.05, 5):
                deadlines = Deadlines(1, first_byte, first_byte, 5)
                assert (await told(wire, upstream.origin, deadlines=deadlines))[2] == b"hi"
            assert upstream.accepted == 1
            assert (await told(wire, upstream.origin, deadlines=Deadlines(1, 0.01, 1, 1)))[3] == "timeout"

    run(test)


def test_a_thousand_requests_on_a_connection_arm_a_handful_of_timers(run, monkeypatch):
    armed = []
    arm = connection_module.Connection._arm
    monkeypatch.setattr(connection_module.Connection, "_arm", lambda self: (armed.append(1), arm(self))[1])

    async def test(wire):
        async with serving(saying(HI, then="next")) as upstream:
            for _ in range(1000):
                await (await wire.send(asking(upstream.origin, deadlines=Deadlines()))).read(10)

    run(test)
    assert len(armed) <= 3


# Back-pressure.


@pytest.mark.parametrize("tls", [False, True])
def test_a_slow_reader_slows_the_provider_down_and_loses_nothing(run, tls):
    size = 24 << 20
    sent = 0

    async def fast(peer: Peer) -> None:
        nonlocal sent
        sent = 0
        await peer.request()
        await peer.send(OK + b"content-length: %d\r\n\r\n" % size)
        block = bytes(range(256)) * 256
        while sent < size:
            await peer.send(block)
            sent += len(block)

    async def test(wire):
        async with serving(fast, tls=server_tls() if tls else None) as upstream:
            reply = await wire.send(asking(upstream.origin, deadlines=Deadlines(1, 1, 0.1, 10)))
            await asyncio.sleep(0.3)  # three times the idle deadline: waiting for us is not the provider's silence
            assert sent < size
            assert reply.held < 2 << 20
            body = await reply.read(size)
            assert body == bytes(range(256)) * (size // 256)
            assert wire.stats() == Stats(open=1, idle=1, waiting=0)

    run(test, tls=client_tls())


@pytest.mark.parametrize("tls", [False, True])
def test_an_answer_that_ends_with_the_connection_is_whole_for_a_slow_reader(run, tls):
    body = bytes(range(256)) * 8192

    async def test(wire):
        async with serving(saying(OK + b"\r\n" + body), tls=server_tls() if tls else None) as upstream:
            reply = await wire.send(asking(upstream.origin))
            came = b""
            while piece := await reply.chunk():
                came += piece
                await asyncio.sleep(0.005)
            assert came == body

    run(test, tls=client_tls())


def test_the_whole_deadline_holds_while_reading_is_paused(run):
    async def test(wire):
        body = b"x" * (8 << 20)
        async with serving(saying(OK + b"content-length: %d\r\n\r\n" % len(body) + body)) as upstream:
            reply = await wire.send(asking(upstream.origin, deadlines=Deadlines(1, 1, 1, 0.1)))
            await upstream.quiet()
            with pytest.raises(UpstreamError) as caught:
                await reply.read(len(body))
            assert caught.value.kind == "timeout"

    run(test)


# Limits.


def test_a_storm_of_interim_answers_is_malformed(run):
    async def storm(peer: Peer) -> None:
        await peer.request()
        while True:
            await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    async def test(wire):
        async with serving(storm) as upstream:
            assert (await told(wire, upstream.origin))[3] == "malformed"
            await upstream.quiet()

    run(test)


@pytest.mark.parametrize(
    "endless",
    [
        OK + b"x-endless: ",
        b"HTTP/1.1 200 ",
        CHUNKED + b"2\r\nhi\r\n1;",
        CHUNKED + b"2\r\nhi\r\n0\r\nx-endless: ",
        CHUNKED + b"2\r\nhi\r\n" + b"0" * 15,
    ],
    ids=["header", "reason", "chunk extension", "trailer", "chunk size"],
)
def test_what_is_endless_around_a_body_is_malformed_and_not_kept(run, endless):
    async def flood(peer: Peer) -> None:
        await peer.request()
        await peer.send(endless)
        while True:
            await peer.send(b"0" * 4096)

    async def test(wire):
        async with serving(flood) as upstream:
            status, _, body, kind = await told(wire, upstream.origin)
            assert (status, body, kind) in ((0, b"", "malformed"), (200, b"hi", "malformed"))
            await upstream.quiet()

    run(test)


def test_trailers_are_not_taken_for_headers(run):
    async def test(wire):
        raw = CHUNKED + b"2\r\nhi\r\n0\r\nset-cookie: evil\r\nx-sum: 9\r\n\r\n"
        async with serving(saying(raw, then="next")) as upstream:
            for _ in range(2):
                assert await told(wire, upstream.origin) == (200, [(b"transfer-encoding", b"chunked")], b"hi", "")
            assert upstream.accepted == 1

    run(test)


@pytest.mark.parametrize("lengths", [b"content-length: 2\r\ntransfer-encoding: chunked", b"transfer-encoding: chunked\r\ncontent-length: 2", b"content-length: 2\r\ncontent-length: 2", b"content-length: 2, 2", b"transfer-encoding: chunked\r\ntransfer-encoding: chunked"])  # fmt: skip
def test_an_answer_that_says_twice_where_it_ends_is_malformed(run, lengths):
    async def test(wire):
        async with serving(saying(OK + lengths + b"\r\n\r\n2\r\nhi\r\n0\r\n\r\n", then="hang")) as upstream:
            assert (await told(wire, upstream.origin))[3] == "malformed"
            await upstream.quiet()

    run(test)


@pytest.mark.parametrize("raw", [b"HTTP/1.1 200 OK\ncontent-length: 0\n\n", OK + b"a: b\r\n c\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n"], ids=["bare line feeds", "a folded header", "status 000"])  # fmt: skip
def test_what_lenient_parsers_let_through_is_malformed(run, raw):
    async def test(wire):
        async with serving(saying(raw, then="hang")) as upstream:
            assert (await told(wire, upstream.origin))[3] == "malformed"

    run(test)


def test_the_first_thing_wrong_is_the_one_that_is_told(run):
    async def test(wire):
        raw = OK + b"content-encoding: br\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
        async with serving(saying(raw)) as upstream:
            with pytest.raises(UpstreamError, match="content coding"):
                await wire.send(asking(upstream.origin))

    run(test)


def test_no_fault_repeats_what_was_sent_or_came(run):
    handlers = [
        saying(),
        saying(then="reset"),
        saying(b"SECRET garbage\r\n\r\n"),
        saying(OK + b"x: SECRET\0\r\n\r\n"),
        saying(OK + b"content-length: 90\r\n\r\nSECRET"),
        saying(CHUNKED + b"6\r\nSECRET\r\nSECRET\r\n"),
        saying(OK + b"content-encoding: SECRET\r\n\r\n"),
        saying(OK + b"content-encoding: gzip\r\n\r\nSECRET"),
        saying(then="hang"),
    ]

    async def test(wire):
        for handler in handlers:
            async with serving(handler) as upstream:
                request = asking(
                    upstream.origin,
                    b"SECRET",
                    headers=((b"authorization", b"SECRET"),),
                    deadlines=Deadlines(1, 0.05, 0.05, 1),
                )
                with pytest.raises(UpstreamError) as caught:
                    await (await wire.send(request)).read(100)
                assert "SECRET" not in str(caught.value) + caught.value.fault.message
                assert "127.0.0.1" not in str(caught.value)

    run(test)


# Any cut of the bytes, any order of events.

RECORDED = {
    "chunked events": CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(e), e) for e in (b"data: 1\n\n", b"data: two\n\n")) + b"0\r\nt: 1\r\n\r\n",
    "content-length": OK + b"X-A: 1\r\nx-b:  2 \r\ncontent-length: 5\r\n\r\nhello",
    "interim": b"HTTP/1.1 100 C\r\na: b\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno",
    "until close": OK + b"\r\nhello",
    "gzip": OK + b"content-encoding: gzip\r\ncontent-length: 43\r\n\r\n" + gzip.compress(b"the quick brown fox jum", mtime=0)[:43],
    "no content": b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n",
    "truncated": OK + b"content-length: 9\r\n\r\nhello",
    "bad chunk": CHUNKED + b"2\r\nhi\r\nzz\r\n",
    "bad header": OK + b"a b: c\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_an_answer_is_the_same_wherever_the_network_cuts_it(name):
    raw = RECORDED[name]

    async def main():
        wire = Wire()
        cut = len(raw)

        async def handler(peer: Peer) -> None:
            await peer.request()
            await peer.send(raw[:cut])
            if cut < len(raw):
                await asyncio.sleep(0.001)
                await peer.send(raw[cut:])

        async with serving(handler) as upstream:
            whole = await told(wire, upstream.origin)
            for cut in range(1, len(raw)):
                assert await told(wire, upstream.origin) == whole, cut
        await wire.close()
        return whole

    status, _, _, kind = LOOPS["uvloop"](main())
    expected = {"truncated": (200, "truncated"), "bad chunk": (200, "malformed"), "bad header": (0, "malformed")}
    assert (status, kind) == expected.get(name, (int(raw.rsplit(b"HTTP/1.1 ", 1)[1][:3]), ""))


@pytest.mark.parametrize("seed", range(3))
def test_two_hundred_requests_at_once_never_mix_their_answers(run, seed):
    choice = random.Random(seed)

    async def handler(peer: Peer) -> None:
        while True:
            _, body = await peer.request()
            await asyncio.sleep(choice.random() * 0.02)
            shape = choice.randrange(6)
            if shape == 0:
                await peer.send(CHUNKED + b"%x\r\n" % len(body) + body[:10])
                await asyncio.sleep(choice.random() * 0.005)
                await peer.send(body[10:] + b"\r\n0\r\n\r\n")
            elif shape == 1:
                await peer.send(OK + b"\r\n" + body)
                return
            elif shape == 2:
                await peer.send(OK + b"content-length: %d\r\n\r\n" % len(body) + body + HI)  # and one too many
            elif shape == 3:
                await peer.send(OK + b"content-length: 500\r\n\r\n" + body)  # and stops
                return
            elif shape == 4:
                return
            else:
                await peer.send(OK + b"content-length: %d\r\n\r\n" % len(body) + body)

    async def one(wire, origin, number: int) -> str:
        await asyncio.sleep(choice.random() * 0.05)
        body = b"request %d " % number * 3
        task = asyncio.create_task(told(wire, origin, body=body))
        if number % 10 == 0:
            await asyncio.sleep(choice.random() * 0.03)
            task.cancel()
        try:
            _, _, came, kind = await task
        except asyncio.CancelledError:
            return "cancelled"
        assert body.startswith(came)
        assert kind or came == body
        return kind or "whole"

    async def test(wire):
        async with serving(handler) as upstream:
            results = await asyncio.gather(*(one(wire, upstream.origin, number) for number in range(200)))
            assert {"whole", "truncated", "connect"} <= set(results)
            await settled(wire, Stats(open=wire.stats().idle, idle=wire.stats().idle, waiting=0))
            await wire.close()
            await upstream.quiet()

    run(test, max_connections=40)


def test_an_exchange_leaves_no_cycle_for_the_garbage_collector(run):
    async def test(wire):
        async with serving(saying(HI, then="next")) as upstream:
            await told(wire, upstream.origin)
            gc.collect()
            gc.disable()
            try:
                before = sum(isinstance(thing, connection_module.WireReply) for thing in gc.get_objects())
                for _ in range(20):
                    await told(wire, upstream.origin)
                after = sum(isinstance(thing, connection_module.WireReply) for thing in gc.get_objects())
            finally:
                gc.enable()
            assert after == before

    run(test)


def test_a_dropped_client_leaves_no_open_socket(run):
    async def test(wire):
        async with serving(saying(CHUNKED + b"1\r\nx\r\n", then="hang")) as upstream:
            reply = await wire.send(asking(upstream.origin))
            assert await reply.chunk() == b"x"
            await wire.close()
            with pytest.raises(UpstreamError):
                await reply.chunk()
            await upstream.quiet()
            del reply
            gc.collect()
            assert not [thing for thing in gc.get_objects() if isinstance(thing, connection_module.Connection)]

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        run(test)
        gc.collect()


def test_limits_are_the_clients_own(run):
    async def test(wire):
        async with serving(saying(OK + b"a: " + b"b" * 200 + b"\r\ncontent-length: 0\r\n\r\n")) as upstream:
            assert (await told(wire, upstream.origin))[3] == "malformed"

    run(test, limits=Limits(head_bytes=100))
