"""Connections that are not as they should be: no request behind bad bytes reaches a handler, every refusal is JSON and in
its turn, nothing is waited for without end, and the server goes on."""

from __future__ import annotations

import json
import random
import socket
import struct
import time
from contextlib import closing
from itertools import product

import pytest
from support.listening import Listening, answers, talk

from omniroute import listener
from omniroute.relay import guard

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def serving():
    with Listening() as server:
        yield server


@pytest.fixture
def server(serving):
    serving.reached.clear()
    serving.cancelled.clear()
    serving.go.clear()
    yield serving
    serving.go.set()
    before = len(serving.reached)
    assert answers(talk(serving.port, LAST))[0][0] == 200, "the server is dead"
    assert serving.reached[before:] == [("GET", "/last", b"")]


@pytest.fixture
def hurried(monkeypatch):
    """Deadlines that a test can wait for."""
    monkeypatch.setattr(listener, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(listener, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(listener, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(guard, "BODY_GRACE", 0.3)
    with Listening(flood=400) as server:
        yield server


def paths(server: Listening) -> list[str]:
    return [path for _, path, _ in server.reached]


def post(*fields: bytes, body: bytes = b"", path: bytes = b"/first") -> bytes:
    return b"\r\n".join([b"POST %b HTTP/1.1" % path, b"Host: x", *fields, b"", body])


def refused(heard: bytes, status: int = 400) -> None:
    """That the one answer is a refusal in JSON that says that the connection ends."""
    ((told, headers, body),) = answers(heard)
    assert told == status
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}


# ------------------------------------------------------------------------------------------- where a request ends

TRANSFER = [
    b"chunked",
    b"Chunked",
    b"chunked ",
    b"xchunked",
    b"chunkedx",
    b"identity",
    b"chunked, identity",
    b"identity, chunked",
    b"gzip, chunked",
    b"chunked, chunked",
    b"chunked;q=1",
    b"\x0bchunked",
    b'"chunked"',
    b"chu\tnked",
    b"chunked\x00",
    b",chunked",
    b"",
]
NAMES = [b"Transfer-Encoding: ", b"Transfer-Encoding : ", b"Transfer-Encoding\t: ", b" Transfer-Encoding: "]
LENGTHS = [b"0", b"5", b"5, 5", b"+5", b"-5", b"0x5", b"5 5", b"5\x00", b"5;", b"", b"99999999999999999999999", b"1e1"]
CHUNKS = b"0\r\n\r\n"


def ambiguous():
    """Requests of which two readers could see two ends, each with another behind it."""
    for name, coding in product(NAMES, TRANSFER):
        for length in LENGTHS:
            both = [name + coding, b"Content-Length: " + length]
            yield post(*both, body=CHUNKS + SMUGGLED)
            yield post(*reversed(both), body=CHUNKS + SMUGGLED)
        plain = name == NAMES[0] and coding.strip(b" ,").lower() == b"chunked"
        if not plain and coding not in (b"identity, chunked", b"gzip, chunked"):
            yield post(name + coding, body=CHUNKS + SMUGGLED)
    for length in LENGTHS[2:]:
        yield post(b"Content-Length: " + length, body=b"12345" + SMUGGLED)
        yield post(b"Content-Length: 5", b"Content-Length: " + length, body=b"12345" + SMUGGLED)
    yield post(b"Content-Length: 5", b"Content-Length: 6", body=b"12345" + SMUGGLED)
    yield post(b"Content-Length: 5", b"Content-Length: 5", body=b"12345" + SMUGGLED)
    yield post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=CHUNKS + SMUGGLED)
    yield post(
        b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", b"Content-Length: 4", body=CHUNKS + SMUGGLED
    )


def test_a_request_with_two_ends_lets_none_behind_it_through(server):
    count = 0
    for request in ambiguous():
        count += 1
        server.reached.clear()
        heard = talk(server.port, request + LAST)
        assert "/smuggled" not in paths(server), request
        assert "/last" not in paths(server), request
        assert [status for status, _, _ in answers(heard)] in ([400], [200, 400]), (request, heard)
    assert count > 1500


BAD_CHUNKS = [
    b"g\r\n",
    b"-1\r\nx\r\n",
    b"+1\r\nx\r\n",
    b"0x1\r\nx\r\n",
    b"1 1\r\nx\r\n",
    b" 1\r\nx\r\n",
    b"\r\nx\r\n",
    b"1\rx\r\n",
    b"1\nx\n",
    b"1\r\nxy\r\n",
    b"1\r\nx\n",
    b"1\r\nx\r",
    b"fffffffffffffffff\r\n",
    b"1;\x00\r\nx\r\n",
    b"1;a=\x7f\r\nx\r\n",
    b'1;a="\n"\r\nx\r\n',
    b"1,1\r\nx\r\n",
]


def test_bad_chunks_end_the_connection(server):
    for chunk in BAD_CHUNKS:
        server.reached.clear()
        heard = talk(server.port, post(b"Transfer-Encoding: chunked", body=chunk + b"0\r\n\r\n" + SMUGGLED + LAST))
        assert not server.reached, chunk
        refused(heard)


def test_the_body_before_a_bad_chunk_is_not_taken_for_a_whole_one(server):
    request = post(b"Transfer-Encoding: chunked", body=b"2\r\n{}\r\n")
    refused(talk(server.port, request, b"g\r\n", gap=0.05))
    refused(talk(server.port, request + b"g\r\n"))
    assert not server.reached
    assert server.cancelled == ["/first client_gone", "/first broke off"]


BAD_HEADS = [
    b"GET /first HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    b"GET /first HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n",
    b"GET /first HTTP/1.1\r\n Host: x\r\n\r\n",
    b"GET /first HTTP/1.1\r\nHost: x\r\nA\x00: b\r\n\r\n",
    b"GET /first HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
    b"GET /first HTTP/1.1\r\nHost: x\r\nA: b\x01c\r\n\r\n",
    b"GET /first HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
    b"GET /first HTTP/1.1\r\nHost: x\r\nA(b): c\r\n\r\n",
    b"GET /first HTTP/1.1\r\nHost: x\r\n: c\r\n\r\n",
    b"GET /first HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n",
    b"GET /first HTTP/1.1\nHost: x\n\n",
    b"GET /first HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    b"GET /first HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",
    b"GET /fi\x00rst HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /fi rst HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /f\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET first HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /first\r\nHost: x\r\n\r\n",
    b"GET /first HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET /first HTTP/2.0\r\nHost: x\r\n\r\n",
    b"GET /first HTTP/1.10\r\nHost: x\r\n\r\n",
    b"GET /first HTTP/1\r\nHost: x\r\n\r\n",
    b"GET /first http/1.1\r\nHost: x\r\n\r\n",
    b"GET /first FTP/1.1\r\nHost: x\r\n\r\n",
    b"get /first HTTP/1.1\r\nHost: x\r\n\r\n",
    b"G\xffT /first HTTP/1.1\r\nHost: x\r\n\r\n",
    b"G@T /first HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GETGETGET /first HTTP/1.1\r\nHost: x\r\n\r\n",
    b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a client hello",
    b"\x00\x00\x00\x00\x00\x00\x00\x00",
    b"{}\r\n\r\n",
]


def test_heads_that_are_not_http_end_the_connection(server):
    for head in BAD_HEADS:
        server.reached.clear()
        heard = talk(server.port, head + SMUGGLED + LAST)
        assert not server.reached, head
        refused(heard)


def test_a_body_is_not_a_request(server):
    request = post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED)
    assert [status for status, _, _ in answers(talk(server.port, request + LAST))] == [200, 200]
    assert server.reached == [("POST", "/first", SMUGGLED), ("GET", "/last", b"")]


# ------------------------------------------------------------------------------------------------------ how much


def test_a_huge_request_line_is_refused(server):
    for size in (listener.LINE_LIMIT + 1, listener.HEAD_LIMIT - 100):
        refused(talk(server.port, b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * size) + LAST), 414)
    assert not server.reached


def test_heads_are_limited_in_bytes_and_in_fields(server):
    line = b"GET /first HTTP/1.1\r\nHost: x\r\n"
    for head in (
        b"A: %b\r\n\r\n" % (b"a" * listener.HEAD_LIMIT),
        b"A: b\r\n" * listener.FIELD_LIMIT + b"\r\n",
        b"A: %b\r\n" % (b"a" * 1000) * 40 + b"\r\n",
        b"A: " + b"a" * (1 << 20),
        b"a" * (1 << 20),
        b"A: b\r\n" * 10_000 + b"\r\n",
    ):
        refused(talk(server.port, line + head + LAST), 431)
    assert not server.reached
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=3)) as one:
        one.sendall(line + b"A: b\r\n" * (listener.FIELD_LIMIT - 1) + b"\r\n")
        assert one.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_the_limits_hold_for_every_request_of_a_connection(server):
    first = b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n"
    second = b"GET /second HTTP/1.1\r\nHost: x\r\nA: %b\r\n\r\n" % (b"a" * listener.HEAD_LIMIT)
    for pieces in ((first, second), (first + second,)):
        server.reached.clear()
        told = answers(talk(server.port, *pieces, SMUGGLED, gap=0.05))
        assert [status for status, _, _ in told] == [200, 431]
        assert paths(server) == ["/first"]


def test_a_large_body_does_not_count_as_a_head(server):
    body = b"x" * 200_000
    head = b"GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    request = post(b"Content-Length: %d" % len(body), body=body)
    told = answers(talk(server.port, request + head[:20], head[20:] + b"\r\n", gap=0.05))
    assert [status for status, _, _ in told] == [200, 200]
    assert paths(server) == ["/first", "/second"]


# ------------------------------------------------------------------------------------------------------ in which order


def test_pipelined_requests_are_answered_in_order(server):
    server.go.set()
    requests = [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(200)]
    requests[::7] = [b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"] * len(requests[::7])
    told = answers(talk(server.port, b"".join(requests) + LAST))
    asked = [request.split(b" ")[1].decode() for request in requests] + ["/last"]
    assert [json.loads(body)["path"] for _, _, body in told] == asked
    assert paths(server) == asked


def test_a_refusal_waits_for_the_answers_before_it(server):
    slow = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=3)) as one:
        one.sendall(slow + slow + b"nonsense\r\n\r\n" + SMUGGLED)
        time.sleep(0.1)
        server.go.set()
        heard = b""
        while data := one.recv(65536):
            heard += data
    assert [status for status, _, _ in answers(heard)] == [200, 200, 400]
    assert paths(server) == ["/slow", "/slow"]


def test_a_request_whose_body_goes_wrong_in_the_queue_is_never_served(server):
    slow = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=3)) as one:
        one.sendall(slow + post(b"Transfer-Encoding: chunked", body=b"2\r\n{}\r\ng\r\n") + SMUGGLED)
        time.sleep(0.1)
        server.go.set()
        heard = b""
        while data := one.recv(65536):
            heard += data
    assert [status for status, _, _ in answers(heard)] == [200, 400]
    assert paths(server) == ["/slow"]


def test_what_follows_a_last_request_is_not_served(server):
    first = b"GET /first HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert [status for status, _, _ in answers(talk(server.port, first + SMUGGLED))] == [200]
    assert paths(server) == ["/first"]


def test_an_upgrade_that_is_not_done_is_an_ordinary_request(server):
    fields = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
    sized = post(*fields, b"Content-Length: 5", body=b"12345")
    chunked = post(*fields, b"Transfer-Encoding: chunked", body=b"3\r\n123\r\n2\r\n45\r\n0\r\n\r\n")
    bare = b"GET /first HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % b"\r\n".join(fields)
    for request, body in ((sized, b"12345"), (chunked, b"12345"), (bare, b"")):
        for at in (len(request), len(request) - 3, 20):
            server.reached.clear()
            told = answers(talk(server.port, request[:at], request[at:] + SMUGGLED, gap=0.02))
            assert [(status, headers["connection"]) for status, headers, _ in told] == [(200, "close")]
            assert [(path, came) for _, path, came in server.reached] == [("/first", body)]


def test_a_bad_body_behind_an_upgrade_is_refused(server):
    request = post(b"Connection: Upgrade", b"Upgrade: h2c", b"Transfer-Encoding: chunked", body=b"2\r\n{}\r\ng\r\n")
    refused(talk(server.port, request + SMUGGLED))
    assert not server.reached


def test_a_client_that_waits_for_100_continue_gets_it(server):
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=3)) as one:
        one.sendall(post(b"Content-Length: 2", b"Expect: 100-continue"))
        assert one.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        one.sendall(b"{}")
        assert one.recv(65536).startswith(b"HTTP/1.1 200 ")


# --------------------------------------------------------------------------------------------------------- how long


def test_a_slow_head_is_not_waited_for(hurried):
    began = time.monotonic()
    for pieces in ((), (b"GET /fir",), (b"\r\n",), (b"GET /first HTTP/1.1\r\nA: b\r\n",)):
        assert talk(hurried.port, *pieces) == b""
    assert time.monotonic() - began < 4
    with closing(socket.create_connection(("127.0.0.1", hurried.port), timeout=3)) as one:
        for byte in b"GET /first HTTP/1.1\r\nA: b":
            try:
                one.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.03)
        else:
            pytest.fail("a byte at a time is fast enough")
    assert not hurried.reached


def test_a_kept_connection_has_the_same_deadline(hurried):
    first = b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n"
    for stray in (b"\r\n", b"GET /sec"):
        began = time.monotonic()
        assert [status for status, _, _ in answers(talk(hurried.port, first, stray, gap=0.05))] == [200]
        assert time.monotonic() - began < 2


def test_a_connection_on_which_nothing_is_asked_is_kept_for_a_while(monkeypatch):
    monkeypatch.setattr(listener, "SWEEP_SECONDS", 0.05)
    with Listening(keep_alive=1) as server:
        began = time.monotonic()
        again = b"GET /first HTTP/1.1\r\nHost: x\r\n\r\n"
        assert [status for status, _, _ in answers(talk(server.port, again, again, gap=0.7))] == [200, 200]
        assert 1.6 < time.monotonic() - began < 3


def test_a_slow_body_is_not_waited_for(hurried):
    ((status, _, _),) = answers(talk(hurried.port, post(b"Content-Length: 100", body=b"12345")))
    assert status == 408
    assert hurried.cancelled == ["/first body_timeout"]


def test_the_rest_of_a_body_that_nobody_wants_is_not_waited_for(hurried):
    head = post(b"Content-Length: 1000", path=b"/early")
    began = time.monotonic()
    with closing(socket.create_connection(("127.0.0.1", hurried.port), timeout=3)) as one:
        one.sendall(head)
        assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
        with pytest.raises(ConnectionError):
            for _ in range(100):
                one.sendall(b"x")
                time.sleep(0.02)
    assert time.monotonic() - began < 2
    with closing(socket.create_connection(("127.0.0.1", hurried.port), timeout=3)) as one:
        one.sendall(head)
        one.sendall(b"x" * 1000 + LAST)  # but one that comes in time keeps the connection
        heard = b""
        while data := one.recv(65536):
            heard += data
    assert [status for status, _, _ in answers(heard)] == [200, 200]


def test_a_client_that_reads_nothing_is_left(hurried):
    with closing(socket.socket()) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        one.connect(("127.0.0.1", hurried.port))
        one.sendall(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        deadline = time.monotonic() + 3
        while not hurried.cancelled and time.monotonic() < deadline:
            time.sleep(0.02)
    assert hurried.cancelled == ["/flood client_gone"]
    assert hurried.flooded < 300 * 65536


def test_clients_that_leave_anywhere_leave_nothing_behind(server):
    chance = random.Random(1)
    whole = post(b"Content-Length: 5", body=b"12345") + post(
        b"Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n"
    )
    for number in range(200):
        one = socket.create_connection(("127.0.0.1", server.port))
        one.sendall(whole[: chance.randrange(len(whole))])
        if number % 2:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
    deadline = time.monotonic() + 3
    while server.connections and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.connections == 0


def test_mutated_requests_get_whole_answers_and_an_end(server):
    chance = random.Random(20128)
    seeds = [
        post(b"Content-Length: 5", body=b"12345") + LAST,
        post(b"Transfer-Encoding: chunked", body=b"2;a=b\r\n{}\r\n0\r\nA: b\r\n\r\n") + LAST,
        b"GET /first?a=b HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n" + LAST,
    ]
    spice = [
        b"\r",
        b"\n",
        b"\r\n",
        b"\x00",
        b" ",
        b":",
        b"\xff",
        b"0",
        b"9",
        b",",
        b"chunked",
        b"Content-Length: 3\r\n",
    ]
    for _ in range(1000):
        said = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(said))
            match chance.randrange(3):
                case 0:
                    said[at : at + 1] = chance.choice(spice)
                case 1:
                    said[at:at] = chance.choice(spice)
                case _:
                    del said[at : at + chance.randint(1, 8)]
        with closing(socket.create_connection(("127.0.0.1", server.port), timeout=5)) as one:
            one.sendall(bytes(said))
            heard = _until_quiet(one)
        for status, _, _ in answers(heard):
            assert status in (200, 400, 414, 431), said


def _until_quiet(one: socket.socket) -> bytes:
    """What comes until the other side closes, or has nothing more to say because it waits for us."""
    heard = b""
    one.settimeout(0.05)
    try:
        while data := one.recv(65536):
            heard += data
    except (TimeoutError, ConnectionResetError):
        pass
    return heard.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
