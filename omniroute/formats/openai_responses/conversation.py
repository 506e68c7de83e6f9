"""A client's items to turns.

Items stand in a row, without a message around those that belong together: what the assistant thought, said and called
until somebody else speaks is one turn. Results come at the head of the user's next turn, which is where other formats
have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats.ir import (
    Audio,
    Block,
    CacheMark,
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
from omniroute.formats.openai_chat.conversation import data_url, given, in_result, missing, only_text
from omniroute.formats.openai_responses import namespaces, seal
from omniroute.formats.openai_responses.head import GIVEN, MADE, NAME, Role

BETWEEN = "\n\n"
"""Between the parts of a summary."""
PLAIN = frozenset({"input_text", "output_text", "text"})
"""Parts that are a text."""


class _Sound(msgspec.Struct):
    data: str
    format: str


class Part(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: _Sound | None = None
    prompt_cache_breakpoint: Any = None


class Said(msgspec.Struct, gc=False):
    """A piece of reasoning."""

    text: str = ""


class Item(msgspec.Struct, gc=False):
    """An item of any kind. Those that only this format knows have other values under some of these names."""

    type: str | None = None
    role: Role | None = None
    content: str | list[Part] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: Any = None
    input: Any = None
    output: str | list[Part] | dict[str, Any] | None = None
    summary: list[Said] | None = None
    encrypted_content: str | None = None


class _Whole(msgspec.Struct):
    content: list[Raw] | None = None
    output: list[Raw] | None = None


_items = msgspec.json.Decoder(list[Raw])
_whole = msgspec.json.Decoder(_Whole)


class Conversation:
    """Items to turns. Leading instructions of the system or the developer are the system prompt, later ones are turns
    of their own. `raw` is the list as it came, for what only this format knows."""

    def __init__(self, items: Sequence[Item], raw: Raw) -> None:
        self._items = items
        self._raw = raw
        self._slices: list[Raw] = []
        self._system: list[Text] = []
        self._turns: list[Turn] = []
        self._results: list[Block] = []
        self._said: list[Block] = []

    def read(self) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
        for at, item in enumerate(self._items):
            self._take(at, item)
        self._give_said()
        self._give_results()
        return tuple(self._system), tuple(self._turns)

    def _take(self, at: int, item: Item) -> None:
        kind = item.type or ("message" if item.role is not None else "item_reference")
        match kind:
            case "message":
                self._message(item, at)
            case "reasoning":
                self._say(_thought(item))
            case "function_call":
                text = _text(item.arguments, f"input[{at}].arguments")
                name = namespaces.joined(item.namespace, given(item.name, f"input[{at}].name"))
                self._say(ToolCall(_call_id(item, at), name, text))
            case "custom_tool_call":
                text = _text(item.input, f"input[{at}].input")
                self._say(ToolCall(_call_id(item, at), given(item.name, f"input[{at}].name"), text, custom=True))
            case "function_call_output" | "custom_tool_call_output":
                self._answer(ToolResult(_call_id(item, at), self._output(item, at)))
            case _ if kind in MADE:
                self._say(Opaque(NAME, kind, self._slice(at)))
            case _ if kind in GIVEN:
                self._answer(Opaque(NAME, kind, self._slice(at)))
            case _:
                place = f"input[{at}].type"
                raise BadRequest(f"`{place}` is {kind[:64]!r}: there is no such item.", param=place)

    def _slice(self, at: int) -> Raw:
        """An item as it came."""
        if not self._slices:
            self._slices = _items.decode(self._raw)
        return self._slices[at]

    def _say(self, block: Block) -> None:
        self._give_results()
        self._said.append(block)

    def _answer(self, block: Block) -> None:
        self._give_said()
        self._results.append(block)

    def _give_said(self) -> None:
        if self._said:
            self._turns.append(Turn("assistant", tuple(self._said)))
            self._said.clear()

    def _give_results(self) -> None:
        if self._results:
            self._turns.append(Turn("user", tuple(self._results)))
            self._results.clear()

    def _message(self, item: Item, at: int) -> None:
        place = f"input[{at}]"
        role = given(item.role, f"{place}.role")
        if item.content is None:
            raise missing(f"{place}.content")
        blocks = self._content(item.content, at, "content")
        if role == "assistant":
            self._give_results()
            self._said += blocks
            return
        self._give_said()
        if role == "user":
            self._turns.append(Turn("user", (*self._results, *blocks)))
            self._results.clear()
            return
        self._give_results()
        texts = only_text(blocks, place)
        if self._turns:
            self._turns.append(Turn("system", texts))
        else:
            self._system += texts

    def _output(self, item: Item, at: int) -> tuple[Text | Image | Document | Opaque, ...]:
        place = f"input[{at}].output"
        if item.output is None:
            raise missing(place)
        if isinstance(item.output, dict):
            raise BadRequest(f"`{place}` must be a string or a list of parts.", param=place)
        blocks = self._content(item.output, at, "output")
        return tuple([in_result(block, f"{place}[{number}]") for number, block in enumerate(blocks)])

    def _content(self, content: str | list[Part], at: int, field: Literal["content", "output"]) -> list[Block]:
        if isinstance(content, str):
            return [Text(content)] if content else []
        blocks: list[Block] = []
        for number, part in enumerate(content):
            if part.type in PLAIN and part.text is not None and part.prompt_cache_breakpoint is None:
                blocks.append(Text(part.text))
                continue
            block = _block(part, f"input[{at}].{field}[{number}]")
            if block is None:
                parts = getattr(_whole.decode(self._slice(at)), field)
                block = Opaque(NAME, part.type, parts[number])
            blocks.append(block)
        return blocks


def _call_id(item: Item, at: int) -> str:
    if item.call_id is None:
        raise missing(f"input[{at}].call_id")
    return item.call_id


def _text(value: Any, place: str) -> str:
    if value is None:
        raise missing(place)
    if not isinstance(value, str):
        raise BadRequest(f"`{place}` must be a string.", param=place)
    return value


def _thought(item: Item) -> Thinking:
    """Its summary, or where there is none (as models without secrets have it) the thoughts themselves."""
    texts = [said.text for said in item.summary or ()]
    if not texts and isinstance(item.content, list):
        texts = [part.text or "" for part in item.content]
    return seal.unseal(item.id, item.encrypted_content, BETWEEN.join(texts))


def _block(part: Part, place: str) -> Block | None:
    """A part of a message; None for one that only this format knows."""
    cache = None if part.prompt_cache_breakpoint is None else CacheMark()
    match part.type:
        case _ if part.type in PLAIN:
            return Text(given(part.text, f"{place}.text"), cache)
        case "refusal":
            return Refusal(given(part.refusal, f"{place}.refusal"))
        case "input_image":
            return _image(part, cache, place)
        case "input_file":
            return _document(part, cache, place)
        case "input_audio":
            sound = given(part.input_audio, f"{place}.input_audio")
            return Audio(sound.data, sound.format)
        case "":
            raise missing(f"{place}.type")
        case _:
            return None


def _image(part: Part, cache: CacheMark | None, place: str) -> Image:
    url = part.image_url
    if url is None:
        return Image(file_id=given(part.file_id, f"{place}.image_url"), detail=part.detail, cache=cache)
    if not url.startswith("data:"):
        return Image(url=url, detail=part.detail, cache=cache)
    media_type, data = data_url(url, f"{place}.image_url")
    return Image(media_type, data, detail=part.detail, cache=cache)


def _document(part: Part, cache: CacheMark | None, place: str) -> Document:
    """Its data is a data URL; some clients send the bare base64 of a PDF."""
    data = part.file_data
    if data is None:
        ident = part.file_id if part.file_url is not None else given(part.file_id, f"{place}.file_id")
        return Document(url=part.file_url, file_id=ident, name=part.filename, cache=cache)
    if data.startswith("data:"):
        media_type, data = data_url(data, f"{place}.file_data")
        return Document(media_type, data, name=part.filename, cache=cache)
    return Document("application/pdf", data, name=part.filename, cache=cache)
