"""Hands an answer to the client: whole, or piece by piece with a sign of life in between.

Everything before the first `send` can still be repaired by another candidate; nothing after it can.  So this is the
one module that writes to the client, and the commit point of a stream is its first line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from math import inf

from omniroute.errors import Fault, UpstreamError
from omniroute.formats.codec import Bridge
from omniroute.relay import headers, progress
from omniroute.relay.asgi import respond
from omniroute.relay.attempt import Opened
from omniroute.relay.call import Call
from omniroute.upstream.client import classify, named
from omniroute.upstream.transport import Reply

LINGER = 0.25
"""Seconds that a provider has to end an answer in which all has been said, for its connection to serve again."""
FAREWELL = 0.25
"""Seconds for the last word to a client, when the server can wait no longer."""
STOPPING = Fault(kind="unavailable", status=503, message="The gateway is shutting down.", code="shutting_down")
"""What the clients of streams are told that a draining server can wait for no longer."""


def send_whole(call: Call, body: bytes, content_type: bytes = headers.JSON) -> Awaitable[None]:
    """Answers with a whole body."""
    if call.claim is not None:
        call.claim()
    return respond(call.send, 200, headers.whole(call, len(body), content_type), body)


class Pulse:
    """Tells that a stream is alive: sends the format's ping when it has been silent for a while, so that nothing between
    takes it for dead, and how far it is to a client that asked for that.

    One timer a stream, which compares times when it fires and is not touched by a chunk. What it sends goes out between
    two whole events only, because the bridge never gives less than one.
    """

    __slots__ = ("_call", "_due", "_every", "_interval", "_loop", "_ping", "_task", "_timer", "_way", "last")

    def __init__(self, call: Call, way: Bridge) -> None:
        assert call.head is not None
        self._call = call
        self._way = way
        self._ping = call.codec.ping(call.head)
        self._interval = call.gateway.server.ping_interval
        self._every = call.gateway.server.progress_interval
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self.last = self._loop.time()
        self._due = self.last + self._every if call.progress == "enabled" else inf
        self._timer = self._loop.call_at(self._next(), self._tick)

    def _next(self) -> float:
        return min(self.last + self._interval, self._due)

    def _tick(self) -> None:
        now = self._loop.time()
        if now >= self._due:
            self._due = now + self._every
            self._say(progress.event(self._call, self._way), now)
        elif now - self.last >= self._interval:
            self._say(self._ping, now)
        self._timer = self._loop.call_at(self._next(), self._tick)

    def _say(self, sign: bytes, now: float) -> None:
        self.last = now
        if sign:
            self._task = self._loop.create_task(self._send(sign))

    async def _send(self, sign: bytes) -> None:
        await self._call.send({"type": "http.response.body", "body": sign, "more_body": True})

    def stop(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()


async def stream(call: Call, opened: Opened, provider: str) -> UpstreamError | None:
    """Answers with a stream to its legal end; a failure of the upstream on the way is told and given back."""
    if call.claim is not None:
        call.claim()
    send, way = call.send, opened.bridge
    call.committed = True
    call.status = 200
    call.first_byte = call.state.clock.monotonic()
    call.progress = progress.answered(call)
    if opened.ended:
        await respond(send, 200, headers.stream(call), _at_end(call, way, opened.first, begun=False))
        return None
    await send({"type": "http.response.start", "status": 200, "headers": headers.stream(call)})
    failure: UpstreamError | None = None
    rest = opened.first
    begun = not way.over
    if begun:
        await send({"type": "http.response.body", "body": rest, "more_body": True})
        pulse = Pulse(call, way)
        try:
            failure, rest = await _relay(call, opened, provider, pulse)
        finally:
            pulse.stop()
    if failure is None and way.fault is not None:
        failure = classify(way.fault, provider)
    call.fault = failure.fault if failure else None
    await send({"type": "http.response.body", "body": _at_end(call, way, rest, begun=begun)})
    if failure is None:
        await _let_end(call, opened.reply)
    return failure


def _at_end(call: Call, way: Bridge, rest: bytes, *, begun: bool) -> bytes:
    """The rest of a stream; a client that wants to know of progress is told before it, but not before anything else:
    some need the first event to be the format's own."""
    if call.progress != "enabled":
        return rest
    first = 0 if begun else rest.find(b"\n\n") + 2
    return rest[:first] + progress.event(call, way, done=True) + rest[first:]


async def _relay(call: Call, opened: Opened, provider: str, pulse: Pulse) -> tuple[UpstreamError | None, bytes]:
    """The loop, until the answer is at its legal end: clients leave there, and what the upstream does then is not
    theirs. Gives what is left to send, and the failure that ended it if one did."""
    way = opened.bridge
    send, reply, now = call.send, opened.reply, asyncio.get_running_loop().time
    try:
        while data := await reply.chunk():
            piece = way.feed(data)
            if way.over:
                return None, piece
            if piece:
                pulse.last = now()
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    except UpstreamError as error:
        failure = named(error, provider)
        return failure, way.fail(failure.fault)
    except asyncio.CancelledError:
        if call.guard.reason is None:
            with suppress(TimeoutError):  # a client that reads nothing is owed no more than this
                async with asyncio.timeout(FAREWELL):
                    await send({"type": "http.response.body", "body": way.fail(STOPPING)})
        raise
    return None, way.close()


async def _let_end(call: Call, reply: Reply) -> None:
    """Reads to the end of the upstream's bytes, which is usually there already: only then is its connection free. The
    answer was whole before, so nothing that happens here is a failure."""
    call.guard.release()
    timer = asyncio.get_running_loop().call_later(LINGER, reply.close)
    try:
        with suppress(UpstreamError):
            while await reply.chunk():
                pass
    finally:
        timer.cancel()
