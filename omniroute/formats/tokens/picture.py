"""The tokens of a picture: how large it is by its first bytes, and what each family charges for that size."""

from __future__ import annotations

from binascii import Error, a2b_base64
from math import ceil, floor
from struct import unpack_from
from typing import Protocol

import msgspec

LOOKED_AT = 256 * 1024
"""Characters of base64 in which the size must stand; a JPEG has its colour profile and its preview before it."""

Size = tuple[int, int]


class Rule(Protocol):
    """What a family charges; `size` is None where nobody knows it, and then the most is charged."""

    def tokens(self, size: Size | None, detail: str | None) -> int: ...


class Squares(msgspec.Struct, frozen=True):
    """So many squares of `side` pixels as cover it, `factor` tokens each, `most` of them at most, after it was scaled
    down to `edge` pixels."""

    side: float
    most: int
    edge: int = 1 << 30
    factor: float = 1.0
    original: int = 0
    """Squares at most where `detail` is `original`, if that is more."""

    def tokens(self, size: Size | None, detail: str | None) -> int:
        most = max(self.most, self.original) if detail == "original" else self.most
        if size is not None:
            scale = min(1.0, self.edge / max(size))
            most = min(most, ceil(size[0] * scale / self.side) * ceil(size[1] * scale / self.side))
        return ceil(most * self.factor)


class Tiles(msgspec.Struct, frozen=True):
    """`base`, and `tile` for each 512 pixels square, after it was scaled down to 2048 pixels square and then to 768
    pixels on its short side. With the `detail` `low`, `base` alone."""

    base: int
    tile: int

    def tokens(self, size: Size | None, detail: str | None) -> int:
        if detail == "low":
            return self.base
        wide, high = size or (2048, 768)
        scale = min(1.0, 2048 / max(wide, high))
        scale = min(scale, 768 / min(wide, high))
        return self.base + self.tile * ceil(wide * scale / 512) * ceil(high * scale / 512)


class Crops(msgspec.Struct, frozen=True):
    """`tile` for a small picture; for a larger one as many as there are squares of two thirds of its short side, of 256
    to 768 pixels, after it was scaled down to 3072."""

    tile: int

    def tokens(self, size: Size | None, detail: str | None) -> int:  # noqa: ARG002 - a Rule
        wide, high = size or (3072, 384)
        if max(wide, high) <= 384:
            return self.tile
        scale = min(1.0, 3072 / max(wide, high))
        unit = min(max(floor(min(wide, high) * scale / 1.5), 256), 768)
        return self.tile * ceil(wide * scale / unit) * ceil(high * scale / unit)


class Flat(msgspec.Struct, frozen=True):
    """The same for every picture."""

    each: int

    def tokens(self, size: Size | None, detail: str | None) -> int:  # noqa: ARG002 - a Rule
        return self.each


def size(data: str | None) -> Size | None:
    """Width and height of a PNG, JPEG, GIF or WebP in base64; None where the bytes do not tell them."""
    if not data:
        return None
    try:
        raw = a2b_base64(data[: LOOKED_AT - LOOKED_AT % 4] if len(data) > LOOKED_AT else data)
        found = _size(raw)
    except (Error, ValueError, IndexError, OverflowError):  # not base64, or it ends too early
        return None
    return found if found and min(found) > 0 else None


def _size(raw: bytes) -> Size | None:
    if raw[:8] == b"\x89PNG\r\n\x1a\n":
        return _pair(">II", raw, 16)
    if raw[:6] in (b"GIF87a", b"GIF89a"):
        return _pair("<HH", raw, 6)
    if raw[:2] == b"\xff\xd8":
        return _jpeg(raw)
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return _webp(raw)
    return None


def _pair(form: str, raw: bytes, at: int) -> Size | None:
    if len(raw) < at + (8 if form == ">II" else 4):
        return None
    first, second = unpack_from(form, raw, at)
    return first, second


def _jpeg(raw: bytes) -> Size | None:
    """From the frame's header, the first segment of those that start a frame."""
    at = 2
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        kind = raw[at + 1]
        if kind == 0xFF:  # filling
            at += 1
        elif 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            pair = _pair(">HH", raw, at + 5)
            return pair and (pair[1], pair[0])
        else:
            at += 2 + int.from_bytes(raw[at + 2 : at + 4])
    return None


def _webp(raw: bytes) -> Size | None:
    kind = raw[12:16]
    if len(raw) < 30:
        return None
    if kind == b"VP8X":
        return int.from_bytes(raw[24:27], "little") + 1, int.from_bytes(raw[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(raw[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        wide, high = unpack_from("<HH", raw, 26)
        return wide & 0x3FFF, high & 0x3FFF
    return None
