"""A scripted provider on a real socket: says what a test tells it to, and remembers what it was asked.

A script is a function from the request to a `Script`; the pieces of its body go out one write each, so that a test
decides where the bytes are split and where they stop.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Self

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests", 500: "Internal Server Error"}
LONGEST_HEAD = 1 << 20


@dataclass
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    head: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Script:
    """An answer. `pause` is in seconds before the first piece, `gap` between pieces; `cut` drops the connection after
    the pieces instead of ending the answer; `refuse` drops it before anything is said; `hang` says nothing more after
    the pieces; `silent` says nothing at all; `hold` waits for its result after the first piece; `endless` repeats the
    last piece for as long as somebody reads; `raw` are the bytes to say instead of a head and pieces."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    pause: float = 0.0
    gap: float = 0.0
    cut: bool = False
    refuse: bool = False
    hang: bool = False
    silent: bool = False
    endless: bool = False
    hold: Future[None] | None = None
    raw: bytes | None = None
    content_type: str = "application/json"


def whole(value: Any, status: int = 200, **headers: str) -> Script:
    """A JSON answer."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Script(status, {name.replace("_", "-"): text for name, text in headers.items()}, [body])


def events(*pieces: bytes, **options: Any) -> Script:
    """A stream of server-sent events, a piece a write."""
    return Script(pieces=list(pieces), content_type="text/event-stream", **options)


class Upstream:
    """Runs in a thread of its own with its own loop; use as a context manager."""

    def __init__(self, script: Callable[[Asked], Script] | None = None) -> None:
        self.script = script or (lambda asked: whole({"error": {"message": "no script"}}, 500))
        self.asked: list[Asked] = []
        self.hung_up = 0
        """Connections that the other side closed while an answer was on its way."""
        self.open = 0
        self.connections = 0
        """That were ever made."""
        self.busy = 0
        """Connections with an answer on its way."""
        self.written = 0
        """Bytes of bodies that the other side's socket took."""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=LONGEST_HEAD, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopped.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.connections += 1
        begun: bytes | None = b""
        try:
            while begun is not None:
                begun = await self._exchange(begun, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _exchange(self, begun: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """One request, of which the first byte may be here, and its answer. What has come of the next one; None when
        the connection is done."""
        begun = begun or await reader.readexactly(1)
        if not begun.isalpha():
            return None  # no HTTP, such as the first byte of TLS
        head = begun + await reader.readuntil(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        method, path, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rest if row)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(method, path, headers, body, head)
        self.asked.append(asked)
        self.busy += 1
        try:
            return await self._answer(self.script(asked), reader, writer)
        finally:
            self.busy -= 1

    async def _answer(self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        watch = asyncio.ensure_future(reader.read(1))
        answer = asyncio.ensure_future(self._write(script, writer))
        try:
            await asyncio.wait({watch, answer}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() or isinstance(answer.exception(), ConnectionError):
                self.hung_up += 1
                return None
            keep = answer.result()
        finally:
            watch.cancel()
            answer.cancel()
            heard, _ = await asyncio.gather(watch, answer, return_exceptions=True)
        return (heard if isinstance(heard, bytes) else b"") if keep else None

    async def _write(self, script: Script, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(script.pause)
        if script.refuse:
            _reset(writer)
            return False
        if script.silent:
            await asyncio.Event().wait()
        if script.raw is not None:
            writer.write(script.raw)
            await writer.drain()
            return False
        head = [
            f"HTTP/1.1 {script.status} {REASONS.get(script.status, 'Status')}",
            f"content-type: {script.content_type}",
        ]
        head += [f"{name}: {value}" for name, value in script.headers.items()]
        writer.write(("\r\n".join([*head, "transfer-encoding: chunked"]) + "\r\n\r\n").encode("latin-1"))
        for number, piece in enumerate(script.pieces):
            if number == 1 and script.hold is not None:
                await asyncio.wrap_future(script.hold)
            await self._piece(piece, writer)
            await asyncio.sleep(script.gap)
        while script.endless:
            await self._piece(script.pieces[-1], writer)
        if script.hold is not None and len(script.pieces) <= 1:
            await asyncio.wrap_future(script.hold)
        if script.hang:
            await asyncio.Event().wait()
        if script.cut:
            _reset(writer)
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _piece(self, piece: bytes, writer: asyncio.StreamWriter) -> None:
        if piece:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await writer.drain()
        self.written += len(piece)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Drops the connection with a RST; what was written before it may arrive or not."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
