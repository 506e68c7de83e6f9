"""An answer handed on to a client of the same format: its bytes as they came, under the name that was asked for.

Most of a stream passes in blocks, without a look at single lines.  That is safe because a block is only let through when
each of its lines holds the model's name, written as it was in the first line, and says that it is not the last; within
a JSON string the same bytes cannot stand, for their quotes would be escaped, and blocks with calls, whose arguments
could hold anything, are not let through.
"""

from __future__ import annotations

import msgspec

from omniroute.errors import Fault
from omniroute.formats import patch
from omniroute.formats.codec import Head, Reply
from omniroute.formats.framing import Lines, Record
from omniroute.formats.handover import Handover, is_text
from omniroute.formats.ir import Raw
from omniroute.formats.ollama import faults, views

_encode = msgspec.json.Encoder().encode
_split = msgspec.json.Decoder(dict[str, Raw]).decode
_NOT_YET = b'"done":false'


def relabel(body: bytes, head: Head) -> Reply:
    try:
        if not is_text(body):
            raise ValueError("it is not UTF-8")
        whole = views.heard(body)
        renamed = patch.renamed(body, bytes(whole.model), head.model)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if whole.error is not None:
        return Reply(b"", None, None, faults.fault(whole.error))
    said = whole.message
    if said is None:
        raise ValueError("it has no message")
    return Reply(renamed, views.usage(whole), views.finish(whole.done_reason, called=bool(said.tool_calls)))


def through(head: Head) -> Through:
    return Through(head.model)


class Through(Handover):
    __slots__ = ("_called", "_model", "_theirs")
    END = b""

    def __init__(self, model: str) -> None:
        super().__init__(Lines())
        self._model = b'"model":' + _encode(model)
        self._theirs = self._model
        self._called = False

    def _pass(self, block: bytes) -> bytes | None:
        out = block.replace(self._theirs, self._model)
        count = out.count(b"\n")
        if out.count(self._model) != count or out.count(_NOT_YET) != count or b'"tool_calls"' in out:
            return None
        if not is_text(out):
            return None
        self.produced += count
        return out

    def _tell(self, fault: Fault) -> bytes:
        return faults.line(fault)

    def _event(self, record: Record) -> bytes:
        if self.over:
            return b""
        line = record[1]
        if not is_text(line):
            raise ValueError("it is not UTF-8")
        heard = views.heard(line)
        if heard.error is not None:
            return self._broken(faults.fault(heard.error))
        said = heard.message
        if said is not None:
            self._called = self._called or bool(said.tool_calls)
            if said.content or said.thinking or said.tool_calls or said.images:
                self.committed = True
                self.produced += 1
        elif not heard.done and not self._seen:
            raise ValueError("it has no message")
        self._seen = True
        if heard.done:
            self.usage = views.usage(heard)
            self.finish = views.finish(heard.done_reason, called=self._called)
            self.over = True
        return self._renamed(line, heard.model)

    def _renamed(self, line: bytes, theirs: Raw) -> bytes:
        """A line with its model's name replaced, wherever and however it stands."""
        if bytes(theirs) not in (b"", b'""'):
            self._theirs = b'"model":' + bytes(theirs)
        return _encode({**_split(line), "model": Raw(self._model.removeprefix(b'"model":'))}) + b"\n"
