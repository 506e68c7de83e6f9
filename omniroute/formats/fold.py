"""Events to the whole message that they tell, and a whole message to events.

Streams are the more general form: what a whole answer says is what the stream that it could have been would fold into
(the SDKs of the vendors do the same, see `anthropic/lib/streaming/_messages.py`). Between two sides that do not stream
no events are made, for the message is there at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from omniroute.errors import Fault
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
    Start,
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


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole answer. `fault` is set where the stream failed, and then `finish` is not."""

    id: str = ""
    model: str = ""
    blocks: tuple[Block, ...] = ()
    logprobs: tuple[Raw, ...] = ()
    usage: Usage | None = None
    finish: FinishReason | None = None
    stop_sequence: str | None = None
    fault: Fault | None = None


class _Fold:
    """Collects blocks in the order in which they opened."""

    def __init__(self) -> None:
        self.blocks: list[Block | _Open] = []
        self.open: _Open | None = None
        self.tools: dict[int, _Open] = {}

    def extend(self, kind: type[Text | Refusal | Thinking], text: str) -> _Open:
        if self.open is None or self.open.kind is not kind:
            self.open = _Open(kind)
            self.blocks.append(self.open)
        self.open.parts.append(text)
        return self.open

    def stop(self, index: int | None) -> None:
        if index is None:
            self.open = None
        else:
            self.tools.pop(index, None)

    def think(self, delta: ThinkingDelta) -> None:
        if delta.redacted is not None:
            self.open = None
            self.blocks.append(Thinking(redacted=delta.redacted, issuer=delta.issuer))
            return
        block = self.extend(Thinking, delta.text)
        block.issuer = delta.issuer or block.issuer
        if delta.signature is not None:
            block.signature = (block.signature or "") + delta.signature

    def start_tool(self, start: ToolStart) -> None:
        self.open = None
        tool = self.tools[start.index] = _Open(ToolCall, start)
        self.blocks.append(tool)

    def extend_tool(self, delta: ToolDelta) -> None:
        tool = self.tools.get(delta.index)
        if tool is not None:
            tool.parts.append(delta.arguments)

    def add(self, block: Image | Audio | Opaque) -> None:
        self.open = None
        self.blocks.append(block)

    def done(self) -> tuple[Block, ...]:
        return tuple(block.close() if isinstance(block, _Open) else block for block in self.blocks)


class _Open:
    """A block that may still grow."""

    __slots__ = ("issuer", "kind", "parts", "signature", "start")

    def __init__(self, kind: type[Text | Refusal | Thinking | ToolCall], start: ToolStart | None = None) -> None:
        self.kind = kind
        self.start = start
        self.parts: list[str] = []
        self.signature: str | None = None
        self.issuer: str | None = None

    def close(self) -> Block:
        text = "".join(self.parts)
        if self.start is not None:
            return ToolCall(self.start.id, self.start.name, text, custom=self.start.custom)
        if self.kind is Thinking:
            return Thinking(text, signature=self.signature, issuer=self.issuer)
        return Refusal(text) if self.kind is Refusal else Text(text)


def fold(events: Iterable[Event]) -> Message:
    """The message that a legal sequence of events tells."""
    blocks = _Fold()
    start = Start()
    usage: Usage | None = None
    finish: Finish | None = None
    fault: Fault | None = None
    logprobs: list[Raw] = []
    for event in events:
        match event:
            case TextDelta():
                blocks.extend(Text, event.text)
                if event.logprobs is not None:
                    logprobs.append(event.logprobs)
            case RefusalDelta():
                blocks.extend(Refusal, event.text)
            case ThinkingDelta():
                blocks.think(event)
            case ToolStart():
                blocks.start_tool(event)
            case ToolDelta():
                blocks.extend_tool(event)
            case BlockStop():
                blocks.stop(event.index)
            case Media():
                blocks.add(event.block)
            case Start():
                start = event
            case UsageSeen():
                usage = event.usage
            case Finish():
                finish = event
            case Failed():
                fault = event.fault
    return Message(
        id=start.id,
        model=start.model,
        blocks=blocks.done(),
        logprobs=tuple(logprobs),
        usage=usage,
        finish=finish.reason if finish else None,
        stop_sequence=finish.stop_sequence if finish else None,
        fault=fault,
    )


def unfold(message: Message) -> list[Event]:
    """The shortest stream that tells the message."""
    events: list[Event] = [Start(message.id, message.model)]
    tools = 0
    logprobs = list(message.logprobs)
    for block in message.blocks:
        match block:
            case Text():
                events += [TextDelta(block.text, logprobs.pop(0) if logprobs else None), BlockStop()]
            case Refusal():
                events += [RefusalDelta(block.text), BlockStop()]
            case Thinking():
                events += [ThinkingDelta(block.text, block.signature, block.redacted, block.issuer), BlockStop()]
            case ToolCall():
                events += [
                    ToolStart(tools, block.id, block.name, custom=block.custom),
                    ToolDelta(tools, block.arguments),
                    BlockStop(tools),
                ]
                tools += 1
            case Image() | Audio() | Opaque():
                events.append(Media(block))
            case _:
                raise TypeError(f"an answer has no {type(block).__name__} block")
    if message.usage is not None:
        events.append(UsageSeen(message.usage))
    if message.fault is not None:
        events.append(Failed(message.fault))
    elif message.finish is not None:
        events.append(Finish(message.finish, message.stop_sequence))
    return events


def joined(arrays: Sequence[Raw]) -> Raw:
    """JSON arrays as one."""
    inner = [bytes(array).strip()[1:-1].strip() for array in arrays]
    return Raw(b"[" + b",".join(part for part in inner if part) + b"]")
