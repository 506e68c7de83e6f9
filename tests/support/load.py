"""Constant load on a gateway: threads with keep-alive connections, every third answer a stream."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Answered:
    """What came back, and when. `failure` says what was wrong with it, and is empty where nothing was."""

    at: float
    revision: str
    model: str
    failure: str = ""


class Load:
    """Use as a context manager. `pause` is in seconds between two requests of a thread."""

    def __init__(self, port: int, model: str, threads: int = 4, pause: float = 0.005) -> None:
        self.answers: list[Answered] = []
        self._port = port
        self._model = model
        self._pause = pause
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.more(len(self._threads))
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int, seconds: float = 10.0) -> None:
        """Waits until as many further answers have come."""
        enough = len(self.answers) + count
        deadline = time.monotonic() + seconds
        while len(self.answers) < enough:
            assert time.monotonic() < deadline, "the load has stopped"
            time.sleep(0.005)

    def failures(self) -> list[str]:
        return [answer.failure for answer in self.answers if answer.failure]

    def _run(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._over.is_set():
            number += 1
            try:
                self.answers.append(self._ask(connection, stream=number % 3 == 0))
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.answers.append(Answered(time.monotonic(), "", "", repr(error)))
                connection.close()
            self._over.wait(self._pause)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, *, stream: bool) -> Answered:
        body = {"model": self._model, "messages": [{"role": "user", "content": "one two three"}], "stream": stream}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        reply = connection.getresponse()
        content = reply.read()
        revision = reply.headers.get_all("x-omniroute-config", [])
        models = reply.headers.get_all("x-omniroute-model", [])
        failure = "" if len(revision) == len(models) == 1 else f"headers: {reply.headers}"
        if reply.status != 200 or _text(content, stream=stream) != "You said: one two three":
            failure = f"{reply.status}: {content[:300]!r}"
        return Answered(time.monotonic(), ", ".join(revision), ", ".join(models), failure)


def _text(content: bytes, *, stream: bool) -> str:
    """What the model said; raises ValueError where the answer is not whole."""
    if not stream:
        message: Any = json.loads(content)["choices"][0]["message"]
        return str(message["content"])
    events = content.decode().split("\n\n")
    if events[-2:] != ["data: [DONE]", ""]:
        raise ValueError(f"a stream without its end: {content[-200:]!r}")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
