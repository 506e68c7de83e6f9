"""`omniroute test`: the scenarios of policies and files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from omniroute.cli.words import ERRORS, FINE, USAGE, Verbs, config_option, config_path, json_option, print_json, verb


def add(verbs: Verbs) -> None:
    command = verb(verbs, test, "test", "run the scenarios of policies and files", "omniroute test --junit results.xml")
    config_option(command)
    command.add_argument("files", type=Path, nargs="*", help="only those of these files, included or not")
    command.add_argument(
        "--run", dest="run_only", metavar="NAME", default="", help="only those whose name has this in it"
    )
    command.add_argument("--junit", type=Path, metavar="FILE", help="also write the results as JUnit XML")
    json_option(command)


def test(arguments: argparse.Namespace) -> int:
    """Runs the scenarios of the configuration, without a network and on a clock of its own."""
    from omniroute import catalog
    from omniroute.config import bundle
    from omniroute.scenarios import junit, runner, shown
    from omniroute.scenarios.case import cases, selected

    known = catalog.load()
    read = bundle.read(config_path(arguments), known, more=arguments.files)
    chosen = selected(cases(read), arguments.files, arguments.run_only)
    if not chosen:
        print("there is no such scenario" if arguments.run_only else "there are no scenarios", file=sys.stderr)
        return USAGE
    report = runner.run(read, known, chosen)
    if not arguments.run_only:
        report = runner.covered(report, read, known, chosen)
    if arguments.junit is not None:
        arguments.junit.write_bytes(junit.xml(report))
    if arguments.json:
        print_json(report)
    else:
        print(shown.text(report, colour=sys.stdout.isatty()))
    return ERRORS if report.failed else FINE
