"""The server's side of a connection: uvicorn's protocol, with the limits that it lacks.

uvicorn starts a timer only after a response, so a client that sends its head one byte a minute would hold a connection
for ever, and so would one that reads nothing of its answer; and its parser takes heads of any size.  Here a head has a
deadline and a size, whatever is not read has a deadline, and the number of connections has a bound.  The deadlines,
and how long a connection is kept while nothing is asked, are marks of time that a sweep over all connections looks at
once a second: a timer for each request would cost each request something.

What cannot be understood is answered in turn, after the requests that came before it, and ends the connection: nothing
behind it reaches a handler.
"""

from __future__ import annotations

import asyncio
import ipaddress
import sys
from collections import Counter
from functools import lru_cache
from typing import Any, ClassVar, cast
from urllib.parse import unquote

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from omniroute.cycle import Cycle
from omniroute.relay.guard import KEY, Guard

HEAD_SECONDS = 10.0
"""For the first byte of a connection, and for each head from its first byte to its last."""
STALL_SECONDS = 300.0
"""For a client that takes nothing of what waits for it."""
SWEEP_SECONDS = 1.0
FAREWELL_SECONDS = 2.0
"""For a client that had connected, or begun to ask, when the process began to end: it has not been told yet."""
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
    more_body = False
    message_event = asyncio.Event()


_ANSWERED = cast("RequestResponseCycle", _Answered())


class _Body:
    """Hears the body of one request for a listener, and nothing behind it."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._over = False

    def on_body(self, body: bytes) -> None:
        if not self._over:
            self._listener.on_body(body)

    def on_message_complete(self) -> None:
        if not self._over:
            self._over = True
            self._listener.on_message_complete()


@lru_cache(maxsize=256)
def _parts(url: bytes) -> tuple[str, bytes, bytes]:
    """The path, the path as it was written, and the query."""
    parts = httptools.parse_url(url)
    path = parts.path.decode("ascii")
    return unquote(path) if "%" in path else path, parts.path, parts.query or b""


class Listener(HttpToolsProtocol):
    """One connection of a client.

    `_since` is when the client began to send something that is not whole yet while nothing of it is being served: a
    head, the rest of a body that nobody wants, stray bytes. `_served` is the request that is being answered, which
    with pipelining is not the one that was parsed last.
    """

    _each: ClassVar[Counter[str]] = Counter()
    _since = 0.0
    _idle = 0.0
    _stalled = 0.0
    _in_head = True
    _ending = False
    _head_bytes = 0
    _before = 0
    _data = b""
    _refused = 0
    _served: RequestResponseCycle = _ANSWERED
    _counted = ""
    _guards: list[Guard]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn itself
        super().connection_made(transport)
        self.cycle = _ANSWERED
        self._guards = []
        self._since = self.loop.time()
        address = self.client[0] if self.client else ""
        if address and not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            self._counted = address
            self._each[address] += 1
        if len(self.connections) > CONNECTIONS or self._each[self._counted] > CONNECTIONS_EACH:
            self._refuse(503)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._served.response_complete:
            self._served.disconnected = True
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
        self._idle = 0.0
        if not self._since and self._served.response_complete:
            self._since = self.loop.time()
        if self._in_head:
            self._head_bytes += len(data)
        self._data = data
        super().data_received(data)
        self._data = b""
        if self._in_head and self._head_bytes - self._before > HEAD_LIMIT:
            self._refuse(431)

    def pause_writing(self) -> None:
        self._stalled = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled = 0.0
        super().resume_writing()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = self._before = len(self._data)  # of which some may belong to what came before
        super().on_message_begin()
        self.scope[KEY] = self._guards  # type: ignore[literal-required]  # a word to our own application only

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._since = 0.0
        if self._refused:
            return
        version = self.parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._refuse(400)
        elif len(self.url) > LINE_LIMIT:
            self._refuse(414)
        elif len(self.headers) > FIELD_LIMIT or (self._head_bytes > HEAD_LIMIT and self._size() > HEAD_LIMIT):
            self._refuse(431)
        else:
            self._take(version)

    def _take(self, version: str) -> None:
        """As uvicorn takes a request whose head is whole, with a cycle of our own."""
        scope, parser = self.scope, self.parser
        scope["method"] = parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"], scope["raw_path"], scope["query_string"] = _parts(self.url)
        before = self.cycle
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive() and not self._ending,
            on_response=self.on_response_complete,
        )
        if before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def shutdown(self) -> None:
        """As uvicorn, which would close at once what has just been opened: its request may be on the way."""
        if self._since and self._served.response_complete:
            self._ending = True
            self._since = min(self._since, self.loop.time() - HEAD_SECONDS + FAREWELL_SECONDS)
            return
        super().shutdown()

    def on_message_complete(self) -> None:
        self._since = 0.0
        super().on_message_complete()

    def _size(self) -> int:
        return sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _unsupported_upgrade_warning(self) -> None:
        """The parser has stopped behind a head that asks for another protocol, as Java's HTTP client does of every
        server. It need not be granted, but the body must not be lost: another parser takes it from here."""
        stopped = sys.exception()
        assert stopped is not None
        cycle = self.cycle
        cycle.keep_alive = False
        framing = [header for header in self.headers if header[0] in (b"content-length", b"transfer-encoding")]
        cycle.more_body = bool(framing)
        fields = b"".join(b"%b: %b\r\n" % header for header in framing)
        self.parser = type(self.parser)(_Body(self))
        super().data_received(b"POST / HTTP/1.1\r\n%b\r\n%b" % (fields, self._data[stopped.args[0] :]))

    # Answers, and refusals in their turn.

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
            else:
                self._idle = self.loop.time()
        if self._served.more_body:
            self._since = self.loop.time()
        if self._refused and self._served.response_complete:
            self._tell()

    def send_400_response(self, msg: str) -> None:
        del msg  # it names the parser's trouble, which helps nobody but an attacker
        self._refuse(400)

    def _refuse(self, status: int) -> None:
        """Says why, and closes, as soon as what was asked before has been answered; what comes after is not read."""
        if self._refused:
            return
        self._refused = status
        self.cycle = _ANSWERED
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()  # it is this one whose body is wrong
        served = self._served
        if served.more_body:
            # It is the body of the one that is being answered. The refusal is its answer, unless it has one already.
            if not served.response_started:
                self._tell()
            served.disconnected = True
            self.transport.close()
        elif served.response_complete:
            self._tell()

    def _tell(self) -> None:
        if self.transport.is_closing():
            return
        reason, code, message = TOLD[self._refused]
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        body = msgspec.json.encode({"error": error})
        head = f"HTTP/1.1 {self._refused} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()

    def sweep(self, now: float) -> None:
        """Closes the connection if the client is overdue, with sending or with reading; the guards look at bodies."""
        if self._since and self._served.response_complete and now - self._since > HEAD_SECONDS:
            self.transport.close()
        if self._idle and now - self._idle > self.timeout_keep_alive:
            self.transport.close()
        if self._stalled and now - self._stalled > STALL_SECONDS:
            self.transport.abort()
        for guard in list(self._guards):
            guard.sweep(now)


async def sweep_forever(connections: set[Any]) -> None:
    """Looks after the deadlines of all connections."""
    now = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        for connection in list(connections):
            if isinstance(connection, Listener):
                connection.sweep(now())
