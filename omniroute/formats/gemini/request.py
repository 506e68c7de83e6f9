"""A client's request to what it means.

Views hold what is understood; a part that is not understood is kept whole as `Opaque`, a field as `vendor`. A wrong
type anywhere is a BadRequest that names the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.gemini import schemas, spelling
from omniroute.formats.gemini.conversation import missing, read_system, read_turns
from omniroute.formats.gemini.head import NAME
from omniroute.formats.gemini.known import INVENTORY
from omniroute.formats.gemini.spelling import View, canonical
from omniroute.formats.ir import Chat, Effort, Output, Raw, Reasoning, Sampling, Tool, ToolChoice

Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""Larger ones are no count of anything, and not every server that they come to can hold them."""


class _Function(View):
    name: str | None = None
    description: str | None = None
    parameters: Raw = Raw()
    parameters_json_schema: Raw = Raw()
    parameters_json_schema_: Raw = Raw()
    response: Raw = Raw()
    response_json_schema: Raw = Raw()
    response_json_schema_: Raw = Raw()


class _Calling(View):
    mode: str | None = None
    allowed_function_names: list[str] | None = None
    allowed_function_names_: list[str] | None = None


class _ToolConfig(View):
    function_calling_config: _Calling | None = None
    function_calling_config_: _Calling | None = None


class _Thinking(View):
    thinking_budget: Whole | None = None
    thinking_budget_: Whole | None = None
    thinking_level: str | None = None
    thinking_level_: str | None = None
    include_thoughts: bool | None = None
    include_thoughts_: bool | None = None


class _Config(msgspec.Struct, rename=spelling.spelled):
    """How to answer, its names being spelled in the first way already."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    max_output_tokens: Whole | None = None
    stop_sequences: list[str] | None = None
    seed: Whole | None = None
    candidate_count: Whole | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_logprobs: bool | None = None
    logprobs: Whole | None = None
    response_mime_type: str | None = None
    response_schema: Raw = Raw()
    response_json_schema: Raw = Raw()
    thinking_config: _Thinking | None = None


_function = msgspec.json.Decoder(_Function)
_config = msgspec.json.Decoder(_Config)
_tool_config = msgspec.json.Decoder(_ToolConfig)
_items = msgspec.json.Decoder(list[Raw])
_members = msgspec.json.Decoder(dict[str, Raw])
_string = msgspec.json.Decoder(str)

UNDERSTOOD = frozenset(
    {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "model"}
)
IN_CONFIG = frozenset(map(spelling.camel, _Config.__struct_fields__))
EFFORTS: dict[str, Effort] = {"minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh"}
TIERS = {"standard": "default", "unspecified": None}
"""What others call a tier that they call otherwise."""
JSON = "application/json"
PLAIN = (None, "text/plain")
OF_OUTPUT = ("responseMimeType", "responseSchema", "responseJsonSchema")


def decode_request(head: Head) -> Chat:
    fields = head.fields
    vendor = {name: raw for name, raw in fields.items() if name not in UNDERSTOOD}
    config, others = _generation(fields)
    if others:
        vendor["generationConfig"] = patch.raw(others)
    tools = _tools(fields["tools"], vendor) if "tools" in fields else ()
    return Chat(
        turns=read_turns(fields["contents"]),
        system=read_system(fields["systemInstruction"]) if "systemInstruction" in fields else (),
        tools=tools,
        tool_choice=_tool_choice(fields["toolConfig"], vendor) if "toolConfig" in fields else None,
        sampling=Sampling(
            max_tokens=config.max_output_tokens,
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=None if config.top_k is None else round(max(0, min(config.top_k, 2**31))),
            stop=tuple(config.stop_sequences or ()),
            seed=config.seed,
            presence_penalty=config.presence_penalty,
            frequency_penalty=config.frequency_penalty,
            logprobs=config.response_logprobs,
            top_logprobs=config.logprobs,
            n=config.candidate_count,
        ),
        reasoning=None if config.thinking_config is None else _reasoning(config.thinking_config),
        output=_output(config),
        stream=head.stream,
        service_tier=_tier(fields["serviceTier"]) if "serviceTier" in fields else None,
        vendor_format=NAME,
        vendor=vendor,
        unread=INVENTORY.unread(head.fields),
    )


def _generation(fields: Mapping[str, Raw]) -> tuple[_Config, dict[str, Raw]]:
    """The generation's config, and what of it only this format knows."""
    raw = fields.get("generationConfig")
    if raw is None:
        return _Config(), {}
    place = "generationConfig"
    members = canonical(patch.read(_members, raw, place), place)
    config = patch.read(_config, patch.raw(members), place)
    others = {name: one for name, one in members.items() if name not in IN_CONFIG}
    if config.response_mime_type != JSON:
        kept = ("responseSchema", "responseJsonSchema") if config.response_mime_type in PLAIN else OF_OUTPUT
        others |= {name: members[name] for name in kept if name in members}
    return config, others


def _reasoning(given: _Thinking) -> Reasoning:
    thinking = spelling.settle(given, "generationConfig.thinkingConfig")
    budget = thinking.thinking_budget
    show = thinking.include_thoughts
    return Reasoning(
        effort=EFFORTS.get((thinking.thinking_level or "").lower()),
        budget=budget if budget is not None and budget > 0 else None,
        adaptive=budget is not None and budget < 0,
        off=budget == 0,
        show=None if show is None else "summarized" if show else "omitted",
    )


def _output(config: _Config) -> Output | None:
    if config.response_mime_type != JSON:
        return None
    place = "generationConfig.responseJsonSchema"
    if _present(config.response_json_schema):
        patch.read(_members, config.response_json_schema, place)
        return Output("json_schema", schema=config.response_json_schema)
    if _present(config.response_schema):
        place = "generationConfig.responseSchema"
        patch.read(_members, config.response_schema, place)
        return Output("json_schema", schema=schemas.standard(config.response_schema, place))
    return Output("json_object")


def _tier(raw: Raw) -> str | None:
    tier = patch.read(_string, raw, "serviceTier").lower()
    return TIERS.get(tier, tier)


# ----------------------------------------------------------------------------------------------------------- tools


def _tools(raw: Raw, vendor: dict[str, Raw]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    listed = [raw] if bytes(raw).startswith(b"{") else patch.read(_items, raw, "tools")
    for at, one in enumerate(listed):
        place = f"tools[{at}]"
        for name, value in canonical(patch.read(_members, one, place), place).items():
            if name == "functionDeclarations":
                spot = f"{place}.{name}"
                functions = patch.read(_items, value, spot)
                tools += [_callable(item, f"{spot}[{number}]", vendor) for number, item in enumerate(functions)]
            else:
                tools.append(Tool(name, format=NAME, opaque=patch.raw({name: value})))
    return tuple(tools)


def _callable(raw: Raw, place: str, vendor: dict[str, Raw]) -> Tool:
    function = spelling.read(_function, raw, place)
    if not function.name:
        raise missing(f"{place}.name")
    for told in (function.response, function.response_json_schema):
        if _present(told):
            vendor["functionDeclarations.response"] = told
    return Tool(function.name, function.description, _parameters(function, place))


def _parameters(function: _Function, place: str) -> Raw | None:
    if _present(function.parameters_json_schema):
        patch.read(_members, function.parameters_json_schema, f"{place}.parametersJsonSchema")
        return function.parameters_json_schema
    if not _present(function.parameters):
        return None
    patch.read(_members, function.parameters, f"{place}.parameters")
    return schemas.standard(function.parameters, f"{place}.parameters")


def _tool_choice(raw: Raw, vendor: dict[str, Raw]) -> ToolChoice | None:
    place = "toolConfig"
    others: dict[str, Any] = canonical(patch.read(_members, raw, place), place)
    calling = spelling.read(_tool_config, raw, place).function_calling_config
    others.pop("functionCallingConfig", None)
    if others:
        vendor[place] = patch.raw(others)
    if calling is None:
        return None
    place = "toolConfig.functionCallingConfig"
    calling = spelling.settle(calling, place)
    names = tuple(calling.allowed_function_names or ())
    match (calling.mode or "AUTO").upper():
        case "AUTO" | "VALIDATED" | "MODE_UNSPECIFIED":
            return ToolChoice("auto", allowed=names)
        case "ANY":
            return ToolChoice("one", names[0]) if len(names) == 1 else ToolChoice("required", allowed=names)
        case "NONE":
            return ToolChoice("none")
        case _:
            raise BadRequest(f"`{place}.mode` must be `AUTO`, `ANY`, `NONE` or `VALIDATED`.", param=f"{place}.mode")


def _present(raw: Raw) -> bool:
    return bytes(raw) not in (b"", b"null")
