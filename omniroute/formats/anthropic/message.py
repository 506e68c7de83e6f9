"""Events to a client's stream, or to its whole message.

A stream here is one block after another, while other formats let calls grow side by side. So the first block that is
open is written as it grows, and those that open meanwhile wait, each in bytes that are ready to be sent.

Nothing but text, thinking and calls can be told of another format's answer: a refusal is text, of a picture or a sound
only that there was one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from omniroute.formats.anthropic import faults, seal
from omniroute.formats.anthropic.head import NAME
from omniroute.formats.anthropic.writing import text_block
from omniroute.formats.arguments import object_of
from omniroute.formats.codec import PICTURE, SOUND, TRUNCATED, Head
from omniroute.formats.fold import Message
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

REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "context_window": "model_context_window_exceeded",
}
NOTHING = Usage()
_START = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b'
_SIGNATURE = b'{"type":"signature_delta","signature":'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_END = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_PIECES = {
    "text": b'{"type":"text_delta","text":',
    "refusal": b'{"type":"text_delta","text":',
    "thinking": b'{"type":"thinking_delta","thinking":',
    "tool": b'{"type":"input_json_delta","partial_json":',
}


def encoder(head: Head, ident: str, created: int) -> MessageEncoder:  # noqa: ARG001 - messages here have no date
    return MessageEncoder(head.model, ident)


class _Open:
    """A block on its way. `parts` are whole events that wait for their turn, `before` is what begins each piece."""

    __slots__ = ("before", "custom", "done", "index", "issuer", "kind", "parts", "signature")

    def __init__(self, kind: str, index: int) -> None:
        self.kind = kind
        self.index = index
        self.before = _DELTA % (index, _PIECES.get(kind, b""))
        self.parts: list[bytes] = []
        self.done = False
        self.custom = False
        self.signature: str | None = None
        self.issuer: str | None = None

    def piece(self, text: str) -> bytes:
        return self.before + _encode(text) + b"}}\n\n"

    def sealed(self) -> bytes:
        """The signature, if there is anything to sign or a foreign issuer to name."""
        if self.signature is None and self.issuer in (None, NAME):
            return b""
        signature = seal.seal(self.issuer, self.signature)
        return _DELTA % (self.index, _SIGNATURE) + _encode(signature) + b"}}\n\n"


class MessageEncoder:
    __slots__ = ("_blocks", "_id", "_model", "_over", "_saying", "_started", "_tools", "_usage", "_waiting")

    def __init__(self, model: str, ident: str) -> None:
        self._model = model
        self._id = message_id(ident)
        self._usage: Usage | None = None
        self._started = False
        self._over = False
        self._blocks = 0
        self._waiting: list[_Open] = []  # the first of them is written as it grows
        self._saying: _Open | None = None  # text, a refusal or thinking that the next piece may extend
        self._tools: dict[int, _Open] = {}

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            saying = self._saying
            if event.__class__ is TextDelta and saying is not None and saying.kind == "text" and not self._over:
                if saying is self._waiting[0]:
                    out += (saying.before, _encode(event.text), b"}}\n\n")
                else:
                    saying.parts.append(saying.piece(event.text))
            elif not self._over:
                self._one(event, out)
        return b"".join(out)

    def close(self) -> bytes:
        return b"" if self._over else self.feed([Failed(TRUNCATED)])

    def _one(self, event: Event, out: list[bytes]) -> None:
        match event:
            case TextDelta(text=str(text)):
                self._say("text", text, out)
            case RefusalDelta(text=str(text)):
                self._say("refusal", text, out)
            case ThinkingDelta():
                self._think(event, out)
            case ToolStart():
                self._call(event, out)
            case ToolDelta(arguments=str(text)) if text:
                self._extend(event.index, text, out)
            case BlockStop(index=int(index)):
                self._end(self._tools.pop(index, None), out)
            case BlockStop():
                self._end_saying(out)
            case Media():
                self._show(event.block, out)
            case UsageSeen():
                self._usage = event.usage
            case Finish():
                self._finish(event, out)
            case Failed():
                self._over = True
                out.append(faults.event(event.fault))
            case _:
                pass

    # Blocks

    def _open(self, kind: str, content: Any, out: list[bytes]) -> _Open:
        if not self._started:
            self._start(out)
        block = _Open(kind, self._blocks)
        self._blocks += 1
        self._waiting.append(block)
        self._put(block, _START % (block.index, _encode(content)), out)
        return block

    def _put(self, block: _Open, data: bytes, out: list[bytes]) -> None:
        if block is self._waiting[0]:
            out.append(data)
        else:
            block.parts.append(data)

    def _end(self, block: _Open | None, out: list[bytes]) -> None:
        """Ends a block; if it was the one that is written, those that wait move up."""
        if block is None:
            return
        block.done = True
        last = block.piece('"}') if block.custom else block.sealed()
        self._put(block, last + _STOP % block.index, out)
        waiting = self._waiting
        while waiting and waiting[0].done:
            waiting.pop(0)
            if waiting:
                out += waiting[0].parts
                waiting[0].parts.clear()

    def _end_saying(self, out: list[bytes]) -> None:
        saying, self._saying = self._saying, None
        self._end(saying, out)

    def _begin_saying(self, kind: str, content: dict[str, Any], out: list[bytes]) -> _Open:
        """The open block of a kind, or a new one."""
        if self._saying is None or self._saying.kind != kind:
            self._end_saying(out)
            self._saying = self._open(kind, content, out)
        return self._saying

    # Events

    def _say(self, kind: str, text: str, out: list[bytes]) -> None:
        if not text:  # which says nothing, but is no more of what was said before
            if self._saying is not None and self._saying.kind != kind:
                self._end_saying(out)
            return
        block = self._begin_saying(kind, {"type": "text", "text": ""}, out)
        self._put(block, block.piece(text), out)

    def _think(self, delta: ThinkingDelta, out: list[bytes]) -> None:
        if delta.redacted is not None:
            self._end_saying(out)
            data = seal.seal(delta.issuer, delta.redacted)
            self._end(self._open("redacted", {"type": "redacted_thinking", "data": data}, out), out)
            return
        block = self._begin_saying("thinking", {"type": "thinking", "thinking": "", "signature": ""}, out)
        block.issuer = delta.issuer or block.issuer
        if delta.text:
            self._put(block, block.piece(delta.text), out)
        if delta.signature is not None:
            block.signature = (block.signature or "") + delta.signature

    def _call(self, start: ToolStart, out: list[bytes]) -> None:
        self._end_saying(out)
        self._end(self._tools.pop(start.index, None), out)
        content = {"type": "tool_use", "id": start.id, "name": start.name, "input": {}}
        block = self._tools[start.index] = self._open("tool", content, out)
        if start.custom:
            block.custom = True
            self._put(block, block.piece('{"input":"'), out)

    def _extend(self, index: int, text: str, out: list[bytes]) -> None:
        block = self._tools.get(index)
        if block is not None:
            self._put(block, block.piece(_encode(text)[1:-1].decode() if block.custom else text), out)

    def _show(self, shown: Image | Audio | Opaque, out: list[bytes]) -> None:
        self._end_saying(out)
        if isinstance(shown, Opaque):
            if shown.format == NAME:
                self._end(self._open("opaque", Raw(flat(bytes(shown.body))), out), out)
            return
        self._say("text", PICTURE if isinstance(shown, Image) else SOUND, out)
        self._end_saying(out)

    def _start(self, out: list[bytes]) -> None:
        self._started = True
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage(self._usage or NOTHING),
        }
        out.append(b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n' % _encode(message))

    def _finish(self, finish: Finish, out: list[bytes]) -> None:
        if not self._started:
            self._start(out)
        for block in list(self._waiting):
            if not block.done:
                self._end(block, out)
        delta = {"stop_reason": REASONS[finish.reason], "stop_sequence": finish.stop_sequence}
        told = {"type": "message_delta", "delta": delta, "usage": usage(self._usage or NOTHING)}
        out += (b"event: message_delta\ndata: ", _encode(told), b"\n\n", _END)
        self._over = True


def encode_reply(told: Message, head: Head, ident: str, created: int) -> bytes:  # noqa: ARG001 - no date here
    if told.fault is not None:
        return faults.encode_error(told.fault, "")
    return _encode(
        {
            "id": message_id(ident),
            "type": "message",
            "role": "assistant",
            "model": head.model,
            "content": [content for block in told.blocks if (content := _content(block)) is not None],
            "stop_reason": REASONS[told.finish or "stop"],
            "stop_sequence": told.stop_sequence,
            "usage": usage(told.usage or NOTHING),
        }
    )


def _content(block: Block) -> Any:
    """A block as it stands in a message; None where there is nothing to tell."""
    match block:
        case Text() | Refusal():
            return text_block(block.text) if block.text else None
        case Thinking(redacted=str(data)):
            return {"type": "redacted_thinking", "data": seal.seal(block.issuer, data)}
        case Thinking():
            signature = seal.seal(block.issuer, block.signature)
            return {"type": "thinking", "thinking": block.text, "signature": signature}
        case ToolCall():
            content, _ = object_of(block)
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": content}
        case Opaque(format=form) if form == NAME:
            return block.body
        case Image():
            return text_block(PICTURE)
        case Audio():
            return text_block(SOUND)
        case _:
            return None


def message_id(ident: str) -> str:
    return ident if ident.startswith("msg_") else f"msg_{ident}"


def usage(spent: Usage) -> dict[str, Any]:
    written = spent.cache_write + spent.cache_write_1h
    told: dict[str, Any] = {
        "input_tokens": max(0, spent.input - spent.cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": spent.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": spent.cache_write,
            "ephemeral_1h_input_tokens": spent.cache_write_1h,
        },
        "output_tokens": spent.output,
    }
    if spent.reasoning:
        told["output_tokens_details"] = {"thinking_tokens": spent.reasoning}
    if spent.estimated:
        told["estimated"] = True
    return told
