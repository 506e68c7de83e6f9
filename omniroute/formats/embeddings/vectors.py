"""A vector in either of its two forms: a list of numbers in JSON, or base64 over 32-bit floats.

A list that goes on as it came is not looked into.
"""

from __future__ import annotations

import binascii
import math
import sys
from array import array

import msgspec

from omniroute.formats.embeddings.values import Encoding, Vector
from omniroute.formats.ir import Raw

_numbers = msgspec.json.Decoder(list[float]).decode
_encode = msgspec.json.Encoder().encode


def length(vector: Vector) -> int:
    """How many numbers it has."""
    if isinstance(vector, str):
        return len(_bytes(vector)) // 4
    text = bytes(vector)
    return text.count(b",") + 1 if text.strip(b"[] \t\r\n") else 0


def formed(vector: Vector, encoding: Encoding) -> Vector:
    """The vector as it is wanted. Raises ValueError where it holds anything but finite numbers."""
    numbers = _unpacked(vector) if isinstance(vector, str) else _read(vector)
    if isinstance(vector, str) is (encoding == "base64"):
        return vector
    return Raw(_encode(numbers)) if encoding == "float" else _packed(numbers)


def _read(raw: Raw) -> list[float]:
    try:
        numbers = _numbers(raw)
    except msgspec.DecodeError as error:
        raise ValueError(f"a vector is no list of numbers: {error}") from None
    return numbers


def _packed(numbers: list[float]) -> str:
    packed = array("f", numbers)
    if not math.isfinite(sum(packed)):
        raise ValueError("a vector holds a number that is too large")
    return binascii.b2a_base64(_little(packed).tobytes(), newline=False).decode()


def _unpacked(text: str) -> list[float]:
    packed = array("f")
    packed.frombytes(_bytes(text))
    numbers = _little(packed).tolist()
    if not math.isfinite(sum(numbers)):
        raise ValueError("a vector holds something that is no number")
    return numbers


def _bytes(text: str) -> bytes:
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise ValueError("a vector is not base64") from None
    if len(data) % 4:
        raise ValueError("a vector is not made of 32-bit floats")
    return data


def _little(packed: array[float]) -> array[float]:
    if sys.byteorder == "big":
        packed.byteswap()
    return packed
