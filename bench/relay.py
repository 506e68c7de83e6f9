"""The bare relay: the least that a gateway on this stack can do, and so the yardstick for ours.

A raw ASGI handler mounted in Litestar reads a request, looks into it once (is a stream wanted?), sends it on over a
kept-alive connection and hands the bytes back as they come. It knows no keys, routes, formats, limits or deadlines and
writes nothing down; what the gateway costs above it is what those cost.

    python bench/relay.py PORT UPSTREAM_PORT
"""

import asyncio
import sys

import httptools
import msgspec
import uvicorn
from litestar import Litestar, asgi
from litestar.types import Receive, Scope, Send

PATHS = ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/api/chat"]
MOUNT = "/v1beta/models"  # Gemini's, which name the model and whether to stream


class Look(msgspec.Struct):
    stream: bool = False


look = msgspec.json.Decoder(Look).decode


class Connection(asyncio.Protocol):
    """One kept-alive connection to the upstream: `pieces` fills as the answer comes in, `arrival` waits for more."""

    transport: asyncio.Transport
    lost = False
    waiter: asyncio.Future[None] | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a TCP one
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.wake()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)
        self.wake()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"content-type":
            self.content_type = value

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.done = True

    def wake(self) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter and not waiter.done():
            waiter.set_result(None)

    def ask(self, request: bytes) -> None:
        self.status = 0
        self.content_type = b""
        self.pieces: list[bytes] = []
        self.done = False
        self.transport.write(request)

    async def arrival(self) -> None:
        self.waiter = self.loop.create_future()
        await self.waiter
        if self.lost and not self.done:
            raise ConnectionError("the upstream hung up")

    def take(self) -> bytes:
        pieces, self.pieces = self.pieces, []
        return b"".join(pieces)


class Upstream:
    """The connections that wait for work, the last one used on top."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: list[Connection] = []

    def request(self, path: str, body: bytes) -> bytes:
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer sk-bench\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def connection(self) -> Connection:
        while self.idle:
            connection = self.idle.pop()
            if not connection.lost:
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(loop), "127.0.0.1", self.port)
        return connection


async def read(receive: Receive) -> bytes:
    pieces = []
    more = True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        pieces.append(message["body"])
        more = message["more_body"]
    return b"".join(pieces)


def application(upstream: Upstream) -> Litestar:
    async def relay(scope: Scope, receive: Receive, send: Send) -> None:
        body = await read(receive)
        connection = await upstream.connection()
        path = scope["raw_path"].decode()
        connection.ask(upstream.request(path, body))
        if look(body).stream or ":stream" in path:
            await stream(connection, send)
        else:
            await answer(connection, send)
        upstream.idle.append(connection)

    handlers = [asgi(PATHS, copy_scope=False)(relay), asgi(MOUNT, is_mount=True, copy_scope=False)(relay)]
    return Litestar(handlers, openapi_config=None, logging_config=None)


async def answer(connection: Connection, send: Send) -> None:
    while not connection.done:
        await connection.arrival()
    body = connection.take()
    headers = [(b"content-type", connection.content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": connection.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def stream(connection: Connection, send: Send) -> None:
    while not connection.status:
        await connection.arrival()
    headers = [(b"content-type", connection.content_type)]
    await send({"type": "http.response.start", "status": connection.status, "headers": headers})
    while not connection.done:
        if connection.pieces:
            await send({"type": "http.response.body", "body": connection.take(), "more_body": True})
        else:
            await connection.arrival()
    await send({"type": "http.response.body", "body": connection.take(), "more_body": False})


if __name__ == "__main__":
    uvicorn.run(
        application(Upstream(int(sys.argv[2]))),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
    )
