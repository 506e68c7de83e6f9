"""All files of a configuration, read together: one typed whole, and for everything in it the file it stands in.

A main file may include others; each object lives in exactly one file, so that there is never a question which one wins.
Everything that is wrong in any of the files is told in one run: syntax and types of each, then what they mean together.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from omniroute.catalog import Catalog
from omniroute.config import lint
from omniroute.config.schema import problems
from omniroute.config.spec import Fragment, Spec
from omniroute.document import MAX_BYTES, Document, Place, collector_paused, quoted, whole
from omniroute.errors import ConfigError, Problem, Severity

MAX_FILES = 200
BY_NAME = ("providers", "aliases", "combos", "keys", "policies", "pricing", "scenarios", "evals")
"""Sections that several files may fill, each with objects of its own."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The files as one. `digest` is over the bytes of all of them; `watched` are the directories in which a change can
    change the configuration, also one where an include has found nothing yet."""

    path: Path
    documents: tuple[Document, ...]
    files: tuple[Path, ...]
    watched: tuple[Path, ...]
    digest: str
    spec: Spec
    owners: Mapping[tuple[str, ...], Document]
    warnings: tuple[Problem, ...] = ()

    @property
    def revision(self) -> str:
        """Which configuration this is, short enough to read out."""
        return self.digest[:12]

    def home(self, place: Place) -> Document:
        """The document in which something stands, or where something new belongs: with its siblings, in the main one if
        it has some, and else there."""
        document = self.document(place)
        section = str(place[0])
        if document is not self.documents[0] or self.documents[0].data.get(section):
            return document
        return next((each for each in self.documents if each.data.get(section)), document)

    def document(self, place: Place) -> Document:
        """The document that something stands in; the main one for what stands nowhere."""
        steps = tuple(step for step in place[:2] if isinstance(step, str))
        return self.owners.get(steps) or self.owners.get(steps[:1]) or self.documents[0]

    def locate(self, place: Place | str) -> tuple[str, int, int]:
        """File, line and column of the value at a place, or of the nearest thing above it."""
        steps = place_of(place)
        document = self.document(steps).owner(steps)
        return document.name, *document.locate(steps)

    def problem(
        self,
        code: str,
        place: Place | str,
        message: str,
        hint: str = "",
        *,
        severity: Severity = "error",
        key: bool = False,
    ) -> Problem:
        """A finding about what stands at a place; with `key`, about its name."""
        steps = place_of(place)
        return self.document(steps).problem(code, steps, message, hint, severity=severity, key=key)


def place_of(place: Place | str) -> Place:
    """A place may be written with dots, where no name in it has one."""
    return tuple(place.split(".")) if isinstance(place, str) else place


@collector_paused()
def read(
    path: Path | str,
    catalog: Catalog,
    *,
    insecure: bool = False,
    more: Sequence[Path] = (),
    known: Sequence[Document] = (),
    instead: Mapping[Path, Document] = MappingProxyType({}),
) -> Bundle:
    """The configuration whose main file is `path`, with `more` files that it does not include. Raises ConfigError with
    all that is wrong with it; `insecure` turns being open to strangers into a warning. `known` and `instead` are as in
    `load`."""
    return judged(load(Path(path), more, known=known, instead=instead), catalog, insecure=insecure)


def judged(bundle: Bundle, catalog: Catalog, *, insecure: bool = False) -> Bundle:
    """A bundle with what its files mean together looked at. Raises ConfigError with all that is wrong with it."""
    findings = _ordered(lint.findings(bundle, catalog, insecure=insecure), [each.name for each in bundle.documents])
    if any(problem.severity == "error" for problem in findings):
        raise ConfigError(findings)
    return msgspec.structs.replace(bundle, warnings=tuple(findings))


@collector_paused()
def load(
    path: Path,
    more: Sequence[Path] = (),
    *,
    known: Sequence[Document] = (),
    instead: Mapping[Path, Document] = MappingProxyType({}),
) -> Bundle:
    """The files and their types, without a look at what refers to what. A document of those `known` is taken where a file
    still has its bytes, which spares parsing; one of `instead` stands for what is on disk."""
    parsed = {document.name: document for document in known}
    sources: dict[Path, bytes] = {}

    def taken(file: Path, name: str) -> Document:
        if file in instead:
            sources[file] = instead[file].content
            return instead[file]
        sources[file] = content(file, name)
        before = parsed.get(name)
        return before if before and before.content == sources[file] else Document.parse(sources[file], name)

    main = taken(path, str(path))
    found: list[Problem] = []
    includes = _Includes(path, main)
    for file in more:
        includes.take(file)
    documents = [main]
    for file, name in includes.files.items():
        try:
            documents.append(taken(file, name))
        except ConfigError as error:
            found += error.problems
    found += includes.problems
    for document in documents:
        found += misfits(document, Spec if document is main else Fragment)
    owners, clashes = _owners(documents)
    found += clashes
    if found:
        raise ConfigError(_ordered(found, [main.name, *includes.files.values()]))
    return Bundle(
        path=path,
        documents=tuple(documents),
        files=tuple(sources),
        watched=tuple(dict.fromkeys((*(file.parent for file in sources), *includes.directories))),
        digest=_digest(path, sources),
        spec=msgspec.convert(merged(documents), Spec),
        owners=owners,
    )


def places(path: Path) -> tuple[Path, ...]:
    """The files, and the directories in which another may appear, of a configuration that need not be sound: where to
    look for the edit that makes it so."""
    try:
        main = Document.parse(content(path, str(path)), str(path))
    except ConfigError:
        return (path,)
    includes = _Includes(path, main)
    return (path, *includes.files, *includes.directories)


def misfits(document: Document, root: type[Spec]) -> list[Problem]:
    """What does not fit the types. The quick check decides, the thorough one explains."""
    if not document.has_nulls:
        try:
            msgspec.convert(document.data, root)
        except msgspec.ValidationError:
            pass
        else:
            return []
    return problems(document, root) or [whole(document.name, "OR103", "the file does not fit the schema")]


# ------------------------------------------------------------------------------------------------------------ the files


class _Includes:
    """The files that the main one includes: `files` with the names to call them by, and the problems there are.

    They stay inside the parent of the main file's directory, wherever symbolic links lead: a configuration that
    someone proposes must not be able to read the rest of the disk.
    """

    def __init__(self, path: Path, main: Document) -> None:
        self.files: dict[Path, str] = {}
        self.directories: list[Path] = []
        self.problems: list[Problem] = []
        self._main = main
        self._folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 - resolve() would follow links
        self._shown = path.parent
        self._seen = {Path(os.path.realpath(path))}
        parent = self._folder.resolve().parent
        self._limit = parent if parent != parent.parent else self._folder.resolve()
        patterns = main.data.get("include")
        for index, pattern in enumerate(patterns if isinstance(patterns, list) else ()):
            if isinstance(pattern, str) and pattern:
                self._include(pattern, ("include", index))

    def take(self, file: Path) -> None:
        """One more file, wherever it is, for it was named by who runs this."""
        real = Path(os.path.realpath(file))
        if real not in self._seen:
            self._seen.add(real)
            self.files[file] = str(file)

    def _include(self, pattern: str, place: Place) -> None:
        if Path(pattern).is_absolute() or "**" in pattern or "\0" in pattern:
            self._refuse(place, "an include is a path relative to this file, without `**`")
            return
        folder = Path(os.path.normpath(self._folder / pattern)).parent
        if folder.is_dir():
            self.directories.append(folder)
        names = sorted(glob.glob(pattern, root_dir=self._folder))  # noqa: PTH207 - Path.glob refuses `..`
        if not names and not glob.has_magic(pattern):
            self._refuse(place, f"there is no file {quoted(pattern)}")
        for name in names:
            self._add(name, place)

    def _add(self, name: str, place: Place) -> None:
        file = Path(os.path.normpath(self._folder / name))
        real = Path(os.path.realpath(file))
        if real in self._seen:
            return
        if file.suffix not in {".yaml", ".yml"}:
            self._refuse(place, f"{quoted(name)} is no YAML file: its name must end with `.yaml` or `.yml`")
        elif not real.is_relative_to(self._limit):
            self._refuse(place, f"{quoted(name)} leads out of the directory above the configuration")
        elif len(self.files) >= MAX_FILES:
            self._refuse(place, f"more than {MAX_FILES} files")
        else:
            self._seen.add(real)
            self.files[file] = os.path.normpath(self._shown / name)

    def _refuse(self, place: Place, message: str) -> None:
        self.problems.append(self._main.problem("OR011", place, message))


def content(file: Path, name: str) -> bytes:
    """The bytes of a configuration file, at most one more than a document may have."""
    try:
        content = regular(file, MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        hint = "`omniroute init` writes a first one" if isinstance(error, FileNotFoundError) else ""
        raise ConfigError([whole(name, "OR001", f"the file cannot be read: {reason(error)}", hint)]) from None
    if content is None:
        raise ConfigError([whole(name, "OR001", "this is no regular file")])
    return content


def regular(file: Path | str, limit: int) -> bytes | None:
    """The first bytes of a regular file; None where it is none. Never waits for a pipe or a device."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return stream.read(limit)
    finally:
        os.close(descriptor)


def reason(error: Exception) -> str:
    """Why a file cannot be read, without its name."""
    return (error.strerror if isinstance(error, OSError) else None) or "the name cannot be used"


def _digest(path: Path, sources: Mapping[Path, bytes]) -> str:
    """Over names and bytes of all files, in the order of their names seen from the main one."""
    total = sha256()
    for name, file in sorted((os.path.relpath(file, path.parent), file) for file in sources):
        total.update(b"%s\0%d\0" % (os.fsencode(name), len(sources[file])))
        total.update(sources[file])
    return total.hexdigest()


# ------------------------------------------------------------------------------------------------------------- as one


def _owners(documents: list[Document]) -> tuple[dict[tuple[str, ...], Document], list[Problem]]:
    """In which document each section and each named object stands, and what stands in two."""
    owners: dict[tuple[str, ...], Document] = {}
    clashes: list[Problem] = []
    for document in documents:
        for section, value in document.data.items():
            if section == "include" and document is not documents[0]:
                message = "only the main file includes others, so that one look at it shows them all"
                clashes.append(document.problem("OR011", (section,), message, key=True))
            shared = section in BY_NAME and isinstance(value, dict)
            places = [(section, name) for name in value] if shared else [(section,)]
            for place in places:
                first = owners.setdefault(place, document)
                if first is not document and section not in {"version", "include"}:
                    line, _ = first.locate(place, key=True)
                    message = f"{quoted(place[-1])} stands in two files, first in {first.name}:{line}"
                    clashes.append(document.problem("OR012", place, message, key=True))
    return owners, clashes


def merged(documents: Sequence[Document]) -> dict[str, Any]:
    """The data of all files as one."""
    data: dict[str, Any] = {}
    for document in reversed(documents):
        for section, value in document.data.items():
            data[section] = {**value, **data.get(section, {})} if section in BY_NAME else value
    return data


def _ordered(found: list[Problem], names: list[str]) -> list[Problem]:
    """In the order of the files, and of the lines in each."""
    order = {name: index for index, name in enumerate(names)}
    return sorted(
        dict.fromkeys(found),
        key=lambda each: (order.get(each.file, len(order)), each.file, each.line, each.col, each.code),
    )
