"""`omniroute render`: one file of all, for an environment."""

from __future__ import annotations

import argparse
import sys

from omniroute.cli.words import FINE, Verbs, config_option, config_path, print_json, report_problems, verb


def add(verbs: Verbs) -> None:
    command = verb(
        verbs,
        render,
        "render",
        "write includes and an overlay as the one file to deploy",
        "omniroute render --env prod > omniroute.prod.yaml",
    )
    config_option(command)
    command.add_argument(
        "--env", metavar="NAME", default="", help="the overlay: overlays/NAME.yaml beside the main file"
    )
    command.add_argument("--origins", action="store_true", help="behind each value, the file and line it came from")
    command.add_argument("--json", action="store_true", help="each value with its path and origin, as JSON")


def render(arguments: argparse.Namespace) -> int:
    """Merges, checks the whole as `validate` does, and writes it; nothing where it has errors."""
    from omniroute import catalog
    from omniroute.config import overlay

    merged = overlay.read(config_path(arguments), arguments.env, catalog.load())
    report_problems(merged.warnings)
    if arguments.json:
        print_json({"env": arguments.env, "values": overlay.origins(merged)})
    else:
        sys.stdout.write(overlay.rendered(merged, arguments.env, origins=arguments.origins))
    return FINE
