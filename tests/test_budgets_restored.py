"""Before the first request, budgets know what the ledger does; while it cannot tell, they pay for nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from omniroute import app
from omniroute.app import Service
from omniroute.config.overrides import Overrides
from omniroute.state.base import UsageRow
from omniroute.state.budgets import Balance
from omniroute.state.sqlite import SqliteLedger

CONFIG = """\
version: 1
server: {{data_dir: '{data}'}}
providers: {{demo: {{}}}}
keys:
  a: {{digest: 'sha256:{a}', budgets: [all, day]}}
  b: {{digest: 'sha256:{b}', budgets: [all{more}]}}
budgets:
  all: {{limit: 100, period: total}}
  day: {{limit: 100, period: {period}, reset: "00:00", timezone: Asia/Kathmandu}}
"""


def write(folder: Path, more: str = "", period: str = "daily") -> Path:
    file = folder / "omniroute.yaml"
    file.write_text(CONFIG.format(data=folder / "data", a="a" * 64, b="b" * 64, more=more, period=period))
    return file


def spend(folder: Path, *costs: tuple[str, str, float]) -> None:
    """Rows of keys, with what they cost and how many days ago."""
    ledger = SqliteLedger(folder / "data" / "omniroute.sqlite", gather=0.001)
    for number, (key, cost, days) in enumerate(costs):
        started = time.time() - days * 86_400
        ledger.append(
            UsageRow(
                id=f"{int(started * 1000):012x}{number:016x}",
                started=started,
                key=key,
                operation="chat",
                format="",
                requested="",
                provider="",
                connection="",
                model="",
                status=200,
                cost=Decimal(cost),
            )
        )
    assert ledger.close()


def serving(file: Path, act: Callable[[Service], Awaitable[None]]) -> None:
    async def run() -> None:
        service = Service(file, Overrides())
        async with service.lifespan(None):  # type: ignore[arg-type]
            await act(service)

    asyncio.run(run())


def balance(service: Service, name: str) -> Balance:
    return service.state.budgets.balance(service.live.current.budgets[name], time.time())


def test_what_was_spent_before_counts_from_the_start(tmp_path: Path) -> None:
    spend(tmp_path, ("a", "1.25", 0), ("b", "2", 0), ("a", "4", 40), ("c", "8", 0), ("", "16", 0))

    async def act(service: Service) -> None:
        assert balance(service, "all").spent == Decimal("7.25")
        assert balance(service, "day").spent == Decimal("1.25")

    serving(write(tmp_path), act)


def test_a_reload_counts_the_keys_that_come_and_the_periods_that_change(tmp_path: Path) -> None:
    spend(tmp_path, ("a", "1.25", 0), ("b", "2", 0), ("a", "4", 400))

    async def act(service: Service) -> None:
        for more, period, spent in ((", day", "daily", "3.25"), ("", "daily", "1.25"), ("", "total", "5.25")):
            write(tmp_path, more, period)
            assert await service.reload() == ()
            assert balance(service, "day").spent == Decimal(spent)
            assert balance(service, "all").spent == Decimal("7.25")

    serving(write(tmp_path), act)


def test_a_ledger_that_cannot_be_read_pays_for_nothing_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "ASK_AGAIN", 0.02)
    file = tmp_path / "data" / "omniroute.sqlite"
    file.parent.mkdir()
    file.write_bytes(b"this is no database " * 1000)

    async def act(service: Service) -> None:
        assert not balance(service, "all").known
        spend(tmp_path / "mended", ("a", "1.25", 0))
        (tmp_path / "mended" / "data" / "omniroute.sqlite").replace(file)
        while not (balance(service, "all").known and balance(service, "day").known):
            await asyncio.sleep(0.01)
        assert balance(service, "all").spent == Decimal("1.25")

    serving(write(tmp_path), act)
