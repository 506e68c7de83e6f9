"""`omniroute migrate`: the files in the current version of the language."""

from __future__ import annotations

import argparse
import sys

from omniroute.cli.words import ERRORS, FINE, Verbs, config_option, config_path, verb, write_files


def add(verbs: Verbs) -> None:
    command = verb(
        verbs, migrate, "migrate", "bring the files to the current version of the language", "omniroute migrate --diff"
    )
    config_option(command)
    command.add_argument("--check", action="store_true", help="write nothing, exit code 1 if there is something to do")
    command.add_argument("--diff", action="store_true", help="write nothing, show what would change")


def migrate(arguments: argparse.Namespace) -> int:
    """Migrates the main file and all that it includes, or none of them."""
    from omniroute.config import bundle, migration
    from omniroute.document import Document, unified
    from omniroute.errors import EditRefused

    path = config_path(arguments)
    try:
        files = [path, *(each for each in bundle.places(path)[1:] if each.is_file())]
        before = [Document.parse(bundle.content(file, str(file)), str(file)) for file in files]
        version = migration.version_of(before[0])
        after = migration.migrated(before)
        if version < migration.CURRENT:
            bundle.load(path, instead=dict(zip(files, after, strict=True)))
    except EditRefused as error:
        print(f"nothing was changed: {error}", file=sys.stderr)
        return ERRORS
    pairs = dict(zip(files, zip(before, after, strict=True), strict=True))
    changed = {file: pair for file, pair in pairs.items() if pair[0].content != pair[1].content}
    if not changed:
        print(f"{path} is in the current version of the language, {version}", file=sys.stderr)
        return FINE
    if arguments.diff:
        sys.stdout.write("".join(unified(*pair, str(file)) for file, pair in changed.items()))
    if arguments.check or arguments.diff:
        return ERRORS if arguments.check else FINE
    changes = {file: (old.content, new.content) for file, (old, new) in changed.items()}
    return FINE if write_files(changes, path, "migrated") else ERRORS
