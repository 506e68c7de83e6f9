"""What a request means, to a body for an upstream.

The API refuses much that other formats allow, so what goes out is put in order first (`transcript.py` the turns,
`reasoning.py` how to think). What cannot be said is a `Loss`:

* there is no seed, no penalty, no log probability, no second answer, no verbosity, no JSON mode without a schema;
* a narrowed choice of tools becomes a narrower list; a custom tool becomes a function of one text;
* what a model does not take (`models.py`) is left out rather than refused.

A limit on the answer is required here; where the caller gives none, the model's usual one is set. Names of tools go as
they are, for an answer could not be told under their old ones.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgspec

from omniroute.formats import custom
from omniroute.formats.anthropic import reasoning
from omniroute.formats.anthropic.head import NAME
from omniroute.formats.anthropic.models import Traits, traits
from omniroute.formats.anthropic.transcript import Transcript
from omniroute.formats.anthropic.writing import Ledger, marked, text_block
from omniroute.formats.codec import Fields
from omniroute.formats.dialects import ANTHROPIC, ANTHROPIC_STRICT
from omniroute.formats.ir import Chat, Loss, Raw, Sampling, Tool, ToolChoice
from omniroute.formats.schemas import EMPTIED, NO_PARAMETERS, fit, fit_strict, is_emptied
from omniroute.formats.writing import present

TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
WITHOUT = ("seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs")
"""Of sampling, what has no field."""

_without = attrgetter(*WITHOUT)
_NOTHING = (None,) * len(WITHOUT)
NEUTRAL = {"temperature": 1, "top_p": 1}
"""What may go unsaid where it cannot be said: Claude's own defaults."""
LEAST_WHILE_THINKING = 0.95
"""The smallest top_p that goes with thinking."""

_object = msgspec.json.Decoder(dict[str, Raw])


def encode_request(chat: Chat, model: str) -> tuple[Fields, list[Loss]]:
    ledger = Ledger(chat)
    known = traits(model)
    tools = _tools(chat, known, ledger) if chat.tools or chat.tool_choice is not None else {}
    system = [marked(text_block(block.text), block.cache, ledger) for block in chat.system if block.text.strip()]
    transcript = Transcript(chat, ledger, system_turns=known.system_turns)
    messages = transcript.write()
    limit = chat.sampling.max_tokens
    fields: Fields = {"model": model, "max_tokens": known.output if limit is None else limit, "messages": messages}
    if system:
        plain = len(system) == 1 and "cache_control" not in system[0]
        fields["system"] = system[0]["text"] if plain else system
    fields |= tools
    if chat.reasoning is not None:
        fields |= reasoning.write(chat, chat.reasoning, fields, known, ledger, unsigned=transcript.unsigned)
    fields |= _sampling(chat.sampling, known, ledger, thinks=reasoning.thinks(fields))
    if chat.output is not None or chat.verbosity is not None:
        _merge(fields, _output(chat, known, ledger))
    fields |= _account(chat, ledger)
    if chat.vendor:
        _merge(fields, ledger.vendor_fields(chat, NAME))
    if ledger.marks:
        ledger.limit_marks()
    if chat.stream:
        fields["stream"] = True
    return fields, ledger.losses


def _merge(fields: Fields, more: Fields) -> None:
    """Adds fields; an object joins the one that is there."""
    for name, value in more.items():
        there = fields.get(name)
        fields[name] = {**there, **_members(value)} if isinstance(there, dict) else value


def _members(value: Any) -> dict[str, Any]:
    return _object.decode(value) if isinstance(value, Raw) else value


# ----------------------------------------------------------------------------------------------------------- tools


def _tools(chat: Chat, known: Traits, ledger: Ledger) -> Fields:
    choice = chat.tool_choice
    allowed = choice.allowed if choice is not None else ()
    if allowed:
        ledger.lose("allowed_tools", "tool_choice.allowed", "the other tools were left out")
    written: dict[str, Any] = {}
    for at, tool in enumerate(chat.tools):
        if not allowed or tool.name in allowed:
            one = _tool(tool, f"tools[{at}]", known, ledger)
            if one is not None:
                written[tool.name] = one
    if not written:
        if choice is not None and choice.mode in ("required", "one"):
            ledger.lose("tool_choice", "tool_choice", "dropped: there are no tools")
        return {}
    return {"tools": list(written.values())} | present(tool_choice=_tool_choice(chat, written, ledger))


def _tool(tool: Tool, place: str, known: Traits, ledger: Ledger) -> Any:
    if tool.opaque is not None:
        return ledger.hosted(tool, NAME, place)
    fields: Fields = {"name": tool.name} | present(description=tool.description)
    if tool.custom:
        ledger.lose("custom_tool", place, "made a function of one text; its grammar is not enforced")
        fields["input_schema"] = custom.SCHEMA
    else:
        fields |= _schema(tool, f"{place}.parameters", known, ledger)
    if tool.format == NAME:
        fields |= tool.vendor
    ledger.losses += tool.lost(NAME, place)
    return marked(fields, tool.cache, ledger)


def _schema(tool: Tool, place: str, known: Traits, ledger: Ledger) -> Fields:
    schema = NO_PARAMETERS if tool.parameters is None else tool.parameters
    if tool.strict and known.schemas:
        fitted, held, losses = fit_strict(schema, ANTHROPIC_STRICT, ANTHROPIC, place)
    else:
        fitted, losses = fit(schema, ANTHROPIC, place)
        held = False
        if tool.strict:
            ledger.lose("strict", place, "dropped: the model cannot be held to a schema")
    ledger.losses += losses
    return {"input_schema": fitted, "strict": True} if held else {"input_schema": fitted}


def _tool_choice(chat: Chat, written: dict[str, Any], ledger: Ledger) -> Fields | None:
    choice, single = chat.tool_choice, chat.parallel_tools is False
    if choice is not None and choice.mode == "one" and choice.name not in written:
        ledger.lose("tool_choice", "tool_choice", f"dropped: {choice.name!r} is not among the tools")
        choice = None
    if choice is None and not single:
        return None
    wanted = _wanted(choice)
    if single and wanted["type"] != "none":
        wanted["disable_parallel_tool_use"] = True
    return wanted


def _wanted(choice: ToolChoice | None) -> Fields:
    if choice is None:
        return {"type": "auto"}
    if choice.mode == "one":
        return {"type": "tool", "name": choice.name}
    return {"type": "any" if choice.mode == "required" else choice.mode}


# ------------------------------------------------------------------------------------------------------- the manner


def _sampling(asked: Sampling, known: Traits, ledger: Ledger, *, thinks: bool) -> Fields:
    for name in WITHOUT if _without(asked) != _NOTHING else ():
        value = getattr(asked, name)
        if value is not None and value is not False:
            ledger.lose(name, f"sampling.{name}", "dropped: there is no such field")
    if asked.n not in (None, 1):
        ledger.lose("n", "sampling.n", "dropped: there is one answer")
    stop = [sequence for sequence in asked.stop if sequence.strip()]
    if len(stop) < len(asked.stop):
        ledger.lose("stop", "sampling.stop", "white space cannot stop an answer")
    written = _chance(asked, known, ledger, thinks=thinks)
    if stop:
        written["stop_sequences"] = stop
    return written


def _chance(asked: Sampling, known: Traits, ledger: Ledger, *, thinks: bool) -> Fields:
    """Temperature, top_p and top_k as far as the model takes them, and takes them while it thinks."""
    chance = present(temperature=asked.temperature, top_p=asked.top_p, top_k=asked.top_k)
    if thinks or known.sampling != "both":
        _narrow(chance, known, ledger, thinks=thinks)
    if chance.get("temperature", 0) > 1:
        ledger.lose("temperature", "sampling.temperature", "1 is the highest")
        chance["temperature"] = 1.0
    return chance


def _narrow(chance: Fields, known: Traits, ledger: Ledger, *, thinks: bool) -> None:
    def drop(name: str, why: str) -> None:
        if chance.pop(name) != NEUTRAL.get(name):
            ledger.lose(name, f"sampling.{name}", f"dropped: {why}")

    for name, value in list(chance.items()):
        if known.sampling == "none":
            drop(name, "the model does not take it")
        elif thinks and not (name == "top_p" and value >= LEAST_WHILE_THINKING):
            drop(name, "not while the model thinks")
    if known.sampling == "one" and "temperature" in chance and "top_p" in chance:
        drop(
            "temperature" if chance["temperature"] == NEUTRAL["temperature"] else "top_p", "the model takes one of them"
        )


def _output(chat: Chat, known: Traits, ledger: Ledger) -> Fields:
    if chat.verbosity is not None:
        ledger.lose("verbosity", "verbosity", "dropped: there is no such field")
    output = chat.output
    if output is None:
        return {}
    if output.kind == "json_object" or output.schema is None:
        ledger.lose("response_format", "output", "dropped: JSON needs a schema here")
        return {}
    if not known.schemas:
        ledger.lose("response_format", "output", "dropped: the model cannot be held to a schema")
        return {}
    if output.description:
        ledger.lose("schema_description", "output.description", "dropped: there is no such field")
    schema, losses = fit(output.schema, ANTHROPIC_STRICT, "output.schema")
    if is_emptied(schema, losses):
        ledger.losses.append(EMPTIED)
        return {}
    ledger.losses += losses
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def _account(chat: Chat, ledger: Ledger) -> Fields:
    """For whom, and at what service."""
    if chat.metadata is not None:
        ledger.lose("metadata", "metadata", "dropped: only the user can be named here")
    written: Fields = {}
    if chat.user is not None:
        written["metadata"] = {"user_id": chat.user}
    tier = chat.service_tier
    if tier in TIERS:
        written["service_tier"] = TIERS[tier]
    elif tier is not None:
        ledger.lose("service_tier", "service_tier", f"dropped: there is no tier {tier!r}")
    return written
