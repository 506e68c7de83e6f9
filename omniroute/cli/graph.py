"""`omniroute graph`: what leads where."""

from __future__ import annotations

import argparse
import sys

from omniroute.cli.words import ERRORS, FINE, Verbs, config_option, env_option, read_files, verb

FORMS = ("text", "mermaid", "dot")
"""As in `config.graph`, which is not loaded for a parser."""


def add(verbs: Verbs) -> None:
    command = verb(
        verbs,
        graph,
        "graph",
        "draw what leads where: aliases, combos, models, connections",
        "omniroute graph --output dot --focus coding > coding.dot",
    )
    config_option(command)
    env_option(command)
    command.add_argument("--output", choices=FORMS, default="text", dest="form", help="the form of the graph")
    command.add_argument("--focus", metavar="NAME", help="only what leads to this name, and where it leads")
    command.add_argument("--keys", action="store_true", help="also which keys may ask for what")


def graph(arguments: argparse.Namespace) -> int:
    """Draws a sound configuration. Exit code 1 for one that is not, and for a focus that is not in it."""
    from omniroute import catalog
    from omniroute.config import graph as graphs

    drawn = graphs.graph(read_files(arguments), catalog.load(), keys=arguments.keys)
    if arguments.focus is not None:
        drawn = drawn.around(arguments.focus)
        if not drawn.nodes:
            print(f"there is no {arguments.focus!r} in the graph", file=sys.stderr)
            return ERRORS
    sys.stdout.write(graphs.FORMS[arguments.form](drawn))
    return FINE
