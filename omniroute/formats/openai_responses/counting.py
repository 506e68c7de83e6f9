"""The counting of a prompt's tokens: `/v1/responses/input_tokens`."""

from __future__ import annotations

import msgspec

from omniroute.formats.codec import Counted, Fields, Head
from omniroute.formats.openai_responses.head import peek

COUNTED = frozenset(
    {"model", "input", "instructions", "conversation", "previous_response_id", "parallel_tool_calls", "personality"}
    | {"reasoning", "text", "tool_choice", "tools", "truncation"}
)
"""What a count takes; the rest only shapes an answer, and is refused."""


class _Counted(msgspec.Struct):
    input_tokens: Counted


_counted = msgspec.json.Decoder(_Counted)
_encode = msgspec.json.Encoder().encode


def count_path(model: str) -> str:  # noqa: ARG001 - other formats put the model into the path
    return "/responses/input_tokens"


def peek_count(body: bytes, path: str = "", query: bytes = b"") -> Head:
    return peek(body, path, query)


def count_request(fields: Fields, model: str) -> Fields:  # noqa: ARG001 - the fields name it
    return {name: value for name, value in fields.items() if name in COUNTED}


def decode_count(body: bytes) -> int:
    return _counted.decode(body).input_tokens


def encode_count(count: int, *, estimated: bool) -> bytes:
    told: dict[str, object] = {"object": "response.input_tokens", "input_tokens": count}
    if estimated:
        told["estimated"] = True
    return _encode(told)
