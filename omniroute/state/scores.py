"""How the targets of combos have fared lately: what strategies order by that no configuration tells.

Noted at the beginning and the end of each try, under names of the configuration; a nested combo is a step with a score
of its own, as a target is.  Names are few, and there is a bound on them all the same: those that came first go first.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

WEIGHT = 0.3
"""Of the newest measurement in an average: about the last six count."""
HALF_LIFE = 600.0
"""Seconds after which a use counts half, so that a target that is new, or was away, is not asked until it has caught up."""
STALE = 600.0
"""Seconds after which a measurement says nothing any more."""
MOST_NAMES = 4096
MOST_HEDGES = 10.0
"""Hedges that may be saved up: what a quiet hour has not used is no leave to double the load of a bad minute."""


class Score(msgspec.Struct, frozen=True):
    """What is known of a step. `latency` is seconds to the first content of a stream, or to the end of a whole answer,
    and None where none was measured lately; `success` is the share of good ends lately, 1 where nothing is known;
    `uses` counts the tries of its combo, old ones less."""

    latency: float | None = None
    success: float = 1.0
    in_flight: int = 0
    uses: float = 0.0


class Scores(Protocol):
    """The record of steps of combos. A try that `began` has `ended`, once, however it ends."""

    def began(self, combo: str, step: str, now: float) -> None: ...

    def ended(self, combo: str, step: str, now: float, *, good: bool | None, seconds: float, stream: bool) -> None:
        """`good` is None for a try without a verdict, such as one whose client left."""
        ...

    def score(self, combo: str, step: str, now: float, *, stream: bool) -> Score: ...

    def last_good(self, combo: str) -> str | None:
        """The step that answered last."""
        ...

    def earn(self, combo: str, share: float) -> None:
        """A request that might hedge: it earns its share of a hedge."""
        ...

    def may_hedge(self, combo: str) -> bool:
        """Takes the leave to hedge once, if enough requests have earned it."""
        ...


class _Record(msgspec.Struct):
    in_flight: int = 0
    success: float = 1.0
    whole: float | None = None
    streamed: float | None = None
    noted: float = 0.0


class _Uses(msgspec.Struct):
    count: float = 0.0
    at: float = 0.0

    def lately(self, now: float) -> float:
        return float(self.count * 0.5 ** ((now - self.at) / HALF_LIFE))


class MemoryScores:
    """A `Scores` that begins anew with the process."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}
        self._uses: dict[tuple[str, str], _Uses] = {}
        self._good: dict[str, str] = {}
        self._earned: dict[str, float] = {}

    def began(self, combo: str, step: str, now: float) -> None:
        record = self._records.get(step)
        if record is None:
            _make_room(self._records)
            record = self._records[step] = _Record()
        record.in_flight += 1
        uses = self._uses.get((combo, step))
        if uses is None:
            _make_room(self._uses)
            uses = self._uses[combo, step] = _Uses()
        uses.count = uses.lately(now) + 1
        uses.at = now

    def ended(self, combo: str, step: str, now: float, *, good: bool | None, seconds: float, stream: bool) -> None:
        record = self._records.get(step)
        if record is None:  # it had to make room meanwhile
            return
        record.in_flight = max(record.in_flight - 1, 0)
        if good is None:
            return
        if now - record.noted > STALE:
            record.success, record.whole, record.streamed = 1.0, None, None
        record.noted = now
        record.success += WEIGHT * (good - record.success)
        if not good:
            return
        if stream:
            record.streamed = _average(record.streamed, seconds)
        else:
            record.whole = _average(record.whole, seconds)
        if combo not in self._good:
            _make_room(self._good)
        self._good[combo] = step

    def score(self, combo: str, step: str, now: float, *, stream: bool) -> Score:
        uses = self._uses.get((combo, step))
        lately = 0.0 if uses is None else uses.lately(now)
        record = self._records.get(step)
        if record is None:
            return Score(uses=lately)
        if now - record.noted > STALE:
            return Score(in_flight=record.in_flight, uses=lately)
        latency = record.streamed if stream else record.whole
        return Score(latency, record.success, record.in_flight, lately)

    def last_good(self, combo: str) -> str | None:
        return self._good.get(combo)

    def earn(self, combo: str, share: float) -> None:
        if combo not in self._earned:
            _make_room(self._earned)
        self._earned[combo] = min(self._earned.get(combo, 0.0) + share, MOST_HEDGES)

    def may_hedge(self, combo: str) -> bool:
        earned = self._earned.get(combo, 0.0)
        if earned < 1 - 1e-9:  # twenty times 0.05 is a little less than 1
            return False
        self._earned[combo] = earned - 1
        return True


def _average(before: float | None, seconds: float) -> float:
    return seconds if before is None else before + WEIGHT * (seconds - before)


def _make_room(kept: dict[Any, Any]) -> None:
    while len(kept) >= MOST_NAMES:
        del kept[next(iter(kept))]
