"""`omniroute password`: the administrator's password, hashed for the file."""

from __future__ import annotations

import argparse
import sys

from omniroute.cli.words import FINE, USAGE, Verbs, verb


def add(verbs: Verbs) -> None:
    command = verb(verbs, password, "password", "hash the administrator's password", "omniroute password < file")
    command.set_defaults(minimum=8)


def password(arguments: argparse.Namespace) -> int:
    """Hashes the administrator's password, read from the terminal or from standard input."""
    import getpass

    from argon2 import PasswordHasher

    typed = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if len(typed) < arguments.minimum:
        print(f"a password has at least {arguments.minimum} characters", file=sys.stderr)
        return USAGE
    print(PasswordHasher().hash(typed))
    return FINE
