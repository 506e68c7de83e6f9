"""Backups of the history while the gateway runs: made on demand and by the clock, put back without a stop.

The work is the shelf's, in threads, one piece at a time; here stands when it is done, and what the memory that was
derived from the database has to be told.  The database itself is looked at now and then, for a page that nobody reads
tells nobody that it is damaged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, TypeVar

from omniroute.config.spec.backups import BackupsSpec
from omniroute.config.spec.words import seconds, size
from omniroute.errors import CallError, Unavailable
from omniroute.services.shelf import Backup, Made, Reason, Restored, Shelf
from omniroute.state import copies
from omniroute.state.copies import Stopped
from omniroute.state.shape import Facts

log = logging.getLogger(__name__)
LOOK = 1.0
"""Seconds between two looks at whether something is due."""
CHECK = 3600.0
"""Seconds between two looks at all of the database."""
AGAIN = 600.0
"""Seconds after which a backup by the clock is tried again that could not be made."""
PIECE = 1 << 18
KINDS: tuple[Reason, ...] = ("pre-restore", "pre-import", "damaged")
"""Those that are made by the way."""
Result = TypeVar("Result")
Sums = Mapping[tuple[str, float], Decimal]
"""What is spent of a budget in the period that begins then."""


class Export(NamedTuple):
    """A copy that is open to be read. Its name is gone already, and the file is when it is closed."""

    file: BinaryIO
    facts: Facts


class Books(Protocol):
    """Memory that is derived from the database."""

    def measure(self, database: Path) -> Sums:
        """What a file says. Blocks. Raises Unavailable."""
        ...

    async def rebase(self, before: Sums | None, after: Sums) -> None:
        """Another file has taken the place of the one that was measured before; None where it could not be read."""
        ...

    async def reread(self) -> None:
        """Somebody else has put another file there."""
        ...


class Backups:
    """Those of one gateway. `settings` are asked for each time, since a reload changes them; `now` gives UNIX times."""

    def __init__(
        self, database: Path, settings: Callable[[], BackupsSpec], now: Callable[[], float], books: Books
    ) -> None:
        self.shelf = Shelf(database)
        self.problem = ""
        """Why the database is known to be damaged, or why there is no backup where there should be one."""
        self._settings = settings
        self._now = now
        self._books = books
        self._busy = asyncio.Lock()
        self._tasks: set[asyncio.Task[object]] = set()
        self._closing = False
        self._damage = ""
        self._failure = ""
        self._mark = 0
        self._checked = self._tried = float("-inf")

    @property
    def import_limit(self) -> int:
        """Bytes of a database that may be handed in."""
        return size(self._settings().import_limit)

    @property
    def uploads(self) -> Path:
        """Where a file may be put that is to be imported."""
        return self.shelf.uploads

    async def all(self) -> Sequence[Backup]:
        """The newest first."""
        return await asyncio.to_thread(self.shelf.all)

    async def create(self, reason: Reason = "manual") -> Made:
        """Comes back when the copy is written and verified. Raises Unavailable."""
        keep = self._settings().keep
        return await self._alone(lambda: self.shelf.create(reason, self._now(), keep, lambda: self._closing))

    async def verify(self, ident: str) -> Facts:
        """Looks at all of a backup. Raises NotFound, and Unfit where it could not be restored."""
        return await self._alone(lambda: self.shelf.verify(ident))

    async def remove(self, ident: str) -> None:
        """Raises NotFound."""
        await self._alone(lambda: self.shelf.remove(ident))

    async def restore(self, ident: str) -> Restored:
        """Raises NotFound, Unfit, Unavailable; then nothing has changed."""
        return await self._exchange(lambda between: self.shelf.restore(ident, self._now(), between))

    async def take(self, upload: Path) -> Restored:
        """The rows of a database from elsewhere, in place of those that are there. Raises as `restore` does."""
        return await self._exchange(lambda between: self.shelf.take(upload, self._now(), between))

    async def export(self) -> Export:
        """A verified copy of this moment."""
        return await self._alone(self._export)

    def _export(self) -> Export:
        self.shelf.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.shelf.folder / f".export-{self._now():.6f}.sqlite"
        facts = copies.copy(self.shelf.database, path, lambda: self._closing)
        try:
            return Export(path.open("rb"), facts)
        finally:
            path.unlink()

    # ----------------------------------------------------------------------------------------------------- in the back

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Does what is due meanwhile."""
        self._mark = self.shelf.restored()
        task = asyncio.create_task(self._forever())
        try:
            yield
        finally:
            self._closing = True
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _forever(self) -> None:
        await self._look(lambda: self._alone(lambda: self.shelf.tidy(self._now())))
        while True:
            await self._look(self._what_is_due)
            await asyncio.sleep(LOOK)

    async def _look(self, act: Callable[[], Awaitable[object]]) -> None:
        """A disk that does not work now may do so the next time."""
        try:
            await act()
        except OSError as error:
            if self._failure != (reason := str(error)):
                log.error("backups cannot be looked after: %s", reason)
            self._failure = reason
            self._tell()

    async def _what_is_due(self) -> None:
        now = self._now()
        if now - self._checked >= CHECK or now < self._checked:
            self._checked = now
            await self._check()
        if now - self._tried >= AGAIN and await self._due(now):
            self._tried = now
            await self._by_the_clock()
        await self._notice()

    async def _check(self) -> None:
        damage = await self._alone(lambda: copies.check(self.shelf.database))
        if damage and damage != self._damage:
            log.error("the history is damaged: %s; a restore of a backup mends it", damage)
        self._damage = damage
        self._tell()

    async def _due(self, now: float) -> bool:
        every = self._settings().every
        if every is None or not self.shelf.database.exists():
            return False
        last = max((each.created for each in await self.all() if each.reason == "scheduled"), default=0.0)
        return now - last >= seconds(every)

    async def _by_the_clock(self) -> None:
        try:
            await self.create("scheduled")
        except CallError as error:
            log.error("there is no backup by the clock: %s", error)
            self._failure = str(error)
        else:
            self._failure = ""
        self._tell()

    async def _notice(self) -> None:
        """Looks whether the command line has restored a backup."""
        mark = self.shelf.restored()
        if mark != self._mark and not self._busy.locked():
            self._mark = mark
            log.info("another database was put in place of the old one")
            await self._books.reread()
            await self._check()

    def _tell(self) -> None:
        self.problem = self._damage or self._failure

    # ---------------------------------------------------------------------------------------------------- one at a time

    async def _alone(self, work: Callable[[], Result]) -> Result:
        async def alone() -> Result:
            async with self._busy:
                return await asyncio.to_thread(work)

        return await self._finish(alone())

    async def _exchange(self, work: Callable[[Callable[[Path, str], None]], Restored]) -> Restored:
        """Measures both files when nothing is written, so that what memory knows changes by the difference, whatever
        requests are under way."""

        async def alone() -> Restored:
            before: Sums | None = None
            after: Sums = {}

            def between(fresh: Path, damage: str) -> None:
                nonlocal before, after
                after = self._books.measure(fresh)
                if not damage:
                    with suppress(Unavailable):
                        before = self._books.measure(self.shelf.database)

            async with self._busy:
                restored = await asyncio.to_thread(work, between)
                await self._books.rebase(before, after)
                self._mark = self.shelf.restored()
                self._damage = ""
                self._tell()
                await asyncio.to_thread(self._prune)
                return restored

        return await self._finish(alone())

    def _prune(self) -> None:
        keep = self._settings().keep
        for reason in KINDS:
            self.shelf.prune(reason, keep)

    async def _finish(self, work: Awaitable[Result]) -> Result:
        """Whoever waits for it may go away, the work goes on: a thread cannot be stopped halfway."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except Stopped:
            raise Unavailable("The gateway stops.", code="draining") from None


async def pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    """What is in a file, bit by bit; it is closed at the end."""
    with file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
