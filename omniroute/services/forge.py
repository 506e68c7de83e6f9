"""`mode: git`: a change that is asked for through the management API becomes a commit on a branch of its own.

The files that run stay as they are: whoever merges the branch decides, and the gateway takes the merge up as any other
edit.  Each change is one commit on what is checked out, so that each can be reviewed, merged or dropped by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from dulwich.errors import NotGitRepository
from dulwich.objects import ObjectID
from dulwich.repo import Repo

from omniroute.errors import Conflict
from omniroute.upstream.checkout import differs
from omniroute.upstream.git import GitRemote, committed, ref

PREFIX = "omniroute"
_word = re.compile(r"[^a-z0-9]+")


class Forge:
    """Makes the commits, and pushes their branches where a remote is declared."""

    def __init__(self, main: Path, remote: Callable[[], GitRemote | None], now: Callable[[], float]) -> None:
        self._main = main
        self._remote = remote
        self._now = now

    def propose(self, files: Mapping[Path, bytes | None], author: str, reason: str, details: str) -> str:
        """A new branch with these files, and its name. Raises Conflict where the files are in no repository, or are not
        as they are committed there; Unavailable where the branch cannot be pushed, and then it is not there."""
        with self._repository() as repository:
            head = self._head(repository)
            changes = {self._name(repository, file): content for file, content in files.items()}
            for file in files:
                self._is_committed(repository, head, file)
            at = self._now()
            message = f"{reason or 'Change the configuration'}\n\n{details}".rstrip()
            commit = committed(repository, head, changes, message, author or "OmniRoute", at)
            branch = _branch(reason, at)
            remote = self._remote()
            if remote is not None:
                remote.publish(repository, branch, commit)
            repository.refs[ref(branch)] = commit
        return branch

    def _repository(self) -> Repo:
        try:
            return Repo.discover(str(self._main.resolve().parent))
        except NotGitRepository:
            told = f"`mode: git` needs {self._main} to be in a git repository, and it is in none."
            raise Conflict(told, code="config_no_repository") from None

    def _head(self, repository: Repo) -> ObjectID:
        try:
            return repository.head()
        except KeyError:
            told = "The repository of the configuration has no commit yet: commit the files first."
            raise Conflict(told, code="config_not_committed") from None

    def _name(self, repository: Repo, file: Path) -> str:
        root = Path(repository.path).resolve()
        real = file.resolve()
        if not real.is_relative_to(root):
            raise Conflict(f"{file} is outside of the repository {root}.", code="config_no_repository")
        return real.relative_to(root).as_posix()

    def _is_committed(self, repository: Any, head: ObjectID, file: Path) -> None:
        """A commit must not carry what somebody has changed by hand and not committed."""
        if differs(repository, head, self._name(repository, file), file):
            told = f"{file} has changes that are not committed: commit or drop them first."
            raise Conflict(told, code="config_not_committed")


def _branch(reason: str, at: float) -> str:
    words = "-".join(_word.sub(" ", reason.lower()).split()[:5])[:40]
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y%m%d-%H%M%S")
    return f"{PREFIX}/{moment}-{words or 'change'}-{token_hex(2)}"
