"""The files of a revision of a git repository on this machine.

By dulwich, as everything about git here: no process is started, and nothing of the repository is changed.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from dulwich.errors import NotGitRepository
from dulwich.object_store import iter_tree_contents
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
    """Files of a commit: `commit` is its id, `files` are by their names in the repository."""

    commit: str
    files: dict[str, bytes]

    @property
    def short(self) -> str:
        return self.commit[:SHORT]


def place(file: Path) -> str:
    """The name of a file in the repository that it is in, whether it is committed there or not. Raises Conflict where it
    is in none."""
    with closing(_repository(file)) as repository:
        return _name(repository, file)


def files(main: Path, revision: str, wanted: Callable[[str], bool]) -> Tree:
    """The files of a revision (`HEAD`, `main~2`, a tag, an id) of the repository that `main` is in, as far as their names
    are `wanted`. Raises Conflict where there is no repository, no such revision, or too much in it."""
    with closing(_repository(main)) as repository:
        store: Any = repository.object_store  # whose types know no trees and blobs
        commit = _commit(repository, revision)
        found: dict[str, bytes] = {}
        for entry in iter_tree_contents(store, store[commit].tree):
            name = entry.path.decode("utf-8", "surrogateescape")
            if not stat.S_ISREG(entry.mode) or not wanted(name):
                continue
            content = store[entry.sha].data
            if len(found) >= MOST_FILES or len(content) > LARGEST_FILE:
                raise Conflict(f"`{revision}` has more in it than a configuration can be.", code="revision_too_large")
            found[name] = content
        return Tree(commit.decode(), found)


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
