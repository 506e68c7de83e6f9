"""Turns to items, put in the order that the API wants.

It refuses a call without a result, a result without a call, ids of calls of more than 64 characters, and reasoning that
it has not sealed. So:

* results come before what the user says in the same turn; a call without one gets one that says so, a result without a
  call is told as text;
* ids are shortened where they must be, the same way in each request;
* reasoning goes back only with what this format sealed, under the id that it came by;
* what the assistant said in a row is one message; there is no name for who speaks, and no field for a result that is an
  error, which is told in words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from omniroute.formats.codec import Fields
from omniroute.formats.ir import (
    Audio,
    Block,
    Chat,
    Document,
    Image,
    Opaque,
    Raw,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from omniroute.formats.openai_responses import seal
from omniroute.formats.openai_responses.head import GIVEN, NAME
from omniroute.formats.openai_responses.response import refusal_part
from omniroute.formats.writing import BETWEEN, EMPTY, UNANSWERED, Ledger, code, headed

LONGEST = 64
"""Characters of the id of a call."""

Item = Fields | Raw


class Transcript:
    """Writes the items of one chat. `sealed` is set when they hold reasoning of this format's."""

    def __init__(self, chat: Chat, ledger: Ledger) -> None:
        self.sealed = False
        self._chat = chat
        self._ledger = ledger
        self._items: list[Item] = []
        self._custom: set[str] = set()
        blocks = [block for turn in chat.turns for block in turn.blocks]
        self._results = {block.id for block in blocks if isinstance(block, ToolResult)}
        self._calls = {block.id for block in blocks if isinstance(block, ToolCall)}

    def write(self) -> tuple[str, list[Item]]:
        """The instructions and the items."""
        self._ledger.names(self._chat.turns)
        for at, turn in enumerate(self._chat.turns):
            place = f"turns[{at}]"
            if turn.role == "assistant":
                self._assistant(turn, place)
            elif turn.role == "user":
                self._user(turn, place)
            else:
                texts = [block for block in turn.blocks if isinstance(block, Text)]
                self._say("developer", [_text(text) for text in self._ledger.texts(texts, place)])
        if not self._items:
            self._say("user", [_text(EMPTY)])
            self._ledger.lose("empty_turn", "turns", "told in words: an input cannot be empty")
        return BETWEEN.join(self._ledger.texts(self._chat.system, "system")), self._items

    def _say(self, role: str, content: list[Any]) -> None:
        self._items.append({"type": "message", "role": role, "content": content})

    # The assistant

    def _assistant(self, turn: Turn, place: str) -> None:
        said: list[Any] = []
        for at, block in enumerate(turn.blocks):
            match block:
                case Text():
                    self._ledger.mark(block.cache, place)
                    if block.text:
                        said.append({"type": "output_text", "text": block.text, "annotations": []})
                case Refusal():
                    if block.text:
                        said.append(refusal_part(block.text))
                case _:
                    if said:
                        self._say("assistant", said)
                        said = []
                    self._items += self._made(block, f"{place}.blocks[{at}]")
        if said:
            self._say("assistant", said)

    def _made(self, block: Block, place: str) -> list[Item]:
        """A block of the assistant's that is an item of its own, or none where it is lost."""
        match block:
            case ToolCall():
                self._ledger.mark(block.cache, place)
                return self._call(block, place)
            case Thinking(issuer=issuer, signature=str(signature)) if issuer == NAME:
                return [self._thought(block.text, signature)]
            case Thinking(issuer=issuer, redacted=str(redacted)) if issuer == NAME:
                return [self._thought("", redacted)]
            case Thinking():
                self._ledger.lose("thinking", place, "dropped: it was not sealed by this format's provider")
            case Opaque(format=form) if form == NAME:
                return [block.body]
            case _:
                self._ledger.lose(code(block), place, "dropped: an assistant's turn has no such item")
        return []

    def _thought(self, text: str, signature: str) -> Item:
        self.sealed = True
        ident, sealed = seal.opened(signature)
        item: Fields = {"type": "reasoning", "summary": [{"type": "summary_text", "text": text}] if text else []}
        if ident is not None:
            item["id"] = ident
        return item | {"encrypted_content": sealed}

    def _call(self, call: ToolCall, place: str) -> list[Item]:
        ident = short(call.id)
        if call.custom:
            self._custom.add(call.id)
            written: Item = {"type": "custom_tool_call", "call_id": ident, "name": call.name, "input": call.arguments}
        else:
            written = {"type": "function_call", "call_id": ident, "name": call.name, "arguments": call.arguments}
        if call.id in self._results:
            return [written]
        self._ledger.lose("tool_result", place, "the call had no result and was given one")
        return [written, self._output(call.id, UNANSWERED)]

    def _output(self, ident: str, output: Any) -> Item:
        kind = "custom_tool_call_output" if ident in self._custom else "function_call_output"
        return {"type": kind, "call_id": short(ident), "output": output}

    # The user

    def _user(self, turn: Turn, place: str) -> None:
        content: list[Any] = []
        silent = True
        for at, block in enumerate(turn.blocks):
            if isinstance(block, ToolResult):
                silent = False
                self._result(block, f"{place}.blocks[{at}]", content)
            elif isinstance(block, Opaque) and block.format == NAME and block.type in GIVEN:
                silent = False
                self._items.append(block.body)
        content += self._all_parts([None if isinstance(block, ToolResult) else block for block in turn.blocks], place)
        if content or silent:
            self._say("user", content or [_text("")])

    def _result(self, result: ToolResult, place: str, content: list[Any]) -> None:
        self._ledger.mark(result.cache, place)
        parts = self._all_parts(result.blocks, place)
        error = self._ledger.error(result, place)
        if result.id not in self._calls:
            self._ledger.lose("tool_result", place, "told as text: it belongs to no call")
            content += [_text(f"Result of {result.id}:"), *([_text(error)] if error else []), *parts]
            return
        texts = [part["text"] for part in parts if isinstance(part, dict) and part["type"] == "input_text"]
        if len(texts) == len(parts):
            self._items.append(self._output(result.id, error + BETWEEN.join(texts)))
        else:
            self._items.append(self._output(result.id, [_text(error), *parts] if error else parts))

    def _all_parts(self, blocks: Sequence[Block | None], place: str) -> list[Any]:
        parts: list[Any] = []
        for at, block in enumerate(blocks):
            if isinstance(block, Text) and block.cache is None and block.text:
                parts.append(_text(block.text))  # as nearly all blocks are: nothing to lose, and so no place to name
            elif block is not None:
                parts += self._parts(block, f"{place}.blocks[{at}]")
        return parts

    def _parts(self, block: Block, place: str) -> list[Any]:
        """A block as content parts: one, or none where it is lost, or an item of its own."""
        match block:
            case Text():
                self._ledger.mark(block.cache, place)
                return [_text(block.text)] if block.text else []
            case Image():
                self._ledger.mark(block.cache, place)
                return self._image(block, place)
            case Audio():
                return [{"type": "input_audio", "input_audio": {"data": block.data, "format": block.format}}]
            case Document():
                self._ledger.mark(block.cache, place)
                return self._document(block, place)
            case Opaque(format=form) if form == NAME:
                return [] if block.type in GIVEN else [block.body]
            case _:
                self._ledger.lose(code(block), place, "dropped: there is no such part")
                return []

    def _image(self, image: Image, place: str) -> list[Fields]:
        part: Fields = {"type": "input_image", "detail": image.detail or "auto"}
        if image.data is not None:
            return [part | {"image_url": f"data:{image.media_type or 'image/png'};base64,{image.data}"}]
        if image.url is not None:
            return [part | {"image_url": image.url}]
        if self._chat.vendor_format == NAME:
            return [part | {"file_id": image.file_id}]
        self._ledger.lose("image_file", place, "dropped: the file is another provider's")
        return []

    def _document(self, document: Document, place: str) -> list[Fields]:
        if document.citations:
            self._ledger.lose("citations", place, "dropped: documents are not cited here")
        if document.text is not None:
            return [_text(headed(document, document.text))]
        if document.context:
            self._ledger.lose("document_context", place, "dropped: a file has a name only")
        part: Fields = {"type": "input_file"}
        if document.name is not None:
            part["filename"] = document.name
        if document.data is not None:
            data = f"data:{document.media_type or 'application/pdf'};base64,{document.data}"
            return [{"type": "input_file", "filename": document.name or "document.pdf", "file_data": data}]
        if document.url is not None:
            return [part | {"file_url": document.url}]
        if self._chat.vendor_format == NAME:
            return [part | {"file_id": document.file_id}]
        self._ledger.lose("document_file", place, "dropped: the file is another provider's")
        return []


def _text(text: str) -> Fields:
    return {"type": "input_text", "text": text}


def short(ident: str) -> str:
    """A name as the API takes it, always the same for the same one."""
    if len(ident) <= LONGEST:
        return ident
    return f"{ident[:31]}_{hashlib.sha256(ident.encode()).hexdigest()[:32]}"
