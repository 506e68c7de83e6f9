"""Parts of the files as data: what stands at a place, what tells two states of it apart, and the edits that make one of
the other, each as small as it can be, so that a diff shows what changed and comments live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from omniroute.config.bundle import Bundle
from omniroute.document import Delete, Edit, Insert, Place, Set

GONE: Any = object()
"""Stands for what is not in the files, or is not to be any more."""
Steps = tuple[str | int, ...]


def found(bundle: Bundle, place: Place) -> Any:
    """The data that stands at a place of the files; GONE where there is nothing. A place of one step that several files
    may fill is looked for in all of them by `names_at`."""
    data: Any = bundle.document(place).data
    for step in place:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return GONE
    return data


def etag(bundle: Bundle, places: Sequence[Place]) -> str:
    """Of what stands at these places: equal if and only if that is."""
    data = [None if (one := found(bundle, place)) is GONE else [one] for place in places]
    return f'"{sha256(msgspec.json.encode(data, order="deterministic")).hexdigest()[:32]}"'


def etag_of_all(bundle: Bundle) -> str:
    """Of a collection: the digest of all files."""
    return f'"{bundle.digest[:32]}"'


def differences(place: tuple[str | int, ...], old: Any, new: Any) -> Iterator[Edit]:
    """The edits that make `new` of `old`, each as small as it can be."""
    if new is GONE:
        if old is not GONE:
            yield Delete(place)
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in old:
            yield from differences((*place, name), old[name], new.get(name, GONE))
        for name in new:
            if name not in old:
                yield Set((*place, name), new[name])
    elif isinstance(old, list) and isinstance(new, list) and new:
        yield from _items(place, old, new)
    elif not _same(old, new):
        yield Set(place, new)


def _items(place: tuple[str | int, ...], old: list[Any], new: list[Any]) -> Iterator[Edit]:
    """Of a list: what its beginnings and ends have in common stays, of the rest each item becomes the other's."""
    shorter = min(len(old), len(new))
    first = next((at for at in range(shorter) if not _same(old[at], new[at])), shorter)
    behind = next((at for at in range(shorter - first) if not _same(old[-1 - at], new[-1 - at])), shorter - first)
    rest = shorter - first - behind
    for at in range(first, first + rest):
        yield from differences((*place, at), old[at], new[at])
    for at in reversed(range(first + rest, len(old) - behind)):
        yield Delete((*place, at))
    for at in range(first + rest, len(new) - behind):
        yield Insert((*place, at), new[at])


def _same(old: Any, new: Any) -> bool:
    """To the types of numbers: 1 is not 1.0."""
    return old is not GONE and msgspec.json.encode(old) == msgspec.json.encode(new)


def merged(old: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
