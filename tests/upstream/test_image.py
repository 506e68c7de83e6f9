"""Images fetched for a caller, over real sockets. Names are resolved by the test and loopback counts as public, but
where that is what is tested."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
from raw_upstream import LOOPS, Handler, Peer, alone, client_tls, saying, server_tls, serving

from omniroute.errors import Unsupported
from omniroute.formats.pictures import Picture
from omniroute.routing.patterns import compile_pattern
from omniroute.routing.tables import Fetching
from omniroute.upstream import image
from omniroute.upstream.image import AT_ONCE, MOST, Fetcher

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 10
KINDS = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0 and more",
    "image/gif": b"GIF89a and more",
    "image/webp": b"RIFF\x10\x00\x00\x00WEBPVP8 and more",
}
ADDRESS = "https://localhost/a.png"
PLACE = "turns[0].blocks[0]"
ANY = Fetching(hosts=(), max_bytes=100_000, timeout=5.0)
PLAIN = Fetching(hosts=(compile_pattern("localhost"),), max_bytes=100_000, timeout=5.0)


def answer(body: bytes = PNG, kind: str = "image/png", length: int | None = None, more: str = "") -> bytes:
    length = len(body) if length is None else length
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{more}\r\n".encode() + body


def leading(*addresses: str, port: int) -> image.Resolve:
    """A resolver for which every name has these addresses, at the port of the test's own server."""

    async def resolve(_host: str, _port: int) -> list[Any]:
        families = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(families[":" in one], socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    return resolve


def everything(_address: str) -> bool:
    return True


def run(
    handler: Handler,
    *wanted: str,
    settings: Fetching = ANY,
    seconds: float = 5.0,
    tls: ssl.SSLContext | None = None,
    loop: str = "uvloop",
    **given: Any,
) -> tuple[dict[str, Picture] | str, list[bytes]]:
    """What came of fetching, or why it was refused, and the heads that the server was sent."""

    async def test() -> tuple[dict[str, Picture] | str, list[bytes]]:
        secure = settings is not PLAIN
        async with serving(handler, tls=(tls or server_tls()) if secure else None) as server:
            chosen = {"public": everything, "resolve": leading("127.0.0.1", port=server.origin.port)} | given
            fetcher = Fetcher(tls=client_tls(), **chosen)
            addresses = wanted or (ADDRESS,)
            places = {address: f"turns[0].blocks[{at}]" for at, address in enumerate(addresses)}
            said: dict[str, Picture] | str
            try:
                said = await fetcher.fetch(places, settings, seconds)
            except Unsupported as error:
                said = error.fault.message if error.fault.code == image.CODE else "another error"
            await server.quiet()
            fetcher.close()
            heads = [head for head, _ in server.requests]
        await alone()
        return said, heads

    result: tuple[dict[str, Picture] | str, list[bytes]] = LOOPS[loop](test())
    return result


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_comes_as_it_is(kind, loop):
    said, heads = run(saying(answer(KINDS[kind], f"{kind}; charset=x")), loop=loop)
    picture = said[ADDRESS]
    assert (picture.media_type, b64decode(picture.data)) == (kind, KINDS[kind])
    (head,) = heads
    lines = head.split(b"\r\n")
    assert lines[0] == b"GET /a.png HTTP/1.1"
    names = {line.partition(b":")[0] for line in lines[1:] if line}
    assert names == {b"host", b"accept-encoding", b"accept", b"user-agent"}, "nothing of a caller or a provider"
    assert b"host: localhost" in lines


def test_the_host_is_named_to_the_pinned_address_and_has_to_prove_it():
    names = []
    context = server_tls()
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    said, _ = run(saying(answer()), tls=context)
    assert ADDRESS in said
    assert names == ["localhost"]
    said, heads = run(saying(answer()), "https://elsewhere.example/a.png")
    assert said.endswith("its host cannot be reached at a public address.")
    assert heads == [], "its certificate is for another host"


def test_this_machine_is_not_reached_by_any_of_its_names():
    """With the real resolver and the real judgement."""

    async def test() -> None:
        async def never(_peer: Peer) -> None:
            raise AssertionError("it was connected to")

        async with serving(never) as server:
            fetcher = Fetcher()
            settings = Fetching(hosts=(compile_pattern("*"),), max_bytes=1000, timeout=5.0)
            for host in ("localhost", "127.0.0.1", "127.1", "0x7f.1", "017700000001", "2130706433", "0.0.0.0", "[::1]",
                         "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "localhost.", "LOCALHOST"):  # fmt: skip
                for scheme in ("http", "https"):
                    with pytest.raises(Unsupported) as caught:
                        await fetcher.fetch({f"{scheme}://{host}/a.png": PLACE}, settings, 5.0)
                    told = caught.value.fault.message
                    assert "public address" in told or "allowed" in told, (host, told)
            assert server.accepted == 0
            fetcher.close()

    LOOPS["uvloop"](test())


@pytest.mark.parametrize("private", ["10.0.0.1", "169.254.169.254", "::1", "fd00::1", "64:ff9b::a00:1"])
@pytest.mark.parametrize("first", [True, False])
def test_one_private_address_among_those_of_a_name_is_enough_to_refuse_it(private, first):
    async def never(_host: str, port: int) -> Any:
        both = ["8.8.8.8", private]
        return await leading(*(both[::-1] if first else both), port=port)(_host, port)

    said, _ = run(saying(answer()), resolve=never, public=image.is_public)
    assert said == f"The image at `{PLACE}` was not fetched: its host cannot be reached at a public address."


def test_a_name_that_means_another_machine_at_the_second_look_is_looked_up_once():
    looked = []

    async def rebinding(_host: str, port: int) -> list[Any]:
        looked.append(port)
        where = "127.0.0.1" if len(looked) == 1 else "127.0.0.2"
        return await leading(where, port=ports[0])(_host, port)

    ports: list[int] = []
    judged = []

    async def test() -> None:
        async with serving(saying(answer()), tls=server_tls()) as good:
            ports.append(good.origin.port)
            fetcher = Fetcher(tls=client_tls(), resolve=rebinding, public=lambda one: not judged.append(one))
            assert ADDRESS in await fetcher.fetch({ADDRESS: PLACE}, ANY, 5.0)
            fetcher.close()

    LOOPS["uvloop"](test())
    assert (looked, judged) == ([443], ["127.0.0.1"])


def test_a_host_that_does_not_exist_is_told_of_in_the_same_words_as_a_private_one():
    async def nowhere(_host: str, _port: int) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    async def private(_host: str, port: int) -> list[Any]:
        return await leading("10.0.0.1", port=port)(_host, port)

    told = {run(saying(answer()), resolve=one, public=image.is_public)[0] for one in (nowhere, private)}
    assert len(told) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status):
    head = f"HTTP/1.1 {status} Moved\r\nlocation: https://localhost/other.png\r\ncontent-length: 0\r\n\r\n".encode()
    said, heads = run(saying(head, then="next"))
    assert f"status {status}, and redirects are not followed" in said
    assert len(heads) == 1


@pytest.mark.parametrize(
    ("piece", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "status 404."),
        (answer(b"<html>", "text/html"), "does not say that it is one of image/gif"),
        (answer(b"<svg/>", "image/svg+xml"), "does not say that it is one of image/gif"),
        (answer(PNG, "image/jpeg"), "not the image/jpeg"),
        (answer(b"<html>", "image/png"), "not the image/png"),
        (answer(b"", "image/png"), "not the image/png"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nGIF", "does not say"),
        (answer(more="content-type: image/gif\r\n"), "does not say"),
        (answer(length=len(PNG) + 1), "broke off"),
        (answer(more="transfer-encoding: chunked\r\n"), "not what it should be"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not what it should be"),
        (b"", "cannot be reached"),
    ],
)
def test_what_is_no_image_is_not_taken(piece, words):
    said, _ = run(saying(piece))
    assert isinstance(said, str)
    assert words in said


def test_an_answer_that_announces_too_much_is_not_read():
    sent = []

    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(length=100_001))
        while True:
            await peer.send(b"x" * 10_000)
            sent.append(1)

    said, _ = run(endless)
    assert "larger than what is fetched (`server.fetch_images.max_bytes`)" in said
    assert len(sent) < 1000


def test_an_answer_that_is_longer_than_it_says_is_cut_there():
    said, _ = run(saying(answer(PNG + b"x" * 200_000, length=len(PNG))))
    assert not isinstance(said, str)
    assert b64decode(said[ADDRESS].data) == PNG
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n"
    said, _ = run(saying(head, *[chunk] * 12))
    assert "server.fetch_images.max_bytes" in said


def test_what_grows_when_it_is_inflated_counts_as_large_as_it_is_then():
    bomb = gzip.compress(PNG + b"\0" * 200_000)
    said, _ = run(saying(answer(bomb, more="content-encoding: gzip\r\n")))
    assert "server.fetch_images.max_bytes" in said
    small = gzip.compress(PNG)
    said, _ = run(saying(answer(small, more="content-encoding: gzip\r\n")))
    assert b64decode(said[ADDRESS].data) == PNG


def test_all_images_of_a_request_are_within_the_limit_together():
    addresses = [f"https://localhost/{number}.png" for number in range(3)]
    said, _ = run(saying(answer(PNG + b"x" * 40_000)), *addresses)
    assert "server.fetch_images.max_bytes" in said
    said, heads = run(saying(answer(PNG + b"x" * 30_000)), *addresses)
    assert set(said) == set(addresses)
    assert len(heads) == 3


def test_a_slow_drip_ends_with_the_time_that_there_is():
    async def drip(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(length=1000))
        while True:
            await peer.send(b"x")
            await asyncio.sleep(0.02)

    began = time.monotonic()
    said, _ = run(drip, seconds=0.4)
    assert said.endswith("it did not come in time.")
    assert 0.3 < time.monotonic() - began < 3


@pytest.mark.parametrize("stage", ["resolver", "handshake", "head"])
def test_silence_at_any_stage_ends_with_the_time_that_there_is(stage):
    async def slow(_host: str, _port: int) -> list[Any]:
        await asyncio.sleep(30)
        raise AssertionError

    async def hang(peer: Peer) -> None:
        await peer.hang_up()

    given: dict[str, Any] = {"resolve": slow} if stage == "resolver" else {}
    began = time.monotonic()
    if stage == "handshake":
        said, _ = run(hang, settings=PLAIN, seconds=0.3)  # no TLS is spoken there
    else:
        said, _ = run(hang, seconds=0.3, **given)
    assert said.endswith("it did not come in time.")
    assert time.monotonic() - began < 3


def test_one_that_cannot_be_had_ends_the_others():
    async def mixed(peer: Peer) -> None:
        head, _ = await peer.request()
        if b"GET /bad" in head:
            await peer.send(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n")
        await peer.hang_up()

    began = time.monotonic()
    said, _ = run(mixed, "https://localhost/slow.png", "https://localhost/bad.png")
    assert said == "The image at `turns[0].blocks[1]` was not fetched: its host answered with status 500."
    assert time.monotonic() - began < 3


def test_only_so_many_are_fetched_and_few_at_a_time():
    most = 0
    under_way = 0

    async def counting(peer: Peer) -> None:
        nonlocal most, under_way
        await peer.request()
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        await peer.send(answer())

    said, heads = run(counting, *(f"https://localhost/{number}.png" for number in range(MOST)))
    assert len(said) == len(heads) == MOST
    assert most == AT_ONCE
    said, heads = run(saying(answer()), *(f"https://localhost/{number}.png" for number in range(MOST + 1)))
    assert said == f"`turns[0].blocks[{MOST}]`: at most {MOST} images of a request are fetched."
    assert heads == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://example.com/a.png", "must be `https://`"),
        ("ftp://example.com/a.png", "must be `https://`"),
        ("file:///etc/passwd", "must be `https://`"),
        ("gopher://example.com/", "must be `https://`"),
        ("//example.com/a.png", "must be `https://`"),
        ("a.png", "must be `https://`"),
        ("https://", "must be `https://`"),
        ("https://user@example.com/a.png", "without a user"),
        ("https://user:pass@example.com/a.png", "without a user"),
        ("https://example.com@127.0.0.1/a.png", "without a user"),
        ("https://example.com\\@127.0.0.1/", "without a user"),
        ("https://example.com\\.evil.test/", "must be `https://`"),
        ("https://exa mple.com/", "none"),
        ("https://example.com/a\r\nhost: x", "none"),
        ("https://example.com/\0", "none"),
        ("https://[::1", "none"),
        ("https://[fe80::1%25eth0]/", "must be `https://`"),
        ("https://example.com:99999/", "none"),
        ("https://example.com:22/", "only port 443"),
        ("https://example.com:80/", "only port 443"),
        ("https://example.com:8443/", "only port 443"),
        ("https://" + "a" * 300 + ".com/", "must be `https://`"),
        ("https://example.com/" + "a" * 9000, "too long"),
    ],
)
def test_an_address_that_is_none_or_not_allowed_is_not_even_looked_up(address, words):
    async def never(host: str, _port: int) -> list[Any]:
        raise AssertionError(host)

    said, _ = run(saying(answer()), address, resolve=never)
    assert isinstance(said, str)
    assert words in said


def test_where_hosts_are_listed_only_these_are_asked_and_also_in_the_clear():
    listed = Fetching(hosts=(compile_pattern("*.example.com"), compile_pattern("here")), max_bytes=1000, timeout=1.0)
    for good in ("https://a.example.com/x", "http://a.example.com/x", "https://A.EXAMPLE.com./x", "http://here:80/x"):
        assert image.parse(good, listed)[1] == "/x"
    for bad in ("https://example.com/x", "https://a.example.com.evil.test/x", "https://there/x", "http://xhere/x"):
        with pytest.raises(Exception, match="not one of those that are allowed"):
            image.parse(bad, listed)
    said, heads = run(saying(answer()), "http://localhost/a.png", settings=PLAIN)
    assert "http://localhost/a.png" in said
    assert len(heads) == 1


@pytest.mark.parametrize(
    ("address", "host", "target"),
    [
        ("https://example.com", "example.com", "/"),
        ("https://example.com/a%20b/c?x=1&y=%2F#frag", "example.com", "/a%20b/c?x=1&y=%2F"),
        ("https://example.com/ä?ö=ü", "example.com", "/%C3%A4?%C3%B6=%C3%BC"),
        ("https://bücher.example/x", "xn--bcher-kva.example", "/x"),
        ("https://example.com?a=b?c", "example.com", "/?a=b?c"),
        ("https://[2606:4700::1111]/x", "2606:4700::1111", "/x"),
        ("HTTPS://Example.COM:443/X", "example.com", "/X"),
    ],
)
def test_what_is_asked_of_whom(address, host, target):
    origin, asked = image.parse(address, ANY)
    assert (origin.scheme, origin.host, origin.port, asked) == ("https", host, 443, target)


def test_the_environment_names_no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.lower(), "http://127.0.0.1:9")
    said, _ = run(saying(answer()))
    assert ADDRESS in said


def test_a_caller_that_leaves_ends_the_fetching():
    async def test() -> None:
        started = asyncio.Event()

        async def hang(peer: Peer) -> None:
            await peer.request()
            started.set()
            await peer.hang_up()

        async with serving(hang, tls=server_tls()) as server:
            resolve: Callable[..., Any] = leading("127.0.0.1", port=server.origin.port)
            fetcher = Fetcher(tls=client_tls(), resolve=resolve, public=everything)
            task = asyncio.create_task(fetcher.fetch({ADDRESS: PLACE}, ANY, 5.0))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await server.quiet()
            fetcher.close()

    LOOPS["uvloop"](test())
