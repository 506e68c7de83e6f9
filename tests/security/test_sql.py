"""Texts that mean to be SQL, in every string that reaches a database, and the rule that makes them harmless: statements
are put together from the project's own names alone.

`SQL_PAYLOADS=500 make test TEST=tests/security/test_sql.py` puts all of them into every field.
"""

from __future__ import annotations

import ast
import itertools
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from support import speech
from support.managed import Managed, run

from omniroute.api import ENDPOINTS

EACH = int(os.environ.get("SQL_PAYLOADS", "12"))
"""Payloads that each field gets, of the corpus."""
STARTS = ("'", '"', "`", "x'", "1'", "')", "';", "]", "%", "\\'", "x%00'", "\u02bc", "\uff07", "1", "-1")
MIDDLES = (
    " OR '1'='1",
    " OR 1=1",
    "; DROP TABLE usage",
    "; DELETE FROM usage",
    "; UPDATE usage SET cost = '0'",
    " UNION SELECT name, sql, 1, 1, 1 FROM sqlite_master",
    " UNION ALL SELECT load_extension('/tmp/x')",
    " AND 1=randomblob(100000000)",
    "; ATTACH DATABASE '/tmp/omniroute-attached' AS x",
    "; PRAGMA writable_schema = ON",
    "||(SELECT hex(value) FROM cache)",
    " LIKE '%",
    " GLOB '*",
)
ENDS = ("", "--", "/*", ";--")
CORPUS = ["".join(parts) for parts in itertools.product(STARTS, MIDDLES, ENDS)]
CONFIG = """
version: 1
server: {data_dir: "{data_dir}"}
auth: {require_login: false}
providers: {demo: {}}
combos: {coding: {targets: [demo/echo]}}
evals: {smoke: {model: demo/echo, cases: {one: {input: Hi, expect: {contains: Hi}}}}}
"""
ENDINGS = {"/api/shutdown", "/api/restart", "/api/init"}
COMPLAINTS = re.compile(
    r"sqlite3?\.|syntax error|near \"|no such (table|column)|unrecognized token|OperationalError|SELECT ", re.IGNORECASE
)
"""Words of SQLite itself, which no answer may have."""


def payloads(field: int) -> list[str]:
    """Those that a field gets: other ones each, so that together they get them all."""
    return [CORPUS[(field * EACH + number) % len(CORPUS)] for number in range(min(EACH, len(CORPUS)))]


def fields() -> list[tuple[str, str, str]]:
    """Method and path with one `{}`: each part of a path that stands for something, and each word of each query."""
    found = []
    for row in ENDPOINTS:
        if row.path in ENDINGS:
            continue
        for name in row.parameters:
            path = row.path.replace(f"{{{name}}}", "@")
            found.append((row.method, re.sub(r"\{\w+\}", "x", path), name))
        if row.told.query is not None and row.method == "GET":
            told = re.sub(r"\{\w+\}", "coding", row.path)
            found += [(row.method, f"{told}?{name}=@", name) for name in row.told.query.__struct_encode_fields__]
    return found


def dump(folder: Path) -> list[str]:
    """All that the database holds, but for the rows that requests of clients add."""
    with closing(sqlite3.connect(f"file:{folder / 'data' / 'omniroute.sqlite'}?mode=ro", uri=True)) as database:
        return [
            line for line in database.iterdump() if not line.startswith(('INSERT INTO "usage', 'INSERT INTO "audit'))
        ]


def test_the_corpus_is_large_enough():
    assert len(CORPUS) > 500
    assert len(fields()) >= 40


def test_no_text_in_a_path_or_a_query_is_ever_sql(tmp_path):
    async def test(one: Managed) -> None:
        assert (await one("POST", "/api/evals", {"suiteId": "smoke", "outputs": {"one": "Hi"}})).status < 300
        assert (await one("POST", "/v1/chat/completions", speech.ask("demo/echo"))).status == 200
        rows = len(one.rows())
        before = dump(tmp_path)
        for number, (method, path, _) in enumerate(fields()):
            for payload in payloads(number):
                told = await one(
                    method,
                    path.replace("@", quote(payload, safe="")),
                    {} if method in ("POST", "PUT", "PATCH") else None,
                )
                assert told.status < 500 or told.status == 503, (method, path, payload, told.body)
                text = told.body.decode().replace(payload, "")
                assert COMPLAINTS.search(_unescaped(text, payload)) is None, (method, path, payload, text)
        assert len(one.rows()) == rows
        assert dump(tmp_path) == before

    run(tmp_path, CONFIG, test)


def _unescaped(text: str, payload: str) -> str:
    """Without the payload, also where JSON has escaped it or a message cut it off."""
    for size in range(len(payload), 7, -1):
        for form in (payload[:size], payload[:size].replace("\\", "\\\\").replace('"', '\\"')):
            text = text.replace(form, "")
    return text


def test_what_clients_call_things_is_kept_as_it_is_and_nothing_else_happens(tmp_path):
    """The model, the session, the name of the request and the client: a row more each, and only that."""

    async def test(one: Managed) -> None:
        assert one.rows() == []
        before = dump(tmp_path)
        asked = CORPUS[:: max(1, len(CORPUS) // (EACH * 8))]
        for payload in asked:
            plain = payload.encode("ascii", "replace").decode()
            headers = {"x_session_id": plain, "x_request_id": plain, "user_agent": plain, "idempotency_key": plain}
            told = await one("POST", "/v1/chat/completions", speech.ask(payload, user=payload), **headers)
            assert told.status in (400, 404), told.body
        assert sorted(row.requested for row in one.rows()) == sorted(asked)
        assert dump(tmp_path) == before

    run(tmp_path, CONFIG, test)


# --------------------------------------------------------------------------------------------------------------- rule

PACKAGE = Path(__file__).parents[2] / "omniroute"
OF_THE_SCHEMA = "the names are those of `shape()`, which the steps of our own schema have made"
OF_A_SEARCH = "conditions are texts of the module, put into a list one by one; what is looked for goes as values"
REVIEWED = {
    "state/copies.py: f'SELECT count(*) FROM {name}'": OF_THE_SCHEMA,
    "state/copies.py: f'DELETE FROM {table}'": OF_THE_SCHEMA,
    "state/copies.py: f'INSERT INTO main.{table} ({names}) SELECT {names} FROM {schema}.{table}'": OF_THE_SCHEMA,
    "state/copies.py: f'INSERT INTO main.audit ({names}) SELECT {names} FROM old.audit WHERE number > ?'": OF_THE_SCHEMA,
    "state/copies.py: f'DELETE FROM main.{name}'": OF_THE_SCHEMA,
    "state/copies.py: f'SELECT 1 FROM old.{name} LIMIT 1'": OF_THE_SCHEMA,
    "state/shape.py: f'PRAGMA {schema}.table_info({table})'": OF_THE_SCHEMA,
    "state/shape.py: name": "pragmas of the module, by the functions that ask for one number",
    "state/shape.py: f'SELECT 1 FROM {table} WHERE NOT ({fitting}) LIMIT 1'": OF_THE_SCHEMA,
    "state/audit_file.py: f'SELECT count(*) FROM audit {where}'": OF_A_SEARCH,
    "state/audit_file.py: query": OF_A_SEARCH,
    "state/requests.py: query": OF_A_SEARCH,
    "state/rollups.py: query": OF_A_SEARCH,
}
"""Statements that the rule cannot follow and somebody has looked at, with why they are sound."""
EXECUTING = {"execute": 0, "executemany": 0, "executescript": 0}


class Module:
    """One file: which texts in it become statements, and whether they are its own."""

    def __init__(self, file: Path) -> None:
        self.name = str(file.relative_to(PACKAGE))
        self.tree = ast.parse(file.read_text())
        self.constants = {
            target.id
            for node in self.tree.body
            for target in (node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)])
            if isinstance(target, ast.Name)
        }
        self.functions = {
            node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        self.executors = dict(EXECUTING)
        """Functions that hand a parameter on to a database, and which one."""

    def findings(self) -> list[str]:
        found: list[str] = []
        before = -1
        while before != len(self.executors):
            before, found = len(self.executors), list(self._foreign())
        return found

    def _foreign(self) -> Iterator[str]:
        for function, call in self._calls():
            named = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            at = self.executors.get(named)
            if at is None or len(call.args) <= at:
                continue
            statement = call.args[at]
            parameter = self._parameter(statement, function)
            if parameter is not None and function is not None:
                self.executors.setdefault(function.name, parameter)
            elif not self._own(statement, function, ()):
                yield f"{self.name}: {ast.unparse(statement)}"

    def _calls(self) -> Iterator[tuple[Any, ast.Call]]:
        for function in self.functions.values():
            yield from ((function, node) for node in ast.walk(function) if isinstance(node, ast.Call))

    def _parameter(self, node: ast.expr, function: Any) -> int | None:
        """Which parameter of its function this is, or begins with one that it is put together from."""
        names = [argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")]
        if isinstance(node, ast.Name) and node.id in names:
            return names.index(node.id)
        if not isinstance(node, ast.JoinedStr):
            return None
        foreign = [part for part in node.values if not self._own(part, function, ())]
        match foreign:
            case [ast.FormattedValue(value=ast.Name(id=name))] if name in names:
                return names.index(name)
        return None

    def _own(self, node: Any, function: Any, seen: tuple[str, ...]) -> bool:
        own = lambda *nodes: all(self._own(each, function, seen) for each in nodes)  # noqa: E731
        match node:
            case ast.Constant():
                return True
            case ast.JoinedStr():
                return own(*node.values)
            case ast.FormattedValue() | ast.Starred() | ast.Subscript():
                return own(node.value)
            case ast.BinOp():
                return own(node.left, node.right)
            case ast.IfExp():
                return own(node.body, node.orelse)
            case ast.List() | ast.Tuple() | ast.Set():
                return own(*node.elts)
            case ast.ListComp() | ast.GeneratorExp():
                return own(node.elt)
            case ast.Attribute():
                return node.attr in ("__struct_fields__", "__struct_encode_fields__") or node.attr.isupper()
            case ast.Call(func=ast.Name(id="len" | "int" | "range")):
                return True
            case ast.Call(func=ast.Attribute(attr="join" | "format" | "removesuffix" | "strip")):
                return own(node.func.value, *node.args)
            case ast.Call(func=ast.Name(id=called)) if called in self.functions:
                returns = [each.value for each in ast.walk(self.functions[called]) if isinstance(each, ast.Return)]
                return all(self._own(each, self.functions[called], (*seen, called)) for each in returns)
            case ast.Name(id=name):
                return name in seen or self._is_own_name(name, function, (*seen, name))
        return False

    def _is_own_name(self, name: str, function: Any, seen: tuple[str, ...]) -> bool:
        bound: list[Any] = []
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and any(
                isinstance(each, ast.Name) and each.id == name for each in ast.walk(ast.Tuple(node.targets))
            ):
                bound.append(node.value)
            if (
                isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr)
                and isinstance(node.target, ast.Name)
                and node.target.id == name
            ):
                bound.append(node.value)
            if isinstance(node, ast.For | ast.comprehension) and any(
                isinstance(each, ast.Name) and each.id == name for each in ast.walk(node.target)
            ):
                bound.append(node.iter)
        if bound:
            return all(self._own(each, function, seen) for each in bound)
        return name in self.constants or _is_number(function, name)


def _is_number(function: Any, name: str) -> bool:
    return any(
        argument.arg == name
        and argument.annotation is not None
        and ast.unparse(argument.annotation) in ("int", "float")
        for argument in function.args.args
    )


def test_statements_are_put_together_from_names_of_our_own():
    files = [file for file in sorted(PACKAGE.rglob("*.py")) if ".execute" in file.read_text()]
    assert files
    findings = [finding for file in files for finding in Module(file).findings()]
    assert [finding for finding in findings if finding not in REVIEWED] == []


def test_the_rule_notices_what_is_not_our_own(tmp_path, monkeypatch):
    monkeypatch.setattr("test_sql.PACKAGE", tmp_path)
    wrong = {
        "def a(db, name): db.execute(f'SELECT 1 FROM t WHERE n = \"{name()}\"')": 1,
        "def a(db, row): db.execute('SELECT ' + row.name)": 1,
        "def a(db, row): db.execute('SELECT %s' % row['x'])": 1,
        "def q(db, text): db.execute(text)\ndef b(db, row): q2(db, row.x)": 0,
        "class C:\n def q(self, text): self.db.execute(text)\n def b(self, row): self.q(row.name)": 1,
        "def a(db, names): db.execute('SELECT 1 WHERE x IN ({})'.format(', '.join(names.all)))": 1,
        "N = ('a', 'b')\ndef a(db, n: int): db.execute(f\"SELECT {', '.join(N)} LIMIT {n}\")": 0,
    }
    for number, (text, expected) in enumerate(wrong.items()):
        file = tmp_path / f"m{number}.py"
        file.write_text(text)
        assert len(Module(file).findings()) == expected, text
