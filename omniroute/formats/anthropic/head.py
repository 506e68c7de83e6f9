"""The head of a request: enough to route it and to hand it on, without looking into what it says."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.anthropic import seal
from omniroute.formats.codec import Fields, Head

NAME = seal.NAME

Role = Literal["user", "assistant", "system"]
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer that can be written again: msgspec reads larger ones than it writes."""


class Scalars(msgspec.Struct, kw_only=True):
    """The fields that are of one type for whoever reads them."""

    max_tokens: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Whole | None = None
    stop_sequences: list[str] | None = None
    service_tier: str | None = None


class _Speaker(msgspec.Struct):
    role: Role


class _Request(Scalars, kw_only=True):
    messages: list[_Speaker]


_request = msgspec.json.Decoder(_Request)


def peek(body: bytes, path: str = "", query: bytes = b"") -> Head:  # noqa: ARG001 - it is all in the body
    head = look(body)
    limit = head.fields.get("max_tokens")
    if limit is None or bytes(limit) == b"null":
        raise BadRequest("max_tokens: Field required", param="max_tokens")
    return head


def look(body: bytes) -> Head:
    """The head of a request that need not limit its answer, as one to count tokens."""
    head = patch.head(body)
    if "messages" not in head.fields:
        raise BadRequest("messages: Field required", param="messages")
    if not patch.look(_request, head).messages:
        raise BadRequest("messages: at least one message is required", param="messages")
    return head


def forward(head: Head, model: str) -> Fields:
    """The request as it came, but for the model, and for thinking that Anthropic has not signed."""
    return {**head.fields, "model": model, "messages": seal.without_foreign(head.fields["messages"])}
