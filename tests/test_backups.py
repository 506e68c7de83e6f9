"""Backups of a gateway that runs: made, put back and handed about, over the network and by the command line."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import json
import os
import random
import sqlite3
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support import speech
from support.gateway import Gateway, environment
from support.upstream import Asked, Script, Upstream, events
from support.upstream import whole as answered

from omniroute.formats.multipart import Part, boundary_for, write

KEYS = {"admin": ["client", "admin.write"], "reader": ["admin.read"], "team": ["client"]}
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQxMjM0$Jm1sR0Zb5oZ8K0jB2h0V5g"
CONFIG = """\
version: 1
server: {data_dir: '{data_dir}'}
auth: {password_hash: "HASH"}
providers:
  p:
    type: openai-compatible
    base_url: URL/v1
    connections: {main: {api_key: "${env:UPSTREAM_KEY}"}}
    models: {m: {price: {input: 100000, output: 0}}}
keys: KEYS
budgets: {all: {limit: 1000000, period: total, warn_at: 0%}}
backups: {keep: 3, import_limit: 2MiB MORE}
"""
COST = Decimal("0.3")
"""Of one request: three tokens at 100 000 USD a million."""


def config(upstream: Upstream, more: str = "") -> str:
    keys = {
        name: {"digest": f"sha256:{hashlib.sha256(name.encode()).hexdigest()}", "roles": roles, "budgets": ["all"]}
        for name, roles in KEYS.items()
    }
    said = {"URL": upstream.url, "KEYS": json.dumps(keys), "HASH": HASH, "MORE": more}
    text = CONFIG
    for word, value in said.items():
        text = text.replace(word, value, 1)
    return text


class Api:
    """A gateway, asked as an administrator unless otherwise said."""

    def __init__(self, gateway: Gateway, upstream: Upstream) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.hold: Future[None] | None = None

    def raw(
        self, method: str, path: str, body: bytes | None = None, key: str = "admin", kind: str = "application/json"
    ) -> tuple[int, bytes]:
        headers = {"authorization": f"Bearer {key}", "content-type": kind}
        request = urllib.request.Request(f"{self.gateway.url}{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def __call__(self, method: str, path: str, body: Any = None, key: str = "admin") -> tuple[int, Any]:
        status, content = self.raw(method, path, None if body is None else json.dumps(body).encode(), key)
        return status, json.loads(content)

    def ask(self, count: int = 1, key: str = "team") -> None:
        for _ in range(count):
            status, body = self("POST", "/v1/chat/completions", speech.ask("p/m"), key)
            assert status == 200, body

    def spent(self) -> Decimal:
        """What the budget stood at before one more request, which this is."""
        body = json.dumps(speech.ask("p/m")).encode()
        headers = {"authorization": "Bearer team", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.gateway.url}/v1/chat/completions", body, headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            told = reply.headers["x-omniroute-budget"]
        return Decimal(told.split("spent=")[1].split(";")[0])

    def health(self) -> dict[str, Any]:
        return self("GET", "/api/monitoring/health")[1]

    def until(self, **storage: Any) -> dict[str, Any]:
        deadline = time.monotonic() + 15
        while True:
            told = self.health()
            if all(told["storage"][name] == value for name, value in storage.items()):
                return told
            assert time.monotonic() < deadline, told["storage"]
            time.sleep(0.05)


@pytest.fixture(scope="module")
def everything() -> Iterator[Api]:
    """One gateway for all tests that do not mind what is in its history."""

    def script(asked: Asked) -> Script:
        if asked.json.get("stream"):
            last = speech.event("openai", {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 0}})
            pieces = [speech.begin("openai") + speech.say("openai", "one"), last, b"data: [DONE]\n\n"]
            return events(*pieces, hold=api.hold)
        return answered(speech.whole("openai", {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}))

    with Upstream(script) as upstream, Gateway(config(upstream), UPSTREAM_KEY="canary-upstream-key") as gateway:
        api = Api(gateway, upstream)
        yield api


@pytest.fixture
def api(everything: Api) -> Api:
    assert everything.gateway.process.poll() is None
    return everything


def rows(path: Path, what: str = "*") -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as there:
        return int(there.execute(f"SELECT count({what}) FROM usage").fetchone()[0])


def cost(path: Path) -> Decimal:
    """Of all answered requests; those that were refused cost nothing."""
    return COST * rows(path, "cost")


def count(api: Api) -> int:
    """The rows of the history once it is written."""
    time.sleep(0.6)
    return rows(api.gateway.ledger)


def test_a_backup_is_made_listed_verified_and_deleted(api: Api):
    api.ask(3)
    there = count(api)
    status, made = api("PUT", "/api/db-backups")
    assert (status, made["created"], made["reason"], made["rows"]["usage"]) == (200, True, "manual", there)
    _, listed = api("GET", "/api/db-backups", key="reader")
    assert listed["backups"][0] == {name: made[name] for name in ("id", "filename", "createdAt", "size", "reason")}
    folder = api.gateway.ledger.parent / "backups"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / made["id"]).stat().st_mode & 0o777 == 0o600
    status, verified = api("POST", "/api/db-backups", {"action": "verify", "backupId": made["id"]})
    assert (status, verified["verified"], verified["rows"]["usage"]) == (200, True, there)
    assert api("DELETE", f"/api/db-backups/{made['id']}")[0] == 200
    assert api("DELETE", f"/api/db-backups/{made['id']}")[0] == 404
    assert api("POST", "/api/db-backups", {"action": "verify", "backupId": made["id"]})[0] == 404


def balanced(api: Api) -> int:
    """The rows there are; what is spent is what they cost."""
    spent = api.spent()
    there = count(api)
    assert spent == cost(api.gateway.ledger) - COST
    return there


def test_a_restore_brings_back_rows_and_money_and_keeps_what_there_was(api: Api):
    api.ask(2)
    balanced(api)
    made = api("POST", "/api/db-backups", {"action": "create"})[1]
    there = made["rows"]["usage"]
    assert made["created"] is True
    api.ask(5)
    status, put = api("POST", "/api/db-backups", {"backupId": made["backupId"]})
    assert (status, put["restored"], put.get("damage"), put["rows"]["usage"]) == (200, True, None, there)
    assert put["before"]["reason"] == "pre-restore"
    assert there < balanced(api) <= there + 6  # those that were not written yet are in the new one
    before = api("POST", "/api/db-backups", {"backupId": put["before"]["id"]})[1]
    assert before["rows"]["usage"] >= there
    balanced(api)


def test_requests_under_way_are_in_the_new_history_and_in_the_budget(api: Api):
    made = api("PUT", "/api/db-backups")[1]
    api.hold = Future()
    with ThreadPoolExecutor(8) as pool:
        body = json.dumps(speech.ask("p/m", stream=True)).encode()
        asked = [pool.submit(api.raw, "POST", "/v1/chat/completions", body, "team") for _ in range(8)]
        deadline = time.monotonic() + 10
        while api.upstream.busy < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        put = api("POST", "/api/db-backups", {"backupId": made["id"]})[1]
        api.hold.set_result(None)
        assert all(one.result()[0] == 200 for one in asked)
    api.hold = None
    assert balanced(api) == put["rows"]["usage"] + 9


@pytest.mark.parametrize(
    "ident",
    [
        "../omniroute.sqlite",
        "..",
        "/etc/passwd",
        "db_2026-03-02T09-30-00-000Z_manual.sqlite/../../omniroute.sqlite",
        "db_2026-03-02T09-30-00-000Z_manual.sqlite\0",
        "db_2026-03-02T09-30-00-000Z_manual.sqlite\n",
        "db_2026-99-02T09-30-00-000Z_manual.sqlite",
        "db_2026-03-02T09-30-00-000Z_other.sqlite",
        "db_٢٠٢٦-03-02T09-30-00-000Z_manual.sqlite",
        "x" * 200,
    ],
)
def test_no_name_leads_out_of_the_directory(api: Api, ident: str):
    for action in ("restore", "verify"):
        status, body = api("POST", "/api/db-backups", {"action": action, "backupId": ident})
        assert (status, body["error"]["code"]) == (404, "unknown_backup")


def test_a_link_is_no_backup(api: Api):
    name = "db_2026-03-02T09-30-00-000Z_manual.sqlite"
    api("PUT", "/api/db-backups")
    link = api.gateway.ledger.parent / "backups" / name
    link.symlink_to("/etc/passwd")
    assert name not in json.dumps(api("GET", "/api/db-backups")[1])
    assert api("POST", "/api/db-backups", {"backupId": name})[0] == 404
    assert api("DELETE", f"/api/db-backups/{name}")[0] == 404
    link.unlink()


def test_only_so_many_of_a_kind_are_kept(api: Api):
    made = [api("PUT", "/api/db-backups")[1]["id"] for _ in range(5)]
    kept = [each["id"] for each in api("GET", "/api/db-backups")[1]["backups"] if each["reason"] == "manual"]
    assert kept == made[:1:-1]


def test_what_was_exported_can_be_imported(api: Api):
    api.ask(2)
    there = count(api)
    status, exported = api.raw("GET", "/api/db-backups/export", key="reader")
    assert (status, exported[:15]) == (200, b"SQLite format 3")
    assert api.raw("HEAD", "/api/db-backups/export") == (200, b"")
    api.ask(2)
    count(api)
    for kind in ("application/octet-stream", "application/vnd.sqlite3"):
        status, body = api.raw("POST", "/api/db-backups/import", exported, kind=kind)
        told = json.loads(body)
        assert (status, told["imported"], told["rows"]["usage"]) == (200, True, there)
        assert told["before"]["reason"] == "pre-import"
    assert count(api) == there
    assert list((api.gateway.ledger.parent / "uploads").iterdir()) == []


def form(*parts: Part) -> tuple[bytes, str]:
    """A body of these parts, and its type."""
    boundary = boundary_for("a form", parts)
    return b"".join(write(parts, boundary)), f"multipart/form-data; boundary={boundary}"


def test_a_file_comes_in_a_form_too(api: Api):
    api.ask(1)
    there = count(api)
    exported = api.raw("GET", "/api/db-backups/export")[1]
    field, file = (
        Part("note", b"from the old machine"),
        Part("file", exported, "omniroute.sqlite", "application/x-sqlite3"),
    )
    status, body = api.raw("POST", "/api/db-backups/import", form(field, file)[0], kind=form(field, file)[1])
    assert (status, json.loads(body)["rows"]["usage"]) == (200, there)
    refused = {
        "file_missing": form(field),
        "not_a_backup": form(Part("file", exported[:5000], "omniroute.sqlite")),
        "invalid_multipart": form(file, file),
    }
    for code, (content, kind) in refused.items():
        status, body = api.raw("POST", "/api/db-backups/import", content, kind=kind)
        assert (status, json.loads(body)["error"]["code"]) == (400, code)
    content, kind = form(file)
    assert api.raw("POST", "/api/db-backups/import", content[:-9], kind=kind)[0] == 400, "it broke off"
    large = form(Part("file", bytes((2 << 20) + 1), "large.sqlite"))
    assert api.raw("POST", "/api/db-backups/import", large[0], kind=large[1])[0] == 413
    assert announced(api, 3 << 20, kind) == 413
    assert api.raw("POST", "/api/db-backups/import", content, "reader", kind)[0] == 403
    content, kind = form(field)
    assert api.raw("PUT", "/api/db-backups", content, kind=kind)[0] == 415, "nobody else takes forms"
    assert count(api) == there
    assert list((api.gateway.ledger.parent / "uploads").iterdir()) == []


def test_what_is_no_history_is_not_imported(api: Api):
    there = count(api)
    exported = api.raw("GET", "/api/db-backups/export")[1]
    bombs = {
        b"": 400,
        b"id,key\n1,2\n" * 1000: 400,
        exported[: len(exported) // 2]: 400,
        gzip.compress(bytes(1 << 20)): 400,
        exported + bytes(4096): 400,
    }
    for content, expected in bombs.items():
        status, body = api.raw("POST", "/api/db-backups/import", content, kind="application/octet-stream")
        assert status == expected, body
        assert json.loads(body)["error"]["code"] == "not_a_backup"
    assert announced(api, 3 << 20) == 413
    assert api.raw("POST", "/api/db-backups/import", exported, kind="application/json")[0] == 415
    assert api.raw("POST", "/api/db-backups/import", exported, "reader", "application/octet-stream")[0] == 403
    assert count(api) == there


def announced(api: Api, length: int, kind: str = "application/octet-stream") -> int:
    """What is said to a body of this length before any of it has come."""
    connection = http.client.HTTPConnection("127.0.0.1", api.gateway.port, timeout=10)
    connection.putrequest("POST", "/api/db-backups/import")
    for name, value in (
        ("authorization", "Bearer admin"),
        ("content-type", kind),
        ("content-length", str(length)),
    ):
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def test_an_archive_of_everything_holds_no_secret(api: Api):
    made = api.raw("GET", "/api/db-backups/exportAll")[1]
    with tarfile.open(fileobj=io.BytesIO(made), mode="r:gz") as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive.getmembers()}  # type: ignore[union-attr]
    folder = api.gateway.folder.name
    assert set(members) == {"metadata.json", "omniroute.sqlite", f"files/{folder}/omniroute.yaml"}
    text = members[f"files/{folder}/omniroute.yaml"].decode()
    assert text == api.gateway.path.read_text().replace(f'"{HASH}"', '"${env:REMOVED}"')
    everything = b"".join(members.values())
    for secret in (b"canary-upstream-key", HASH.encode(), b"argon2id"):
        assert secret not in everything
    metadata = json.loads(members["metadata.json"])
    assert metadata["files"][0]["asWritten"] is False
    assert metadata["files"][0]["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    (api.gateway.folder / "unpacked.sqlite").write_bytes(members["omniroute.sqlite"])
    assert rows(api.gateway.folder / "unpacked.sqlite") == metadata["database"]["rows"]["usage"]


# ------------------------------------------------------------------------------------------------- a damaged database


def spoil_pages(path: Path) -> None:
    chance = random.Random(5)
    with path.open("r+b") as file:
        for start in range(4096, path.stat().st_size, 4096):
            file.seek(start)
            file.write(chance.randbytes(2000))


def spoil_head(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"this is no database" * 20)


DAMAGES = {
    "pages": spoil_pages,
    "no database": spoil_head,
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 3),
    "empty": lambda path: os.truncate(path, 0),
    "deleted": Path.unlink,
    "a directory": lambda path: (path.unlink(), path.mkdir()),
}


WHEN = [*((damage, True) for damage in DAMAGES), ("pages", False), ("no database", False)]


@pytest.mark.parametrize(
    ("damage", "running"), WHEN, ids=[f"{what} {'late' if late else 'first'}" for what, late in WHEN]
)
def test_a_damaged_history_stops_no_traffic_and_is_mended_without_a_restart(api: Api, damage: str, running: bool):
    gateway, path = api.gateway, api.gateway.ledger
    api.ask(3)
    made = api("PUT", "/api/db-backups")[1]
    there = made["rows"]["usage"]
    if running:
        api.ask(1)
        count(api)
        DAMAGES[damage](path)
    else:
        gateway.stop()
        DAMAGES[damage](path)
        gateway.start()
    for _ in range(3):
        status, body = api("POST", "/v1/chat/completions", speech.ask("p/m"), "admin")
        # Whose budget cannot be known is refused; everything else is served.
        assert status == 200 or (not running and body["error"]["code"] == "budget_unknown"), body
    assert api("GET", "/api/init")[0] == 200
    status, put = api("POST", "/api/db-backups", {"backupId": made["id"]})
    assert (status, put["rows"]["usage"]) == (200, there), put
    told = api.until(ok=True, pending=0)
    assert told["status"] == "healthy"
    api.ask(2)
    assert count(api) >= there + 2


def test_health_says_that_pages_are_damaged(api: Api):
    made = api("PUT", "/api/db-backups")[1]
    api.gateway.stop()
    spoil_pages(api.gateway.ledger)
    api.gateway.start()
    deadline = time.monotonic() + 10
    while not (told := api.health())["storage"]["backups"]["reason"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert told["status"] == "degraded"
    assert api("PUT", "/api/db-backups")[0] == 503
    assert api("POST", "/api/db-backups", {"backupId": made["id"]})[1]["before"]["reason"] == "damaged"
    assert api.until(ok=True)["status"] == "healthy"


# ---------------------------------------------------------------------------------------------------- by the clock


def test_backups_are_made_by_the_clock():
    with (
        Upstream(lambda _: answered(speech.whole("openai"))) as upstream,
        Gateway(config(upstream, ", every: 1s"), UPSTREAM_KEY="k") as gateway,
    ):
        folder = gateway.ledger.parent / "backups"
        deadline = time.monotonic() + 10
        while not list(folder.glob("db_*_scheduled.sqlite")):
            assert time.monotonic() < deadline
            time.sleep(0.05)


# ------------------------------------------------------------------------------------------------ the command line


def command(api: Api, *arguments: str) -> tuple[int, Any]:
    ended = subprocess.run(
        [sys.executable, "-m", "omniroute", "backup", *arguments, "--config", str(api.gateway.path), "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else ended.stderr


def test_the_command_line_makes_verifies_and_restores_while_the_gateway_runs(api: Api):
    api.ask(2)
    there = count(api)
    code, made = command(api, "create")
    assert (code, made["facts"]["rows"]["usage"]) == (0, there)
    ident = made["backup"]["id"]
    code, listed = command(api, "list")
    assert (code, listed[0]["id"]) == (0, ident)
    code, verified = command(api, "verify", ident)
    assert (code, verified["rows"]["usage"]) == (0, there)
    api.ask(3)
    count(api)
    before = len(api.gateway.said())
    code, put = command(api, "restore", ident)
    assert (code, put["facts"]["rows"]["usage"], put["damage"]) == (0, there, "")
    deadline = time.monotonic() + 10
    while "another database" not in api.gateway.said()[before:]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    assert balanced(api) == there + 1
    assert command(api, "restore", "db_2026-03-02T09-30-00-000Z_manual.sqlite")[0] == 1
    assert command(api, "verify", "../x")[0] == 1


def test_no_row_is_lost_while_the_command_line_restores_under_load(api: Api):
    made = api("PUT", "/api/db-backups")[1]["id"]
    before = count(api)
    asked = 0
    with ThreadPoolExecutor(1) as pool:
        restoring = pool.submit(lambda: [command(api, "restore", made)[1]["before"]["id"] for _ in range(3)])
        while not restoring.done():
            api.ask(1)
            asked += 1
        asides = restoring.result()
    count(api)
    seen: set[str] = set()
    for path in (api.gateway.ledger, *(api.gateway.ledger.parent / "backups" / each for each in asides)):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as there:
            seen |= {ident for (ident,) in there.execute("SELECT id FROM usage")}
    assert len(seen) == before + asked
