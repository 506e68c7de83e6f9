"""The load: lanes that each send one request after another, and what came of it.

A closed loop. Every lane is one kept-alive connection; when the time is up it finishes the request it is at, so that no
answer is cut off and CPU time can be divided by a true number of requests. An answer counts when it is a 200 that
holds what it should as often as it should; everything else is a failure with a reason.
"""

import asyncio
import time
from collections import Counter
from itertools import count

import httptools
import msgspec

NUMBER = b"#0000000#"
"""In a request, what every sending of it replaces by a number of its own."""
_numbers = count()
PATIENCE = 20  # seconds after which a lane gives up, whatever it is at


class Tally(msgspec.Struct):
    answers: int = 0
    failures: Counter[str] = msgspec.field(default_factory=Counter)
    first_bytes: list[float] = []  # seconds from the request to the first byte of the answer's body


class Lane(asyncio.Protocol):
    """One connection of the load; `finished` is set when it has rested for good."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop, request: bytes, mark: bytes, times: int, until: float) -> None:
        self.loop = loop
        self.parser = httptools.HttpResponseParser(self)
        self.request = request
        self.mark = mark
        self.times = times
        self.until = until
        self.tally = Tally()
        self.finished = loop.create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # a TCP one
        self.transport = transport
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self.fail("connection lost")

    def send(self) -> None:
        if self.finished.done():
            return
        self.body: list[bytes] = []
        self.sent = time.perf_counter()
        request = self.request
        if NUMBER in request:
            request = request.replace(NUMBER, b"#%07d#" % next(_numbers))
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(f"bad HTTP: {error}")

    def on_body(self, body: bytes) -> None:
        if not self.body:
            self.tally.first_bytes.append(time.perf_counter() - self.sent)
        self.body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self.body)
        if (status := self.parser.get_status_code()) != 200:
            self.fail(f"{status} {body[:200].decode(errors='replace')}")
        elif body.count(self.mark) < self.times:
            self.fail(f"not {self.times} times {self.mark.decode()} in {body[:200].decode(errors='replace')}")
        elif not self.parser.should_keep_alive():
            self.fail("the connection was not kept alive")
        else:
            self.tally.answers += 1
            if time.perf_counter() < self.until:
                self.loop.call_soon(self.send)  # a turn later, so that no lane starves the others
            else:
                self.finish()

    def fail(self, reason: str) -> None:
        self.tally.failures[reason] += 1
        self.finish()

    def finish(self) -> None:
        if not self.finished.done():
            self.finished.set_result(None)
        self.transport.close()


async def drive(
    port: int, request: bytes, *, lanes: int, seconds: float, mark: bytes, times: int = 1, ramp: float = 0
) -> Tally:
    """Keeps `lanes` lanes busy for `seconds`, started over `ramp` seconds; each answer must hold `mark` that often."""
    loop = asyncio.get_running_loop()
    until = time.perf_counter() + seconds

    async def run(delay: float) -> Tally:
        await asyncio.sleep(delay)
        _, lane = await loop.create_connection(lambda: Lane(loop, request, mark, times, until), "127.0.0.1", port)
        try:
            await asyncio.wait_for(lane.finished, PATIENCE)
        except TimeoutError:
            lane.fail("no answer in time")
        return lane.tally

    total = Tally()
    for tally in await asyncio.gather(*(run(ramp * i / lanes) for i in range(lanes))):
        total.answers += tally.answers
        total.failures += tally.failures
        total.first_bytes += tally.first_bytes
    return total
