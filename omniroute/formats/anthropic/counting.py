"""The counting of a prompt's tokens: `/v1/messages/count_tokens`."""

from __future__ import annotations

import msgspec

from omniroute.formats.anthropic.head import forward, look
from omniroute.formats.codec import Fields, Head

COUNT_PATH = "/messages/count_tokens"

ANSWERING = frozenset(
    {"max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata", "service_tier"}
)
"""What only shapes an answer: refused where none is given, but sent by clients that count a request as it is."""


class _Counted(msgspec.Struct):
    input_tokens: int


_counted = msgspec.json.Decoder(_Counted)
_encode = msgspec.json.Encoder().encode

peek_count = look


def forward_count(head: Head, model: str) -> Fields:
    return {name: value for name, value in forward(head, model).items() if name not in ANSWERING}


def decode_count(body: bytes) -> int:
    return _counted.decode(body).input_tokens


def encode_count(count: int, *, estimated: bool) -> bytes:
    told: dict[str, object] = {"input_tokens": count}
    if estimated:
        told["estimated"] = True
    return _encode(told)
