"""`omniroute import`: another gateway's configuration in our language."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omniroute.cli.words import ERRORS, FINE, Verbs, print_json, report_problems, verb, write_new

if TYPE_CHECKING:
    from omniroute.config.importing import Imported

FORMATS = ("litellm", "omniroute", "claude-code-router")
"""As in `config.importing`, which is not loaded for a parser."""
FILE = "omniroute.yaml"
SIGNS = {"mapped": "  ", "lossy": "~ ", "dropped": "- "}


def add(verbs: Verbs) -> None:
    command = verb(
        verbs,
        import_file,
        "import",
        "make a configuration of another gateway's",
        "omniroute import litellm.yaml --out config",
    )
    command.add_argument(
        "file", type=Path, metavar="FILE", help="the file of the other gateway, or an archive of its files"
    )
    command.add_argument("--from", choices=FORMATS, default="", dest="form", help="the format (default: found out)")
    command.add_argument("--out", type=Path, metavar="DIR", help=f"write DIR/{FILE}, never over one that is there")
    command.add_argument("--json", action="store_true", help="the report as JSON, on standard output")


def import_file(arguments: argparse.Namespace) -> int:
    """Writes the file, or shows it, and tells what became of everything. Exit code 1 where nothing could be made, where the
    result has errors, or where it could not be written."""
    from omniroute import catalog
    from omniroute.config import importing

    made = importing.convert(arguments.file, catalog.load(), form=arguments.form)
    written = _written(made, arguments.out) if arguments.out else True
    if arguments.json:
        print_json({"format": made.format, "variables": made.variables, "findings": made.findings, "text": made.text})
    else:
        if not arguments.out:
            sys.stdout.write(made.text)
        print(_report(made), file=sys.stderr)
    report_problems(made.problems)
    sound = not any(problem.severity == "error" for problem in made.problems)
    return FINE if written and sound else ERRORS


def _written(made: Imported, folder: Path) -> bool:
    target = folder / FILE
    if not write_new(target, made.text):
        return False
    print(f"wrote {target}", file=sys.stderr)
    return True


def _report(made: Imported) -> str:
    """A line for each finding, and how many there are of each kind."""
    lines = [
        f"{SIGNS[each.fate]}{each.file}:{each.line}:{each.col} {each.path}: {each.about}" for each in made.findings
    ]
    counts = {fate: sum(each.fate == fate for each in made.findings) for fate in SIGNS}
    lines.append(
        f"{counts['mapped']} carried over, {counts['lossy']} with a difference (~), {counts['dropped']} not (-)"
    )
    lines += [f"set {variable}: {what}" for variable, what in sorted(made.variables.items())]
    return "\n".join(lines)
