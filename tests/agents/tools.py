"""The command-line tools and packages of other projects, installed from their registry once a machine.

`package-lock.json` pins each of them by version and hash. They take a gigabyte, so they live in a cache outside the
repository: `$OMNIROUTE_TEST_CACHE`, or a folder below `~/.cache`. No script of a package is run: the binaries that the
tools need come as packages of their own.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from support.gateway import ROOT
from support.rig import KEY
from support.tap import Tap
from support.upstream import Asked, Upstream, whole

HERE = Path(__file__).parent
PAGE = ROOT / "docs" / "tools.md"
PINNED = ("package.json", "package-lock.json")
INSTALLING = 300.0
"""Seconds for the first time on a machine; with a near registry it takes ten."""
RETRIES = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000")
"""A registry that is not there is not waited for."""
PATIENCE = 40.0
"""Seconds for one run of a tool, most of which need two."""
_unreachable = re.compile(r"npm error code (E403|E404|EAI_AGAIN|ECONN\w+|ENET\w+|ENOTFOUND|E?TIMEDOUT|ERR_SOCKET\w*)\b")


def installed() -> Path:
    """The folder of the installed packages. Skips the test where there is no way to install them; a package that is
    not what the lock says is an error."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("the command-line tools cannot be installed: node and npm are not there")
    folder = _cache() / f"{_digest()}-{sys.platform}-{platform.machine()}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers of one run want the same
        if not (folder / "done").exists():
            _install(npm, folder)
            (folder / "done").touch()
    return folder / "node_modules"


def _cache() -> Path:
    told = os.environ.get("OMNIROUTE_TEST_CACHE")
    return Path(told) if told else Path.home() / ".cache" / "omniroute-tests"


def _digest() -> str:
    return sha256(b"".join((HERE / name).read_bytes() for name in PINNED)).hexdigest()[:16]


def _install(npm: str, folder: Path) -> None:
    for name in PINNED:
        shutil.copy(HERE / name, folder)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", *RETRIES]
    try:
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALLING, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the command-line tools cannot be installed: the registry took longer than {INSTALLING:.0f} s")
    if ended.returncode and (why := _unreachable.search(ended.stderr)):
        pytest.skip(f"the command-line tools cannot be installed: the registry cannot be reached ({why[1]})")
    assert ended.returncode == 0, ended.stderr


@dataclass
class Ran:
    """How a run of a tool ended, and what it printed."""

    status: int
    out: str
    err: str


@dataclass
class Desk:
    """Where a tool works: with a home, a folder and an environment of its own, and nobody to talk to. What it wants from
    other hosts goes to a proxy that writes it down and refuses it."""

    tools: Path
    folder: Path
    gateway: Tap
    fence: Upstream
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        self.work = self.folder / "work"
        self.home.mkdir()
        self.work.mkdir()
        self.fence.script = lambda _asked: whole({}, 403)
        path = {str(Path(shutil.which("node") or "").parent), "/usr/local/bin", "/usr/bin", "/bin"}
        self.environment = {
            "HOME": str(self.home),
            "PATH": os.pathsep.join(sorted(path)),
            "TERM": "dumb",
            "TMPDIR": str(self.folder),
            "HTTP_PROXY": self.fence.url,
            "HTTPS_PROXY": self.fence.url,
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def settings(self, tool: str, language: str) -> str:
        """What the page says to set for a tool, with this gateway's address and key."""
        section = PAGE.read_text().partition(f"\n## {tool}\n")[2].partition("\n## ")[0]
        block = section.partition(f"```{language}\n")[2].partition("```")[0]
        return block.replace("http://127.0.0.1:20128", self.gateway.url).replace("anonymous", KEY)

    def exports(self, tool: str) -> dict[str, str]:
        """The variables that the page says to set for a tool."""
        lines = self.settings(tool, "sh").splitlines()
        return dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export "))

    def run(self, *command: Any, **environment: str) -> Ran:
        """Runs the tool, and all that it starts, to its end. It does not go on for longer than the patience lasts."""
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=self.work,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"the tool did not end: {out[-2000:]}{err[-2000:]}") from None
        return Ran(process.returncode, out, err)

    def note(self) -> str:
        """Leaves a word in the file that the tool is to read."""
        word = f"walrus-{token_hex(4)}"
        (self.work / "note.txt").write_text(word + "\n")
        return word

    @property
    def strayed(self) -> list[str]:
        """What it wanted from other hosts."""
        return [asked.path for asked in self.fence.asked]

    @property
    def sent(self) -> list[Asked]:
        """What it sent to the gateway."""
        return self.gateway.asked
