"""Google's `generateContent`, as Google says it: chunks that are answers in part, and no mark at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from support.providers.says import Says, Spent, pieces
from support.upstream import Asked

SERVED = "gemini-3-pro-preview-11-2025"
PATH = "generateContent"
CONTENT_TYPE = "text/event-stream"
OVERLOADED = "UNAVAILABLE"
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


def speaks(path: str) -> bool:
    return path.partition("?")[0].endswith((":generateContent", ":streamGenerateContent"))


def wants_stream(asked: Asked) -> bool:
    return ":streamGenerateContent" in asked.path


def wants_usage(asked: Asked) -> bool:
    return True


def whole(says: Says) -> dict[str, Any]:
    if says.refusal:
        return _chunk(says.spent, None, blocked=says.refusal)
    return _chunk(says.spent, list(_parts(says, whole=True)), finish=_finish(says))


def stream(says: Says, *, usage: bool = True) -> Iterator[bytes]:
    if says.refusal:
        yield event(_chunk(says.spent, None, blocked=says.refusal))
        return
    for part in _parts(says, whole=False):
        yield event(_chunk(Spent(says.spent.prompt, 1), [part]))
    yield event(_chunk(says.spent, [{"text": ""}], finish=_finish(says)))


def event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\r\n\r\n"


def _finish(says: Says) -> str:
    return says.finish or "STOP"


def _chunk(spent: Spent, parts: list[Any] | None, finish: str = "", blocked: str = "") -> dict[str, Any]:
    chunk: dict[str, Any] = {}
    if parts is not None:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        chunk["candidates"] = [candidate | ({"finishReason": finish} if finish else {})]
    if blocked:
        chunk["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": blocked}
    return chunk | {"usageMetadata": _usage(spent), "modelVersion": SERVED, "responseId": "wKk8aTheirs"}


def _parts(says: Says, *, whole: bool) -> Iterator[dict[str, Any]]:
    """The parts; the signature stands on the first call, or else on the last text."""
    size = 10**9 if whole else says.size
    yield from ({"text": piece, "thought": True} for piece in pieces(says.thinking, size))
    signed = {"thoughtSignature": says.signature} if says.signature else {}
    texts = list(pieces(says.text, size))
    for at, piece in enumerate(texts):
        last = at == len(texts) - 1 and not says.calls
        yield {"text": piece} | (signed if last else {})
    for at, call in enumerate(says.calls):
        told = {"id": call.id, "name": call.name, "args": json.loads(call.arguments)}
        yield {"functionCall": told} | ({} if at else signed)


def _usage(spent: Spent) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "promptTokenCount": spent.prompt,
        "candidatesTokenCount": spent.answer - spent.reasoning,
        "totalTokenCount": spent.prompt + spent.answer,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": spent.prompt}],
    }
    if spent.reasoning:
        usage["thoughtsTokenCount"] = spent.reasoning
    if spent.cached:
        usage["cachedContentTokenCount"] = spent.cached
        usage["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": spent.cached}]
    return usage


def refusal(status: int, kind: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": STATUSES.get(status, kind)}}


def failure(message: str) -> bytes:
    """An overload, told within a stream."""
    return event({"error": {"code": 503, "message": message, "status": OVERLOADED}})
