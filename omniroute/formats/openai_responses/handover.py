"""An answer handed on to a client of the same format: its bytes as they came, under the name that was asked for.

Only the events that tell the whole response name the model. Once content has begun, deltas pass on unread, and most of
them in blocks: a block passes when each of its events is a delta by the first bytes of its two lines, which cannot stand
within JSON since a line end cannot. A failure is told as the state of the response, so its beginning is kept, and the
number of its event comes after the last one that passed.
"""

from __future__ import annotations

import re

import msgspec

from omniroute.errors import Fault
from omniroute.formats import patch
from omniroute.formats.codec import Head, Reply
from omniroute.formats.framing import Record, flat, frame
from omniroute.formats.handover import Handover, is_text
from omniroute.formats.ir import Raw
from omniroute.formats.openai_responses import faults, views
from omniroute.formats.openai_responses.incoming import DONE

_encode = msgspec.json.Encoder().encode
_split = msgspec.json.Decoder(dict[str, Raw]).decode
_any = msgspec.json.Decoder().decode
_deltas = re.compile(rb'(?:event: (response\.[a-z_]+\.delta)\ndata: \{"type": ?"\1",[^\n]*\n\n)+')
_number = re.compile(rb'"sequence_number": ?(\d{1,15})[,}]')
_SILENT = ("message", "reasoning")
"""Items whose start says nothing yet."""
_END = ("response.completed", "response.incomplete")


def relabel(body: bytes, head: Head) -> Reply:
    try:
        if not is_text(body):
            raise ValueError("it is not UTF-8")
        whole = views.ending(body)
        renamed = patch.renamed(body, bytes(whole.model), head.model)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if whole.error is not None or whole.status == "failed":
        return Reply(b"", None, None, faults.told(whole.error))
    if whole.output is None:
        raise ValueError("it has no output")
    called = any(item.type in views.CALLS for item in whole.output)
    reason = views.finish(whole.status, whole.incomplete_details)
    usage = None if whole.usage is None else views.usage(whole.usage)
    if head.echoed:
        renamed = _encode({**_split(renamed), **head.echoed})
    return Reply(renamed, usage, "tool_calls" if called and reason == "stop" else reason)


def through(head: Head) -> Through:
    return Through(head)


class Through(Handover):
    __slots__ = ("_begun", "_last", "_ours")
    END = b""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self._ours = {"model": Raw(_encode(head.model)), **head.echoed}
        self._begun: dict[str, Raw] | None = None
        self._last = b""

    def _pass(self, block: bytes) -> bytes | None:
        if _deltas.fullmatch(block) is None or not is_text(block):
            return None
        self.produced += block.count(b"\n\n")
        self._last = block
        return block

    def _tell(self, fault: Fault) -> bytes:
        number = self._next()
        if self._begun is None:
            return frame(_encode(faults.event(fault, number)), b"error")
        response = {**self._begun, "status": "failed", "error": faults.failure(fault)}
        told = {"type": "response.failed", "response": response, "sequence_number": number}
        return frame(_encode(told), b"response.failed")

    def _next(self) -> int:
        """The number of the next event."""
        found = _number.findall(self._last)
        return int(found[-1]) + 1 if found else 0

    def _event(self, record: Record) -> bytes:
        name, data = record
        if self.over or not data or data.startswith(DONE):
            return b""
        if not is_text(data):
            raise ValueError("it is not UTF-8")
        told = views.event(data)
        told.type = told.type or name.decode("ascii", "replace")
        if told.type == "error" or (told.error is not None and told.response is None):
            return self._broken(faults.told(_any(data)))
        if told.response is not None:
            data = self._renamed(data)
        if told.type in ("response.failed", "response.cancelled"):
            return self._broken(faults.told(told.response.error if told.response else None))
        self._last = data
        self._note(told, data)
        return frame(data, name or told.type.encode())

    def _note(self, told: views.Event, data: bytes) -> None:
        """What an event tells of the answer."""
        if told.type.encode() in views.DELTAS:
            self._say(bool(views.delta(data).delta))
        elif told.type == "response.output_item.added":
            item = views.item(told.item)
            self._say(item.type in views.CALLS)
        elif told.type == "response.output_item.done" and not self.committed:
            item = views.item(told.item)
            self._say(item.type not in _SILENT or bool(item.content or item.summary or item.encrypted_content))
        elif told.type in _END and told.response is not None:
            self.finish = views.finish(told.response.status, told.response.incomplete_details)
            if told.response.usage is not None:
                self.usage = views.usage(told.response.usage)
            self._say(not self.committed and bool(told.response.output))
            self.over = True

    def _renamed(self, data: bytes) -> bytes:
        """An event that names the model, and what else it repeats, as the client asked; the first of them is kept, in case there is no last."""
        fields = _split(data)
        response = _split(fields["response"])
        if "model" in response or self._begun is None:
            response |= self._ours
        if self._begun is None:
            self._begun = response
        return flat(_encode({**fields, "response": response}))
