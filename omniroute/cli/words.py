"""What the verbs have in common: how one is declared, its exit codes, how it finds the files and tells problems."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from omniroute.config.bundle import Bundle
    from omniroute.errors import Problem

DEFAULT_CONFIG = "config/omniroute.yaml"
FINE, ERRORS, USAGE, WARNINGS, REFUSED = 0, 1, 2, 3, 78
CHANGES, GUARDED, MOVED, ROLLED_BACK = 2, 4, 5, 6
"""Of `plan` and `apply`: there are changes (`--detailed-exitcode`), they take away too much, what they were made for has
changed, they were taken back."""
# What `add_subparsers` gives has no public name.
Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def verb(
    verbs: Verbs, run: Callable[[argparse.Namespace], int], name: str, text: str, example: str
) -> argparse.ArgumentParser:
    """Declares a verb: `run` does it and gives the exit code, and the example stands under its help."""
    command = verbs.add_parser(name, help=text, description=text.capitalize() + ".", epilog=f"example: {example}")
    command.set_defaults(run=run)
    return command


def config_option(command: argparse.ArgumentParser) -> None:
    """Gives a verb `--config`."""
    command.add_argument(
        "--config",
        "-c",
        type=Path,
        default=None,
        help=f"the main file (default: $OMNIROUTE_CONFIG or {DEFAULT_CONFIG})",
    )


def env_option(command: argparse.ArgumentParser) -> None:
    """Gives a verb `--env`."""
    command.add_argument(
        "--env", metavar="NAME", default="", help="as it is there: overlays/NAME.yaml merged over the files"
    )


def read_files(arguments: argparse.Namespace) -> Bundle:
    """The configuration, through the overlay of `--env`. Raises ConfigError."""
    from omniroute import catalog
    from omniroute.config import bundle, overlay

    if arguments.env:
        return overlay.read(config_path(arguments), arguments.env, catalog.load())
    return bundle.read(config_path(arguments), catalog.load())


def config_path(arguments: argparse.Namespace) -> Path:
    """The main file: what was asked for, else what the environment says, else the usual place."""
    from omniroute.config.secrets import environment

    return arguments.config or environment().config or Path(DEFAULT_CONFIG)


def report_problems(problems: Sequence[Problem], arguments: argparse.Namespace) -> None:
    """Writes problems in the form of `--output`: text to standard error, what machines read to standard output."""
    from omniroute.config import report

    form = getattr(arguments, "output", "text")
    stream = sys.stderr if form == "text" else sys.stdout
    colour = stream.isatty()
    text = report.FORMS[form](problems, colour)
    if text:
        print(text, file=stream)


def print_json(value: object) -> None:
    """Writes a value as JSON, in the shapes of the management API."""
    import msgspec

    encode = msgspec.json.Encoder(decimal_format="number").encode  # as the management API does it
    sys.stdout.buffer.write(msgspec.json.format(encode(value), indent=2) + b"\n")
    sys.stdout.flush()
