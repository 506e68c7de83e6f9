"""Stands between a client and a server on a socket of its own, and writes down what passes, byte for byte."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import suppress
from typing import Self

from support.upstream import Asked

_status = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Tap:
    """Runs in a thread of its own with its own loop, before the server on this port; use as a context manager."""

    def __init__(self, port: int) -> None:
        self.behind = port
        self._sent: list[bytearray] = []
        self._heard: list[bytearray] = []
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

    @property
    def asked(self) -> list[Asked]:
        """The requests, connection by connection."""
        return [asked for sent in self._sent for asked in _requests(bytes(sent))]

    @property
    def statuses(self) -> list[int]:
        """Of the answers, connection by connection as the requests are."""
        return [int(status) for heard in self._heard for status in _status.findall(heard)]

    def clear(self) -> None:
        """Forgets the connections that there were."""
        self._sent.clear()
        self._heard.clear()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopped.wait()
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent, heard = bytearray(), bytearray()
        self._sent.append(sent)
        self._heard.append(heard)
        there, back = await asyncio.open_connection("127.0.0.1", self.behind)
        await asyncio.gather(_pass_on(reader, back, sent), _pass_on(there, writer, heard))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: bytearray) -> None:
    try:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                seen += data
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()


def _requests(data: bytes) -> list[Asked]:
    """What a client sent on one connection. Bodies say their length: no client of these tests sends them in chunks."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        line, *rows = head.decode("latin-1").split("\r\n")
        method, path, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
        assert "transfer-encoding" not in headers
        length = int(headers.get("content-length", 0))
        found.append(Asked(method, path, headers, rest[:length], head))
        data = rest[length:]
    return found
