"""The official SDKs for JavaScript as clients, in the words of the other SDKs' tests: one process of node for them all.

Two of them stand at the last version that runs on node 20: `openai` 6 and `@google/genai` 2.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

from support.providers import Spent
from support.rig import KEY
from support.sdks import Failed, Heard

DRIVER = Path(__file__).parent / "sdks.mjs"
CLIENTS = ("openai", "responses", "anthropic", "gemini")
WAYS = ("whole", "stream", "helper")
"""As of the SDKs for Python: `stream` are the raw events, `helper` is what each package has to put them together."""
PATIENCE = 15.0
"""Seconds for one request; the SDKs themselves wait ten."""


class SDKError(Exception):
    """An exception of an SDK."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.name, failed.message)
        self.failed = failed


@dataclass
class Asking:
    """A request that is under way."""

    node: Node
    ident: int
    ended: Future[dict[str, Any]] = field(default_factory=Future)
    text: str = ""
    """What has been heard of its stream so far."""
    spoken: threading.Event = field(default_factory=threading.Event)

    def abort(self) -> None:
        """Ends it by its `AbortController`."""
        self.node.write({"abort": self.ident})

    def value(self) -> Any:
        """What it came to. Raises `SDKError` for what the SDK raised."""
        line = self.ended.result(PATIENCE)
        assert "broken" not in line, line["broken"]
        if "failed" in line:
            raise SDKError(Failed(**({"status": None} | line["failed"])))
        return line["heard"]

    def heard(self) -> Heard:
        told = self.value()
        spent = told.pop("spent", None)
        told["calls"] = [tuple(call) for call in told["calls"]]
        told["models"] = set(told["models"])
        return Heard(**told, spent=spent and Spent(**spent))


class Node:
    """Use as a context manager."""

    def __init__(self, packages: Path, url: str) -> None:
        self._command = [shutil.which("node") or "node", str(DRIVER), str(packages), url, KEY]
        self._idents = count(1)
        self._asking: dict[int, Asking] = {}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()  # its kept connections would hold it open
        self._process.wait(5)
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def write(self, line: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

    def ask(
        self, client: str, way: str, *, headers: dict[str, str] | None = None, retries: int = 0, **body: Any
    ) -> Asking:
        asking = Asking(self, next(self._idents))
        self._asking[asking.ident] = asking
        request = {"client": client, "way": way, "request": body, "headers": headers or {}, "retries": retries}
        self.write({"id": asking.ident} | request)
        return asking

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            asking = self._asking[told["id"]]
            if "text" in told:
                asking.text += told["text"]
                asking.spoken.set()
            else:
                asking.ended.set_result(told)
