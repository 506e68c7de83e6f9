"""Events to a client's chunks, or to its whole completion.

The envelope of a chunk is the same bytes for a whole stream, so it is built once and a delta is put between its halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from omniroute.formats import custom
from omniroute.formats.codec import TRUNCATED, Head
from omniroute.formats.fold import Message, joined
from omniroute.formats.framing import flat
from omniroute.formats.ir import (
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
from omniroute.formats.openai_chat import faults
from omniroute.formats.openai_chat.head import customs, wants_usage

_encode = msgspec.json.Encoder().encode

FINISHES: dict[FinishReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "context_window": "length",
}


def encoder(head: Head, ident: str, created: int) -> ChunkEncoder:
    return ChunkEncoder(head.model, ident, created, wants_usage=wants_usage(head), free=customs(head))


class _Call:
    """A call on its way. `wrap` is there where the model calls a function in place of a tool that takes free text."""

    __slots__ = ("custom", "index", "wrap")

    def __init__(self, index: int, start: ToolStart, free: frozenset[str]) -> None:
        self.index = index
        self.custom = start.custom or start.name in free
        self.wrap = custom.Unwrapping() if self.custom and not start.custom else None


class ChunkEncoder:
    __slots__ = (
        "_after",
        "_before",
        "_calls",
        "_declined",
        "_free",
        "_next",
        "_over",
        "_started",
        "_text",
        "_usage",
        "_wants_usage",
    )

    def __init__(self, model: str, ident: str, created: int, *, wants_usage: bool, free: frozenset[str]) -> None:
        self._before = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":[' % (
            _encode(ident),
            created,
            _encode(model),
        )
        self._after = b'],"usage":null}\n\n' if wants_usage else b"]}\n\n"
        self._text = self._before + b'{"index":0,"delta":{"content":'
        self._wants_usage = wants_usage
        self._usage: Usage | None = None
        self._started = False
        self._declined = False
        self._over = False
        self._next = 0
        self._free = free
        self._calls: dict[int, _Call] = {}

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if self._over:
                break
            if not self._started:
                self._started = True
                out.append(self._delta({"role": "assistant", "content": "", "refusal": None}))
            if event.__class__ is TextDelta and event.logprobs is None:
                if event.text:
                    out += (self._text, _encode(event.text), b'},"logprobs":null,"finish_reason":null}', self._after)
            else:
                out.append(self._one(event))
        return b"".join(out)

    def close(self) -> bytes:
        return b"" if self._over else self._one(Failed(TRUNCATED))

    def _one(self, event: Event) -> bytes:
        match event:
            case TextDelta():
                return self._delta({"content": event.text}, event.logprobs)
            case ThinkingDelta(text=str(text)) if text:
                return self._delta({"reasoning_content": text})
            case RefusalDelta(text=str(text)) if text:
                self._declined = True
                return self._delta({"refusal": text})
            case ToolStart():
                return self._start_tool(event)
            case ToolDelta():
                return self._extend_tool(event)
            case BlockStop(index=int(index)):
                return self._end_tool(index)
            case Media(block=Image() as image):
                return self._delta({"images": [picture(image)]})
            case UsageSeen():
                self._usage = event.usage
            case Finish():
                return self._finish(event.reason)
            case Failed():
                self._over = True
                return faults.event(event.fault)
            case _:
                pass
        return b""

    def _delta(self, delta: dict[str, Any], logprobs: Raw | None = None, finish: str | None = None) -> bytes:
        choice = {
            "index": 0,
            "delta": delta,
            "logprobs": None if logprobs is None else {"content": Raw(flat(bytes(logprobs))), "refusal": None},
            "finish_reason": finish,
        }
        return self._before + _encode(choice) + self._after

    def _start_tool(self, start: ToolStart) -> bytes:
        ended = self._end_tool(start.index)
        call = self._calls[start.index] = _Call(self._next, start, self._free)
        self._next += 1
        told = tool_call(ToolCall(start.id, start.name, "", custom=call.custom))
        return ended + self._delta({"tool_calls": [{"index": call.index, **told}]})

    def _extend_tool(self, delta: ToolDelta) -> bytes:
        call = self._calls.get(delta.index)
        if call is None:
            return b""
        return self._piece(call, delta.arguments if call.wrap is None else call.wrap.feed(delta.arguments))

    def _end_tool(self, index: int) -> bytes:
        call = self._calls.pop(index, None)
        return b"" if call is None or call.wrap is None else self._piece(call, call.wrap.close())

    def _piece(self, call: _Call, text: str) -> bytes:
        if not text:
            return b""
        piece = {"custom": {"input": text}} if call.custom else {"function": {"arguments": text}}
        return self._delta({"tool_calls": [{"index": call.index, **piece}]})

    def _finish(self, reason: FinishReason) -> bytes:
        self._over = True
        out = b"".join([self._end_tool(index) for index in list(self._calls)])
        out += self._delta({}, finish=finish(reason, declined=self._declined))
        if self._wants_usage and self._usage is not None:
            out += self._before + b'],"usage":' + _encode(usage(self._usage)) + b"}\n\n"
        return out + b"data: [DONE]\n\n"


def encode_reply(told: Message, head: Head, ident: str, created: int) -> bytes:
    if told.fault is not None:
        return faults.encode_error(told.fault, "")
    message = _message(told, customs(head))
    body: dict[str, Any] = {
        "id": ident,
        "object": "chat.completion",
        "created": created,
        "model": head.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": {"content": joined(told.logprobs), "refusal": None} if told.logprobs else None,
                "finish_reason": finish(told.finish or "stop", declined=message["refusal"] is not None),
            }
        ],
    }
    if told.usage is not None:
        body["usage"] = usage(told.usage)
    return _encode(body)


def _message(told: Message, free: frozenset[str]) -> dict[str, Any]:
    texts: list[str] = []
    refusals: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    pictures: list[dict[str, Any]] = []
    for block in told.blocks:
        match block:
            case Text():
                texts.append(block.text)
            case Refusal():
                refusals.append(block.text)
            case Thinking():
                thoughts.append(block.text)
            case ToolCall():
                calls.append(tool_call(custom.called(block, free)))
            case Image():
                pictures.append(picture(block))
            case _:
                pass
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts or not (calls or refusals) else None,
        "refusal": "".join(refusals) or None,
    }
    if any(thoughts):
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    if pictures:
        message["images"] = pictures
    return message


def tool_call(call: ToolCall) -> dict[str, Any]:
    if call.custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def picture(image: Image) -> dict[str, Any]:
    """An image as a part."""
    url = image.url if image.data is None else f"data:{image.media_type or 'image/png'};base64,{image.data}"
    link = {"url": url or ""}
    if image.detail is not None:
        link["detail"] = image.detail
    return {"type": "image_url", "image_url": link}


def finish(reason: FinishReason, *, declined: bool) -> str:
    """A refusal in words ends with `stop`, as OpenAI's own do; one without words was a filter's."""
    return "stop" if declined and reason == "refusal" else FINISHES[reason]


def usage(spent: Usage) -> dict[str, Any]:
    prompt = {"cached_tokens": spent.cached, "audio_tokens": spent.audio_input}
    written = spent.cache_write + spent.cache_write_1h
    if written:
        prompt["cache_write_tokens"] = written
    told: dict[str, Any] = {
        "prompt_tokens": spent.input,
        "completion_tokens": spent.output,
        "total_tokens": spent.input + spent.output,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": spent.reasoning, "audio_tokens": spent.audio_output},
    }
    if spent.estimated:
        told["estimated"] = True
    return told
