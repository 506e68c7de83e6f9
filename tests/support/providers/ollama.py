"""Ollama's chat, as its server says it: a line for each piece, the last of which is `done`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.providers.says import Says, Spent, pieces
from support.upstream import Asked

SERVED = "qwen3:8b"
PATH = "/api/chat"
CONTENT_TYPE = "application/x-ndjson"
OVERLOADED = ""
"""An error is a text here, and has no type."""


def speaks(path: str) -> bool:
    return path.endswith(PATH)


def wants_stream(asked: Asked) -> bool:
    return asked.json.get("stream") is not False


def wants_usage(asked: Asked) -> bool:
    return True


def whole(says: Says) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": says.text}
    if says.thinking:
        message["thinking"] = says.thinking
    if says.calls:
        message["tool_calls"] = _calls(says)
    return _record(message, **_end(says))


def stream(says: Says, *, usage: bool = True) -> Iterator[bytes]:
    for piece in pieces(says.thinking, says.size):
        yield event(_record({"role": "assistant", "content": "", "thinking": piece}, done=False))
    for piece in pieces(says.text, says.size):
        yield event(_record({"role": "assistant", "content": piece}, done=False))
    if says.calls:
        yield event(_record({"role": "assistant", "content": "", "tool_calls": _calls(says)}, done=False))
    yield event(_record({"role": "assistant", "content": ""}, **_end(says)))


def event(data: dict[str, Any]) -> bytes:
    """In one line, also for who takes more than a line feed for its end: Go escapes two of those."""
    line = json.dumps(data, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return line.replace("\x85", "\\u0085").encode() + b"\n"


def _record(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": SERVED, "created_at": "2026-05-01T10:00:00.123456789Z", "message": message, **more}


def _calls(says: Says) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "function": {"index": at, "name": call.name, "arguments": json.loads(call.arguments)}}
        for at, call in enumerate(says.calls)
    ]


def _end(says: Says) -> dict[str, Any]:
    return {
        "done": True,
        "done_reason": says.finish or "stop",
        "total_duration": 4648158584,
        "load_duration": 4071084,
        **_usage(says.spent),
    }


def _usage(spent: Spent) -> dict[str, Any]:
    return {
        "prompt_eval_count": spent.prompt,
        "prompt_eval_duration": 439038000,
        "eval_count": spent.answer,
        "eval_duration": 4196918000,
    }


def refusal(status: int, kind: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": message}


def failure(message: str) -> bytes:
    """A failure within a stream."""
    return event({"error": message})
