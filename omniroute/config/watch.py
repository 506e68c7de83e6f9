"""Notices that files of the configuration change.

Directories are watched, never files: an editor that replaces a file, and Kubernetes that swaps the `..data` link of a
ConfigMap, leave a watch on the file itself looking at what nobody reads any more.  Even a directory can be replaced, by
a checkout for instance, so their identity is looked at every now and then.

What changed in a directory matters only by its name: a log, a database or an editor's swap file beside the
configuration must not cost a look at all of it each time it grows.  What a change means is for the callback, which
reads everything again and compares digests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from watchfiles import awatch

DEBOUNCE = 300
"""Milliseconds that a burst of changes, such as an editor's way of saving, is waited for at most."""
SUFFIXES = (".yaml", ".yml")
"""Of files that an include may find."""
LOOK = 2_000
"""Milliseconds between two looks at whether the directories are still the same."""

log = logging.getLogger("omniroute")
logging.getLogger("watchfiles").setLevel(logging.WARNING)  # a line for each change of any file in a directory

Watched = Callable[[], Iterable[Path]]
Changed = Callable[[], Awaitable[object]]


async def watch(watched: Watched, changed: Changed) -> None:
    """Calls `changed` after each burst of changes that can matter, until cancelled. `watched` gives files, whose
    directories are meant, and directories; it is asked again and again, because an edit may include other files."""
    while True:
        places = _places(watched())
        try:
            await _until_others(places, watched, changed)
        except FileNotFoundError:
            log.warning("a directory of the configuration is gone")
        if not places:
            await asyncio.sleep(LOOK / 1000)
            await _tell(changed)


async def _until_others(places: dict[Path, int], watched: Watched, changed: Changed) -> None:
    """Watches these directories until there are others to watch."""
    if not places:
        return
    bursts = awatch(
        *places,
        debounce=DEBOUNCE,
        rust_timeout=LOOK,
        yield_on_timeout=True,
        recursive=False,
        watch_filter=None,
    )
    following = asyncio.ensure_future(anext(bursts))
    try:
        await asyncio.sleep(0)  # in which the watch begins
        await _tell(changed)  # nobody was watching until then
        while _places(watched()) == places:
            changes = await following
            following = asyncio.ensure_future(anext(bursts))
            if _matter((path for _, path in changes), watched()):
                await _tell(changed)
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration, FileNotFoundError):
            await following
        await bursts.aclose()


async def _tell(changed: Changed) -> None:
    """The watch outlives a callback that fails."""
    try:
        await changed()
    except Exception:
        log.exception("the configuration could not be read again")


def _matter(changes: Iterable[str], watched: Iterable[Path]) -> bool:
    """Whether one of the changes may be one of the configuration: of a file of it, of one that an include may find, or
    of a link such as the `..data` by which a ConfigMap changes all its files at once."""
    names = {path.name for path in watched}
    return any(
        change.name in names or change.suffix in SUFFIXES or change.name.startswith("..")
        for change in map(Path, changes)
    )


def _places(watched: Iterable[Path]) -> dict[Path, int]:
    """The directories that are there, each with what identifies it."""
    directories = {path if path.is_dir() else path.parent for path in watched}
    return {directory: directory.stat().st_ino for directory in sorted(directories) if directory.is_dir()}
