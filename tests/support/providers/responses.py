"""OpenAI's responses, as a provider says them: items, and events that tell each of them growing and once more whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.providers.says import Says, Spent, pieces
from support.upstream import Asked

SERVED = "vendor-reasons-2026-05-01"
PATH = "/responses"
CONTENT_TYPE = "text/event-stream; charset=utf-8"
OVERLOADED = "server_is_overloaded"


def speaks(path: str) -> bool:
    return path.endswith(PATH)


def wants_stream(asked: Asked) -> bool:
    return bool(asked.json.get("stream"))


def wants_usage(asked: Asked) -> bool:
    return True


def whole(says: Says) -> dict[str, Any]:
    status, _, reason = (says.finish or "completed").partition(":")
    return _response(
        status=status,
        incomplete_details={"reason": reason} if reason else None,
        output=list(_items(says)),
        usage=_usage(says.spent),
    )


def _response(**fields: Any) -> dict[str, Any]:
    return {
        "id": "resp_67Theirs",
        "object": "response",
        "created_at": 1759000000,
        "background": False,
        "error": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": SERVED,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
        **fields,
    }


def _items(says: Says) -> Iterator[dict[str, Any]]:
    if says.thinking:
        summary = [{"type": "summary_text", "text": says.thinking}]
        yield {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": says.signature or None}
    if says.text:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": says.text}
        yield {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    if says.refusal:
        refused = {"type": "refusal", "refusal": says.refusal}
        yield {"id": "msg_2", "type": "message", "status": "completed", "role": "assistant", "content": [refused]}
    for number, call in enumerate(says.calls):
        yield {
            "id": f"fc_{number}",
            "type": "function_call",
            "status": "completed",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
        }


def stream(says: Says, *, usage: bool = True) -> Iterator[bytes]:
    for number, told in enumerate(_events(says)):
        yield event(told | {"sequence_number": number})


def event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _events(says: Says) -> Iterator[dict[str, Any]]:
    begun = _response(status="in_progress", incomplete_details=None, output=[], usage=None)
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(_items(says)):
        spot = {"item_id": item["id"], "output_index": index}
        empty = {"reasoning": {"summary": [], "encrypted_content": ""}, "message": {"content": []}}
        start = item | empty.get(item["type"], {"arguments": ""})
        start |= {"status": "in_progress"} if "status" in item else {}
        yield {"type": "response.output_item.added", "output_index": index, "item": start}
        yield from _grown(item, spot, says.size)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    final = whole(says)
    yield {"type": f"response.{final['status']}", "response": final}


def _grown(item: dict[str, Any], spot: dict[str, Any], size: int) -> Iterator[dict[str, Any]]:
    """The events between the beginning and the end of an item."""
    if item["type"] == "function_call":
        for piece in pieces(item["arguments"], size):
            yield {"type": "response.function_call_arguments.delta", **spot, "delta": piece, "obfuscation": "aX3"}
        yield {"type": "response.function_call_arguments.done", **spot, "arguments": item["arguments"]}
        return
    if item["type"] == "reasoning":
        part = item["summary"][0]
        spot = spot | {"summary_index": 0}
        kind, added, grows, name = "summary_text", "reasoning_summary_part", "reasoning_summary_text", "text"
    else:
        part = item["content"][0]
        spot = spot | {"content_index": 0}
        kind, added = part["type"], "content_part"
        grows, name = ("output_text", "text") if kind == "output_text" else ("refusal", "refusal")
    more: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
    yield {"type": f"response.{added}.added", **spot, "part": part | {name: ""}}
    for piece in pieces(part[name], size):
        yield {"type": f"response.{grows}.delta", **spot, "delta": piece, "obfuscation": "q", **more}
    yield {"type": f"response.{grows}.done", **spot, name: part[name], **more}
    yield {"type": f"response.{added}.done", **spot, "part": part}


def _usage(spent: Spent) -> dict[str, Any]:
    cached = {"cached_tokens": spent.cached}
    if spent.written:
        cached["cache_write_tokens"] = spent.written
    return {
        "input_tokens": spent.prompt,
        "input_tokens_details": cached,
        "output_tokens": spent.answer,
        "output_tokens_details": {"reasoning_tokens": spent.reasoning},
        "total_tokens": spent.prompt + spent.answer,
    }


def refusal(status: int, kind: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": None} | more}


def failure(message: str) -> bytes:
    """An overload, told within a stream."""
    told = {"code": OVERLOADED, "message": message}
    failed = _response(status="failed", incomplete_details=None, output=[], usage=None, error=told)
    return event({"type": "response.failed", "response": failed, "sequence_number": 99})
