"""Calls through proxies: CONNECT and SOCKS5, what each of their steps may come to, and that nothing goes around them."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import msgspec
import pytest
from raw_upstream import LOOPS, Peer, alone, asking, client_tls, saying, server_tls, serving
from support.proxies import proxy, proxying

from omniroute.errors import UpstreamError
from omniroute.upstream import dial as dial_module
from omniroute.upstream.fallback import Fallback
from omniroute.upstream.transport import Deadlines, Origin
from omniroute.upstream.wire import Stats, Wire

HI = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
SCHEMES = ("http", "socks5")
USER = ("team", "pass word")
HURRIED = Deadlines(connect=0.3, first_byte=5.0, idle=5.0, total=10.0)


@pytest.fixture(params=list(LOOPS))
def run(request):
    """Runs a test with a client that trusts the tests' authority, and proves that nothing is left of it."""

    def runner(test):
        async def main():
            wire = Wire(tls=client_tls())
            try:
                return await test(wire)
            finally:
                await wire.close()
                await alone()
                assert wire.stats() == Stats(open=0, idle=0, waiting=0)

        return LOOPS[request.param](main())

    return runner


def through(origin: Origin, table, **options):
    return msgspec.structs.replace(asking(origin, **options), proxy=table)


async def body(wire: Wire, request) -> bytes:
    reply = await wire.send(request)
    try:
        return await reply.read(1000)
    finally:
        reply.close()


async def refused(wire: Wire, request) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await wire.send(request)
    return caught.value


@pytest.mark.parametrize("user", [None, USER], ids=["anybody", "user"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_provider_is_asked_through_the_proxy(run, scheme, tls, user):
    async def test(wire):
        context = server_tls() if tls else None
        async with serving(saying(HI, then="next"), tls=context) as provider, proxying(scheme, user=user) as local:
            request = through(provider.origin, local.table(), body=b'{"a": 1}')
            assert [await body(wire, request) for _ in range(3)] == [b"hi"] * 3
            assert local.asked == [("127.0.0.1", provider.origin.port)]
            assert [sent for _, sent in provider.requests] == [b'{"a": 1}'] * 3
            assert all(b"proxy" not in head for head, _ in provider.requests)

    run(test)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_name_of_the_provider_is_looked_up_by_the_proxy_and_by_nobody_here(run, scheme, monkeypatch):
    async def test(wire):
        loop = asyncio.get_running_loop()
        looked_up = []

        class Watched:
            """The loop, whose resolver tells what it was asked."""

            def __getattr__(self, name):
                return getattr(loop, name)

            async def getaddrinfo(self, host, *rest, **options):
                looked_up.append(host)
                return await loop.getaddrinfo(host, *rest, **options)

        async with serving(saying(HI), tls=server_tls()) as provider:
            place = ("127.0.0.1", provider.origin.port)
            async with proxying(scheme, {"localhost": place, "provider.invalid": place}) as local:
                with monkeypatch.context() as patched:
                    patched.setattr(dial_module.asyncio, "get_running_loop", Watched)
                    assert await body(wire, through(Origin("https", "localhost", 443), local.table())) == b"hi"
                assert local.asked == [("localhost", 443)]
                # A name that only the proxy knows, of which the certificate is not.
                failure = await refused(wire, through(Origin("https", "provider.invalid", 443), local.table()))
                assert failure.fault.message == "the provider's certificate was not accepted"
                assert local.asked[1:] == [("provider.invalid", 443)]
        assert set(looked_up) <= {"127.0.0.1"}

    run(test)


@pytest.mark.parametrize("host", ["::1", "[::1]"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_ipv6_address_goes_through_as_one(run, scheme, host):
    async def test(wire):
        async with serving(saying(HI), host="::1") as provider, proxying(scheme) as local:
            origin = Origin("http", host, provider.origin.port)
            assert await body(wire, through(origin, local.table())) == b"hi"
            assert local.asked == [("::1", provider.origin.port)]

    run(test)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_stream_comes_through_piece_by_piece(run, scheme):
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    gate = asyncio.Event()

    async def handler(peer: Peer):
        await peer.request()
        await peer.send(head + b"3\r\none\r\n")
        await gate.wait()
        await peer.send(b"3\r\ntwo\r\n0\r\n\r\n")

    async def test(wire):
        async with serving(handler, tls=server_tls()) as provider, proxying(scheme) as local:
            reply = await wire.send(through(provider.origin, local.table()))
            assert await reply.chunk() == b"one"  # while the provider waits for the test to have it
            gate.set()
            assert await reply.chunk() == b"two"
            assert await reply.chunk() == b""

    run(test)


def test_no_connection_is_shared_between_proxies_or_with_none(run):
    async def test(wire):
        async with (
            serving(saying(HI, then="next")) as provider,
            proxying("http") as one,
            proxying("http", user=USER) as other,
        ):
            origin = provider.origin
            ways = [None, one.table(), other.table(), one.table(username="x"), one.table(password="y", username="x")]
            for way in ways * 2:
                assert await body(wire, through(origin, way)) == b"hi"
            assert provider.accepted == len(ways)
            assert (one.accepted, other.accepted) == (3, 1)
            # The same proxy as a reload makes it: other objects, the same connections.
            assert await body(wire, through(origin, one.table(setting="settings.proxy.combos.x"))) == b"hi"
            assert provider.accepted == len(ways)

    run(test)


def answering(*answers: bytes, then: str = "close"):
    """A proxy that says these things, each after it has heard something, and then closes, resets or hangs."""

    async def handler(peer: Peer):
        for answer in answers:
            await peer.reader.read(4096)
            await peer.send(answer)
        if not answers:
            await peer.reader.read(4096)
        if then == "reset":
            await asyncio.sleep(0.02)
            peer.reset()
        if then == "hang":
            await peer.hang_up()

    return handler


CLOSED = "the proxy closed the connection"
GARBAGE = "the proxy does not speak as one"
DENIED = "the proxy does not accept the credentials, or wants some"
LATE = "no connection through the proxy within 0.3 s"
FAILURES = [
    ("http", answering(), CLOSED),
    ("http", answering(then="reset"), CLOSED),
    ("http", answering(then="hang"), LATE),
    ("http", answering(b"HTTP/1.1 407 Who\r\n\r\n"), DENIED),
    ("http", answering(b"HTTP/1.1 502 no\r\n\r\n"), "the proxy did not connect to the provider: status 502"),
    (
        "http",
        answering(b"HTTP/1.1 302 go\r\nlocation: http://x\r\n\r\n"),
        "the proxy did not connect to the provider: status 302",
    ),
    ("http", answering(b"HTTP/1.1 100 go on\r\n\r\n"), "the proxy did not connect to the provider: status 100"),
    ("http", answering(b"HTTP/1.1 200 OK\r\n"), CLOSED),
    ("http", answering(b"HTTP/1.1 200 OK\r\n", then="hang"), LATE),
    ("http", answering(b"SSH-2.0-OpenSSH\r\n"), GARBAGE),
    ("http", answering(b"\x05\x00"), GARBAGE),
    ("http", answering(b"HTTP/2.0 200 OK\r\n\r\n"), GARBAGE),
    ("http", answering(b"HTTP/1.1 2000 OK\r\n\r\n"), GARBAGE),
    ("http", answering(b"HTTP/1.1 200 OK\n\n", then="close"), CLOSED),
    ("http", answering(b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), GARBAGE),
    ("http", answering(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 20_000), GARBAGE),
    ("socks5", answering(), CLOSED),
    ("socks5", answering(then="hang"), LATE),
    ("socks5", answering(b"HTTP/1.1 400 no\r\n\r\n"), GARBAGE),
    ("socks5", answering(b"\x04\x00"), GARBAGE),
    ("socks5", answering(b"\x05"), CLOSED),
    ("socks5", answering(b"\x05", then="hang"), LATE),
    ("socks5", answering(b"\x05\xff"), DENIED),
    ("socks5", answering(b"\x05\x02"), DENIED),  # a way that was not offered
    ("socks5", answering(b"\x05\x01"), DENIED),
    ("socks5", answering(b"\x05\x00", then="reset"), CLOSED),
    ("socks5", answering(b"\x05\x00", then="hang"), LATE),
    ("socks5", answering(b"\x05\x00", b"\x05\x00\x00"), CLOSED),
    ("socks5", answering(b"\x05\x00", b"\x05\x00\x00\x01\x00"), CLOSED),
    ("socks5", answering(b"\x05\x00", b"\x05\x00\x00\x09" + bytes(6)), GARBAGE),
    ("socks5", answering(b"\x05\x00", b"HTTP/1.1 200"), GARBAGE),
    (
        "socks5",
        answering(b"\x05\x00", b"\x05\x02\x00\x01" + bytes(6)),
        "the proxy did not connect to the provider: its rules do not allow it",
    ),
    (
        "socks5",
        answering(b"\x05\x00", b"\x05\x63\x00\x01" + bytes(6)),
        "the proxy did not connect to the provider: it failed",
    ),
]


@pytest.mark.parametrize(("scheme", "handler", "words"), FAILURES)
def test_where_the_proxy_fails_the_call_fails_and_never_goes_directly(run, scheme, handler, words):
    async def test(wire):
        async with serving(saying(HI)) as provider, serving(handler) as broken:
            table = proxy(scheme, broken.origin.port)
            failure = await refused(wire, through(provider.origin, table, deadlines=HURRIED))
            assert (failure.kind, failure.fault.message) == ("connect", words)
            assert (provider.accepted, broken.accepted) == (0, 1)
            await broken.quiet()

    run(test)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_proxy_that_is_not_there_is_told_apart_from_the_provider(run, scheme):
    async def test(wire):
        with socket.socket() as taken:  # bound and not listening: whoever connects is refused
            taken.bind(("127.0.0.1", 0))
            async with serving(saying(HI)) as provider:
                gone = proxy(scheme, taken.getsockname()[1])
                failure = await refused(wire, through(provider.origin, gone))
                assert (failure.kind, failure.fault.message) == ("connect", "the proxy refused the connection")
                nameless = msgspec.structs.replace(gone, host="proxy.invalid", key=b"nameless")
                failure = await refused(wire, through(provider.origin, nameless))
                assert (failure.kind, failure.fault.message) == ("connect", "the proxy's host name was not found")
                assert provider.accepted == 0

    run(test)


@pytest.mark.parametrize("then", ["close", "reset", "hang"])
@pytest.mark.parametrize(
    ("scheme", "answers"),
    [("http", [b"HTTP/1.1 200 OK\r\n\r\n"]), ("socks5", [b"\x05\x00", b"\x05\x00\x00\x01" + bytes(6)])],
)
def test_a_tunnel_that_ends_in_the_tls_handshake_is_a_failed_connection(run, scheme, answers, then):
    async def test(wire):
        async with serving(answering(*answers, then=then)) as broken:
            table = proxy(scheme, broken.origin.port)
            failure = await refused(wire, through(Origin("https", "localhost", 443), table, deadlines=HURRIED))
            assert failure.kind == "connect"
            await broken.quiet()

    run(test)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_wrong_credentials_are_told_without_them(run, scheme, caplog):
    async def test(wire):
        async with serving(saying(HI)) as provider, proxying(scheme, user=USER) as local:
            for table in (local.table(password="wrong-password"), proxy(scheme, local.port)):
                request = through(provider.origin, table)
                failure = await refused(wire, request)
                assert (failure.kind, failure.fault.message) == ("connect", DENIED)
                told = f"{failure!r} {failure.fault!r} {failure.__cause__!r} {request!r} {table!r} {caplog.text}"
                assert "wrong-password" not in told
                assert repr(USER[0]) not in told
            assert provider.accepted == 0

    run(test)


def test_what_is_too_long_for_socks5_is_not_cut(run):
    async def test(wire):
        async with serving(saying(HI)) as provider, proxying("socks5", user=("a", "b" * 255)) as local:
            assert await body(wire, through(provider.origin, local.table())) == b"hi"
            failure = await refused(wire, through(provider.origin, local.table(password="b" * 256)))
            assert failure.fault.message == "a name or a credential is too long for SOCKS5"

    run(test)


def test_a_call_that_is_given_up_in_the_handshake_leaves_no_socket(run):
    async def test(wire):
        async with serving(answering(then="hang")) as broken:
            table = proxy("socks5", broken.origin.port)
            task = asyncio.create_task(wire.send(through(Origin("http", "provider.invalid", 80), table)))
            await asyncio.sleep(0.05)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await broken.quiet()

    run(test)


def test_the_httpx_transport_goes_through_no_proxy_and_so_not_at_all():
    async def test():
        fallback = Fallback()
        async with serving(saying(HI)) as provider:
            failure = await refused(fallback, through(provider.origin, proxy("http", 1)))
            assert (failure.kind, provider.accepted) == ("connect", 0)
        await fallback.close()

    asyncio.run(test())
