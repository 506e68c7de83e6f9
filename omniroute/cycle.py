"""One request of a client's connection and its answer: uvicorn's cycle, with a whole answer in one write.

uvicorn writes the head of an answer and its body apart, and looks at every header with two regular expressions. A write
is a system call that wakes the client, 10 µs of CPU, and the expressions are 5 µs (measured with `bench/`). Here the
head waits for the first piece of the body, for as long as the event loop has nothing else to do, and is looked at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uvicorn._types import ASGISendEvent

BODILESS = frozenset({204, 304})


class Cycle(RequestResponseCycle):
    """What uvicorn calls a cycle; `send` is ASGI's."""

    _head = b""

    async def send(self, message: ASGISendEvent) -> None:
        """Raises RuntimeError for a message that is out of turn, and for a head that is no head."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._begin(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._go_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"`{message['type']}` is nothing that an answer over HTTP is made of.")

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        if self.response_started:
            raise RuntimeError("An answer has one head.")
        pairs = [*self.default_headers, *headers]
        named = dict(pairs)
        length = named.get(b"content-length")
        if length is not None:
            self.chunked_encoding = False
            self.expected_content_length = int(length)
        if b"close" in named.get(b"connection", b"").lower():
            self.keep_alive = False
        elif not self.keep_alive:
            pairs.append((b"connection", b"close"))
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in BODILESS:
            self.chunked_encoding = True
            pairs.append((b"transfer-encoding", b"chunked"))
        head = b"%b%b\r\n\r\n" % (STATUS_LINE[status], b"\r\n".join(map(b": ".join, pairs)))
        lines = len(pairs) + 2
        if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
            raise RuntimeError("A header holds the end of a line.")
        self.response_started = True
        self.waiting_for_100_continue = False
        self._head = head
        if self.chunked_encoding:  # its first piece may be long in coming
            asyncio.get_running_loop().call_soon(self._flush)

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if not self.response_started or self.response_complete:
            raise RuntimeError("A body comes after its head and before its end.")
        head, self._head = self._head, b""
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            body = b""
        elif self.chunked_encoding:
            piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = piece if more else piece + b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("A body is as long as its head says.")
        if head or body:
            self.transport.write(head + body)
        if more:
            return
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _flush(self) -> None:
        """Sends a head whose body has not begun."""
        head, self._head = self._head, b""
        if head and not self.disconnected:
            self.transport.write(head)
