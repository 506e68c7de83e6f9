"""The git working tree that files lie in, as far as it tells whether they are what was reviewed.

By dulwich, as everything about git here: no process is started, and nothing of the repository is changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from dulwich.errors import NotGitRepository
from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from omniroute.upstream.git import blob_of


class Checkout(msgspec.Struct, frozen=True):
    """`commit` is what is checked out, empty before the first one; `branch` is empty where that is no branch.
    `uncommitted` are those of the files that differ from it, by their names in the repository; `proposals` the branches
    below a prefix that it does not have yet."""

    root: str
    branch: str
    commit: str
    uncommitted: tuple[str, ...]
    proposals: tuple[str, ...]


def look(files: Iterable[Path], prefix: str) -> Checkout | None:
    """The repository of the first of these files; None where it is in none."""
    files = list(files)
    try:
        repository = Repo.discover(str(files[0].resolve().parent))
    except NotGitRepository:
        return None
    with closing(repository):
        root = Path(repository.path).resolve()
        try:
            commit = repository.head()
        except KeyError:
            commit = None
        inside = {file.resolve() for file in files if file.resolve().is_relative_to(root)}
        names = {file.relative_to(root).as_posix(): file for file in sorted(inside)}
        changed = [name for name, file in names.items() if differs(repository, commit, name, file)]
        return Checkout(
            root=str(root),
            branch=_branch(repository),
            commit=commit.decode() if commit else "",
            uncommitted=tuple(changed),
            proposals=tuple(_unmerged(repository, commit, prefix)) if commit else (),
        )


def differs(repository: Any, commit: ObjectID | None, name: str, file: Path) -> bool:
    """Whether a file is not as it is committed under this name; both may be absent."""
    there = blob_of(repository, commit, name) if commit else None
    return there != (file.read_bytes() if file.exists() else None)


def _branch(repository: Repo) -> str:
    names, _ = repository.refs.follow(Ref(b"HEAD"))
    last = names[-1].decode() if names else ""
    return last.removeprefix("refs/heads/") if last.startswith("refs/heads/") else ""


def _unmerged(repository: Any, commit: Any, prefix: str) -> Iterable[str]:
    for name, tip in sorted(repository.refs.as_dict(b"refs/heads").items()):
        if name.startswith(f"{prefix}/".encode()):
            walker = repository.get_walker(include=[tip], exclude=[commit], max_entries=1)
            if any(True for _ in walker):
                yield name.decode("utf-8", "replace")
