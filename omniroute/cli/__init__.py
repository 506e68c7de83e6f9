"""The command line: a verb is a module with `add`, which declares it, and a row in `VERBS`.

Exit codes: 0 fine, 1 the configuration has errors, a scenario or an eval fails, the audit log is broken or `--check` finds
something, 2 wrong usage, 3 warnings under `--strict`, 78 (EX_CONFIG) refused to start; `plan` and `apply` also have 2 for
changes under `--detailed-exitcode`, where wrong usage is 1, 4 for too many of them, 5 where the base has moved and 6 for
taken back. A ConfigError or CallError that a verb lets pass is told here, and is a 1. Imports stand inside the functions of
a verb because `validate` in CI must not pay for a web server.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from omniroute import __version__
from omniroute.cli import (
    apply,
    audit,
    backup,
    doctor,
    evals,
    explain,
    fmt,
    graph,
    importing,
    init,
    key,
    migrate,
    password,
    plan,
    render,
    replay,
    schema,
    serve,
    status,
    test,
    validate,
)
from omniroute.cli.words import ERRORS, FINE, USAGE, report_problems

VERBS = (
    serve,
    validate,
    fmt,
    render,
    graph,
    migrate,
    importing,
    schema,
    init,
    key,
    password,
    test,
    evals,
    explain,
    plan,
    apply,
    replay,
    status,
    doctor,
    backup,
    audit,
)


def main(argv: list[str] | None = None) -> int:
    """Runs a verb and gives its exit code."""
    arguments = _parsed(argv)
    from omniroute.errors import CallError, ConfigError

    try:
        return int(arguments.run(arguments))
    except ConfigError as error:
        report_problems(error.problems)
        return ERRORS
    except CallError as error:
        print(error, file=sys.stderr)
        return ERRORS
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return FINE


def _parsed(argv: list[str] | None) -> argparse.Namespace:
    """The arguments. Where 2 is to mean that there are changes, wrong usage must not look like them."""
    try:
        return parser().parse_args(argv)
    except SystemExit as end:
        if end.code == USAGE and "--detailed-exitcode" in (sys.argv if argv is None else argv):
            raise SystemExit(ERRORS) from None
        raise


def parser() -> argparse.ArgumentParser:
    """All verbs with their options."""
    made = argparse.ArgumentParser(
        prog="omniroute",
        description="The AI gateway that platform engineers keep in git.",
        epilog="omniroute validate --output github   checks the file in CI",
    )
    made.add_argument("--version", action="version", version=f"omniroute {__version__}")
    verbs = made.add_subparsers(required=True, metavar="COMMAND")
    for module in VERBS:
        module.add(verbs)
    return made


def commands(
    under: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """The parser of each verb, with the words that lead to it."""
    below = [action.choices for action in under._actions if isinstance(action.choices, dict)]  # noqa: SLF001
    for choices in below:
        for name, one in choices.items():
            yield from commands(one, (*words, name))
    if not below:
        yield words, under
