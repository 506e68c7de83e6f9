"""A client's request to what it means.

Views hold what is understood; an option that no other format has is kept as `options.<name>` of `vendor`, so that each
is reported by its own name where it is lost. A wrong type anywhere is a BadRequest that names the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.ir import Chat, Effort, Output, Raw, Reasoning, Sampling, Tool, ToolChoice
from omniroute.formats.ollama.conversation import Conversation, Message
from omniroute.formats.ollama.head import NAME, Number, Scalars, missing
from omniroute.formats.ollama.known import INVENTORY


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: Raw = Raw()


class _Tool(msgspec.Struct):
    function: _Function


class _Request(Scalars, kw_only=True):
    messages: list[Message] | None = None
    tools: list[_Tool] | None = None
    tool_choice: Raw = Raw()


_request = msgspec.json.Decoder(_Request)
_object = msgspec.json.Decoder(dict[str, Raw])

MODES: tuple[Literal["auto", "none", "required"], ...] = ("auto", "none", "required")
LEVELS: dict[str, Effort] = {"low": "low", "medium": "medium", "high": "high", "max": "max"}
CHOICES = {b'"%b"' % mode.encode(): ToolChoice(mode) for mode in MODES}
"""Of tools. The server has no such field; some clients (Cline) send OpenAI's nevertheless."""
OPTIONS = "options."
"""Before the name of an option, where it stands among the fields that only this format has."""
UNDERSTOOD = frozenset({"model", "stream", "messages", "tools", "options", "format", "think"})
UNDERSTOOD |= {"logprobs", "top_logprobs"}
UNDERSTOOD_OPTIONS = frozenset({"temperature", "top_p", "top_k", "num_predict", "stop", "seed"})
UNDERSTOOD_OPTIONS |= {"presence_penalty", "frequency_penalty"}
MOST = 2**63 - 1


def decode_request(head: Head) -> Chat:
    asked = patch.look(_request, head)
    if not asked.messages:
        raise BadRequest("`messages` is empty: that loads a model, and there is none to load here.", param="messages")
    system, turns = Conversation(asked.messages).read()
    choice = CHOICES.get(bytes(asked.tool_choice))
    return Chat(
        turns=turns,
        system=system,
        tools=tuple([_tool(tool.function, f"tools[{at}].function") for at, tool in enumerate(asked.tools or ())]),
        tool_choice=choice,
        sampling=sampling(asked),
        reasoning=reasoning(asked.think),
        output=output(asked.format),
        stream=head.stream,
        vendor_format=NAME,
        vendor=vendor(head.fields, UNDERSTOOD if choice is None else UNDERSTOOD | {"tool_choice"}),
        unread=INVENTORY.unread(head.fields),
    )


def _tool(function: _Function, place: str) -> Tool:
    if not function.name:
        raise missing(f"{place}.name")
    parameters = None if bytes(function.parameters) in (b"", b"null") else function.parameters
    if parameters is not None:
        patch.read(_object, parameters, f"{place}.parameters")
    return Tool(function.name, function.description, parameters)


def sampling(asked: Scalars) -> Sampling:
    options = asked.options
    if options is None:
        return Sampling(logprobs=asked.logprobs, top_logprobs=asked.top_logprobs)
    limit = _whole(options.num_predict, "num_predict")
    return Sampling(
        max_tokens=limit if limit is not None and limit > 0 else None,  # others mean: as many as it takes
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=_whole(options.top_k, "top_k"),
        stop=(options.stop,) if isinstance(options.stop, str) else tuple(options.stop or ()),
        seed=_whole(options.seed, "seed"),
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        logprobs=asked.logprobs,
        top_logprobs=asked.top_logprobs,
    )


def _whole(number: Number | None, name: str) -> int | None:
    if number is None:
        return None
    if not -MOST <= number <= MOST:
        raise BadRequest(f"`options.{name}` is larger than any count.", param=f"options.{name}")
    return int(number)


def reasoning(think: bool | str | None) -> Reasoning | None:
    if think is None or think == "":
        return None
    if isinstance(think, bool):
        return Reasoning(adaptive=True) if think else Reasoning(off=True)
    if think not in LEVELS:
        raise BadRequest(f"`think` must be a boolean or one of {', '.join(map(repr, LEVELS))}.", param="think")
    return Reasoning(effort=LEVELS[think])


def output(wanted: Raw) -> Output | None:
    written = bytes(wanted)
    if written in (b"", b"null", b'""'):
        return None
    if written == b'"json"':
        return Output("json_object")
    if not written.startswith(b"{"):
        raise BadRequest("`format` must be 'json' or a JSON schema.", param="format")
    return Output("json_schema", schema=wanted)


def vendor(fields: Mapping[str, Raw], understood: frozenset[str]) -> dict[str, Raw]:
    kept = {name: raw for name, raw in fields.items() if name not in understood and bytes(raw) != b"null"}
    options = fields.get("options")
    if options is not None and bytes(options) != b"null":
        for name, raw in patch.read(_object, options, "options").items():
            if name not in UNDERSTOOD_OPTIONS and bytes(raw) != b"null":
                kept[OPTIONS + name] = raw
    return kept
