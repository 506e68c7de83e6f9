"""Images as requests hold them: what kind some data is, which are only given by an address, and data in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from omniroute.formats.ir import Block, Chat, Image, ToolResult

_MAGIC = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lG": "image/gif", "UklG": "image/webp"}
"""How the base64 of an image begins."""
KINDS = frozenset(_MAGIC.values())
"""The media types that every model which sees anything takes."""


class Picture(msgspec.Struct, frozen=True):
    """An image itself: its media type, and its bytes in base64."""

    media_type: str
    data: str


def guess(data: str) -> str:
    """The media type of data in base64, for senders that do not say."""
    return next((kind for start, kind in _MAGIC.items() if data.startswith(start)), "image/png")


def kind(data: bytes) -> str | None:
    """The media type of data, by the signature that it begins with; None where it is no image that is known here."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def any_address(address: str, model: str) -> bool:  # noqa: ARG001 - other formats look at both
    """The `reads_address` of a format whose upstreams fetch images themselves."""
    return True


def no_address(address: str, model: str) -> bool:  # noqa: ARG001 - other formats look at both
    """The `reads_address` of a format that takes the images themselves alone."""
    return False


def addressed(chat: Chat) -> dict[str, str]:
    """The addresses of images, each with the first place where it stands."""
    found: dict[str, str] = {}
    for at, turn in enumerate(chat.turns):
        _look(turn.blocks, f"turns[{at}]", found)
    return found


def _look(blocks: Iterable[Block], place: str, found: dict[str, str]) -> None:
    for at, block in enumerate(blocks):
        spot = f"{place}.blocks[{at}]"
        if isinstance(block, Image) and block.url is not None and block.data is None:
            found.setdefault(block.url, spot)
        elif isinstance(block, ToolResult):
            _look(block.blocks, spot, found)


def embedded(chat: Chat, pictures: Mapping[str, Picture]) -> Chat:
    """The chat with these pictures in place of their addresses."""
    if not pictures:
        return chat
    turns = tuple(
        turn if (blocks := _embedded(turn.blocks, pictures)) is turn.blocks else _replaced(turn, blocks=blocks)
        for turn in chat.turns
    )
    return _replaced(chat, turns=turns)


_replaced = msgspec.structs.replace
_Some = TypeVar("_Some", bound=Block)


def _embedded(blocks: tuple[_Some, ...], pictures: Mapping[str, Picture]) -> tuple[_Some, ...]:
    changed = tuple(_one(block, pictures) for block in blocks)
    return changed if any(new is not old for new, old in zip(changed, blocks, strict=True)) else blocks


def _one(block: _Some, pictures: Mapping[str, Picture]) -> _Some:
    if isinstance(block, Image):
        picture = pictures.get(block.url or "")
        if picture is not None and block.data is None:
            return _replaced(block, url=None, media_type=picture.media_type, data=picture.data)
    elif isinstance(block, ToolResult):
        inner = _embedded(block.blocks, pictures)
        return block if inner is block.blocks else _replaced(block, blocks=inner)
    return block
