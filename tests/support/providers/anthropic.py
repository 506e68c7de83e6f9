"""Anthropic's messages, as their provider says them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from support.providers.says import Says, Spent, pieces
from support.upstream import Asked

SERVED = "claude-sonnet-4-5-20250929"
PATH = "/messages"
CONTENT_TYPE = "text/event-stream"
OVERLOADED = "overloaded_error"


def speaks(path: str) -> bool:
    return path.endswith((PATH, f"{PATH}/count_tokens"))


def wants_stream(asked: Asked) -> bool:
    return bool(asked.json.get("stream"))


def wants_usage(asked: Asked) -> bool:
    return True


def whole(says: Says) -> dict[str, Any]:
    return _envelope(
        content=[block for block, _ in _blocks(says)],
        stop_reason=_stop_reason(says),
        stop_sequence=says.stop_sequence,
        usage=_usage(says.spent),
    )


def stream(says: Says, *, usage: bool = True) -> Iterator[bytes]:
    return (event(one) for one in _events(says))


def event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _envelope(**fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_01Theirs",
        "type": "message",
        "role": "assistant",
        "model": SERVED,
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
                *({"type": "thinking_delta", "thinking": piece} for piece in pieces(says.thinking, size)),
                {"type": "signature_delta", "signature": says.signature},
            ],
        )
    text = says.text or says.refusal
    if text:
        yield (
            {"type": "text", "text": text, "citations": None},
            [{"type": "text_delta", "text": piece} for piece in pieces(text, size)],
        )
    for call in says.calls:
        yield (
            {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)},
            [
                {"type": "input_json_delta", "partial_json": ""},
                *({"type": "input_json_delta", "partial_json": piece} for piece in pieces(call.arguments, size)),
            ],
        )


_EMPTY: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}


def _events(says: Says) -> Iterator[dict[str, Any]]:
    start = _usage(says.spent) | {"output_tokens": 1}
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
    spent = _usage(says.spent)
    spent.pop("cache_creation")
    yield {"type": "message_delta", "delta": delta, "usage": spent}
    yield {"type": "message_stop"}


def _stop_reason(says: Says) -> str:
    return says.finish or ("tool_use" if says.calls else "refusal" if says.refusal else "end_turn")


def _usage(spent: Spent) -> dict[str, Any]:
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


def refusal(status: int, kind: str, message: str, **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"message": message, "type": kind}, "request_id": "req_011Theirs"}


def failure(message: str) -> bytes:
    """An overload, told within a stream."""
    return event({"type": "error", "error": {"type": OVERLOADED, "message": message}})
