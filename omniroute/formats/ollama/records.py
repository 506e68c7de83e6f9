"""Events to a client's lines, or to its whole answer.

What surrounds a piece of text is the same bytes for a whole stream, so it is built once. A call is told when its
arguments are whole, for they are an object here, and calls keep the order in which they began.

Durations are those that the client waited: to the first word, from there to the end, and both together. Of an answer
that came whole only the sum is known. Nothing is ever loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from omniroute.formats.arguments import object_of
from omniroute.formats.codec import PICTURE, SOUND, TRUNCATED, Head
from omniroute.formats.fold import Message, joined
from omniroute.formats.framing import flat
from omniroute.formats.ir import (
    Audio,
    Block,
    BlockStop,
    Event,
    Failed,
    Finish,
    FinishReason,
    Image,
    Media,
    Raw,
    Refusal,
    RefusalDelta,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
)
from omniroute.formats.ollama import faults
from omniroute.formats.ollama.loading import date

_encode = msgspec.json.Encoder().encode

Members = dict[str, Any]
Shape = Callable[[Members], Members]
"""Puts what a piece of an answer says where the endpoint has it."""

LIMITED = frozenset({"length", "context_window"})
"""The reasons that are a `length`; all others are a `stop`, and there are no more."""


_BREAKS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def unbroken(lines: bytes) -> bytes:
    """The lines with what some clients take for their ends escaped, as Ollama's server has it: the `ollama` package
    splits where Unicode has a line end, not only where JSON lines have."""
    if not lines.isascii():
        for raw, escaped in _BREAKS:
            lines = lines.replace(raw, escaped)
    return lines


def message(said: Members) -> Members:
    """The members of a line of a chat: what is said is a message, its log probabilities stand beside it."""
    logprobs = said.pop("logprobs", None)
    members: Members = {"message": {"role": "assistant", "content": said.pop("content", ""), **said}}
    return members if logprobs is None else members | {"logprobs": logprobs}


def encoder(head: Head, ident: str, created: int) -> RecordEncoder:  # noqa: ARG001 - answers have no names here
    return RecordEncoder(head, created, message, b'"message":{"role":"assistant","content":', b"}")


def encode_reply(told: Message, head: Head, ident: str, created: int) -> bytes:  # noqa: ARG001 - no names here
    return whole(told, head, created, message)


class _Call:
    """A call whose arguments are on their way."""

    __slots__ = ("done", "parts", "start")

    def __init__(self, start: ToolStart) -> None:
        self.start = start
        self.parts: list[str] = []
        self.done = False

    def whole(self) -> ToolCall:
        return ToolCall(self.start.id, self.start.name, "".join(self.parts), custom=self.start.custom)


class RecordEncoder:
    __slots__ = (
        "_after",
        "_before",
        "_calls",
        "_elapsed",
        "_first",
        "_open",
        "_over",
        "_shape",
        "_text",
        "_told",
        "_usage",
    )

    def __init__(self, head: Head, created: int, shape: Shape, before: bytes, after: bytes) -> None:
        """`before` and `after` are what stands around the text of a piece that is nothing else."""
        self._before = b'{"model":%b,"created_at":"%b",' % (_encode(head.model), date(created))
        self._text = self._before + before
        self._after = after + b',"done":false}\n'
        self._shape = shape
        self._elapsed = head.elapsed
        self._first: float | None = None
        self._over = False
        self._usage: Usage | None = None
        self._told = 0
        self._calls: list[_Call] = []
        self._open: dict[int, _Call] = {}

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if self._over:
                break
            if event.__class__ is TextDelta and event.logprobs is None:
                if event.text:
                    if self._first is None:
                        self._first = self._elapsed()
                    out += (self._text, _encode(event.text), self._after)
            else:
                out.append(self._one(event))
        return unbroken(b"".join(out))

    def close(self) -> bytes:
        return b"" if self._over else self._one(Failed(TRUNCATED))

    def _one(self, event: Event) -> bytes:
        match event:
            case TextDelta():
                chances = None if event.logprobs is None else Raw(flat(bytes(event.logprobs)))
                return self._say({"content": event.text, "logprobs": chances})
            case ThinkingDelta(text=str(text)) if text:
                return self._say({"thinking": text})
            case RefusalDelta(text=str(text)) if text:
                return self._say({"content": text})
            case ToolStart():
                return self._begin(event)
            case ToolDelta():
                if event.index in self._open:
                    self._open[event.index].parts.append(event.arguments)
            case BlockStop(index=int(index)):
                return self._end(index)
            case Media(block=Image() | Audio() as block):
                return self._say(_media(block))
            case UsageSeen():
                self._usage = event.usage
            case Finish():
                return self._finish(event.reason)
            case Failed():
                self._over = True
                return faults.line(event.fault)
            case _:
                pass
        return b""

    def _say(self, said: Members) -> bytes:
        if self._first is None:
            self._first = self._elapsed()
        return self._before + _encode(self._shape(said) | {"done": False})[1:] + b"\n"

    def _begin(self, start: ToolStart) -> bytes:
        if self._first is None:
            self._first = self._elapsed()
        told = self._end(start.index)
        call = self._open[start.index] = _Call(start)
        self._calls.append(call)
        return told

    def _end(self, index: int) -> bytes:
        """Ends a call, and tells it with those after it that have waited for it."""
        call = self._open.pop(index, None)
        if call is None:
            return b""
        call.done = True
        whole: list[_Call] = []
        while self._calls and self._calls[0].done:
            whole.append(self._calls.pop(0))
        return self._tell(whole)

    def _tell(self, calls: list[_Call]) -> bytes:
        if not calls:
            return b""
        told = [tool_call(call.whole(), at) for at, call in enumerate(calls, self._told)]
        self._told += len(told)
        return self._say({"tool_calls": told})

    def _finish(self, reason: FinishReason) -> bytes:
        out = self._tell(self._calls)
        self._over = True
        end = self._elapsed()
        last = self._shape({}) | ended(reason, self._usage, end, self._first)
        return out + self._before + _encode(last)[1:] + b"\n"


def whole(told: Message, head: Head, created: int, shape: Shape) -> bytes:
    if told.fault is not None:
        return faults.encode_error(told.fault, "")
    members = shape(_said(told.blocks, told.logprobs))
    members |= ended(told.finish or "stop", told.usage, head.elapsed(), None)
    return b'{"model":%b,"created_at":"%b",' % (_encode(head.model), date(created)) + _encode(members)[1:]


def ended(reason: FinishReason, usage: Usage | None, end: float, first: float | None) -> Members:
    """The members of the end. Seconds become nanoseconds."""
    members: Members = {
        "done": True,
        "done_reason": "length" if reason in LIMITED else "stop",
        "total_duration": _nanoseconds(end),
        "load_duration": 0,
    }
    if usage is not None:
        members["prompt_eval_count"] = usage.input
    if first is not None:
        members["prompt_eval_duration"] = _nanoseconds(first)
    if usage is not None:
        members["eval_count"] = usage.output
    members["eval_duration"] = _nanoseconds(end - (first or 0))
    return members


def _nanoseconds(seconds: float) -> int:
    return round(max(seconds, 0) * 1e9)


def _said(blocks: Iterable[Block], logprobs: Sequence[Raw]) -> Members:
    """What the blocks of a whole answer say."""
    said: dict[str, list[Any]] = {}
    for block in blocks:
        match block:
            case Text() | Refusal():
                said.setdefault("content", []).append(block.text)
            case Thinking(text=str(text)) if text:
                said.setdefault("thinking", []).append(text)
            case ToolCall():
                calls = said.setdefault("tool_calls", [])
                calls.append(tool_call(block, len(calls)))
            case Image() | Audio():
                for name, told in _media(block).items():
                    said.setdefault(name, []).extend(told if name == "images" else [told])
            case _:
                pass
    members: Members = {
        name: "".join(parts) if name in ("content", "thinking") else parts for name, parts in said.items()
    }
    if logprobs:
        members["logprobs"] = joined(logprobs)
    return members


def _media(block: Image | Audio) -> Members:
    if isinstance(block, Audio):
        return {"content": SOUND}
    return {"content": PICTURE} if block.data is None else {"images": [block.data]}


def tool_call(call: ToolCall, index: int) -> Members:
    arguments, _ = object_of(call)
    return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": arguments}}
