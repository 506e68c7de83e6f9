"""What a provider says, in the words of each wire format: the scripts of the end-to-end tests.

Written after what the providers send, fields that we never look at included, and apart from the gateway's own codecs:
a mistake that both sides share would hide itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from support.upstream import Asked, Script, events, whole

SERVED = {"openai": "vendor-chat-2026-05-01", "anthropic": "claude-sonnet-4-5-20250929"}
"""What the providers call the model that answered, which is not what anyone asked for."""


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Spent:
    """Tokens: `prompt` with what was read from or written to a cache, `answer` with reasoning."""

    prompt: int = 11
    answer: int = 7
    cached: int = 0
    written: int = 0
    written_1h: int = 0
    reasoning: int = 0


@dataclass(frozen=True)
class Says:
    """An answer. `finish` is the provider's own word for how it ended; `size` is how many characters a delta has."""

    text: str = ""
    thinking: str = ""
    signature: str = ""
    refusal: str = ""
    calls: tuple[Call, ...] = ()
    finish: str = ""
    stop_sequence: str | None = None
    spent: Spent = field(default=Spent())
    size: int = 5


def saying(says: Says, *, bytes_a_write: int = 0, **options: Any) -> Callable[[Asked], Script]:
    """A provider of either format that gives this answer, streamed if that was asked for. With `bytes_a_write` the
    stream is cut there and not between events."""

    def script(asked: Asked) -> Script:
        body = asked.json
        provider = provider_of(asked)
        if not body.get("stream"):
            return whole(_WHOLE[provider](says))
        pieces = list(stream_of(provider, says, usage=_wants_usage(body)))
        if bytes_a_write:
            pieces = shredded(b"".join(pieces), bytes_a_write)
        return events(*pieces, **options)

    return script


def provider_of(asked: Asked) -> str:
    return "openai" if asked.path.endswith("/chat/completions") else "anthropic"


def stream_of(provider: str, says: Says, *, usage: bool = True) -> Iterator[bytes]:
    """The events of the stream, one by one."""
    if provider == "openai":
        yield from (
            b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n" for chunk in _chunks(says, usage=usage)
        )
        yield b"data: [DONE]\n\n"
    else:
        for event in _anthropic_events(says):
            yield event_of(event)


def event_of(event: dict[str, Any]) -> bytes:
    """An event of an Anthropic stream."""
    return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()


def shredded(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _pieces(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def _wants_usage(body: dict[str, Any]) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


# ---------------------------------------------------------------------------------------------------------- OpenAI


def _completion(says: Says) -> dict[str, Any]:
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
        "model": SERVED["openai"],
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(says)}],
        "usage": _openai_usage(says.spent),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _chunks(says: Says, *, usage: bool) -> Iterator[dict[str, Any]]:
    envelope = {
        "id": "chatcmpl-CT9zTheirs",
        "object": "chat.completion.chunk",
        "created": 1759000000,
        "model": SERVED["openai"],
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
        yield envelope | {"choices": [], "usage": _openai_usage(says.spent)}


def _deltas(says: Says) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": None if says.calls else "", "refusal": None}
    yield from ({"reasoning_content": piece} for piece in _pieces(says.thinking, says.size))
    yield from ({"content": piece} for piece in _pieces(says.text, says.size))
    yield from ({"refusal": piece} for piece in _pieces(says.refusal, says.size))
    for index, call in enumerate(says.calls):
        start = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        yield {"tool_calls": [start]}
        for piece in _pieces(call.arguments, says.size):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _finish(says: Says) -> str:
    return says.finish or ("tool_calls" if says.calls else "stop")


def _openai_usage(spent: Spent) -> dict[str, Any]:
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


# ------------------------------------------------------------------------------------------------------- Anthropic


def _message(says: Says) -> dict[str, Any]:
    return _envelope(
        content=[block for block, _ in _blocks(says)],
        stop_reason=_stop_reason(says),
        stop_sequence=says.stop_sequence,
        usage=_anthropic_usage(says.spent),
    )


def _envelope(**fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_01Theirs",
        "type": "message",
        "role": "assistant",
        "model": SERVED["anthropic"],
        "container": None,
        "stop_details": None,
        **fields,
    }


def _blocks(says: Says) -> Iterator[tuple[dict[str, Any], Iterable[dict[str, Any]]]]:
    """Each block, whole, and the deltas that make it."""
    size = says.size
    if says.thinking:
        yield (
            {"type": "thinking", "thinking": says.thinking, "signature": says.signature},
            [
                *({"type": "thinking_delta", "thinking": piece} for piece in _pieces(says.thinking, size)),
                {"type": "signature_delta", "signature": says.signature},
            ],
        )
    text = says.text or says.refusal
    if text:
        yield (
            {"type": "text", "text": text, "citations": None},
            [{"type": "text_delta", "text": piece} for piece in _pieces(text, size)],
        )
    for call in says.calls:
        yield (
            {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)},
            [
                {"type": "input_json_delta", "partial_json": ""},
                *({"type": "input_json_delta", "partial_json": piece} for piece in _pieces(call.arguments, size)),
            ],
        )


_EMPTY: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}


def _anthropic_events(says: Says) -> Iterator[dict[str, Any]]:
    start = _anthropic_usage(says.spent) | {"output_tokens": 1}
    start.pop("output_tokens_details", None)
    message = _envelope(content=[], stop_reason=None, stop_sequence=None, usage=start)
    yield {"type": "message_start", "message": message}
    for index, (block, deltas) in enumerate(_blocks(says)):
        yield {"type": "content_block_start", "index": index, "content_block": block | _EMPTY[block["type"]]}
        if not index:
            yield {"type": "ping"}
        yield from ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": _stop_reason(says), "stop_sequence": says.stop_sequence}
    spent = _anthropic_usage(says.spent)
    spent.pop("cache_creation")
    yield {"type": "message_delta", "delta": delta, "usage": spent}
    yield {"type": "message_stop"}


def _stop_reason(says: Says) -> str:
    return says.finish or ("tool_use" if says.calls else "refusal" if says.refusal else "end_turn")


def _anthropic_usage(spent: Spent) -> dict[str, Any]:
    written = spent.written + spent.written_1h
    usage: dict[str, Any] = {
        "input_tokens": spent.prompt - spent.cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": spent.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": spent.written,
            "ephemeral_1h_input_tokens": spent.written_1h,
        },
        "output_tokens": spent.answer,
        "service_tier": "standard",
    }
    if spent.reasoning:
        usage["output_tokens_details"] = {"thinking_tokens": spent.reasoning}
    return usage


_WHOLE = {"openai": _completion, "anthropic": _message}


# ---------------------------------------------------------------------------------------------------------- errors


def refusing(status: int, kind: str, message: str, **more: str | None) -> Callable[[Asked], Script]:
    """A provider of either format that answers with an error status. `retry_after` becomes a header; `code` and
    `param` stand in the error."""
    wait = more.pop("retry_after", None)

    def script(asked: Asked) -> Script:
        error: dict[str, Any] = {"message": message, "type": kind}
        body: dict[str, Any] = {"error": error | {"param": None, "code": None} | more}
        if provider_of(asked) == "anthropic":
            body = {"type": "error", "error": error, "request_id": "req_011Theirs"}
        return whole(body, status, **({"retry_after": wait} if wait else {}))

    return script


def broken_off(provider: str, says: Says, *, after: int, error: dict[str, Any] | None = None) -> Script:
    """A stream that stops after so many events: with an error event, or (None) just so."""
    pieces = list(stream_of(provider, says))[:after]
    if error is not None:
        told = {"error": error} if provider == "openai" else {"type": "error", "error": error}
        pieces.append(b"data: " + json.dumps(told).encode() + b"\n\n" if provider == "openai" else event_of(told))
    return events(*pieces)
