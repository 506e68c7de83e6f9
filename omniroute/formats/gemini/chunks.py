"""Events to a client's chunks, or to its whole answer.

A chunk is an answer with a few parts only: an event of its own, or an element of an array that grows, which is legal
JSON at each end that it may come to. Its envelope is the same bytes for a whole stream, so it is built once and a text
is put between its halves.

A call is told whole, for its arguments are an object here; calls follow each other in the order in which they began. A
signature waits for the part that follows the thinking, whose words only those hear who asked for them. A call without one bears the stand-in, so that a model of
Google's that takes over the conversation does not refuse it (`seal.py`). A refusal is text, and so the finish of one
with words is `STOP`; one without is a filter's, `SAFETY`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from omniroute.formats.arguments import object_of
from omniroute.formats.codec import TRUNCATED, Fields, Head
from omniroute.formats.fold import Message
from omniroute.formats.framing import flat
from omniroute.formats.gemini import faults, logprobs, media, seal
from omniroute.formats.gemini.head import ARRAY, NAME, shows_thoughts
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
    Opaque,
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

_encode = msgspec.json.Encoder().encode

FINISHES: dict[FinishReason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "STOP",
    "context_window": "MAX_TOKENS",
}
BETWEEN = b",\r\n"
"""Between the elements of an array, as Google writes it."""


def encoder(head: Head, ident: str, created: int) -> ChunkEncoder:  # noqa: ARG001 - answers here have no date
    return ChunkEncoder(head.model, ident, array=head.mode == ARRAY, thoughts=shows_thoughts(head))


class Frames:
    """How chunks are told one after another: as events, or as the elements of an array."""

    __slots__ = ("after", "before", "end", "following")

    def __init__(self, *, array: bool) -> None:
        self.before = b"[" if array else b"data: "
        self.following = BETWEEN if array else b"data: "
        self.after = b"" if array else b"\n\n"
        self.end = b"]" if array else b""

    def frame(self, data: bytes) -> bytes:
        out = self.before + data + self.after
        self.before = self.following
        return out


class _Open:
    """A call that waits to be whole, and for those that began before it."""

    __slots__ = ("done", "parts", "signature", "start")

    def __init__(self, start: ToolStart, signature: str) -> None:
        self.start = start
        self.signature = signature
        self.parts: list[str] = []
        self.done = False

    def part(self) -> Any:
        start = self.start
        return _call(ToolCall(start.id, start.name, "".join(self.parts), custom=start.custom), self.signature)


class Signing:
    """The signature that waits for the part it will stand on."""

    __slots__ = ("_called", "_issuer", "_redacted", "_signature")

    def __init__(self) -> None:
        self._issuer: str | None = None
        self._signature: str | None = None
        self._redacted: str | None = None
        self._called = False

    def waits(self) -> bool:
        return self._signature is not None or self._redacted is not None

    def hold(self, thought: Thinking | ThinkingDelta) -> None:
        if thought.redacted is not None:
            self._issuer, self._redacted = thought.issuer, thought.redacted
        elif thought.signature is not None:
            self._issuer = thought.issuer or self._issuer
            self._signature = (self._signature or "") + thought.signature

    def take(self) -> str:
        """What is to stand on the next part; empty for nothing."""
        if not self.waits():
            return ""
        sealed = seal.seal(self._issuer, self._signature, self._redacted)
        self._issuer = self._signature = self._redacted = None
        return sealed

    def for_call(self) -> str:
        """What is to stand on a call."""
        sealed = self.take() or ("" if self._called else seal.STAND_IN)
        self._called = True
        return sealed


class ChunkEncoder:
    __slots__ = (
        "_after",
        "_calls",
        "_declined",
        "_frames",
        "_over",
        "_signing",
        "_tail",
        "_text_after",
        "_thoughts",
        "_usage",
        "_waiting",
    )

    def __init__(self, model: str, ident: str, *, array: bool, thoughts: bool) -> None:
        self._thoughts = thoughts
        self._frames = Frames(array=array)
        self._tail = b',"modelVersion":%b,"responseId":%b}' % (_encode(model), _encode(ident))
        self._after = b']},"index":0}]' + self._tail
        self._text_after = b"}" + self._after + self._frames.after
        self._usage: Usage | None = None
        self._over = False
        self._declined = False
        self._signing = Signing()
        self._calls: dict[int, _Open] = {}
        self._waiting: list[_Open] = []

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        frames = self._frames
        for event in events:
            if self._over:
                break
            if event.__class__ is TextDelta and event.logprobs is None and not self._signing.waits():
                if event.text:
                    out += (frames.before, _TEXT, _encode(event.text), self._text_after)
                    frames.before = frames.following
            else:
                self._one(event, out)
        return b"".join(out)

    def close(self) -> bytes:
        return b"" if self._over else self.feed([Failed(TRUNCATED)])

    def _one(self, event: Event, out: list[bytes]) -> None:
        match event:
            case TextDelta(text=str(text)) if text or event.logprobs is not None:
                self._text(event, out)
            case RefusalDelta(text=str(text)) if text:
                self._declined = True
                self._tell(_signed({"text": text}, self._signing.take()), out)
            case ThinkingDelta():
                self._think(event, out)
            case ToolStart():
                self._end(self._calls.get(event.index))
                call = self._calls[event.index] = _Open(event, self._signing.for_call())
                self._waiting.append(call)
            case ToolDelta():
                if event.index in self._calls:
                    self._calls[event.index].parts.append(event.arguments)
            case BlockStop(index=int(index)):
                self._end(self._calls.pop(index, None))
                self._release(out)
            case Media():
                part = _shown(event.block)
                if part is not None:
                    self._tell(_signed(part, self._signing.take()), out)
            case UsageSeen():
                self._usage = event.usage
            case Finish():
                self._finish(event.reason, out)
            case Failed():
                self._over = True
                out += (self._frames.frame(_encode(faults.envelope(event.fault))), self._frames.end)
            case _:
                pass

    def _text(self, delta: TextDelta, out: list[bytes]) -> None:
        chances = None if delta.logprobs is None else logprobs.written([delta.logprobs])
        beside = b"" if chances is None else b',"logprobsResult":' + _encode(chances)
        part = _encode(_signed({"text": delta.text}, self._signing.take()))
        out.append(self._frames.frame(_PARTS + part + b']},"index":0%b}]' % beside + self._tail))

    def _tell(self, part: Any, out: list[bytes]) -> None:
        out.append(self._frames.frame(_PARTS + _encode(part) + self._after))

    def _think(self, delta: ThinkingDelta, out: list[bytes]) -> None:
        if self._signing.waits() and (delta.text or delta.redacted is not None):
            self._tell(_signed({"text": ""}, self._signing.take()), out)
        if delta.text and self._thoughts:
            self._tell({"text": delta.text, "thought": True}, out)
        self._signing.hold(delta)

    def _end(self, call: _Open | None) -> None:
        if call is not None:
            call.done = True

    def _release(self, out: list[bytes]) -> None:
        """Tells the calls that are whole and whose turn it is."""
        waiting = self._waiting
        while waiting and waiting[0].done:
            self._tell(waiting.pop(0).part(), out)

    def _finish(self, reason: FinishReason, out: list[bytes]) -> None:
        self._over = True
        for call in self._waiting:
            call.done = True
        self._release(out)
        last: Any = {
            "content": {"role": "model", "parts": [_signed({"text": ""}, self._signing.take())]},
            "finishReason": finish(reason, declined=self._declined),
            "index": 0,
        }
        spent = b"" if self._usage is None else b',"usageMetadata":' + _encode(usage(self._usage))
        out += (self._frames.frame(b'{"candidates":[%b]%b%b' % (_encode(last), spent, self._tail)), self._frames.end)


_PARTS = b'{"candidates":[{"content":{"role":"model","parts":['
_TEXT = _PARTS + b'{"text":'


def encode_reply(told: Message, head: Head, ident: str, created: int) -> bytes:  # noqa: ARG001 - no date here
    if told.fault is not None:
        return faults.encode_error(told.fault, "")
    declined = any(isinstance(block, Refusal) for block in told.blocks)
    candidate: Fields = {
        "content": {"role": "model", "parts": _parts(told.blocks, thoughts=shows_thoughts(head))},
        "finishReason": finish(told.finish or "stop", declined=declined),
        "index": 0,
    }
    chances = logprobs.written(told.logprobs)
    if chances is not None:
        candidate["logprobsResult"] = chances
    body: Fields = {"candidates": [candidate]}
    if told.usage is not None:
        body["usageMetadata"] = usage(told.usage)
    return _encode(body | {"modelVersion": head.model, "responseId": ident})


def _parts(blocks: Sequence[Block], *, thoughts: bool) -> list[Any]:
    parts: list[Any] = []
    signing = Signing()
    for block in blocks:
        if isinstance(block, Thinking):
            if signing.waits():
                parts.append(_signed({"text": ""}, signing.take()))
            if block.text and thoughts:
                parts.append({"text": block.text, "thought": True})
            signing.hold(block)
        elif isinstance(block, ToolCall):
            parts.append(_call(block, signing.for_call()))
        else:
            part = _shown(block)
            if part is not None:
                parts.append(_signed(part, signing.take()))
    if signing.waits():
        parts.append(_signed({"text": ""}, signing.take()))
    return parts


def _signed(part: Any, signature: str) -> Any:
    """The part with a signature, if there is one. A part that came as it is keeps what it had."""
    return part | {"thoughtSignature": signature} if signature and isinstance(part, dict) else part


def _call(call: ToolCall, signature: str) -> Any:
    content, _ = object_of(call)
    return _signed({"functionCall": {"id": call.id, "name": call.name, "args": content}}, signature)


def _shown(block: Block) -> Any:
    """A block as a part; None where there is nothing to tell."""
    match block:
        case Text() | Refusal():
            return {"text": block.text} if block.text else None
        case Image():
            return media.picture(block)
        case Audio():
            return media.sound(block)
        case Opaque(format=form) if form == NAME:
            return Raw(flat(bytes(block.body)))
        case _:
            return None


def finish(reason: FinishReason, *, declined: bool) -> str:
    return "STOP" if declined and reason == "refusal" else FINISHES[reason]


def usage(spent: Usage) -> Fields:
    thought = min(spent.reasoning, spent.output)
    told: Fields = {
        "promptTokenCount": spent.input,
        "candidatesTokenCount": spent.output - thought,
        "totalTokenCount": spent.input + spent.output,
    }
    if thought:
        told["thoughtsTokenCount"] = thought
    if spent.cached:
        told["cachedContentTokenCount"] = spent.cached
    if spent.audio_input:
        told["promptTokensDetails"] = _modalities(spent.input, spent.audio_input)
    if spent.audio_output:
        told["candidatesTokensDetails"] = _modalities(spent.output - thought, spent.audio_output)
    if spent.estimated:
        told["estimated"] = True
    return told


def _modalities(whole: int, sound: int) -> list[Fields]:
    text = {"modality": "TEXT", "tokenCount": max(0, whole - sound)}
    return [text, {"modality": "AUDIO", "tokenCount": sound}]
