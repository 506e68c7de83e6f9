"""A client's request to what it means.

Views hold what is understood; an item or a part that only this format knows is kept whole as `Opaque`, a top-level
field as `vendor`. A wrong type anywhere is a BadRequest that names the place, and so is what only the provider that
keeps it could know: a conversation, a response that goes on in the background.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.ir import Chat, Effort, Output, Raw, Reasoning, Sampling, Text, Tool, ToolChoice, Turn
from omniroute.formats.openai_chat.conversation import missing, present
from omniroute.formats.openai_responses import namespaces
from omniroute.formats.openai_responses.conversation import Conversation, Item
from omniroute.formats.openai_responses.head import NAME, Scalars
from omniroute.formats.openai_responses.known import INVENTORY


class _Tool(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: Raw = Raw()
    strict: bool | None = None
    format: Raw = Raw()
    tools: list[Raw] | None = None


class _Named(msgspec.Struct):
    type: str = "function"
    name: str | None = None


class _Choice(_Named):
    mode: Literal["auto", "required"] = "auto"
    tools: list[_Named] | None = None


class _Reasoning(msgspec.Struct):
    effort: Effort | None = None
    summary: str | None = None


class _Format(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    schema: Raw = Raw()
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Grammar(msgspec.Struct):
    type: str
    syntax: str | None = None
    definition: str | None = None


class _Request(Scalars, kw_only=True):
    input: str | list[Item] | None = None
    tools: list[Raw] | None = None
    tool_choice: Literal["auto", "none", "required"] | _Choice | None = None
    reasoning: _Reasoning | None = None
    text: _Text | None = None
    metadata: dict[str, Raw] | None = None


_request = msgspec.json.Decoder(_Request)
_tool = msgspec.json.Decoder(_Tool)
_grammar = msgspec.json.Decoder(_Grammar)
_tools = msgspec.json.Decoder(list[_Named] | None)
_object = msgspec.json.Decoder(dict[str, Raw])

TOOL = frozenset(_Tool.__struct_fields__)
LOGPROBS = "message.output_text.logprobs"
SEALED = "reasoning.encrypted_content"
UNDERSTOOD = frozenset(
    {"model", "stream", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens"}
    | {"temperature", "top_p", "top_logprobs", "reasoning", "text", "metadata", "user", "service_tier"}
)
USUAL = {"truncation": b'"disabled"', "background": b"false"}
"""What says no more than where nothing is said."""
SERVED = frozenset({"store", "stream_options"})
"""What the gateway sees to itself: keeping the answer, and how its stream is padded."""
_PLAIN = (None, "auto")
"""Summaries of the usual length."""


def decode_request(head: Head) -> Chat:
    asked = patch.look(_request, head)
    _refuse_what_is_kept_elsewhere(asked, head.fields)
    system: tuple[Text, ...]
    turns: tuple[Turn, ...]
    if isinstance(asked.input, str):
        system, turns = (), (Turn("user", (Text(asked.input),) if asked.input else ()),)
    else:
        system, turns = Conversation(asked.input or (), head.fields.get("input", Raw())).read()
    if asked.instructions:
        system = (Text(asked.instructions), *system)
    include = asked.include or ()
    return Chat(
        turns=turns,
        system=system,
        tools=tuple([tool for at, raw in enumerate(asked.tools or ()) for tool in _read_tools(raw, f"tools[{at}]")]),
        tool_choice=_tool_choice(asked),
        parallel_tools=asked.parallel_tool_calls,
        sampling=Sampling(
            max_tokens=asked.max_output_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            logprobs=True if LOGPROBS in include else None,
            top_logprobs=asked.top_logprobs,
        ),
        reasoning=_reasoning(asked.reasoning),
        output=_output(asked.text),
        verbosity=None if asked.text is None else asked.text.verbosity,
        stream=head.stream,
        user=asked.user or asked.safety_identifier,
        metadata=None if asked.metadata is None else head.fields["metadata"],
        service_tier=asked.service_tier,
        vendor_format=NAME,
        vendor=_vendor(asked, head.fields),
        unread=INVENTORY.unread(head.fields),
    )


def _refuse_what_is_kept_elsewhere(asked: _Request, fields: Mapping[str, Raw]) -> None:
    if asked.previous_response_id is not None:
        raise BadRequest(
            f"Previous response with id {asked.previous_response_id[:80]!r} not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    if present(fields.get("conversation", Raw())) is not None:
        raise BadRequest(
            "`conversation` is kept by one provider, and this model is not behind it: send the items as `input`.",
            code="unsupported_by_target",
            param="conversation",
        )
    if asked.background:
        raise BadRequest(
            "`background` needs a provider that keeps the response, and this model is not behind one.",
            code="unsupported_by_target",
            param="background",
        )


def _reasoning(asked: _Reasoning | None) -> Reasoning | None:
    if asked is None or (asked.effort is None and asked.summary is None):
        return None
    return Reasoning(effort=asked.effort, show=None if asked.summary is None else "summarized")


def _output(text: _Text | None) -> Output | None:
    wanted = None if text is None else text.format
    if wanted is None:
        return None
    if wanted.type == "json_object":
        return Output("json_object")
    if wanted.type != "json_schema":
        return None
    schema = present(wanted.schema)
    if schema is None:
        raise missing("text.format.schema")
    patch.read(_object, schema, "text.format.schema")
    return Output("json_schema", wanted.name, wanted.description, schema, wanted.strict)


def _vendor(asked: _Request, fields: Mapping[str, Raw]) -> dict[str, Raw]:
    """The fields that only this format knows, and what the known ones say beyond what was understood of them."""
    vendor = {
        name: raw
        for name, raw in fields.items()
        if name not in UNDERSTOOD and name not in SERVED and bytes(raw) not in (b"null", USUAL.get(name))
    }
    if asked.user is None:
        vendor.pop("safety_identifier", None)
    if set(asked.include or ()) <= {LOGPROBS, SEALED}:
        vendor.pop("include", None)
    if asked.reasoning is not None:
        plain = asked.reasoning.summary in _PLAIN
        _keep_others(vendor, "reasoning", fields, {"effort", "summary"} if plain else {"effort"})
    if asked.text is not None:
        _keep_others(vendor, "text", fields, {"verbosity", "format"})
    return vendor


def _keep_others(vendor: dict[str, Raw], name: str, fields: Mapping[str, Raw], known: set[str]) -> None:
    """Adds what an object holds beside what is known of it."""
    others = {
        key: raw for key, raw in _object.decode(fields[name]).items() if key not in known and bytes(raw) != b"null"
    }
    if others:
        vendor[name] = patch.raw(others)


# ----------------------------------------------------------------------------------------------------------- tools


def _read_tools(raw: Raw, place: str) -> list[Tool]:
    """A tool, or those of a namespace."""
    tool = patch.read(_tool, raw, place)
    if tool.type != namespaces.KIND:
        return [_one_tool(tool, raw, place)]
    if not tool.name:
        raise missing(f"{place}.name")
    vendor = {"namespace.description": patch.raw(tool.description)} if tool.description else {}
    members = []
    for at, one in enumerate(tool.tools or ()):
        spot = f"{place}.tools[{at}]"
        member = _one_tool(patch.read(_tool, one, spot), one, spot)
        name = namespaces.joined(tool.name, member.name)
        if member.custom or member.opaque is not None:
            members.append(Tool(name, format=NAME, opaque=one))
            continue
        members.append(msgspec.structs.replace(member, name=name, format=NAME, vendor=member.vendor | vendor))
        vendor = {}
    return members


def _one_tool(tool: _Tool, raw: Raw, place: str) -> Tool:
    if tool.type not in ("function", "custom"):
        return Tool(tool.type, format=NAME, opaque=raw)
    if not tool.name:
        raise missing(f"{place}.name")
    fields = patch.read(_object, raw, place)
    others = {name: value for name, value in fields.items() if name not in TOOL and bytes(value) != b"null"}
    spoken = NAME if others else None
    if tool.type == "custom":
        form = present(tool.format)
        grammar = None if form is None else _nested(form, f"{place}.format")
        return Tool(tool.name, tool.description, custom=True, grammar=grammar, format=spoken, vendor=others)
    parameters = present(tool.parameters)
    if parameters is not None:
        patch.read(_object, parameters, f"{place}.parameters")
    return Tool(tool.name, tool.description, parameters, tool.strict, format=spoken, vendor=others)


def _nested(form: Raw, place: str) -> Raw:
    """The form of a custom tool's text as the older of OpenAI's formats has it, with the grammar in an object."""
    told = patch.read(_grammar, form, place)
    if told.type != "grammar":
        return form
    return patch.raw({"type": "grammar", "grammar": {"syntax": told.syntax, "definition": told.definition}})


def _tool_choice(asked: _Request) -> ToolChoice | None:
    choice = asked.tool_choice
    if choice is None or isinstance(choice, str):
        return None if choice is None else ToolChoice(choice)
    if choice.type == "allowed_tools":
        return ToolChoice(choice.mode, allowed=tuple(tool.name or tool.type for tool in choice.tools or ()))
    if choice.type in ("function", "custom"):
        if choice.name is None:
            raise missing("tool_choice.name")
        return ToolChoice("one", choice.name)
    return ToolChoice("one", choice.type)


def customs(tools: Raw | None) -> frozenset[str]:
    """The names of the tools that take free text."""
    if tools is None or b'"custom"' not in bytes(tools):
        return frozenset()
    try:
        return frozenset(tool.name for tool in _tools.decode(tools) or () if tool.type == "custom" and tool.name)
    except (msgspec.DecodeError, RecursionError):  # nothing was decided about them yet
        return frozenset()
