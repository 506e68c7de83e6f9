"""A client's messages to turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

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
from omniroute.formats.openai_chat.head import NAME, Role
from omniroute.formats.openai_chat.views import Detail

T = TypeVar("T")


class CacheControl(msgspec.Struct):
    ttl: str | None = None


class _Link(msgspec.Struct):
    url: str
    detail: str | None = None


class _Sound(msgspec.Struct):
    data: str
    format: str


class _File(msgspec.Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: _Link | str | None = None
    input_audio: _Sound | None = None
    file: _File | None = None
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: CacheControl | None = None


class _Called(msgspec.Struct):
    name: str
    arguments: str = ""


class _CalledFreely(msgspec.Struct):
    name: str
    input: str = ""


class _Call(msgspec.Struct):
    id: str
    function: _Called | None = None
    custom: _CalledFreely | None = None


class Message(msgspec.Struct):
    role: Role
    content: str | list[Raw] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    audio: Raw = Raw()
    tool_calls: list[_Call] | None = None
    function_call: _Called | None = None
    tool_call_id: str | None = None
    cache_control: CacheControl | None = None


_part = msgspec.json.Decoder(_Part)
_TTLS: dict[str, Literal["5m", "1h"]] = {"5m": "5m", "1h": "1h"}


class Conversation:
    """Messages to turns.

    The leading system and developer messages are the system prompt, later ones are turns of their own. Tool messages
    become results at the head of the user's next turn, which is where other formats have them.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._system: list[Text] = []
        self._turns: list[Turn] = []
        self._results: list[ToolResult] = []
        self._functions = 0

    def read(self) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
        for at, message in enumerate(self._messages):
            self._take(message, f"messages[{at}]")
        self._give_results()
        return tuple(self._system), tuple(self._turns)

    def _take(self, message: Message, place: str) -> None:
        role = message.role
        if role in ("tool", "function"):
            self._results.append(self._result(message, place))
            return
        blocks = self._content(message, place)
        if role == "user":
            self._turns.append(Turn("user", (*self._results, *blocks), message.name))
            self._results.clear()
            return
        self._give_results()
        if role == "assistant":
            self._turns.append(Turn("assistant", tuple(self._said(message, blocks, place)), message.name))
            return
        texts = only_text(blocks, place)
        if self._turns:
            self._turns.append(Turn("system", texts, message.name))
        else:
            self._system += texts

    def _give_results(self) -> None:
        if self._results:
            self._turns.append(Turn("user", tuple(self._results)))
            self._results.clear()

    def _content(self, message: Message, place: str) -> list[Block]:
        content = message.content
        if not content:
            return []
        last = mark(message.cache_control)
        if isinstance(content, str):
            return [Text(content, last)]
        blocks = [_block(raw, f"{place}.content[{at}]") for at, raw in enumerate(content)]
        if last is not None and blocks and isinstance(blocks[-1], Text | Image | Document):
            blocks[-1] = msgspec.structs.replace(blocks[-1], cache=last)
        return blocks

    def _said(self, message: Message, content: Sequence[Block], place: str) -> list[Block]:
        """An assistant's message: it thought, then spoke, then called."""
        blocks: list[Block] = [*_thoughts(message), *content]
        if message.refusal:
            blocks.append(Refusal(message.refusal))
        if present(message.audio) is not None:
            blocks.append(Opaque(NAME, "audio", message.audio))
        for at, call in enumerate(message.tool_calls or ()):
            blocks.append(_tool_call(call, f"{place}.tool_calls[{at}]"))
        if message.function_call is not None:
            self._functions += 1
            legacy = message.function_call
            blocks.append(ToolCall(self._function_id(), legacy.name, legacy.arguments))
        return blocks

    def _result(self, message: Message, place: str) -> ToolResult:
        ident = self._function_id() if message.role == "function" else message.tool_call_id
        if ident is None:
            raise missing(f"{place}.tool_call_id")
        content = self._content(message, place)
        blocks = tuple(in_result(block, f"{place}.content[{at}]") for at, block in enumerate(content))
        marks = [block.cache for block in blocks if not isinstance(block, Opaque) and block.cache is not None]
        return ToolResult(ident, tuple(map(_unmarked, blocks)), cache=marks[-1] if marks else None)

    def _function_id(self) -> str:
        """Legacy calls have no ids: the last one is always the one that is answered."""
        return f"call_function_{self._functions}"


def _thoughts(message: Message) -> list[Thinking]:
    details = message.reasoning_details or ()
    sealed = [
        Thinking(detail.text or detail.summary or "", detail.signature, detail.data, NAME)
        for detail in details
        if detail.signature or detail.data
    ]
    text = message.reasoning_content or message.reasoning
    if text is None:
        text = "".join(
            detail.text or detail.summary or "" for detail in details if not (detail.signature or detail.data)
        )
    elif any(block.text for block in sealed):
        return sealed
    return ([Thinking(text, issuer=NAME)] if text else []) + sealed


def _tool_call(call: _Call, place: str) -> ToolCall:
    if call.custom is not None:
        return ToolCall(call.id, call.custom.name, call.custom.input, custom=True)
    if call.function is None:
        raise missing(f"{place}.function")
    return ToolCall(call.id, call.function.name, call.function.arguments)


def only_text(blocks: Sequence[Block], place: str) -> tuple[Text, ...]:
    texts = tuple([block for block in blocks if isinstance(block, Text)])
    if len(texts) < len(blocks):
        spot = next(f"{place}.content[{at}]" for at, block in enumerate(blocks) if not isinstance(block, Text))
        raise BadRequest(f"`{spot}` must be a text part: the system speaks in text only.", param=spot)
    return texts


def in_result(block: Block, place: str) -> Text | Image | Document | Opaque:
    if isinstance(block, Text | Image | Document | Opaque):
        return block
    raise BadRequest(f"`{place}` cannot be part of a tool's result.", param=place)


def _unmarked(block: Text | Image | Document | Opaque) -> Text | Image | Document | Opaque:
    """A part of a result, whose mark is the result's own."""
    return block if isinstance(block, Opaque) else msgspec.structs.replace(block, cache=None)


# ----------------------------------------------------------------------------------------------------------- parts


def _block(raw: Raw, place: str) -> Block:
    part = patch.read(_part, raw, place)
    cache = mark(part.cache_control or part.prompt_cache_breakpoint)
    match part.type:
        case "text":
            return Text(given(part.text, f"{place}.text"), cache)
        case "refusal":
            return Refusal(given(part.refusal, f"{place}.refusal"))
        case "image_url":
            link = part.image_url
            if isinstance(link, str):
                link = _Link(link)
            return _image(given(link, f"{place}.image_url"), cache, f"{place}.image_url.url")
        case "input_audio":
            sound = given(part.input_audio, f"{place}.input_audio")
            return Audio(sound.data, sound.format)
        case "file":
            return _document(given(part.file, f"{place}.file"), cache, f"{place}.file")
        case _:
            return Opaque(NAME, part.type, raw)


def _image(link: _Link, cache: CacheMark | None, place: str) -> Image:
    if not link.url.startswith("data:"):
        return Image(url=link.url, detail=link.detail, cache=cache)
    media_type, data = data_url(link.url, place)
    return Image(media_type, data, detail=link.detail, cache=cache)


def _document(file: _File, cache: CacheMark | None, place: str) -> Document:
    """Its data is a data URL; some clients send the bare base64 of a PDF, some (to OpenRouter) an address."""
    data = file.file_data
    if data is None:
        return Document(file_id=given(file.file_id, f"{place}.file_id"), name=file.filename, cache=cache)
    if data.startswith("data:"):
        media_type, data = data_url(data, f"{place}.file_data")
        return Document(media_type, data, name=file.filename, cache=cache)
    if data.startswith(("https://", "http://")):
        return Document(url=data, name=file.filename, cache=cache)
    return Document("application/pdf", data, name=file.filename, cache=cache)


def data_url(url: str, place: str) -> tuple[str, str]:
    media_type, found, data = url[5:].partition(";base64,")
    if not found or not media_type:
        raise BadRequest(f"`{place}` must be an address or `data:<media type>;base64,<data>`.", param=place)
    return media_type, data


def mark(control: CacheControl | None) -> CacheMark | None:
    if control is None:
        return None
    return CacheMark(_TTLS.get(control.ttl or ""))


def present(raw: Raw) -> Raw | None:
    return None if bytes(raw) in (b"", b"null") else raw


def given(value: T | None, place: str) -> T:
    if value is None:
        raise missing(place)
    return value


def missing(place: str) -> BadRequest:
    return BadRequest(f"`{place}` is missing.", param=place)
