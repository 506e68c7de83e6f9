"""The tokens of a whole request: its texts, what is not text, and what is written between them."""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from collections.abc import Iterable
from math import ceil

import msgspec

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
    Tool,
    ToolCall,
    ToolResult,
)
from omniroute.formats.tokens import picture, text
from omniroute.formats.tokens.family import Family, family

_page = re.compile(rb"/Type\s*/Page(?![A-Za-z])")

READ_PAGES = 4 * 1024 * 1024
"""Characters of base64 in which the pages of PDFs are looked for; what is beyond is judged by its size."""
PAGE_BYTES = 8 * 1024
"""Of a PDF that hides its pages; a dense page of text takes about so much, a scanned one more."""
PAGES = 1000
"""What the largest of the providers takes (Google)."""
UNSEEN_PAGES = 10
"""Of a document that is elsewhere and that nobody can look at here."""
SOUND_BYTES = {"wav": 16_000, "pcm16": 16_000}
"""A second of speech in the poorest quality that is common, so that no file is longer than it is taken to be."""
PACKED_SOUND_BYTES = 2_000


class _Sum(msgspec.Struct):
    """What is found on the way: texts to be counted together, and tokens that need no counting. `readable` characters
    of documents may still be looked into."""

    family: Family
    texts: list[str]
    tokens: int
    readable: int


def count(chat: Chat, model: str) -> int:
    """The tokens of a prompt for a model. Up to 0.1 s of work, so not for an event loop. The first count of a process
    takes 0.3 to 0.8 s more, in which nothing else runs: the library loads a vocabulary without letting go of the interpreter,
    unless `load` has had it do so before."""
    found = _found(chat, family(model), READ_PAGES)
    return found.tokens + text.tokens(found.texts, found.family.rate)


def rough(chat: Chat, model: str) -> int:
    """The same with texts and documents judged by their size, for who cannot wait."""
    found = _found(chat, family(model), 0)
    return found.tokens + text.rough(found.texts)


def _found(chat: Chat, charged: Family, readable: int) -> _Sum:
    found = _Sum(charged, [block.text for block in chat.system], charged.request, readable)
    found.tokens += charged.turn * (len(chat.turns) + bool(chat.system))
    if chat.tools:
        found.tokens += charged.tools
    for tool in chat.tools:
        _tool(found, tool)
    if chat.output is not None:
        _raw(found, chat.output.schema)
        found.texts += [chat.output.name or "", chat.output.description or ""]
    for turn in chat.turns:
        if turn.name is not None:
            found.texts.append(turn.name)
            found.tokens += 1
        _blocks(found, turn.blocks)
    return found


def _tool(found: _Sum, tool: Tool) -> None:
    """Its schema is counted as the JSON it came as; what OpenAI makes of it, TypeScript, is shorter."""
    found.tokens += found.family.tool if tool.opaque is None else max(found.family.tool, found.family.server_tool)
    found.texts += [tool.name, tool.description or ""]
    for raw in (tool.parameters, tool.grammar, tool.opaque):
        _raw(found, raw)


def _raw(found: _Sum, raw: Raw | None) -> None:
    if raw is not None:
        found.texts.append(bytes(raw).decode("utf-8", "replace"))


def _blocks(found: _Sum, blocks: Iterable[Block]) -> None:
    for block in blocks:
        match block:
            case Text() | Refusal():
                found.texts.append(block.text)
            case Thinking():
                found.texts.append(block.text)
                found.tokens += len(block.redacted or "") // 4  # sealed, it is longer than it was
            case ToolCall():
                found.texts += [block.id, block.name, block.arguments]
                found.tokens += found.family.tool
            case ToolResult():
                found.texts.append(block.id)
                found.tokens += found.family.tool
                _blocks(found, block.blocks)
            case Image():
                found.tokens += found.family.picture.tokens(picture.size(block.data), block.detail)
            case Audio():
                found.tokens += _seconds(block.data, block.format) * found.family.second
            case Document():
                _document(found, block)
            case Opaque():
                _raw(found, block.body)


def _document(found: _Sum, document: Document) -> None:
    found.texts += [document.text or "", document.name or "", document.context or ""]
    data, kind = document.data, document.media_type or ""
    if data is None:
        if document.text is None:
            found.tokens += UNSEEN_PAGES * found.family.page
    elif kind.startswith("text/") or kind == "application/json":
        found.texts.append(_decoded(data).decode("utf-8", "replace"))
    elif kind.startswith("audio/"):
        found.tokens += _seconds(data, kind.removeprefix("audio/")) * found.family.second
    elif kind.startswith("image/"):
        found.tokens += found.family.picture.tokens(picture.size(data), None)
    else:
        found.tokens += _pages(found, data) * found.family.page


def _pages(found: _Sum, data: str) -> int:
    """At least one. A PDF often says in plain text where a page begins, and else is judged by its size."""
    found.readable -= len(data)
    seen = len(_page.findall(_decoded(data))) if found.readable >= 0 else 0
    return min(max(seen or ceil(len(data) * 3 / 4 / PAGE_BYTES), 1), PAGES)


def _decoded(data: str) -> bytes:
    try:
        return a2b_base64(data)
    except (Error, ValueError):
        return b""


def _seconds(data: str, form: str) -> int:
    return ceil(len(data) * 3 / 4 / SOUND_BYTES.get(form, PACKED_SOUND_BYTES))
