"""A client's messages to turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar, get_args

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.anthropic import seal
from omniroute.formats.anthropic.head import NAME, Role
from omniroute.formats.ir import (
    Block,
    CacheMark,
    Document,
    Image,
    Opaque,
    Raw,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)

T = TypeVar("T")

IN_SYSTEM: tuple[type[Text | Opaque], ...] = (Text, Opaque)
IN_RESULT: tuple[type[Text | Image | Document | Opaque], ...] = (Text, Image, Document, Opaque)


class CacheControl(msgspec.Struct):
    ttl: str | None = None


class _Part(msgspec.Struct):
    cache_control: CacheControl | None = None


class _Kind(msgspec.Struct):
    type: str


class _Text(_Part, kw_only=True, tag="text"):
    text: str


class _Base64(msgspec.Struct, tag="base64"):
    media_type: str
    data: str


class _Url(msgspec.Struct, tag="url"):
    url: str


class _File(msgspec.Struct, tag="file"):
    file_id: str


class _Plain(msgspec.Struct, tag="text"):
    data: str


class _Content(msgspec.Struct, tag="content"):
    content: str | list[Raw]


class _Image(_Part, kw_only=True, tag="image"):
    source: _Base64 | _Url | _File


class _Citations(msgspec.Struct):
    enabled: bool = False


class _Document(_Part, kw_only=True, tag="document"):
    source: _Base64 | _Url | _File | _Plain | _Content
    title: str | None = None
    context: str | None = None
    citations: _Citations | None = None


class _Thinking(msgspec.Struct, tag="thinking"):
    thinking: str
    signature: str = ""


class _Redacted(msgspec.Struct, tag="redacted_thinking"):
    data: str


class _Call(_Part, kw_only=True, tag="tool_use"):
    id: str
    name: str
    input: Raw


class _Result(_Part, kw_only=True, tag="tool_result"):
    tool_use_id: str
    content: str | list[Raw] | None = None
    is_error: bool | None = None


class Message(msgspec.Struct):
    role: Role
    content: str | list[Raw] | None = None


_kind = msgspec.json.Decoder(_Kind)
_Known = _Text | _Image | _Document | _Thinking | _Redacted | _Call | _Result
_known: msgspec.json.Decoder[_Known] = msgspec.json.Decoder(_Known)
_KINDS = frozenset({kind.__struct_config__.tag for kind in get_args(_Known)})
_object = msgspec.json.Decoder(dict[str, Raw])
_TTLS: dict[str, Literal["5m", "1h"]] = {"5m": "5m", "1h": "1h"}


def read_turns(messages: Sequence[Message]) -> tuple[Turn, ...]:
    return tuple([_turn(message, f"messages[{at}].content") for at, message in enumerate(messages)])


def read_system(prompt: str | list[Raw]) -> tuple[Text, ...]:
    return tuple(_only(block, (Text,), place) for block, place in _blocks(prompt, "system"))


def _turn(message: Message, place: str) -> Turn:
    if message.content is None:
        if message.role != "system":
            raise missing(place)
        return Turn("system", ())  # it may only direct the turns that follow, with fields of its own
    blocks = _blocks(message.content, place)
    if message.role == "system":
        return Turn("system", tuple(_only(block, IN_SYSTEM, spot) for block, spot in blocks))
    return Turn(message.role, tuple(block for block, _ in blocks))


def _blocks(content: str | list[Raw], place: str) -> list[tuple[Block, str]]:
    """The blocks of a content, each with its place."""
    if isinstance(content, str):
        return [(Text(content), place)] if content else []
    spots = [f"{place}[{at}]" for at in range(len(content))]
    return [(_block(raw, spot), spot) for raw, spot in zip(content, spots, strict=True)]


def _only(block: Block, kinds: tuple[type[T], ...], place: str) -> T:
    if isinstance(block, kinds):
        return block
    raise BadRequest(f"`{place}` is of a type that cannot stand there.", param=place)


def _block(raw: Raw, place: str) -> Block:
    try:
        block = _known.decode(raw)
    except msgspec.ValidationError:
        kind = patch.read(_kind, raw, place).type
        if kind not in _KINDS:
            return Opaque(NAME, kind, raw)
        block = patch.read(_known, raw, place)
    match block:
        case _Text():
            return Text(block.text, mark(block.cache_control))
        case _Result():
            return _to_result(block, place)
        case _Call():
            patch.read(_object, block.input, f"{place}.input")
            return ToolCall(block.id, block.name, bytes(block.input).decode(), cache=mark(block.cache_control))
        case _Thinking():
            issuer, signature = seal.unseal(block.signature)
            return Thinking(block.thinking, signature, issuer=issuer)
        case _Redacted():
            issuer, data = seal.unseal(block.data)
            return Thinking(redacted=data or "", issuer=issuer)
        case _Image():
            return _to_image(block.source, mark(block.cache_control))
        case _Document():
            return _to_document(block, raw, place)


def _to_image(source: _Base64 | _Url | _File, cache: CacheMark | None) -> Image:
    match source:
        case _Base64():
            return Image(source.media_type, source.data, cache=cache)
        case _Url():
            return Image(url=source.url, cache=cache)
        case _File():
            return Image(file_id=source.file_id, cache=cache)


def _to_document(document: _Document, raw: Raw, place: str) -> Document | Opaque:
    given = _given(document.source, f"{place}.source.content")
    if given is None:
        return Opaque(NAME, "document", raw)
    return msgspec.structs.replace(
        given,
        name=document.title,
        context=document.context,
        citations=document.citations is not None and document.citations.enabled,
        cache=mark(document.cache_control),
    )


def _given(source: _Base64 | _Url | _File | _Plain | _Content, place: str) -> Document | None:
    """What is to be read; of one that is made of blocks, the text, and None where they are not all text."""
    match source:
        case _Base64():
            return Document(source.media_type, source.data)
        case _Url():
            return Document(url=source.url)
        case _File():
            return Document(file_id=source.file_id)
        case _Plain():
            return Document(text=source.data)
        case _Content():
            blocks = [block for block, _ in _blocks(source.content, place)]
            texts = [block.text for block in blocks if isinstance(block, Text)]
            return Document(text="\n\n".join(texts)) if len(texts) == len(blocks) else None


def _to_result(result: _Result, place: str) -> ToolResult:
    inner = _blocks(result.content or "", f"{place}.content")
    blocks = tuple(_only(block, IN_RESULT, spot) for block, spot in inner)
    return ToolResult(result.tool_use_id, blocks, is_error=bool(result.is_error), cache=mark(result.cache_control))


def mark(control: CacheControl | None) -> CacheMark | None:
    if control is None:
        return None
    return CacheMark(_TTLS.get(control.ttl or ""))


def missing(place: str) -> BadRequest:
    return BadRequest(f"{place}: Field required", param=place)
