"""What is looked at of an answer, streamed or whole."""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.formats import charges
from omniroute.formats.ir import FinishReason, Raw, Usage
from omniroute.formats.openai_chat.views import MOST, Count, View

DELTAS = {
    name.encode(): name
    for name in (
        "response.output_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
        "response.refusal.delta",
    )
}
"""What most of a stream is made of."""
INCOMPLETE: dict[str, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}
"""Why an answer is not whole; any other reason is a `stop`."""
CALLS = ("function_call", "custom_tool_call")


class Delta(View):
    type: str = ""
    delta: str = ""
    item_id: str | None = None
    output_index: int | None = None
    content_index: int = 0
    summary_index: int = 0
    logprobs: Raw = Raw()


class Part(View):
    """Of a message, a summary or a thought."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    logprobs: Raw = Raw()


class Item(View):
    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Any = None
    input: Any = None
    content: list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    result: str | None = None
    output_format: str | None = None


class InputDetails(View):
    cached_tokens: Count = None
    cache_write_tokens: Count = None


class OutputDetails(View):
    reasoning_tokens: Count = None


class Spent(View):
    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    cost: Any = None
    cost_in_usd_ticks: Any = None
    estimated: bool | None = None


class Details(View):
    reason: str | None = None


class Response(View):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    error: Any = None
    incomplete_details: Details | None = None
    output: list[Raw] | None = None
    usage: Spent | None = None
    service_tier: Any = None


class Ending(View):
    """A whole answer without what it says."""

    model: Raw = Raw()
    status: str | None = None
    error: Any = None
    incomplete_details: Details | None = None
    output: list[_Kind] | None = None
    usage: Spent | None = None
    service_tier: Any = None


class _Kind(View):
    type: str = ""


class Event(View):
    """Any event but for a delta. Whatever ends a piece tells all of it once more, under a name of its own."""

    type: str = ""
    response: Response | None = None
    item: Raw = Raw()
    item_id: str | None = None
    output_index: int | None = None
    content_index: int = 0
    summary_index: int = 0
    text: str | None = None
    refusal: str | None = None
    arguments: Any = None
    input: Any = None
    error: Any = None


delta = msgspec.json.Decoder(Delta).decode
event = msgspec.json.Decoder(Event).decode
item = msgspec.json.Decoder(Item).decode
response = msgspec.json.Decoder(Response).decode
ending = msgspec.json.Decoder(Ending).decode

_NO_INPUT_DETAILS = InputDetails()
_NO_OUTPUT_DETAILS = OutputDetails()


def usage(spent: Spent, service_tier: Any = None) -> Usage:
    asked = spent.input_tokens_details or _NO_INPUT_DETAILS
    said = spent.output_tokens_details or _NO_OUTPUT_DETAILS
    return Usage(
        input=_count(spent.input_tokens),
        output=_count(spent.output_tokens),
        cached=_count(asked.cached_tokens),
        cache_write=_count(asked.cache_write_tokens),
        reasoning=_count(said.reasoning_tokens),
        service_tier=charges.service_tier(service_tier),
        charged=charges.charged(spent.cost, None, spent.cost_in_usd_ticks),
        estimated=bool(spent.estimated),
    )


def _count(value: Count) -> int:
    return int(min(max(value, 0), MOST)) if value else 0


def finish(status: str | None, details: Details | None) -> FinishReason:
    if status != "incomplete":
        return "stop"
    return INCOMPLETE.get((details.reason if details else None) or "", "stop")
