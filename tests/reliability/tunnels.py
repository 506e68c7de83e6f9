"""Proxies that fail in every way: cut after each byte of their answers, and with answers mangled at random.

Each call through one must end in a failure of the kind `connect`, or, where the proxy's answer was a right one all the
same, in the provider's own. What a proxy says beyond the end of its answer is `malformed`, since it stands where the
provider's answer would. The provider has a name that nobody can look up: there is no other way to it.

    PYTHONPATH=$PWD:$PWD/tests:tests/upstream python tests/reliability/tunnels.py [CASES] [SEED]
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter

import msgspec
import uvloop
from raw_upstream import Peer, asking, serving
from support.proxies import proxy

from omniroute.errors import UpstreamError
from omniroute.upstream.transport import Deadlines, Origin
from omniroute.upstream.wire import Wire

SHORT = Deadlines(connect=0.2, first_byte=0.5, idle=0.5, total=1.0)
HI = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
RIGHT: dict[str, list[bytes]] = {
    "http": [b"HTTP/1.1 200 Connection established\r\nvia: 1.1 local\r\n\r\n"],
    "socks5": [b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x03\x05local\x04\x38"],
}
"""What a proxy says until there is a tunnel, one answer after each thing that it hears."""


AT_ONCE = 50
"""Calls at a time."""
USER = {"team", "pass-word"}


async def call(wire: Wire, scheme: str, answers: list[bytes], *, size: int = 0, closes: bool = False) -> str:
    """What becomes of a call through a proxy that answers so, `size` bytes a write, and then closes or is the provider."""

    async def handler(peer: Peer) -> None:
        for answer in answers or [b""]:
            await peer.reader.read(4096)
            pieces = [answer[at : at + size] for at in range(0, len(answer), size)] if size else [answer]
            for piece in pieces:
                await peer.send(piece)
                await asyncio.sleep(0)
        if not closes and b"POST" in await peer.reader.read(4096):
            await peer.send(HI)

    async with serving(handler) as far:
        table = proxy(scheme, far.origin.port, username="team", password="pass-word")
        request = msgspec.structs.replace(asking(Origin("http", "provider.invalid", 80), deadlines=SHORT), proxy=table)
        try:
            reply = await wire.send(request)
            told = await reply.read(100)
        except UpstreamError as failure:
            return f"{failure.kind}, telling a credential" if USER & set(str(failure).split()) else failure.kind
        return "answered" if told == b"hi" else f"answered {told!r}"


async def cut(wire: Wire) -> Counter[str]:
    """Every right answer, broken off after each of its bytes."""
    ends: Counter[str] = Counter()
    for scheme, right in RIGHT.items():
        for index, answer in enumerate(right):
            for size in range(len(answer)):
                ends[await call(wire, scheme, [*right[:index], answer[:size]], closes=True)] += 1
    return ends


async def mangled(wire: Wire, cases: int, seed: int) -> Counter[str]:
    """Right answers with bytes changed, left out or put in."""
    chance = random.Random(seed)
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(scheme: str, answers: list[bytes]) -> str:
        async with turns:
            return await call(wire, scheme, answers)

    given = [_mangled(chance) for _ in range(cases)]
    return Counter(await asyncio.gather(*(one(scheme, answers) for scheme, answers in given)))


def _mangled(chance: random.Random) -> tuple[str, list[bytes]]:
    scheme = chance.choice(list(RIGHT))
    answers = [bytearray(answer) for answer in RIGHT[scheme]]
    for _ in range(chance.randrange(1, 4)):
        answer = chance.choice(answers)
        at = chance.randrange(len(answer) + 1)
        match chance.randrange(3):
            case 0 if at < len(answer):
                answer[at] = chance.randrange(256)
            case 1:
                del answer[at : at + chance.randrange(1, 5)]
            case _:
                answer[at:at] = chance.randbytes(chance.randrange(1, 5))
    return scheme, [bytes(answer) for answer in answers]


async def prove(cases: int, seed: int) -> tuple[Counter[str], Counter[str]]:
    wire = Wire()
    try:
        return await cut(wire), await mangled(wire, cases, seed)
    finally:
        await wire.close()


if __name__ == "__main__":
    count, start = (int(text) for text in (*sys.argv[1:], "20000", "1")[:2])
    for name, found in zip(("cut", "mangled"), uvloop.run(prove(count, start)), strict=True):
        print(f"{name}: {sum(found.values())} calls: {dict(found)}")
