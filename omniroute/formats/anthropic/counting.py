"""The counting of a prompt's tokens: `/v1/messages/count_tokens`."""

from __future__ import annotations

import msgspec

from omniroute.formats.anthropic.head import look
from omniroute.formats.codec import Counted, Fields, Head

ANSWERING = frozenset(
    {"max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata", "service_tier"}
)
"""What only shapes an answer: refused where none is given, but sent by clients that count a request as it is."""


class _Counted(msgspec.Struct):
    input_tokens: Counted


_counted = msgspec.json.Decoder(_Counted)
_encode = msgspec.json.Encoder().encode


def count_path(model: str) -> str:  # noqa: ARG001 - other formats put the model into the path
    return "/messages/count_tokens"


def peek_count(body: bytes, path: str = "", query: bytes = b"") -> Head:  # noqa: ARG001 - it stands in the body
    return look(body)


def count_request(fields: Fields, model: str) -> Fields:  # noqa: ARG001 - the fields name it
    return {name: value for name, value in fields.items() if name not in ANSWERING}


def decode_count(body: bytes) -> int:
    return _counted.decode(body).input_tokens


def encode_count(count: int, *, estimated: bool) -> bytes:
    told: dict[str, object] = {"input_tokens": count}
    if estimated:
        told["estimated"] = True
    return _encode(told)
