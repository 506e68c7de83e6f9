"""What a healthy provider of each format says, whole and streamed, and what asks for it."""

from __future__ import annotations

import json
from typing import Any

PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "responses": "/v1/responses",
    "ollama": "/api/chat",
}
TEXT = "Hello"


def ask(model: str, *, stream: bool = False, **more: Any) -> dict[str, Any]:
    """A request that both surfaces take."""
    said = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
    return said | ({"stream": True} if stream else {}) | more


def request(surface: str, model: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """The path and the body that ask on a surface."""
    match surface:
        case "responses":
            return PATHS[surface], {"model": model, "input": "Hi", "stream": stream}
        case "gemini":
            action = "streamGenerateContent?alt=sse" if stream else "generateContent"
            return f"/v1beta/models/{model}:{action}", {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
        case "ollama":
            return PATHS[surface], {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    return PATHS[surface], ask(model, stream=stream)


ITEM = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "theirs", "tools": [], "error": None}
SPOT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _response(usage: dict[str, Any] | None) -> dict[str, Any]:
    spent = usage or {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    output = [ITEM | {"content": [_part(TEXT)]}]
    return RESPONSE | {"status": "completed", "incomplete_details": None, "output": output, "usage": spent}


def _candidate(text: str, index: int = 0, **more: Any) -> dict[str, Any]:
    said = {"content": {"role": "model", "parts": [{"text": text}]}, "index": index, **more}
    return {"candidates": [said], "modelVersion": "theirs", "responseId": "r-1"}


def _record(text: str, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"model": "theirs", "created_at": "2026-05-01T10:00:00Z", "message": message, "done": False, **more}


def _done(usage: dict[str, Any] | None) -> dict[str, Any]:
    spent = usage or {"prompt_eval_count": 3, "eval_count": 2}
    return {"done": True, "done_reason": "stop", "total_duration": 1, **spent}


def whole(form: str, usage: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer."""
    match form:
        case "responses":
            return _response(usage)
        case "gemini":
            spent = usage or {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
            return _candidate(TEXT, finishReason="STOP") | {"usageMetadata": spent}
        case "ollama":
            return _record(TEXT, **_done(usage))
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
    if form == "ollama":
        return text + b"\n"
    named = b"" if form in ("openai", "gemini") else b"event: %s\n" % data["type"].encode()
    return named + b"data: " + text + b"\n\n"


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
    """OpenAI's event."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    fixed = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "theirs"}
    return event("openai", {**fixed, "choices": [choice]})


def begin(form: str) -> bytes:
    """What comes before the first content."""
    if form in ("gemini", "ollama"):
        return b""
    if form == "responses":
        begun = RESPONSE | {"status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
        item = ITEM | {"content": [], "status": "in_progress"}
        return (
            event(form, {"type": "response.created", "response": begun, "sequence_number": 0})
            + event(form, {"type": "response.output_item.added", "output_index": 0, "item": item, "sequence_number": 1})
            + event(form, {"type": "response.content_part.added", **SPOT, "part": _part(""), "sequence_number": 2})
        )
    if form == "openai":
        return chunk({"role": "assistant", "content": ""})
    message = whole("anthropic", {"input_tokens": 3, "output_tokens": 1}) | {"content": [], "stop_reason": None}
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return event("anthropic", {"type": "message_start", "message": message}) + event("anthropic", start)


def say(form: str, text: str, index: int = 0) -> bytes:
    """A piece of content."""
    match form:
        case "responses":
            told = {"type": "response.output_text.delta", **SPOT, "delta": text, "logprobs": [], "sequence_number": 3}
            return event(form, told)
        case "gemini":
            return event(form, _candidate(text, index))
        case "ollama":
            return event(form, _record(text))
    if form == "openai":
        return chunk({"content": text}, index=index)
    delta = {"type": "text_delta", "text": text}
    return event("anthropic", {"type": "content_block_delta", "index": index, "delta": delta})


def finish(form: str, usage: dict[str, Any] | None = None) -> bytes:
    """The reason to stop, and the usage."""
    match form:
        case "responses":
            item = ITEM | {"content": [_part(TEXT)]}
            done = {"type": "response.output_item.done", "output_index": 0, "item": item, "sequence_number": 4}
            told = {"type": "response.completed", "response": _response(usage), "sequence_number": 5}
            return event(form, done) + event(form, told)
        case "gemini":
            spent_there = usage or {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
            return event(form, _candidate("", finishReason="STOP") | {"usageMetadata": spent_there})
        case "ollama":
            return event(form, _record("", **_done(usage)))
    if form == "openai":
        spent = usage or {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        fixed = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "theirs"}
        return chunk({}, "stop") + event("openai", {**fixed, "choices": [], "usage": spent})
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return event("anthropic", {"type": "content_block_stop", "index": 0}) + event(
        "anthropic", {"type": "message_delta", "delta": delta, "usage": usage or {"output_tokens": 2}}
    )


def end(form: str) -> bytes:
    """The mark of the end, in the formats that have one beside their last word."""
    if form not in ("openai", "anthropic"):
        return b""
    return b"data: [DONE]\n\n" if form == "openai" else event("anthropic", {"type": "message_stop"})


def streamed(form: str) -> list[bytes]:
    """The answer in events, a piece each."""
    return [begin(form) + say(form, TEXT[:3]), say(form, TEXT[3:]), finish(form), end(form)]
