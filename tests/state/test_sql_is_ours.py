"""Every statement is made of our own words: what comes from outside is a parameter, never a part of the text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "omniroute"
FILES = sorted((PACKAGE / "state").rglob("*.py"))
SQL = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|WHERE|UNION ALL|CREATE (TABLE|INDEX)|ALTER TABLE|PRAGMA)\b"
)
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*")
OURS = {
    "audit_file": {"where": "of `_where`, which is constants joined", "conditions": "these constants"},
    "copies": {
        "name": "of the tables of our own schema",
        "table": "of the tables of our own schema",
        "names": "columns that our own schema has",
        "schema": "`given` or `old`",
    },
    "evals": {"len": "a number of question marks"},
    "migrations": {"column": "of a tuple in the same function", "len": "a number", "steps": "whose number it is"},
    "requests": {
        "columns": "the fields of UsageRow",
        "where": "of `_where`, which is names of DIMENSIONS and constants",
        "texts": "names of DIMENSIONS and a constant",
    },
    "rollups": {
        "name": "of DIMENSIONS and COUNTED",
        "sql": "of _OF_ROW",
        "span": "a number of SPANS",
        "source": "of the two constants beside it",
        "sources": "the two constants and `only`",
        "only": "names of DIMENSIONS",
        "begins": "a number and a constant",
        "grouped": "names of DIMENSIONS",
        "by": "typed as names of DIMENSIONS, and looked up in the code alone",
        "columns": "the two constants",
        "places": "question marks",
        "rows": "how often these are repeated",
    },
    "shape": {"table": "of the tables of our own schema", "fitting": "columns and types of our own schema"},
    "sqlite": {"name": "of a constant", "places": "question marks", "rows": "how often these are repeated"},
}
"""What else may stand in a statement, by module, and where it comes from. A new name is a decision to be looked at."""


def pieces(node: ast.AST) -> Iterator[ast.expr]:
    """What is put into an f-string."""
    for part in ast.walk(node):
        if isinstance(part, ast.FormattedValue):
            yield part.value


def names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def text(node: ast.JoinedStr) -> str:
    return "".join(part.value for part in node.values if isinstance(part, ast.Constant))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_statements_are_made_of_our_own_names(file: Path) -> None:
    allowed = OURS.get(file.stem, {})
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.JoinedStr) and SQL.search(text(node)):
            for piece in pieces(node):
                strange = {name for name in names(piece) if not CONSTANT.fullmatch(name) and name not in allowed}
                assert not strange, f"{file.name}:{node.lineno} puts {strange} into a statement: make it a parameter"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
            assert not SQL.search(str(node.left.value)), f"{file.name}:{node.lineno}: a statement made by `%`"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_executed_is_a_statement_of_the_same_module(file: Path) -> None:
    """A constant, an f-string that the test above looks into, or the name of one; never what a caller hands over."""
    tree = ast.parse(file.read_text())
    parameters = {
        argument.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        for argument in (*node.args.args, *node.args.kwonlyargs)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("execute"):
            if not node.args:
                continue
            statement = node.args[0]
            known = ast.Constant | ast.JoinedStr | ast.Name | ast.Call | ast.Attribute
            assert isinstance(statement, known), ast.unparse(node)
            assert not names(statement) & parameters - {"rows", *OURS.get(file.stem, {})}, (
                f"{file.name}:{node.lineno} executes what it is given"
            )


def test_the_list_of_names_is_no_longer_than_it_has_to_be() -> None:
    for module, allowed in OURS.items():
        tree = ast.parse((PACKAGE / "state" / f"{module}.py").read_text())
        used = {name for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for name in names(node)}
        assert set(allowed) <= used, f"{module}: {set(allowed) - used}"
