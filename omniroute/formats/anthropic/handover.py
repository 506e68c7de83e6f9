"""An answer handed on to a client of the same format: its bytes as they came, under the name that was asked for.

Only the first event of a stream names the model. Once content has begun, deltas of content are passed on unread, and
most of them in blocks: a block passes when each of its events is a delta by the first bytes of its two lines, which
cannot stand within JSON since a line end cannot. Whatever else there is in a block (a finish, usage, an error, an odd
way of writing) has it taken event by event.
"""

from __future__ import annotations

import contextlib

import msgspec

from omniroute.errors import Fault
from omniroute.formats import patch
from omniroute.formats.anthropic import faults, views
from omniroute.formats.anthropic.incoming import DONE
from omniroute.formats.codec import TRUNCATED, Head, Reply, Retell, malformed, unchanged
from omniroute.formats.framing import Blocks, Record, frame, records
from omniroute.formats.ir import FinishReason, Raw, Usage

_encode = msgspec.json.Encoder().encode
_split = msgspec.json.Decoder(dict[str, Raw]).decode
_any = msgspec.json.Decoder().decode
_STOP = b'{"type":"message_stop"}'
_PLAIN = (b'{"type":"content_block_delta",', b'{"type": "content_block_delta",')
"""How the data of a delta begins, as Anthropic writes it and as Python's `json` does."""
_DELTA, _SPACED = (b"event: content_block_delta\ndata: " + start for start in _PLAIN)
_SILENT = ("text", "thinking")
"""Blocks whose start says nothing yet."""


def relabel(body: bytes, model: str) -> Reply:
    try:
        if not _is_text(body):
            raise ValueError("it is not UTF-8")
        whole = views.message(body)
        renamed = patch.renamed(body, _encode(whole.model), model)
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


class Through:
    __slots__ = (
        "_gathered",
        "_model",
        "_seen",
        "_spent",
        "committed",
        "fault",
        "finish",
        "over",
        "produced",
        "retell",
        "usage",
    )

    def __init__(self, model: str) -> None:
        self.committed = False
        self.produced = 0
        self.usage: Usage | None = None
        self.finish: FinishReason | None = None
        self.fault: Fault | None = None
        self.retell: Retell = unchanged
        self._model = Raw(_encode(model))
        self._gathered = Blocks()
        self._spent: views.Spent | None = None
        self._seen = False
        self.over = False

    def feed(self, data: bytes) -> bytes:
        if self.over:
            return b""
        try:
            block = self._gathered.feed(data)
        except ValueError as error:
            return self._broken(malformed(str(error)))
        if self.committed:
            count = block.count(_DELTA) or block.count(_SPACED)
            if block.count(b"\n") == 3 * count and _is_text(block):
                self.produced += count
                return block
        return self._one_by_one(block)

    def close(self) -> bytes:
        out = b""
        with contextlib.suppress(ValueError, RecursionError):  # half an event is none
            out = b"".join(map(self._event, records(self._gathered.rest())))
        if self.over:
            return out
        if self.finish is None:
            return out + self._broken(TRUNCATED)
        self.over = True
        return out + frame(_STOP, b"message_stop")

    def _broken(self, fault: Fault) -> bytes:
        return self.fail(self.retell(fault))

    def fail(self, fault: Fault) -> bytes:
        if self.over:
            return b""
        self.over = True
        self.fault = fault
        return faults.event(fault)

    def _one_by_one(self, block: bytes) -> bytes:
        out: list[bytes] = []
        try:
            out.extend(self._event(record) for record in records(block))  # those before a bad one stay
        except ValueError as error:
            out.append(self._broken(malformed(str(error))))
        except RecursionError:
            out.append(self._broken(malformed("it is nested too deeply")))
        return b"".join(out)

    def _event(self, record: Record) -> bytes:
        name, data = record
        if self.over or not data or data.startswith(DONE):
            return b""
        if not _is_text(data):
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

    def _say(self, says: bool) -> None:
        if says:
            self.committed = True
            self.produced += 1

    def _spend(self, spent: views.Spent | None) -> None:
        if spent is not None:
            self._spent = spent if self._spent is None else views.merge(self._spent, spent)
            self.usage = views.usage(self._spent)

    def _renamed(self, data: bytes) -> bytes:
        """The first event with its model's name replaced."""
        fields = _split(data)
        message = {**_split(fields.get("message", b"{}")), "model": self._model}
        return _encode({**fields, "message": message}).replace(b"\n", b" ")


def _is_text(data: bytes) -> bool:
    """Whether it is UTF-8: the decoder takes what it skips on trust."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
