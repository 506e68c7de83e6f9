"""Whether what runs is what the files say, and whether the files are what was reviewed.

A gateway is one process today, so there is one worker; what is told of it is a row, and a second would be a second row.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from omniroute.errors import Problem
from omniroute.routing.live import Live
from omniroute.services.drafts import Drafts

if TYPE_CHECKING:
    from omniroute.upstream.checkout import Checkout  # which loads what reads git

Standing = Literal["synced", "drifted", "failed"]


class Worker(msgspec.Struct, frozen=True):
    """What one process runs."""

    pid: int
    revision: str
    digest: str
    generation: int
    loaded_at: float


class Drift(msgspec.Struct, frozen=True):
    """`desired` is the digest of the files on disk, None where they make no gateway; `failed` says that, and `drifted`
    that a worker runs another one. `since` is when that began, as far as it can be known."""

    status: Standing
    since: float
    desired: str | None
    workers: tuple[Worker, ...]
    problems: tuple[Problem, ...]
    checkout: Checkout | None


def look(live: Live, drafts: Drafts, checkout: Callable[[], Checkout | None]) -> Drift:
    """How it stands now. Reads the files: call it from a thread."""
    running = live.current.revision
    desired, problems, files = drafts.on_disk()
    status: Standing = "synced"
    since = running.loaded_at
    if desired is None:
        status, since = "failed", live.refused_at or newest(files) or live.last_attempt
    elif desired != running.digest:
        status, since = "drifted", newest(files) or live.last_attempt
    elif live.problems:  # not of the files: a secret that was not there, say
        status, since, problems = "failed", live.refused_at or live.last_attempt, live.problems
    worker = Worker(os.getpid(), running.label, running.digest, running.generation, running.loaded_at)
    return Drift(status, since, desired, (worker,), problems, checkout())


def newest(files: tuple[Path, ...]) -> float:
    """When one of these files was changed last; 0 where there is none."""
    times = []
    for file in files:
        try:
            times.append(file.stat().st_mtime)
        except OSError:
            continue  # who deletes a file leaves no time
    return max(times, default=0.0)
