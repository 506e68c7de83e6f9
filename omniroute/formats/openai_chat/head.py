"""The head of a request: enough to route it and to hand it on, without looking into what it says."""

from __future__ import annotations

from typing import Annotated, Literal

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


class Scalars(msgspec.Struct, kw_only=True):
    """The fields that are of one type for whoever reads them."""

    max_tokens: Whole | None = None
    max_completion_tokens: Whole | None = None
    n: Whole | None = None
    seed: Whole | None = None
    top_k: Whole | None = None
    top_logprobs: Whole | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    parallel_tool_calls: bool | None = None
    store: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    stop: str | list[str] | None = None
    stream_options: StreamOptions | None = None


class _Speaker(msgspec.Struct):
    role: Role


class _Request(Scalars, kw_only=True):
    messages: list[_Speaker]


class _Custom(msgspec.Struct):
    name: str


class _Tool(msgspec.Struct):
    type: str = ""
    custom: _Custom | None = None


_request = msgspec.json.Decoder(_Request)
_members = msgspec.json.Decoder(dict[str, Raw])
_tools = msgspec.json.Decoder(list[_Tool] | None)
_options = msgspec.json.Decoder(StreamOptions)
_TRUE = Raw(b"true")
_USAGE_WANTED = Raw(b'{"include_usage":true}')


def peek(body: bytes, path: str = "", query: bytes = b"") -> Head:  # noqa: ARG001 - it is all in the body
    head = patch.head(body)
    if "messages" not in head.fields:
        raise BadRequest("The body has no `messages`.", param="messages")
    if not patch.look(_request, head).messages:
        raise BadRequest("`messages` must not be empty.", param="messages")
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


def customs(head: Head) -> frozenset[str]:
    """The names of the tools that take free text."""
    tools = head.fields.get("tools")
    if tools is None or b'"custom"' not in bytes(tools):
        return frozenset()
    try:
        told = _tools.decode(tools) or ()
    except (msgspec.DecodeError, RecursionError):  # nothing was decided about them yet
        return frozenset()
    return frozenset(tool.custom.name for tool in told if tool.type == "custom" and tool.custom is not None)
