"""The command line: a verb is a module with `add`, which declares it, and a row in `VERBS`.

Exit codes: 0 fine, 1 the configuration has errors, a scenario or an eval fails or the audit log is broken, 2 wrong usage,
3 warnings under `--strict`, 78 (EX_CONFIG) refused to start. Imports stand inside the functions of a verb because
`validate` in CI must not pay for a web server.
"""

from __future__ import annotations

import argparse

from omniroute import __version__
from omniroute.cli import audit, backup, evals, explain, fmt, init, key, password, render, schema, serve, test, validate
from omniroute.cli.words import FINE

VERBS = (
    serve,
    validate,
    fmt,
    render,
    schema,
    init,
    key,
    password,
    test,
    evals,
    explain,
    backup,
    audit,
)


def main(argv: list[str] | None = None) -> int:
    """Runs a verb and gives its exit code."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return FINE


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
