"""`omniroute validate`: checks the files, as CI does."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from omniroute.cli.words import (
    ERRORS,
    FINE,
    WARNINGS,
    Verbs,
    config_option,
    env_option,
    read_files,
    report_problems,
    verb,
)

if TYPE_CHECKING:
    from omniroute.config.bundle import Bundle
    from omniroute.errors import Problem
    from omniroute.services.online import Progress

FORMS = ("text", "json", "github", "gitlab", "sarif", "junit")
"""As in `config.report`, which is not loaded for a parser."""


def add(verbs: Verbs) -> None:
    command = verb(verbs, validate, "validate", "check the files", "omniroute validate --output json --strict")
    config_option(command)
    env_option(command)
    command.add_argument("--output", choices=FORMS, default="text", help="the form of the findings")
    command.add_argument("--strict", action="store_true", help="warnings make exit code 3")
    command.add_argument("--resolve", action="store_true", help="also check that all secrets are there")
    command.add_argument(
        "--online", action="store_true", help="also ask the providers: do keys work, are the models there?"
    )


def validate(arguments: argparse.Namespace) -> int:
    """Checks the files; without the network and without secrets, unless they are asked for."""
    from omniroute.config import secrets as references
    from omniroute.errors import ConfigError

    try:
        read = read_files(arguments)
        problems = list(read.warnings)
        if arguments.resolve and not arguments.online:
            problems += references.missing(read)
        if arguments.online:
            problems += _online(read)
    except ConfigError as error:
        problems = list(error.problems)
    report_problems(problems, arguments.output)
    if any(problem.severity == "error" for problem in problems):
        return ERRORS
    return WARNINGS if problems and arguments.strict else FINE


def _online(read: Bundle) -> list[Problem]:
    """What the providers say. Raises ConfigError where a secret is not there."""
    import asyncio

    from omniroute import catalog
    from omniroute.services import online
    from omniroute.workbench import workbench

    async def asked() -> list[Problem]:
        async with workbench(read, catalog.load()) as (live, bench, _):
            return await online.findings(read, live, bench, progress())

    return asyncio.run(asked())


def progress() -> Progress:
    """How far it is, where somebody looks."""
    return _shown if sys.stderr.isatty() else _quiet


def _shown(done: int, of: int, last: str) -> None:
    """One line that is written anew, and goes with the last one."""
    print(f"\r\x1b[K{done}/{of} {last}" if done < of else "\r\x1b[K", end="", file=sys.stderr, flush=True)


def _quiet(_done: int, _of: int, _last: str) -> None: ...
