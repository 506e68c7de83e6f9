"""Edits through the management plane of a real gateway while clients call models: does a request fail for it, how long does
an edit take, and how long does everybody else wait for one?

    PYTHONPATH=$PWD:$PWD/tests:bench python tests/reliability/writes.py [SECONDS] [CONNECTIONS] [EDITS_A_SECOND] [LINES]

The provider is `bench/upstream.py` in a process of its own, the load that of `bench/load.py`: connections that each ask
again as soon as they have an answer. Every edit changes one leaf of a file of so many lines, 2,000 if not told, and is written to the disk
(`fsync`) before it is answered. After that, without load, edits are made one by one while somebody asks `/livez` all the
time: what the slowest of these answers takes longer than the slowest without an edit is what an edit keeps others waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import load
import msgspec
from support.edited import BEFORE, KEY
from support.gateway import Gateway, free_port

BENCH = Path(load.__file__).parent
NODES = 20
"""Whose addresses are changed in turn."""
MARK = b"finds a provider"
"""Stands in the mock's answer."""


class Told(msgspec.Struct):
    """What a run found. Times are in seconds; `waits` are those of edits under load, `alone` of those without, `idle` and
    `beside` of `/livez` in the same time without and with an edit."""

    seconds: float = 0.0
    answers: int = 0
    failures: list[str] = []
    waits: list[float] = []
    alone: list[float] = []
    idle: list[float] = []
    beside: list[float] = []
    wrong: list[str] = []


@contextlib.contextmanager
def provider() -> Iterator[int]:
    """The mock, on a port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(BENCH / "upstream.py"), str(port)])
    try:
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def config(upstream: int, lines: int) -> str:
    """A file of so many lines, with comments."""
    text = BEFORE.replace("{data}", "{data_dir}").replace("http://10.0.0.7:8000", f"http://127.0.0.1:{upstream}")
    blocks = []
    while text.count("\n") + 6 * len(blocks) < lines or len(blocks) < NODES:
        blocks.append(
            f"  node-{len(blocks)}:\n    type: openai-compatible\n    # rotated in June\n"
            f'    base_url: "http://10.1.0.1:8000/v1"   # rack {len(blocks)}\n    connections:\n      main: {{}}\n'
        )
    return text.replace("providers:\n", f"providers:\n{''.join(blocks)}", 1)


class Editor:
    """Changes one leaf after another."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.number = 0

    def close(self) -> None:
        self._connection.close()

    def edit(self) -> tuple[float, int]:
        """How long it took, and its status."""
        self.number += 1
        body = json.dumps({"baseUrl": f"http://10.9.0.{self.number % 250 + 1}:8000/v1"})
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        began = time.perf_counter()
        self._connection.request("PATCH", f"/api/provider-nodes/node-{self.number % NODES}", body, headers)
        reply = self._connection.getresponse()
        reply.read()
        return time.perf_counter() - began, reply.status


def run(seconds: float = 20.0, connections: int = 32, rate: float = 20.0, lines: int = 2000, alone: int = 20) -> Told:
    """Edits under load, then alone."""
    told = Told()
    with provider() as upstream, Gateway(config(upstream, lines), LAB_KEY="x") as gateway:
        under_load(gateway, told, seconds, connections, rate)
        for _ in range(alone):
            beside_nothing(gateway, told)
        if gateway.path.read_text().count("# rotated in June") != config(0, lines).count("# rotated in June"):
            told.wrong.append("comments are gone")
    return told


def under_load(gateway: Gateway, told: Told, seconds: float, connections: int, rate: float) -> None:
    """Edits at a rate, as far as they are answered in time."""
    over = threading.Event()

    def edit() -> None:
        editor, begins = Editor(gateway.port), time.monotonic()
        while not over.is_set():
            took, status = editor.edit()
            told.waits.append(took)
            if status != 200:
                told.wrong.append(f"an edit was answered with {status}")
            begins = max(begins + 1 / rate, time.monotonic() - 1)
            over.wait(max(0.0, begins - time.monotonic()))
        editor.close()

    thread = threading.Thread(target=edit)
    thread.start()
    body = json.dumps({"model": "lab/qwen3-32b", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    load.PATIENCE = seconds + 20
    try:
        began = time.monotonic()
        tally = asyncio.run(
            load.drive(gateway.port, head.encode() + body, lanes=connections, seconds=seconds, mark=MARK)
        )
        told.seconds = time.monotonic() - began
    finally:
        over.set()
        thread.join()
    told.answers = tally.answers
    told.failures = [f"{count} × {reason}" for reason, count in tally.failures.items()]


def beside_nothing(gateway: Gateway, told: Told) -> None:
    """One edit, and how long `/livez` takes meanwhile; and as long without one."""
    editor = Editor(gateway.port)
    over = threading.Event()
    seen: list[float] = []

    def look() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        while not over.is_set():
            began = time.perf_counter()
            connection.request("GET", "/livez")
            connection.getresponse().read()
            seen.append(time.perf_counter() - began)
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    time.sleep(0.1)
    before = len(seen)
    took, status = editor.edit()
    editor.close()
    after = len(seen)
    time.sleep(0.1)
    over.set()
    thread.join()
    told.alone.append(took)
    told.beside.append(max(seen[before : after + 1], default=0.0))
    told.idle.append(max([*seen[:before], *seen[after + 1 :]], default=0.0))
    if status != 200:
        told.wrong.append(f"an edit was answered with {status}")


def main(arguments: list[str]) -> int:
    """Prints what a run found; 1 where a request failed."""
    seconds, connections, rate, lines = map(float, (*arguments, *("20", "32", "20", "2000")[len(arguments) :]))
    told = run(seconds, int(connections), rate, int(lines))
    waits, alone = sorted(told.waits), sorted(told.alone)
    print(
        f"{told.answers:,} answers in {told.seconds:.1f} s ({told.answers / told.seconds:,.0f} a second), "
        f"{len(told.failures)} kinds of failures, beside {len(waits):,} edits ({len(waits) / told.seconds:.1f} a second): "
        f"{median(waits) * 1e3:.0f} ms in the middle, {waits[-1] * 1e3:.0f} ms at the most"
    )
    print(
        f"alone: an edit takes {median(alone) * 1e3:.0f} ms in the middle, {alone[0] * 1e3:.0f} to {alone[-1] * 1e3:.0f}; the slowest "
        f"answer of /livez beside one {median(told.beside) * 1e3:.1f} ms in the middle, at the least {min(told.beside) * 1e3:.1f}, "
        f"without one {median(told.idle) * 1e3:.1f} and {min(told.idle) * 1e3:.1f}"
    )
    for each in [*told.failures, *told.wrong][:20]:
        print(each)
    return 1 if told.failures or told.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
