"""The running snapshot, and why the last attempt to replace it failed."""

from __future__ import annotations

from collections.abc import Sequence

from omniroute.errors import Problem
from omniroute.routing.tables import Gateway


class Live:
    """Holds the current `Gateway`. Reading takes no lock: a swap is one assignment, and who has read before it keeps
    what it read. `problems` are those of the last attempt, empty where it went well, and `refused_at` the time
    (UNIX) of the first of the attempts in a row that failed, `succeeded_at` of the last that did not. `reloads` counts them by
    what came of them."""

    def __init__(self, gateway: Gateway) -> None:
        self.current = gateway
        self.problems: tuple[Problem, ...] = ()
        self.last_attempt = gateway.revision.loaded_at
        self.refused_at: float | None = None
        self.succeeded_at = gateway.revision.loaded_at
        self.reloads = {"changed": 0, "unchanged": 0, "refused": 0}

    def swap(self, gateway: Gateway) -> None:
        """From the next request on, this one. It cannot fail: everything that can has happened."""
        self.current = gateway
        self.reloads["changed"] += 1
        self._well(gateway.revision.loaded_at)

    def confirm(self, when: float) -> None:
        """The files are what runs already."""
        self.reloads["unchanged"] += 1
        self._well(when)

    def _well(self, when: float) -> None:
        self.succeeded_at = when
        self.problems = ()
        self.last_attempt = when
        self.refused_at = None

    def refuse(self, problems: Sequence[Problem], when: float) -> None:
        """The files do not make a gateway; the current one stays."""
        self.reloads["refused"] += 1
        if self.refused_at is None:
            self.refused_at = when
        self.problems = tuple(problems)
        self.last_attempt = when
