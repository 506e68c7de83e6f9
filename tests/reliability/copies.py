"""What copying and exchanging a large history takes, and how long it holds the event loop of the process that does it.

    python tests/reliability/copies.py [ROWS]

The rows are written to a directory of its own, which is gone at the end.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from omniroute.state.base import Attempt, UsageRow
from omniroute.state.copies import check, copy, exchange, rebuild
from omniroute.state.sqlite import SqliteLedger

AT_ONCE = 20_000


def row(number: int) -> UsageRow:
    return UsageRow(
        id=f"{number:028x}",
        request_id=f"{number:032x}",
        started=1.5 + number,
        key="team-a",
        operation="chat",
        format="openai_chat",
        requested="coding",
        provider="openai",
        connection="openai.team",
        model="gpt-5.4",
        status=200,
        cost=Decimal("0.00512"),
        attempts=(Attempt("openai/gpt-5.4", "openai.team", "success", 200, 812.2),),
        revision="0123456789ab",
    )


def fill(path: Path, count: int) -> None:
    book = SqliteLedger(path, gather=0.001)
    for start in range(0, count, AT_ONCE):
        for number in range(start, min(start + AT_ONCE, count)):
            book.append(row(number))
        assert book.flush(60)
    assert book.close()


async def held(work: Callable[[], object]) -> float:
    """Seconds that the loop was late at the most, while a thread worked."""
    worst, task = 0.0, asyncio.create_task(asyncio.to_thread(work))
    while not task.done():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        worst = max(worst, time.perf_counter() - began - 0.001)
    await task
    return worst


def measure(name: str, work: Callable[[], object]) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    worst = asyncio.run(held(work))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    took, used = time.perf_counter() - began, time.process_time() - cpu
    print(f"{name:<10} {took:6.1f} s, {used:6.1f} s of CPU, loop held {worst * 1000:3.0f} ms, peak {peak} MiB")


def run(count: int = 1_000_000) -> None:
    with tempfile.TemporaryDirectory(prefix="omniroute-copies-") as folder:
        path = Path(folder) / "omniroute.sqlite"
        fill(path, count)
        print(f"{count:,} rows, {path.stat().st_size >> 20} MiB")
        backup, fresh = path.with_name("backup.sqlite"), path.with_name("fresh.sqlite")
        measure("check", lambda: check(path))
        measure("backup", lambda: copy(path, backup))
        measure("restore", lambda: rebuild(backup, fresh, ours=True))
        measure("exchange", lambda: exchange(path, fresh, path.with_name("before.sqlite")))
        measure("import", lambda: rebuild(backup, fresh, ours=False))


if __name__ == "__main__":
    run(*map(int, sys.argv[1:]))
