"""The secret of this installation that binds the rows of the audit log to one another: a file beside the database, and in
no copy of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from secrets import token_bytes, token_hex

from omniroute import private

NAME = "audit.key"
SIZE = 32


class BadKey(ValueError):
    """The file holds something else."""


def read(path: Path) -> bytes:
    """The key. Raises FileNotFoundError where there is none yet, another OSError where it cannot be read, and BadKey."""
    text = path.read_bytes().strip()
    with suppress(ValueError):
        key = bytes.fromhex(text.decode("ascii"))
        if len(key) == SIZE:
            return key
    raise BadKey(f"{path} does not hold the key of the audit log: {2 * SIZE} hexadecimal digits")


def made(path: Path) -> bytes:
    """The key, made where there is none yet; of several that make one at once, the first counts. Raises as `read`."""
    with suppress(FileNotFoundError):
        return read(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(token_bytes(SIZE).hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()
    private.sync(path.parent)
    return read(path)
