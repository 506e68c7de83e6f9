"""What a request means, to a body for an upstream.

What goes out is put in order first (`transcript.py` the turns, `reasoning.py` how to think). What cannot be said is a
`Loss`:

* nobody is named here as the user, no metadata, no bias of tokens, no verbosity; calls always may come in parallel;
* a custom tool becomes a function of one text; strictness of one tool is not known;
* what a model does not take (`models.py`) is left out rather than refused.

An image or a file by its address is Google's to fetch: it reads public and signed `https` addresses. One that only
another provider has cannot be sent, and is refused rather than left out. The gateway fetches nothing itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.formats import custom
from omniroute.formats.codec import Fields
from omniroute.formats.gemini import reasoning, schemas
from omniroute.formats.gemini.head import NAME
from omniroute.formats.gemini.models import Traits, traits
from omniroute.formats.gemini.transcript import Transcript, text_part
from omniroute.formats.ir import Chat, Loss, Raw, Sampling, Tool, ToolChoice
from omniroute.formats.writing import Ledger, present

TIERS = {"default": "standard", "standard": "standard", "standard_only": "standard", "flex": "flex"} | {
    "priority": "priority"
}
MOST_STOPS = 5
"""Sequences that stop an answer."""
JSON = "application/json"

_object = msgspec.json.Decoder(dict[str, Raw])


def encode_request(chat: Chat, model: str) -> tuple[Fields, list[Loss]]:
    ledger = Ledger(chat)
    known = traits(model)
    fields: Fields = {"contents": Transcript(chat, known, ledger).write()}
    system = [text_part(block.text) for block in chat.system if block.text.strip()]
    for block in chat.system:
        ledger.mark(block.cache, "system")
    if system:
        fields["systemInstruction"] = {"parts": system}
    if chat.tools or chat.tool_choice is not None:
        fields |= _tools(chat, ledger)
    config = _sampling(chat.sampling, known, ledger)
    if chat.output is not None or chat.verbosity is not None:
        config |= _output(chat, ledger, beside_tools="tools" in fields and not known.schemas_with_tools)
    if chat.reasoning is not None:
        config |= reasoning.write(chat.reasoning, known, ledger)
    if config:
        fields["generationConfig"] = config
    fields |= _account(chat, ledger)
    _vendor(chat, fields, ledger)
    return fields, ledger.losses


# ----------------------------------------------------------------------------------------------------------- tools


def _tools(chat: Chat, ledger: Ledger) -> Fields:
    functions: dict[str, Any] = {}
    hosted: list[Any] = []
    for at, tool in enumerate(chat.tools):
        place = f"tools[{at}]"
        ledger.mark(tool.cache, place)
        if tool.opaque is None:
            functions[tool.name] = _function(tool, place, ledger)
        elif (one := ledger.hosted(tool, NAME, place)) is not None:
            hosted.append(one)
    tools = ([{"functionDeclarations": list(functions.values())}] if functions else []) + hosted
    choice = chat.tool_choice
    if chat.parallel_tools is False and functions:
        ledger.lose("parallel_tool_calls", "parallel_tools", "dropped: calls may always come in parallel")
    if not functions:
        if choice is not None and choice.mode in ("required", "one"):
            ledger.lose("tool_choice", "tool_choice", "dropped: there are no tools")
        return {"tools": tools} if tools else {}
    calling = None if choice is None else _calling(choice, functions, ledger)
    return {"tools": tools} | present(toolConfig=None if calling is None else {"functionCallingConfig": calling})


def _function(tool: Tool, place: str, ledger: Ledger) -> Fields:
    ledger.losses += tool.lost(NAME, place)
    if tool.strict:
        ledger.lose("strict", place, "dropped: strictness is not known of one tool")
    if tool.custom:
        ledger.lose("custom_tool", place, "made a function of one text; its grammar is not enforced")
        schema: Raw | None = custom.SCHEMA
    else:
        schema = tool.parameters
    if schema is not None:
        schema, losses = schemas.fitted(schema, f"{place}.parameters")
        ledger.losses += losses
    return {"name": tool.name} | present(description=tool.description, parametersJsonSchema=schema)


def _calling(choice: ToolChoice, functions: dict[str, Any], ledger: Ledger) -> Fields | None:
    wanted = ledger.chosen(choice, functions)
    if wanted is None:
        return None
    if choice.mode == "none":
        return {"mode": "NONE"}
    if choice.mode == "auto":
        # names may be given with `ANY` and `VALIDATED` only; the latter leaves it to the model whether to call
        return {"mode": "VALIDATED", "allowedFunctionNames": wanted} if wanted else {"mode": "AUTO"}
    return {"mode": "ANY"} | present(allowedFunctionNames=wanted or None)


# ------------------------------------------------------------------------------------------------------- the manner


def _sampling(asked: Sampling, known: Traits, ledger: Ledger) -> Fields:
    if asked.logit_bias is not None:
        ledger.lose("logit_bias", "sampling.logit_bias", "dropped: there is no such field")
    stop = [sequence for sequence in asked.stop if sequence]
    if len(stop) > MOST_STOPS:
        ledger.lose("stop", "sampling.stop", f"{len(stop) - MOST_STOPS} dropped: {MOST_STOPS} sequences can be given")
    if asked.top_logprobs and not asked.logprobs:
        ledger.lose("top_logprobs", "sampling.top_logprobs", "dropped: none without log probabilities")
    presence, frequency = asked.presence_penalty, asked.frequency_penalty
    if not known.penalties:
        for name, value in (("presence_penalty", presence), ("frequency_penalty", frequency)):
            if value:
                ledger.lose(name, f"sampling.{name}", "dropped: the model does not take it")
        presence = frequency = None
    return present(
        maxOutputTokens=asked.max_tokens,
        temperature=asked.temperature,
        topP=asked.top_p,
        topK=asked.top_k,
        stopSequences=stop[:MOST_STOPS] or None,
        seed=_seed(asked.seed, ledger),
        presencePenalty=presence,
        frequencyPenalty=frequency,
        responseLogprobs=asked.logprobs or None,
        logprobs=asked.top_logprobs if asked.logprobs else None,
        candidateCount=_answers(asked.n, ledger),
    )


def _seed(seed: int | None, ledger: Ledger) -> int | None:
    """Seeds here have 32 bits; others are folded into them, always the same."""
    if seed is None or -(2**31) <= seed < 2**31:
        return seed
    ledger.lose("seed", "sampling.seed", "folded into 32 bits")
    return seed % 2**31


def _answers(count: int | None, ledger: Ledger) -> int | None:
    if count not in (None, 1):
        ledger.lose("n", "sampling.n", "dropped: one answer is told")
    return None


def _output(chat: Chat, ledger: Ledger, *, beside_tools: bool) -> Fields:
    if chat.verbosity is not None:
        ledger.lose("verbosity", "verbosity", "dropped: there is no such field")
    output = chat.output
    if output is None:
        return {}
    if beside_tools:
        ledger.lose("response_format", "output", "dropped: the model has either tools or a form to answer in")
        return {}
    if output.kind == "json_object" or output.schema is None:
        return {"responseMimeType": JSON}
    if output.description:
        ledger.lose("schema_description", "output.description", "dropped: there is no such field")
    schema, losses = schemas.fitted(output.schema, "output.schema", answer=True)
    ledger.losses += losses
    return {"responseMimeType": JSON, "responseJsonSchema": schema}


def _account(chat: Chat, ledger: Ledger) -> Fields:
    """For whom, and at what service."""
    if chat.user is not None:
        ledger.lose("user", "user", "dropped: nobody is named here")
    if chat.metadata is not None:
        ledger.lose("metadata", "metadata", "dropped: there is no such field")
    tier = chat.service_tier
    if tier is None or tier == "auto":
        return {}
    if tier in TIERS:
        return {"serviceTier": TIERS[tier]}
    ledger.lose("service_tier", "service_tier", f"dropped: there is no tier {tier!r}")
    return {}


def _vendor(chat: Chat, fields: Fields, ledger: Ledger) -> None:
    for name, raw in ledger.vendor_fields(chat, NAME).items():
        there = fields.get(name)
        if "." not in name:
            fields[name] = {**there, **_object.decode(raw)} if isinstance(there, dict) else raw
