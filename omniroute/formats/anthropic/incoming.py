"""An upstream's answer to events.

What is cited is not told, since no other format could show it; what servers' own tools did is told with the block as
it was.
"""

from __future__ import annotations

import msgspec

from omniroute.formats.anthropic import faults, seal, views
from omniroute.formats.anthropic.head import NAME
from omniroute.formats.codec import TRUNCATED
from omniroute.formats.decoding import Answering, RecordDecoder
from omniroute.formats.fold import Message
from omniroute.formats.ir import (
    Block,
    BlockStop,
    Event,
    Finish,
    FinishReason,
    Media,
    Opaque,
    Raw,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolDelta,
    ToolStart,
    UsageSeen,
)

DONE = b"[DONE]"
"""Anthropic never sends it; servers that come from OpenAI's format do."""
_any = msgspec.json.Decoder().decode
_object = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def decoder() -> StreamDecoder:
    return StreamDecoder()


def decode_reply(body: bytes) -> Message:
    try:
        return _whole(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole(body: bytes) -> Message:
    message = views.message(body)
    if message.type == "error" or bytes(message.error):
        return Message(fault=faults.told(_any(body)))
    if message.content is None:
        raise ValueError("it has no content")
    blocks = tuple([block for raw in message.content if (block := _block(raw)) is not None])
    return Message(
        id=message.id or "",
        model=message.model or "",
        blocks=blocks,
        usage=None if message.usage is None else views.usage(message.usage),
        finish=_finish(message.stop_reason, called=ToolCall in map(type, blocks)),
        stop_sequence=message.stop_sequence,
    )


def _block(raw: Raw) -> Block | None:
    """A whole block; None where it says nothing."""
    told = _look(raw)
    match told.type:
        case "text":
            return Text(told.text) if told.text else None
        case "thinking":
            if not (told.thinking or told.signature):
                return None
            issuer, signature = seal.unseal(told.signature or "")
            return Thinking(told.thinking or "", signature, issuer=issuer or NAME)
        case "redacted_thinking":
            issuer, data = seal.unseal(told.data or "")
            return Thinking(redacted=data or "", issuer=issuer or NAME)
        case "tool_use":
            return ToolCall(told.id, told.name, _input(told))
        case _:
            return Opaque(NAME, told.type, raw)


def _look(raw: Raw) -> views.Block:
    told = views.block(raw)
    if not told.type:
        raise ValueError("a block has no type")
    bytes(raw).decode()  # the decoder takes what it skips on trust
    return told


def _finish(stop_reason: str | None, *, called: bool) -> FinishReason:
    """Some servers say that the turn ended although the model waits for a result."""
    reason = views.finish(stop_reason or "end_turn")
    return "tool_calls" if reason == "stop" and called else reason


class _Block:
    """A content block that is open: what it is, and what was held back of it."""

    __slots__ = ("kind", "parts", "raw", "told", "tool")

    def __init__(self, kind: str, raw: Raw) -> None:
        self.kind = kind
        self.raw = raw
        self.tool = -1
        self.parts: list[str] = []
        self.told = False


class Answer(Answering):
    """What the events told so far."""

    __slots__ = ("_blocks", "_started", "_stop_reason", "_stop_sequence", "_tools", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None
        self._started = False
        self._usage: views.Spent | None = None
        self._blocks: dict[int, _Block] = {}
        self._tools = 0

    def take(self, told: views.Event, payload: bytes, events: list[Event]) -> None:
        kind = told.type
        if kind == "content_block_delta":
            if told.delta is not None:
                self._extend(told.index, told.delta, events)
        elif kind == "content_block_start":
            self._open(told.index, told.content_block, events)
        elif kind == "content_block_stop":
            self._shut(told.index, events)
        elif kind == "message_start":
            self._start(told.message or views.Message(), events)
        elif kind == "message_delta":
            self._delta(told, events)
        elif kind == "message_stop":
            self._stop_reason = self._stop_reason or "end_turn"
            self._end(events)
        elif kind == "error":
            self.fail(faults.told(_any(payload)), events)

    def _start(self, message: views.Message, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            events.append(Start(message.id or "", message.model or ""))
        if message.usage is not None:
            self._spend(message.usage, events)

    def _open(self, index: int, raw: Raw, events: list[Event]) -> None:
        if not self._started:
            self._start(views.Message(), events)
        told = _look(raw)
        block = self._blocks[index] = _Block(told.type, raw)
        match told.type:
            case "text":
                if told.text:
                    block.told = True
                    events.append(TextDelta(told.text))
            case "thinking":
                self._think(block, told.thinking, told.signature, events)
            case "redacted_thinking":
                issuer, data = seal.unseal(told.data or "")
                events.append(ThinkingDelta(redacted=data or "", issuer=issuer or NAME))
            case "tool_use":
                block.tool = self._tools
                self._tools += 1
                events.append(ToolStart(block.tool, told.id, told.name))

    def _extend(self, index: int, delta: views.Delta, events: list[Event]) -> None:
        block = self._blocks.get(index)
        if delta.text:
            if block is not None:
                block.told = True
            events.append(TextDelta(delta.text))
        elif block is None:
            return
        elif delta.partial_json:
            block.told = True
            if block.tool >= 0:
                events.append(ToolDelta(block.tool, delta.partial_json))
            else:
                block.parts.append(delta.partial_json)
        elif delta.thinking or delta.signature:
            self._think(block, delta.thinking, delta.signature, events)

    def _think(self, block: _Block, text: str | None, signature: str | None, events: list[Event]) -> None:
        if text:
            block.told = True
            events.append(ThinkingDelta(text, issuer=NAME))
        if signature:
            block.told = True
            issuer, inner = seal.unseal(signature)
            events.append(ThinkingDelta(signature=inner, issuer=issuer))

    def _shut(self, index: int, events: list[Event]) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.tool >= 0:
            if not block.told:
                events.append(ToolDelta(block.tool, _input(views.block(block.raw))))
            events.append(BlockStop(block.tool))
        elif block.kind not in ("text", "thinking", "redacted_thinking"):
            events.append(Media(Opaque(NAME, block.kind, _assembled(block))))
        elif block.told:
            events.append(BlockStop())

    def _delta(self, told: views.Event, events: list[Event]) -> None:
        if not self._started:
            self._start(views.Message(), events)
        if told.delta is not None and told.delta.stop_reason:
            self._stop_reason, self._stop_sequence = told.delta.stop_reason, told.delta.stop_sequence
        if told.usage is not None:
            self._spend(told.usage, events)

    def _spend(self, spent: views.Spent, events: list[Event]) -> None:
        self._usage = spent if self._usage is None else views.merge(self._usage, spent)
        events.append(UsageSeen(views.usage(self._usage)))

    def close(self, events: list[Event]) -> None:
        """The end of the bytes, which is enough after a reason to stop."""
        if self.over:
            return
        if self._stop_reason is None:
            self.fail(TRUNCATED, events)
        else:
            self._end(events)

    def _end(self, events: list[Event]) -> None:
        if not self._started:
            self.fail(TRUNCATED, events)
            return
        for index in list(self._blocks):
            self._shut(index, events)
        self.over = True
        events.append(Finish(_finish(self._stop_reason, called=self._tools > 0), self._stop_sequence))


class StreamDecoder(RecordDecoder[Answer]):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Answer())

    def _record(self, name: bytes, payload: bytes, events: list[Event]) -> None:
        if payload.startswith(DONE):
            self._answer.close(events)
        elif payload:
            told = views.known(name, payload)
            if told is not None:
                self._answer.take(told, payload, events)


def _input(block: views.Block) -> str:
    """The arguments of a call that came whole with its start; those of a call without any are an empty object."""
    given = bytes(block.input)
    return "{}" if given in (b"", b"null") else given.decode()


def _assembled(block: _Block) -> Raw:
    """A block with the input that followed its start."""
    if not block.parts:
        return block.raw
    text = "".join(block.parts).encode()
    return Raw(_encode({**_object(block.raw), "input": Raw(text if _is_json(text) else _encode(text.decode()))}))


def _is_json(text: bytes) -> bool:
    try:
        _object(text)
    except (ValueError, RecursionError):
        return False
    return True
