"""The same request again gets the same answer, also while the first is under way.

A client names a request with `Idempotency-Key`, or with `X-Request-Id`. The name counts for one caller on one path. Under
an `Idempotency-Key` there is one body, and another is refused; an `X-Request-Id` with another body is another request.

The first to come does the work, in its own task, and reads the answer from the recording as everybody does who comes
later; so a client that reads slowly holds nobody up. When the first client leaves, the work goes on as long as somebody
reads. A failure before the first byte is told to everybody who waits and then forgotten: to ask again is to try again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from hashlib import blake2b

import msgspec

from omniroute.errors import CallError, Unavailable, Unprocessable, UpstreamError
from omniroute.relay.asgi import Message, Pairs, Send
from omniroute.relay.call import Call
from omniroute.relay.pump import FAREWELL
from omniroute.state.idempotency import Recording

Work = Callable[[], Awaitable[None]]
HEADER = (b"x-omniroute-idempotent", b"true")
KEY = b"idempotency-key"
COST = b"x-omniroute-cost"
DIGEST = 32

_encode = msgspec.json.Encoder().encode


class Named(msgspec.Struct, frozen=True):
    """What a client calls its request: the `key` of its recording and the `digest` of its body."""

    key: bytes
    digest: bytes


def named(call: Call) -> Named | None:
    """The request's name, if the client gave it one."""
    value = call.named.get(KEY)
    if value:
        digest = _digest(call)
        return Named(_key(call, KEY, value, b""), digest)
    if call.request_id == call.id:
        return None
    digest = _digest(call)
    return Named(_key(call, b"x-request-id", call.request_id.encode("latin-1"), digest), digest)


def _key(call: Call, *parts: bytes) -> bytes:
    assert call.principal is not None
    told = (call.principal.name, call.scope["path"], *(part.hex() for part in parts))
    return blake2b(_encode(told), digest_size=DIGEST).digest()


def _digest(call: Call) -> bytes:
    """Of all that the client says: the body or the form, and the mode that a query may ask for."""
    head = call.head
    assert head is not None
    said = blake2b(_encode((head.mode, head.stream)), digest_size=DIGEST)
    said.update(head.body)
    for part in call.form:
        said.update(_encode((part.name, part.filename, part.content_type, len(part.data))))
        said.update(part.data)
    return said.digest()


def guarded(call: Call, work: Work) -> Awaitable[None]:
    """The work, done once for all who ask for it by the same name; just the work where there is none."""
    name = named(call) if call.gateway.idempotency is not None else None
    return work() if name is None else once(call, name, work)


async def once(call: Call, name: Named, work: Work) -> None:
    """Does the work, unless it has been done or is being done. Raises what the work raises."""
    keeping = call.gateway.idempotency
    assert keeping is not None
    table, now = call.state.idempotency, call.state.clock.monotonic()
    found = table.find(name.key, now)
    if found is None:
        recording = table.begin(name.key, name.digest, keeping, now)
        await _Leader(call, recording).lead(name, work)
    elif found.digest == name.digest:
        await _follow(call, found)
    else:
        raise Unprocessable(
            f"This `Idempotency-Key` was used for another request within the last {keeping.ttl:g} s.",
            code="idempotency_key_reused",
        )


# --------------------------------------------------------------------------------------------------- the first to come


class _Leader:
    """The request that does the work."""

    def __init__(self, call: Call, recording: Recording) -> None:
        self.call = call
        self.recording = recording
        self.reader: asyncio.Task[None] | None = None

    async def lead(self, name: Named, work: Work) -> None:
        """Works, records, and answers its own client from the recording."""
        call, recording = self.call, self.recording
        send, call.send = call.send, recording.write
        recording.join(self)
        call.guard.spared = self.spared
        recording.abandoned = self.abandoned
        self.reader = asyncio.create_task(recording.read(self, _Delivered(call, send)))
        try:
            await work()
        except BaseException as error:
            call.state.idempotency.drop(name.key, recording)
            recording.end(error)
            with suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    await self.reader
            raise
        else:
            self._keep(name)
            await self.reader
        finally:
            call.send = send
            call.guard.spared = None
            self.reader.cancel()

    def _keep(self, name: Named) -> None:
        call, recording = self.call, self.recording
        recording.note = call.target, call.usage
        recording.end()
        keeping = call.gateway.idempotency
        if keeping is None or call.fault is not None:
            call.state.idempotency.drop(name.key, recording)
        else:
            call.state.idempotency.keep(name.key, recording, keeping, call.state.clock.monotonic())

    def spared(self) -> bool:
        """The client has left: whether the work goes on all the same, for others."""
        self.recording.leave(self)
        return self.recording.readers > 0 and not self.recording.ended

    def abandoned(self) -> None:
        """Nobody reads any more."""
        self.call.guard.trip("client_gone")


# ----------------------------------------------------------------------------------------------------- who comes later


async def _follow(call: Call, recording: Recording) -> None:
    """Gives the answer as it is made, or was. What it cost is the first one's."""
    reader = object()
    recording.join(reader)
    send = _Renamed(call, call.send)
    try:
        try:
            await recording.read(reader, send)
        except asyncio.CancelledError:
            if call.guard.reason is None:  # the server stops: the last word is on its way
                with suppress(TimeoutError):
                    async with asyncio.timeout(FAREWELL):
                        await recording.read(reader, send)
            raise
    finally:
        recording.leave(reader)
        if not recording.readers and not recording.ended:
            recording.abandoned()
    if recording.failure is not None:
        raise _failure(recording.failure)
    call.target, call.usage = recording.note
    call.cost = Decimal(0)
    call.idempotent = True


def _failure(error: BaseException) -> Exception:
    """What those are told who waited for an answer that never came."""
    if isinstance(error, (CallError, UpstreamError)):
        return error
    return Unavailable("The request that this one repeats came to no end: ask again.", code="repeated_request_failed")


class _Delivered:
    """Sends to a client, and knows when it has all of its answer: to leave then is no reason to stop, for what is still to
    be done, or told to others."""

    __slots__ = ("_call", "_send")

    def __init__(self, call: Call, send: Send) -> None:
        self._call = call
        self._send = send

    async def __call__(self, message: Message) -> None:
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._call.guard.release()


class _Renamed(_Delivered):
    """Sends to the client of a repeated request, under that request's own name."""

    __slots__ = ()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            call = self._call
            call.committed = True
            call.status = message["status"]
            call.first_byte = call.state.clock.monotonic()
            message = {**message, "headers": self._headers(message["headers"])}
        await super().__call__(message)

    def _headers(self, headers: Pairs) -> Pairs:
        name = self._call.request_id.encode("latin-1")
        own = {b"x-request-id": name, self._call.codec.REQUEST_ID: name, COST: b"0"}
        return [*((header, own.get(header, value)) for header, value in headers), HEADER]
