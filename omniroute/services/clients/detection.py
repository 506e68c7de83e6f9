"""Whether a tool is on this machine, by looking only: no process is started.

A command is looked for in the given directories and then in the `PATH`; it counts as runnable when its file may be
executed and, where the tool comes from the npm registry, the package around it is that tool's and no other of the same
name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from omniroute.services.clients.tools import Tool

Reason = Literal["not_found", "not_executable", "other_program"]
LARGEST_PACKAGE = 1 << 20
"""Bytes of a `package.json` that is looked into."""


class Detected(msgspec.Struct, frozen=True, rename="camel"):
    """What was found. `reason` says why it is not runnable; `version` is that of its package, where it has one."""

    installed: bool
    runnable: bool
    command: str
    command_path: str | None = None
    runtime_mode: str = "auto"
    reason: Reason | None = None
    version: str | None = None


class _Package(msgspec.Struct):
    name: str = ""
    version: str | None = None


def detect(tool: Tool, more: Sequence[Path]) -> Detected:
    """Looks for the tool. `more` are directories before those of the `PATH`."""
    places = [*more, *map(Path, os.get_exec_path())]
    found = [place / tool.command for place in places if (place / tool.command).is_file()]
    runnable = next((path for path in found if os.access(path, os.X_OK)), None)
    if runnable is None:
        path = found[0] if found else None
        reason: Reason = "not_executable" if found else "not_found"
        return Detected(bool(found), runnable=False, command=tool.command, command_path=_text(path), reason=reason)
    package = _package(runnable)
    if tool.package and package is not None and package.name != tool.package:
        told = str(runnable)
        return Detected(
            installed=False, runnable=False, command=tool.command, command_path=told, reason="other_program"
        )
    version = package.version if package is not None and package.name == tool.package else None
    return Detected(installed=True, runnable=True, command=tool.command, command_path=str(runnable), version=version)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _package(command: Path) -> _Package | None:
    """The npm package that a command belongs to, if it does: the nearest above the file that it leads to."""
    real = command.resolve()
    for folder in real.parents:
        if folder.parent.name == "node_modules" or folder.parent.name.startswith("@"):
            return _read(folder / "package.json")
    return None


def _read(file: Path) -> _Package | None:
    try:
        with file.open("rb") as stream:
            return msgspec.json.decode(stream.read(LARGEST_PACKAGE), type=_Package)
    except (OSError, msgspec.DecodeError):
        return None
