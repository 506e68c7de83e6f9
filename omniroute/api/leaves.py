"""Parts of the files as data: what stands at a place, what tells two states of it apart, and how one becomes another."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec

from omniroute.config.bundle import Bundle
from omniroute.document import GONE, Delete, Edit, Place, Set, differences, value_at

Steps = tuple[str | int, ...]


def found(bundle: Bundle, place: Place) -> Any:
    """The data that stands at a place of the files; GONE where there is nothing. A place of one step that several files
    may fill is looked for in all of them by `names_at`."""
    return value_at(bundle.document(place).data, place)


def etag(bundle: Bundle, places: Sequence[Place]) -> str:
    """Of what stands at these places: equal if and only if that is."""
    data = [None if (one := found(bundle, place)) is GONE else [one] for place in places]
    return f'"{sha256(msgspec.json.encode(data, order="deterministic")).hexdigest()[:32]}"'


def etag_of_all(bundle: Bundle) -> str:
    """Of a collection: the digest of all files."""
    return f'"{bundle.digest[:32]}"'


def edits(place: Steps, new: Any, bundle: Bundle) -> list[Edit]:
    """What makes the data at a place what it is to be."""
    old = found(bundle, place)
    if new is GONE:
        return [] if old is GONE else [Delete(place)]
    return [Set(place, new)] if old is GONE else differences(old, new, place)


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
