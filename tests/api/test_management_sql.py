"""Hostile words in every filter that reaches the database: nothing is changed, nothing is found, nothing is told."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import msgspec
import pytest
from fake_application import Application, Browser
from test_management_views import row

from omniroute import api
from omniroute.api.endpoint import Endpoint
from omniroute.state.audit import Entry
from omniroute.state.audit_file import SqliteAudit
from omniroute.state.cache_file import SqliteCache
from omniroute.state.sqlite import SqliteLedger

QUOTES = ("'", '"', "`", "''", "\\'", "%27", "ʼ", "\x00'", "';", "')", "'))", '"]', "]]>")
TAILS = (
    " OR 1=1 --",
    " OR 'a'='a",
    "; DROP TABLE usage; --",
    "; DELETE FROM audit; --",
    " UNION SELECT * FROM audit --",
    " UNION ALL SELECT key, value, ends FROM cache --",
    "; ATTACH DATABASE '/tmp/x' AS y; --",
    "; PRAGMA user_version = 99; --",
    " AND 1=(SELECT count(*) FROM sqlite_master) --",
    "||(SELECT group_concat(sql) FROM sqlite_master)||",
    "; UPDATE usage SET cost = 0; --",
    " LIMIT 1 OFFSET 0 --",
    "/*",
    " COLLATE nocase",
    " GLOB '*",
    " LIKE '%",
    "; VACUUM INTO '/tmp/stolen'; --",
    " AND load_extension('x') --",
    " AND randomblob(1e9) IS NOT NULL --",
)
PLAIN = (
    "%",
    "_",
    "*",
    "?",
    "?1",
    ":key",
    "@key",
    "$1",
    "NULL",
    "1e309",
    "-1",
    "0x41",
    "x'41'",
    "\x00",
    "\xff\xfe".encode("latin-1"),
    b"\xed\xa0\x80",
    "\u202e",
    "🦆" * 50,
    "A" * 4000,
    "usage.key",
    "rowid",
    "(SELECT 1)",
    "CASE WHEN 1 THEN 1 END",
    "{0}",
    "%s",
    "${env:PATH}",
    "../../etc/passwd",
)
HOSTILE = [quote + tail for quote in QUOTES for tail in TAILS] + list(PLAIN)
EACH = 100
"""So many of them meet each field; another field meets others."""
LEAKS = (
    b"sqlite",
    b"syntax",
    b"near ",
    b"no such",
    b"unrecognized token",
    b"CREATE TABLE",
    b"SELECT number",
    b"OperationalError",
)
VIEWS = [
    row
    for row in api.ENDPOINTS
    if row.method == "GET"
    and row.path.startswith(
        ("/api/usage/", "/api/compliance/", "/api/telemetry", "/api/cache", "/api/sessions", "/api/models/")
    )
]


def texts(view: Endpoint) -> list[str]:
    """The parameters that take any text."""
    kind = view.told.query
    if kind is None:
        return []
    return [
        field.encode_name
        for field in msgspec.structs.fields(kind)
        if field.type in (str, str | None, "str", "str | None")
    ]


FIELDS = [(view, name) for view in VIEWS for name in (*texts(view), *(f"{{{part}}}" for part in view.parameters))]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Path]]:
    """The plane over real files, with a few rows in each table."""
    path = tmp_path_factory.mktemp("sql") / "omniroute.sqlite"
    application = Application()
    ledger, audit = SqliteLedger(path, gather=0.0), SqliteAudit(path, path.with_name("audit.key"))
    cache = SqliteCache(path)
    application.state = msgspec.structs.replace(application.state, ledger=ledger, audit=audit, cache=cache)
    for number in range(20):
        ledger.append(row(number, number * 1000.0))
        audit.append(Entry(at=1000.0, actor="w", via="key", action="combos.update"))
    assert ledger.flush()
    yield Browser(application), path
    cache.close()
    assert audit.close()
    assert ledger.close()


def contents(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        return sha256("\n".join(database.iterdump()).encode()).hexdigest()


def encoded(word: str | bytes) -> str:
    return quote_from_bytes(word if isinstance(word, bytes) else word.encode("utf-8", "surrogatepass"), safe="")


def test_there_is_a_corpus_and_there_are_fields():
    assert len(HOSTILE) > 270
    assert len(FIELDS) > 40


@pytest.mark.parametrize(("view", "name"), FIELDS, ids=lambda one: one if isinstance(one, str) else one.path)
def test_hostile_words_change_nothing_and_are_told_nothing(served: tuple[Browser, Path], view: Endpoint, name: str):
    browser, path = served
    before = contents(path)

    words = random.Random(f"{view.path} {name}").sample(HOSTILE, EACH)

    async def ask() -> list[Any]:
        replies = []
        for word in words:
            if name.startswith("{"):
                if isinstance(word, bytes) or "/" in word:
                    continue
                where, query = view.path.replace(name, word), b""
            else:
                where, query = (
                    view.path.replace("{connectionId}", "openai.team").replace("{id}", "0"),
                    f"{name}={encoded(word)}".encode(),
                )
            replies.append((word, await browser.send("GET", where, key="reader", query=query)))
        return replies

    for word, reply in asyncio.run(ask()):
        assert reply.status in (200, 400, 404), (word, reply.status, reply.body)
        assert not any(leak in reply.body for leak in LEAKS if leak.decode() not in str(word)), (word, reply.body)
    assert contents(path) == before
