"""The files of a revision of a git repository on this machine.

By dulwich, as everything about git here: no process is started, and nothing of the repository is changed.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
from dulwich.errors import NotGitRepository
from dulwich.objects import ObjectID
from dulwich.objectspec import parse_commit
from dulwich.repo import Repo

from omniroute.errors import Conflict

MOST_FILES = 2_000
LARGEST_FILE = 8 << 20
SHORT = 12
_older = re.compile(r"(.*?)((?:~[0-9]*|\^)*)")
_step = re.compile(r"~([0-9]*)|\^")


class Tree(msgspec.Struct, frozen=True):
    """Files of a commit: `commit` is its id, `files` are by their names in the repository, and `main` is the name of the
    first one, also where it is not there."""

    commit: str
    main: str
    files: dict[str, bytes]

    @property
    def short(self) -> str:
        return self.commit[:SHORT]


def files(main: Path, revision: str, wanted: Callable[[str, bytes], Iterable[str]]) -> Tree:
    """The file `main` in a revision (`HEAD`, `main~2`, a tag, an id) of its repository, and those that are `wanted` when it
    is known what it holds: names with stars in their parts, as a shell has them. No files where it is not in the revision.
    Raises Conflict where there is no repository, no such revision, or too much in it."""
    with closing(_repository(main)) as repository:
        store: Any = repository.object_store  # whose types know no trees and blobs
        commit = _commit(repository, revision)
        name = _name(repository, main)
        found: dict[str, bytes] = {}

        def find(pattern: str) -> None:
            for place, ident in _matching(store, store[commit].tree, pattern.split("/")):
                content = store[ident].data
                if len(found) >= MOST_FILES or len(content) > LARGEST_FILE:
                    told = f"`{revision}` has more in it than a configuration can be."
                    raise Conflict(told, code="revision_too_large")
                found[place] = content

        find(name)
        for pattern in wanted(name, found[name]) if name in found else ():
            find(pattern)
        return Tree(commit.decode(), name, found)


def _matching(store: Any, tree: bytes, pattern: list[str]) -> Iterator[tuple[str, bytes]]:
    """The regular files below a tree whose names are of a pattern, by its parts, and the ids of what they hold. Only
    folders that are of it are looked into."""
    first, rest = pattern[0], pattern[1:]
    for entry in store[tree].items():
        name = entry.path.decode("utf-8", "surrogateescape")
        if not fnmatchcase(name, first):
            continue
        if not rest and stat.S_ISREG(entry.mode):
            yield name, entry.sha
        elif rest and stat.S_ISDIR(entry.mode):
            yield from ((f"{name}/{below}", ident) for below, ident in _matching(store, entry.sha, rest))


def _repository(file: Path) -> Repo:
    try:
        return Repo.discover(str(file.absolute().parent))
    except NotGitRepository:
        raise Conflict(f"{file} is in no git repository.", code="config_no_repository") from None


def _name(repository: Repo, file: Path) -> str:
    root = Path(repository.path).resolve()
    real = file.absolute().parent.resolve() / file.name
    if not real.is_relative_to(root):
        raise Conflict(f"{file} is outside of the repository {root}.", code="config_no_repository")
    return real.relative_to(root).as_posix()


def _commit(repository: Repo, revision: str) -> ObjectID:
    """The id of a commit. `~2` and `^` at the end are ours: dulwich does not know all of them."""
    match = _older.fullmatch(revision)
    base, steps = (match[1], match[2]) if match else (revision, "")
    try:
        commit: Any = parse_commit(repository, base.encode())
        for step in _step.finditer(steps):
            for _ in range(int(step[1] or 1) if step[0] != "^" else 1):
                commit = repository.object_store[commit.parents[0]]
    except (KeyError, IndexError, ValueError):
        raise Conflict(f"There is no revision `{revision}` in the repository.", code="revision_not_found") from None
    ident: ObjectID = commit.id
    return ident
