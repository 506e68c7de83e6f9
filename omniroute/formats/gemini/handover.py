"""An answer handed on to a client of the same format: its bytes as they came, under the name that was asked for.

The upstream always streams events; a client that asked for an array gets their data as its elements.

Chunks here are few and large, and each names the model and tells the usage. Once content has begun, a block of them
passes with no more than the last one's usage looked at: when each is one line that holds the model's name, written as it
was in the first, and none holds what tells more than text (a reason to finish, a call, an error, a blocked prompt).
"""

from __future__ import annotations

import msgspec

from omniroute.errors import Fault
from omniroute.formats import patch
from omniroute.formats.codec import Head, Reply
from omniroute.formats.framing import Record, flat
from omniroute.formats.gemini import faults, views
from omniroute.formats.gemini.chunks import Frames
from omniroute.formats.gemini.head import ARRAY
from omniroute.formats.gemini.incoming import DONE, mishap
from omniroute.formats.handover import Handover, is_text
from omniroute.formats.ir import Raw

KEY = "modelVersion"

_encode = msgspec.json.Encoder().encode
_split = msgspec.json.Decoder(dict[str, Raw]).decode
_START = b"data: "
_TELLING = tuple(
    b'"%b"' % name
    for name in (b"finishReason", b"functionCall", b"toolCall", b"toolResponse", b"error", b"promptFeedback")
)


def relabel(body: bytes, head: Head) -> Reply:
    try:
        if not is_text(body):
            raise ValueError("it is not UTF-8")
        whole = views.ending(body)
        renamed = patch.renamed(body, bytes(whole.model_version), head.model, KEY)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if whole.error is not None:
        return Reply(b"", None, None, faults.told(whole.error))
    usage = None if whole.usage_metadata is None else views.usage(whole.usage_metadata)
    if not whole.candidates:
        if whole.prompt_feedback is None or whole.prompt_feedback.block_reason is None:
            raise ValueError("it has no candidates")
        return Reply(renamed, usage, "content_filter")
    first = whole.candidates[0]
    reason = first.finish_reason or "STOP"
    if reason in views.MISHAPS:
        return Reply(b"", usage, None, mishap(reason, first.finish_message))
    return Reply(renamed, usage, views.finish(reason))


def through(head: Head) -> Through:
    return Through(head.model, array=head.mode == ARRAY)


class Through(Handover):
    __slots__ = ("END", "_frames", "_model", "_theirs")

    def __init__(self, model: str, *, array: bool) -> None:
        super().__init__()
        self._frames = Frames(array=array)
        self.END = self._frames.end
        self._model = b'"modelVersion":' + _encode(model)
        self._theirs = self._model

    def _pass(self, block: bytes) -> bytes | None:
        out = block.replace(self._theirs, self._model)
        count = out.count(self._model)
        if out.count(b"\n") != 2 * count or not out.startswith(_START) or not is_text(out):
            return None
        if any(mark in out for mark in _TELLING):
            return None
        chunks = out[len(_START) : -2].split(b"\n\n" + _START)
        if len(chunks) != count:
            return None
        try:
            last = views.chunk(chunks[-1])
        except (ValueError, RecursionError):
            return None
        self.produced += count
        self._spend(last)
        return b"".join([self._frames.frame(chunk) for chunk in chunks]) if self._frames.end else out

    def _tell(self, fault: Fault) -> bytes:
        return self._frames.frame(_encode(faults.envelope(fault))) + self._frames.end

    def _event(self, record: Record) -> bytes:
        _, data = record
        if self.over or not data or data.startswith(DONE):
            return b""
        if not is_text(data):
            raise ValueError("it is not UTF-8")
        chunk = views.chunk(data)
        if chunk.error is not None:
            return self._broken(faults.told(chunk.error))
        self._spend(chunk)
        for candidate in chunk.candidates or ():
            content = candidate.content
            if content is not None and content.parts and any(map(views.says, content.parts)):
                self.committed = True
                self.produced += 1
            reason = candidate.finish_reason
            if reason and reason != views.UNKNOWN and not candidate.index:
                if reason in views.MISHAPS:
                    return self._broken(mishap(reason, candidate.finish_message))
                self.finish = views.finish(reason)
        feedback = chunk.prompt_feedback
        if feedback is not None and feedback.block_reason and self.finish is None:
            self.finish = "content_filter"
        return self._frames.frame(self._renamed(data))

    def _spend(self, chunk: views.Chunk) -> None:
        if chunk.usage_metadata is not None:
            self.usage = views.usage(chunk.usage_metadata)

    def _renamed(self, data: bytes) -> bytes:
        """A chunk with its model's name replaced, wherever and however it stands."""
        once = data.count(b'"modelVersion"') == 1 and b"\n" not in data
        if once and self._theirs in data:
            return data.replace(self._theirs, self._model)
        fields = _split(data)
        theirs = bytes(fields.get(KEY, b""))
        if once and theirs not in (b"", b'""'):
            for mark in (b'"modelVersion": ' + theirs, b'"modelVersion":' + theirs):
                if mark in data:
                    self._theirs = mark
                    return data.replace(mark, self._model)
        fields[KEY] = Raw(self._model.partition(b":")[2])
        return flat(_encode(fields))
