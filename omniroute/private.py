"""Files of the run-time data that nobody else may read, written at once and whole.

Whoever reads such a file finds the old content or the new one, also after a crash, and never half of it.
"""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_hex

MODE = 0o600


def write(path: Path, content: bytes, mode: int = MODE) -> None:
    """Puts the content in the place of what is there. Raises OSError, and then nothing has changed."""
    fresh = path.with_name(f".{path.name}.{token_hex(8)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(directory: Path) -> None:
    """Has the names in it survive a crash, as their contents do."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
