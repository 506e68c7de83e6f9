"""The same transport over httpx, for upstreams that need what `wire.py` does not speak.

Slower by an order of magnitude and used only where a provider's config says `transport: httpx`; so it may use what the
wire client must not: timeout contexts, tasks, a pool that is not ours. It stands on httpx's transport and not on its
client, which would keep cookies, read the environment and log a line for each request. Answers are taken raw, for httpx
would inflate them without a bound, and go through the same limits and decoders. Each request has a connection of its
own, for the reason that stands in the constructor.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from typing import Any, cast

import httpx

from omniroute.errors import UpstreamError, UpstreamKind
from omniroute.upstream.answer import Answer, Limits, check_head, failure, inflater
from omniroute.upstream.dial import reason, tls_context
from omniroute.upstream.head import authority, request_head
from omniroute.upstream.transport import Deadlines, Request

SENDING = "http11.send_request_headers.started"
"""The trace event at which a connection is there, and the provider's own time begins."""


class Fallback:
    """A `Transport`. `tls` is for tests with an authority of their own; verification cannot be switched off here."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        max_connections: int = 512,
    ) -> None:
        self._limits = limits or Limits()
        self._transport = httpx.AsyncHTTPTransport(
            verify=tls or tls_context(),
            trust_env=False,
            # httpcore takes bytes that follow an answer for the answer to the next request. So there is no next request.
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=0),
        )
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    async def send(self, request: Request) -> FallbackReply:
        if self._closed:
            raise failure("connect", "the gateway is shutting down")
        if request.proxy is not None:
            raise failure("connect", "this transport goes through no proxy")  # a configuration that asks it is refused
        prepared = _prepared(request)
        loop = asyncio.get_running_loop()
        ends = loop.time() + request.deadlines.total
        deadline = asyncio.timeout_at(ends)

        async def trace(event: str, _: dict[str, Any]) -> None:
            if event == SENDING:
                deadline.reschedule(min(loop.time() + request.deadlines.first_byte, ends))

        prepared.extensions["trace"] = trace
        try:
            async with deadline:
                response = await self._transport.handle_async_request(prepared)
        except TimeoutError as error:
            raise failure("timeout", "no answer from the provider within its deadline", error) from error
        except httpx.TransportError as error:
            raise _translated(error, otherwise="connect") from error
        reply = FallbackReply(self, response, self._limits, request.deadlines, ends)
        try:
            reply.admit()
        except UpstreamError:
            reply.close()
            raise
        return reply

    async def close(self) -> None:
        self._closed = True
        if self._closing:
            await asyncio.wait(self._closing)
        await self._transport.aclose()

    def dispose(self, reply: FallbackReply) -> None:
        """Closes an answer from where nothing can be awaited."""
        task = asyncio.get_running_loop().create_task(reply.release())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class FallbackReply(Answer):
    """A `Reply` over an httpx response."""

    __slots__ = ("_deadlines", "_ends", "_failure", "_finished", "_owner", "_pieces", "_reading", "_response")

    def __init__(
        self, owner: Fallback, response: httpx.Response, limits: Limits, deadlines: Deadlines, ends: float
    ) -> None:
        super().__init__(limits)
        self.status = response.status_code
        self.headers = [(name.lower(), value) for name, value in response.headers.raw]
        self._owner = owner
        self._response = response
        self._deadlines = deadlines
        self._ends = ends
        self._finished = False
        self._reading = False
        self._failure: UpstreamError | None = None
        self._pieces = cast("AsyncGenerator[bytes, None]", response.aiter_raw())

    def admit(self) -> None:
        """Raises UpstreamError(malformed) for a head that is no answer to what was asked."""
        if self.status < 200:
            raise failure("malformed", "the provider answered with a status that was not asked for")
        check_head(self.headers, self.limits)
        self._inflater = inflater(self.headers, self.limits)

    async def _raw(self) -> bytes:
        if self._finished:
            return b""
        if self._failure is not None:
            raise self._failure
        self._reading = True
        try:
            return await self._next_piece(self._pieces)
        except asyncio.CancelledError:
            self.close()
            raise
        except UpstreamError as error:
            raise self._first_failure(error) from error.__cause__
        finally:
            self._reading = False

    async def _next_piece(self, pieces: AsyncGenerator[bytes, None]) -> bytes:
        moment = min(asyncio.get_running_loop().time() + self._deadlines.idle, self._ends)
        try:
            async with asyncio.timeout_at(moment):
                async for piece in pieces:
                    if piece:
                        return piece
        except TimeoutError as error:
            raise failure("timeout", "nothing more from the provider within its deadline", error) from error
        except (httpx.TransportError, httpx.StreamError) as error:
            raise _translated(error, otherwise="truncated") from error
        self._finished = True
        return b""

    def close(self) -> None:
        if not self._finished and self._failure is None:
            self._first_failure(failure("truncated", "the answer was closed before its end"))
            self._owner.dispose(self)

    def _first_failure(self, error: UpstreamError) -> UpstreamError:
        """A reader whose answer was closed under it is told so, not that a socket broke."""
        self._failure = self._failure or error
        return self._failure

    async def release(self) -> None:
        """Closes the connection under the answer; who reads from it finds that out."""
        if not self._reading:
            await self._pieces.aclose()
        await self._response.aclose()


def _prepared(request: Request) -> httpx.Request:
    origin, deadlines = request.origin, request.deadlines
    host = authority(origin)
    request_head(request, host)  # refuses what httpx would let through
    try:
        url = httpx.URL(
            scheme=origin.scheme, host=origin.host.strip("[]"), port=origin.port, raw_path=request.target.encode()
        )
    except httpx.InvalidURL as error:
        raise failure("connect", "the provider's host name was not found", error) from error
    timeout = httpx.Timeout(None, connect=deadlines.connect, pool=deadlines.connect)
    return httpx.Request(
        request.method,
        url,
        headers=[(b"host", host), (b"accept-encoding", b"identity"), *request.headers],
        content=request.body or None,
        extensions={"timeout": timeout.as_dict()},
    )


def _translated(error: Exception, *, otherwise: UpstreamKind) -> UpstreamError:
    """An error of httpx's in our terms. `otherwise` is what a broken connection means at this point."""
    match error:
        case httpx.PoolTimeout():
            return failure("connect", "no free connection to the provider within its deadline", error)
        case httpx.TimeoutException():
            return failure("timeout", "no connection to the provider within its deadline", error)
        case httpx.ConnectError():
            return failure("connect", reason(_root(error)), error)
        case httpx.RemoteProtocolError() if str(error).startswith("Server disconnected"):
            return failure("connect", "the provider closed the connection without an answer", error)
        case httpx.RemoteProtocolError() if str(error).startswith("peer closed connection"):
            return failure("truncated", "the provider's answer stopped before its end", error)
        case httpx.RemoteProtocolError():
            return failure("malformed", "the provider's answer is not HTTP", error)
        case _:
            return failure(otherwise, "the connection to the provider broke", error)


def _root(error: BaseException) -> OSError:
    """What the socket said, under the layers of httpx, httpcore and anyio."""
    root = OSError()
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError):
            root = below
        below = below.__cause__ or below.__context__
    return root
