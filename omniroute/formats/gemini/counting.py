"""The counting of a prompt's tokens: `:countTokens`, on the contents alone or on a whole request."""

from __future__ import annotations

import msgspec

from omniroute.errors import NotFound
from omniroute.formats.codec import Counted, Fields, Head
from omniroute.formats.gemini.head import COUNT, COUNTING, peek
from omniroute.formats.gemini.route import action_path


class _Counted(msgspec.Struct, rename={"total": "totalTokens"}):
    total: Counted = 0


_counted = msgspec.json.Decoder(_Counted)
_encode = msgspec.json.Encoder().encode


def count_path(model: str) -> str:
    return action_path(model, COUNT)


def peek_count(body: bytes, path: str = "", query: bytes = b"") -> Head:
    head = peek(body, path, query)
    if head.mode != COUNTING:
        raise NotFound("The path asks for an answer, not for a count.")
    return head


def count_request(fields: Fields, model: str) -> Fields:
    """A request with more than contents is counted as a whole, which names its model once more."""
    if set(fields) == {"contents"}:
        return fields
    name = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
    return {"generateContentRequest": {"model": name, **fields}}


def decode_count(body: bytes) -> int:
    """A prompt that is empty to Google has no count in its answer."""
    return _counted.decode(body).total


def encode_count(count: int, *, estimated: bool) -> bytes:
    told: dict[str, object] = {"totalTokens": count}
    if estimated:
        told["estimated"] = True
    return _encode(told)
