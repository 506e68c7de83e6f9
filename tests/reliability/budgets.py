"""Five hundred clients spend from shared budgets at once: is ever more spent than there is, and do the books agree?

    python tests/reliability/budgets.py [REQUESTS] [SEED]

Everything is real but the providers and the clock: requests go through the client API's own application, whose
providers answer with random usage after a random while, fail, or are left by their client; two days pass meanwhile.
After each request what is spent and reserved is compared with the limit, and what is spent with the ledger's rows.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
import sys
import tempfile
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from omniroute import catalog
from omniroute.config import bundle
from omniroute.config.compile import compile_gateway
from omniroute.errors import Fault, UpstreamError
from omniroute.relay.ingress import ENDPOINTS, Gate
from omniroute.routing.live import Live
from omniroute.routing.spending import payers
from omniroute.state.base import Clock, UsageRow
from omniroute.state.budgets import MemoryBudgets
from omniroute.state.memory import MemoryLedger, memory_state
from omniroute.upstream.client import Client

CLIENTS = 500
KEYS = 100
BUDGETS = 20
PERIODS = ("hourly", "daily", "weekly", "monthly", "total")
PRICES = (("0.15", "0.6"), ("3", "15"), ("1.25", "10"), ("0.07", "0.1"))
STEP = 2 * 86_400 / 200_000
"""Seconds that go by with each request."""


class Told(msgspec.Struct):
    """What a run found. `refused` are requests for which a budget had not enough, `short` the answers that came to
    nothing; `overspent` and `differing` are what must not be."""

    requests: int = 0
    answered: int = 0
    refused: int = 0
    short: int = 0
    overspent: int = 0
    differing: int = 0
    nearest: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)
    seconds: float = 0.0


class Reply:
    """A whole answer with random usage."""

    status = 200
    headers = ((b"content-type", b"application/json"),)

    def __init__(self, usage: dict[str, int]) -> None:
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
        told = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        self._body = json.dumps(told).encode()

    async def chunk(self) -> bytes:
        body, self._body = self._body, b""
        return body

    async def read(self, _limit: int) -> bytes:
        return await self.chunk()

    def close(self) -> None:
        """Nothing is open."""


class Provider:
    """Takes as much as the request allows at the most, after some turns of the loop."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def send(self, request: Any) -> Reply:
        for _ in range(self._chance.randrange(6)):
            await asyncio.sleep(0)
        if self._chance.random() < 0.05:
            raise UpstreamError("server_error", Fault(kind="server", status=500, message="out of order"))
        asked = json.loads(request.body)
        prompt = self._chance.randrange(1, len(request.body))
        cached = self._chance.randrange(prompt)
        return Reply(
            {
                "prompt_tokens": prompt,
                "completion_tokens": self._chance.randint(1, asked["max_tokens"]),
                "prompt_tokens_details": {"cached_tokens": cached},
                "total_tokens": 0,
            }
        )

    async def close(self) -> None:
        """Nothing is open."""


class Books(MemoryLedger):
    """A ledger that compares what is spent with its rows, each time that one comes."""

    def __init__(self, told: Told) -> None:
        super().__init__(10**9)
        self.told = told
        self.sums: dict[tuple[str, float], Decimal] = defaultdict(Decimal)
        self.budgets = MemoryBudgets()
        self.paying: dict[str, list[Any]] = {}

    def append(self, row: UsageRow) -> None:
        super().append(row)
        for budget in self.paying[row.key]:
            balance = self.budgets.balance(budget, row.started)
            place = budget.name, balance.starts
            self.sums[place] += row.cost or 0
            self.told.differing += self.sums[place] != balance.spent
            self.told.overspent += balance.spent + balance.reserved > balance.limit
            self.told.nearest = max(self.told.nearest, balance.spent / balance.limit)


def config() -> str:
    """Keys with three budgets each, budgets of all periods and of sizes that are soon spent."""
    keys = [
        f"  k{n}: {{digest: 'sha256:{_digest(n)}', budgets: [b{n % BUDGETS}, b{n * 7 % BUDGETS}, b{n * 3 % BUDGETS}]}}"
        for n in range(KEYS)
    ]
    budgets = [
        f"  b{n}: {{limit: {0.5 * (n % 7 + 1)}, period: {PERIODS[n % len(PERIODS)]}, timezone: Europe/Berlin}}"
        for n in range(BUDGETS)
    ]
    models = ", ".join(
        f"m{n}: {{max_output: 4000, price: {{input: {i}, output: {o}, cache_read: 0.01}}}}"
        for n, (i, o) in enumerate(PRICES)
    )
    node = f"{{type: openai-compatible, base_url: 'http://127.0.0.1:9/v1', connections: {{main: {{}}}}, models: {{{models}}}}}"
    head = ["version: 1", f"providers: {{p: {node}}}", "combos: {c: {targets: [p/m1, p/m0]}}"]
    return "\n".join([*head, "keys:", *keys, "budgets:", *budgets])


def _digest(number: int) -> str:
    return hashlib.sha256(f"key-{number}".encode()).hexdigest()


def run(requests: int = 200_000, seed: int = 1) -> Told:
    """Lets so many requests come, from all clients at once."""
    logging.getLogger("omniroute.budgets").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "omniroute.yaml"
        file.write_text(config())
        books = catalog.load()
        live = Live(compile_gateway(bundle.read(file, books), books))
    return asyncio.run(_run(live, requests, random.Random(seed)))


async def _run(live: Live, requests: int, chance: random.Random) -> Told:
    told = Told()
    ledger = Books(told)
    now = [1_790_000_000.0]
    ledger.paying = {one.name: list(one.budgets) for one in live.current.principals.values()}
    state = msgspec.structs.replace(
        memory_state(),
        budgets=ledger.budgets,
        ledger=ledger,
        clock=Clock(now=lambda: now[0], monotonic=lambda: now[0]),
        random=chance,
    )
    application = Gate(live, state, Client({"httptools": Provider(chance)})).app(ENDPOINTS[0])

    async def one() -> None:
        size = chance.randrange(10, 3_000)
        asked = {
            "model": chance.choice(["p/m0", "p/m1", "p/m2", "p/m3", "c"]),
            "max_tokens": chance.randrange(1, 3_000),
            "messages": [{"role": "user", "content": "x" * size}],
        }
        body = json.dumps(asked).encode()
        headers = [
            (b"authorization", b"Bearer key-%d" % chance.randrange(KEYS)),
            (b"content-type", b"application/json"),
        ]
        scope = {"type": "http", "method": "POST", "path": ENDPOINTS[0].path, "query_string": b"", "headers": headers}
        statuses: list[int] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        task = asyncio.ensure_future(application(scope, receive, send))
        if chance.random() < 0.05:
            for _ in range(chance.randrange(1, 9)):
                await asyncio.sleep(0)
            task.cancel()
        await task
        told.answered += statuses == [200]
        told.refused += statuses == [429]
        told.short += statuses not in ([200], [429])

    async def client() -> None:
        while told.requests < requests:
            told.requests += 1
            now[0] += STEP * chance.random() * 2
            await one()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    told.seconds = time.perf_counter() - began
    told.spent = ledger.totals().cost
    _recount(live, ledger, told, now[0])
    return told


def _recount(live: Live, ledger: Books, told: Told, now: float) -> None:
    """At the end nothing is reserved, and a restart would find the very same."""
    for name, keys in payers(live.current).items():
        balance = ledger.budgets.balance(live.current.budgets[name], now)
        told.differing += ledger.spent(keys, balance.starts, balance.resets) != balance.spent
        told.differing += balance.reserved != 0


def main(arguments: list[str]) -> int:
    """Prints what a run found; 1 where a budget was overspent or the books differ."""
    told = run(*(int(each) for each in arguments))
    print(
        f"{told.requests:,} requests of {CLIENTS} clients: {told.answered:,} answered, {told.refused:,} refused, "
        f"{told.short:,} failed or left; {told.spent:f} USD spent, at the most {told.nearest * 100:.4f}% of a budget, "
        f"{told.seconds:.0f} s: {told.overspent} overspent, {told.differing} differences"
    )
    return 1 if told.overspent or told.differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
