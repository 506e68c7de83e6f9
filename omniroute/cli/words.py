"""What the verbs have in common: how one is declared, its exit codes, how it finds the files and tells problems."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
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
    verbs: Verbs, run: Callable[[argparse.Namespace], int], name: str, text: str, example: str, codes: str = ""
) -> argparse.ArgumentParser:
    """Declares a verb: `run` does it and gives the exit code. The example stands under its help, and below it what its
    exit codes mean, where it has some of its own."""
    epilogue = f"example: {example}" + (f"\n\nexit codes: {codes}" if codes else "")
    command = verbs.add_parser(name, help=text, description=text.capitalize() + ".", epilog=epilogue)
    if codes:
        command.formatter_class = argparse.RawDescriptionHelpFormatter
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


def json_option(command: argparse.ArgumentParser) -> None:
    """Gives a verb `--json`."""
    command.add_argument("--json", action="store_true", help="tell it as JSON")


def read_files(arguments: argparse.Namespace) -> Bundle:
    """The configuration, through the overlay of `--env`. Raises ConfigError."""
    from omniroute import catalog
    from omniroute.config import bundle

    if arguments.env:
        from omniroute.config import overlay

        return overlay.read(config_path(arguments), arguments.env, catalog.load())
    return bundle.read(config_path(arguments), catalog.load())


def config_path(arguments: argparse.Namespace) -> Path:
    """The main file: what was asked for, else what the environment says, else the usual place."""
    from omniroute.config.secrets import environment

    return arguments.config or environment().config or Path(DEFAULT_CONFIG)


def report_problems(problems: Sequence[Problem], form: str = "text") -> None:
    """Writes problems in a form: text to standard error, what machines read to standard output."""
    from omniroute.config import report

    stream = sys.stderr if form == "text" else sys.stdout
    colour = stream.isatty()
    text = report.FORMS[form](problems, colour)
    if text:
        print(text, file=stream)


def write_new(target: Path, text: str) -> bool:
    """Writes a file that is not there yet, and its folder. False, having said why, where that cannot be."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x") as file:  # not even through a link that leads nowhere
            file.write(text)
    except OSError as error:
        there = target.is_symlink() or target.exists()
        print(f"{target} was not written: {'it is there already' if there else error.strerror}", file=sys.stderr)
        return False
    return True


def write_files(changes: Mapping[Path, tuple[bytes, bytes]], main: Path, done: str) -> bool:
    """Puts new contents in the place of the old, all or none, and says of each file that it is `done`. False, having said
    why, where that cannot be."""
    import asyncio

    from omniroute.config import storage
    from omniroute.errors import Unavailable

    async def replaced() -> bool:
        async with storage.exclusive(main):
            return storage.replace(changes)

    try:
        if not asyncio.run(replaced()):
            print("a file has changed meanwhile: nothing was written, try again", file=sys.stderr)
            return False
    except (OSError, Unavailable) as error:
        print(f"nothing was written: {error}", file=sys.stderr)
        return False
    for file in changes:
        print(f"{done} {file}", file=sys.stderr)
    return True


def print_json(value: object) -> None:
    """Writes a value as JSON, in the shapes of the management API."""
    import msgspec

    encode = msgspec.json.Encoder(decimal_format="number").encode  # as the management API does it
    sys.stdout.buffer.write(msgspec.json.format(encode(value), indent=2) + b"\n")
    sys.stdout.flush()
