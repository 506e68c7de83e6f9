"""The server's side of a connection: uvicorn's protocol, with the limits that it lacks.

uvicorn starts a timer only after a response, so a client that sends its head one byte a minute would hold a connection
for ever, and its parser takes heads of any size.  Here a head has a deadline and a size, and the number of connections
has a bound.  The deadline is a mark of time that a sweep over all connections looks at once a second: a timer for each
request would cost each request something.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from typing import Any, ClassVar, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from omniroute.relay.guard import KEY, Guard

HEAD_SECONDS = 10.0
"""For the first byte of a connection, and for each head from its first byte to its last."""
LINE_LIMIT = 8 * 1024
HEAD_LIMIT = 32 * 1024
FIELD_LIMIT = 100
CONNECTIONS = 1000
CONNECTIONS_EACH = 50
"""From one address; those of this machine, where a reverse proxy may stand for everybody, are not counted."""

TOLD = {
    400: ("Bad Request", "bad_request", "This is not valid HTTP."),
    414: ("URI Too Long", "uri_too_long", f"The request line is longer than {LINE_LIMIT} bytes."),
    431: (
        "Request Header Fields Too Large",
        "headers_too_large",
        f"The headers are more than {HEAD_LIMIT} bytes or {FIELD_LIMIT} fields.",
    ),
    503: ("Service Unavailable", "too_many_connections", "There are too many connections."),
}


class _Answered:
    """Stands for a request that needs no more of its body: what the parser still finds is dropped."""

    response_complete = True
    message_event = asyncio.Event()


_ANSWERED = _Answered()


class Listener(HttpToolsProtocol):
    """One connection of a client."""

    _each: ClassVar[Counter[str]] = Counter()
    _head_since = 0.0
    _head_bytes = 0
    _refused = False
    _counted = ""
    _guards: list[Guard]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn itself
        super().connection_made(transport)
        self._guards = []
        self._head_since = self.loop.time()
        address = self.client[0] if self.client else ""
        if address and not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            self._counted = address
            self._each[address] += 1
        if len(self.connections) > CONNECTIONS or self._each[self._counted] > CONNECTIONS_EACH:
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        for guard in self._guards:
            guard.trip("client_gone")
        if self._counted:
            self._each[self._counted] -= 1
            if not self._each[self._counted]:
                del self._each[self._counted]
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._head_since:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_since and self._head_bytes > HEAD_LIMIT:
            self._refuse(431)

    def on_message_begin(self) -> None:
        self._head_since = self.loop.time()
        super().on_message_begin()
        self.scope[KEY] = self._guards  # type: ignore[literal-required]  # a word to our own application only

    def on_headers_complete(self) -> None:
        self._head_since = 0.0
        if len(self.url) > LINE_LIMIT:
            self._refuse(414)
        elif len(self.headers) > FIELD_LIMIT or (self._head_bytes > HEAD_LIMIT and self._size() > HEAD_LIMIT):
            self._refuse(431)
        else:
            super().on_headers_complete()
        self._head_bytes = 0

    def send_400_response(self, msg: str) -> None:
        del msg  # it names the parser's trouble, which helps nobody but an attacker
        self._refuse(400)

    def _size(self) -> int:
        return sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse(self, status: int) -> None:
        """Says why, and closes; what comes after is not read."""
        if self._refused:
            return
        self._refused = True
        self.cycle = cast("RequestResponseCycle", _ANSWERED)
        reason, code, message = TOLD[status]
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        body = msgspec.json.encode({"error": error})
        head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()

    def sweep(self, now: float) -> None:
        """Closes the connection if its head is overdue, and has the guard look at the body."""
        if self._head_since and now - self._head_since > HEAD_SECONDS:
            self.transport.close()
        for guard in list(self._guards):
            guard.sweep(now)


async def sweep_forever(connections: set[Any]) -> None:
    """Looks after the heads of all connections."""
    now = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(1.0)
        for connection in list(connections):
            if isinstance(connection, Listener):
                connection.sweep(now())
