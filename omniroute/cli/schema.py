"""`omniroute schema`: the JSON schema that editors read."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from omniroute.cli.words import ERRORS, FINE, Verbs, verb


def add(verbs: Verbs) -> None:
    command = verb(
        verbs, schema, "schema", "print the JSON schema of the file", "omniroute schema > config/schema.json"
    )
    command.add_argument("--check", type=Path, metavar="FILE", help="exit 1 where FILE is not current")


def schema(arguments: argparse.Namespace) -> int:
    """Prints the JSON schema, or says whether a file holds the current one."""
    from omniroute.config.schema import schema_text

    text = schema_text()
    if arguments.check is None:
        sys.stdout.write(text)
        return FINE
    if arguments.check.is_file() and arguments.check.read_text() == text:
        return FINE
    print(f"{arguments.check} is not current: run `omniroute schema > {arguments.check}`", file=sys.stderr)
    return ERRORS
