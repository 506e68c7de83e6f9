"""Upstream bytes to events: what all formats whose streams are records do alike.

Framing is `framing.py`'s, the meaning of a record and the state of the answer are the format's; between them stands that
nothing a provider sends may raise out of a decoder.
"""

from __future__ import annotations

import contextlib
from typing import Generic, TypeVar

from omniroute.errors import Fault
from omniroute.formats.codec import TRUNCATED, malformed
from omniroute.formats.framing import SSE, Records
from omniroute.formats.ir import Event, Failed


class Answering:
    """An answer as it grows; each call adds the events that it owes."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False

    def fail(self, fault: Fault, events: list[Event]) -> None:
        if not self.over:
            self.over = True
            events.append(Failed(fault))

    def close(self, events: list[Event]) -> None:
        """The end of the bytes, which is none of the answer unless its format says so."""
        self.fail(TRUNCATED, events)


A = TypeVar("A", bound=Answering)


class RecordDecoder(Generic[A]):
    """A `Decoder`; a format adds `_record`."""

    __slots__ = ("_answer", "_records")

    def __init__(self, answer: A, records: Records | None = None) -> None:
        self._records = SSE() if records is None else records
        self._answer = answer

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        answer = self._answer
        try:
            for name, payload in self._records.feed(data):
                if answer.over:
                    break
                self._record(name, payload, events)
        except ValueError as error:
            answer.fail(malformed(str(error)), events)
        except RecursionError:
            answer.fail(malformed("it is nested too deeply"), events)
        return events

    def close(self) -> list[Event]:
        events: list[Event] = []
        answer = self._answer
        with contextlib.suppress(ValueError, RecursionError):  # half an event is none
            for name, payload in self._records.close():
                if not answer.over:
                    self._record(name, payload, events)
        answer.close(events)
        return events

    def _record(self, name: bytes, payload: bytes, events: list[Event]) -> None:
        """What one record tells. Raises ValueError where it is not the format's."""
        raise NotImplementedError
