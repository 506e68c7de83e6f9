"""From two data trees to the edits that lead from one to the other.

A `PUT` brings an object as a whole; what is written are the leaves that differ, so that the diff in git shows what
changed and comments inside the object live.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

import msgspec

from omniroute.document.edit import Delete, Edit, Insert, Set
from omniroute.document.shown import Place


class _Gone:
    """Stands for a value that is not there; null is a value, which some file may have."""


GONE = _Gone()


def value_at(data: Any, place: Place) -> Any:
    """What stands at a place of some data; GONE where there is nothing."""
    for step in place:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return GONE
    return data


def differences(old: Any, new: Any, at: Place = ()) -> list[Edit]:
    """The edits that make `new` of `old`, which stands at a place. The order of keys does not count, that of items does:
    those that are the same stay as they stand. At the outermost place both have to be maps."""
    return list(_differences(old, new, tuple(at)))


def _differences(old: Any, new: Any, at: Place) -> Iterator[Edit]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _of_maps(old, new, at)
    elif isinstance(old, list) and isinstance(new, list | tuple) and old and new:
        yield from _of_lists(old, list(new), at)
    elif _key(old) != _key(new):
        yield Set(at, new)


def _of_maps(old: dict[str, Any], new: dict[str, Any], at: Place) -> Iterator[Edit]:
    if at and old and not new:
        yield Set(at, {})
        return
    for name, value in old.items():
        if name in new:
            yield from _differences(value, new[name], (*at, name))
    yield from (Set((*at, name), value) for name, value in new.items() if name not in old)
    yield from (Delete((*at, name)) for name in old if name not in new)


def _of_lists(old: list[Any], new: list[Any], at: Place) -> Iterator[Edit]:
    """From the end on, so that the indices before it stay what they are."""
    matcher = SequenceMatcher(None, [_key(each) for each in old], [_key(each) for each in new])
    for kind, start, end, first, last in reversed(matcher.get_opcodes()):
        if kind == "equal":
            continue
        both = min(end - start, last - first)
        for index in range(end - 1, start + both - 1, -1):
            yield Delete((*at, index))
        for index in range(first + both, last):
            yield Insert((*at, start + index - first), new[index])
        for index in range(both):
            yield from _differences(old[start + index], new[first + index], (*at, start + index))


def _key(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")
