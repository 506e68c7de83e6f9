"""What a request says that its reader has no place for.

Readers take of an object what they know, and pass over the rest. So that nothing is passed over in silence, each format
lists in its `known.py` the fields that its reader understands, and those that tell a model nothing (ids and states that
a client repeats), as types that allow no other. A request that fits them is settled by one decoding that keeps slices;
only one that does not is walked through, to name what is beyond them. An object of a kind that no type is tagged with is
none of ours: readers carry it whole, and it is told as that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any

import msgspec
from msgspec import inspect

from omniroute.formats import patch
from omniroute.formats.ir import Loss, Raw

EMPTY = frozenset({b"null", b"[]", b"{}", b'""'})
"""Values that say nothing, whatever their field means."""
SAYS_NOTHING: Mapping[str, bytes] = {"caller": b'{"type":"direct"}'}
"""Values that mean the same as no field: of a call, that the model made it itself."""

_members = msgspec.json.Decoder(dict[str, Raw])
_items = msgspec.json.Decoder(list[Raw])


Empty = Annotated[list[Raw], msgspec.Meta(max_length=0)] | None
"""The type of a list that is always there, and is not read where it holds something."""


class Known(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An object all of whose fields are listed. Those that are not looked into are `Raw`."""


class Partly(msgspec.Struct, gc=False):
    """An object whose other fields are told elsewhere."""


def as_it_is(name: str) -> str:
    return name


class Inventory:
    """The types of what stands under the top-level fields of a request. `spelled` gives a field's name in the spelling
    of the types, where a format has several; `untagged` is what an item of a list may be whose tag is left out."""

    def __init__(
        self, spelled: Callable[[str], str] = as_it_is, untagged: type[msgspec.Struct] | None = None, **types: Any
    ) -> None:
        self._spelled = spelled
        self._untagged = None if untagged is None else msgspec.json.Decoder(untagged)
        self._types = {name: (msgspec.json.Decoder(one), inspect.type_info(one)) for name, one in types.items()}

    def unread(self, fields: Mapping[str, Raw]) -> tuple[Loss, ...]:
        """A loss for each name of a field that is not read, at the first place where it stands."""
        found: dict[str, list[str]] = {}
        for name, (decoder, type_info) in self._types.items():
            raw = fields.get(name)
            if raw is not None and not _fits(decoder, raw):
                for place in self._walk(raw, type_info, name):
                    found.setdefault(place.rpartition(".")[2], []).append(place)
        return tuple([_loss(name, places) for name, places in found.items()])

    def _walk(self, raw: Raw, expected: inspect.Type, place: str) -> Iterator[str]:
        """The places of the fields that are not listed."""
        opening = bytes(memoryview(raw)[:1])
        alternatives = _alternatives(expected)
        if opening == b"[":
            within = next((one.item_type for one in alternatives if isinstance(one, inspect.ListType)), None)
            if within is not None:
                yield from self._list(raw, within, place)
        elif opening == b"{":
            structs = [one for one in alternatives if isinstance(one, inspect.StructType)]
            if structs:
                yield from self._object(patch.read(_members, raw, place), structs, place)

    def _list(self, raw: Raw, within: inspect.Type, place: str) -> Iterator[str]:
        """Those of the items; most of them fit, whatever one does not."""
        structs = [one.cls for one in _alternatives(within) if isinstance(one, inspect.StructType)]
        decoder = _any_of(*structs)
        items: list[Raw] = patch.read(_items, raw, place)
        for at, item in enumerate(items):
            if not _fits(decoder, item) and not (self._untagged and _fits(self._untagged, item)):
                yield from self._walk(item, within, f"{place}[{at}]")

    def _object(self, members: dict[str, Raw], structs: list[inspect.StructType], place: str) -> Iterator[str]:
        struct = _kind(members, structs)
        if struct is None:
            return
        known = {field.encode_name: field.type for field in struct.fields}
        for given, raw in members.items():
            name = self._spelled(given)
            if name in known and not _always_empty(known[name]):
                yield from self._walk(raw, known[name], f"{place}.{name}")
            elif struct.forbid_unknown_fields and name != struct.tag_field and _says(name, raw):
                yield f"{place}.{name}"


def _always_empty(expected: inspect.Type) -> bool:
    return any(isinstance(one, inspect.ListType) and one.max_length == 0 for one in _alternatives(expected))


def _alternatives(expected: inspect.Type) -> tuple[inspect.Type, ...]:
    return expected.types if isinstance(expected, inspect.UnionType) else (expected,)


@lru_cache(256)
def _any_of(*structs: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    """Of an object of any of these types."""
    return msgspec.json.Decoder(reduce(or_, structs))


def _fits(decoder: msgspec.json.Decoder[Any], raw: Raw) -> bool:
    try:
        decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):  # a wrong type was the reader's to refuse
        return False
    return True


def _kind(members: Mapping[str, Raw], structs: list[inspect.StructType]) -> inspect.StructType | None:
    """The type that an object is tagged with; the first one where it has no tag."""
    tag = structs[0].tag_field
    told = None if tag is None else members.get(tag)
    if told is None:
        return structs[0]
    return next((one for one in structs if bytes(told) == b'"%b"' % str(one.tag).encode()), None)


def _says(name: str, raw: Raw) -> bool:
    value = bytes(raw)
    if value in EMPTY:
        return False
    nothing = SAYS_NOTHING.get(name)
    return nothing is None or b"".join(value.split()) != nothing


def _loss(name: str, places: list[str]) -> Loss:
    more = f", here and at {len(places) - 1} more places" if len(places) > 1 else ""
    return Loss(name, places[0], f"dropped: it has no place in another format{more}")
