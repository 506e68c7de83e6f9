"""The head of a request: enough to route it and to hand it on, without looking into what it says."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.codec import Fields, Head
from omniroute.formats.openai_responses import seal

NAME = seal.NAME

Role = Literal["user", "assistant", "system", "developer"]
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Larger ones are no count of anything, and not every server or database that they come to can hold them."""

UNDERSTOOD = frozenset(
    {"message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output"}
)
MADE = frozenset(
    {"file_search_call", "computer_call", "web_search_call", "tool_search_call", "image_generation_call"}
    | {"code_interpreter_call", "local_shell_call", "shell_call", "apply_patch_call", "mcp_list_tools"}
    | {"mcp_approval_request", "mcp_call", "program", "program_output", "compaction"}
)
"""Items that only this format knows, and that the model or its provider made."""
GIVEN = frozenset(
    {"computer_call_output", "tool_search_output", "additional_tools", "configuration_update", "item_reference"}
    | {"local_shell_call_output", "shell_call_output", "apply_patch_call_output", "mcp_approval_response"}
    | {"compaction_trigger"}
)
"""Those that the caller gives."""
ITEMS = UNDERSTOOD | MADE | GIVEN
"""All that the `openai` package knows. A type beyond is a slip more often than it is news."""
_INPUTS = ("input", "prompt", "previous_response_id", "conversation")
"""One of these at least says what to answer."""


class StreamOptions(msgspec.Struct):
    include_obfuscation: bool | None = None


class Scalars(msgspec.Struct, kw_only=True):
    """The fields that are of one type for whoever reads them."""

    instructions: str | None = None
    max_output_tokens: Whole | None = None
    max_tool_calls: Whole | None = None
    top_logprobs: Whole | None = None
    temperature: float | None = None
    top_p: float | None = None
    parallel_tool_calls: bool | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    truncation: str | None = None
    include: list[str] | None = None
    stream_options: StreamOptions | None = None


class _Item(msgspec.Struct, gc=False):
    type: str | None = None
    role: Role | None = None
    id: str | None = None


class _Request(Scalars, kw_only=True):
    input: str | list[_Item] | None = None


_request = msgspec.json.Decoder(_Request)


def peek(body: bytes, path: str = "", query: bytes = b"") -> Head:  # noqa: ARG001 - it is all in the body
    head = patch.head(body)
    asked = patch.look(_request, head)
    if not any(bytes(head.fields.get(name, b"null")) != b"null" for name in _INPUTS):
        raise BadRequest("The body has no `input`.", param="input")
    for at, item in enumerate(asked.input if isinstance(asked.input, list) else ()):
        _check(item, f"input[{at}]")
    return head


def _check(item: _Item, place: str) -> None:
    if item.type is None:
        if item.role is None and item.id is None:
            raise BadRequest(f"`{place}` has neither a `type` nor a `role`.", param=f"{place}.type")
    elif item.type not in ITEMS:
        raise BadRequest(f"`{place}.type` is {item.type[:64]!r}: there is no such item.", param=f"{place}.type")


def forward(head: Head, model: str) -> Fields:
    """The request as it came, but for the model, and for reasoning that another format sealed."""
    fields: Fields = {**head.fields, "model": model}
    if "input" in fields:
        fields["input"] = seal.without_foreign(fields["input"])
    return fields
