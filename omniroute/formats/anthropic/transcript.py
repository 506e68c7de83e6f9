"""Turns to messages, put in the order that the API wants.

It wants users and assistants to take turns, beginning with a user; no text that is empty; the result of every call at
the head of the message after it, and of no other; ids of letters, digits, `_` and `-`, each given once. So:

* turns of one speaker are joined, empty texts and assistants' empty turns vanish, a user's empty turn says so;
* results move to the front; a call without one gets one that says so, a result without a call is told as text;
* ids are changed where they must be, the same way in each request;
* the system speaks within the conversation where the model lets it and the place is right, else in a user's message;
* thinking goes back to Anthropic only if Anthropic signed it;
* white space at the end of a last, unfinished answer goes, for it means nothing and is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, TypeGuard

from omniroute.formats.anthropic.head import NAME
from omniroute.formats.anthropic.writing import Ledger, marked, text_block
from omniroute.formats.codec import Fields
from omniroute.formats.ir import (
    Block,
    Chat,
    Document,
    Image,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from omniroute.formats.pictures import guess
from omniroute.formats.writing import EMPTY, OPENING, UNANSWERED, code, present, runs, say, unused

_strange = re.compile(r"[^a-zA-Z0-9_-]")


class Transcript:
    """Writes the messages of one chat. `unsigned` is set when the chat goes on with results of calls that no thinking
    of Anthropic's came before."""

    def __init__(self, chat: Chat, ledger: Ledger, *, system_turns: bool) -> None:
        self.unsigned = False
        self._chat = chat
        self._ledger = ledger
        self._system_turns = system_turns
        self._messages: list[Fields] = []
        self._ids = _Ids()
        self._awaited: list[str] = []

    def write(self) -> list[Fields]:
        self._ledger.names(self._chat.turns)
        for first, turns in runs(self._chat.turns):
            if turns[0].role == "assistant":
                self._assistant(turns, first)
            else:
                self._others(turns, first)
        if self._awaited:
            self._say("user", self._unanswered([]))
        self._trim()
        if not self._messages:
            self._say("user", [text_block(OPENING)])
            self._ledger.lose("first_turn", "turns", "a user's turn was added: there was none")
        return [_short(message) for message in self._messages]

    def _say(self, role: str, blocks: list[Any]) -> None:
        say(self._messages, role, "content", blocks)

    def _trim(self) -> None:
        last = self._messages[-1] if self._messages else None
        if last is None or last["role"] != "assistant":
            return
        block = last["content"][-1]
        if isinstance(block, dict) and block["type"] == "text":
            block["text"] = block["text"].rstrip()

    # The assistant

    def _assistant(self, turns: Sequence[Turn], first: int) -> None:
        blocks: list[Any] = []
        thought = called = False
        for at, turn in enumerate(turns, first):
            for position, block in enumerate(turn.blocks):
                if _is_plain(block):
                    blocks.append(text_block(block.text))
                    continue
                written = self._said(block, f"turns[{at}].blocks[{position}]")
                if written is None:
                    continue
                thought = thought or isinstance(block, Thinking)
                called = called or isinstance(block, ToolCall)
                blocks.append(written)
        if not blocks:
            return
        if not self._messages:
            self._say("user", [text_block(OPENING)])
            self._ledger.lose("first_turn", "turns[0]", "a user's turn was put before it")
        self._say("assistant", blocks)
        self.unsigned = called and not thought

    def _said(self, block: Block, place: str) -> Any:
        """A block of the assistant's, or None where there is nothing to say."""
        match block:
            case Text() if block.text.strip():
                return marked(text_block(block.text), block.cache, self._ledger)
            case Refusal() if block.text.strip():
                return text_block(block.text)
            case Text() | Refusal():
                return None
            case ToolCall():
                return self._call(block, place)
            case Thinking(issuer=issuer, redacted=str(data)) if issuer == NAME:
                return {"type": "redacted_thinking", "data": data}
            case Thinking(issuer=issuer, signature=str(signature)) if issuer == NAME:
                return {"type": "thinking", "thinking": block.text, "signature": signature}
            case Thinking():
                self._ledger.lose("thinking", place, "dropped: Anthropic has not signed it")
            case Opaque(format=form) if form == NAME:
                return block.body
            case _:
                self._ledger.lose(code(block), place, "dropped: an assistant's message has no such block")
        return None

    def _call(self, call: ToolCall, place: str) -> Fields:
        content = self._ledger.arguments(call, place)
        ident = self._ids.give(call.id)
        self._awaited.append(ident)
        written = {"type": "tool_use", "id": ident, "name": call.name, "input": content}
        return marked(written, call.cache, self._ledger)

    # The user, and the system within the conversation

    def _others(self, turns: Sequence[Turn], first: int) -> None:
        """The turns up to the assistant's next one: results, then what the user said, then what the system said."""
        self._take_back()
        results: list[Any] = []
        blocks: list[Any] = []
        for at, turn in enumerate(turns, first):
            for position, block in enumerate(turn.blocks):
                if isinstance(block, ToolResult):
                    self._result(block, f"turns[{at}].blocks[{position}]", results, blocks)
        system = self._closing(turns) if self._system_turns else ()
        for at, turn in enumerate(turns[: len(turns) - len(system)], first):
            for position, block in enumerate(turn.blocks):
                if turn.role == "user" and _is_plain(block):
                    blocks.append(text_block(block.text))
                elif not isinstance(block, ToolResult):
                    blocks += self._asked(turn, block, f"turns[{at}].blocks[{position}]")
        if self._awaited:
            results += self._unanswered(results)
        if not results and not blocks and not (self._messages and self._messages[-1]["role"] == "user"):
            blocks.append(text_block(EMPTY))
            self._ledger.lose("empty_turn", f"turns[{first}]", "told in words: a message cannot be empty")
        self._say("user", results + blocks)
        if system:
            spoken = [block for turn in system for block in turn.blocks]
            self._say("system", [one for block in spoken for one in self._parts(block, f"turns[{first}]")])

    def _closing(self, turns: Sequence[Turn]) -> Sequence[Turn]:
        """The system's turns that may stand as such: those right before the assistant's, after a user's."""
        start = len(turns)
        while start and turns[start - 1].role == "system":
            start -= 1
        return turns[start:] if start else ()

    def _take_back(self) -> None:
        """Makes the user say what the system just said, for the assistant did not say anything after it."""
        if self._messages and self._messages[-1]["role"] == "system":
            blocks = self._messages.pop()["content"]
            self._say("user", [self._quoted(block, "turns") for block in blocks])

    def _asked(self, turn: Turn, block: Block, place: str) -> list[Any]:
        written = self._parts(block, place)
        return [self._quoted(one, place) for one in written] if turn.role == "system" else written

    def _quoted(self, block: Any, place: str) -> Any:
        """The system's words as the user's."""
        if isinstance(block, dict) and block["type"] == "text":
            self._ledger.lose("system_turn", place, "told in a user's message")
            block["text"] = f"<system>\n{block['text']}\n</system>"
        return block

    def _unanswered(self, results: list[Any]) -> list[Any]:
        """Results for the calls that `results` leaves without one."""
        answered = {result["tool_use_id"] for result in results}
        missing = [ident for ident in self._awaited if ident not in answered]
        self._awaited.clear()
        if missing:
            self._ledger.lose("tool_result", "turns", f"{len(missing)} calls had no result and were given one")
        return [
            {"type": "tool_result", "tool_use_id": ident, "content": UNANSWERED, "is_error": True} for ident in missing
        ]

    def _result(self, result: ToolResult, place: str, results: list[Any], blocks: list[Any]) -> None:
        content = [one for at, block in enumerate(result.blocks) for one in self._parts(block, f"{place}.blocks[{at}]")]
        ident = self._ids.given(result.id)
        if ident not in self._awaited or any(one["tool_use_id"] == ident for one in results):
            self._ledger.lose("tool_result", place, "told as text: it belongs to no call before it")
            error = self._ledger.error(result, place)
            told = [text_block(f"Result of {result.id}:"), *([text_block(error.strip())] if error else [])]
            marked(told[0], result.cache, self._ledger)
            blocks += [*told, *content]
            return
        plain = [one["text"] for one in content if isinstance(one, dict) and set(one) == {"type", "text"}]
        written = {"type": "tool_result", "tool_use_id": ident} | present(
            content=(plain[0] if len(plain) == len(content) == 1 else content) or None,
            is_error=True if result.is_error else None,
        )
        results.append(marked(written, result.cache, self._ledger))

    def _parts(self, block: Block, place: str) -> list[Any]:
        """A block as content: one, or none where it is empty or lost."""
        match block:
            case Text() if block.text.strip():
                return [marked(text_block(block.text), block.cache, self._ledger)]
            case Refusal() if block.text.strip():
                return [text_block(block.text)]
            case Text() | Refusal():
                return []
            case Image():
                return self._image(block, place)
            case Document():
                return self._document(block, place)
            case Opaque(format=form) if form == NAME:
                return [block.body]
            case _:
                self._ledger.lose(code(block), place, "dropped: there is no such block")
                return []

    def _image(self, image: Image, place: str) -> list[Any]:
        if image.detail not in (None, "auto"):
            self._ledger.lose("image_detail", place, "dropped: there is no such field")
        if image.data is not None:
            media_type = image.media_type or guess(image.data)
            source: Fields = {"type": "base64", "media_type": media_type, "data": image.data}
        elif image.url is not None:
            source = {"type": "url", "url": image.url}
        elif self._chat.vendor_format == NAME:
            source = {"type": "file", "file_id": image.file_id}
        else:
            self._ledger.lose("image_file", place, "dropped: the file is another provider's")
            return []
        return [marked({"type": "image", "source": source}, image.cache, self._ledger)]

    def _document(self, document: Document, place: str) -> list[Any]:
        source = self._source(document)
        if source is None:
            self._ledger.lose("document", place, "dropped: only PDF and text can be read, from data or an address")
            return []
        fields = {"type": "document", "source": source} | present(
            title=document.name,
            context=document.context,
            citations={"enabled": True} if document.citations else None,
        )
        return [marked(fields, document.cache, self._ledger)]

    def _source(self, document: Document) -> Fields | None:
        if document.text is not None:
            return {"type": "text", "media_type": "text/plain", "data": document.text} if document.text else None
        if document.data is not None:
            return _data(document.media_type or "application/pdf", document.data)
        if document.url is not None:
            return {"type": "url", "url": document.url}
        if document.file_id is not None and self._chat.vendor_format == NAME:
            return {"type": "file", "file_id": document.file_id}
        return None


class _Ids:
    """Ids of calls as the API takes them: always the same for the same calls in the same order."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._used: set[str] = set()

    def give(self, ident: str) -> str:
        """The id of a call, which no earlier one has."""
        own = self._given[ident] = unused(_strange.sub("_", ident) or "call", self._used)
        return own

    def given(self, ident: str) -> str | None:
        """The id that the last call of this name got."""
        return self._given.get(ident)


def _is_plain(block: Block) -> TypeGuard[Text]:
    """A text and no more, as nearly all blocks are: nothing to mark, nothing to lose, and so no place to name."""
    return isinstance(block, Text) and block.cache is None and bool(block.text.strip())


def _short(message: Fields) -> Fields:
    """The message, its content a string where it is nothing but a text."""
    content = message["content"]
    only = content[0]
    if len(content) == 1 and isinstance(only, dict) and only["type"] == "text" and len(only) == 2:
        message["content"] = only["text"]
    return message


def _data(media_type: str, data: str) -> Fields | None:
    if media_type == "application/pdf":
        return {"type": "base64", "media_type": media_type, "data": data}
    if not media_type.startswith("text/") and media_type != "application/json":
        return None
    try:
        text = base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return {"type": "text", "media_type": "text/plain", "data": text} if text else None
