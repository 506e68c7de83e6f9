"""One connection of the wire client, and the answer that arrives on it.

The parser of httptools calls the reply, the loop calls the connection, a caller pulls from the reply; nothing else is
between the socket and the caller. A connection goes home the moment its answer is complete, whether or not anybody has
read it yet.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any, Protocol, cast

import httptools

from omniroute.errors import UpstreamError
from omniroute.upstream.answer import Answer, Limits, check_head, failure, inflater
from omniroute.upstream.transport import Deadlines, Request

HIGH_WATER = 256 * 1024
"""Body bytes held for a caller before reading stops: one full read, so that a burst is not cut in two."""

JOINED = 32 * 1024
"""Up to this size a body is copied behind its head, which is cheaper than handing the loop two buffers."""

CLOCK_STEP = 0.001
"""Seconds by which a timer may fire early: those of uvloop count in milliseconds."""


CODINGS = (b"content-encoding", b"transfer-encoding")


class Home(Protocol):
    """Where a connection belongs: the pool of its origin."""

    keep_idle: float

    def take_back(self, connection: Connection) -> None:
        """Its answer is complete, and it may be asked again."""

    def withdraw(self, connection: Connection) -> None:
        """It is about to close: not to be handed out any more."""

    def forget(self, connection: Connection) -> None:
        """It is closed."""


class Connection(asyncio.Protocol):
    """One socket and what is asked on it.

    `_expires` is the moment at which the present phase has taken too long: the first byte, the next byte, the whole,
    or the rest between two requests. Moving it costs a comparison; the timer is set anew only when it fires, or when
    the moment comes before the one that it is set for.
    """

    __slots__ = (
        "_armed",
        "_deadlines",
        "_ends",
        "_expires",
        "_feed",
        "_home",
        "_loop",
        "_paused",
        "_reply",
        "_timer",
        "_transport",
        "barren",
        "lost",
        "reused",
    )

    _transport: asyncio.Transport

    def __init__(self, home: Home, loop: asyncio.AbstractEventLoop) -> None:
        self.lost = False
        self.reused = False
        self.barren = 0  # bytes since the last one of a body: head, chunk sizes, trailers
        self._home = home
        self._loop = loop
        self._reply: WireReply | None = None
        self._feed: Any = None
        self._paused = False
        self._deadlines = Deadlines()
        self._ends = inf
        self._expires = inf
        self._armed = inf
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, request: Request, head: bytes, limits: Limits, ends: float) -> WireReply:
        """Sends a request, whose answer has to be whole when it `ends`."""
        reply = WireReply(self._loop, limits, bodiless=request.method == "HEAD")
        transport = self._transport
        if self.lost or transport.is_closing():
            reply.fail(failure("connect", "the provider closed the connection"))
            return reply
        parser = httptools.HttpResponseParser(reply)
        reply.attach(self, parser)
        self._reply = reply
        self._feed = parser.feed_data
        self.barren = 0
        self._deadlines = request.deadlines
        self._ends = ends
        self._expect(self._loop.time() + request.deadlines.first_byte)
        body = request.body
        if not body:
            transport.write(head)
        elif len(body) <= JOINED:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        return reply

    def abandon(self, error: UpstreamError) -> None:
        """Gives up what is under way, and tells who waits for it why."""
        reply = self._reply
        if reply is not None:
            reply.fail(error)
            reply.detach()
        self.drop()
        if reply is not None:
            reply.wake()

    def drop(self) -> None:
        """Closes at once, without the farewell of TLS: nobody is owed an answer to it."""
        self._reply = None
        self._feed = None
        self._home.withdraw(self)
        if not self.lost:
            self._transport.abort()

    def resume(self) -> None:
        """The caller has taken what was held: read on."""
        if self._paused:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
            self._expect(self._loop.time() + self._deadlines.idle)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._home.forget(self)
        reply, self._reply, self._feed = self._reply, None, None
        if reply is not None:
            reply.ended(exc, heard=bool(reply.status or self.barren))

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:
            self.drop()  # nobody asked
            return
        held = reply.held
        self.barren += len(data)
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            reply.garbled(error)
        if reply.held != held:
            self.barren = 0
        elif self.barren > reply.limits.head_bytes:
            reply.fail(failure("malformed", "the provider's answer has too much around its body"))
        if reply.complete:
            self._finish(reply)
        elif reply.failure is not None:
            reply.detach()
            self.drop()
        elif reply.held > HIGH_WATER:
            self._paused = True
            self._transport.pause_reading()
            self._expect(self._ends)  # while we are the slow ones, silence is not the provider's
        elif reply.status:
            self._expect(self._loop.time() + self._deadlines.idle)
        reply.wake()

    def _finish(self, reply: WireReply) -> None:
        """An answer is complete: the connection is free for the next one, or done for."""
        reply.detach()
        if not reply.keeps_alive or self._transport.get_write_buffer_size():
            self.drop()
            return
        self._reply = None
        self._feed = None
        self.reused = True
        self._ends = inf
        self._expect(self._loop.time() + self._home.keep_idle)
        self._home.take_back(self)

    def _expect(self, moment: float) -> None:
        if moment > self._ends:  # noqa: PLR1730 - `min` costs three times as much, on every read
            moment = self._ends
        self._expires = moment
        if moment < self._armed:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = self._expires
        self._timer = self._loop.call_at(self._expires, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._armed = inf
        now = self._loop.time()
        if now + CLOCK_STEP < self._expires:
            self._arm()
            return
        self.abandon(failure("timeout", self._what_took_too_long(now)))

    def _what_took_too_long(self, now: float) -> str:
        if now + CLOCK_STEP >= self._ends:
            return "the provider's answer took longer than its deadline"
        if self._reply is not None and not self._reply.status:
            return f"no answer from the provider within {self._deadlines.first_byte:g} s"
        return f"nothing more from the provider within {self._deadlines.idle:g} s"


class WireReply(Answer):
    """One answer as it arrives: what the parser calls back into, and the `Reply` that a caller pulls from.

    `held` are the body bytes that wait for the caller. A failure is told only after everything that came before it,
    so that the outcome does not depend on how the network cut the bytes.
    """

    __slots__ = (
        "_bodiless",
        "_connection",
        "_loop",
        "_parser",
        "_pieces",
        "_waiter",
        "complete",
        "failure",
        "held",
        "keeps_alive",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits, *, bodiless: bool) -> None:
        super().__init__(limits)
        self.held = 0
        self.complete = False
        self.keeps_alive = False
        self._bodiless = bodiless
        self._loop = loop
        self._connection: Connection | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._pieces: list[bytes] = []
        self.failure: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None

    # What a caller awaits. A cancelled wait drops the connection: nobody will read on.

    async def opened(self) -> None:
        """Status and headers are there."""
        try:
            while not self.status:
                if self.failure is not None:
                    raise self.failure
                await self._arrival()
        except asyncio.CancelledError:
            self.close()
            raise

    async def read(self, limit: int) -> bytes:
        if self.complete and self._inflater is None and self.held <= min(limit, self.limits.body_bytes):
            return self._take()  # the usual case, and worth its own line: all of it came in one read
        return await super().read(limit)

    async def _raw(self) -> bytes:
        try:
            while not self._pieces:
                if self.failure is not None:
                    raise self.failure
                if self.complete:
                    return b""
                await self._arrival()
        except asyncio.CancelledError:
            self.close()
            raise
        return self._take()

    def _take(self) -> bytes:
        pieces = self._pieces
        self._pieces = []
        self.held = 0
        if self._connection is not None:
            self._connection.resume()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _arrival(self) -> asyncio.Future[None]:
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def close(self) -> None:
        """Drops the connection of an unfinished answer; who waits for more of it is told that it was truncated."""
        connection = self._connection
        if connection is not None:
            connection.abandon(failure("truncated", "the answer was closed before its end"))

    # What the connection does.

    def attach(self, connection: Connection, parser: httptools.HttpResponseParser) -> None:
        self._connection = connection
        self._parser = parser

    def detach(self) -> None:
        """Lets go of the connection, and of the cycle that parser and reply make."""
        self._connection = None
        self._parser = None

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def fail(self, error: UpstreamError) -> None:
        if self.failure is None and not self.complete:
            self.failure = error

    def garbled(self, error: Exception) -> None:
        """The parser gave up: in the middle of the answer, or over bytes that follow it."""
        self.keeps_alive = False
        self.fail(failure("malformed", "the provider's answer is not HTTP", error))

    def ended(self, error: Exception | None, *, heard: bool) -> None:
        """The connection is gone, which is the proper end of an answer that declares none."""
        self.detach()
        if not heard:
            self.fail(failure("connect", "the provider closed the connection without an answer", error))
        elif error is None and self.status and not self._declares_its_end():
            self.complete = self.failure is None
        else:
            self.fail(failure("truncated", "the provider's answer stopped before its end", error))
        self.wake()

    def _declares_its_end(self) -> bool:
        return any(name in (b"content-length", b"transfer-encoding") for name, _ in self.headers)

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self.complete:
            self.keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # else it is a trailer, and those are not for anybody
            self.headers.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        connection, parser = self._connection, self._parser
        if self.complete or self.failure is not None or connection is None or parser is None:
            return
        status = parser.get_status_code()
        if 100 <= status < 200:
            self.headers = []  # an interim answer: the real one follows, but after 101, at which the parser gives up
            return
        try:
            self._check(status, connection.barren)
        except UpstreamError as error:
            self.fail(error)
            return
        self.status = status
        self.complete = self._bodiless

    def on_body(self, body: bytes) -> None:
        if not self.complete and self.failure is None:
            self._pieces.append(body)
            self.held += len(body)

    def on_message_complete(self) -> None:
        if self.status and not self.complete and self._parser is not None:
            self.complete = True
            self.keeps_alive = self._parser.should_keep_alive()

    def _check(self, status: int, barren: int) -> None:
        if status < 200:
            raise failure("malformed", "the provider answered with a status that was not asked for")
        if barren > self.limits.head_bytes or len(self.headers) > self.limits.head_fields:
            check_head(self.headers, self.limits)
        codings = [header for header in self.headers if header[0] in CODINGS]
        if codings:
            transfer = [value.lower() for name, value in codings if name == b"transfer-encoding"]
            if transfer not in ([], [b"chunked"]):
                raise failure("malformed", "the provider's answer has a transfer coding that was not asked for")
            self._inflater = inflater(codings, self.limits)
