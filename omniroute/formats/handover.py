"""A streamed answer on its way to a client of the same format: what all formats do alike.

Bytes come in any split and go on in whole events (or lines).  A format says which blocks of events may pass unread (`_pass`), what
a single event tells (`_event`), how a failure is told (`_tell`) and what the legal end is (`END`).
"""

from __future__ import annotations

import contextlib

from omniroute.errors import Fault
from omniroute.formats.codec import TRUNCATED, Retell, malformed, unchanged
from omniroute.formats.framing import Blocks, Record
from omniroute.formats.ir import FinishReason, Usage


class Handover:
    """A `Bridge`; see `formats/codec.py` for what its attributes mean."""

    __slots__ = ("_gathered", "_seen", "committed", "fault", "finish", "over", "produced", "retell", "usage")
    END: bytes

    def __init__(self, blocks: Blocks | None = None) -> None:
        self.committed = False
        self.produced = 0
        self.usage: Usage | None = None
        self.finish: FinishReason | None = None
        self.fault: Fault | None = None
        self.retell: Retell = unchanged
        self.over = False
        self._gathered = Blocks() if blocks is None else blocks
        self._seen = False

    def feed(self, data: bytes) -> bytes:
        if self.over:
            return b""
        try:
            block = self._gathered.feed(data)
        except ValueError as error:
            return self._broken(malformed(str(error)))
        passed = self._pass(block) if self.committed else None
        return self._one_by_one(block) if passed is None else passed

    def close(self) -> bytes:
        out = b""
        with contextlib.suppress(ValueError, RecursionError):  # half an event is none
            out = b"".join(map(self._event, self._gathered.records(self._gathered.rest())))
        if self.over:
            return out
        if self.finish is None:
            return out + self._broken(TRUNCATED)
        self.over = True
        return out + self.END

    def fail(self, fault: Fault) -> bytes:
        if self.over:
            return b""
        self.over = True
        self.fault = fault
        return self._tell(fault)

    def _say(self, says: bool) -> None:
        """Notes an event that may be content."""
        if says:
            self.committed = True
            self.produced += 1

    def _broken(self, fault: Fault) -> bytes:
        return self.fail(self.retell(fault))

    def _one_by_one(self, block: bytes) -> bytes:
        out: list[bytes] = []
        try:
            out.extend(self._event(record) for record in self._gathered.records(block))  # those before a bad one stay
        except ValueError as error:
            out.append(self._broken(malformed(str(error))))
        except RecursionError:
            out.append(self._broken(malformed("it is nested too deeply")))
        return b"".join(out)

    def _pass(self, block: bytes) -> bytes | None:
        """The block as it may go on without a look at its events; None where they have to be looked at."""
        raise NotImplementedError

    def _event(self, record: Record) -> bytes:
        """One event as it goes on. Raises ValueError where it is not the format's."""
        raise NotImplementedError

    def _tell(self, fault: Fault) -> bytes:
        """A failure in the format's own words, and what legally follows them."""
        raise NotImplementedError


def is_text(data: bytes) -> bool:
    """Whether it is UTF-8: the decoder takes what it skips on trust."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
