"""Names of fields, which come in two spellings: JSON of protocol buffers is `systemInstruction` or `system_instruction`.

A view has a field for either; the second one's name ends with an underscore. What a client gives twice is refused, for
who authorises and who answers must not see different ones.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.ir import Raw

T = TypeVar("T")
V = TypeVar("V", bound="View")


@lru_cache(4096)
def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest) if first else name


def spelled(name: str) -> str:
    return name[:-1] if name.endswith("_") else camel(name)


class View(msgspec.Struct, rename=spelled, gc=False):
    """What a client may spell both ways. All fields are optional, null like absent."""


@lru_cache(256)
def _twins(view: type[View]) -> tuple[tuple[str, str], ...]:
    return tuple((name, name[:-1]) for name in view.__struct_fields__ if name.endswith("_"))


def settle(view: V, place: str) -> V:
    """The view with what stood under second spellings under the first ones."""
    for second, first in _twins(type(view)):
        given = getattr(view, second)
        if _is_given(given):
            if _is_given(getattr(view, first)):
                raise twice(f"{place}.{spelled(first)}".removeprefix("."))
            setattr(view, first, given)
    return view


def _is_given(value: object) -> bool:
    return value is not None and not (isinstance(value, Raw) and not bytes(value))


def read(decoder: msgspec.json.Decoder[V], raw: Raw, place: str) -> V:
    return settle(patch.read(decoder, raw, place), place)


def canonical(fields: dict[str, Raw], place: str = "") -> dict[str, Raw]:
    """An object's fields under their first spelling, without those that are null."""
    out: dict[str, Raw] = {}
    for name, raw in fields.items():
        known = camel(name) if "_" in name else name
        if bytes(raw) == b"null":
            continue
        if known in out:
            raise twice(f"{place}.{known}".removeprefix("."))
        out[known] = raw
    return out


def twice(place: str) -> BadRequest:
    return BadRequest(f"`{place}` is given twice, in two spellings.", param=place)
