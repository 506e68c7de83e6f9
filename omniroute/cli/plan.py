"""`omniroute plan`: what a change of the files would do, before it is made."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omniroute.cli.words import CHANGES, ERRORS, FINE, GUARDED, Verbs, config_option, config_path, print_json, verb

if TYPE_CHECKING:
    from omniroute.catalog import Catalog
    from omniroute.config.plan.plan import Plan
    from omniroute.config.plan.version import Version

TOKEN = "OMNIROUTE_TOKEN"  # noqa: S105 - the name of a variable
EXIT_CODES = """\
0 fine, 1 the files have errors or the other state cannot be had, 2 there are changes (with
--detailed-exitcode, and then wrong usage is 1), 4 it takes away more than the threshold and --allow-destroy is not given"""


def add(verbs: Verbs) -> None:
    example = "omniroute plan --against git:main --out plan.json"
    command = verb(verbs, plan, "plan", "tell what a change of the files would do", example, EXIT_CODES)
    config_option(command)
    against_option(command)
    command.add_argument("--out", type=Path, metavar="FILE", help="write the plan there, for `omniroute apply`")
    command.add_argument("--detailed-exitcode", action="store_true", help="exit with 2 where there are changes")
    command.add_argument("--allow-destroy", action="store_true", help="plan it however much it takes away")
    command.add_argument(
        "--destroy-threshold",
        type=percentage,
        default=0.3,
        metavar="PERCENT",
        help="the share of objects, names or keys that a change may take away (default: 30%%)",
    )
    command.add_argument(
        "--output",
        choices=("text", "json", "markdown"),
        default="text",
        help="text for people, markdown for a pull request",
    )
    command.add_argument("--json", dest="output", action="store_const", const="json", help="the same as --output json")


def against_option(command: argparse.ArgumentParser) -> None:
    """Gives a verb `--against` and `--token-env`."""
    command.add_argument(
        "--against",
        metavar="WHAT",
        default="git:HEAD",
        help="what the files are compared with: another main file, `git:REV`, or the address of a running gateway "
        "(default: git:HEAD)",
    )
    token_option(command)


def token_option(command: argparse.ArgumentParser) -> None:
    """Gives a verb `--token-env`."""
    command.add_argument(
        "--token-env",
        metavar="NAME",
        default=TOKEN,
        help=f"the variable with an administrator's key for a running gateway (default: {TOKEN})",
    )


def percentage(text: str) -> float:
    """`30%` or `30` → 0.3."""
    share = float(text.removesuffix("%")) / 100
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("must be from 0% to 100%")
    return share


def plan(arguments: argparse.Namespace) -> int:
    """Tells what the files would change, and writes that down."""
    import time

    from omniroute import catalog
    from omniroute.config.plan import plan as plans
    from omniroute.config.plan import version

    known = catalog.load()
    new = version.of_file(config_path(arguments), known)
    old = compared(arguments, known)
    found = plans.made(old, new, time.time(), threshold=arguments.destroy_threshold, allowed=arguments.allow_destroy)
    tell(found, arguments.output)
    if found.blast.refused:
        return GUARDED
    if arguments.out is not None and not _written(found, arguments.out):
        return ERRORS
    return CHANGES if arguments.detailed_exitcode and not found.empty else FINE


def compared(arguments: argparse.Namespace, known: Catalog) -> Version:
    """The state of the files that `--against` means. Raises ConfigError where it makes no gateway, CallError where it
    cannot be had."""
    from omniroute.config.plan import version
    from omniroute.config.secrets import token

    against: str = arguments.against
    if against.startswith(("http://", "https://")):
        return version.of_instance(against, token(arguments.token_env), known)
    if against.startswith("git:"):
        return version.of_git(config_path(arguments), against.removeprefix("git:"), known)
    return version.of_file(Path(against), known, insecure=True)


def tell(found: Plan, form: str) -> None:
    """Writes a plan to standard output."""
    from omniroute.config.plan import shown

    if form == "json":
        import msgspec

        print_json(msgspec.structs.replace(found, files={}))
    else:
        print(shown.markdown(found) if form == "markdown" else shown.text(found, colour=sys.stdout.isatty()))


def _written(found: Plan, place: Path) -> bool:
    from omniroute import private
    from omniroute.config.plan import plan as plans

    try:
        private.write(place, plans.encode(found))
    except OSError as error:
        print(f"the plan cannot be written: {error}", file=sys.stderr)
        return False
    return True
