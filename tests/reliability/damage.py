"""Every page of a database is spoiled in turn while a gateway serves: is traffic served, is it told, is it mended?

    PYTHONPATH=$PWD:$PWD/tests python tests/reliability/damage.py [PAGES] [SEED]

The gateway is a real process, and is not started again in between. After each page, requests are made, health is asked,
and a backup is restored; then the history has the backup's rows again, and new ones are written to it.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import msgspec
from support.gateway import Gateway

CONFIG = """\
version: 1
server: {data_dir: '{data_dir}'}
auth: {require_login: false}
providers: {demo: {}}
backups: {keep: 1000}
"""
ROWS = 2000


class Told(msgspec.Struct):
    """What a run found. `broken` are those after which the audit log tells that a row is not what was written, which no
    copy had: that stays told. `slowest` is of a request, and of a restore, in seconds."""

    pages: int = 0
    served: int = 0
    failed: int = 0
    noticed: int = 0
    mended: int = 0
    broken: int = 0
    slowest_request: float = 0.0
    slowest_restore: float = 0.0


def spoil(path: Path, page: int, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.seek(page * 4096 + chance.choice((0, 0, 8, chance.randrange(3000))))
        file.write(chance.choice((b"\xff" * 64, bytes(1024), chance.randbytes(256), b"\x0d\0\0\xff\xff")))


def run(pages: int = 500, seed: int = 1) -> Told:
    chance, told = random.Random(seed), Told()
    with Gateway(CONFIG) as gateway, httpx.Client(base_url=gateway.url, trust_env=False, timeout=30) as client:
        for _ in range(ROWS):
            ask(client, told)
        time.sleep(1)
        backup = client.put("/api/db-backups", json={}).json()
        for number in range(pages):
            with closing(sqlite3.connect(gateway.ledger)) as there:  # sound again, or this would fail
                there.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                (count,) = there.execute("PRAGMA page_count").fetchone()
            spoil(gateway.ledger, number % count, chance)
            told.pages += 1
            for _ in range(3):
                ask(client, told)
            copy = client.put("/api/db-backups", json={})
            health = client.get("/api/monitoring/health").json()
            told.noticed += copy.status_code == 503 or health["status"] != "healthy"
            told.mended += mended(client, backup, told)
    return told


def ask(client: httpx.Client, told: Told) -> None:
    body = {"model": "demo/echo", "messages": [{"role": "user", "content": "one"}]}
    began = time.monotonic()
    fine = client.post("/v1/chat/completions", json=body).status_code == 200
    told.slowest_request = max(told.slowest_request, time.monotonic() - began)
    told.served += fine
    told.failed += not fine


def mended(client: httpx.Client, backup: dict[str, Any], told: Told) -> bool:
    began = time.monotonic()
    put = client.post("/api/db-backups", json={"backupId": backup["id"]})
    told.slowest_restore = max(told.slowest_restore, time.monotonic() - began)
    deadline = time.monotonic() + 10
    while not _sound(storage := client.get("/api/monitoring/health").json()["storage"]):
        if time.monotonic() > deadline:
            print(put.status_code, put.text[:300], storage)
            return False
        time.sleep(0.05)
    told.broken += "chain" in storage["audit"]["reason"]
    return put.status_code == 200 and put.json()["rows"]["usage"] == backup["rows"]["usage"]


def _sound(storage: dict[str, Any]) -> bool:
    audit = storage["audit"]["reason"]
    return storage["ledger"]["ok"] and storage["backups"]["ok"] and (not audit or "chain" in audit)


if __name__ == "__main__":
    print(run(*map(int, sys.argv[1:])))
