"""The name of a request, by which client, log and ledger speak of the same one."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

HEADER = b"x-request-id"
LONGEST = 128
_random = random.Random()


def new() -> str:
    """Sorts by time: 12 hex digits of milliseconds, 16 of chance."""
    return f"{time.time_ns() // 1_000_000 << 64 | _random.getrandbits(64):028x}"


def given(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The client's own id where it is fit to stand in a header and a log, else none."""
    return next((fit(value) for name, value in headers if name == HEADER), "")


def fit(value: bytes) -> str:
    """The id as text, empty where it is not fit for that."""
    text = value.decode("latin-1")
    return text if 0 < len(text) <= LONGEST and text.isascii() and text.isprintable() else ""
