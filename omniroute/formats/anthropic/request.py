"""A client's request to what it means.

Views hold what is understood; a block that is not understood is kept whole as `Opaque`, a top-level field as `vendor`.
A wrong type anywhere is a BadRequest that names the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from omniroute.formats import patch
from omniroute.formats.anthropic.conversation import CacheControl, Message, mark, missing, read_system, read_turns
from omniroute.formats.anthropic.head import NAME, Scalars
from omniroute.formats.anthropic.known import INVENTORY
from omniroute.formats.codec import Head
from omniroute.formats.ir import Chat, Effort, Output, Raw, Reasoning, Sampling, Tool, ToolChoice


class _Tool(msgspec.Struct):
    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: Raw = Raw()
    strict: bool | None = None
    cache_control: CacheControl | None = None


class _Choice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: Literal["summarized", "omitted"] | None = None


class _Format(msgspec.Struct):
    type: str
    schema: Raw = Raw()


class _OutputConfig(msgspec.Struct):
    effort: Effort | None = None
    format: _Format | None = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Request(Scalars, kw_only=True):
    messages: list[Message]
    system: str | list[Raw] | None = None
    tools: list[Raw] | None = None
    tool_choice: _Choice | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    metadata: _Metadata | None = None


_request = msgspec.json.Decoder(_Request)
_object = msgspec.json.Decoder(dict[str, Raw])
_tool = msgspec.json.Decoder(_Tool)

UNDERSTOOD = frozenset(
    {"model", "stream", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "metadata"}
) | frozenset(Scalars.__struct_fields__)
TOOL = frozenset(_Tool.__struct_fields__)
MODES: dict[str, Literal["auto", "required", "one", "none"]] = {
    "auto": "auto",
    "any": "required",
    "tool": "one",
    "none": "none",
}
THINKS = ("enabled", "adaptive", "disabled")


def decode_request(head: Head) -> Chat:
    asked = patch.look(_request, head)
    choice, parallel = (None, None) if asked.tool_choice is None else _tool_choice(asked.tool_choice)
    return Chat(
        turns=read_turns(asked.messages),
        system=read_system(asked.system) if asked.system else (),
        tools=_tools(asked.tools) if asked.tools else (),
        tool_choice=choice,
        parallel_tools=parallel,
        sampling=Sampling(
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            top_k=asked.top_k,
            stop=tuple(asked.stop_sequences or ()),
        ),
        reasoning=_reasoning(asked.thinking, asked.output_config),
        output=_output(asked.output_config),
        stream=head.stream,
        user=asked.metadata.user_id if asked.metadata else None,
        service_tier=asked.service_tier,
        vendor_format=NAME,
        vendor=_vendor(asked, head.fields),
        unread=INVENTORY.unread(head.fields),
    )


def _tools(items: list[Raw]) -> tuple[Tool, ...]:
    return tuple(_one_tool(raw, f"tools[{at}]") for at, raw in enumerate(items))


def _one_tool(raw: Raw, place: str) -> Tool:
    tool = patch.read(_tool, raw, place)
    cache = mark(tool.cache_control)
    if tool.type not in (None, "custom"):
        return Tool(tool.name or tool.type, format=NAME, opaque=raw, cache=cache)
    if not tool.name:
        raise missing(f"{place}.name")
    if not bytes(tool.input_schema):
        raise missing(f"{place}.input_schema")
    patch.read(_object, tool.input_schema, f"{place}.input_schema")
    fields = patch.read(_object, raw, place)
    others = {name: value for name, value in fields.items() if name not in TOOL and bytes(value) != b"null"}
    return Tool(
        tool.name,
        tool.description,
        tool.input_schema,
        tool.strict,
        format=NAME if others else None,
        cache=cache,
        vendor=others,
    )


def _tool_choice(choice: _Choice) -> tuple[ToolChoice, bool | None]:
    """The choice, and whether calls may come in parallel."""
    if choice.type == "tool" and choice.name is None:
        raise missing("tool_choice.name")
    single = choice.disable_parallel_tool_use
    return ToolChoice(MODES[choice.type], choice.name), None if single is None else not single


def _reasoning(thinking: _Thinking | None, config: _OutputConfig | None) -> Reasoning | None:
    effort = config.effort if config else None
    if thinking is None:
        return None if effort is None else Reasoning(effort=effort)
    if thinking.type == "enabled" and thinking.budget_tokens is None:
        raise missing("thinking.budget_tokens")
    return Reasoning(
        effort=effort,
        budget=thinking.budget_tokens if thinking.type == "enabled" else None,
        adaptive=thinking.type == "adaptive",
        off=thinking.type in ("disabled", "between_tools"),
        show=thinking.display,
    )


def _output(config: _OutputConfig | None) -> Output | None:
    if config is None or config.format is None or config.format.type != "json_schema":
        return None
    if not bytes(config.format.schema):
        raise missing("output_config.format.schema")
    patch.read(_object, config.format.schema, "output_config.format.schema")
    return Output("json_schema", schema=config.format.schema)


def _vendor(asked: _Request, fields: Mapping[str, Raw]) -> dict[str, Raw]:
    """The fields that only this format knows, and what the known ones say beyond what was understood of them."""
    vendor = {name: raw for name, raw in fields.items() if name not in UNDERSTOOD and bytes(raw) != b"null"}
    if asked.thinking is not None and asked.thinking.type not in THINKS:
        vendor["thinking"] = fields["thinking"]
    if asked.output_config is not None:
        _keep_others(vendor, "output_config", fields, _OutputConfig)
    if asked.metadata is not None:
        _keep_others(vendor, "metadata", fields, _Metadata)
    return vendor


def _keep_others(vendor: dict[str, Raw], name: str, fields: Mapping[str, Raw], known: type[msgspec.Struct]) -> None:
    """Adds what an object holds beside what is known of it."""
    others = {key: raw for key, raw in _object.decode(fields[name]).items() if key not in known.__struct_fields__}
    if others:
        vendor[name] = patch.raw(others)
