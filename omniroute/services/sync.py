"""Keeps the configuration's files the same here and at a remote: a git branch, or another OmniRoute.

Three states are compared, file by file: what is here, what is there, and what both were when they were last the same.
What has changed on one side only goes to the other; what has changed on both is a conflict, which is told with its diff
and never decided here.  What comes from the remote is read, checked and compiled as any edit before it is written.
"""

from __future__ import annotations

import asyncio
import logging
import posixpath
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

import msgspec

from omniroute import private
from omniroute.document import Document, side, unified
from omniroute.errors import ConfigError, Conflict, OmniRouteError
from omniroute.upstream.remote import Changes, Proposed, Remote, Tip

log = logging.getLogger("omniroute.sync")

Files = Mapping[str, bytes]
Side = Literal["", "local", "remote"]
LOOK = 1.0
"""Seconds between two looks at the clock."""
JITTER = 0.1
"""By how much of `every` a run may be later, so that gateways that were started together do not all ask at once."""
CLOCK = "omniroute"
"""The author of what a run by the clock brings to the remote."""


class Local(Protocol):
    """The configuration's own files."""

    @property
    def main(self) -> str:
        """The name of the file that includes the others."""
        ...

    def files(self) -> Files:
        """By their names below the root of what is kept in step."""
        ...

    async def write(self, changes: Changes, seen: Files) -> str:
        """Writes or (None) deletes files, once they are known to make a gateway and to be what was seen, and gives the
        revision that runs. Raises ConfigError or Conflict where they are not, and then nothing has changed."""
        ...


class Base(msgspec.Struct, frozen=True):
    """What both sides were when they were last the same, and what was learned since."""

    remote: str = ""
    revision: str = ""
    files: dict[str, bytes] = {}
    at: float | None = None
    paused: bool = False


class Difference(msgspec.Struct, frozen=True):
    """A file that has changed on both sides."""

    name: str
    diff: str


class Outcome(msgspec.Struct, frozen=True, rename="camel"):
    """What a run did: the names of files that went there and came here."""

    revision: str
    remote_revision: str
    pushed: list[str] = []
    pulled: list[str] = []


Noted = Callable[[Outcome | Exception], Awaitable[None]]


async def _unheard(_told: Outcome | Exception) -> None: ...


class SyncConflict(Conflict):
    """Both sides have changed the same files. Carries what differs; nothing has been written anywhere."""

    code = "sync_conflict"

    def __init__(self, differences: Sequence[Difference]) -> None:
        names = ", ".join(f"`{one.name}`" for one in differences[:5])
        super().__init__(f"Changed here and at the remote: {names}. Bring the two together, or say which to keep.")
        self.differences = tuple(differences)


class Sync:
    """The one who does it, one run at a time: when asked, and by the clock where `every` gives seconds that are not 0.
    `noted` hears of each run by the clock that changed something or failed in another way than the one before; `chance`
    gives numbers from 0 to 1, by which these runs are spread."""

    def __init__(
        self,
        local: Local,
        remote: Callable[[], Remote | None],
        store: Path,
        now: Callable[[], float],
        every: Callable[[], float] = lambda: 0.0,
        noted: Noted = _unheard,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._local = local
        self._remote = remote
        self._store = store
        self._now = now
        self._every = every
        self._noted = noted
        self._running = asyncio.Lock()
        self._begun = 0.0
        self._proposed: tuple[str, Changes] | None = None
        self._chance = chance
        self._later = 1 + JITTER * chance()
        self.last_error = ""

    @property
    def every(self) -> float:
        """Seconds between two runs by the clock; 0 where there are none."""
        return self._every()

    @asynccontextmanager
    async def by_the_clock(self) -> AsyncIterator[None]:
        """Makes the runs that are due, until the end of this context."""
        runs = asyncio.create_task(self._forever())
        try:
            yield
        finally:
            runs.cancel()
            with suppress(asyncio.CancelledError):
                await runs

    async def _forever(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self.what_is_due()
            except Exception as error:  # of whatever library: the next run may do what this one could not
                told = f"{type(error).__name__}: {error}"
                if self.last_error != told:
                    log.exception("the configuration could not be brought in step with its remote")
                self.last_error = told

    async def what_is_due(self) -> None:
        """A run, if the last one is long enough ago and runs are not paused."""
        every, now, before = self.every * self._later, self._now(), self.last_error
        if not every or now - self._begun < every:
            return
        try:
            base = await asyncio.to_thread(self.base)
            if base.paused or not self.declared or now - (base.at or 0.0) < every:
                return
            self._later = 1 + JITTER * self._chance()
            outcome = await self.run(CLOCK)
        except (OmniRouteError, OSError) as error:
            self.last_error = str(error)
            if self.last_error != before:
                log.error("the configuration is not in step with its remote: %s", error)
                await self._noted(error)
            return
        if before:
            log.info("the configuration is in step with its remote again")
        if outcome.pushed or outcome.pulled or before:
            await self._noted(outcome)

    @property
    def remote(self) -> Remote:
        """The declared one. Raises Conflict where there is none."""
        remote = self._remote()
        if remote is None:
            told = "No remote is declared: set `sync.remote` (a git repository) or `sync.instance` (another OmniRoute)."
            raise Conflict(told, code="sync_not_configured")
        return remote

    @property
    def declared(self) -> bool:
        return self._remote() is not None

    def base(self) -> Base:
        """What is remembered of the declared remote; nothing of another one."""
        base = self._read()
        remote = self._remote()
        return base if remote is not None and base.remote == remote.name else Base(paused=base.paused)

    def pause(self, *, paused: bool) -> None:
        """Whether runs that nobody asks for are left out."""
        self._write(msgspec.structs.replace(self._read(), paused=paused))

    async def run(self, author: str, keep: Side = "") -> Outcome:
        """Brings both sides to the same. Of files that have changed on both, `keep` says whose count; without it they
        are a conflict, and nothing is written anywhere."""
        async with self._running:
            self._begun = self._now()
            try:
                outcome = await self._run(self.remote, author, keep)
            except OmniRouteError as error:
                self.last_error = str(error)
                raise
            self.last_error = ""
            return outcome

    async def compare(self) -> tuple[list[str], list[str], list[Difference]]:
        """What would go there, what would come here, and what has changed on both sides."""
        tip = await asyncio.to_thread(self.remote.fetch)
        there, here, both = self._compared(self._local.files(), tip.files)
        return sorted(there), sorted(here), both

    async def _run(self, remote: Remote, author: str, keep: Side) -> Outcome:
        tip = await asyncio.to_thread(remote.fetch)
        local = self._local.files()
        there, here, both = self._compared(local, tip.files)
        if both and not keep:
            raise SyncConflict(both)
        names = [one.name for one in both]
        if keep == "local":
            there |= {name: local.get(name) for name in names}
        elif keep == "remote":
            here |= {name: tip.files.get(name) for name in names}
        revision = await self._local.write(here, local) if here else ""
        if there:
            tip = await self._push(remote, tip, there, author)
        mine = self._local.files()
        known = {name: content for name, content in tip.files.items() if name in mine}
        self._write(Base(remote.name, tip.revision, known, self._now(), paused=self._read().paused))
        return Outcome(revision, tip.revision, sorted(there), sorted(here))

    async def _push(self, remote: Remote, tip: Tip, changes: Changes, author: str) -> Tip:
        """Raises Proposed where they wait there for somebody to merge them, and does not propose the same again."""
        if (tip.revision, changes) == self._proposed:
            raise Proposed(f"What has changed here is proposed to {remote.name}, and not merged there yet.")
        try:
            return await asyncio.to_thread(remote.push, tip, changes, _message(changes), author)
        except Proposed:
            self._proposed = tip.revision, changes
            raise

    def _compared(
        self, local: Files, remote: Files
    ) -> tuple[dict[str, bytes | None], dict[str, bytes | None], list[Difference]]:
        base = self.base().files
        there: dict[str, bytes | None] = {}
        here: dict[str, bytes | None] = {}
        both: list[Difference] = []
        for name in sorted({*local, *base, *members(remote, self._local.main)}):
            mine, theirs, old = local.get(name), remote.get(name), base.get(name)
            if mine == theirs:
                continue
            if theirs == old:
                there[name] = mine
            elif mine == old:
                here[name] = theirs
            else:
                both.append(Difference(name, unified(side(mine, name), side(theirs, name), name)))
        return there, here, both

    def _read(self) -> Base:
        try:
            return msgspec.msgpack.decode(self._store.read_bytes(), type=Base)
        except FileNotFoundError:
            return Base()
        except (OSError, msgspec.DecodeError) as error:
            log.warning("what was last the same at the remote is not known any more: %s", error)
            return Base()

    def _write(self, base: Base) -> None:
        self._store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        private.write(self._store, msgspec.msgpack.encode(base))


def members(files: Files, main: str) -> list[str]:
    """The names of the files that are one configuration: the main one, and those that it includes."""
    if main not in files:
        return []
    try:
        patterns = Document.parse(files[main], main).data.get("include", [])
    except ConfigError:
        return [main]  # which will be refused with its problems when it is to be written
    wanted = [
        PurePosixPath(posixpath.normpath(posixpath.join(posixpath.dirname(main), pattern)))
        for pattern in patterns
        if isinstance(pattern, str)
    ]
    return [
        main,
        *(name for name in files if name != main and any(_matches(PurePosixPath(name), one) for one in wanted)),
    ]


def _matches(name: PurePosixPath, pattern: PurePosixPath) -> bool:
    return len(name.parts) == len(pattern.parts) and name.match(str(pattern))


def _message(changes: Changes) -> str:
    names = sorted(changes)
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"Change {shown}\n\nFrom a running OmniRoute.\n"
