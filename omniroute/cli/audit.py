"""`omniroute audit`: whether the audit log is whole."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from omniroute.cli.words import ERRORS, FINE, Verbs, config_option, config_path, json_option, print_json, verb


def add(verbs: Verbs) -> None:
    logs = verbs.add_parser("audit", help="the audit log").add_subparsers(required=True, metavar="COMMAND")
    command = verb(logs, audit_verify, "verify", "check that the audit log is whole", "omniroute audit verify")
    config_option(command)
    command.add_argument("--data-dir", type=Path, help="look here and not where `server.data_dir` says")
    json_option(command)


def audit_verify(arguments: argparse.Namespace) -> int:
    """Says whether the audit log is whole."""
    from omniroute import catalog
    from omniroute.config import bundle
    from omniroute.services.shelf import DATABASE
    from omniroute.state import audit_file, audit_key

    folder = arguments.data_dir or Path(bundle.read(config_path(arguments), catalog.load()).spec.server.data_dir)
    database = folder / DATABASE
    if not database.exists():
        print(f"there is no audit log in {folder}; `--data-dir` takes another folder", file=sys.stderr)
        return ERRORS
    verdict = audit_file.verify(database, folder / audit_key.NAME)
    if arguments.json:
        print_json(verdict)
    elif verdict.ok:
        print(f"the audit log is whole: {verdict.rows} rows")
    else:
        print(f"the audit log is broken at row {verdict.broken_at}: {verdict.reason}")
    return FINE if verdict.ok else ERRORS
