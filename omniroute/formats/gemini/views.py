"""What is looked at of an answer, streamed or whole: a chunk is an answer of which only a part is there."""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.formats import charges
from omniroute.formats.gemini.spelling import camel
from omniroute.formats.ir import FinishReason, Raw, Usage

MOST = 2**53
"""Tokens. Counts beyond are nobody's; a provider's slip must not break the books."""

FINISHES: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "OTHER": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_OTHER": "content_filter",
    "NO_IMAGE": "content_filter",
    "CONTINUATION": "pause",
}
"""Any other reason is a `stop`. `OTHER` is none of Google's named ones, but it cuts an answer as they do."""
MISHAPS = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"}
    | {"MISSING_THOUGHT_SIGNATURE"}
)
"""Reasons that say that the model went wrong, and so that what there is of the answer is none."""
UNKNOWN = "FINISH_REASON_UNSPECIFIED"


class View(msgspec.Struct, rename=camel, gc=False):
    """Short-lived, and never part of a cycle."""


class Blob(View):
    mime_type: str | None = None
    data: str | None = None


class File(View):
    mime_type: str | None = None
    file_uri: str | None = None


class Piece(View):
    """A part of the arguments of a call that comes in parts."""

    json_path: str = "$"
    string_value: str | None = None
    number_value: Raw = Raw()
    bool_value: bool | None = None
    null_value: Raw = Raw()
    will_continue: bool | None = None


class Call(View):
    id: str | None = None
    name: str | None = None
    args: Raw = Raw()
    partial_args: list[Piece] | None = None
    will_continue: bool | None = None


class Part(View):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: Call | None = None
    inline_data: Blob | None = None
    file_data: File | None = None
    executable_code: Raw = Raw()
    code_execution_result: Raw = Raw()
    tool_call: Raw = Raw()
    tool_response: Raw = Raw()


OTHERS = ("executable_code", "code_execution_result", "tool_call", "tool_response")
"""What servers' own tools did; told as it was."""


class Content(View):
    parts: list[Part] | None = None


class Candidate(View):
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: int | None = None
    logprobs_result: Raw = Raw()


Count = int | float | None


class Modality(View):
    modality: str = ""
    token_count: Count = None


class Spent(View):
    prompt_token_count: Count = None
    candidates_token_count: Count = None
    thoughts_token_count: Count = None
    cached_content_token_count: Count = None
    tool_use_prompt_token_count: Count = None
    prompt_tokens_details: Raw = Raw()
    candidates_tokens_details: Raw = Raw()
    cache_tokens_details: Raw = Raw()
    traffic_type: Any = None
    estimated: bool | None = None


class Feedback(View):
    block_reason: str | None = None
    block_reason_message: str | None = None


class Chunk(View):
    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Spent | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None


class Ended(View):
    finish_reason: str | None = None
    finish_message: str | None = None


class Ending(View):
    """A whole answer without what it says."""

    candidates: list[Ended] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: Spent | None = None
    model_version: Raw = Raw()
    error: Any = None


chunk = msgspec.json.Decoder(Chunk).decode
_modalities = msgspec.json.Decoder(list[Modality]).decode
ending = msgspec.json.Decoder(Ending).decode


def text(candidate: Candidate) -> str | None:
    """The text of an answer that is one text and nothing else."""
    parts = candidate.content.parts if candidate.content is not None else None
    if not parts or len(parts) != 1 or candidate.finish_reason not in ("STOP", "MAX_TOKENS"):
        return None
    if bytes(candidate.logprobs_result):
        return None
    part = parts[0]
    plain = part.thought is None and part.thought_signature is None and part.function_call is None
    return part.text if plain and part.inline_data is None else None


def says(part: Part) -> bool:
    """Whether it holds content."""
    return bool(part.text or part.thought_signature or says_more(part))


def says_more(part: Part) -> bool:
    if part.function_call is not None or part.inline_data is not None or part.file_data is not None:
        return True
    return any(bytes(getattr(part, name)) for name in OTHERS)


def usage(spent: Spent) -> Usage:
    """What was read by tools counts as prompt, what was thought as answer: Google tells both apart from these. It stands
    in every chunk, so what is not there costs no call."""
    thought = _count(spent.thoughts_token_count) if spent.thoughts_token_count else 0
    read = _count(spent.tool_use_prompt_token_count) if spent.tool_use_prompt_token_count else 0
    asked, said = bytes(spent.prompt_tokens_details), bytes(spent.candidates_tokens_details)
    kept = bytes(spent.cache_tokens_details)
    return Usage(
        _count(spent.prompt_token_count) + read,
        _count(spent.candidates_token_count) + thought,
        _count(spent.cached_content_token_count) if spent.cached_content_token_count else 0,
        reasoning=thought,
        audio_input=_of("AUDIO", asked) if b"AUDIO" in asked else 0,
        audio_output=_of("AUDIO", said) if b"AUDIO" in said else 0,
        image_input=_of("IMAGE", asked) if b"IMAGE" in asked else 0,
        image_output=_of("IMAGE", said) if b"IMAGE" in said else 0,
        cached_audio=_of("AUDIO", kept) if b"AUDIO" in kept else 0,
        cached_image=_of("IMAGE", kept) if b"IMAGE" in kept else 0,
        service_tier=charges.service_tier(spent.traffic_type) if spent.traffic_type is not None else "",
        estimated=spent.estimated is True,
    )


def _of(modality: str, details: bytes) -> int:
    return next((_count(one.token_count) for one in _modalities(details) if one.modality == modality), 0)


def _count(value: Count) -> int:
    if not value:
        return 0
    return value if 0 < value <= MOST and isinstance(value, int) else int(min(max(value, 0), MOST))


def finish(reason: str) -> FinishReason:
    return FINISHES.get(reason, "stop")
