"""`omniroute init`: a first file to begin with."""

from __future__ import annotations

import argparse
from pathlib import Path

from omniroute.cli.words import DEFAULT_CONFIG, ERRORS, FINE, Verbs, verb, write_new


def add(verbs: Verbs) -> None:
    command = verb(verbs, init, "init", "write a commented starter file", "omniroute init gateway/omniroute.yaml")
    command.add_argument(
        "path",
        type=Path,
        nargs="?",
        default=Path(DEFAULT_CONFIG),
        help=f"where to write it (default: {DEFAULT_CONFIG})",
    )


def init(arguments: argparse.Namespace) -> int:
    """Writes a commented starter file; never over an existing one."""
    from importlib.resources import files

    target: Path = arguments.path
    starter = files("omniroute.config").joinpath("starter.yaml").read_text()
    if not write_new(target, starter):
        return ERRORS
    print(f"wrote {target}; start with: omniroute serve --config {target}")
    return FINE
