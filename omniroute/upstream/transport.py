"""What the relay needs of an HTTP client, and nothing more.

Two modules satisfy `Transport`: `wire.py`, our own HTTP/1.1 client on httptools for the hot path, and `fallback.py`,
the same over httpx for upstreams that need what `wire.py` does not speak.  A `Reply` is pulled piece by piece, so
that a slow client slows its upstream down and nothing piles up between them.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from omniroute.routing.tables import Deadlines, Origin, Proxy

__all__ = ["Deadlines", "Headers", "Origin", "Proxy", "Reply", "Request", "Transport"]

Headers = tuple[tuple[bytes, bytes], ...]


class Request(msgspec.Struct, frozen=True):
    """One outgoing request. `headers` are complete but for host, content-length and accept-encoding. With a `proxy` it
    goes through that, or fails."""

    origin: Origin
    method: str
    target: str
    headers: Headers
    body: bytes
    deadlines: Deadlines
    proxy: Proxy | None = None


class Reply(Protocol):
    """An answer whose status and headers are there and whose body may still be coming.

    Header names are lower case. `chunk` gives the next piece of the decoded body, b"" at its end; `read` gives what
    is left of it as a whole, refusing more than `limit` bytes. Both raise `UpstreamError` (timeout, connect,
    truncated, malformed). `close` may be called at any time, also twice: it returns a finished connection to the pool
    and drops an unfinished one, which stops the upstream's work.
    """

    status: int
    headers: list[tuple[bytes, bytes]]

    async def chunk(self) -> bytes: ...

    async def read(self, limit: int) -> bytes: ...

    def close(self) -> None: ...


class Transport(Protocol):
    """Sends requests. Raises `UpstreamError`: `timeout` or `connect`, `truncated` or `malformed` for a head that is none,
    `invalid` for a request that cannot be sent; a status is never an exception here."""

    async def send(self, request: Request) -> Reply: ...

    async def close(self) -> None: ...
