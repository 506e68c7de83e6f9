"""Where a request stands in a trace that may have begun elsewhere: W3C Trace Context, `traceparent` only.

Spans are made when the request is over, from its record. On its way a request only needs the numbers that it hands on:
those of its own span are made when it comes, and those of an attempt follow from them, so that nothing has to be kept.
https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import random
import re
from hashlib import blake2b

import msgspec

HEADER = b"traceparent"
_parent = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MASK = (1 << 64) - 1
_SAMPLED = 1
_numbers = random.SystemRandom()


class Trace(msgspec.Struct, frozen=True, gc=False):
    """The numbers of a request's own span. `parent` is the caller's span, 0 where there is none; one that is not
    `sampled` is handed on and not told."""

    trace: int
    span: int
    parent: int
    sampled: bool


def begin(header: bytes | None, ratio: float) -> Trace:
    """Goes on with the caller's trace, whose word counts on whether it is told; else begins one, of which the share
    `ratio` is told, chosen by its number as OpenTelemetry's TraceIdRatioBased does."""
    span = _numbers.getrandbits(64) or 1
    parent = None if header is None else parse(header)
    if parent is not None:
        trace, caller, sampled = parent
        return Trace(trace, span, caller, sampled)
    trace = _numbers.getrandbits(128) or 1
    return Trace(trace, span, 0, (trace & _MASK) < round(ratio * (_MASK + 1)))


def parse(header: bytes) -> tuple[int, int, bool] | None:
    """The trace, the caller's span and whether it is sampled; None for what is no `traceparent`, which is passed over."""
    match = _parent.fullmatch(header)
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    numbers = int(trace, 16), int(span, 16)
    return (*numbers, bool(int(flags, 16) & _SAMPLED)) if all(numbers) else None


def attempt(trace: Trace, target: str, connection: str, at: float) -> int:
    """The span of an attempt, which is known before its record is written; `at` as it will stand there."""
    words = f"{trace.span:x} {target} {connection} {at!r}".encode()
    return int.from_bytes(blake2b(words, digest_size=8).digest()) or 1


def header(trace: Trace, span: int) -> bytes:
    """The `traceparent` of a call below a span."""
    return b"00-%032x-%016x-%02x" % (trace.trace, span, _SAMPLED if trace.sampled else 0)
