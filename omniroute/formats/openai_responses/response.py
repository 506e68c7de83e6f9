"""The response object: what was asked, and what came of it. A stream tells it at its start and at its end."""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.formats import custom
from omniroute.formats.codec import PICTURE, SOUND, Head
from omniroute.formats.fold import Message
from omniroute.formats.framing import flat
from omniroute.formats.ir import (
    Audio,
    Block,
    FinishReason,
    Image,
    Opaque,
    Raw,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from omniroute.formats.openai_chat import faults as outer
from omniroute.formats.openai_responses import seal
from omniroute.formats.openai_responses.head import NAME
from omniroute.formats.openai_responses.namespaces import Spaces, spaces
from omniroute.formats.openai_responses.request import customs

_encode = msgspec.json.Encoder().encode

CUT: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "context_window": "max_output_tokens",
    "content_filter": "content_filter",
}
"""Why an answer is incomplete; after any other reason it is complete."""
ECHOED = {
    "background": b"false",
    "instructions": b"null",
    "max_output_tokens": b"null",
    "max_tool_calls": b"null",
    "metadata": b"{}",
    "parallel_tool_calls": b"true",
    "previous_response_id": b"null",
    "prompt_cache_key": b"null",
    "reasoning": b'{"effort":null,"summary":null}',
    "safety_identifier": b"null",
    "service_tier": b'"auto"',
    "store": b"true",
    "temperature": b"1.0",
    "text": b'{"format":{"type":"text"}}',
    "tool_choice": b'"auto"',
    "tools": b"[]",
    "top_logprobs": b"0",
    "top_p": b"1.0",
    "truncation": b'"disabled"',
    "user": b"null",
}
"""What a response repeats of its request, and what it says where that was silent."""
_USUAL = {name: b'"%b":%b' % (name.encode(), usual) for name, usual in ECHOED.items()}
_SILENT = (Raw(b""), Raw(b"null"))


class Form:
    """The response to one request, but for what comes of it: that is put between the halves of what never changes."""

    __slots__ = ("_after", "_before", "ident")

    def __init__(self, head: Head, ident: str, created: int) -> None:
        self.ident = ident.removeprefix("resp_")
        self._before = b'{"id":%b,"object":"response","created_at":%d,"model":%b,' % (
            _encode(f"resp_{self.ident}"),
            created,
            _encode(head.model),
        )
        asked = head.fields | head.echoed
        given = {name: _line(name, raw) for name, raw in asked.items() if name in _USUAL and raw not in _SILENT}
        self._after = b"," + b",".join((_USUAL | given).values()) + b"}"

    def write(
        self,
        status: str,
        output: bytes = b"[]",
        *,
        usage: Usage | None = None,
        reason: str | None = None,
        error: dict[str, str] | None = None,
    ) -> bytes:
        return b'%b"status":%b,"error":%b,"incomplete_details":%b,"output":%b,"usage":%b%b' % (
            self._before,
            _encode(status),
            _encode(error),
            _encode(None if reason is None else {"reason": reason}),
            output,
            _encode(None if usage is None else spent(usage)),
            self._after,
        )


def _line(name: str, raw: Raw) -> bytes:
    """A field as it was asked, on one line, for it will stand in an event."""
    return b'"%b":%b' % (name.encode(), flat(bytes(raw)))


def encode_reply(told: Message, head: Head, ident: str, created: int) -> bytes:
    if told.fault is not None:
        return outer.encode_error(told.fault, "")
    form = Form(head, ident, created)
    free, within = customs(head.fields.get("tools")), spaces(head.fields.get("tools"))
    reason = CUT.get(told.finish or "stop", _silent(told))
    items: list[Any] = []
    logprobs = list(told.logprobs)
    for block in told.blocks:
        item = _item(block, f"{form.ident}_{len(items)}", free, within, logprobs)
        if item is not None:
            items.append(item)
    if reason is not None and items and isinstance(items[-1], dict) and "status" in items[-1]:
        items[-1]["status"] = "incomplete"
    status = "completed" if reason is None else "incomplete"
    return form.write(status, _encode(items), usage=told.usage, reason=reason)


def _silent(told: Message) -> str | None:
    """A refusal without words was a filter's."""
    worded = any(isinstance(block, Refusal) and block.text for block in told.blocks)
    return "content_filter" if told.finish == "refusal" and not worded else None


def _item(block: Block, ident: str, free: frozenset[str], within: Spaces, logprobs: list[Raw]) -> Any:
    """A block as an item; None where there is nothing to tell."""
    match block:
        case Text():
            chances = logprobs.pop(0) if logprobs else None
            return message(ident, text_part(block.text, chances)) if block.text else None
        case Refusal():
            return message(ident, refusal_part(block.text)) if block.text else None
        case Thinking():
            if not (block.text or block.signature or block.redacted):
                return None
            own, sealed = seal.seal(block.issuer, block.signature, block.redacted)
            return reasoning(own or f"rs_{ident}", block.text, sealed)
        case ToolCall():
            call = custom.called(block, free)
            if call.custom:
                return custom_call(ident, call.id, call.name, call.arguments)
            return function_call(ident, call.id, within.get(call.name, call.name), call.arguments)
        case Image() | Audio() | Opaque():
            return shown(block, ident)
        case _:
            return None


# ----------------------------------------------------------------------------------------------------------- items


def text_part(text: str, logprobs: Raw | None = None) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [] if logprobs is None else logprobs, "text": text}


def refusal_part(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


def message(ident: str, part: dict[str, Any] | None, status: str = "completed") -> dict[str, Any]:
    content = [] if part is None else [part]
    return {"id": f"msg_{ident}", "type": "message", "status": status, "content": content, "role": "assistant"}


def reasoning(ident: str, text: str, sealed: str | None) -> dict[str, Any]:
    """A reasoning item; its id is whole, since one that was sealed keeps its own."""
    item: dict[str, Any] = {"id": ident, "type": "reasoning", "summary": [summary_part(text)] if text else []}
    if sealed:
        item["encrypted_content"] = sealed
    return item


def summary_part(text: str) -> dict[str, str]:
    return {"type": "summary_text", "text": text}


def function_call(
    ident: str, call: str, name: str | tuple[str, str], arguments: str, status: str = "completed"
) -> dict[str, Any]:
    """A call of a function, whose name may be that of its namespace and its own."""
    named = {"name": name} if isinstance(name, str) else {"namespace": name[0], "name": name[1]}
    return {
        "id": f"fc_{ident}",
        "type": "function_call",
        "status": status,
        "arguments": arguments,
        "call_id": call,
        **named,
    }


def custom_call(ident: str, call: str, name: str, text: str, status: str = "completed") -> dict[str, Any]:
    return {
        "id": f"ctc_{ident}",
        "type": "custom_tool_call",
        "status": status,
        "call_id": call,
        "name": name,
        "input": text,
    }


def shown(block: Image | Audio | Opaque, ident: str) -> Any:
    """A block of another kind as an item, or words that there was one; None where it is another format's."""
    if isinstance(block, Opaque):
        return block.body if block.format == NAME else None
    if isinstance(block, Image) and block.data is not None:
        form = (block.media_type or "image/png").partition("/")[2]
        item = {"id": f"ig_{ident}", "type": "image_generation_call", "status": "completed", "result": block.data}
        return {**item, "output_format": form}
    return message(ident, text_part(PICTURE if isinstance(block, Image) else SOUND))


def spent(usage: Usage) -> dict[str, Any]:
    told: dict[str, Any] = {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write + usage.cache_write_1h,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
    if usage.estimated:
        told["estimated"] = True
    return told
