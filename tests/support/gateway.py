"""A real gateway in a process of its own, with a configuration that a test wrote."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """One that nobody listens on, below those that the system gives to connections: between the look and the use, one
    of these could be taken."""
    while True:
        port = random.randrange(16384, 32768)
        with closing(socket.socket()) as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port


def environment() -> dict[str, str]:
    """The environment of this process, without what the gateway would listen to."""
    heard = {"PORT", "REQUIRE_API_KEY", "INITIAL_PASSWORD"}
    return {
        name: value for name, value in os.environ.items() if name not in heard and not name.startswith("OMNIROUTE_")
    }


class Gateway:
    """Use as a context manager. `config` may hold `{data_dir}`, which becomes a folder of its own; where it is a path,
    the file there is served as a copy together with everything beside it."""

    def __init__(self, config: str | Path, *options: str, **environment: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="omniroute-test-")
        self.folder = Path(self._folder.name)
        self.path = self.folder / "omniroute.yaml"
        self.port = free_port()
        self.options = options
        self.environment = environment
        if isinstance(config, Path):
            shutil.copytree(config.parent, self.folder, dirs_exist_ok=True)
            self.path = self.folder / config.name
        else:
            self.write(config)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ledger(self) -> Path:
        return self.folder / "data" / "omniroute.sqlite"

    def write(self, config: str) -> None:
        """Replaces the file as an editor does it, in one step."""
        text = config.replace("{data_dir}", str(self.folder / "data"))
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.path)

    def __enter__(self) -> Self:
        self.log = (self.folder / "log").open("w+")
        self.start()
        return self

    def start(self) -> None:
        """Starts it, for the first time or once more, and waits until it answers."""
        command = [sys.executable, "-m", "omniroute", "serve", "--config", str(self.path), "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, *self.options],
            cwd=self.folder,
            env=environment() | self.environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )
        self.wait()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.log.close()
        self._folder.cleanup()

    def wait(self, seconds: float = 20.0) -> None:
        """Until it answers; raises with its log where it ends instead."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.02)
        raise AssertionError(f"the gateway does not answer:\n{self.said()}")

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Ends it and gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(40)

    def said(self) -> str:
        """Its log."""
        self.log.flush()
        return (self.folder / "log").read_text()

    def rows(self, expected: int = 0, seconds: float = 5.0) -> list[dict[str, Any]]:
        """The rows of the ledger, oldest first, once there are as many as expected."""
        deadline = time.monotonic() + seconds
        while True:
            found = self._rows()
            if len(found) >= expected or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    def _rows(self) -> list[dict[str, Any]]:
        if not self.ledger.exists():
            return []
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in database.execute("select * from usage order by id")]
            except sqlite3.OperationalError:
                return []
