"""Which answer was given to something that means nearly the same: vectors of what was asked, in memory.

Vectors are compared within one partition only, whose name is a digest of the caller and of everything else in the
request: a likeness across callers cannot be found, because it is not looked for. numpy does the comparing: a thousand
vectors of 1536 numbers in 50 µs, where plain Python takes 90 ms. It takes 0.1 s to import and only this needs it, so
`load` does that, when a configuration that compares is compiled.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from omniroute.state.base import Keeping


def load() -> Any:
    """numpy, imported at the first call."""
    import numpy as np  # noqa: PLC0415 - see above

    return np


class Likeness(Protocol):
    """Vectors and the keys of the answers to what they stand for."""

    def nearest(self, partition: bytes, vector: Sequence[float], now: float) -> tuple[bytes, float] | None:
        """The key of the nearest in the partition and its cosine, -1 to 1; None where there is none to compare with."""
        ...

    def put(self, partition: bytes, vector: Sequence[float], key: bytes, now: float, keeping: Keeping) -> None:
        """Keep it, and let go of the oldest where that is more than may be kept."""
        ...

    def forget(self, key: bytes) -> None:
        """The answer is no longer there."""
        ...


class MemoryLikeness:
    """Bounded in number, bytes and time; the oldest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[bytes, array[float], float]] = OrderedDict()  # the oldest first
        self._partitions: dict[bytes, dict[bytes, array[float]]] = {}
        self._tables: dict[bytes, tuple[tuple[bytes, ...], Any]] = {}
        """A partition's keys and vectors as numpy compares them, made when they are first asked for."""
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def nearest(self, partition: bytes, vector: Sequence[float], now: float) -> tuple[bytes, float] | None:
        self._expire(now)
        unit = _unit(vector)
        held = self._partitions.get(partition)
        if unit is None or held is None:
            return None
        keys, table = self._table(partition, held)
        if table.shape[1] != len(unit):  # the model of the embeddings is another one now
            return None
        cosines = table @ load().frombuffer(unit, dtype="f4")
        best = int(cosines.argmax())
        return keys[best], float(cosines[best])

    def put(self, partition: bytes, vector: Sequence[float], key: bytes, now: float, keeping: Keeping) -> None:
        self.forget(key)
        unit = _unit(vector)
        if unit is None:
            return
        held = self._partitions.setdefault(partition, {})
        if held and len(next(iter(held.values()))) != len(unit):
            for old in tuple(held):
                self.forget(old)
            held = self._partitions.setdefault(partition, {})
        held[key] = unit
        self._tables.pop(partition, None)
        self._kept[key] = partition, unit, now + keeping.ttl
        self.bytes += _size(unit)
        while len(self._kept) > keeping.entries or self.bytes > keeping.bytes:
            self.forget(next(iter(self._kept)))
        self._expire(now)

    def forget(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        partition, unit, _ = kept
        self.bytes -= _size(unit)
        held = self._partitions[partition]
        del held[key]
        self._tables.pop(partition, None)
        if not held:
            del self._partitions[partition]

    def _expire(self, now: float) -> None:
        while self._kept:
            key, (_, _, ends) = next(iter(self._kept.items()))
            if now < ends:
                return
            self.forget(key)

    def _table(self, partition: bytes, held: dict[bytes, array[float]]) -> tuple[tuple[bytes, ...], Any]:
        table = self._tables.get(partition)
        if table is None:
            numpy = load()
            rows = numpy.frombuffer(b"".join(held.values()), dtype="f4").reshape(len(held), -1)
            table = self._tables[partition] = tuple(held), rows
        return table


def _unit(vector: Sequence[float]) -> array[float] | None:
    """The vector with the length 1, in four bytes a number; None where it has no direction."""
    numpy = load()
    given = numpy.asarray(vector, dtype="f4")
    length = float(numpy.linalg.norm(given)) if given.ndim == 1 and given.size else 0.0
    if not 0.0 < length < float("inf"):
        return None
    return array("f", (given / length).astype("f4").tobytes())


def _size(unit: array[float]) -> int:
    return len(unit) * unit.itemsize
