"""What a healthy provider of each format says, whole and streamed, and what asks for it."""

from __future__ import annotations

import json
from typing import Any

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
TEXT = "Hello"


def ask(model: str, *, stream: bool = False, **more: Any) -> dict[str, Any]:
    """A request that both surfaces take."""
    said = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
    return said | ({"stream": True} if stream else {}) | more


def whole(form: str, usage: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer."""
    if form == "openai":
        message = {"role": "assistant", "content": TEXT, "refusal": None}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "theirs",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": usage or {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        }
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "theirs",
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage or {"input_tokens": 3, "output_tokens": 2},
    }


def event(form: str, data: dict[str, Any]) -> bytes:
    """One event of a stream."""
    text = json.dumps(data, separators=(",", ":")).encode()
    named = b"" if form == "openai" else b"event: %s\n" % data["type"].encode()
    return named + b"data: " + text + b"\n\n"


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
    """OpenAI's event."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    fixed = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "theirs"}
    return event("openai", {**fixed, "choices": [choice]})


def begin(form: str) -> bytes:
    """What comes before the first content."""
    if form == "openai":
        return chunk({"role": "assistant", "content": ""})
    message = whole("anthropic", {"input_tokens": 3, "output_tokens": 1}) | {"content": [], "stop_reason": None}
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return event("anthropic", {"type": "message_start", "message": message}) + event("anthropic", start)


def say(form: str, text: str, index: int = 0) -> bytes:
    """A piece of content."""
    if form == "openai":
        return chunk({"content": text}, index=index)
    delta = {"type": "text_delta", "text": text}
    return event("anthropic", {"type": "content_block_delta", "index": index, "delta": delta})


def finish(form: str, usage: dict[str, Any] | None = None) -> bytes:
    """The reason to stop, and the usage."""
    if form == "openai":
        spent = usage or {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        fixed = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "theirs"}
        return chunk({}, "stop") + event("openai", {**fixed, "choices": [], "usage": spent})
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return event("anthropic", {"type": "content_block_stop", "index": 0}) + event(
        "anthropic", {"type": "message_delta", "delta": delta, "usage": usage or {"output_tokens": 2}}
    )


def end(form: str) -> bytes:
    return b"data: [DONE]\n\n" if form == "openai" else event("anthropic", {"type": "message_stop"})


def streamed(form: str) -> list[bytes]:
    """The answer in events, a piece each."""
    return [begin(form) + say(form, TEXT[:3]), say(form, TEXT[3:]), finish(form), end(form)]
