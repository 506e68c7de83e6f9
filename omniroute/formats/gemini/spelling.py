"""Names of fields, which come in two spellings: JSON of protocol buffers is `systemInstruction` or `system_instruction`.

A view has a field for either; the second one's name ends with an underscore. What a client gives twice is refused, for
who authorises and who answers must not see different ones.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
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


class _Twins:
    """The second spellings of a view's fields, and what they hold where nothing was given."""

    __slots__ = ("get", "names", "nothing")

    def __init__(self, view: type[View]) -> None:
        self.names = tuple(name for name in view.__struct_fields__ if name.endswith("_"))
        self.get = attrgetter(*self.names, "__class__")
        self.nothing = self.get(view())


_twins = lru_cache(256)(_Twins)


def settle(view: V, place: str) -> V:
    """The view with what stood under second spellings under the first ones."""
    twins = _twins(view.__class__)
    if twins.get(view) == twins.nothing:
        return view
    unset = view.__class__()
    for second in twins.names:
        first = second[:-1]
        given = getattr(view, second)
        if given != getattr(unset, second):
            if getattr(view, first) != getattr(unset, first):
                raise twice(f"{place}.{spelled(first)}".removeprefix("."))
            setattr(view, first, given)
            setattr(view, second, getattr(unset, second))
    return view


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
