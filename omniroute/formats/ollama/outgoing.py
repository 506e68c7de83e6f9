"""What a request means, to a body for an upstream.

Everything that steers goes into `options`; whether to stream is always said, for silence means yes. A message is one
text with its images beside it. What the server cannot do is a `Loss`:

* a choice of tools beyond all or none is not made; a narrowed one becomes a narrower list;
* a custom tool becomes a function of one text; an erroneous result is told in words before its text;
* an effort between those that there are, or a budget of thinking, becomes the nearest level;
* audio and files other than text are dropped, and so are cache marks.

An image that is only given by its address is refused rather than dropped: the answer would be about something else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.errors import Unsupported
from omniroute.formats import custom
from omniroute.formats.codec import Fields
from omniroute.formats.dialects import OLLAMA, OLLAMA_FORMAT
from omniroute.formats.effort import of_three
from omniroute.formats.ir import (
    Block,
    Chat,
    Document,
    Effort,
    Image,
    Loss,
    Raw,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from omniroute.formats.ollama.head import NAME
from omniroute.formats.ollama.request import OPTIONS
from omniroute.formats.schemas import fit
from omniroute.formats.writing import BETWEEN, Ledger, code, present

Message = dict[str, Any]

LEVELS: dict[Effort, str] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_object = msgspec.json.Decoder(dict[str, Raw])
_number = msgspec.json.Decoder(int | float)


def encode_request(chat: Chat, model: str) -> tuple[Fields, list[Loss]]:
    writer = _Writer(chat)
    fields: Fields = {"model": model, "messages": writer.messages()}
    fields |= writer.tools()
    fields |= writer.manner()
    options = writer.options()
    fields |= writer.vendor(options)
    if options:
        fields["options"] = options
    fields["stream"] = chat.stream
    return fields, writer.losses


def limited(fields: Fields, limit: int) -> Fields:
    """The request with its answer limited; a limit that is not positive is none."""
    given = fields.get("options")
    options: Any = _object.decode(given) if isinstance(given, Raw) and bytes(given) != b"null" else given
    options = dict(options) if isinstance(options, dict) else {}
    own = options.get("num_predict")
    if isinstance(own, Raw):
        own = None if bytes(own) == b"null" else _number.decode(own)
    options["num_predict"] = min(int(own), limit) if own is not None and own >= 1 else limit
    return {**fields, "options": options}


class _Writer(Ledger):
    def __init__(self, chat: Chat) -> None:
        super().__init__(chat)
        self.chat = chat
        self._names: dict[str, str] = {}

    # The top level

    def options(self) -> Fields:
        asked = self.chat.sampling
        if asked.logit_bias is not None:
            self.lose("logit_bias", "sampling.logit_bias", "dropped: there is no such option")
        if asked.n not in (None, 1):
            self.lose("n", "sampling.n", "dropped: there is one answer")
        return present(
            num_predict=asked.max_tokens,
            temperature=asked.temperature,
            top_p=asked.top_p,
            top_k=asked.top_k,
            stop=list(asked.stop) or None,
            seed=asked.seed,
            presence_penalty=asked.presence_penalty,
            frequency_penalty=asked.frequency_penalty,
        )

    def manner(self) -> Fields:
        """How to answer. For whom, nobody asks here."""
        chat = self.chat
        for name in ("verbosity", "user", "metadata", "service_tier"):
            if getattr(chat, name) is not None:
                self.lose(name, name, "dropped: there is no such field")
        return present(
            think=self._think(chat.reasoning),
            format=self._format(),
            logprobs=chat.sampling.logprobs,
            top_logprobs=chat.sampling.top_logprobs,
        )

    def _think(self, reasoning: Reasoning | None) -> bool | str | None:
        if reasoning is None:
            return None
        if reasoning.show == "summarized":
            self.lose("thinking_display", "reasoning.show", "dropped: all of the reasoning is shown")
        if reasoning.off or reasoning.effort == "none":
            return False
        effort = reasoning.effort
        if effort is not None:
            if self.chat.vendor_format == NAME:
                return effort
            if LEVELS[effort] != effort:
                self.lose("effort", "reasoning.effort", f"{effort!r} became {LEVELS[effort]!r}")
            return LEVELS[effort]
        if reasoning.budget is None:  # others leave it to the model, and many refuse a word about thinking
            return True if self.chat.vendor_format == NAME else None
        level = of_three(reasoning.budget)
        self.lose("thinking_budget", "reasoning.budget", f"{reasoning.budget} tokens became level {level!r}")
        return level

    def _format(self) -> Any:
        output = self.chat.output
        if output is None:
            return None
        if output.kind == "json_object" or output.schema is None:
            return "json"
        if output.description:
            self.lose("schema_description", "output.description", "dropped: there is no such field")
        schema, losses = fit(output.schema, OLLAMA_FORMAT, "output.schema")
        self.losses += losses
        return schema

    def vendor(self, options: Fields) -> Fields:
        """What only this format has; its options go to the others."""
        fields: Fields = {}
        for name, raw in self.vendor_fields(self.chat, NAME).items():
            if name.startswith(OPTIONS):
                options[name.removeprefix(OPTIONS)] = raw
            else:
                fields[name] = raw
        return fields

    # Tools

    def tools(self) -> Fields:
        choice = self.chat.tool_choice
        if choice is not None and choice.mode == "none":
            return {}
        allowed = choice.allowed if choice is not None else ()
        if allowed:
            self.lose("allowed_tools", "tool_choice.allowed", "the other tools were left out")
        if choice is not None and choice.mode in ("required", "one"):
            self.lose("tool_choice", "tool_choice", "dropped: the model decides whether to call")
        if self.chat.parallel_tools is False and self.chat.tools:
            self.lose("parallel_tools", "parallel_tools", "dropped: the model decides how many it calls")
        written = {
            tool.name: one
            for at, tool in enumerate(self.chat.tools)
            if not allowed or tool.name in allowed
            if (one := self._tool(tool, f"tools[{at}]")) is not None
        }
        return {"tools": list(written.values())} if written else {}

    def _tool(self, tool: Tool, place: str) -> Message | None:
        self.mark(tool.cache, place)
        if tool.opaque is not None:
            self.lose("tool", place, f"dropped: only {tool.format} has the tool {tool.name!r}")
            return None
        self.losses += tool.lost(NAME, place)
        if tool.custom:
            self.lose("custom_tool", place, "made a function of one text; its grammar is not enforced")
        elif tool.strict:
            self.lose("strict", place, "dropped: the model cannot be held to a schema")
        fields = {"name": tool.name, "description": tool.description or "", "parameters": self._schema(tool, place)}
        return {"type": "function", "function": fields}

    def _schema(self, tool: Tool, place: str) -> Raw:
        """The schema of a tool as the server takes it."""
        if tool.custom:
            return custom.SCHEMA
        schema, losses = fit(tool.parameters, OLLAMA, f"{place}.parameters")
        self.losses += losses
        return schema

    # Messages

    def messages(self) -> list[Message]:
        written: list[Message] = []
        system = self.texts(self.chat.system, "system")
        if system:
            written.append({"role": "system", "content": BETWEEN.join(system)})
        self.names(self.chat.turns)
        for at, turn in enumerate(self.chat.turns):
            place = f"turns[{at}]"
            if turn.role == "assistant":
                written.append(self._assistant(turn, place))
            elif turn.role == "user":
                written += self._user(turn, place)
            else:
                texts = [block for block in turn.blocks if isinstance(block, Text)]
                written.append({"role": "system", "content": BETWEEN.join(self.texts(texts, place))})
        return written

    def _user(self, turn: Turn, place: str) -> list[Message]:
        written: list[Message] = []
        said: list[tuple[Block, str]] = []
        for at, block in enumerate(turn.blocks):
            spot = f"{place}.blocks[{at}]"
            if isinstance(block, ToolResult):
                written.append(self._result(block, spot))
            else:
                said.append((block, spot))
        if said or not written:
            written.append({"role": "user"} | self._content(said))
        return written

    def _result(self, result: ToolResult, place: str) -> Message:
        self.mark(result.cache, place)
        message: Message = {"role": "tool"}
        message |= self._content([(block, f"{place}.blocks[{at}]") for at, block in enumerate(result.blocks)])
        message["content"] = self.error(result, place) + message["content"]
        name = self._names.get(result.id)
        return message | present(tool_name=name) | {"tool_call_id": result.id}

    def _assistant(self, turn: Turn, place: str) -> Message:
        texts: list[str] = []
        thoughts: list[str] = []
        images: list[str] = []
        calls: list[Message] = []
        for at, block in enumerate(turn.blocks):
            spot = f"{place}.blocks[{at}]"
            match block:
                case Text():
                    self.mark(block.cache, spot)
                    texts.append(block.text)
                case Refusal():
                    texts.append(block.text)
                case ToolCall():
                    self.mark(block.cache, spot)
                    self._names[block.id] = block.name
                    called = {"index": len(calls), "name": block.name, "arguments": self.arguments(block, spot)}
                    calls.append({"id": block.id, "function": called})
                case Thinking(issuer=issuer) if issuer == NAME:
                    thoughts.append(block.text)
                case Thinking():
                    self.lose("thinking", spot, "dropped: it means something to its issuer only")
                case Image():
                    self.mark(block.cache, spot)
                    images += self._image(block, spot)
                case _:
                    self.lose(code(block), spot, "dropped: an assistant's message has no such part")
        message: Message = {"role": "assistant", "content": "".join(texts)}
        return message | present(thinking="".join(thoughts) or None, images=images or None, tool_calls=calls or None)

    def _content(self, blocks: list[tuple[Block, str]]) -> Message:
        """Blocks as a text and its images."""
        texts: list[str] = []
        images: list[str] = []
        for block, place in blocks:
            match block:
                case Text():
                    self.mark(block.cache, place)
                    texts.append(block.text)
                case Refusal():
                    texts.append(block.text)
                case Image():
                    self.mark(block.cache, place)
                    images += self._image(block, place)
                case Document():
                    self.mark(block.cache, place)
                    texts += self._document(block, place)
                case _:
                    self.lose(code(block), place, "dropped: there is no such part")
        return {"content": BETWEEN.join(text for text in texts if text)} | present(images=images or None)

    def _image(self, image: Image, place: str) -> list[str]:
        if image.detail not in (None, "auto"):
            self.lose("image_detail", place, "dropped: there is no such field")
        if image.data is not None:
            return [image.data]
        if image.url is not None:
            raise Unsupported(
                f"`{place}` is an image by its address, and Ollama takes the image itself. Send its data, or let the"
                " gateway fetch images (`server.fetch_images`).",
                param=place,
            )
        self.lose("image_file", place, "dropped: the file is another provider's")
        return []

    def _document(self, document: Document, place: str) -> list[str]:
        if document.citations:
            self.lose("citations", place, "dropped: answers here do not cite")
        if document.text is None:
            self.lose("document", place, "dropped: only text can be read")
            return []
        return [part for part in (document.name, document.context, document.text) if part]
