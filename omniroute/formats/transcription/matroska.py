"""How long a WebM file is: just enough of Matroska (RFC 9559) to read that, because no kept pure library does.

A finished file says so in its `Info`. What a browser records says nothing there, because it is written as it is heard:
then the last block of the last cluster tells when it begins, which is a fraction of a second before the end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

SEGMENT, INFO, SCALE, DURATION = 0x18538067, 0x1549A966, 0x2AD7B1, 0x4489
CLUSTER, TIMESTAMP, SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = 0x1F43B675, 0xE7, 0xA3, 0xA0, 0xA1
USUAL_SCALE = 1_000_000
"""Nanoseconds of a tick, where the file does not say."""
MOST_ELEMENTS = 4096
"""That are looked at in one go: the head of a file has some tens, a cluster of a few seconds some hundreds."""
MOST_CLUSTERS = 16
"""Places that are tried from the end, for four bytes of sound may look like the beginning of a cluster."""


def duration(data: bytes) -> float | None:
    """Seconds, or None."""
    scale = USUAL_SCALE
    for ident, at, end in _elements(data, 0, len(data), enter=(SEGMENT, INFO)):
        if ident == SCALE and end - at <= 8:
            scale = int.from_bytes(data[at:end]) or USUAL_SCALE
        elif ident == DURATION:
            ticks = _float(data[at:end])
            if ticks is not None:
                return ticks * scale / 1e9
        elif ident == CLUSTER:
            break
    ticks = _last_block(data)
    return None if ticks is None else ticks * scale / 1e9


def _float(raw: bytes) -> float | None:
    if len(raw) not in (4, 8):
        return None
    value: float = struct.unpack(">f" if len(raw) == 4 else ">d", raw)[0]
    return value if 0 < value < 1e15 else None


def _last_block(data: bytes) -> int | None:
    """When the last block begins, in ticks."""
    mark = CLUSTER.to_bytes(4)
    at = len(data)
    for _ in range(MOST_CLUSTERS):
        at = data.rfind(mark, 0, at)
        if at < 0:
            break
        ticks = _cluster(data, at)
        if ticks is not None:
            return ticks
    return None


def _cluster(data: bytes, at: int) -> int | None:
    start: int | None = None
    last: int | None = None
    for ident, begin, end in _elements(data, at, len(data), enter=(CLUSTER, BLOCK_GROUP)):
        if ident == TIMESTAMP and start is None and end - begin <= 8:
            start = last = int.from_bytes(data[begin:end])
        elif ident in (SIMPLE_BLOCK, BLOCK) and start is not None:
            _, _, after = _number(data, begin, keep=False)  # the track
            last = max(last or 0, start + int.from_bytes(data[after : after + 2], signed=True))
    return last


def _elements(data: bytes, at: int, end: int, enter: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """The elements from `at` on: id, begin and end of what is in them. Those to `enter` are given, and then what is in
    them; one of unknown size goes on to the end."""
    for _ in range(MOST_ELEMENTS):
        ident, _, begin = _number(data, at, keep=True)
        size, unknown, begin = _number(data, begin, keep=False)
        if begin > end or not ident:
            return
        stop = end if unknown else min(begin + size, end)
        yield ident, begin, stop
        at = begin if ident in enter else stop
        if at >= end:
            return


def _number(data: bytes, at: int, *, keep: bool) -> tuple[int, bool, int]:
    """A number of variable length, whether it is the one that means unknown, and where it ends. `keep` is for ids, to
    which the bits that tell the length belong."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    if length > 8 or at + length > len(data):
        return 0, False, len(data) + 1
    value = int.from_bytes(data[at : at + length])
    bare = value & ((1 << 7 * length) - 1)
    return (value if keep else bare), bare == (1 << 7 * length) - 1, at + length
