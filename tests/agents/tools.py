"""The command-line tools and packages of other projects, and a desk for them to work at. They take a gigabyte."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from support import packages
from support.gateway import ROOT
from support.rig import KEY
from support.tap import Tap
from support.upstream import Asked, Upstream, whole

HERE = Path(__file__).parent
PAGE = ROOT / "docs" / "tools.md"
PATIENCE = 40.0
"""Seconds for one run of a tool, most of which need two."""


def installed() -> Path:
    """The folder of the installed packages. Skips the test where there is no way to install them."""
    return packages.installed(HERE, "the command-line tools")


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
