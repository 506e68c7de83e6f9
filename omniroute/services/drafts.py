"""The files on disk as they are looked at and not taken: whether they, or a text in their place, would make a gateway, and
how they differ from what runs. Nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import msgspec

from omniroute.config.bundle import Bundle, regular
from omniroute.config.plan.changes import Change, Kind, changes
from omniroute.document import ABSENT, MAX_BYTES, Document, masked, unified
from omniroute.errors import ConfigError, Problem

NOTHING: Mapping[Path, Document] = MappingProxyType({})
PATHS = 50
"""Places of an object that are told to differ."""


class Read(Protocol):
    """The bundle that is on disk, with documents that are `known` and some `instead` of what is there. Raises
    ConfigError."""

    def __call__(self, *, known: Sequence[Document] = (), instead: Mapping[Path, Document] = NOTHING) -> Bundle: ...


class Object(msgspec.Struct, frozen=True):
    """An object or a section that is not the same: its path, of a changed one the places in it that differ, and of a
    renamed one what it `was`."""

    path: str
    change: Kind
    places: tuple[str, ...] = ()
    was: str = ""


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

    def on_disk(self) -> tuple[str | None, tuple[Problem, ...], tuple[Path, ...]]:
        """The digest of the configuration on disk, None where it is none, what is wrong with it, and its files."""
        running = self._running()
        try:
            read = self._read(known=running.documents)
        except ConfigError as error:
            return None, tuple(error.problems), running.files
        return read.digest, (), read.files

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
    old, new = ([document for document in documents.values() if document is not None] for documents in (then, now))
    return [
        Object(change.path, change.change, _places(change) if change.change == "changed" else (), change.was)
        for change in changes(old, new)
    ]


def _places(change: Change) -> tuple[str, ...]:
    found = (f"{change.path}{_joint(field.path)}{field.path}" for field in change.fields[:PATHS])
    return tuple(dict.fromkeys(found))


def _joint(path: str) -> str:
    return "." if path and not path.startswith("[") else ""


def _diffs(then: Documents, now: Documents) -> list[str]:
    return [
        unified(then.get(file) or ABSENT, now.get(file) or ABSENT, masked(_name(then.get(file), now.get(file))))
        for file in dict.fromkeys((*then, *now))
        if now.get(file) is not None or file not in now  # what is there and no YAML is told by the problems
    ]


def _name(*versions: Document | None) -> str:
    return next(each.name for each in versions if each is not None)
