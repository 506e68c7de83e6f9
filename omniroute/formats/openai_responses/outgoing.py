"""What a request means, to a body for an upstream.

Nothing is left at the provider (`store` is false, whatever the caller wants kept is kept here), so reasoning is asked
for in its encrypted form wherever it is asked for at all. A function is strict here unless it says otherwise, so it says
so. What cannot be said is a `Loss`:

* there are no stop sequences, no seed, no penalty, no bias, no `top_k`, no second answer;
* a budget of thinking becomes the nearest effort;
* an answer of fewer than 16 tokens cannot be asked for.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.formats.codec import Fields
from omniroute.formats.ir import Chat, Loss, Raw, Reasoning, Tool, ToolChoice
from omniroute.formats.openai_chat.outgoing import effort_of, kept
from omniroute.formats.openai_responses.head import NAME
from omniroute.formats.openai_responses.request import LOGPROBS, SEALED
from omniroute.formats.openai_responses.transcript import Transcript
from omniroute.formats.schemas import EMPTIED, NO_PARAMETERS, fit_openai, is_emptied
from omniroute.formats.writing import Ledger, present

LEAST = 16
"""Tokens of an answer, the fewest that may be asked for."""
WITHOUT = ("stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "top_k")
"""Of sampling, what has no field."""

_object = msgspec.json.Decoder(dict[str, Raw])
_names = msgspec.json.Decoder(list[str])


class _Grammar(msgspec.Struct):
    syntax: str | None = None
    definition: str | None = None


class _Form(msgspec.Struct):
    type: str = ""
    grammar: _Grammar | None = None


_form = msgspec.json.Decoder(_Form)


def encode_request(chat: Chat, model: str) -> tuple[Fields, list[Loss]]:
    writer = _Writer(chat)
    transcript = Transcript(chat, writer)
    instructions, items = transcript.write()
    fields: Fields = {"model": model, "input": items}
    if instructions:
        fields["instructions"] = instructions
    fields |= writer.tools()
    fields |= writer.sampling()
    fields |= writer.manner()
    fields["store"] = False
    include = writer.include(sealed=transcript.sealed)
    if include:
        fields["include"] = include
    if chat.vendor:
        writer.vendor(fields)
    if chat.stream:
        fields["stream"] = True
    return fields, writer.losses


class _Writer(Ledger):
    def __init__(self, chat: Chat) -> None:
        super().__init__(chat)
        self.chat = chat

    def sampling(self) -> Fields:
        asked = self.chat.sampling
        for name in WITHOUT:
            if getattr(asked, name) not in (None, ()):
                self.lose(name, f"sampling.{name}", "dropped: there is no such field")
        if asked.n not in (None, 1):
            self.lose("n", "sampling.n", "dropped: there is one answer")
        limit = asked.max_tokens
        if limit is not None and limit < LEAST:
            self.lose("max_tokens", "sampling.max_tokens", f"{limit} became {LEAST}, the fewest there are")
            limit = LEAST
        return present(
            max_output_tokens=limit,
            temperature=asked.temperature,
            top_p=asked.top_p,
            top_logprobs=asked.top_logprobs,
        )

    def manner(self) -> Fields:
        """How to answer, and for whom."""
        chat = self.chat
        account = kept(chat, NAME, self)
        return present(
            reasoning=self._reasoning(chat.reasoning) or None,
            text=present(format=self._format(), verbosity=chat.verbosity) or None,
            **account,
        )

    def _reasoning(self, asked: Reasoning | None) -> Fields:
        if asked is None:
            return {}
        return present(effort=effort_of(asked, self), summary="auto" if asked.show == "summarized" else None)

    def _format(self) -> Fields | None:
        output = self.chat.output
        if output is None:
            return None
        if output.kind == "json_object" or output.schema is None:
            return {"type": "json_object"}
        schema, strict, losses = fit_openai(output.schema, "output.schema", strict=output.strict)
        if is_emptied(schema, losses):
            self.losses.append(EMPTIED)
            return None
        self.losses += losses
        described = present(description=output.description, strict=strict)
        return {"type": "json_schema", "name": output.name or "answer", "schema": schema} | described

    def include(self, *, sealed: bool) -> list[str]:
        """What an answer is to hold beyond the usual."""
        asked = self.chat.reasoning
        thinks = asked is not None and not asked.off and asked.effort != "none"
        return [SEALED] * (sealed or thinks) + [LOGPROBS] * bool(self.chat.sampling.logprobs)

    def vendor(self, fields: Fields) -> None:
        for name, raw in self.vendor_fields(self.chat, NAME).items():
            if isinstance(fields.get(name), dict):
                fields[name] |= _object.decode(raw)
            elif isinstance(fields.get(name), list):
                fields[name] = list(dict.fromkeys([*fields[name], *_names.decode(raw)]))
            else:
                fields[name] = raw

    # Tools

    def tools(self) -> Fields:
        written: list[Any] = []
        kinds: dict[str, str] = {}
        for at, tool in enumerate(self.chat.tools):
            one = self._tool(tool, f"tools[{at}]")
            if one is not None:
                written.append(one)
                kinds[tool.name] = "custom" if tool.custom else "function" if tool.opaque is None else tool.name
        if not written:
            return {}
        return {"tools": written} | present(
            tool_choice=self._tool_choice(self.chat.tool_choice, kinds),
            parallel_tool_calls=self.chat.parallel_tools,
        )

    def _tool(self, tool: Tool, place: str) -> Any:
        if tool.cache is not None:
            self.lose("cache_control", place, "dropped: caching is automatic here")
        if tool.opaque is not None:
            return self.hosted(tool, NAME, place)
        self.losses += tool.lost(NAME, place)
        fields: Fields = {"type": "custom" if tool.custom else "function", "name": tool.name}
        if tool.format == NAME:
            fields |= {name: value for name, value in tool.vendor.items() if "." not in name}
        fields |= present(description=tool.description)
        if tool.custom:
            return fields if tool.grammar is None else fields | {"format": _flat(tool.grammar)}
        parameters = NO_PARAMETERS if tool.parameters is None else tool.parameters
        fields["parameters"], strict, losses = fit_openai(parameters, f"{place}.parameters", strict=tool.strict)
        self.losses += losses
        if tool.strict is not None or self.chat.vendor_format != NAME:
            fields["strict"] = bool(strict)  # it would be held to the schema if nothing was said
        return fields

    def _tool_choice(self, choice: ToolChoice | None, kinds: dict[str, str]) -> Any:
        if choice is None:
            return None
        wanted = self.chosen(choice, kinds)
        if wanted is None:
            return None
        chosen = [_reference(name, kinds[name]) for name in wanted]
        if choice.mode == "one":
            return chosen[0]
        if chosen and choice.mode != "none":
            return {"type": "allowed_tools", "mode": choice.mode, "tools": chosen}
        return choice.mode


def _reference(name: str, kind: str) -> Fields:
    return {"type": kind} if kind == name and kind not in ("function", "custom") else {"type": kind, "name": name}


def _flat(grammar: Raw) -> Any:
    """The form of a custom tool's text, its grammar not in an object of its own."""
    try:
        told = _form.decode(grammar)
    except (msgspec.DecodeError, RecursionError):  # not as it should be, which the upstream will name
        return grammar
    if told.type != "grammar" or told.grammar is None:
        return grammar
    return {"type": "grammar", "syntax": told.grammar.syntax, "definition": told.grammar.definition}
