"""The files of a configuration as a whole: their names and bytes, and others in their place.

What is to be written is laid out in a folder of its own first and read there as the gateway would read it, so that files
that make no gateway never get into the place of those that do.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from omniroute.config import storage
from omniroute.config.bundle import Bundle, reason
from omniroute.config.writer import Proposal
from omniroute.document import side, unified
from omniroute.errors import ConfigError, ConfigLocked, Conflict, Problem, Unavailable

Changes = Mapping[str, bytes | None]


class Files:
    """The files of the running configuration, by their names below its root: the folder of the main file, or the one
    above it where an include leads there.

    `check` reads and compiles what a main file leads to and raises ConfigError; `reload` puts what is on disk to use and
    gives its problems; `commit` makes a commit of a proposal and tells its name; `lock` keeps other changes out.
    """

    def __init__(
        self,
        bundle: Callable[[], Bundle],
        check: Callable[[Path], None],
        reload: Callable[[], Awaitable[Sequence[Problem]]],
        commit: Callable[[Proposal], Awaitable[str]],
        lock: asyncio.Lock,
    ) -> None:
        self._bundle = bundle
        self._check = check
        self._reload = reload
        self._commit = commit
        self._lock = lock

    @property
    def root(self) -> Path:
        """The folder that the names are seen from."""
        bundle = self._bundle()
        folder = _absolute(bundle.path).parent
        inside = all(_absolute(file).is_relative_to(folder) for file in bundle.files)
        plain = all(not pattern.startswith("..") for pattern in bundle.spec.include)
        return folder if inside and plain else folder.parent

    @property
    def main(self) -> str:
        """The name of the main file."""
        return self._name(self._bundle().path)

    def files(self) -> dict[str, bytes]:
        """What runs, by name."""
        bundle = self._bundle()
        return {
            self._name(file): document.content for file, document in zip(bundle.files, bundle.documents, strict=True)
        }

    async def write(self, changes: Changes, seen: Mapping[str, bytes]) -> str:
        """Writes and (None) deletes files, all or none, and returns the revision that runs then. `seen` is what the
        changes were made from.

        Raises ConfigError for files that make no gateway, ConfigLocked in `mode: locked`, and Conflict or Unavailable
        where they cannot be written: also where one of them is not what was seen any more, or in `mode: git`, in which
        the files here are the repository's to change."""
        mode = self._bundle().spec.mode
        if mode == "locked":
            raise ConfigLocked("`mode: locked` keeps the configuration from being changed here", diff="")
        if mode == "git":
            raise Conflict(
                "In `mode: git` the files here change by what is merged in their repository: merge it there",
                code="config_in_git",
            )
        async with self._tried(changes, seen) as before:
            await asyncio.to_thread(_write, self.root, before, changes)
        problems = await self._reload()
        if problems:
            raise ConfigError(problems)
        return self._bundle().revision

    async def propose(self, changes: Changes, seen: Mapping[str, bytes], author: str, reason: str) -> str:
        """Makes a commit of the changes and returns its name; the files here stay as they are. Raises as `write` does,
        but for the mode."""
        async with self._tried(changes, seen) as before:
            root = self.root
            diff = "".join(
                unified(side(before.get(name), name), side(content, name), name) for name, content in changes.items()
            )
            files = {root / name: content for name, content in changes.items()}
            return await self._commit(Proposal(files=files, diff=diff, author=author, reason=reason))

    @asynccontextmanager
    async def _tried(self, changes: Changes, seen: Mapping[str, bytes]) -> AsyncIterator[Mapping[str, bytes]]:
        """Alone with the files, which are what was seen and make a gateway with the changes. Gives what runs."""
        root = self.root
        for name in changes:
            _inside(name)
        async with self._lock, storage.exclusive(self._bundle().path):
            before = self.files()
            if any(before.get(name) != seen.get(name) for name in changes):
                raise Conflict("The files have been changed meanwhile: try again.", code="config_changed")
            await asyncio.to_thread(self._try, {**before, **changes}, root)
            yield before

    def _name(self, file: Path) -> str:
        return Path(os.path.relpath(_absolute(file), self.root)).as_posix()

    def _try(self, files: Changes, root: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="omniroute-exchange-") as folder:
            there = Path(folder).resolve() / root.name
            for name, content in files.items():
                if content is not None:
                    (there / name).parent.mkdir(parents=True, exist_ok=True)
                    (there / name).write_bytes(content)
            try:
                self._check(there / self.main)
            except ConfigError as error:
                raise ConfigError([_moved(problem, there, root) for problem in error.problems]) from None


def _moved(problem: Problem, there: Path, root: Path) -> Problem:
    """The problem where its file is going to be."""
    return msgspec.structs.replace(problem, file=problem.file.replace(str(there), str(root)))


def _inside(name: str) -> str:
    """The name of a file that is to be written. Raises Conflict for one that would lead elsewhere, or is no YAML."""
    parts = name.split("/")
    sound = all(part and part not in (".", "..") and not part.startswith(".") and "\0" not in part for part in parts)
    if not sound or not name.endswith((".yaml", ".yml")):
        raise Conflict(f"`{name[:200]}` is no name of a configuration file", code="config_bad_name")
    return name


def _write(root: Path, before: Mapping[str, bytes], changes: Changes) -> None:
    made: list[Path] = []
    try:
        for name, content in changes.items():
            if content is not None and name not in before:
                made.append(_create(root, name, content))
        edited = {
            root / name: (before[name], content)
            for name, content in changes.items()
            if content is not None and name in before
        }
        if not storage.replace(edited):
            raise Conflict("the files have been changed meanwhile: try again", code="config_changed")
    except (OSError, Conflict) as error:
        for file in made:
            file.unlink(missing_ok=True)
        if isinstance(error, Conflict):
            raise
        told = f"the files could not be written: {reason(error)}. Nothing was changed"
        raise Unavailable(told, code="config_not_written") from None
    for name, content in changes.items():
        if content is None and name in before:
            (root / name).unlink(missing_ok=True)


def _create(root: Path, name: str, content: bytes) -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.parent.resolve().is_relative_to(root.resolve()):
        raise Conflict(f"`{name}` leads out of {root}", code="config_bad_name")
    with file.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return file


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
