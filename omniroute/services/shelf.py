"""The directory of backups of one database, for the server and for the command line alike.

Everything here blocks and needs nothing but files: it works while a gateway runs on the same database and while none
does.  A backup is known by its name, which says when and why it was made; a name of any other form leads nowhere.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import Literal

import msgspec

from omniroute.errors import NotFound, Unavailable
from omniroute.state import copies
from omniroute.state.shape import Facts, inspect

Reason = Literal["manual", "scheduled", "pre-restore", "pre-import", "damaged"]
DATABASE = "omniroute.sqlite"
FOLDER = "backups"
MARK = "restored"
"""A file beside the database that is written anew with each restore, so that a gateway notices one of the command line."""
FORGOTTEN = 3600.0
"""Seconds after which nobody works on an unfinished file any more."""
_name = re.compile(
    r"db_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)-(\d{3})Z_(manual|scheduled|pre-restore|pre-import|damaged)\.sqlite", re.ASCII
)


class Backup(msgspec.Struct, frozen=True):
    """One file; `id` is its name, `created` a UNIX time, `size` in bytes."""

    id: str
    created: float
    size: int
    reason: Reason


class Made(msgspec.Struct, frozen=True):
    """A backup with what was found when it was looked at."""

    backup: Backup
    facts: Facts


class Restored(msgspec.Struct, frozen=True):
    """What is in the database now. `before` is the backup of what was in it, None where there was nothing; `damage` says
    why that could not be read, if so."""

    facts: Facts
    before: Backup | None
    damage: str


class Shelf:
    """The backups of `database`, beside it."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.folder = database.parent / FOLDER
        self.uploads = database.parent / "uploads"
        self._mark = database.with_name(MARK)

    def all(self) -> list[Backup]:
        """The newest first."""
        try:
            names = [entry.name for entry in self.folder.iterdir()]
        except FileNotFoundError:
            return []
        found = [backup for name in names if (backup := self._look(name)) is not None]
        return sorted(found, key=lambda backup: (backup.created, backup.id), reverse=True)

    def tidy(self, now: float) -> None:
        """What a process has left behind that was killed: files without a name of their own go, and what was put aside
        becomes a backup."""
        for aside in self.database.parent.glob(".db_*.before"):
            shutil.move(aside, self._free("damaged", now))
        for folder, pattern in (
            (self.folder, ".*"),
            (self.database.parent, ".db_*.fresh*"),
            (self.uploads, "*.upload"),
        ):
            for path in folder.glob(pattern):
                with suppress(FileNotFoundError):  # who made it is done with it
                    if now - path.stat().st_mtime > FORGOTTEN:
                        path.unlink()

    def find(self, ident: str) -> Backup:
        """Raises NotFound."""
        backup = self._look(ident)
        if backup is None:
            raise NotFound("There is no such backup.", code="unknown_backup")
        return backup

    def create(
        self, reason: Reason, now: float, keep: int | None = None, stopped: Callable[[], bool] = lambda: False
    ) -> Made:
        """A verified copy, and then only so many of its kind. Raises Unavailable where it cannot be made."""
        target = self._free(reason, now)
        facts = copies.copy(self.database, target, stopped)
        if keep is not None:
            self.prune(reason, keep)
        return Made(self.find(target.name), facts)

    def verify(self, ident: str) -> Facts:
        """Looks at all of a backup. Raises Unfit where it could not be restored."""
        return inspect(self.path(self.find(ident)))

    def remove(self, ident: str) -> None:
        """Raises NotFound."""
        copies.remove(self.path(self.find(ident)))

    def prune(self, reason: Reason, keep: int) -> None:
        """Lets go of the oldest of a kind."""
        for backup in [each for each in self.all() if each.reason == reason][keep:]:
            copies.remove(self.path(backup))

    def restore(self, ident: str, now: float, between: Callable[[Path, str], None] = lambda _f, _d: None) -> Restored:
        """Puts a backup in the place of the database. `between` is told of the new file and why the old cannot be read,
        when nothing is written any more; see `copies.exchange`."""
        source = self.path(self.find(ident))
        return self._put(source, "pre-restore", now, between, ours=True)

    def take(self, upload: Path, now: float, between: Callable[[Path, str], None] = lambda _f, _d: None) -> Restored:
        """The same with a file from elsewhere, of which everything but the record of what was done is taken."""
        return self._put(upload, "pre-import", now, between, ours=False)

    def restored(self) -> int:
        """When something was last put in place, as a number that tells one time from another; 0 where nothing was, or
        where there is no folder in which that could be seen."""
        try:
            return self._mark.stat().st_mtime_ns
        except OSError:
            return 0

    def path(self, backup: Backup) -> Path:
        """Where it is."""
        return self.folder / backup.id

    # ---------------------------------------------------------------------------------------------------------- names

    def _look(self, name: str) -> Backup | None:
        parts = _name.fullmatch(name)
        if parts is None:
            return None
        try:
            there = (self.folder / name).lstat()
            second = datetime.strptime(parts[1], "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC)
        except (OSError, ValueError):
            return None
        created = second.timestamp() + int(parts[2]) / 1000
        reason = msgspec.convert(parts[3], Reason)
        return Backup(name, created, there.st_size, reason) if S_ISREG(there.st_mode) else None

    def _free(self, reason: Reason, now: float) -> Path:
        """A place that nothing is at."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            moment = datetime.fromtimestamp(now, UTC)
            path = self.folder / f"db_{moment:%Y-%m-%dT%H-%M-%S}-{moment.microsecond // 1000:03}Z_{reason}.sqlite"
            if not path.exists():
                return path
            now += 0.001

    # ------------------------------------------------------------------------------------------------------- exchanging

    def _put(
        self, source: Path, reason: Reason, now: float, between: Callable[[Path, str], None], *, ours: bool
    ) -> Restored:
        target = self._free(reason, now)
        fresh = self.database.with_name(f".{target.name}.fresh")
        # Another file system cannot give a file of this one another name.
        here = self.folder.stat().st_dev == self.database.parent.stat().st_dev
        aside = target if here else self.database.with_name(f".{target.name}.before")
        try:
            facts = copies.rebuild(source, fresh, ours=ours)
            damage = copies.exchange(self.database, fresh, aside, lambda damage: between(fresh, damage))
        finally:
            copies.remove(fresh)
        self._mark.write_text(f"{target.name}\n")
        return Restored(facts, self._keep(aside, target, now, damage) if aside.exists() else None, damage)

    def _keep(self, aside: Path, target: Path, now: float, damage: str) -> Backup | None:
        """Makes a backup as any other of what was put aside; where that does not work, it is kept as it is, whatever it
        is: None where it is not even a file."""
        if not damage:
            try:
                copies.copy(aside, target)
            except Unavailable:
                damage = "it cannot be copied"
            else:
                if aside != target:
                    copies.remove(aside)
                _forget_log(target)
                return self.find(target.name)
        place = self._free("damaged", now)
        log, _ = copies.beside(aside)
        shutil.move(aside, place)
        if log.exists():
            shutil.move(log, copies.beside(place)[0])
        return self._look(place.name)


def _forget_log(path: Path) -> None:
    """What SQLite left beside a file that was replaced since."""
    for each in copies.beside(path):
        each.unlink(missing_ok=True)
