"""Looks at requests that are over, behind their back: a request only appends to a list, a thread does the rest.

Metrics, spans and lines are made here, some hundred at a time, so that none of their work is between a client and its
answer. The event loop and the thread share one interpreter all the same: what is done here is kept small.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from omniroute.routing.live import Live
from omniroute.routing.tables import Tracing
from omniroute.state.base import UsageRow
from omniroute.state.trace import Trace
from omniroute.telemetry import journal
from omniroute.telemetry.export import Exporter
from omniroute.telemetry.table import METRICS
from omniroute.telemetry.tally import Names, Tally

log = logging.getLogger("omniroute.telemetry")
CAPACITY = 100_000
"""Requests that wait at most."""
GATHER = 0.25
"""Seconds in which they gather."""
FLUSH = 3.0
"""Seconds that the collector of traces has for what is left at the end."""
_LABELS = {one.name: one.labels for one in METRICS}
Seen = tuple[UsageRow, Trace | None]


class Observer:
    """The `Witness` of a gateway. `exporter` is made by the first request that is traced, and anew where a reload
    changes what it is made of."""

    def __init__(self, live: Live, exporter: Callable[[Tracing], Exporter] = Exporter, gather: float = GATHER) -> None:
        self._live = live
        self._make = exporter
        self._gather = gather
        self._queue: deque[Seen] = deque()
        self._work = threading.Event()
        self._lock = threading.RLock()
        self._names = Names(live.current)
        self._exporter: tuple[Tracing, Exporter] | None = None
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self.tally = Tally()
        self.lost = 0

    def append(self, row: UsageRow, trace: Trace | None) -> None:
        if self._closed.is_set() or len(self._queue) >= CAPACITY:
            self.lost += 1
            return
        self._queue.append((row, trace))
        if not self._work.is_set():
            self._work.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
                self._thread.start()

    def look(self) -> None:
        """Looks at all that came until now, and forgets names that are gone. For any thread."""
        with self._lock:
            self._drain()
            names = self._known()
            self.tally.prune(names, _LABELS)

    def paused(self) -> threading.RLock:
        """Held, the tally stays as it is."""
        return self._lock

    def close(self) -> None:
        """Looks at what is left, and hands on what is to be handed on, within some seconds."""
        self._closed.set()
        self._work.set()
        if self._thread is not None:
            self._thread.join(FLUSH)
        with self._lock:
            self._drain()
            self._export_with(None)

    def _run(self) -> None:
        while not self._closed.is_set():
            self._work.wait()
            self._closed.wait(self._gather)
            self._work.clear()
            try:
                with self._lock:
                    self._drain()
            except Exception:
                log.exception("some requests are missing in metrics, traces and logs")

    def _known(self) -> Names:
        if self._names.gateway is not self._live.current:
            self._names = Names(self._live.current)
        return self._names

    def _drain(self) -> None:
        seen = [self._queue.popleft() for _ in range(len(self._queue))]
        if not seen:
            return
        names = self._known()
        self.tally.add([row for row, _ in seen], names)
        told = names.gateway.telemetry
        if told.log_requests:
            journal.write(row for row, _ in seen)
        self._export_with(told.tracing)
        if self._exporter is not None:
            self._exporter[1].export(_sampled(seen))

    def _export_with(self, tracing: Tracing | None) -> None:
        """From now on by this one; what the one before still has is sent first."""
        if self._exporter is not None and self._exporter[0] != tracing:
            self._exporter[1].close(FLUSH)
            self._exporter = None
        if self._exporter is None and tracing is not None:
            self._exporter = tracing, self._make(tracing)


def _sampled(seen: Sequence[Seen]) -> list[tuple[UsageRow, Trace]]:
    return [(row, trace) for row, trace in seen if trace is not None and trace.sampled]
