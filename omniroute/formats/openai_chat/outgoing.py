"""What a request means, to a body for an upstream.

Servers of this dialect differ in what they read, so what goes out is the plainest form: one string where a message is
nothing but text, `system` for every system message, `max_tokens` for the limit (a provider's `rename` quirk makes it
`max_completion_tokens`), and no field that was not asked for. What the dialect cannot say is a `Loss`:

* thinking that another format sealed is dropped; this format's own goes back as `reasoning_content`;
* an erroneous tool result is told in words before its text, since there is no field for it;
* images and files in a tool's result move to a user message after it, under the id of the call;
* cache marks are dropped, for caching is automatic here; a budget of thinking becomes the nearest effort;
* a schema that is not what strict means (every property required, no others) is sent without `strict`.
"""

from __future__ import annotations

import hashlib
from typing import Any

from omniroute.formats.codec import Fields
from omniroute.formats.effort import of_three
from omniroute.formats.ir import (
    Audio,
    Block,
    Chat,
    Document,
    Image,
    Loss,
    Opaque,
    Raw,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from omniroute.formats.openai_chat.chunks import picture, tool_call
from omniroute.formats.openai_chat.head import NAME, with_usage
from omniroute.formats.schemas import EMPTIED, fit_openai, is_emptied
from omniroute.formats.writing import BETWEEN, Ledger, code, headed, present

Part = dict[str, Any] | Raw
Message = dict[str, Any]

LONGEST = 64
"""Characters of the name of a user."""
TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})


def encode_request(chat: Chat, model: str) -> tuple[Fields, list[Loss]]:
    writer = _Writer(chat)
    fields: Fields = {"model": model, "messages": writer.messages()}
    fields |= writer.tools()
    fields |= writer.sampling()
    fields |= writer.manner()
    fields |= writer.vendor()
    if chat.stream:
        fields["stream"] = True
        fields["stream_options"] = with_usage(writer.own.get("stream_options"))
    return fields, writer.losses


def kept(chat: Chat, own: str, ledger: Ledger) -> Fields:
    """What the provider does with the request beside answering it: whose it is, its labels and its tier."""
    metadata, tier = chat.metadata, chat.service_tier
    if metadata is not None and chat.vendor_format != own:
        ledger.lose("metadata", "metadata", "dropped: here it labels stored answers")
        metadata = None
    if tier is not None and tier not in TIERS:
        ledger.lose("service_tier", "service_tier", f"dropped: there is no tier {tier!r}")
        tier = None
    return present(user=_user(chat.user, ledger), metadata=metadata, service_tier=tier)


def _user(name: str | None, ledger: Ledger) -> str | None:
    """Who asks, as OpenAI takes it: in no more than 64 characters. A longer name, as Claude Code's is, becomes its
    SHA-256 in hex, always the same for the same one, which tells users apart as well as the name does."""
    if name is None or len(name) <= LONGEST:
        return name
    ledger.lose("user", "user", f"told by its digest: a name has {LONGEST} characters at the most")
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def effort_of(asked: Reasoning, ledger: Ledger) -> str | None:
    """How much to think, in the words of OpenAI's models."""
    if asked.effort is not None:
        return asked.effort
    if asked.off:
        ledger.lose("thinking_off", "reasoning.off", "dropped: only some models here can be told not to think")
        return None
    if asked.budget is None:
        return None
    nearest = of_three(asked.budget)
    ledger.lose("thinking_budget", "reasoning.budget", f"{asked.budget} tokens became effort {nearest!r}")
    return nearest


class _Writer(Ledger):
    def __init__(self, chat: Chat) -> None:
        super().__init__(chat)
        self.chat = chat
        self.own = chat.vendor if chat.vendor_format == NAME else {}

    # The top level

    def sampling(self) -> Fields:
        asked = self.chat.sampling
        if asked.top_k is not None and self.chat.vendor_format != NAME:
            self.lose("top_k", "sampling.top_k", "dropped: there is no such field")
        return present(
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            top_k=asked.top_k if self.chat.vendor_format == NAME else None,
            stop=list(asked.stop) or None,
            seed=asked.seed,
            presence_penalty=asked.presence_penalty,
            frequency_penalty=asked.frequency_penalty,
            logit_bias=asked.logit_bias,
            logprobs=asked.logprobs,
            top_logprobs=asked.top_logprobs,
            n=asked.n,
        )

    def manner(self) -> Fields:
        """How to answer, and for whom."""
        chat = self.chat
        account = kept(chat, NAME, self)
        return present(
            reasoning_effort=self._effort(chat.reasoning),
            response_format=self._format(),
            verbosity=chat.verbosity,
            **account,
        )

    def _effort(self, reasoning: Reasoning | None) -> str | None:
        if reasoning is None:
            return None
        if reasoning.show == "summarized":
            self.lose("thinking_display", "reasoning.show", "dropped: reasoning is not shown, or always is")
        return effort_of(reasoning, self)

    def _format(self) -> Fields | None:
        output = self.chat.output
        if output is None:
            return None
        if output.kind == "json_object":
            return {"type": "json_object"}
        named = {"name": output.name or "answer"}
        before = len(self.losses)
        schema, strict = self._schema(output.schema, "output.schema", strict=output.strict)
        if schema is not None and is_emptied(schema, self.losses[before:]):
            self.losses[before:] = [EMPTIED]
            return None
        written = present(description=output.description, schema=schema, strict=strict)
        return {"type": "json_schema", "json_schema": named | written}

    def _schema(self, schema: Raw | None, place: str, *, strict: bool | None) -> tuple[Raw | None, bool | None]:
        """A schema as it is taken, and whether the answer is held to it: not where that would change its meaning."""
        if schema is None:
            return None, strict
        fitted, strict, losses = fit_openai(schema, place, strict=strict)
        self.losses += losses
        return fitted, strict

    def vendor(self) -> Fields:
        fields = self.vendor_fields(self.chat, NAME)
        return {name: raw for name, raw in fields.items() if name != "stream_options"}

    # Tools

    def tools(self) -> Fields:
        written: dict[str, Any] = {}
        customs: set[str] = set()
        for at, tool in enumerate(self.chat.tools):
            one = self._tool(tool, f"tools[{at}]")
            if one is not None:
                written[tool.name] = one
            if tool.custom:
                customs.add(tool.name)
        if not written:
            return {}  # servers refuse what speaks of tools where there are none
        return {"tools": list(written.values())} | present(
            tool_choice=self._tool_choice(self.chat.tool_choice, set(written), customs),
            parallel_tool_calls=self.chat.parallel_tools,
        )

    def _tool(self, tool: Tool, place: str) -> Part | None:
        self.mark(tool.cache, place)
        if tool.opaque is not None:
            return self.hosted(tool, NAME, place)
        self.losses += tool.lost(NAME, place)
        if tool.custom:
            fields = present(description=tool.description, format=tool.grammar)
            return {"type": "custom", "custom": {"name": tool.name} | fields}
        parameters, strict = self._schema(tool.parameters, f"{place}.parameters", strict=tool.strict)
        fields = present(description=tool.description, parameters=parameters, strict=strict)
        return {"type": "function", "function": {"name": tool.name} | fields}

    def _tool_choice(self, choice: ToolChoice | None, names: set[str], customs: set[str]) -> Any:
        if choice is None:
            return None
        wanted = self.chosen(choice, names)
        if wanted is None:
            return None
        chosen = [_reference(name, custom=name in customs) for name in wanted]
        if choice.mode == "one":
            return chosen[0]
        if chosen and choice.mode != "none":
            return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": chosen}}
        return choice.mode

    # Messages

    def messages(self) -> list[Message]:
        written: list[Message] = []
        system = self.texts(self.chat.system, "system")
        if system:
            written.append({"role": "system", "content": BETWEEN.join(system)})
        for at, turn in enumerate(self.chat.turns):
            place = f"turns[{at}]"
            if turn.role == "assistant":
                written.append(self._assistant(turn, place))
            elif turn.role == "user":
                written += self._user(turn, place)
            else:
                texts = [block for block in turn.blocks if isinstance(block, Text)]
                content = BETWEEN.join(self.texts(texts, place))
                written.append(_message("system", content, turn.name))
        return written

    def _user(self, turn: Turn, place: str) -> list[Message]:
        written: list[Message] = []
        parts: list[Part] = []
        for at, block in enumerate(turn.blocks):
            if isinstance(block, ToolResult):
                written.append(self._result(block, f"{place}.blocks[{at}]", parts))
        for at, block in enumerate(turn.blocks):
            if not isinstance(block, ToolResult):
                parts += self._parts(block, f"{place}.blocks[{at}]")
        if parts or not written:
            written.append(_message("user", _content(parts), turn.name))
        return written

    def _result(self, result: ToolResult, place: str, moved: list[Part]) -> Message:
        """A tool message. Only text may stand in one, so everything else goes to `moved`."""
        self.mark(result.cache, place)
        here: list[Part] = []
        elsewhere: list[Part] = []
        for at, block in enumerate(result.blocks):
            parts = self._parts(block, f"{place}.blocks[{at}]")
            (here if isinstance(block, Text | Opaque) else elsewhere).extend(parts)
        if elsewhere:
            self.lose("tool_result_media", place, "moved to the user message that follows")
            moved += [_text(f"From the result of {result.id}:"), *elsewhere]
            here = here or [_text("The result is in the message that follows.")]
        content = _content(here)
        error = self.error(result, place)
        if error:
            content = error + content if isinstance(content, str) else [_text(error), *content]
        return {"role": "tool", "tool_call_id": result.id, "content": content}

    def _assistant(self, turn: Turn, place: str) -> Message:
        texts: list[str] = []
        refusals: list[str] = []
        thoughts: list[Thinking] = []
        calls: list[Message] = []
        others: list[Part] = []
        message = _message("assistant", None, turn.name)
        for at, block in enumerate(turn.blocks):
            spot = f"{place}.blocks[{at}]"
            match block:
                case Text():
                    self.mark(block.cache, spot)
                    texts.append(block.text)
                case Refusal():
                    refusals.append(block.text)
                case ToolCall():
                    self.mark(block.cache, spot)
                    calls.append(tool_call(block))
                case Thinking(issuer=issuer) if issuer == NAME:
                    thoughts.append(block)
                case Thinking():
                    self.lose("thinking", spot, "dropped: it means something to its issuer only")
                case Opaque(format=form, type="audio") if form == NAME:
                    message["audio"] = block.body
                case Opaque(format=form) if form == NAME:
                    others.append(block.body)
                case _:
                    self.lose(code(block), spot, "dropped: an assistant's message has no such part")
        text = "".join(texts)
        if others:
            message["content"] = [_text(text), *others] if text else others
        elif text or not (calls or refusals or "audio" in message):
            message["content"] = text
        if refusals:
            message["refusal"] = "".join(refusals)
        message |= _reasoning(thoughts)
        if calls:
            message["tool_calls"] = calls
        return message

    def _parts(self, block: Block, place: str) -> list[Part]:
        """A block as content parts: one, or none where it is lost."""
        match block:
            case Text():
                self.mark(block.cache, place)
                return [_text(block.text)] if block.text else []
            case Image():
                self.mark(block.cache, place)
                if block.data is None and block.url is None:
                    self.lose("image_file", place, "dropped: an image cannot be given by the id of a file")
                    return []
                return [picture(block)]
            case Audio():
                return [{"type": "input_audio", "input_audio": {"data": block.data, "format": block.format}}]
            case Document():
                self.mark(block.cache, place)
                return self._document(block, place)
            case Opaque(format=form) if form == NAME:
                return [block.body]
            case _:
                self.lose(code(block), place, "dropped: there is no such part")
                return []

    def _document(self, document: Document, place: str) -> list[Part]:
        if document.citations:
            self.lose("citations", place, "dropped: answers here do not cite")
        if document.text is not None:
            return [_text(headed(document, document.text))]
        if document.context:
            self.lose("document_context", place, "dropped: a file has a name only")
        if document.data is not None:
            data = f"data:{document.media_type or 'application/pdf'};base64,{document.data}"
            return [{"type": "file", "file": {"filename": document.name or "document.pdf", "file_data": data}}]
        if self.chat.vendor_format == NAME:  # an id of its own files, or an address for a server that takes one
            named = present(file_id=document.file_id, file_data=document.url, filename=document.name)
            return [{"type": "file", "file": named}]
        code = "document_url" if document.url is not None else "document_file"
        self.lose(code, place, "dropped: a file is given by its data only")
        return []


def _message(role: str, content: Any, name: str | None) -> Message:
    message = {"role": role, "content": content}
    if name is not None:
        message["name"] = name
    return message


def _content(parts: list[Part]) -> str | list[Part]:
    """Parts as a message's content: a string where they are only text."""
    texts = [part["text"] for part in parts if isinstance(part, dict) and part["type"] == "text"]
    return BETWEEN.join(texts) if len(texts) == len(parts) else parts


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


def _reference(name: str, *, custom: bool) -> dict[str, Any]:
    kind = "custom" if custom else "function"
    return {"type": kind, kind: {"name": name}}


def _reasoning(thoughts: list[Thinking]) -> Fields:
    """Thinking of this format, under the names that it came by."""
    plain = "".join(block.text for block in thoughts)
    sealed = [block for block in thoughts if block.signature or block.redacted]
    return present(
        reasoning_content=plain or None,
        reasoning_details=[_detail(block) for block in sealed] or None,
    )


def _detail(block: Thinking) -> Fields:
    if block.redacted is not None:
        return {"type": "reasoning.encrypted", "data": block.redacted}
    return {"type": "reasoning.text", "text": block.text, "signature": block.signature}
