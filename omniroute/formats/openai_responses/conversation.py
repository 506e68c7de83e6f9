"""A client's items to turns.

Items stand in a row, without a message around those that belong together: what the assistant thought, said and called
until somebody else speaks is one turn. Results come at the head of the user's next turn, which is where other formats
have them.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
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
from omniroute.formats.openai_responses import seal
from omniroute.formats.openai_responses.head import GIVEN, MADE, NAME, Role

BETWEEN = "\n\n"
"""Between the parts of a summary."""


class _Sound(msgspec.Struct):
    data: str
    format: str


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: _Sound | None = None
    prompt_cache_breakpoint: Raw = Raw()


class Said(msgspec.Struct):
    """A piece of reasoning."""

    text: str = ""


class _Kind(msgspec.Struct):
    """Of an item that may be one that only this format knows, and is not looked into."""

    type: str | None = None
    role: Role | None = None


class Item(_Kind):
    content: str | list[Raw] | None = None
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[Raw] | None = None
    summary: list[Said] | None = None
    encrypted_content: str | None = None


_kind = msgspec.json.Decoder(_Kind)
_item = msgspec.json.Decoder(Item)
_part = msgspec.json.Decoder(_Part)
_thoughts = msgspec.json.Decoder(Said)


class Conversation:
    """Items to turns. Leading instructions of the system or the developer are the system prompt, later ones are turns
    of their own."""

    def __init__(self, items: Sequence[Raw]) -> None:
        self._items = items
        self._system: list[Text] = []
        self._turns: list[Turn] = []
        self._results: list[Block] = []
        self._said: list[Block] = []

    def read(self) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
        for at, raw in enumerate(self._items):
            place = f"input[{at}]"
            told = patch.read(_kind, raw, place)
            kind = told.type or ("message" if told.role is not None else "item_reference")
            if kind in MADE:
                self._say(Opaque(NAME, kind, raw))
            elif kind in GIVEN:
                self._answer(Opaque(NAME, kind, raw))
            else:
                self._take(kind, patch.read(_item, raw, place), place)
        self._give_said()
        self._give_results()
        return tuple(self._system), tuple(self._turns)

    def _take(self, kind: str, item: Item, place: str) -> None:
        match kind:
            case "message":
                self._message(item, place)
            case "reasoning":
                self._say(_thought(item, place))
            case "function_call":
                text = given(item.arguments, f"{place}.arguments")
                self._say(ToolCall(_call_id(item, place), given(item.name, f"{place}.name"), text))
            case "custom_tool_call":
                text = given(item.input, f"{place}.input")
                self._say(ToolCall(_call_id(item, place), given(item.name, f"{place}.name"), text, custom=True))
            case "function_call_output" | "custom_tool_call_output":
                self._answer(ToolResult(_call_id(item, place), _output(item, f"{place}.output")))
            case _:
                raise BadRequest(f"`{place}.type` is {kind[:64]!r}: there is no such item.", param=f"{place}.type")

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

    def _message(self, item: Item, place: str) -> None:
        role = given(item.role, f"{place}.role")
        if item.content is None:
            raise missing(f"{place}.content")
        blocks = _content(item.content, f"{place}.content")
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


def _call_id(item: Item, place: str) -> str:
    return given(item.call_id, f"{place}.call_id")


def _thought(item: Item, place: str) -> Thinking:
    """Its summary, or where there is none (as models without secrets have it) the thoughts themselves."""
    parts = item.summary
    if not parts and isinstance(item.content, list):
        parts = [patch.read(_thoughts, part, f"{place}.content[{at}]") for at, part in enumerate(item.content)]
    return seal.unseal(item.id, item.encrypted_content, BETWEEN.join(part.text for part in parts or ()))


def _output(item: Item, place: str) -> tuple[Text | Image | Document | Opaque, ...]:
    if item.output is None:
        raise missing(place)
    return tuple([in_result(block, f"{place}[{at}]") for at, block in enumerate(_content(item.output, place))])


def _content(content: str | list[Raw], place: str) -> list[Block]:
    if isinstance(content, str):
        return [Text(content)] if content else []
    return [_block(raw, f"{place}[{at}]") for at, raw in enumerate(content)]


def _block(raw: Raw, place: str) -> Block:
    part = patch.read(_part, raw, place)
    cache = CacheMark() if bytes(part.prompt_cache_breakpoint) not in (b"", b"null") else None
    match part.type:
        case "input_text" | "output_text" | "text":
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
        case _:
            return Opaque(NAME, part.type, raw)


def _image(part: _Part, cache: CacheMark | None, place: str) -> Image:
    url = part.image_url
    if url is None:
        return Image(file_id=given(part.file_id, f"{place}.image_url"), detail=part.detail, cache=cache)
    if not url.startswith("data:"):
        return Image(url=url, detail=part.detail, cache=cache)
    media_type, data = data_url(url, f"{place}.image_url")
    return Image(media_type, data, detail=part.detail, cache=cache)


def _document(part: _Part, cache: CacheMark | None, place: str) -> Document:
    """Its data is a data URL; some clients send the bare base64 of a PDF."""
    data = part.file_data
    if data is None:
        ident = part.file_id if part.file_url is not None else given(part.file_id, f"{place}.file_id")
        return Document(url=part.file_url, file_id=ident, name=part.filename, cache=cache)
    if data.startswith("data:"):
        media_type, data = data_url(data, f"{place}.file_data")
        return Document(media_type, data, name=part.filename, cache=cache)
    return Document("application/pdf", data, name=part.filename, cache=cache)
