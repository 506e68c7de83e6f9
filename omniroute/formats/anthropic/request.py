"""A client's request to what it means.

Views hold what is understood; a block that is not understood is kept whole as `Opaque`, a top-level field as `vendor`.
A wrong type anywhere is a BadRequest that names the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from omniroute.formats import patch
from omniroute.formats.anthropic.conversation import CacheControl, mark, missing, read_system, read_turns
from omniroute.formats.anthropic.head import NAME, SCALARS
from omniroute.formats.codec import Fields, Head
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


_list = msgspec.json.Decoder(list[Raw])
_object = msgspec.json.Decoder(dict[str, Raw])
_tool = msgspec.json.Decoder(_Tool)
_choice = msgspec.json.Decoder(_Choice)
_thinking = msgspec.json.Decoder(_Thinking)
_output_config = msgspec.json.Decoder(_OutputConfig)
_metadata = msgspec.json.Decoder(_Metadata)

UNDERSTOOD = frozenset(
    {"model", "stream", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "metadata"}
) | frozenset(SCALARS)
MODES: dict[str, Literal["auto", "required", "one", "none"]] = {
    "auto": "auto",
    "any": "required",
    "tool": "one",
    "none": "none",
}
THINKS = ("enabled", "adaptive", "disabled")


def decode_request(head: Head) -> Chat:
    fields = {name: raw for name, raw in head.fields.items() if bytes(raw) != b"null"}
    value = {name: patch.read(decoder, fields[name], name) for name, decoder in SCALARS.items() if name in fields}
    config = patch.read(_output_config, fields["output_config"], "output_config") if "output_config" in fields else None
    metadata = patch.read(_metadata, fields["metadata"], "metadata") if "metadata" in fields else None
    choice, parallel = _tool_choice(fields)
    return Chat(
        turns=read_turns(fields["messages"]),
        system=read_system(fields["system"]) if "system" in fields else (),
        tools=_tools(fields),
        tool_choice=choice,
        parallel_tools=parallel,
        sampling=Sampling(
            max_tokens=value.get("max_tokens"),
            temperature=value.get("temperature"),
            top_p=value.get("top_p"),
            top_k=value.get("top_k"),
            stop=tuple(value.get("stop_sequences", ())),
        ),
        reasoning=_reasoning(fields, config),
        output=_output(config),
        stream=head.stream,
        user=metadata.user_id if metadata else None,
        service_tier=value.get("service_tier"),
        vendor_format=NAME,
        vendor=_vendor(fields),
    )


def _tools(fields: Mapping[str, Raw]) -> tuple[Tool, ...]:
    if "tools" not in fields:
        return ()
    items = patch.read(_list, fields["tools"], "tools")
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
    return Tool(tool.name, tool.description, tool.input_schema, tool.strict, cache=cache)


def _tool_choice(fields: Mapping[str, Raw]) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may come in parallel."""
    if "tool_choice" not in fields:
        return None, None
    choice = patch.read(_choice, fields["tool_choice"], "tool_choice")
    if choice.type == "tool" and choice.name is None:
        raise missing("tool_choice.name")
    single = choice.disable_parallel_tool_use
    return ToolChoice(MODES[choice.type], choice.name), None if single is None else not single


def _reasoning(fields: Mapping[str, Raw], config: _OutputConfig | None) -> Reasoning | None:
    effort = config.effort if config else None
    if "thinking" not in fields:
        return None if effort is None else Reasoning(effort=effort)
    thinking = patch.read(_thinking, fields["thinking"], "thinking")
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


def _vendor(fields: Fields) -> dict[str, Raw]:
    """The fields that only this format knows, and what the known ones say beyond what was understood of them."""
    vendor: dict[str, Raw] = {name: raw for name, raw in fields.items() if name not in UNDERSTOOD}
    if "thinking" in fields and _thinking.decode(fields["thinking"]).type not in THINKS:
        vendor["thinking"] = fields["thinking"]
    for name, known in (("output_config", {"effort", "format"}), ("metadata", {"user_id"})):
        if name in fields:
            more = {key: raw for key, raw in _object.decode(fields[name]).items() if key not in known}
            if more:
                vendor[name] = patch.raw(more)
    return vendor
