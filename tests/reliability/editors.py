"""Fifty clients edit one configuration through a real gateway at once: is any update lost, and is the file ever unsound?

    PYTHONPATH=$PWD:$PWD/tests python tests/reliability/editors.py [SECONDS] [CLIENTS]

Half of them count up in the same few combos, each write made of what was read and sent with its `If-Match`; the others
write an alias of their own, without one, and keys that are made and deleted in between come and go. Meanwhile the file
is read again and again and checked as `omniroute validate` does. At the end every combo has to hold as many counts as
writes that were answered with 200, and every alias what its client wrote last.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from support.edited import BEFORE, KEY
from support.gateway import Gateway

from omniroute import catalog
from omniroute.config import bundle
from omniroute.errors import ConfigError

COMBOS = 4


class Client:
    """One editor, on a connection of its own."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.waits: list[float] = []

    def close(self) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: Any = None, tag: str = "") -> tuple[int, Any, str]:
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        if tag:
            headers["if-match"] = tag
        began = time.perf_counter()
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        reply = self._connection.getresponse()
        content = json.loads(reply.read())
        if method != "GET":
            self.waits.append(time.perf_counter() - began)
        return reply.status, content, reply.headers.get("etag", "")


class Told:
    """What a run found."""

    def __init__(self) -> None:
        self.counted = [0] * COMBOS
        self.last: dict[str, str] = {}
        self.stale = 0
        self.writes = 0
        self.looks = 0
        self.wrong: list[str] = []
        self.waits: list[float] = []
        self.lock = threading.Lock()


def count_up(client: Client, number: int, told: Told) -> None:
    """One more in a combo that others count up too."""
    path = f"/api/combos/c{number % COMBOS}"
    _, content, tag = client.ask("GET", path)
    delay = content["config"]["retryDelayMs"]
    status, content, _ = client.ask("PATCH", path, {"config": {"retryDelayMs": delay + 1}}, tag)
    with told.lock:
        told.counted[number % COMBOS] += status == 200
        told.stale += status == 412
        told.writes += status == 200
        if status not in (200, 412):
            told.wrong.append(f"{path}: {status} {content}")


def write_own(client: Client, number: int, turn: int, told: Told) -> None:
    """The client's own alias, and now and then a key."""
    name, target = f"own-{number}", ("demo/echo", "demo/agent")[turn % 2]
    asked = [("PUT", "/api/models/alias", {"alias": name, "model": target})]
    if turn % 5 == 0:
        asked += [("POST", "/api/keys", {"name": name}), ("DELETE", f"/api/keys/{name}", None)]
    for method, path, body in asked:
        status, content, _ = client.ask(method, path, body)
        with told.lock:
            told.writes += status < 300
            if status >= 300:
                told.wrong.append(f"{method} {path}: {status} {content}")
    told.last[name] = target


def watch(path: Path, over: threading.Event, told: Told) -> None:
    """Reads the file as whoever starts a gateway would."""
    known = catalog.load()
    while not over.is_set():
        try:
            bundle.read(path, known)
        except ConfigError as error:
            told.wrong.append(f"the file: {error}")
        told.looks += 1


def run(seconds: float = 60.0, clients: int = 50) -> Told:
    """Everybody at once, for so long."""
    combos = "".join(
        f"  c{each}: {{targets: [demo/echo], retry: {{delay: 0s}}}}   # counted up\n" for each in range(COMBOS)
    )
    config = BEFORE.replace("{data}", "{data_dir}").replace("combos:\n", f"combos:\n{combos}")
    told, over = Told(), threading.Event()
    with Gateway(config, LAB_KEY="x") as gateway:

        def edit(number: int) -> None:
            client, turn, ends = Client(gateway.port), 0, time.monotonic() + seconds
            while time.monotonic() < ends:
                if number % 2:
                    count_up(client, number // 2, told)
                else:
                    write_own(client, number, turn, told)
                turn += 1
            client.close()
            with told.lock:
                told.waits += client.waits

        watcher = threading.Thread(target=watch, args=(gateway.path, over, told))
        editors = [threading.Thread(target=edit, args=(number,)) for number in range(clients)]
        for thread in (watcher, *editors):
            thread.start()
        for thread in editors:
            thread.join()
        over.set()
        watcher.join()
        with closing(Client(gateway.port)) as client:
            judge(client, gateway.path, told)
    return told


def judge(client: Client, path: Path, told: Told) -> None:
    """What is there now against what was answered."""
    for number, counted in enumerate(told.counted):
        _, content, _ = client.ask("GET", f"/api/combos/c{number}")
        there = content["config"]["retryDelayMs"]
        if there != counted:
            told.wrong.append(f"c{number} holds {there} of {counted} counts")
    aliases = client.ask("GET", "/api/models/alias")[1]["aliases"]
    told.wrong += [f"{name} is {aliases.get(name)}" for name, last in told.last.items() if aliases.get(name) != last]
    text = path.read_text()
    told.wrong += [
        f"a comment is gone: {line}"
        for line in BEFORE.splitlines()
        if line.lstrip().startswith("#") and line not in text
    ]


def main(arguments: list[str]) -> int:
    """Prints what a run found; 1 where something was lost or unsound."""
    seconds = float(arguments[0]) if arguments else 60.0
    clients = int(arguments[1]) if len(arguments) > 1 else 50
    told = run(seconds, clients)
    waits = sorted(told.waits)
    print(
        f"{clients} clients for {seconds:.0f} s: {told.writes:,} writes, {told.stale:,} told that they were stale, the file "
        f"read {told.looks:,} times; a write took {waits[len(waits) // 2] * 1000:.0f} ms in the middle and "
        f"{waits[-1] * 1000:.0f} ms at the most: {len(told.wrong)} wrong"
    )
    for each in told.wrong[:20]:
        print(each)
    return 1 if told.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
