"""`omniroute backup`: copies of the history, made and put back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omniroute.cli.words import (
    ERRORS,
    FINE,
    Verbs,
    config_option,
    config_path,
    json_option,
    print_json,
    report_problems,
    verb,
)

if TYPE_CHECKING:
    from omniroute.services.shelf import Shelf


def add(verbs: Verbs) -> None:
    does = verbs.add_parser("backup", help="copies of the history").add_subparsers(required=True, metavar="COMMAND")
    known = "db_2026-03-02T09-30-00-000Z_manual.sqlite"
    _shelf(verb(does, backup_create, "create", "make a verified copy", "omniroute backup create"))
    _shelf(verb(does, backup_list, "list", "list the copies", "omniroute backup list --json"))
    for run, name, text in (
        (backup_verify, "verify", "look whether a copy could be restored"),
        (backup_restore, "restore", "put a copy in the place of the history, also while a gateway runs on it"),
    ):
        command = verb(does, run, name, text, f"omniroute backup {name} {known}")
        command.add_argument("id", metavar="BACKUP", help="as `omniroute backup list` has it")
        _shelf(command)


def backup_create(arguments: argparse.Namespace) -> int:
    """Makes a verified copy of the history."""

    def create(shelf: Shelf, now: float, keep: int) -> object:
        made = shelf.create("manual", now, keep)
        _say(arguments, f"{made.backup.id}: {_rows(made.facts.rows)}, verified")
        return made

    return _on_shelf(arguments, create)


def backup_list(arguments: argparse.Namespace) -> int:
    """Lists the backups."""

    def told(shelf: Shelf, _now: float, _keep: int) -> object:
        found = shelf.all()
        for each in found:
            _say(arguments, f"{each.id}  {each.size:>12,} bytes")
        return found

    return _on_shelf(arguments, told)


def backup_verify(arguments: argparse.Namespace) -> int:
    """Looks at all of a backup."""

    def verify(shelf: Shelf, _now: float, _keep: int) -> object:
        facts = shelf.verify(arguments.id)
        _say(arguments, f"{arguments.id}: version {facts.version}, {_rows(facts.rows)}, sound")
        return facts

    return _on_shelf(arguments, verify)


def backup_restore(arguments: argparse.Namespace) -> int:
    """Puts a backup in the place of the history, which becomes a backup itself. A gateway that runs on it goes on."""

    def restore(shelf: Shelf, now: float, _keep: int) -> object:
        restored = shelf.restore(arguments.id, now)
        kept = f"; what was there is {restored.before.id}" if restored.before else ""
        _say(arguments, f"{arguments.id} is in place: {_rows(restored.facts.rows)}{kept}")
        return restored

    return _on_shelf(arguments, restore)


def _on_shelf(arguments: argparse.Namespace, act: Callable[[Shelf, float, int], object]) -> int:
    """Does something with the backups of the configuration's database, or of the directory that is named."""
    import time

    from omniroute import catalog
    from omniroute.config import bundle
    from omniroute.config.spec.backups import BackupsSpec
    from omniroute.errors import CallError, ConfigError
    from omniroute.services.shelf import DATABASE, Shelf

    try:
        folder, keep = arguments.data_dir, BackupsSpec().keep
        if folder is None:
            spec = bundle.read(config_path(arguments), catalog.load()).spec
            folder, keep = Path(spec.server.data_dir), spec.backups.keep
        done = act(Shelf(folder / DATABASE), time.time(), keep)
    except ConfigError as error:
        report_problems(error.problems)
        print("`--data-dir` names the directory where there is no configuration to be read", file=sys.stderr)
        return ERRORS
    except (CallError, OSError) as error:
        print(error, file=sys.stderr)
        return ERRORS
    if arguments.json:
        print_json(done)
    return FINE


def _say(arguments: argparse.Namespace, text: str) -> None:
    if not arguments.json:
        print(text)


def _rows(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} rows of {name}" for name, number in rows.items() if number) or "no rows"


def _shelf(command: argparse.ArgumentParser) -> None:
    config_option(command)
    command.add_argument("--data-dir", type=Path, help="the directory of the database, instead of `server.data_dir`")
    json_option(command)
