"""An answer handed on to a client of the same format: its bytes as they came, under the model's name that was asked for.

Most of a stream passes in blocks, without a look at single events. That is safe because a block is only let through
when every event in it holds the model's name just where and as it was learned from the first one; within a JSON string
the same bytes cannot stand, for their quotes would be escaped. Whatever tells more than content (a finish, usage, an
error, the end) and whatever is written in another way (spaces, CRLF) is taken event by event.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.errors import Fault
from omniroute.formats.codec import TRUNCATED, Head, Reply, malformed
from omniroute.formats.framing import EVENT_LIMIT, SSE, Record, frame
from omniroute.formats.ir import FinishReason, Raw, Usage
from omniroute.formats.openai_chat import faults, views
from omniroute.formats.openai_chat.head import wants_usage
from omniroute.formats.openai_chat.incoming import BROKEN, DONE, error_in

_encode = msgspec.json.Encoder().encode
_split = msgspec.json.Decoder(dict[str, Raw]).decode
_any = msgspec.json.Decoder().decode
_END = b"data: [DONE]\n\n"
_SPACED = b"data: {"
_TELLING = (b'"finish_reason":"', b'"usage":{', b'"error":', DONE)


class _Ending(views.View):
    finish_reason: str | None = None


class _Whole(views.View):
    choices: list[_Ending] | None = None
    usage: views.Spent | None = None
    error: Any = None


_whole = msgspec.json.Decoder(_Whole).decode


def relabel(body: bytes, model: str) -> Reply:
    try:
        if not body.isascii():
            body.decode()  # the decoder takes what it skips on trust
        whole = _whole(body)
        error = whole.error if whole.choices else error_in(views.chunk(body), body)
        fields: dict[str, Any] = {**_split(body), "model": model}
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if error is not None:
        return Reply(b"", None, None, faults.told(error))
    if not whole.choices:
        raise ValueError("it has no choices")
    reason = whole.choices[0].finish_reason
    if reason == "error":
        return Reply(b"", None, None, BROKEN)
    usage = None if whole.usage is None else views.usage(whole.usage)
    return Reply(_encode(fields), usage, views.finish(reason or "stop"))


def through(head: Head) -> Through:
    return Through(head.model, keep_usage=wants_usage(head))


class Through:
    __slots__ = (
        "_keep_usage",
        "_model",
        "_over",
        "_rest",
        "_seen",
        "_sse",
        "_theirs",
        "committed",
        "fault",
        "finish",
        "produced",
        "usage",
    )

    def __init__(self, model: str, *, keep_usage: bool) -> None:
        self.committed = False
        self.produced = 0
        self.usage: Usage | None = None
        self.finish: FinishReason | None = None
        self.fault: Fault | None = None
        self._keep_usage = keep_usage
        self._model = b'"model":' + _encode(model)
        self._theirs = self._model
        self._rest = b""
        self._sse: SSE | None = None
        self._seen = False
        self._over = False

    def feed(self, data: bytes) -> bytes:
        if self._over:
            return b""
        if self._sse is None:
            if b"\r" not in data:
                return self._blocks(self._rest + data if self._rest else data)
            self._sse = SSE()
            data, self._rest = self._rest + data, b""
        return self._events(self._sse, data)

    def close(self) -> bytes:
        out = self._last()
        if self._over:
            return out
        if self.finish is None:
            return out + self.fail(TRUNCATED)
        self._over = True
        return out + _END

    def fail(self, fault: Fault) -> bytes:
        if self._over:
            return b""
        self._over = True
        self.fault = fault
        return faults.event(fault)

    def _blocks(self, text: bytes) -> bytes:
        """All events that are whole now, at once."""
        cut = text.rfind(b"\n\n") + 2
        if cut < 2:
            self._rest = text
            return (
                b"" if len(text) <= EVENT_LIMIT else self.fail(malformed(f"an event of more than {EVENT_LIMIT} bytes"))
            )
        self._rest = text[cut:]
        block = text[:cut]
        if self.committed:
            out = block.replace(self._theirs, self._model)
            count = out.count(self._model)
            if count == out.count(_SPACED) and not _tells(out):
                self.produced += count
                return out
        return self._events(SSE(), block)

    def _events(self, sse: SSE, data: bytes) -> bytes:
        """The same, one by one."""
        out: list[bytes] = []
        try:
            out.extend(self._event(record) for record in sse.feed(data))  # those before a bad one stay
        except ValueError as error:
            out.append(self.fail(malformed(str(error))))
        except RecursionError:
            out.append(self.fail(malformed("it is nested too deeply")))
        return b"".join(out)

    def _last(self) -> bytes:
        """What an upstream sent that did not end its last event; half an event is none."""
        sse = self._sse or SSE()
        try:
            return b"".join(map(self._event, (*sse.feed(self._rest), *sse.close())))
        except (ValueError, RecursionError):
            return b""

    def _event(self, record: Record) -> bytes:
        name, data = record
        if self._over or not data:
            return b""
        if data.startswith(DONE):
            if not self._seen:
                return self.fail(TRUNCATED)
            self._over = True
            return _END
        chunk = views.chunk(data)
        error = chunk.error if chunk.choices else error_in(chunk, data)
        if error is None and name == b"error":
            error = _any(data)
        if error is not None:
            return self.fail(faults.told(error))
        self._seen = True
        for choice in chunk.choices or ():
            if choice.delta is not None and views.says(choice.delta):
                self.committed = True
                self.produced += 1
            if choice.finish_reason == "error":
                return self.fail(BROKEN)
            if choice.finish_reason and not choice.index:
                self.finish = views.finish(choice.finish_reason)
        spent = views.spent(chunk)
        if spent is not None:
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


def _tells(block: bytes) -> bool:
    return any(mark in block for mark in _TELLING)
