"""`omniroute status`: whether a running gateway runs what its files say."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from omniroute.cli.plan import token_option
from omniroute.cli.words import (
    ERRORS,
    FINE,
    WARNINGS,
    Verbs,
    config_option,
    config_path,
    json_option,
    print_json,
    report_problems,
    verb,
)

FAILED = 4
CODES = {"synced": FINE, "drifted": WARNINGS, "failed": FAILED}
EXIT_CODES = """\
0 synced, 1 the gateway cannot be asked, 3 drifted: a worker runs another revision than the files (with
--strict also: files are not as they are committed), 4 failed: the files make no gateway, and the old one goes on"""


def add(verbs: Verbs) -> None:
    text = "tell whether a gateway runs what its files say"
    command = verb(verbs, status, "status", text, "omniroute status --strict", EXIT_CODES)
    config_option(command)
    command.add_argument("--url", help="the address of the gateway (default: where the configuration has it listen)")
    token_option(command)
    command.add_argument("--strict", action="store_true", help="what is not committed, or not merged, is a drift too")
    json_option(command)


def status(arguments: argparse.Namespace) -> int:
    """Asks it, and says how it stands."""
    from omniroute.config.secrets import token
    from omniroute.errors import ConfigError
    from omniroute.upstream.instance import InstanceRemote

    try:
        address = arguments.url or _address(arguments)
        told = InstanceRemote(address, token(arguments.token_env)).status()
    except ConfigError as error:
        report_problems(error.problems)
        print("`--url` names the gateway where there is no configuration to be read", file=sys.stderr)
        return ERRORS
    if arguments.json:
        print_json(told)
    else:
        print("\n".join(_lines(told, address)))
    code = CODES[told["status"]]
    checkout = told.get("checkout") or {}
    loose = checkout.get("uncommitted") or checkout.get("proposals")
    return WARNINGS if code == FINE and arguments.strict and loose else code


def _address(arguments: argparse.Namespace) -> str:
    """Where the gateway of these files listens, on this machine."""
    from omniroute import catalog
    from omniroute.config import bundle
    from omniroute.config.secrets import environment
    from omniroute.upstream.instance import near

    server = bundle.read(config_path(arguments), catalog.load(), insecure=True).spec.server
    return near(server.host, environment().port or server.port)


def _lines(told: dict[str, Any], address: str) -> Iterator[str]:
    desired = (told["desired"] or "no gateway")[:12]
    yield f"{address}: {told['status']} since {told['since']}"
    yield f"  files     {desired}"
    for worker in told["workers"]:
        late = "" if worker["digest"] == told["desired"] else "  (another revision)"
        yield f"  worker    {worker['revision']}  pid {worker['pid']}, since {worker['loadedAt']}{late}"
    checkout = told.get("checkout")
    if checkout:
        yield f"  git       {checkout['commit'][:12] or 'no commit'} on {checkout['branch'] or 'no branch'}"
        yield from (f"  changed   {name}, not committed" for name in checkout["uncommitted"])
        yield from (f"  proposed  {name}, not merged" for name in checkout["proposals"])
    for problem in told["problems"]:
        yield f"  {problem['file']}:{problem['line']}:{problem['col']}: {problem['code']} {problem['message']}"
