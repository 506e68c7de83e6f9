"""Tokens counted by us, where a provider cannot be asked or has not said: always marked as estimated."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats.codec import Bridge
from omniroute.formats.ir import Block, Chat, Document, Image, Refusal, Text, Thinking, ToolCall, ToolResult, Usage
from omniroute.relay.call import Call

BYTES_PER_TOKEN = 3.5
"""Of prose and code in UTF-8; a little below what tokenizers need, for a window that is full is worse than one that
has room left."""
TOKENS_PER_IMAGE = 1600
"""Of an image at the largest size that the large providers take without scaling."""
TOKENS_PER_TURN = 4
TOKENS_PER_TOOL = 12


def usage(call: Call, produced: float) -> Usage:
    """A guess at what a request took whose provider reported nothing: the prompt as far as it can be read, the answer
    by its pieces, about a token each."""
    head = call.head
    assert head is not None
    try:
        tokens = prompt(call.chat or call.codec.decode_request(head))
    except BadRequest:  # its provider understood it, which is all that was asked of it
        tokens = round(sum(len(bytes(raw)) for raw in head.fields.values()) / BYTES_PER_TOKEN)
    return Usage(input=tokens, output=round(produced), estimated=True)


def settled(call: Call, way: Bridge) -> Usage:
    """What the upstream reported if it came to its end; a cut stream is charged for what was produced."""
    seen = way.usage
    if seen is None:
        return usage(call, way.produced)
    if way.finish is not None or seen.output >= way.produced:
        return seen
    return msgspec.structs.replace(seen, output=way.produced, estimated=True)


def prompt(chat: Chat) -> int:
    """A guess on the safe side: system, turns, tools and images counted."""
    size = sum(len(block.text.encode()) for block in chat.system)
    size += sum(_bytes(turn.blocks) for turn in chat.turns)
    for tool in chat.tools:
        size += len(tool.name) + len((tool.description or "").encode())
        size += sum(len(bytes(raw)) for raw in (tool.parameters, tool.opaque) if raw is not None)
    images = sum(_images(turn.blocks) for turn in chat.turns)
    overhead = TOKENS_PER_TURN * len(chat.turns) + TOKENS_PER_TOOL * len(chat.tools)
    return round(size / BYTES_PER_TOKEN + 0.5) + images * TOKENS_PER_IMAGE + overhead


def _bytes(blocks: Iterable[Block]) -> int:
    size = 0
    for block in blocks:
        match block:
            case Text() | Refusal() | Thinking():
                size += len(block.text.encode())
            case ToolCall():
                size += len(block.name) + len(block.arguments.encode())
            case ToolResult():
                size += _bytes(block.blocks)
            case Document():
                # base64 takes four bytes for three, and a page of text is far smaller than its file
                size += len((block.text or "").encode()) + len(block.data or "") // 8
            case _:
                pass
    return size


def _images(blocks: Iterable[Block]) -> int:
    return sum(
        1 if isinstance(block, Image) else _images(block.blocks) if isinstance(block, ToolResult) else 0
        for block in blocks
    )
