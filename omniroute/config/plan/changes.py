"""What differs between two states of the files, by object: who was added, removed, changed, or has another name now.

An object is what has a name in the language (a provider, a connection, a combo, a key, …), or else a section. It is the
same object wherever it stands: moving it to another file is no change. Values are told as they are written, where
secrets are references; what has the shape of a secret all the same is not told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from omniroute.config.bundle import BY_NAME
from omniroute.config.origin import veiled
from omniroute.document import GONE, Delete, Document, Edit, Insert, Place, Set, differences, dotted, value_at

NAMED = frozenset((*BY_NAME, "limits", "budgets"))
"""Sections whose entries are objects with names."""
WITHIN = ("connections", "models")
"""What in a provider is an object of its own."""
LEAST = 12
"""Bytes of an object that is known again under another name: less may be the same by chance."""

Kind = Literal["added", "removed", "changed", "renamed"]
Object = tuple[Any, Document]
"""What an object holds, and the document that it stands in."""
Objects = dict[tuple[str, ...], Object]


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """A value in an object that is not the same: where in the object, empty where it is one value itself; what it was
    and what it is, absent where there is none."""

    path: str
    change: Literal["added", "removed", "changed"]
    old: Any = None
    new: Any = None


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """An object that is not the same. `file` and `line` are where it stands, of a removed one where it stood; `was` is
    the path of a renamed one before. Of an added or removed one `fields` are all that it has."""

    path: str
    change: Kind
    section: str
    file: str
    line: int
    fields: tuple[Field, ...] = ()
    was: str = ""


def objects(documents: Iterable[Document]) -> Objects:
    """All objects of some files, by place."""
    found: Objects = {}
    for document in documents:
        for section, value in document.data.items():
            if section in NAMED and isinstance(value, dict):
                found.update(((section, name), (each, document)) for name, each in value.items())
            else:
                found[section,] = value, document
    return found


def changes(then: Iterable[Document], now: Iterable[Document]) -> list[Change]:
    """What is not the same, in the order of the files; what is gone stands at the end of its section."""
    old, new = objects(then), objects(now)
    _apart(old, new)
    gone = {place: each for place, each in old.items() if place not in new}
    come = {place: each for place, each in new.items() if place not in old}
    renamed = _renamed(gone, come)
    found = []
    for place, (value, document) in new.items():
        if place in renamed:
            before = renamed[place]
            fields = _fields(gone[before][0], value, place[0])
            found.append(_change(place, "renamed", document, fields, was=_path(before)))
        elif place in come:
            found.append(_change(place, "added", document, _all(value, place[0], "added")))
        elif fields := _fields(old[place][0], value, place[0]):
            found.append(_change(place, "changed", document, fields))
    known = frozenset(renamed.values())
    for place, (value, document) in gone.items():
        if place not in known:
            found.append(_change(place, "removed", document, _all(value, place[0], "removed")))
    order = {section: number for number, section in enumerate(dict.fromkeys(place[0] for place in (*new, *old)))}
    return sorted(found, key=lambda change: order[change.section])


def _change(place: tuple[str, ...], kind: Kind, document: Document, fields: Sequence[Field], was: str = "") -> Change:
    line, _ = document.locate(place, key=True)
    return Change(_path(place), kind, place[0], document.name, line, tuple(fields), was)


def _path(place: Place) -> str:
    return dotted(place)


# ------------------------------------------------------------------------------------------------- objects in objects


def _apart(old: Objects, new: Objects) -> None:
    """Connections and models of providers that were there before and are still: objects of their own. Those of others
    come and go with their provider."""
    for place in [place for place in old if place[0] == "providers" and place in new]:
        for side in (old, new):
            value, document = side[place]
            if isinstance(value, dict):
                side[place] = {name: each for name, each in value.items() if name not in WITHIN}, document
                side.update(
                    ((*place, kind, name), (each, document))
                    for kind in WITHIN
                    if isinstance(value.get(kind), dict)
                    for name, each in value[kind].items()
                )


def _renamed(gone: Objects, come: Objects) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Which of those that have come are one that is gone, by its place then: a key is known by its digest, another object
    by holding the same as one that is gone and no other."""
    before, after = _by_body(gone), _by_body(come)
    return {
        places[0]: before[body][0]
        for body, places in after.items()
        if len(places) == 1 and len(before.get(body, ())) == 1
    }


def _by_body(objects: Objects) -> dict[tuple[tuple[str, ...], bytes], list[tuple[str, ...]]]:
    found: dict[tuple[tuple[str, ...], bytes], list[tuple[str, ...]]] = {}
    for place, (value, _) in objects.items():
        body = value["digest"] if place[0] == "keys" and isinstance(value, dict) and "digest" in value else value
        text = msgspec.json.encode(body, order="sorted")
        if len(place) > 1 and len(text) >= LEAST:
            found.setdefault((place[:-1], text), []).append(place)
    return found


# -------------------------------------------------------------------------------------------------------------- fields


def _all(value: Any, section: str, change: Literal["added", "removed"]) -> list[Field]:
    """All that an object has which came or went."""
    entries = value.items() if isinstance(value, dict) else [("", value)]
    side = "new" if change == "added" else "old"
    return [Field(name, change, **{side: _shown((name,), each, section)}) for name, each in entries]


def _fields(old: Any, new: Any, section: str) -> list[Field]:
    """What differs in an object."""
    if old is new or msgspec.json.encode(old) == msgspec.json.encode(new):
        return []
    found: dict[str, Field] = {}
    for edit in differences({"": old}, {"": new}):
        for field in _told(edit, {"": old}, {"": new}, section):
            found.setdefault(field.path, field)
    return list(found.values())


def _told(edit: Edit, old: Any, new: Any, section: str) -> Iterator[Field]:
    """An edit as the fields that it changes. A list of plain values is one field, since only all of them together tell
    what it says."""
    place = edit.path
    index = next((at for at, step in enumerate(place) if isinstance(step, int)), None)
    if index is not None and _plain(value_at(old, place[:index])) and _plain(value_at(new, place[:index])):
        place = place[:index]
        yield _field(place, value_at(old, place), value_at(new, place), section)
    elif isinstance(edit, Insert):
        yield Field(_below(place), "added", new=_shown(place, edit.value, section))
    elif isinstance(edit, Delete):
        yield Field(_below(place), "removed", old=_shown(place, value_at(old, place), section))
    elif isinstance(edit, Set):
        before = value_at(old, place)
        if isinstance(before, dict) and isinstance(edit.value, dict) and not edit.value:  # a map that is emptied
            for name, each in before.items():
                yield Field(_below((*place, name)), "removed", old=_shown((*place, name), each, section))
        else:
            yield _field(place, before, edit.value, section)


def _field(place: Place, old: Any, new: Any, section: str) -> Field:
    if old is GONE:
        return Field(_below(place), "added", new=_shown(place, new, section))
    return Field(_below(place), "changed", old=_shown(place, old, section), new=_shown(place, new, section))


def _plain(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(each, dict | list) for each in value)


def _below(place: Place) -> str:
    """Where in its object something is: the first step is the object itself."""
    return dotted(place[1:])


def _shown(place: Place, value: Any, section: str) -> Any:
    """The value as it may be told. What aliases and tags are called says nothing about what they hold."""
    name = (
        "" if section == "aliases" or "tags" in place else next((s for s in reversed(place) if isinstance(s, str)), "")
    )
    return veiled(name, value)


def counted(documents: Iterable[Document]) -> Mapping[str, int]:
    """How many objects with names there are, by section."""
    found: dict[str, int] = {}
    for place in objects(documents):
        if len(place) > 1:
            found[place[0]] = found.get(place[0], 0) + 1
    return found
