"""Proxies on raw sockets, in the loop of the test: CONNECT and SOCKS5 as they are meant to be, and what they were asked."""

from __future__ import annotations

import asyncio
import contextlib
from base64 import b64decode
from collections.abc import AsyncIterator
from hashlib import sha256
from ipaddress import ip_address
from typing import Any

from omniroute.routing.tables import Proxy
from omniroute.secret import Secret


class LocalProxy:
    """`hosts` are the names that it knows, and where they lead; `user` is the one that it lets through, None for anybody.
    `asked` are the hosts and ports that it was asked for, as they were said."""

    def __init__(self, scheme: str, hosts: dict[str, tuple[str, int]], user: tuple[str, str] | None) -> None:
        self.scheme = scheme
        self.hosts = hosts
        self.user = user
        self.port = 0
        self.accepted = 0
        self.asked: list[tuple[str, int]] = []
        self.tasks: set[asyncio.Task[None]] = set()

    def table(self, **more: Any) -> Proxy:
        """The proxy as a configuration compiles to it, with the user that it lets through."""
        name, password = self.user or (None, None)
        return proxy(self.scheme, self.port, **{"username": name, "password": password} | more)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.accepted += 1
        try:
            serve = self._socks5 if self.scheme == "socks5" else self._connect
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            self.tasks.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = head.rstrip("\r\n").split("\r\n")
        method, place, version = line.split(" ")
        assert (method, version) == ("CONNECT", "HTTP/1.1")
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        assert headers["host"] == place
        shown = headers.get("proxy-authorization", "Basic ").removeprefix("Basic ")
        if self.user is not None and b64decode(shown).decode() != ":".join(self.user):
            writer.write(b'HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm="x"\r\n\r\n')
            return
        host, _, port = place.rpartition(":")
        there = await self._there(host.strip("[]"), int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\nvia: 1.1 local\r\n\r\n")
        await _piped(reader, writer, *there)

    async def _socks5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, count = await reader.readexactly(2)
        assert version == 5
        ways = await reader.readexactly(count)
        wanted = 0 if self.user is None else 2
        if wanted not in ways:
            writer.write(b"\x05\xff")
            return
        writer.write(bytes((5, wanted)))
        if self.user is not None:
            assert await reader.readexactly(1) == b"\x01"
            shown = [(await _counted(reader)).decode(), (await _counted(reader)).decode()]
            writer.write(b"\x01\x00" if tuple(shown) == self.user else b"\x01\x01")
            if tuple(shown) != self.user:
                return
        assert await reader.readexactly(3) == b"\x05\x01\x00"
        kind = (await reader.readexactly(1))[0]
        if kind == 3:
            host = (await _counted(reader)).decode()
        else:
            host = str(ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2))
        try:
            there = await self._there(host, port)
        except OSError:
            writer.write(b"\x05\x05\x00\x01" + bytes(6))
            return
        writer.write(b"\x05\x00\x00\x03\x05local\x04\x38")  # as the address that it has there, a name
        await _piped(reader, writer, *there)

    async def _there(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.asked.append((host, port))
        return await asyncio.open_connection(*self.hosts.get(host, (host, port)))


async def _counted(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly((await reader.readexactly(1))[0])


async def _piped(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
) -> None:
    async def pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    try:
        await asyncio.gather(pour(reader, far_writer), pour(far_reader, writer))
    finally:
        far_writer.close()


@contextlib.asynccontextmanager
async def proxying(
    scheme: str, hosts: dict[str, tuple[str, int]] | None = None, user: tuple[str, str] | None = None
) -> AsyncIterator[LocalProxy]:
    local = LocalProxy(scheme, hosts or {}, user)
    server = await asyncio.start_server(local.accept, "127.0.0.1", 0)
    local.port = server.sockets[0].getsockname()[1]
    try:
        yield local
    finally:
        server.close()
        tasks = list(local.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def proxy(scheme: Any, port: int, username: str | None = None, password: str | None = None, **more: Any) -> Proxy:
    """A proxy on this machine as a table."""
    known = f"{scheme} {port} {username} {password}".encode()
    given = {
        "host": "127.0.0.1",
        "username": None if username is None else Secret(username),
        "password": None if password is None else Secret(password),
        "setting": "settings.proxy.global",
        "key": sha256(known).digest(),
    }
    return Proxy(scheme=scheme, port=port, **given | more)
