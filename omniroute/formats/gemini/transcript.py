"""Turns to contents, put in the order that the API wants.

It wants as many results after a turn of calls as there were calls, all in one content; no text that is empty; a call
only after the user spoke. So:

* turns of one speaker are joined, empty texts vanish, a user's empty turn says so;
* results move to the front, under the name of their call; a call without one gets one that says so, a result without a
  call is told as text;
* what the system says within the conversation, the user says;
* a signature of Google's stands on the call that follows it, else where it was; no one else's thinking is told. The
  first call of a turn that has none, and must have one for the model, gets the stand-in (`seal.py`);
* pictures and files in a result stay there where the model reads them, else they follow the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import msgspec

from omniroute.errors import Unsupported
from omniroute.formats.codec import Fields
from omniroute.formats.gemini import media
from omniroute.formats.gemini.head import NAME
from omniroute.formats.gemini.models import Traits
from omniroute.formats.gemini.seal import STAND_IN
from omniroute.formats.ir import (
    Audio,
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
from omniroute.formats.writing import BETWEEN, EMPTY, OPENING, UNANSWERED, Ledger, code, headed, runs, say, unused

GO_ON = "(Go on.)"


class _Call(msgspec.Struct, frozen=True):
    """A call that was told: its id as it came, the one it got, and its name."""

    ident: str
    own: str
    name: str


class Transcript:
    """Writes the contents of one chat."""

    def __init__(self, chat: Chat, known: Traits, ledger: Ledger) -> None:
        self._chat = chat
        self._known = known
        self._ledger = ledger
        self._contents: list[Fields] = []
        self._awaited: list[_Call] = []  # the calls that have no result yet
        self._used: set[str] = set()

    def write(self) -> list[Fields]:
        self._ledger.names(self._chat.turns)
        for first, turns in runs(self._chat.turns):
            if turns[0].role == "assistant":
                self._assistant(turns, first)
            else:
                self._others(turns, first)
        if self._awaited:
            self._tell("user", self._unanswered())
        if not self._contents:
            self._tell("user", [text_part(OPENING)])
            self._ledger.lose("first_turn", "turns", "a user's turn was added: there was none")
        elif self._contents[-1]["role"] == "model" and not self._known.goes_on:
            self._tell("user", [text_part(GO_ON)])
            self._ledger.lose("last_turn", "turns", "a user's turn was added: the model does not continue its own")
        return self._contents

    def _tell(self, role: str, parts: list[Any]) -> None:
        say(self._contents, role, "parts", parts)

    # The assistant

    def _assistant(self, turns: Sequence[Turn], first: int) -> None:
        parts: list[Any] = []
        signature: str | None = None  # of a thought that was just told, for the call that may follow
        unsigned = self._known.signed
        for at, turn in enumerate(turns, first):
            for position, block in enumerate(turn.blocks):
                if _is_plain(block):
                    parts.append({"text": block.text})
                    signature = None
                    continue
                place = f"turns[{at}].blocks[{position}]"
                if isinstance(block, ToolCall):
                    call = self._call(block, place)
                    if signature is not None:
                        self._move(parts)
                        call["thoughtSignature"] = signature
                    elif unsigned:
                        call["thoughtSignature"] = STAND_IN
                    unsigned = False
                    signature = None
                    parts.append(call)
                    continue
                written = self._said(block, place)
                if written is not None:
                    parts.append(written)
                    signature = block.signature if isinstance(block, Thinking) else None
        if not parts:
            return
        if not self._contents:
            self._tell("user", [text_part(OPENING)])
            self._ledger.lose("first_turn", "turns[0]", "a user's turn was put before it")
        self._tell("model", parts)

    def _move(self, parts: list[Any]) -> None:
        """Takes the signature off the thought that was told last, and the thought too where it was nothing else."""
        thought = parts[-1]
        del thought["thoughtSignature"]
        if not thought["text"]:
            parts.pop()

    def _said(self, block: Block, place: str) -> Any:
        """A part of the assistant's, or None where there is nothing to say."""
        match block:
            case Text() | Refusal():
                if isinstance(block, Text):
                    self._ledger.mark(block.cache, place)
                return text_part(block.text) if block.text else None
            case Thinking(issuer=issuer, redacted=None) if issuer == NAME:
                return _thought(block)
            case Thinking():
                self._ledger.lose("thinking", place, "dropped: Google has not signed it")
            case Image():
                self._ledger.mark(block.cache, place)
                return self._image(block, place)
            case Audio():
                return media.sound(block)
            case Opaque(format=form) if form == NAME:
                return block.body
            case _:
                self._ledger.lose(code(block), place, "dropped: the model's turn has no such part")
        return None

    def _call(self, call: ToolCall, place: str) -> Fields:
        self._ledger.mark(call.cache, place)
        content = self._ledger.arguments(call, place)
        given = _Call(call.id, unused(call.id or "call", self._used), call.name)
        self._awaited.append(given)
        return {"functionCall": {"id": given.own, "name": call.name, "args": content}}

    # The user, and the system within the conversation

    def _others(self, turns: Sequence[Turn], first: int) -> None:
        """The turns up to the assistant's next one: results, then all that was said."""
        results: list[Any] = []
        parts: list[Any] = []
        for at, turn in enumerate(turns, first):
            for position, block in enumerate(turn.blocks):
                if isinstance(block, ToolResult):
                    self._result(block, f"turns[{at}].blocks[{position}]", results, parts)
        for at, turn in enumerate(turns, first):
            for position, block in enumerate(turn.blocks):
                if isinstance(block, ToolResult):
                    continue
                if turn.role == "user" and _is_plain(block):
                    parts.append({"text": block.text})
                    continue
                place = f"turns[{at}].blocks[{position}]"
                if turn.role != "system":
                    parts += self._parts(block, place)
                elif isinstance(block, Text) and block.text.strip():
                    self._ledger.mark(block.cache, place)
                    self._ledger.lose("system_turn", place, "told in a user's turn")
                    parts.append(text_part(f"<system>\n{block.text}\n</system>"))
                elif not isinstance(block, Text):
                    parts += self._parts(block, place)
        results += self._unanswered()
        if not results and not parts and not (self._contents and self._contents[-1]["role"] == "user"):
            parts.append(text_part(EMPTY))
            self._ledger.lose("empty_turn", f"turns[{first}]", "told in words: a content cannot be empty")
        self._tell("user", results + parts)

    def _unanswered(self) -> list[Any]:
        """Results for the calls that are still without one."""
        missing = self._awaited.copy()
        self._awaited.clear()
        if missing:
            self._ledger.lose("tool_result", "turns", f"{len(missing)} calls had no result and were given one")
        return [_response(call, {"error": UNANSWERED}) for call in missing]

    def _result(self, result: ToolResult, place: str, results: list[Any], parts: list[Any]) -> None:
        self._ledger.mark(result.cache, place)
        call = next((one for one in self._awaited if one.ident == result.id), None)
        texts = self._ledger.texts([block for block in result.blocks if isinstance(block, Text)], place)
        others: list[Any] = []
        for at, block in enumerate(result.blocks):
            if not isinstance(block, Text):
                others += self._parts(block, f"{place}.blocks[{at}]")
        text = BETWEEN.join(texts)
        if call is None:
            self._ledger.lose("tool_result", place, "told as text: it belongs to no call before it")
            error = self._ledger.error(result, place)
            parts += [text_part(f"Result of {result.id}:\n{error}{text}"), *others]
            return
        self._awaited.remove(call)
        response = _response(call, {"error" if result.is_error else "output": text})
        results.append(response)
        if not others:
            return
        if self._known.media_in_results and all(isinstance(one, dict) and "inlineData" in one for one in others):
            response["functionResponse"]["parts"] = others
        else:
            self._ledger.lose("tool_result_media", place, "put after the results, in the user's words")
            parts += [text_part(f"From the result of {result.id}:"), *others]

    def _parts(self, block: Block, place: str) -> list[Any]:
        """A block as parts: one, or none where it is empty or lost."""
        match block:
            case Text():
                self._ledger.mark(block.cache, place)
                return [text_part(block.text)] if block.text else []
            case Refusal():
                return [text_part(block.text)] if block.text else []
            case Image():
                self._ledger.mark(block.cache, place)
                return [self._image(block, place)]
            case Audio():
                return [media.sound(block)]
            case Document():
                self._ledger.mark(block.cache, place)
                return self._document(block, place)
            case Opaque(format=form) if form == NAME:
                return [block.body]
            case _:
                self._ledger.lose(code(block), place, "dropped: there is no such part")
                return []

    def _image(self, image: Image, place: str) -> Any:
        part = media.picture(image)
        self._readable(image, part, place)
        if image.detail not in (None, "auto"):
            self._ledger.lose("image_detail", place, "dropped: there is no such field for one image")
        return part

    def _document(self, document: Document, place: str) -> list[Any]:
        if document.citations:
            self._ledger.lose("citations", place, "dropped: answers here do not cite")
        if document.text is not None:
            return [text_part(headed(document, document.text))] if document.text else []
        for field in ("name", "context"):
            if getattr(document, field):
                self._ledger.lose(f"document_{field}", place, f"dropped: a file has no {field}")
        kind = document.media_type or "application/pdf"
        if document.data is not None:
            return [media.inline(kind, document.data)]
        part = media.reference(document, kind)
        self._readable(document, part, place)
        return [part]

    def _readable(self, held: Image | Document, part: Any, place: str) -> None:
        """Refuses what Google cannot read, for a prompt without its image is another prompt."""
        if part is None:
            raise Unsupported(
                f"`{place}` is a file of another provider's, which Google cannot read. Send its data.", param=place
            )
        if held.url is None or media.readable(held.url, self._known):
            return
        fetched = ", or let the gateway fetch images (`server.fetch_images`)" if isinstance(held, Image) else ""
        raise Unsupported(
            f"`{place}` is given by an address that Google does not read for this model. Send its data{fetched}.",
            param=place,
        )


def _is_plain(block: Block) -> TypeGuard[Text]:
    """A text and no more, as nearly all blocks are: nothing to mark, nothing to lose, and so no place to name."""
    return isinstance(block, Text) and block.cache is None and bool(block.text)


def text_part(text: str) -> Fields:
    return {"text": text}


def _thought(block: Thinking) -> Fields | None:
    if not block.text and block.signature is None:
        return None
    if not block.text:
        return {"text": "", "thoughtSignature": block.signature}
    part: Fields = {"text": block.text, "thought": True}
    if block.signature is not None:
        part["thoughtSignature"] = block.signature
    return part


def _response(call: _Call, told: Fields) -> Fields:
    return {"functionResponse": {"id": call.own, "name": call.name, "response": told}}
