"""Our own HTTP/1.1 client for the hot path: asyncio protocols, the C parser of httptools, and little between them.

    Wire ── one Pool per origin and proxy ── Connections ── at most one WireReply each

A request is one write of prebuilt bytes and one future to wait on. There is no task, no `asyncio.timeout` and no lock
per request; each connection has one timer that is only looked at when it fires, and reading stops while the caller is
behind.

What an answer may not do: come unasked, end twice or nowhere, grow past the limits, or take longer than its deadlines.
Each of these closes the connection, so that nothing of it is ever taken for the answer to the next request.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict

import msgspec

from omniroute.errors import UpstreamError
from omniroute.upstream.answer import Limits, failure
from omniroute.upstream.connection import Connection, WireReply
from omniroute.upstream.dial import dial, reason, tls_context
from omniroute.upstream.head import authority, request_head
from omniroute.upstream.transport import Deadlines, Origin, Proxy, Request

SHUT = "the gateway is shutting down"


class Stats(msgspec.Struct, frozen=True):
    """How many connections there are: `open` counts all of them, also those being made; `waiting` are requests."""

    open: int
    idle: int
    waiting: int


class Wire:
    """A `Transport`. `tls` is for tests with an authority of their own; verification cannot be switched off here."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        max_connections: int = 512,
        keep_idle: float = 30.0,
    ) -> None:
        self._tls = tls or tls_context()
        self._limits = limits or Limits()
        self._max_connections = max_connections
        self._keep_idle = keep_idle
        self._pools: dict[Origin | tuple[Origin, bytes], Pool] = {}
        self._closed = False

    async def send(self, request: Request) -> WireReply:
        origin, proxy = request.origin, request.proxy
        key = origin if proxy is None else (origin, proxy.key)
        pool = self._pools.get(key) or self._pool(key, origin, proxy)
        head = request_head(request, pool.host)
        ends = pool.loop.time() + request.deadlines.total
        connection = pool.take() or await pool.open(request.deadlines)
        reused = connection.reused
        reply = connection.ask(request, head, self._limits, ends)
        try:
            await reply.opened()
        except UpstreamError as error:
            # A kept connection that closes without a byte of an answer was closed before it saw the request.
            if not (reused and error.kind == "connect"):
                raise
        else:
            return reply
        connection = await pool.open(request.deadlines)
        reply = connection.ask(request, head, self._limits, ends)
        await reply.opened()
        return reply

    async def close(self) -> None:
        """Closes every connection: requests under way fail, later ones are refused."""
        self._closed = True
        for pool in self._pools.values():
            await pool.close()

    def stats(self) -> Stats:
        pools = self._pools.values()
        return Stats(
            open=sum(pool.count for pool in pools),
            idle=sum(len(pool.idle) for pool in pools),
            waiting=sum(len(pool.waiters) for pool in pools),
        )

    def _pool(self, key: Origin | tuple[Origin, bytes], origin: Origin, proxy: Proxy | None) -> Pool:
        if self._closed:
            raise failure("connect", SHUT)
        tls = self._tls if origin.scheme == "https" else None
        pool = self._pools[key] = Pool(origin, tls, self._max_connections, self._keep_idle, proxy)
        return pool


class Pool:
    """The connections to one origin, all of them through the same proxy or none. Idle ones go last in, first out, so that the rest can expire.

    A place is the right to one connection. It is taken before the connection is made, and when the connection is gone
    it passes to the request that has waited longest.
    """

    def __init__(
        self,
        origin: Origin,
        tls: ssl.SSLContext | None,
        places: int,
        keep_idle: float,
        proxy: Proxy | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()  # which makes a system call: not for every request
        self.host = authority(origin)
        self.keep_idle = keep_idle
        self.count = 0
        self.idle: dict[Connection, None] = {}  # a stack that a connection can also leave from its middle
        self.waiters: OrderedDict[asyncio.Future[Connection | None], None] = OrderedDict()
        self._origin = origin
        self._proxy = proxy
        self._tls = tls
        self._places = places
        self._members: set[Connection] = set()
        self._closed = False
        self._emptied = asyncio.Event()

    def take(self) -> Connection | None:
        """An idle connection, if there is one. Those that close or expire leave by themselves."""
        return self.idle.popitem()[0] if self.idle else None

    async def open(self, deadlines: Deadlines) -> Connection:
        """A new connection, or one that comes back while this waits for a place."""
        seconds = min(deadlines.connect, deadlines.total)
        placed = False
        try:
            # Only here, where a handshake dwarfs it, is the convenience of a timeout context worth its price.
            async with asyncio.timeout(seconds):
                connection = await self._place()
                placed = True
                return connection or await self._dial()
        except TimeoutError as error:
            if placed and self._proxy is not None:
                raise failure("connect", f"no connection through the proxy within {seconds:g} s", error) from error
            if placed:
                raise failure("timeout", f"no connection to the provider within {seconds:g} s", error) from error
            raise failure("connect", f"no free connection to the provider within {seconds:g} s", error) from error
        except (OSError, UnicodeError) as error:
            raise failure("connect", reason(error), error) from error

    async def close(self) -> None:
        self._closed = True
        while self.waiters:
            waiter, _ = self.waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_exception(failure("connect", SHUT))
        for connection in list(self._members):
            connection.abandon(failure("connect", SHUT))
        if self._members:
            await self._emptied.wait()

    def take_back(self, connection: Connection) -> None:
        if self.waiters:
            self._pass_on(connection)
        else:
            self.idle[connection] = None

    def withdraw(self, connection: Connection) -> None:
        self.idle.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        if connection not in self._members:
            return  # it never made it: whoever dialled gives the place up
        self._members.remove(connection)
        self.idle.pop(connection, None)
        self._pass_on(None)
        if self._closed and not self._members:
            self._emptied.set()

    def _pass_on(self, what: Connection | None) -> None:
        """Gives a connection, or with None a place for one, to the request that has waited longest."""
        while self.waiters:
            waiter, _ = self.waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_result(what)
                return
        if what is None:
            self.count -= 1
        else:
            self.idle[what] = None

    async def _place(self) -> Connection | None:
        """A connection that another request is done with, or None and a place of one's own."""
        if self._closed:
            raise failure("connect", SHUT)
        if self.count < self._places:
            self.count += 1
            return None
        waiter: asyncio.Future[Connection | None] = self.loop.create_future()
        self.waiters[waiter] = None
        try:
            return await waiter
        except asyncio.CancelledError:
            self.waiters.pop(waiter, None)
            if not waiter.cancelled() and waiter.exception() is None:
                self._decline(waiter.result())
            raise

    def _decline(self, what: Connection | None) -> None:
        """What came just when nobody waited any more. A connection that has closed since passed its place on itself."""
        if what is None or not what.lost:
            self._pass_on(what)

    async def _dial(self) -> Connection:
        """Fills a place, or gives it up."""
        try:
            connection = await dial(self._origin, self._tls, lambda: Connection(self, self.loop), self._proxy)
            if connection.lost:
                raise ConnectionResetError
        except BaseException:
            self._pass_on(None)
            raise
        self._members.add(connection)
        if self._closed:
            connection.drop()
        return connection
