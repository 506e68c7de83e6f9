"""From one version of the language to the next: edits of the files that keep everything else in them.

There is one version so far, and so nothing in the table. A change of the language that older files do not fit adds a row:
from which version, and a function that tells the edits of one document.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from omniroute.document import Document, Edit, Set, apply, quoted
from omniroute.errors import ConfigError, Problem

Migration = Callable[[Document], Sequence[Edit]]
MIGRATIONS: Mapping[int, Migration] = MappingProxyType({})
"""By the version that is left: each leads to the next one. It is asked for the main file and each included one."""
CURRENT = 1


def version_of(main: Document, *, current: int = CURRENT) -> int:
    """The version that a main file was written for. Raises ConfigError where it says none, or one that is not known."""
    version = main.data.get("version")
    if version is None:
        hint = f"if it was written for this program, begin it with `version: {current}`"
        raise ConfigError(
            [main.problem("OR102", (), "the file does not say which version of the language it is in", hint)]
        )
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ConfigError([_refused(main, f"there is no version {quoted(version)}", f"the current one is {current}")])
    if version > current:
        message = f"version {version} is newer than this program, which knows {current}"
        raise ConfigError([_refused(main, message, "update omniroute where this is to run")])
    return version


def migrated(
    documents: Sequence[Document], *, migrations: Mapping[int, Migration] = MIGRATIONS, current: int = CURRENT
) -> list[Document]:
    """The documents, the main one first, in the current version; the same ones where they are. Raises ConfigError for a
    version that is not known, and EditRefused where a change cannot be made in a file."""
    version = version_of(documents[0], current=current)
    made = list(documents)
    for each in range(version, current):
        made = [_step(document, migrations[each], each + 1) for document in made]
    return made


def _step(document: Document, migration: Migration, version: int) -> Document:
    edits = [*migration(document), *([Set(("version",), version)] if "version" in document.data else [])]
    return apply(document, edits).document


def _refused(main: Document, message: str, hint: str) -> Problem:
    return main.problem("OR104", ("version",), message, hint)
