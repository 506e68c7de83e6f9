"""An answer handed on to a client of the same format: its bytes as they came, under the name that was asked for.

Most of a stream passes in blocks, without a look at single events.  That is safe because a block is only let through
when each of its events is one line that holds the model's name, written as it was in the first event; within a JSON
string the same bytes cannot stand, for their quotes would be escaped.  Whatever tells more than content (a finish,
usage, an error, the end) and whatever is written in another way (spaces, CRLF) is taken event by event.
"""

from __future__ import annotations

import contextlib

import msgspec

from omniroute.errors import Fault
from omniroute.formats import patch
from omniroute.formats.codec import TRUNCATED, Head, Reply, Retell, malformed, unchanged
from omniroute.formats.framing import Blocks, Record, frame, records
from omniroute.formats.ir import FinishReason, Raw, Usage
from omniroute.formats.openai_chat import faults, views
from omniroute.formats.openai_chat.head import wants_usage
from omniroute.formats.openai_chat.incoming import BROKEN, DONE, fault_in

_encode = msgspec.json.Encoder().encode
_split = msgspec.json.Decoder(dict[str, Raw]).decode
_END = b"data: [DONE]\n\n"


def relabel(body: bytes, model: str) -> Reply:
    try:
        if not _is_text(body):
            raise ValueError("it is not UTF-8")
        whole = views.ending(body)
        fault = fault_in(whole, body)
        renamed = patch.renamed(body, bytes(whole.model), model)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if fault is not None:
        return Reply(b"", None, None, fault)
    if not whole.choices:
        raise ValueError("it has no choices")
    reason = whole.choices[0].finish_reason
    if reason == "error":
        return Reply(b"", None, None, BROKEN)
    usage = None if whole.usage is None else views.usage(whole.usage)
    return Reply(renamed, usage, views.finish(reason or "stop"))


def through(head: Head) -> Through:
    return Through(head.model, keep_usage=wants_usage(head))


class Through:
    __slots__ = (
        "_gathered",
        "_keep_usage",
        "_model",
        "_seen",
        "_theirs",
        "committed",
        "fault",
        "finish",
        "over",
        "produced",
        "retell",
        "usage",
    )

    def __init__(self, model: str, *, keep_usage: bool) -> None:
        self.committed = False
        self.produced = 0
        self.usage: Usage | None = None
        self.finish: FinishReason | None = None
        self.fault: Fault | None = None
        self.retell: Retell = unchanged
        self._keep_usage = keep_usage
        self._model = b'"model":' + _encode(model)
        self._theirs = self._model
        self._gathered = Blocks()
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
            out = block.replace(self._theirs, self._model)
            count = out.count(self._model)
            if out.count(b"\n") == 2 * count and _is_text(out) and not _tells(out):
                self.produced += count
                return out
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
        return out + _END

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
        if self.over or not data:
            return b""
        if data.startswith(DONE):
            if not self._seen:
                return self._broken(TRUNCATED)
            self.over = True
            return _END
        if not _is_text(data):
            raise ValueError("it is not UTF-8")
        chunk = views.chunk(data)
        fault = fault_in(chunk, data, name)
        if fault is not None:
            return self._broken(fault)
        for choice in chunk.choices or ():
            self._seen = True
            if choice.delta is not None and views.says(choice.delta):
                self.committed = True
                self.produced += 1
            if choice.finish_reason == "error":
                return self._broken(BROKEN)
            if choice.finish_reason and not choice.index:
                self.finish = views.finish(choice.finish_reason)
        spent = views.spent(chunk)
        if spent is not None:
            self._seen = True
            self.usage = views.usage(spent)
            if not chunk.choices and not self._keep_usage:
                return b""
        return frame(self._renamed(data), name)

    def _renamed(self, data: bytes) -> bytes:
        """An event with its model's name replaced, wherever and however it stands."""
        fields = _split(data)
        theirs = bytes(fields.get("model", b""))
        if theirs not in (b"", b'""'):
            self._theirs = b'"model":' + theirs
        fields["model"] = Raw(self._model.removeprefix(b'"model":'))
        text = _encode(fields)
        return msgspec.json.format(text, indent=-1) if b"\n" in text else text


def _is_text(data: bytes) -> bool:
    """Whether it is UTF-8: the decoder takes what it skips on trust."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _tells(block: bytes) -> bool:
    """Whether anything in it is more than content."""
    return b'"finish_reason":"' in block or b'"usage":{' in block or b'"error":' in block or DONE in block
