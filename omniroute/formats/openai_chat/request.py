"""A client's request to what it means.

Views hold what is understood; a content part that is not understood is kept whole as `Opaque`, a top-level field as
`vendor`. A wrong type anywhere is a BadRequest that names the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

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
from omniroute.formats.openai_chat.conversation import CacheControl, Conversation, Message, mark, missing, present
from omniroute.formats.openai_chat.head import NAME, Scalars
from omniroute.formats.openai_chat.known import INVENTORY


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


class _Request(Scalars, kw_only=True):
    messages: list[Message]
    tools: list[Raw] | None = None
    functions: list[_Function] | None = None
    tool_choice: Literal["auto", "none", "required"] | _Choice | None = None
    function_call: Literal["auto", "none"] | _Named | None = None
    reasoning_effort: Effort | None = None
    response_format: _Format | None = None
    logit_bias: dict[str, Raw] | None = None
    metadata: dict[str, Raw] | None = None


_request = msgspec.json.Decoder(_Request)
_tool = msgspec.json.Decoder(_Tool)
_object = msgspec.json.Decoder(dict[str, Raw])

FORMATS = frozenset({"text", "json_object", "json_schema"})
UNDERSTOOD = frozenset(
    {"model", "stream", "messages", "tools", "functions", "tool_choice", "function_call", "parallel_tool_calls"}
    | {"max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "seed", "presence_penalty"}
    | {"frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "n", "reasoning_effort", "response_format"}
    | {"verbosity", "user", "metadata", "service_tier"}
)


def decode_request(head: Head) -> Chat:
    asked = patch.look(_request, head)
    system, turns = Conversation(asked.messages).read()
    return Chat(
        turns=turns,
        system=system,
        tools=_tools(asked) if asked.tools or asked.functions else (),
        tool_choice=_tool_choice(asked),
        parallel_tools=asked.parallel_tool_calls,
        sampling=_sampling(asked, head.fields),
        reasoning=None if asked.reasoning_effort is None else Reasoning(effort=asked.reasoning_effort),
        output=None if asked.response_format is None else _output(asked.response_format),
        verbosity=asked.verbosity,
        stream=head.stream,
        user=asked.user or asked.safety_identifier,
        metadata=None if asked.metadata is None else head.fields["metadata"],
        service_tier=asked.service_tier,
        vendor_format=NAME,
        vendor=_vendor(asked, head.fields),
        unread=INVENTORY.unread(head.fields),
    )


def _sampling(asked: _Request, fields: Mapping[str, Raw]) -> Sampling:
    stop = asked.stop
    return Sampling(
        max_tokens=asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        logit_bias=None if asked.logit_bias is None else fields["logit_bias"],
        logprobs=asked.logprobs,
        top_logprobs=asked.top_logprobs,
        n=asked.n,
    )


def _output(wanted: _Format) -> Output | None:
    if wanted.type == "json_object":
        return Output("json_object")
    if wanted.type != "json_schema":
        return None
    schema = wanted.json_schema
    if schema is None:
        raise missing("response_format.json_schema")
    return Output("json_schema", schema.name, schema.description, present(schema.schema), schema.strict)


def _vendor(asked: _Request, fields: Mapping[str, Raw]) -> dict[str, Raw]:
    """The fields that only this format knows, and those known ones that say more than was understood of them."""
    vendor = {name: raw for name, raw in fields.items() if name not in UNDERSTOOD and bytes(raw) != b"null"}
    if asked.user is None:
        vendor.pop("safety_identifier", None)
    if "stream_options" in vendor and _object.decode(vendor["stream_options"]).keys() <= {"include_usage"}:
        del vendor["stream_options"]
    if asked.response_format is not None and asked.response_format.type not in FORMATS:
        vendor["response_format"] = fields["response_format"]
    return vendor


# ----------------------------------------------------------------------------------------------------------- tools


def _tools(asked: _Request) -> tuple[Tool, ...]:
    tools = [_one_tool(raw, f"tools[{at}]") for at, raw in enumerate(asked.tools or ())]
    legacy = [_callable(one, None, f"functions[{at}]") for at, one in enumerate(asked.functions or ())]
    return (*tools, *legacy)


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


def _tool_choice(asked: _Request) -> ToolChoice | None:
    choice = asked.tool_choice
    if choice is None:
        return _legacy_choice(asked.function_call)
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


def _legacy_choice(choice: Literal["auto", "none"] | _Named | None) -> ToolChoice | None:
    if choice is None:
        return None
    return ToolChoice("one", choice.name) if isinstance(choice, _Named) else ToolChoice(choice)
