"""What is looked at of an answer, streamed or whole."""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.formats import charges
from omniroute.formats.ir import FinishReason, Raw, Usage

MOST = 2**53
"""Tokens. Counts beyond are nobody's; a provider's slip must not break the books."""

FINISHES: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_window",
}
"""Any other reason is a `stop`."""


class View(msgspec.Struct, gc=False):
    """Short-lived, and never part of a cycle."""


Count = int | float | None


class Written(View):
    ephemeral_5m_input_tokens: Count = None
    ephemeral_1h_input_tokens: Count = None


class Details(View):
    thinking_tokens: Count = None


class Spent(View):
    """Usage: cumulative, and what is absent stays as it was told before."""

    input_tokens: Count = None
    output_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_creation: Written | None = None
    output_tokens_details: Details | None = None
    service_tier: Any = None
    speed: Any = None
    estimated: bool | None = None


class Block(View):
    """A content block as it starts, or whole."""

    type: str = ""
    id: str = ""
    name: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    input: Raw = Raw()


class Delta(View):
    """Of a block or, with a reason to stop, of the message."""

    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class Message(View):
    """The start of a message, or a whole one."""

    type: str = ""
    id: str | None = None
    model: str | None = None
    content: list[Raw] | None = None
    usage: Spent | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    error: Raw = Raw()


class Event(View):
    type: str = ""
    index: int = 0
    delta: Delta | None = None
    content_block: Raw = Raw()
    message: Message | None = None
    usage: Spent | None = None
    error: Raw = Raw()


class _Type(View):
    type: str = ""


event = msgspec.json.Decoder(Event).decode
block = msgspec.json.Decoder(Block).decode
message = msgspec.json.Decoder(Message).decode
kind = msgspec.json.Decoder(_Type).decode

TYPES = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"}
    | {"message_stop", "ping", "error"}
)


def known(name: bytes, data: bytes) -> Event | None:
    """The event, or None where it is of a type that is not known, whatever it looks like."""
    try:
        told = event(data)
    except msgspec.ValidationError:
        if (kind(data).type or name.decode("utf-8", "replace")) in TYPES:
            raise
        return None
    if told.type in TYPES:
        return told
    if told.type:
        return None
    told.type = name.decode("utf-8", "replace")
    return told if told.type in TYPES else None


def merge(before: Spent, now: Spent) -> Spent:
    """What both tell together. The later wins, but totals do not fall back to nothing: a server that counts the prompt at
    the start only says 0 at the end."""
    for name in Spent.__struct_fields__:
        if not getattr(now, name):
            setattr(now, name, getattr(before, name))
    return now


def usage(spent: Spent) -> Usage:
    read = _count(spent.cache_read_input_tokens)
    written, long = _count(spent.cache_creation_input_tokens), 0
    split = spent.cache_creation
    if split is not None:
        long = _count(split.ephemeral_1h_input_tokens)
        written = max(written, long + _count(split.ephemeral_5m_input_tokens))
    details = spent.output_tokens_details
    return Usage(
        input=_count(spent.input_tokens) + read + written,
        output=_count(spent.output_tokens),
        cached=read,
        cache_write=written - long,
        cache_write_1h=long,
        reasoning=_count(details.thinking_tokens) if details else 0,
        service_tier=charges.service_tier(spent.service_tier) or charges.service_tier(spent.speed),
        estimated=bool(spent.estimated),
    )


def _count(value: Count) -> int:
    return int(min(max(value, 0), MOST)) if value else 0


def finish(reason: str) -> FinishReason:
    return FINISHES.get(reason, "stop")
