"""`omniroute doctor`: whether this machine has what the gateway needs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from omniroute.cli.words import ERRORS, FINE, WARNINGS, Verbs, config_option, config_path, json_option, print_json, verb

if TYPE_CHECKING:
    from omniroute.config.bundle import Bundle
    from omniroute.errors import Problem
    from omniroute.services.doctor import Finding

EXIT_CODES = "0 fine, 1 something would keep the gateway from its work, 3 warnings under --strict"
INKS = {"fine": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
MARKS = {"fine": "ok", "warning": "warning", "error": "ERROR"}


def add(verbs: Verbs) -> None:
    text = "look whether this machine has what a gateway needs"
    command = verb(verbs, doctor, "doctor", text, "omniroute doctor", EXIT_CODES)
    config_option(command)
    command.add_argument(
        "--online", action="store_true", help="also ask the providers: do connections work, are the models there?"
    )
    command.add_argument("--strict", action="store_true", help="warnings make exit code 3")
    json_option(command)


def doctor(arguments: argparse.Namespace) -> int:
    """Makes all checks, and says what each saw."""
    from omniroute import catalog
    from omniroute.config.secrets import environment
    from omniroute.errors import ConfigError
    from omniroute.services.doctor import examine, patient

    try:
        port = environment().port
    except ConfigError as error:
        print(error, file=sys.stderr)
        return ERRORS
    one = patient(config_path(arguments), catalog.load(), port)
    findings = list(examine(one))
    if (
        arguments.online
        and one.read is not None
        and not any(each.check == "secrets" and each.hint for each in findings)
    ):
        findings += _online(one.read)
    if arguments.json:
        print_json(findings)
    else:
        colour = sys.stdout.isatty()
        for each in findings:
            mark = MARKS[each.outcome]
            shown = f"{INKS[each.outcome]}{mark:<7}\x1b[0m" if colour else f"{mark:<7}"
            print(f"{shown}  {each.check:<9}  {each.message}")
            if each.hint and each.outcome != "fine":
                print(f"{'':20}= {each.hint}")
    outcomes = {each.outcome for each in findings}
    if "error" in outcomes:
        return ERRORS
    return WARNINGS if arguments.strict and "warning" in outcomes else FINE


def _online(read: Bundle) -> Iterator[Finding]:
    """What the providers say."""
    import asyncio

    from omniroute import catalog
    from omniroute.cli.validate import progress
    from omniroute.services import clock, doctor, online
    from omniroute.workbench import workbench

    async def asked() -> tuple[float | None, list[Problem]]:
        async with workbench(read, catalog.load()) as (live, bench, transport):
            ahead = await clock.ahead(live.current.upstreams.values(), transport)
            return ahead, await online.findings(read, live, bench, progress())

    ahead, problems = asyncio.run(asked())
    yield doctor.timed(ahead)
    yield from doctor.heard(problems)
