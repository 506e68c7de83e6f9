"""`omniroute fmt`: lays files out in the one canonical way."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omniroute.cli.words import ERRORS, FINE, Verbs, config_option, config_path, report_problems, verb, write_files

if TYPE_CHECKING:
    from omniroute.document import Document

STDIN = "-"


def add(verbs: Verbs) -> None:
    command = verb(
        verbs,
        fmt,
        "fmt",
        "lay the files out in the canonical way",
        "omniroute fmt --check",
    )
    config_option(command)
    command.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="what to lay out, `-` for standard input (default: the main file, what it includes, and its overlays)",
    )
    command.add_argument("--check", action="store_true", help="write nothing, name the files, exit code 1 if any")
    command.add_argument("--diff", action="store_true", help="write nothing, show what would change")


def fmt(arguments: argparse.Namespace) -> int:
    """Lays out all files that can be, and tells of each that cannot: exit code 1 if there is one."""
    from omniroute.document import unified

    changes: dict[str, tuple[Document, Document]] = {}
    names = _names(arguments)
    fine = True
    for name in names:
        try:
            before, after = _laid_out(name)
        except _Unreadable:
            fine = False
            continue
        if before.content != after.content or (name == STDIN and not (arguments.check or arguments.diff)):
            changes[name] = before, after
    for name, (before, after) in changes.items():
        if arguments.diff:
            sys.stdout.write(unified(before, after, name))
        elif arguments.check:
            print(name)
    if arguments.check:
        return FINE if fine and not changes else ERRORS
    if arguments.diff:
        return FINE if fine else ERRORS
    return FINE if _written(changes, arguments) and fine else ERRORS


class _Unreadable(Exception):
    """It has been told what is wrong with a file."""


def _names(arguments: argparse.Namespace) -> Sequence[str]:
    from omniroute.config import bundle
    from omniroute.config.overlay import overlays

    if arguments.files:
        return list(dict.fromkeys(arguments.files))
    path = config_path(arguments)
    included = [_shown(file) for file in bundle.places(path)[1:] if file.is_file()]
    return [str(file) for file in (path, *included, *overlays(path))]


def _shown(file: Path) -> Path:
    """As seen from here, if it is below here."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _laid_out(name: str) -> tuple[Document, Document]:
    """A file before and after. Raises _Unreadable, having said why."""
    from omniroute.config.bundle import content
    from omniroute.config.order import declared
    from omniroute.document import Document, laid_out
    from omniroute.errors import ConfigError, EditRefused

    try:
        raw = sys.stdin.buffer.read() if name == STDIN else content(Path(name), name)
        document = Document.parse(raw, "standard input" if name == STDIN else name)
        return document, laid_out(document, declared())
    except ConfigError as error:
        report_problems(error.problems)
    except EditRefused as error:
        print(f"{name}: {error}", file=sys.stderr)
    raise _Unreadable


def _written(changes: Mapping[str, tuple[Document, Document]], arguments: argparse.Namespace) -> bool:
    """Writes the files, all or none. False, having said why, where that cannot be."""
    given = changes.get(STDIN)
    if given is not None:
        sys.stdout.buffer.write(given[1].content)
        sys.stdout.flush()
    files = {Path(name): (old.content, new.content) for name, (old, new) in changes.items() if name != STDIN}
    main = config_path(arguments)
    return not files or write_files(files, main if main.is_file() else next(iter(files)), "laid out")
