"""`omniroute key`: client keys, of which the file holds only digests."""

from __future__ import annotations

import argparse
import sys

from omniroute.cli.words import FINE, USAGE, Verbs, json_option, print_json, verb


def add(verbs: Verbs) -> None:
    keys = verbs.add_parser("key", help="client keys").add_subparsers(required=True, metavar="COMMAND")
    command = verb(keys, key_new, "new", "make a client key", "omniroute key new team-a")
    command.add_argument("name", help="what the key is called in the file")
    command.add_argument(
        "--role",
        action="append",
        choices=("client", "admin.read", "admin.write"),
        help="what it may do (default: client)",
    )
    json_option(command)


def key_new(arguments: argparse.Namespace) -> int:
    """Makes a client key: the key once, and the block for the file, which holds only its digest."""
    from omniroute.config import key as keys
    from omniroute.config.spec.words import is_name

    if not is_name(arguments.name):
        print(f"{arguments.name!r} is no name for a key: letters, digits, `-`, `_` and `.`", file=sys.stderr)
        return USAGE
    key, digest = keys.new()
    if arguments.json:
        print_json({"name": arguments.name, "key": key, "digest": digest})
        return FINE
    roles = f"\n    roles: [{', '.join(arguments.role)}]" if arguments.role else ""
    print(
        f"{key}\n\n# The key is shown this once. For the file:\nkeys:\n  {arguments.name}:\n    digest: {digest}{roles}"
    )
    return FINE
