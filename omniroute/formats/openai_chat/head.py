"""The head of a request: enough to route it and to hand it on, without looking into what it says."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.codec import Fields, Head
from omniroute.formats.ir import Raw

NAME = "openai_chat"

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Larger ones are no count of anything, and not every server or database that they come to can hold them."""


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


SCALARS: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(kind)
    for kind, names in (
        (Whole, ("max_tokens", "max_completion_tokens", "n", "seed", "top_k", "top_logprobs")),
        (float, ("temperature", "top_p", "presence_penalty", "frequency_penalty")),
        (bool, ("logprobs", "parallel_tool_calls", "store")),
        (str, ("user", "safety_identifier", "reasoning_effort", "verbosity", "service_tier", "prompt_cache_key")),
        (str | list[str], ("stop",)),
        (StreamOptions, ("stream_options",)),
    )
    for name in names
}


class _Speaker(msgspec.Struct):
    role: Role


_speakers = msgspec.json.Decoder(list[_Speaker])
_members = msgspec.json.Decoder(dict[str, Raw])
_options = msgspec.json.Decoder(StreamOptions)
_TRUE = Raw(b"true")
_USAGE_WANTED = Raw(b'{"include_usage":true}')


def peek(body: bytes) -> Head:
    head = patch.head(body)
    messages = head.fields.get("messages")
    if messages is None:
        raise BadRequest("The body has no `messages`.", param="messages")
    if not patch.read(_speakers, messages, "messages"):
        raise BadRequest("`messages` must not be empty.", param="messages")
    patch.check(head.fields, SCALARS)
    return head


def forward(head: Head, model: str) -> Fields:
    """The request as it came, but for the model, and that a stream ends with its usage: it is to be accounted for
    whether or not the client wants to see it."""
    fields: Fields = {**head.fields, "model": model}
    if head.stream:
        fields["stream_options"] = with_usage(head.fields.get("stream_options"))
    return fields


def with_usage(options: Raw | None) -> Raw:
    """Stream options that ask for usage and keep what else they ask for."""
    if options is None or bytes(options) == b"null":
        return _USAGE_WANTED
    return patch.raw({**_members.decode(options), "include_usage": _TRUE})


def wants_usage(head: Head) -> bool:
    """Whether the client asked for the usage of its stream."""
    options = head.fields.get("stream_options")
    if options is None or bytes(options) == b"null":
        return False
    return bool(_options.decode(options).include_usage)
