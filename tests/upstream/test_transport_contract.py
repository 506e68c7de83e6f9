"""What both transports do alike: the wire client and its fallback over httpx, on both event loops."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from raw_upstream import (
    LOOPS,
    TRANSPORTS,
    UNHURRIED,
    Peer,
    Upstream,
    alone,
    asking,
    client_tls,
    saying,
    server_tls,
    serving,
)

from omniroute.errors import UpstreamError
from omniroute.upstream.answer import Limits
from omniroute.upstream.transport import Deadlines, Origin, Transport

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
TEXT = b"data: the quick brown fox\n\n" * 40
HASTY = Deadlines(connect=0.2, first_byte=0.2, idle=0.2, total=5.0)

Run = Callable[[Callable[[Transport], Awaitable[Any]]], Any]


@pytest.fixture(params=[f"{transport}-{loop}" for transport in TRANSPORTS for loop in LOOPS])
def run(request) -> Run:
    """Runs a test on one of the transports in one of the loops, and proves that it left nothing behind."""
    transport_name, loop_name = request.param.split("-")

    def runner(test, **options):
        async def main():
            transport = TRANSPORTS[transport_name](**options)
            try:
                return await test(transport)
            finally:
                await transport.close()
                await alone()
                if transport_name == "wire":
                    assert transport.stats().open == transport.stats().idle == transport.stats().waiting == 0

        return LOOPS[loop_name](main())

    runner.transport = transport_name
    return runner


async def outcome(transport: Transport, upstream: Upstream, deadlines: Deadlines = UNHURRIED, **options) -> str:
    """One exchange, told in a line."""
    try:
        reply = await transport.send(asking(upstream.origin, deadlines=deadlines, **options))
    except UpstreamError as error:
        return f"{error.kind} at once"
    body = b""
    try:
        while piece := await reply.chunk():
            body += piece
    except UpstreamError as error:
        return f"{reply.status}, {error.kind} after {len(body)}"
    return f"{reply.status} with {len(body)}"


ANSWERS = {
    "content-length": (OK + b"content-length: 5\r\n\r\nhello", "200 with 5"),
    "chunked": (CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "200 with 5"),
    "chunked, with extensions and trailers": (CHUNKED + b"5;a=b\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n", "200 with 5"),
    "until the connection closes": (OK + b"\r\nhello", "200 with 5"),
    "an empty body": (OK + b"content-length: 0\r\n\r\n", "200 with 0"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", "204 with 0"),
    "not modified, with the length it would have": (b"HTTP/1.1 304 NM\r\ncontent-length: 5\r\n\r\n", "304 with 0"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", "200 with 5"),
    "no reason": (b"HTTP/1.1 200 \r\ncontent-length: 1\r\n\r\nx", "200 with 1"),
    "an error status is an answer": (b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy", "503 with 4"),
    "a redirect is an answer": (b"HTTP/1.1 302 F\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n", "302 with 0"),
    "interim answers first": (b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nlink: x\r\n\r\n" + OK + b"content-length: 1\r\n\r\nx", "200 with 1"),
    "gzip": (OK + b"content-encoding: gzip\r\n\r\n" + gzip.compress(TEXT), f"200 with {len(TEXT)}"),
    "gzip in two members": (OK + b"content-encoding: GZIP\r\n\r\n" + gzip.compress(TEXT) * 2, f"200 with {2 * len(TEXT)}"),
    "deflate": (OK + b"content-encoding: deflate\r\n\r\n" + zlib.compress(TEXT), f"200 with {len(TEXT)}"),
    "deflate without the zlib frame": (OK + b"content-encoding: deflate\r\n\r\n" + zlib.compress(TEXT)[2:-4], f"200 with {len(TEXT)}"),
    "identity": (OK + b"content-encoding: identity\r\n\r\nhello", "200 with 5"),
    "a coded answer without a body": (b"HTTP/1.1 204 N\r\ncontent-encoding: gzip\r\n\r\n", "204 with 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_to_its_end(run, name):
    raw, expected = ANSWERS[name]

    async def test(transport):
        async with serving(saying(raw)) as upstream:
            assert await outcome(transport, upstream) == expected
            await upstream.quiet()

    run(test)


def test_headers_of_an_interim_answer_are_not_those_of_the_real_one(run):
    async def test(transport):
        raw = b"HTTP/1.1 103 E\r\nx-evil: 1\r\n\r\n" + OK + b"content-length: 0\r\n\r\n"
        async with serving(saying(raw)) as upstream:
            reply = await transport.send(asking(upstream.origin))
            assert reply.headers == [(b"content-length", b"0")]
            reply.close()

    run(test)


MALFORMED = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "garbage in the status": b"HTTP/1.1 2x0 OK\r\n\r\n",
    "a status beyond all": b"HTTP/1.1 1000 OK\r\n\r\n",
    "a space before the colon": OK + b"a : b\r\ncontent-length: 0\r\n\r\n",
    "a header without a name": OK + b": b\r\ncontent-length: 0\r\n\r\n",
    "NUL in a header": OK + b"a: b\0c\r\ncontent-length: 0\r\n\r\n",
    "CR in a header": OK + b"a: b\rc\r\ncontent-length: 0\r\n\r\n",
    "a negative length": OK + b"content-length: -5\r\n\r\nhello",
    "two lengths": OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "an unknown transfer coding": OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding after chunked": OK + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "an unknown content coding": OK + b"content-encoding: br\r\ncontent-length: 1\r\n\r\nx",
    "two content codings": OK + b"content-encoding: gzip\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx",
    "another protocol": b"HTTP/1.1 101 S\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    "300 headers": OK + b"".join(b"x-%d: y\r\n" % i for i in range(300)) + b"content-length: 0\r\n\r\n",
    "a header of 70 KiB": OK + b"x-long: " + b"y" * 70 * 1024 + b"\r\ncontent-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_head_that_is_not_http_is_malformed(run, name):
    async def test(transport):
        async with serving(saying(MALFORMED[name], then="hang")) as upstream:
            assert await outcome(transport, upstream) == "malformed at once"
            await upstream.quiet()

    run(test)


MALFORMED_BODIES = {
    "a chunk size that is none": (CHUNKED + b"2\r\nhi\r\nzz\r\nhello\r\n", "200, malformed after 2"),
    "a chunk longer than it said": (CHUNKED + b"2\r\nhi\r\n2\r\nhello\r\n0\r\n\r\n", "200, malformed after 4"),
    "a negative chunk size": (CHUNKED + b"2\r\nhi\r\n-2\r\nhi\r\n", "200, malformed after 2"),
    "an endless chunk size": (CHUNKED + b"2\r\nhi\r\n" + b"f" * 64 + b"\r\n", "200, malformed after 2"),
    "not the gzip it says": (OK + b"content-encoding: gzip\r\ncontent-length: 9\r\n\r\nhello", "200, malformed after 0"),
    "more after deflate": (OK + b"content-encoding: deflate\r\n\r\n" + zlib.compress(b"hello") + b"x", "200, malformed after 5"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED_BODIES)
def test_a_body_that_breaks_its_own_rules_is_malformed_after_what_was_good(run, name):
    raw, expected = MALFORMED_BODIES[name]

    async def test(transport):
        async with serving(saying(raw, then="hang")) as upstream:
            assert await outcome(transport, upstream) == expected
            await upstream.quiet()

    run(test)


FAULTS = {
    "closed before the answer": (saying(), HASTY, "connect at once"),
    "reset before the answer": (saying(then="reset"), HASTY, "connect at once"),
    "closed in the body": (saying(OK + b"content-length: 9\r\n\r\nhello"), HASTY, "200, truncated after 5"),
    "reset in the body": (saying(OK + b"content-length: 9\r\n\r\nhello", then="reset"), HASTY, "200, truncated after 5"),
    "reset in a body without a length": (saying(OK + b"\r\nhello", then="reset"), HASTY, "200, truncated after 5"),
    "closed before the last chunk": (saying(CHUNKED + b"5\r\nhello\r\n"), HASTY, "200, truncated after 5"),
    "closed in a chunk": (saying(CHUNKED + b"9\r\nhello"), HASTY, "200, truncated after 5"),
    "closed in the gzip": (saying(OK + b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"hello")[:-4]), HASTY, "200, truncated after 5"),
    "silent before the answer": (saying(then="hang"), HASTY, "timeout at once"),
    "silent in the head": (saying(OK + b"content-", then="hang"), HASTY, "timeout at once"),
    "silent after interim answers": (saying(b"HTTP/1.1 100 C\r\n\r\n", then="hang"), HASTY, "timeout at once"),
    "silent before the body": (saying(CHUNKED, then="hang"), HASTY, "200, timeout after 0"),
    "silent in the body": (saying(CHUNKED + b"5\r\nhello\r\n", then="hang"), HASTY, "200, timeout after 5"),
    "dripping longer than the whole may take": (
        saying(CHUNKED, *[b"1\r\nx\r\n"] * 1000, gap=0.01),
        Deadlines(connect=0.2, first_byte=0.2, idle=0.2, total=0.25),
        "200, timeout",
    ),
    "dripping a head": (
        saying(*[b"%c" % byte for byte in OK + b"content-length: 0\r\n\r\n"], gap=0.012),
        Deadlines(connect=0.2, first_byte=0.25, idle=0.2, total=5.0),
        "timeout at once",
    ),
    "dripping, but in time": (saying(CHUNKED, *[b"1\r\nx\r\n"] * 8, b"0\r\n\r\n", gap=0.05), HASTY, "200 with 8"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_provider_has_its_kind(run, name):
    handler, deadlines, expected = FAULTS[name]

    async def test(transport):
        async with serving(handler) as upstream:
            async with asyncio.timeout(2):
                told = await outcome(transport, upstream, deadlines)
            assert told.startswith(expected)
            await upstream.quiet()

    run(test)


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_head_that_stops_is_no_answer(run, then):
    async def test(transport):
        async with serving(saying(OK + b"content-le", then=then)) as upstream:
            # httpx does not tell how far an answer came before its connection broke
            expected = {"wire": "truncated at once", "fallback": "connect at once"}
            assert await outcome(transport, upstream) == expected[run.transport]

    run(test)


def test_a_refused_connection_is_a_connect_error_with_our_own_words(run):
    async def test(transport):
        async with serving(saying()) as upstream:
            origin = upstream.origin
        with pytest.raises(UpstreamError) as caught:
            await transport.send(asking(origin))
        fault = caught.value.fault
        assert (caught.value.kind, fault.status, fault.kind) == ("connect", 502, "server")
        assert fault.message == "the provider refused the connection"

    run(test)


def test_a_name_that_does_not_resolve_is_a_connect_error(run):
    async def test(transport):
        for host in ("no-such-host.invalid", "a" * 70 + ".invalid"):
            with pytest.raises(UpstreamError) as caught:
                await transport.send(asking(Origin("http", host, 80)))
            assert caught.value.kind == "connect"
            assert host not in caught.value.fault.message

    run(test)


def test_a_timeout_is_a_504(run):
    async def test(transport):
        async with serving(saying(then="hang")) as upstream:
            with pytest.raises(UpstreamError) as caught:
                await transport.send(asking(upstream.origin, deadlines=HASTY))
            assert (caught.value.kind, caught.value.fault.kind, caught.value.fault.status) == (
                "timeout",
                "timeout",
                504,
            )

    run(test)


def test_the_request_arrives_as_it_was_given(run):
    async def test(transport):
        async with serving(saying(OK + b"content-length: 0\r\n\r\n", then="next")) as upstream:
            headers = ((b"content-type", b"application/json"), (b"authorization", b"Bearer k"), (b"X-Odd", b"\xff"))
            reply = await transport.send(
                asking(upstream.origin, b'{"a":1}', target="/v1/x%20y?q=a%2Fb", headers=headers)
            )
            assert await reply.read(10) == b""
            head, body = upstream.requests[0]
            first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
            assert first == b"POST /v1/x%20y?q=a%2Fb HTTP/1.1"
            assert body == b'{"a":1}'
            assert sorted((name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)) == [
                (b"accept-encoding", b"identity"),
                (b"authorization", b"Bearer k"),
                (b"content-length", b"7"),
                (b"content-type", b"application/json"),
                (b"host", b"127.0.0.1:%d" % upstream.origin.port),
                (b"x-odd", b"\xff"),
            ]

    run(test)


@pytest.mark.parametrize(
    "change",
    [
        {"headers": ((b"x-a", b"b\r\nx-evil: 1"),)},
        {"headers": ((b"x-a", b"b\nx-evil: 1"),)},
        {"headers": ((b"x-a", b"b\0"),)},
        {"headers": ((b"x-a\r\nx-evil", b"1"),)},
        {"headers": ((b"Transfer-Encoding", b"chunked"),)},
        {"headers": ((b"content-length", b"0"),)},
        {"headers": ((b"host", b"elsewhere"),)},
        {"target": "/v1/x HTTP/1.1\r\nhost: evil\r\n\r\n"},
        {"target": "/v1/x y"},
        {"target": "http://elsewhere/"},
        {"target": "/v1/ü"},
    ],
)
def test_a_request_that_could_be_read_as_two_is_never_sent(run, change):
    async def test(transport):
        async with serving(saying(OK + b"content-length: 0\r\n\r\n")) as upstream:
            with pytest.raises(UpstreamError) as caught:
                await transport.send(asking(upstream.origin, **change))
            assert (caught.value.kind, caught.value.fault.status) == ("invalid", 400)
            assert upstream.accepted == 0
            assert "evil" not in caught.value.fault.message

    run(test)


def test_header_names_are_lower_case_and_values_trimmed(run):
    async def test(transport):
        async with serving(saying(OK + b"X-Request-ID: \t a b \t\r\nCONTENT-LENGTH: 0\r\n\r\n")) as upstream:
            reply = await transport.send(asking(upstream.origin))
            assert (b"x-request-id", b"a b") in reply.headers
            assert (b"content-length", b"0") in reply.headers
            reply.close()

    run(test)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_request_without_a_body_says_nothing_of_its_length(run, method):
    answer = OK + b"content-length: 5\r\n\r\n" + (b"" if method == "HEAD" else b"hello")

    async def test(transport):
        async with serving(saying(answer, then="hang")) as upstream:
            expected = "200 with 0" if method == "HEAD" else "200 with 5"
            assert await outcome(transport, upstream, method=method, body=b"") == expected
            assert b"content-length" not in upstream.requests[0][0].lower()

    run(test)


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"connection: close\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        OK + b"content-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        OK + b"content-length: 2\r\n\r\nhiH",
        b"HTTP/1.1 204 No Content\r\n\r\nevil",
    ],
    ids=["connection: close", "HTTP/1.0", "a second answer", "one byte more", "a body where none may be"],
)
def test_a_connection_that_said_more_than_its_answer_or_wants_to_close_is_not_used_again(run, answer):
    async def test(transport):
        async with serving(saying(answer, then="next")) as upstream:
            for _ in range(2):
                reply = await transport.send(asking(upstream.origin))
                assert await reply.read(10) in (b"hi", b"")
                reply.close()
                await upstream.quiet()
            assert upstream.accepted == 2

    run(test)


def test_a_large_body_goes_both_ways_whole(run):
    body = bytes(range(256)) * 4096

    async def echo(peer: Peer) -> None:
        while True:
            _, came = await peer.request()
            await peer.send(OK + b"content-length: %d\r\n\r\n" % len(came) + came)

    async def test(transport):
        async with serving(echo) as upstream:
            for size in (0, 1, 32 * 1024, 32 * 1024 + 1, len(body)):
                reply = await transport.send(asking(upstream.origin, body[:size]))
                assert await reply.read(2 << 20) == body[:size]

    run(test)


def test_read_refuses_more_than_its_limit_and_drops_an_infinite_body(run):
    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        while True:
            await peer.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    async def test(transport):
        async with serving(endless) as upstream:
            reply = await transport.send(asking(upstream.origin))
            with pytest.raises(UpstreamError) as caught:
                await reply.read(100_000)
            assert caught.value.kind == "malformed"
            await upstream.quiet()

    run(test)


def test_read_takes_exactly_its_limit(run):
    async def test(transport):
        async with serving(saying(OK + b"content-length: 5\r\n\r\nhello", then="next")) as upstream:
            reply = await transport.send(asking(upstream.origin))
            assert await reply.read(5) == b"hello"
            reply = await transport.send(asking(upstream.origin))
            with pytest.raises(UpstreamError):
                await reply.read(4)

    run(test)


def test_a_stream_longer_than_any_body_may_be_is_cut(run):
    async def test(transport):
        raw = CHUNKED + b"".join(b"400\r\n" + b"x" * 1024 + b"\r\n" for _ in range(40))
        async with serving(saying(raw, then="hang")) as upstream:
            told = await outcome(transport, upstream)
            assert told.startswith("200, malformed")
            await upstream.quiet()

    run(test, limits=Limits(body_bytes=16 * 1024))


def test_a_gzip_bomb_is_refused_before_it_is_inflated(run):
    bomb = gzip.compress(bytes(64 << 20))
    assert len(bomb) < 100_000

    async def test(transport):
        async with serving(saying(OK + b"content-encoding: gzip\r\n\r\n" + bomb, then="hang")) as upstream:
            reply = await transport.send(asking(upstream.origin))
            taken = 0
            with pytest.raises(UpstreamError) as caught:
                while piece := await reply.chunk():
                    taken += len(piece)
                    assert len(piece) <= 64 * 1024
            assert caught.value.kind == "malformed"
            assert taken < len(bomb) * 101 + (1 << 20)
            await upstream.quiet()

    run(test)


def test_closing_an_unfinished_answer_closes_the_socket(run):
    async def test(transport):
        async with serving(saying(CHUNKED + b"5\r\nhello\r\n", then="hang")) as upstream:
            reply = await transport.send(asking(upstream.origin))
            assert await reply.chunk() == b"hello"
            assert upstream.open == 1
            reply.close()
            reply.close()
            await upstream.quiet()
            with pytest.raises(UpstreamError) as caught:
                await reply.chunk()
            assert caught.value.kind == "truncated"

    run(test)


def test_who_waits_for_more_of_a_closed_answer_is_told(run):
    async def test(transport):
        async with serving(saying(CHUNKED + b"5\r\nhello\r\n", then="hang")) as upstream:
            reply = await transport.send(asking(upstream.origin))
            assert await reply.chunk() == b"hello"
            waiting = asyncio.create_task(reply.chunk())
            await asyncio.sleep(0.01)
            reply.close()
            with pytest.raises(UpstreamError) as caught:
                await asyncio.wait_for(waiting, 1)
            assert caught.value.kind == "truncated"
            await upstream.quiet()

    run(test)


@pytest.mark.parametrize("when", ["before the answer", "in the body"])
def test_cancelling_who_waits_closes_the_socket(run, when):
    pieces = [] if when == "before the answer" else [CHUNKED + b"5\r\nhello\r\n"]

    async def wait(transport, upstream):
        reply = await transport.send(asking(upstream.origin))
        await reply.read(1000)

    async def test(transport):
        async with serving(saying(*pieces, then="hang")) as upstream:
            task = asyncio.create_task(wait(transport, upstream))
            await asyncio.sleep(0.05)
            assert upstream.open == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await upstream.quiet()

    run(test)


def test_tls_is_verified_by_the_given_authority_and_named_by_sni(run):
    asked_for = []
    context = server_tls()
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)

    async def test(transport):
        async with serving(saying(OK + b"content-length: 2\r\n\r\nhi", then="next"), tls=context) as upstream:
            port = upstream.origin.port
            for host in ("localhost", "127.0.0.1"):
                reply = await transport.send(asking(Origin("https", host, port)))
                assert await reply.read(10) == b"hi"
            assert asked_for == ["localhost", None]

    run(test, tls=client_tls())


def test_a_certificate_for_another_host_is_not_accepted(run):
    async def test(transport):
        async with serving(saying(OK + b"content-length: 0\r\n\r\n"), tls=server_tls(), host="127.0.0.2") as upstream:
            with pytest.raises(UpstreamError) as caught:
                await transport.send(asking(upstream.origin))
            assert caught.value.kind == "connect"
            assert caught.value.fault.message == "the provider's certificate was not accepted"
            assert upstream.requests == []
            await upstream.quiet()

    run(test, tls=client_tls())


def test_a_certificate_of_an_unknown_authority_is_not_accepted(run):
    async def test(transport):
        async with serving(saying(OK + b"content-length: 0\r\n\r\n"), tls=server_tls()) as upstream:
            with pytest.raises(UpstreamError) as caught:
                await transport.send(asking(upstream.origin))
            assert caught.value.fault.message == "the provider's certificate was not accepted"
            assert upstream.requests == []

    run(test)


def test_a_server_that_does_not_speak_tls_is_a_connect_error(run):
    async def plain(peer: Peer) -> None:
        await peer.reader.read(100)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def test(transport):
        async with serving(plain) as upstream:
            with pytest.raises(UpstreamError) as caught:
                await transport.send(asking(Origin("https", "127.0.0.1", upstream.origin.port)))
            assert caught.value.kind == "connect"
            assert caught.value.fault.message == "the TLS handshake with the provider failed"

    run(test, tls=client_tls())


def test_an_address_of_ip_version_6(run):
    async def test(transport):
        async with serving(saying(OK + b"content-length: 2\r\n\r\nhi"), host="::1") as upstream:
            reply = await transport.send(asking(upstream.origin))
            assert await reply.read(10) == b"hi"
            assert b"\r\nhost: [::1]:%d\r\n" % upstream.origin.port in upstream.requests[0][0].lower()

    run(test)


def test_connections_are_limited_and_waiting_for_one_is_bounded(run):
    async def slow(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.1)
            await peer.send(OK + b"content-length: 2\r\n\r\nhi")

    async def test(transport):
        async with serving(slow) as upstream:
            patient = [outcome(transport, upstream) for _ in range(4)]
            hasty = outcome(transport, upstream, Deadlines(connect=0.05, first_byte=1, idle=1, total=1))
            assert await asyncio.gather(*patient, hasty) == ["200 with 2"] * 4 + ["connect at once"]
            assert upstream.most == 2

    run(test, max_connections=2)


def test_after_close_nothing_is_sent(run):
    async def test(transport):
        async with serving(saying(OK + b"content-length: 0\r\n\r\n", then="next")) as upstream:
            assert await outcome(transport, upstream) == "200 with 0"
            await transport.close()
            assert await outcome(transport, upstream) == "connect at once"
            assert await outcome(transport, Upstream(saying())) == "connect at once"
            assert len(upstream.requests) == 1

    run(test)
