"""What was done to the gateway, by whom: rows that follow from one another.

Each row carries a digest over itself and the digest of the row before, keyed with a secret of this installation, so
that whoever changes, leaves out or inserts one would have to know the secret to make the chain fit again.  Nothing here
ever changes a row.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from secrets import token_bytes
from typing import Any, Literal, Protocol

import msgspec

Via = Literal["session", "key", "loopback", "file", "process"]
"""How an actor was known: by a login, a key, the loopback without a login; or what changed by itself."""
Outcome = Literal["done", "refused", "failed"]
FIRST = b"\0" * 32
"""Stands for the digest of the row before the first."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written down: `actor` is a key's name or `session`, `action` a noun and a verb (`combos.update`),
    `target` what it was done to, `diff` how the files changed, secrets masked, `detail` anything else that is told."""

    at: float
    actor: str
    via: Via
    action: str
    target: str = ""
    outcome: Outcome = "done"
    request_id: str = ""
    revision: str = ""
    diff: str = ""
    detail: dict[str, str] = {}


class Row(msgspec.Struct, frozen=True):
    """An entry in its place; `digest` is over it and the row before."""

    number: int
    entry: Entry
    digest: bytes


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows: the newest first, `offset` of them left out. An `action` that ends with `.` means all that begin so;
    times are UNIX seconds."""

    limit: int = 100
    offset: int = 0
    actor: str = ""
    action: str = ""
    since: float = 0.0
    until: float = float("inf")


class Verdict(msgspec.Struct, frozen=True):
    """Whether the chain holds; `broken_at` is the number of the first row that does not fit."""

    ok: bool
    rows: int
    broken_at: int | None = None
    reason: str = ""


class Audit(Protocol):
    """The log. All of it may block: call it from a thread."""

    def append(self, entry: Entry) -> None:
        """Write it down. Never fails: what the disk does not take waits in memory, and `health` says so."""
        ...

    def page(self, wanted: Wanted) -> tuple[Sequence[Row], int]:
        """The rows, and how many there are in all. Raises Unavailable where they cannot be read."""
        ...

    def verify(self) -> Verdict: ...

    def health(self) -> str:
        """Why entries do not reach the disk, or what `verify` has last found; empty where all is well."""
        ...

    def close(self, timeout: float = 5.0) -> bool:
        """Write down what is owed, and stop. False where that could not be done."""
        ...


_encoder = msgspec.json.Encoder(order="deterministic")


def written(entry: Entry) -> bytes:
    """The entry as it is kept, and as its digest is made of it: bytes stay what they are, whatever fields come later."""
    try:
        return _encoder.encode(entry)
    except UnicodeEncodeError:  # a name from outside may hold halves of characters, which no text can
        whole = {name: _whole(value) for name, value in msgspec.structs.asdict(entry).items()}
        return _encoder.encode(msgspec.structs.replace(entry, **whole))


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {_whole(name): _whole(one) for name, one in value.items()}
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def digest(key: bytes, before: bytes, number: int, entry: bytes) -> bytes:
    """What binds a row to the one before it; the entry as it is `written`."""
    return hmac.digest(key, b"%s%d\0%s" % (before, number, entry), "sha256")


def seal(key: bytes, number: int, last: bytes) -> bytes:
    """What says that a row is the last one: without it, rows could be cut off at the end."""
    return hmac.digest(key, b"head%d\0%s" % (number, last), "sha256")


def fits(entry: Entry, wanted: Wanted) -> bool:
    """Whether an entry is among those that are wanted."""
    action = entry.action.startswith(wanted.action) if wanted.action.endswith(".") else entry.action == wanted.action
    return (
        (not wanted.actor or entry.actor == wanted.actor)
        and (not wanted.action or action)
        and wanted.since <= entry.at < wanted.until
    )


class MemoryAudit:
    """A list, for tests and scenarios."""

    def __init__(self) -> None:
        self._key = token_bytes(32)
        self._rows: list[Row] = []

    def append(self, entry: Entry) -> None:
        number = len(self._rows) + 1
        before = self._rows[-1].digest if self._rows else FIRST
        self._rows.append(Row(number, entry, digest(self._key, before, number, written(entry))))

    def page(self, wanted: Wanted) -> tuple[Sequence[Row], int]:
        found = [row for row in reversed(self._rows) if fits(row.entry, wanted)]
        return found[wanted.offset : wanted.offset + wanted.limit], len(found)

    def verify(self) -> Verdict:
        before = FIRST
        for number, row in enumerate(self._rows, 1):
            if row.number != number or row.digest != digest(self._key, before, number, written(row.entry)):
                return Verdict(ok=False, rows=len(self._rows), broken_at=number, reason="the digest does not fit")
            before = row.digest
        return Verdict(ok=True, rows=len(self._rows))

    def health(self) -> str:
        return ""

    def close(self, timeout: float = 5.0) -> bool:  # noqa: ARG002 - nothing here ever waits
        return True
