"""What is looked at of an answer, streamed or whole: a `message` is a delta that came at once."""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.formats import charges
from omniroute.formats.ir import FinishReason, Raw, Usage

MOST = 2**53
"""Tokens. Counts beyond are nobody's; a provider's slip must not break the books."""

FINISHES: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "model_length": "context_window",  # Mistral
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
"""Any other reason is a `stop`."""


class View(msgspec.Struct, gc=False):
    """Short-lived, and never part of a cycle."""


class Function(View):
    """`arguments` should be text; some servers send the object itself."""

    name: str | None = None
    arguments: Raw = Raw()


class Custom(View):
    name: str | None = None
    input: str | None = None


class Call(View):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None


class Part(View):
    """Of content that came as a list; `thinking` is Mistral's."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    thinking: str | list[Part] | None = None


class Detail(View):
    """OpenRouter's: text, a summary, or sealed."""

    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None


class Link(View):
    url: str = ""


class Picture(View):
    image_url: Link | None = None


class Sound(View):
    transcript: str | None = None


class Delta(View):
    content: str | list[Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    images: list[Picture] | None = None
    audio: Sound | None = None


class Logprobs(View):
    content: Raw = Raw()


class Choice(View):
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    index: int | None = None
    logprobs: Logprobs | None = None
    usage: Spent | None = None


Count = int | float | None


class PromptDetails(View):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None


class CompletionDetails(View):
    reasoning_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None


_NO_PROMPT_DETAILS = PromptDetails()
_NO_COMPLETION_DETAILS = CompletionDetails()


class Spent(View):
    """Usage. DeepSeek and Moonshot name cache hits in their own way."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: Count = None
    cached_tokens: Count = None
    cost: Any = None
    estimated_cost: Any = None
    cost_in_usd_ticks: Any = None
    estimated: bool | None = None


class Groq(View):
    usage: Spent | None = None


class Chunk(View):
    choices: list[Choice] | None = None
    id: str | None = None
    model: str | None = None
    usage: Spent | None = None
    x_groq: Groq | None = None
    service_tier: Any = None
    error: Any = None


class Ended(View):
    finish_reason: str | None = None
    usage: Spent | None = None


class Ending(View):
    """A whole answer without what it says."""

    model: Raw = Raw()
    choices: list[Ended] | None = None
    usage: Spent | None = None
    x_groq: Groq | None = None
    service_tier: Any = None
    error: Any = None


chunk = msgspec.json.Decoder(Chunk).decode
ending = msgspec.json.Decoder(Ending).decode


def says(delta: Delta) -> bool:
    """Whether it holds content, not only a role."""
    return bool(delta.content or _says_more(delta))


def _says_more(delta: Delta) -> Any:
    return (
        delta.reasoning_content
        or delta.reasoning
        or delta.tool_calls
        or delta.refusal
        or delta.reasoning_details
        or delta.function_call
        or delta.images
        or delta.audio
    )


def text(choice: Choice) -> str | None:
    """The text of a whole answer that is nothing else."""
    said = choice.message
    if said is None or not isinstance(said.content, str) or _says_more(said):
        return None
    if choice.index or choice.delta is not None or choice.logprobs is not None or choice.finish_reason == "error":
        return None
    return said.content


def spent(chunk: Chunk | Ending) -> Spent | None:
    """The usage, where it stands or where Groq has it, or Moonshot."""
    if chunk.usage is not None:
        return chunk.usage
    if chunk.x_groq is not None and chunk.x_groq.usage is not None:
        return chunk.x_groq.usage
    return chunk.choices[0].usage if chunk.choices else None


def usage(spent: Spent, service_tier: Any = None) -> Usage:
    prompt = spent.prompt_tokens_details or _NO_PROMPT_DETAILS
    completion = spent.completion_tokens_details or _NO_COMPLETION_DETAILS
    asked, said = _count(spent.prompt_tokens), _count(spent.completion_tokens)
    reasoning = _count(completion.reasoning_tokens)
    if reasoning and _count(spent.total_tokens) == asked + said + reasoning:
        said += reasoning  # xAI counts what was thought apart from what was said
    return Usage(
        input=asked,
        output=said,
        cached=_count(prompt.cached_tokens or spent.prompt_cache_hit_tokens or spent.cached_tokens),
        cache_write=_count(prompt.cache_write_tokens),
        reasoning=reasoning,
        audio_input=_count(prompt.audio_tokens),
        audio_output=_count(completion.audio_tokens),
        image_input=_count(prompt.image_tokens),
        image_output=_count(completion.image_tokens),
        service_tier=charges.service_tier(service_tier) if service_tier is not None else "",
        charged=charges.charged(spent.cost, spent.estimated_cost, spent.cost_in_usd_ticks),
        estimated=bool(spent.estimated),
    )


def _count(value: Count) -> int:
    return int(min(max(value, 0), MOST)) if value else 0


def finish(reason: str) -> FinishReason:
    return FINISHES.get(reason, "stop")
