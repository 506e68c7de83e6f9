"""The files on disk as they are looked at and not taken: whether they, or a text in their place, would make a gateway, and
how they differ from what runs. Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

import msgspec

from omniroute.config.bundle import BY_NAME, Bundle, regular
from omniroute.document import ABSENT, MAX_BYTES, Document, Edit, differences, dotted, masked, unified
from omniroute.errors import ConfigError, Problem

NOTHING: Mapping[Path, Document] = MappingProxyType({})
PATHS = 50
"""Places of an object that are told to differ."""


class Read(Protocol):
    """The bundle that is on disk, with documents that are `known` and some `instead` of what is there. Raises
    ConfigError."""

    def __call__(self, *, known: Sequence[Document] = (), instead: Mapping[Path, Document] = NOTHING) -> Bundle: ...


class Object(msgspec.Struct, frozen=True):
    """An object or a section that is not the same: its path, and of a changed one the places in it that differ."""

    path: str
    change: Literal["added", "removed", "changed"]
    places: tuple[str, ...] = ()


class Pending(msgspec.Struct, frozen=True):
    """How the files on disk differ from what runs. `digest` is None where they do not make a configuration, and then
    `problems` say why; `diff` is of all files, secrets blacked out."""

    digest: str | None
    objects: tuple[Object, ...]
    diff: str
    problems: tuple[Problem, ...]


class Drafts:
    """`read` and `compile` are those that a reload goes through; all of it may block: call it from a thread."""

    def __init__(
        self, path: Path, running: Callable[[], Bundle], read: Read, compiled: Callable[[Bundle], object]
    ) -> None:
        self._path = path
        self._running = running
        self._read = read
        self._compiled = compiled

    def check(self, text: str | None = None) -> Sequence[Problem]:
        """All findings about the files, or about this text in the place of the main one: errors for which a reload would
        refuse them, or warnings."""
        try:
            instead = NOTHING if text is None else {self._path: Document.parse(text.encode(), str(self._path))}
            read = self._read(known=self._running().documents, instead=instead)
            self._compiled(read)
        except ConfigError as error:
            return error.problems
        return read.warnings

    def pending(self) -> Pending:
        """What a reload would change."""
        running = self._running()
        problems: tuple[Problem, ...] = ()
        digest = None
        then = dict(zip(running.files, running.documents, strict=True))
        try:
            read = self._read(known=running.documents)
            digest = read.digest
            now: dict[Path, Document | None] = dict(zip(read.files, read.documents, strict=True))
        except ConfigError as error:
            problems = error.problems
            now = {file: _parsed(file, document.name) for file, document in then.items()}
        return Pending(digest, tuple(_objects(then, now)), "".join(_diffs(then, now)), problems)


def _parsed(file: Path, name: str) -> Document | None:
    """A file that may not be sound, as far as it is YAML."""
    try:
        content = regular(file, MAX_BYTES + 1)
        return None if content is None else Document.parse(content, name)
    except (OSError, ConfigError):
        return None  # why it is none is among the problems


Documents = Mapping[Path, Document | None]


def _objects(then: Documents, now: Documents) -> list[Object]:
    old, new = _parts(then), _parts(now)
    found = []
    for place in dict.fromkeys((*old, *new)):
        path = dotted(place)
        if place not in new:
            found.append(Object(path, "removed"))
        elif place not in old:
            found.append(Object(path, "added"))
        elif edits := differences({"": old[place]}, {"": new[place]}):
            places = tuple(dict.fromkeys(_place(place, edit) for edit in edits[:PATHS]))
            found.append(Object(path, "changed", places))
    return found


def _place(place: tuple[str, ...], edit: Edit) -> str:
    return dotted((*place, *edit.path[1:]))


def _parts(documents: Documents) -> dict[tuple[str, ...], Any]:
    """What stands in them: named objects by section and name, other sections as wholes."""
    parts: dict[tuple[str, ...], Any] = {}
    for document in documents.values():
        for section, value in (document.data if document is not None else {}).items():
            if section in BY_NAME and isinstance(value, dict):
                parts |= {(section, name): each for name, each in value.items()}
            else:
                parts[section,] = value
    return parts


def _diffs(then: Documents, now: Documents) -> list[str]:
    return [
        unified(then.get(file) or ABSENT, now.get(file) or ABSENT, masked(_name(then.get(file), now.get(file))))
        for file in dict.fromkeys((*then, *now))
        if now.get(file) is not None or file not in now  # what is there and no YAML is told by the problems
    ]


def _name(*versions: Document | None) -> str:
    return next(each.name for each in versions if each is not None)
