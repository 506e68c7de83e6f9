"""A provider on a raw socket, in the loop of the test: it sends exactly the bytes it is told to, when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import uvloop

from omniroute.upstream.fallback import Fallback
from omniroute.upstream.transport import Deadlines, Headers, Origin, Request
from omniroute.upstream.wire import Wire

LOOPS = {"uvloop": uvloop.run, "asyncio": asyncio.run}
TRANSPORTS = {"wire": Wire, "fallback": Fallback}
UNHURRIED = Deadlines(connect=5.0, first_byte=10.0, idle=10.0, total=20.0)
"""Longer than any test waits for a connection to close: what leaks is not tidied up by a deadline."""
TLS = Path(__file__).parent / "tls"


class Peer:
    """The provider's end of one connection."""

    def __init__(self, server: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer

    async def request(self) -> tuple[bytes, bytes]:
        """Head and body of the next request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = await self.reader.readexactly(length)
        self.server.requests.append((head, body))
        return head, body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def hang_up(self) -> None:
        """Waits until the other side closes."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


Handler = Callable[[Peer], Awaitable[None]]


class Upstream:
    """What a test can ask of the provider: how often it was connected to, what is open now, what was requested."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.origin = Origin("http", "127.0.0.1", 0)
        self.accepted = 0
        self.open = 0
        self.most = 0
        self.requests: list[tuple[bytes, bytes]] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.accepted += 1
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await self.handler(Peer(self, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()
            self.tasks.discard(task)

    async def quiet(self) -> None:
        """Returns when no connection is open any more; a test that leaks one waits in vain."""
        async with asyncio.timeout(2):
            while self.open:
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def serving(
    handler: Handler, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Upstream]:
    upstream = Upstream(handler)
    server = await asyncio.start_server(upstream.accept, host, 0, ssl=tls, limit=1 << 20)
    port = server.sockets[0].getsockname()[1]
    upstream.origin = Origin("https" if tls else "http", host, port)
    try:
        yield upstream
    finally:
        server.close()
        tasks = list(upstream.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def saying(*pieces: bytes, gap: float = 0.0, then: str = "close") -> Handler:
    """Answers every request with these pieces, then closes, resets, hangs or waits for the next request."""

    async def handler(peer: Peer) -> None:
        while True:
            await peer.request()
            for index, piece in enumerate(pieces):
                if index:
                    await asyncio.sleep(gap)
                await peer.send(piece)
            if then == "reset":
                await asyncio.sleep(0.02)  # what was sent shall arrive: a reset overtakes what is still on its way
                peer.reset()
            if then == "hang":
                await peer.hang_up()
            if then != "next":
                return

    return handler


def asking(
    origin: Origin,
    body: bytes = b"{}",
    *,
    deadlines: Deadlines = UNHURRIED,
    method: str = "POST",
    target: str = "/v1/chat/completions",
    headers: Headers = ((b"content-type", b"application/json"),),
) -> Request:
    return Request(origin, method, target, headers, body, deadlines)


async def alone() -> None:
    """Returns when no task runs but the test's own; a transport that leaks one makes it fail."""
    async with asyncio.timeout(1):
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.002)


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")
    return context


def client_tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=TLS / "authority.pem")
