"""Every fault of a provider, on all surfaces, from all formats, whole and streamed, alone and in a combo: one gateway, a
cell for each combination, and each has the outcome that `docs/faults.md` prints."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from relay.faults import FAULTS, FORMATS, IDLE, TOTAL, Fault, Scene
from support import legal, speech
from support.gateway import Gateway, free_port
from support.providers import VOICES, provider_of
from support.upstream import Asked, Script, Upstream, events, whole

DOCS = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
KEY = "sk-or-an-administrator-who-only-reads"
TYPES = {
    "openai": "openai-compatible",
    "anthropic": "anthropic-compatible",
    "responses": "openai-compatible, formats: [openai_responses]",
    "gemini": "gemini-compatible",
    "ollama": "ollama-compatible",
}
POSITIONS = ("only", "first", "middle", "last")
BEHIND = ("middle", "last")
"""Where a target that cannot be reached stands before it."""
ALL = ("openai", "anthropic")
"""Between these every position is tried; of the other pairs each has its turn."""
AT_ONCE = 24
COOLING = {"rate_limited", "overloaded", "auth", "quota"}
MOST_TOKENS = 2**53


@dataclass
class Cell:
    """One combination, and what became of it."""

    fault: Fault
    surface: str
    form: str
    stream: bool
    position: str
    number: int
    hold: Future[None] = field(default_factory=Future)
    asked: list[Asked] = field(default_factory=list)
    status: int = 0
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytes = b""

    @property
    def combo(self) -> str:
        return f"combo{self.number}"

    @property
    def connection(self) -> str:
        return f"p{self.number}.main"

    @property
    def label(self) -> str:
        how = "stream" if self.stream else "whole"
        return f"{self.fault.name}: {self.form} to {self.surface}, {how}, {self.position}"

    @property
    def kind(self) -> str:
        return self.fault.outcome(stream=self.stream)

    @property
    def saved(self) -> bool:
        """Whether the next target makes it good."""
        late = self.stream and self.fault.when == "event"  # for then the client has seen something
        return self.position in ("first", "middle") and self.kind not in ("success", "invalid") and not late

    @property
    def by_event(self) -> bool:
        """Whether the failure is told within a stream."""
        if not self.stream or self.saved or self.kind == "success":
            return False
        return self.fault.when == "event" or (self.fault.when == "late" and self.status == 200)


def _cells() -> list[Cell]:
    combinations = product(FAULTS, FORMATS, FORMATS, (False, True))
    chosen = [
        (fault, surface, form, stream, position)
        for number, (fault, surface, form, stream) in enumerate(combinations)
        if stream in fault.streams and form in fault.forms
        for position in (POSITIONS if {surface, form} <= {*ALL} else (POSITIONS[number // 2 % len(POSITIONS)],))
    ]
    return [Cell(*cell, number) for number, cell in enumerate(chosen)]


def _config(cells: list[Cell], upstream: Upstream) -> str:
    closed = f"http://127.0.0.1:{free_port()}"
    secure = upstream.url.replace("http", "https")
    timeouts = f"timeouts: {{connect: 2s, first_byte: {IDLE}s, idle: {IDLE}s, total: {TOTAL}s}}"
    lines = [
        "version: 1",
        "server: {data_dir: '{data_dir}'}",
        "keys:",
        f"  admin: {{digest: 'sha256:{hashlib.sha256(KEY.encode()).hexdigest()}', roles: [admin.read]}}",
        "resilience: {profiles: {api_key: {failure_threshold: 1000000, cooldown: 5m, max_cooldown: 5m}}}",
        "providers:",
        f"  good: {{type: openai-compatible, base_url: '{upstream.url}/good', connections: {{main: {{}}}}, models: {{m: {{}}}}}}",
        f"  down: {{type: openai-compatible, base_url: '{closed}', connections: {{main: {{}}}}, models: {{m: {{}}}}}}",
    ]
    for cell in cells:
        base = {"": upstream.url, "closed": closed, "tls": secure}[cell.fault.address]
        lines.append(
            f"  p{cell.number}: {{type: {TYPES[cell.form]}, base_url: '{base}/{cell.number}', "
            f"connections: {{main: {{}}}}, {timeouts}}}"
        )
    lines.append("combos:")
    for cell in cells:
        own = f"p{cell.number}/m"
        targets = [
            *(["down/m"] * (cell.position in BEHIND)),
            own,
            *(["good/m"] * (cell.position in ("first", "middle"))),
        ]
        lines.append(f"  {cell.combo}: {{targets: [{', '.join(targets)}]}}")
    return "\n".join(lines) + "\n"


def _script(cells: list[Cell]) -> Any:
    def script(asked: Asked) -> Script:
        where = asked.path.split("/")[1]
        stream = VOICES[provider_of(asked)].wants_stream(asked)
        if where == "good":
            return events(*speech.streamed("openai")) if stream else whole(speech.whole("openai"))
        cell = cells[int(where)]
        cell.asked.append(asked)
        return cell.fault.script(Scene(cell.form, stream, cell.hold))

    return script


async def _call(client: httpx.AsyncClient, turn: asyncio.Semaphore, cell: Cell) -> None:
    path, body = speech.request(cell.surface, cell.combo, stream=cell.stream)
    async with turn, client.stream("POST", path, json=body) as answer:
        cell.status, cell.headers = answer.status_code, answer.headers
        async for piece in answer.aiter_raw():
            cell.body += piece
            if piece and not cell.hold.done():
                cell.hold.set_result(None)


async def _call_all(url: str, cells: list[Cell]) -> None:
    turn = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
        await asyncio.gather(*(_call(client, turn, cell) for cell in cells))


@dataclass
class Matrix:
    """The cells after the run, and what the gateway knows of them."""

    cells: list[Cell]
    health: dict[str, Any]
    rows: list[dict[str, Any]]
    busy: int
    log: str


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    cells = _cells()
    with Upstream(_script(cells)) as upstream, Gateway(_config(cells, upstream)) as gateway:
        asyncio.run(_call_all(gateway.url, cells))
        headers = {"authorization": f"Bearer {KEY}"}
        told = httpx.get(f"{gateway.url}/api/monitoring/health", headers=headers, trust_env=False).json()
        rows = gateway.rows(expected=len(cells))
        deadline = time.monotonic() + 3
        while upstream.busy and time.monotonic() < deadline:
            time.sleep(0.02)
        return Matrix(cells, told["providerHealth"], rows, upstream.busy, gateway.said())


def _each(matrix: Matrix, check: Any, *, only: Any = lambda cell: True) -> None:
    """Checks each cell, and tells of all that fail at once."""
    wrong = []
    count = 0
    for cell in filter(only, matrix.cells):
        count += 1
        try:
            check(cell)
        except (AssertionError, LookupError, ValueError) as error:
            seen = f"{cell.status} {cell.body[:300]!r}"
            wrong.append(f"{cell.label}: {type(error).__name__}: {str(error)[:300]}\n    {seen}")
    assert count
    assert not wrong, f"{len(wrong)} of {count} cells\n" + "\n".join(wrong[:30])


def test_every_cell_has_a_legal_answer_with_its_documented_status(matrix):
    def check(cell: Cell) -> None:
        good = cell.saved or cell.kind == "success"
        assert cell.status == (200 if good or cell.by_event else cell.fault.status)
        if cell.status != 200:
            error = legal.refusal(cell.surface, cell.body)
            assert f"[p{cell.number}]" in error["message"]
            return
        told = (legal.stream if cell.stream else legal.answer)(cell.surface, cell.body)
        assert (told.error is not None) == cell.by_event
        if good:
            assert told.finish in ("stop", "end_turn", "completed", "STOP")
            assert cell.fault.text is None or told.text == (speech.TEXT if cell.saved else cell.fault.text)
        elif cell.fault.when == "event":
            assert told.text.startswith("H")
            assert f"[p{cell.number}]" in told.error["message"]

    _each(matrix, check)


def test_no_answer_names_another_model_than_the_one_asked_for(matrix):
    def check(cell: Cell) -> None:
        told = (legal.stream if cell.stream else legal.answer)(cell.surface, cell.body)
        assert told.model == cell.combo

    _each(matrix, check, only=lambda cell: cell.status == 200 and not cell.by_event)


def test_every_cell_tries_as_often_as_it_may_and_no_more(matrix):
    def check(cell: Cell) -> None:
        tries = 1 + cell.saved + (cell.position in BEHIND)
        assert int(cell.headers["x-omniroute-attempts"]) == tries
        # A kept connection that closes without a byte is tried once more, on a new one.
        most = 2 if cell.fault.name == "reset-first" else 1
        assert len(cell.asked) <= most
        assert cell.asked or cell.fault.address

    _each(matrix, check)


def test_retry_after_is_passed_on(matrix):
    def check(cell: Cell) -> None:
        told = cell.headers.get("retry-after")
        assert told == (None if cell.saved or cell.fault.retry_after is None else str(cell.fault.retry_after))

    _each(matrix, check)


def test_health_hears_of_the_provider_s_failures_and_of_nothing_else(matrix):
    def check(cell: Cell) -> None:
        health = matrix.health[cell.connection]
        if cell.kind in ("success", "invalid"):
            assert (health["failures"], health["available"], health["state"]) == (0, True, "closed")
            return
        assert (health["failures"], health["kind"]) == (1, cell.kind)
        assert health["available"] == (cell.kind not in COOLING)
        assert (health["state"] == "open") == (cell.kind in ("auth", "quota"))

    _each(matrix, check)
    assert matrix.health["good.main"]["failures"] == 0


def test_every_request_has_one_row_with_its_attempts(matrix):
    assert Counter(row["requested"] for row in matrix.rows) == Counter(cell.combo for cell in matrix.cells)
    rows = {row["requested"]: row for row in matrix.rows}

    def check(cell: Cell) -> None:
        row = rows[cell.combo]
        expected = [("down.main", "connect")] if cell.position in BEHIND else []
        expected.append((cell.connection, cell.kind))
        expected += [("good.main", "success")] if cell.saved else []
        assert [(one["connection"], one["outcome"]) for one in json.loads(row["attempts"])] == expected
        assert row["status"] == cell.status
        assert row["connection"] == expected[-1][0]
        assert bool(row["error"]) == (expected[-1][1] != "success")
        assert bool(row["stream"]) == cell.stream
        assert all(0 <= row[name] <= MOST_TOKENS for name in ("input", "output", "cached", "reasoning"))
        if cell.status == 200 and not cell.by_event and not cell.fault.name.startswith("usage"):
            assert (row["input"], row["output"]) == (3, 2)

    _each(matrix, check)


def test_no_upstream_connection_is_left_at_work(matrix):
    assert matrix.busy == 0


def test_the_gateway_itself_never_failed(matrix):
    assert "Traceback" not in matrix.log


HEALTH = {
    "success": "untouched",
    "invalid": "untouched: the request is at fault",
    "auth": "circuit open, probed after the pause",
    "quota": "circuit open, probed after the pause",
    "rate_limited": "cools down",
    "overloaded": "cools down",
}
PROSE = """\
# What becomes of a provider's faults

Each row is a fault that `tests/relay/test_fault_matrix.py` makes a scripted provider commit on a real socket, {cells}
cells in all: on all client surfaces, from all upstream formats that can commit it, whole and streamed, as the only target
of a combo, as the first, in the middle or as the last. This page is written from the same table that the test checks.

- **Kind** is what the fault counts as. It alone decides about fallback and health.
- **Told** is the status that a caller sees when nothing is left to try; the body is an error in the caller's own format.
- **Streamed** says how a stream tells it. *status*: nothing was sent yet, so it is the same status. *event*: content was
  sent, so the stream ends with the error event of the caller's format, and no other target is tried. *late*: something
  was sent only where nothing was left to try; a target that is not the last is replaced. *answer*: the answer is good.
- **Next** says whether the next target of a combo is tried.
- **Health** says what the connection's health hears. A failure that only counts opens the circuit when there have been
  `failure_threshold` of them in a row; one that cools down also pauses the connection at once, and longer each time.

Every request has exactly one row in the ledger, which lists its attempts. A provider's `Retry-After` reaches the caller.
A call that a provider has left hanging is dropped at its deadline, and its connection closed.

| Fault | | Kind | Told | Streamed | Next | Health |
|---|---|---|---|---|---|---|
{rows}

`crossed` is left out by a translation; to a client of the same format it is handed on as it came, as everything is.
Counts of tokens beyond 2^53 or below nothing are cut to these limits in the ledger, in prices and in translations.
"""


def _row(fault: Fault) -> str:
    kind = fault.kind if not fault.stream_kind else f"{fault.kind}; streamed {fault.stream_kind}"
    told = "200" if fault.kind == "success" else str(fault.status)
    failed = "yes; streamed no" if fault.when == "event" else "yes"
    following = {"success": "not needed", "invalid": "no"}.get(fault.kind, failed)
    health = HEALTH.get(fault.kind, "counts")
    return f"| `{fault.name}` | {fault.what} | {kind} | {told} | {fault.when} | {following} | {health} |"


def test_the_documentation_prints_this_table(golden):
    rows = "\n".join(map(_row, FAULTS))
    golden(DOCS, PROSE.format(cells=len(_cells()), rows=rows))
