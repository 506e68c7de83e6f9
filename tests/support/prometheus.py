"""Prometheus from Debian's packages: `promtool`, and a server in a folder of its own.

Installed once a machine, where this may be done; else what needs it is skipped with a word.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import pytest
from support.gateway import free_port

INSTALLING = 120.0
PATIENCE = 20.0


def tool(name: str) -> str:
    """The path of `promtool` or `prometheus`."""
    found = shutil.which(name) or (_install() and shutil.which(name))
    if not found:
        pytest.skip(f"{name} is not there, and Debian's package `prometheus` cannot be installed here")
    return found


def _install() -> bool:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return False
    with (Path(tempfile.gettempdir()) / "omniroute-tests-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers of one run want the same
        if shutil.which("prometheus") is None:
            command = [apt, "install", "-y", "-q", "--no-install-recommends", "prometheus"]
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(command, capture_output=True, timeout=INSTALLING, check=False, env=environment)
    return True


class Prometheus:
    """A server that scrapes as a configuration says. Use as a context manager."""

    def __init__(self, config: str, folder: Path) -> None:
        self._binary = tool("prometheus")
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "prometheus.yml").write_text(config)
        self.url = f"http://127.0.0.1:{free_port()}"

    def __enter__(self) -> Self:
        address = self.url.removeprefix("http://")
        options = [f"--web.listen-address={address}", f"--storage.tsdb.path={self._folder / 'data'}"]
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [self._binary, f"--config.file={self._folder / 'prometheus.yml'}", *options], stdout=log, stderr=log
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}?{urlencode(query)}", timeout=5) as answer:
            return json.load(answer)["data"]

    def query(self, text: str) -> list[tuple[dict[str, str], float]]:
        """The series that an expression gives now."""
        found = self.ask("/api/v1/query", query=text)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def until(self, text: str) -> list[tuple[dict[str, str], float]]:
        """The same, as soon as there are any."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            with suppress(OSError):
                if found := self.query(text):
                    return found
            time.sleep(0.1)
        log = (self._folder / "log").read_text()
        raise AssertionError(f"{text} gave nothing in {PATIENCE:g} s\n{log[-2000:]}")
