"""A gateway with a budget is killed at random, again and again: what of its books is lost, and what is told twice?

    PYTHONPATH=$PWD/tests python tests/reliability/kills.py [KILLS] [SEED]

The process is a real one and so is its ledger; clients ask all the time, and remember which answers they got and when.
After each start the budget must stand at exactly what the ledger's rows add up to.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import ssl
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import httpx
import msgspec
from support import speech
from support.gateway import Gateway
from support.upstream import Script, Upstream, whole

CLIENTS = 4
LONGEST_LIFE = 1.2
"""Seconds that a process serves before it is killed, at the most."""
FLUSHED_WITHIN = 1.0
"""Seconds after which a row is on the disk for sure: the writer gathers for a quarter of one."""
KEYS = ("a", "b")
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONFIG = """\
version: 1
server: {{data_dir: '{{data_dir}}'}}
providers:
  p: {{type: openai-compatible, base_url: '{url}/v1', connections: {{main: {{}}}}, models: {{m: {{price: {{input: 0.37, output: 1.9}}}}}}}}
keys:
  a: {{digest: 'sha256:{a}', budgets: [all]}}
  b: {{digest: 'sha256:{b}', budgets: [all]}}
budgets:
  all: {{limit: 1000000, period: total, warn_at: 0%}}
"""


class Told(msgspec.Struct):
    """What a run found: `late` are rows lost although their answers were older than a flush; a start took so many
    seconds, and of the CPU `most_work`, whatever else the machine had to do."""

    kills: int = 0
    answered: int = 0
    rows: int = 0
    lost: int = 0
    late: int = 0
    doubled: int = 0
    differing: int = 0
    slowest_start: float = 0.0
    most_work: float = 0.0


def run(kills: int = 200, seed: int = 1) -> Told:
    """Kills so many times."""
    chance, told = random.Random(seed), Told()
    usages = random.Random(seed)

    def answer(_asked: object) -> Script:
        usage = {"prompt_tokens": usages.randrange(1, 9_999), "completion_tokens": usages.randrange(1, 999)}
        return whole(speech.whole("openai", usage))

    with Upstream(answer) as upstream:
        digests = {key: hashlib.sha256(key.encode()).hexdigest() for key in KEYS}
        gateway = Gateway(CONFIG.format(url=upstream.url, **digests))
        gateway.log = (gateway.folder / "log").open("w+")
        try:
            answers: dict[str, float] = {}
            for number in range(kills + 1):
                began = time.monotonic()
                gateway.start()
                told.slowest_start = max(told.slowest_start, time.monotonic() - began)
                told.most_work = max(told.most_work, _work(gateway.process.pid))
                before = _sum(gateway)
                first = ask(gateway, "a", f"first-{number}")
                answers[f"first-{number}"] = time.monotonic()
                told.differing += (
                    Decimal(first.headers["x-omniroute-budget"].split(";")[1].removeprefix("spent=")) != before
                )
                if number == kills:
                    break
                _serve(gateway, chance.random() * LONGEST_LIFE, f"{number}", answers)
                told.kills += 1
                _compare(gateway, answers, told)
            gateway.stop()
        finally:
            if gateway.process.poll() is None:
                gateway.process.kill()
            gateway.log.close()
            gateway._folder.cleanup()
    return told


def ask(gateway: Gateway, key: str, name: str, client: httpx.Client | None = None) -> httpx.Response:
    """One request, known by a name of ours."""
    headers = {"x-api-key": key, "x-request-id": name}
    url = f"{gateway.url}/v1/chat/completions"
    if client is not None:
        return client.post(url, json=speech.ask("p/m"), headers=headers)
    return httpx.post(url, json=speech.ask("p/m"), headers=headers, trust_env=False, timeout=20, verify=PLAIN)


def _serve(gateway: Gateway, seconds: float, life: str, answers: dict[str, float]) -> None:
    """Clients ask until the process is killed."""
    over = threading.Event()

    def client(which: int) -> None:
        with httpx.Client(trust_env=False, verify=PLAIN) as one:
            number = 0
            while not over.is_set():
                name = f"{life}-{which}-{number}"
                try:
                    status = ask(gateway, KEYS[which % 2], name, one).status_code
                except httpx.HTTPError:
                    break
                assert status == 200, status
                answers[name] = time.monotonic()
                number += 1

    threads = [threading.Thread(target=client, args=(which,)) for which in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    os.kill(gateway.process.pid, signal.SIGKILL)
    killed = time.monotonic()
    gateway.process.wait()
    over.set()
    for thread in threads:
        thread.join()
    answers["killed"] = killed


def _compare(gateway: Gateway, answers: dict[str, float], told: Told) -> None:
    """The rows of a life that is over with the answers that were heard in it."""
    killed = answers.pop("killed")
    names = [row["request_id"] for row in gateway._rows()]
    there = set(names)
    told.doubled += len(names) - len(there)
    told.rows = len(names)
    missing = [name for name in answers if name not in there]
    told.answered += len(answers)
    told.lost += len(missing)
    told.late += sum(killed - answers[name] > FLUSHED_WITHIN for name in missing)
    answers.clear()


def _work(process: int) -> float:
    """Seconds of CPU that a process has had."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _sum(gateway: Gateway) -> Decimal:
    return sum((Decimal(row["cost"]) for row in gateway._rows() if row["cost"]), Decimal(0))


def main(arguments: list[str]) -> int:
    """Prints what a run found; 1 where the books are wrong."""
    told = run(*(int(each) for each in arguments))
    print(
        f"{told.kills} kills, {told.answered:,} answers, {told.rows:,} rows: {told.lost} lost of the last flush, "
        f"{told.late} older ones, {told.doubled} doubled, {told.differing} times another sum than the budget; slowest "
        f"start {told.slowest_start:.2f} s, {told.most_work:.2f} s of CPU"
    )
    return 1 if told.late or told.doubled or told.differing or told.slowest_start > 3 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
