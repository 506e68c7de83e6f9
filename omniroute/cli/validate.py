"""`omniroute validate`: checks the files, as CI does."""

from __future__ import annotations

import argparse

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

FORMS = ("text", "json", "github", "gitlab", "sarif", "junit")
"""As in `config.report`, which is not loaded for a parser."""


def add(verbs: Verbs) -> None:
    command = verb(verbs, validate, "validate", "check the files", "omniroute validate --output json --strict")
    config_option(command)
    env_option(command)
    command.add_argument("--output", choices=FORMS, default="text", help="the form of the findings")
    command.add_argument("--strict", action="store_true", help="warnings make exit code 3")
    command.add_argument("--resolve", action="store_true", help="also check that all secrets are there")


def validate(arguments: argparse.Namespace) -> int:
    """Checks the files, without the network and without secrets."""
    from omniroute.config import secrets as references
    from omniroute.errors import ConfigError

    try:
        read = read_files(arguments)
        problems = list(read.warnings)
        if arguments.resolve:
            problems += references.missing(read)
    except ConfigError as error:
        problems = list(error.problems)
    report_problems(problems, arguments)
    if any(problem.severity == "error" for problem in problems):
        return ERRORS
    return WARNINGS if problems and arguments.strict else FINE
