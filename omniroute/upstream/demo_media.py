"""What the demo provider makes besides words: vectors of texts, and pictures.

Both are real, if modest: texts that share words have vectors that point the same way, and a picture is a PNG of the size
and number that were asked for, coloured by its prompt.
"""

from __future__ import annotations

import binascii
import math
import struct
import zlib
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats.embeddings import Embed
from omniroute.formats.images import Draw, Drawn
from omniroute.formats.images.values import Picture
from omniroute.formats.ir import Raw
from omniroute.formats.patch import sides

DIMENSIONS = 256
MOST_NUMBERS = 2**19
"""Of all vectors of an answer together: more would hold everybody else up."""
USUAL = (256, 256)
LARGEST = 1024
"""Pixels of a side."""
_shares = struct.Struct("<8I")
_encode = msgspec.json.Encoder().encode


def embedded(asked: Embed, inputs: Sequence[list[str]]) -> tuple[Raw, ...]:
    """A vector for the words of each input."""
    size = asked.dimensions or DIMENSIONS
    if size * len(inputs) > MOST_NUMBERS:
        raise BadRequest(f"The demo makes up to {MOST_NUMBERS} numbers at once.", param="dimensions")
    return tuple(Raw(_encode(vector(words, size))) for words in inputs)


def vector(words: list[str], size: int) -> list[float]:
    """Each word adds a little in eight directions that its digest names; the whole has the length 1."""
    total = [0.0] * size
    for word in words or [""]:
        for share in _shares.unpack(blake2b(word.strip().lower().encode(), digest_size=32).digest()):
            total[(share >> 1) % size] += 1.0 if share & 1 else -1.0
    length = math.sqrt(sum(one * one for one in total))
    if not length:  # what cancels out points somewhere all the same
        total[0] = length = 1.0
    return [one / length for one in total]


def drawn(asked: Draw) -> Drawn:
    """As many pictures as were asked for, each a little different."""
    width, height = (sides(asked.size) if asked.size not in (None, "auto") else USUAL) or (0, 0)
    if not 0 < width <= LARGEST or not 0 < height <= LARGEST:
        raise BadRequest(f"The demo draws up to {LARGEST}x{LARGEST} pixels, told as WIDTHxHEIGHT.", param="size")
    seed = f"{asked.seed or 0}/{asked.prompt}"
    pictures = (png(f"{number}/{seed}", width, height) for number in range(asked.n))
    told = tuple(Picture(data=binascii.b2a_base64(one, newline=False).decode()) for one in pictures)
    return Drawn(told, size=f"{width}x{height}")


def png(seed: str, width: int, height: int) -> bytes:
    """A picture that fades from one colour to another, both of the seed."""
    digest = blake2b(seed.encode(), digest_size=6).digest()
    top, bottom = digest[:3], digest[3:]
    rows = bytearray()
    for y in range(height):
        colour = bytes((a * (height - y) + b * y) // height for a, b in zip(top, bottom, strict=True))
        rows += b"\0" + colour * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
