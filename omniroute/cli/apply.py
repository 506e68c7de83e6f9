"""`omniroute apply`: has a running gateway take what was planned."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from omniroute.cli.plan import token_option
from omniroute.cli.words import ERRORS, FINE, MOVED, ROLLED_BACK, Verbs, json_option, print_json, verb

CODES = {
    "applied": FINE,
    "unchanged": FINE,
    "moved": MOVED,
    "proposed": ROLLED_BACK,
    "refused": ROLLED_BACK,
    "rolled_back": ROLLED_BACK,
}
EXIT_CODES = """\
0 every worker runs it, 1 the plan cannot be read or the gateway not be asked, 5 the gateway runs something
else than the plan was made for, 6 it did not take it, made a commit of it or rolled it back: it runs what it ran before"""


def add(verbs: Verbs) -> None:
    example = "omniroute apply plan.json --to https://gateway.example.com"
    command = verb(verbs, apply, "apply", "have a running gateway take a plan", example, EXIT_CODES)
    command.add_argument("plan", type=Path, metavar="FILE", help="what `omniroute plan --out` has written")
    command.add_argument("--to", required=True, metavar="URL", help="the address of the gateway")
    command.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="(default: 60)")
    token_option(command)
    json_option(command)


def apply(arguments: argparse.Namespace) -> int:
    """Applies a plan and waits until all workers run it."""
    import time

    from omniroute.config.plan.plan import decode
    from omniroute.config.secrets import token
    from omniroute.services import apply as applying
    from omniroute.upstream.instance import InstanceRemote

    try:
        plan = decode(arguments.plan.read_bytes())
        instance = InstanceRemote(arguments.to, token(arguments.token_env))
        done = applying.apply(plan, instance, timeout=arguments.timeout, monotonic=time.monotonic, sleep=time.sleep)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return ERRORS
    if arguments.json:
        print_json(done)
    else:
        print(done.message, file=sys.stdout if CODES[done.outcome] == FINE else sys.stderr)
    return CODES[done.outcome]
