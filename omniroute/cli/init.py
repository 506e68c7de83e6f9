"""`omniroute init`: a first file to begin with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from omniroute.cli.words import DEFAULT_CONFIG, ERRORS, FINE, Verbs, verb


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
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x") as file:  # not even through a link that leads nowhere
            file.write(starter)
    except OSError as error:
        there = target.is_symlink() or target.exists()
        reason = "it is there already" if there else error.strerror
        print(f"{target} was not written: {reason}", file=sys.stderr)
        return ERRORS
    print(f"wrote {target}; start with: omniroute serve --config {target}")
    return FINE
