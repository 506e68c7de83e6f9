"""An answer handed on to a client of the same format: its bytes as they came, under the name that was asked for.

Only the first event of a stream names the model. Once content has begun, deltas of content are passed on unread, and
most of them in blocks: a block passes when each of its events is a delta by the first bytes of its two lines, which
cannot stand within JSON since a line end cannot. Whatever else there is in a block (a finish, usage, an error, an odd
way of writing) has it taken event by event.
"""

from __future__ import annotations

import msgspec

from omniroute.errors import Fault
from omniroute.formats import patch
from omniroute.formats.anthropic import faults, views
from omniroute.formats.anthropic.incoming import DONE
from omniroute.formats.codec import TRUNCATED, Head, Reply
from omniroute.formats.framing import Record, flat, frame
from omniroute.formats.handover import Handover, is_text
from omniroute.formats.ir import Raw

_encode = msgspec.json.Encoder().encode
_split = msgspec.json.Decoder(dict[str, Raw]).decode
_any = msgspec.json.Decoder().decode
_PLAIN = (b'{"type":"content_block_delta",', b'{"type": "content_block_delta",')
"""How the data of a delta begins, as Anthropic writes it and as Python's `json` does."""
_DELTA, _SPACED = (b"event: content_block_delta\ndata: " + start for start in _PLAIN)
_SILENT = ("text", "thinking")
"""Blocks whose start says nothing yet."""


def relabel(body: bytes, head: Head) -> Reply:
    try:
        if not is_text(body):
            raise ValueError("it is not UTF-8")
        whole = views.message(body)
        renamed = patch.renamed(body, _encode(whole.model), head.model)
        if whole.type == "error" or bytes(whole.error):
            return Reply(b"", None, None, faults.told(_any(body)))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if whole.content is None:
        raise ValueError("it has no content")
    usage = None if whole.usage is None else views.usage(whole.usage)
    return Reply(renamed, usage, views.finish(whole.stop_reason or "end_turn"))


def through(head: Head) -> Through:
    return Through(head.model)


class Through(Handover):
    __slots__ = ("_model", "_spent")
    END = frame(b'{"type":"message_stop"}', b"message_stop")

    def __init__(self, model: str) -> None:
        super().__init__()
        self._model = Raw(_encode(model))
        self._spent: views.Spent | None = None

    def _pass(self, block: bytes) -> bytes | None:
        count = block.count(_DELTA) or block.count(_SPACED)
        if block.count(b"\n") != 3 * count or not is_text(block):
            return None
        self.produced += count
        return block

    def _tell(self, fault: Fault) -> bytes:
        return faults.event(fault)

    def _event(self, record: Record) -> bytes:
        name, data = record
        if self.over or not data or data.startswith(DONE):
            return b""
        if not is_text(data):
            raise ValueError("it is not UTF-8")
        if self.committed and data.startswith(_PLAIN):
            self.produced += 1
            return frame(data, b"content_block_delta")
        told = views.known(name, data)
        if told is None:
            return frame(data, name)
        if told.type == "error":
            return self._broken(faults.told(_any(data)))
        if told.type == "message_stop" and not self._seen:
            return self._broken(TRUNCATED)
        self._seen = True
        if told.type == "message_start":
            data = self._renamed(data)
        self._note(told)
        return frame(data, name or told.type.encode())

    def _note(self, told: views.Event) -> None:
        """What an event tells of the answer."""
        delta = told.delta
        match told.type:
            case "content_block_delta" if delta is not None:
                self._say(bool(delta.text or delta.thinking or delta.partial_json or delta.signature))
            case "content_block_start":
                block = views.block(told.content_block)
                self._say(block.type not in _SILENT or bool(block.text or block.thinking or block.signature))
            case "message_start" if told.message is not None:
                self._spend(told.message.usage)
            case "message_delta":
                if delta is not None and delta.stop_reason:
                    self.finish = views.finish(delta.stop_reason)
                self._spend(told.usage)
            case "message_stop":
                self.finish = self.finish or "stop"
                self.over = True

    def _spend(self, spent: views.Spent | None) -> None:
        if spent is not None:
            self._spent = spent if self._spent is None else views.merge(self._spent, spent)
            self.usage = views.usage(self._spent)

    def _renamed(self, data: bytes) -> bytes:
        """The first event with its model's name replaced."""
        fields = _split(data)
        message = {**_split(fields.get("message", b"{}")), "model": self._model}
        return flat(_encode({**fields, "message": message}))
