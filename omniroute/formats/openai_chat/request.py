"""A client's request to what it means.

Views hold what is understood; a content part that is not understood is kept whole as `Opaque`, a top-level field as
`vendor`. A wrong type anywhere is a BadRequest that names the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.ir import (
    CacheMark,
    Chat,
    Effort,
    Output,
    Raw,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
)
from omniroute.formats.openai_chat.conversation import CacheControl, Conversation, mark, missing, present
from omniroute.formats.openai_chat.head import NAME, SCALARS


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: Raw = Raw()
    strict: bool | None = None


class _Custom(msgspec.Struct):
    name: str
    description: str | None = None
    format: Raw = Raw()


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Function | None = None
    custom: _Custom | None = None
    cache_control: CacheControl | None = None


class _Named(msgspec.Struct):
    name: str


class _Either(msgspec.Struct):
    function: _Named | None = None
    custom: _Named | None = None


class _Allowed(msgspec.Struct):
    mode: Literal["auto", "required"]
    tools: list[_Either]


class _Choice(msgspec.Struct):
    type: str = "function"
    function: _Named | None = None
    custom: _Named | None = None
    allowed_tools: _Allowed | None = None


class _Schema(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    schema: Raw = Raw()
    strict: bool | None = None


class _Format(msgspec.Struct):
    type: str
    json_schema: _Schema | None = None


_list = msgspec.json.Decoder(list[Raw])
_tool = msgspec.json.Decoder(_Tool)
_function = msgspec.json.Decoder(_Function)
_choice = msgspec.json.Decoder(Literal["auto", "none", "required"] | _Choice)
_function_choice = msgspec.json.Decoder(Literal["auto", "none"] | _Named)
_format = msgspec.json.Decoder(_Format)
_effort = msgspec.json.Decoder(Effort)
_object = msgspec.json.Decoder(dict[str, Raw])

FORMATS = frozenset({"text", "json_object", "json_schema"})
UNDERSTOOD = frozenset(
    {"model", "stream", "messages", "tools", "functions", "tool_choice", "function_call", "parallel_tool_calls"}
    | {"max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "seed", "presence_penalty"}
    | {"frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "n", "reasoning_effort", "response_format"}
    | {"verbosity", "user", "metadata", "service_tier"}
)


def decode_request(head: Head) -> Chat:
    fields = {name: raw for name, raw in head.fields.items() if bytes(raw) != b"null"}
    system, turns = Conversation(fields["messages"]).read()
    value = _Values(fields)
    return Chat(
        turns=turns,
        system=system,
        tools=_all_tools(fields),
        tool_choice=_tool_choice(fields),
        parallel_tools=value("parallel_tool_calls"),
        sampling=_sampling(fields, value),
        reasoning=_reasoning(fields),
        output=_output(fields),
        verbosity=value("verbosity"),
        stream=head.stream,
        user=value("user") or value("safety_identifier"),
        metadata=_checked(fields, "metadata"),
        service_tier=value("service_tier"),
        vendor_format=NAME,
        vendor=_vendor(fields),
    )


class _Values:
    """The scalars of a body, by name."""

    def __init__(self, fields: Mapping[str, Raw]) -> None:
        self._fields = fields

    def __call__(self, name: str) -> Any:
        raw = self._fields.get(name)
        return None if raw is None else patch.read(SCALARS[name], raw, name)


def _sampling(fields: Mapping[str, Raw], value: _Values) -> Sampling:
    stop = value("stop")
    limit = value("max_completion_tokens")
    return Sampling(
        max_tokens=value("max_tokens") if limit is None else limit,
        temperature=value("temperature"),
        top_p=value("top_p"),
        top_k=value("top_k"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        seed=value("seed"),
        presence_penalty=value("presence_penalty"),
        frequency_penalty=value("frequency_penalty"),
        logit_bias=_checked(fields, "logit_bias"),
        logprobs=value("logprobs"),
        top_logprobs=value("top_logprobs"),
        n=value("n"),
    )


def _checked(fields: Mapping[str, Raw], name: str) -> Raw | None:
    """An object that is kept as it came."""
    raw = fields.get(name)
    if raw is not None:
        patch.read(_object, raw, name)
    return raw


def _reasoning(fields: Mapping[str, Raw]) -> Reasoning | None:
    raw = fields.get("reasoning_effort")
    return None if raw is None else Reasoning(effort=patch.read(_effort, raw, "reasoning_effort"))


def _output(fields: Mapping[str, Raw]) -> Output | None:
    raw = fields.get("response_format")
    if raw is None:
        return None
    wanted = patch.read(_format, raw, "response_format")
    if wanted.type == "json_object":
        return Output("json_object")
    if wanted.type != "json_schema":
        return None
    schema = wanted.json_schema
    if schema is None:
        raise missing("response_format.json_schema")
    return Output("json_schema", schema.name, schema.description, present(schema.schema), schema.strict)


def _vendor(fields: Mapping[str, Raw]) -> dict[str, Raw]:
    """The fields that only this format knows, and those known ones that say more than was understood of them."""
    vendor = {name: raw for name, raw in fields.items() if name not in UNDERSTOOD}
    if "user" not in fields:
        vendor.pop("safety_identifier", None)
    if "stream_options" in vendor and _object.decode(vendor["stream_options"]).keys() <= {"include_usage"}:
        del vendor["stream_options"]
    if "response_format" in fields and _format.decode(fields["response_format"]).type not in FORMATS:
        vendor["response_format"] = fields["response_format"]
    return vendor


# ----------------------------------------------------------------------------------------------------------- tools


def _all_tools(fields: Mapping[str, Raw]) -> tuple[Tool, ...]:
    tools = [_one_tool(raw, place) for raw, place in _listed(fields, "tools")]
    for raw, place in _listed(fields, "functions"):
        tools.append(_callable(patch.read(_function, raw, place), None, place))
    return tuple(tools)


def _listed(fields: Mapping[str, Raw], name: str) -> list[tuple[Raw, str]]:
    """The items of a list, each with its place."""
    if name not in fields:
        return []
    items = patch.read(_list, fields[name], name)
    return [(raw, f"{name}[{at}]") for at, raw in enumerate(items)]


def _one_tool(raw: Raw, place: str) -> Tool:
    tool = patch.read(_tool, raw, place)
    cache = mark(tool.cache_control)
    if tool.type == "function":
        if tool.function is None:
            raise missing(f"{place}.function")
        return _callable(tool.function, cache, f"{place}.function")
    if tool.type == "custom":
        if tool.custom is None:
            raise missing(f"{place}.custom")
        custom = tool.custom
        return Tool(custom.name, custom.description, custom=True, grammar=present(custom.format), cache=cache)
    return Tool(tool.type, format=NAME, opaque=raw, cache=cache)


def _callable(function: _Function, cache: CacheMark | None, place: str) -> Tool:
    parameters = present(function.parameters)
    if parameters is not None:
        patch.read(_object, parameters, f"{place}.parameters")
    return Tool(function.name, function.description, parameters, function.strict, cache=cache)


def _tool_choice(fields: Mapping[str, Raw]) -> ToolChoice | None:
    if "tool_choice" not in fields:
        return _legacy_choice(fields)
    choice = patch.read(_choice, fields["tool_choice"], "tool_choice")
    if not isinstance(choice, _Choice):
        return ToolChoice(choice)
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        allowed = choice.allowed_tools
        named = (tool.function or tool.custom for tool in allowed.tools)
        return ToolChoice(allowed.mode, allowed=tuple(tool.name for tool in named if tool is not None))
    one = choice.custom if choice.type == "custom" else choice.function
    if one is None:
        raise missing(f"tool_choice.{choice.type}")
    return ToolChoice("one", one.name)


def _legacy_choice(fields: Mapping[str, Raw]) -> ToolChoice | None:
    if "function_call" not in fields:
        return None
    choice = patch.read(_function_choice, fields["function_call"], "function_call")
    return ToolChoice("one", choice.name) if isinstance(choice, _Named) else ToolChoice(choice)
