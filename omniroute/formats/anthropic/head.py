"""The head of a request: enough to route it and to hand it on, without looking into what it says."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.anthropic import seal
from omniroute.formats.codec import Fields, Head

NAME = seal.NAME

Role = Literal["user", "assistant", "system"]
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer that can be written again: msgspec reads larger ones than it writes."""

SCALARS: dict[str, msgspec.json.Decoder[Any]] = {
    "max_tokens": msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]),
    "temperature": msgspec.json.Decoder(float),
    "top_p": msgspec.json.Decoder(float),
    "top_k": msgspec.json.Decoder(Whole),
    "stop_sequences": msgspec.json.Decoder(list[str]),
    "service_tier": msgspec.json.Decoder(str),
}


class _Speaker(msgspec.Struct):
    role: Role


_speakers = msgspec.json.Decoder(list[_Speaker])


def peek(body: bytes) -> Head:
    head = look(body)
    limit = head.fields.get("max_tokens")
    if limit is None or bytes(limit) == b"null":
        raise BadRequest("max_tokens: Field required", param="max_tokens")
    return head


def look(body: bytes) -> Head:
    """The head of a request that need not limit its answer, as one to count tokens."""
    head = patch.head(body)
    messages = head.fields.get("messages")
    if messages is None:
        raise BadRequest("messages: Field required", param="messages")
    if not patch.read(_speakers, messages, "messages"):
        raise BadRequest("messages: at least one message is required", param="messages")
    patch.check(head.fields, SCALARS)
    return head


def forward(head: Head, model: str) -> Fields:
    """The request as it came, but for the model, and for thinking that Anthropic has not signed."""
    return {**head.fields, "model": model, "messages": seal.without_foreign(head.fields["messages"])}
