"""OpenAI's chat completions, as a provider says them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.providers.says import Says, Spent, pieces
from support.upstream import Asked

SERVED = "vendor-chat-2026-05-01"
PATH = "/chat/completions"
CONTENT_TYPE = "text/event-stream"
OVERLOADED = "overloaded_error"


def speaks(path: str) -> bool:
    return path.endswith(PATH)


def wants_stream(asked: Asked) -> bool:
    return bool(asked.json.get("stream"))


def wants_usage(asked: Asked) -> bool:
    return bool((asked.json.get("stream_options") or {}).get("include_usage"))


def whole(says: Says) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": says.text or None,
        "refusal": says.refusal or None,
        "annotations": [],
    }
    if says.thinking:
        message["reasoning_content"] = says.thinking
    if says.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in says.calls
        ]
    return {
        "id": "chatcmpl-CT9zTheirs",
        "object": "chat.completion",
        "created": 1759000000,
        "model": SERVED,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(says)}],
        "usage": _usage(says.spent),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def stream(says: Says, *, usage: bool = True) -> Iterator[bytes]:
    yield from (event(chunk) for chunk in _chunks(says, usage=usage))
    yield b"data: [DONE]\n\n"


def event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def _chunks(says: Says, *, usage: bool) -> Iterator[dict[str, Any]]:
    envelope = {
        "id": "chatcmpl-CT9zTheirs",
        "object": "chat.completion.chunk",
        "created": 1759000000,
        "model": SERVED,
        "service_tier": "default",
        "system_fingerprint": None,
    }
    if usage:
        envelope["usage"] = None
    for delta in _deltas(says):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        yield envelope | {"choices": [choice], "obfuscation": "x4Tz"}
    last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": _finish(says)}
    yield envelope | {"choices": [last]}
    if usage:
        yield envelope | {"choices": [], "usage": _usage(says.spent)}


def _deltas(says: Says) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": None if says.calls else "", "refusal": None}
    yield from ({"reasoning_content": piece} for piece in pieces(says.thinking, says.size))
    yield from ({"content": piece} for piece in pieces(says.text, says.size))
    yield from ({"refusal": piece} for piece in pieces(says.refusal, says.size))
    for index, call in enumerate(says.calls):
        start = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield {"tool_calls": [start]}
        for piece in pieces(call.arguments, says.size):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _finish(says: Says) -> str:
    return says.finish or ("tool_calls" if says.calls else "stop")


def _usage(spent: Spent) -> dict[str, Any]:
    prompt = {"cached_tokens": spent.cached, "audio_tokens": 0}
    if spent.written:
        prompt["cache_write_tokens"] = spent.written
    return {
        "prompt_tokens": spent.prompt,
        "completion_tokens": spent.answer,
        "total_tokens": spent.prompt + spent.answer,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": spent.reasoning, "audio_tokens": 0},
    }


def refusal(status: int, kind: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": None} | more}


def failure(message: str) -> bytes:
    """An overload, told within a stream."""
    return event({"error": {"message": message, "type": OVERLOADED, "code": None, "param": None}})
