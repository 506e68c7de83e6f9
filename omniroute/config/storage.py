"""Files of the configuration on disk: one editor at a time, and a change of several files is made as a whole or not.

A file is replaced, never written into, so that whoever reads it sees the old or the new one. Only where it cannot be
replaced, as a single file that is mounted into a container, it is written in place: a reader may then see half of it
for a moment, so such a mount should be one of the directory. Symbolic links stay and lead to the new content.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import glob
import os
import secrets
import stat
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from omniroute.errors import Unavailable

PATIENCE = 10.0
"""Seconds that an edit waits for one of another process."""
PAUSE = 0.02
NOT_REPLACED = frozenset(
    {errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOTSUP, errno.EINVAL}
)
"""How a file that may be writable says that it cannot be replaced."""
_TEMPORARY = ".tmp"


class _Replacement(msgspec.Struct):
    """What becomes of one file; `temporary` holds the new content, where its directory takes another file."""

    file: Path
    old: bytes
    new: bytes
    temporary: Path | None


# ------------------------------------------------------------------------------------------------------------- the lock


@asynccontextmanager
async def exclusive(path: Path) -> AsyncIterator[None]:
    """Alone with the configuration of this main file, among all processes. Raises Unavailable after `PATIENCE`.

    The lock is on a file beside it that stays there, since a lock on a file that gets replaced locks nothing; where
    none can be made, nothing gets replaced, and it is on the main file itself.
    """
    descriptor = await asyncio.to_thread(_open, path)
    try:
        for _ in range(round(PATIENCE / PAUSE)):
            if _locked(descriptor):
                break
            await asyncio.sleep(PAUSE)
        else:
            raise Unavailable(f"another process has been changing the configuration for {PATIENCE:g} s", retry_after=1)
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    real = Path(os.path.realpath(path))
    beside = real.parent / f".{real.name}.lock"
    try:
        return os.open(beside, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError:
        return os.open(real, os.O_RDONLY | os.O_CLOEXEC)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------ the files


def replace(changes: Mapping[Path, tuple[bytes, bytes]]) -> bool:
    """Gives all files their new content in place of the old, or none of them: everything is written beside them before
    the first one is replaced, and where one cannot be, those before it get their old content back. False where one of
    them holds something else than the old by now. Raises OSError, and Unavailable where not even that was possible."""
    waiting: list[_Replacement] = []
    try:
        for file, (old, new) in changes.items():
            waiting.append(_prepared(Path(os.path.realpath(file)), old, new))
        if any(each.file.read_bytes() != each.old for each in waiting):
            return False
        _replace(waiting)
    finally:
        for each in waiting:
            _unlink(each.temporary)
    return True


def _replace(waiting: list[_Replacement]) -> None:
    done: list[_Replacement] = []
    try:
        for each in waiting:
            _put(each)
            done.append(each)
        _sync({each.file.parent for each in waiting if each.temporary is not None})
    except OSError as error:
        for each in reversed(done):
            _put_back(each, error)
        raise


def _put_back(each: _Replacement, why: OSError) -> None:
    try:
        _put(_prepared(each.file, each.new, each.old))
    except OSError as error:
        raise Unavailable(
            f"the change was written to `{each.file}` and not to all of its files ({why}), and could not be taken back "
            f"({error}): restore that file",
            code="config_half_written",
        ) from error


def _prepared(file: Path, old: bytes, new: bytes) -> _Replacement:
    """The new content in a file beside the old one, with its mode and owner, on the disk."""
    about = file.stat()
    _sweep(file)
    temporary = file.parent / f".{file.name}.{secrets.token_hex(4)}{_TEMPORARY}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in NOT_REPLACED:
            raise
        return _Replacement(file, old, new, None)
    try:
        kept = _keeps(descriptor, about)
        _write(descriptor, new)
    except BaseException:
        _unlink(temporary)
        raise
    finally:
        os.close(descriptor)
    if not kept:
        _unlink(temporary)
    return _Replacement(file, old, new, temporary if kept else None)


def _keeps(descriptor: int, about: os.stat_result) -> bool:
    """Whether a new file could be given the owner and the mode of the old."""
    new = os.fstat(descriptor)
    try:
        if (new.st_uid, new.st_gid) != (about.st_uid, about.st_gid):
            os.fchown(descriptor, about.st_uid, about.st_gid)
    except PermissionError:
        return False
    os.fchmod(descriptor, stat.S_IMODE(about.st_mode))
    return True


def _put(each: _Replacement) -> None:
    if each.temporary is not None:
        try:
            os.replace(each.temporary, each.file)  # noqa: PTH105 - the tests' place to fail
            return
        except OSError as error:
            if error.errno not in NOT_REPLACED:
                raise
    _write_in_place(each)


def _write_in_place(each: _Replacement) -> None:
    """Into the file itself; what was there comes back where that fails half-way."""
    descriptor = os.open(each.file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        try:
            _write(descriptor, each.new)
        except BaseException:
            _write(descriptor, each.old)
            raise
    finally:
        os.close(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    """The content and nothing behind it, on the disk."""
    at = 0
    while at < len(content):
        at += os.pwrite(descriptor, content[at:], at)
    os.ftruncate(descriptor, len(content))
    os.fsync(descriptor)


def _sync(directories: Iterable[Path]) -> None:
    """The names of replaced files are on the disk as well."""
    for directory in directories:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sweep(file: Path) -> None:
    """Away with what a process left that died between writing and replacing. The lock is held, so nobody needs it."""
    for left in file.parent.glob(f".{glob.escape(file.name)}.????????{_TEMPORARY}"):
        _unlink(left)


def _unlink(file: Path | None) -> None:
    if file is not None:
        with suppress(OSError):
            file.unlink()
