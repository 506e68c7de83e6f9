"""An answer handed on to a client of the same format: its bytes as they came, under the name that was asked for.

Most of a stream passes in blocks, without a look at single events.  That is safe because a block is only let through
when each of its events is one line that holds the model's name, written as it was in the first event; within a JSON
string the same bytes cannot stand, for their quotes would be escaped.  Whatever tells more than content (a finish,
usage, an error, the end) and whatever is written in another way (spaces, CRLF) is taken event by event.
"""

from __future__ import annotations

import msgspec

from omniroute.errors import Fault
from omniroute.formats import patch
from omniroute.formats.codec import TRUNCATED, Head, Reply
from omniroute.formats.framing import Record, flat, frame
from omniroute.formats.handover import Handover, is_text
from omniroute.formats.ir import Raw
from omniroute.formats.openai_chat import faults, views
from omniroute.formats.openai_chat.head import wants_usage
from omniroute.formats.openai_chat.incoming import BROKEN, DONE, fault_in

_encode = msgspec.json.Encoder().encode
_split = msgspec.json.Decoder(dict[str, Raw]).decode


def relabel(body: bytes, head: Head) -> Reply:
    try:
        if not is_text(body):
            raise ValueError("it is not UTF-8")
        whole = views.ending(body)
        fault = fault_in(whole, body)
        renamed = patch.renamed(body, bytes(whole.model), head.model)
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


class Through(Handover):
    __slots__ = ("_keep_usage", "_model", "_theirs")
    END = b"data: [DONE]\n\n"

    def __init__(self, model: str, *, keep_usage: bool) -> None:
        super().__init__()
        self._keep_usage = keep_usage
        self._model = b'"model":' + _encode(model)
        self._theirs = self._model

    def _pass(self, block: bytes) -> bytes | None:
        out = block.replace(self._theirs, self._model)
        count = out.count(self._model)
        if out.count(b"\n") != 2 * count or not is_text(out) or _tells(out):
            return None
        self.produced += count
        return out

    def _tell(self, fault: Fault) -> bytes:
        return faults.event(fault)

    def _event(self, record: Record) -> bytes:
        name, data = record
        if self.over or not data:
            return b""
        if data.startswith(DONE):
            if not self._seen:
                return self._broken(TRUNCATED)
            self.over = True
            return self.END
        if not is_text(data):
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
        return flat(_encode(fields))


def _tells(block: bytes) -> bool:
    """Whether anything in it is more than content."""
    return b'"finish_reason":"' in block or b'"usage":{' in block or b'"error":' in block or DONE in block
