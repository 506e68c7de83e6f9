"""Packages of other projects for node, installed from their registry once a machine.

A `package-lock.json` pins each of them by version and hash. They live in a cache outside the repository:
`$OMNIROUTE_TEST_CACHE`, or a folder below `~/.cache`. No script of a package is run: the binaries that some need come as
packages of their own.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

PINNED = ("package.json", "package-lock.json")
INSTALLING = 300.0
"""Seconds for the first time on a machine; with a near registry it takes ten."""
RETRIES = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=2000")
"""A registry that is not there is not waited for."""
_unreachable = re.compile(r"npm error code (E403|E404|EAI_AGAIN|ECONN\w+|ENET\w+|ENOTFOUND|E?TIMEDOUT|ERR_SOCKET\w*)\b")


def installed(pins: Path, what: str) -> Path:
    """The folder of the packages that are pinned in a folder. Skips the test where there is no way to install `what` they
    are; a package that is not what the lock says is an error."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip(f"{what} cannot be installed: node and npm are not there")
    folder = _cache() / f"{_digest(pins)}-{sys.platform}-{platform.machine()}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers of one run want the same
        if not (folder / "done").exists():
            _install(npm, pins, folder, what)
            (folder / "done").touch()
    return folder / "node_modules"


def _cache() -> Path:
    told = os.environ.get("OMNIROUTE_TEST_CACHE")
    return Path(told) if told else Path.home() / ".cache" / "omniroute-tests"


def _digest(pins: Path) -> str:
    return sha256(b"".join((pins / name).read_bytes() for name in PINNED)).hexdigest()[:16]


def _install(npm: str, pins: Path, folder: Path, what: str) -> None:
    for name in PINNED:
        shutil.copy(pins / name, folder)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", *RETRIES]
    try:
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALLING, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{what} cannot be installed: the registry took longer than {INSTALLING:.0f} s")
    if ended.returncode and (why := _unreachable.search(ended.stderr)):
        pytest.skip(f"{what} cannot be installed: the registry cannot be reached ({why[1]})")
    assert ended.returncode == 0, ended.stderr
