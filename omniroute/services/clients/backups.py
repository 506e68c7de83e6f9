"""What stood in a tool's files before the gateway wrote them, kept so that it can be put back byte for byte.

One folder a backup, below the run-time data, readable by nobody else: the files may hold the user's own keys.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

import msgspec

from omniroute import private
from omniroute.errors import NotFound

KEPT = 20
"""Backups of each tool; the oldest that no undo needs go first."""
_ident = re.compile(r"[0-9]{8}T[0-9]{12}Z-[0-9a-f]{8}")


class Kept(msgspec.Struct, frozen=True):
    """One file of a backup: where it stood, whether it was there, its mode, and the digest of what was written over
    it."""

    place: str
    existed: bool
    mode: int
    after: str


class Backup(msgspec.Struct, frozen=True):
    """The files before one write. `origin` says that they were not as an earlier write had left them, and `undone` that
    they have been put back since."""

    ident: str
    tool: str
    at: float
    files: tuple[Kept, ...]
    origin: bool
    undone: bool = False


class Backups:
    """The folder of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self, tool: str) -> list[Backup]:
        """Of one tool, the oldest first."""
        places = sorted((self._folder / tool).glob("*/manifest.json"))
        return [msgspec.json.decode(place.read_bytes(), type=Backup) for place in places]

    def get(self, tool: str, ident: str) -> Backup:
        """Raises NotFound."""
        found = next((one for one in self.all(tool) if one.ident == ident), None)
        if found is None:
            raise NotFound(f"There is no backup `{ident[:60]}` of {tool}.", code="backup_not_found")
        return found

    def keep(self, tool: str, at: float, contents: Sequence[tuple[Kept, bytes]], *, origin: bool) -> Backup:
        """Writes one, and lets go of the oldest where there are too many."""
        moment = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%S%fZ")
        backup = Backup(f"{moment}-{token_hex(4)}", tool, at, tuple(kept for kept, _ in contents), origin)
        folder = self._of(backup)
        folder.mkdir(mode=0o700, parents=True)
        for number, (_, content) in enumerate(contents):
            private.write(folder / str(number), content)
        self._note(backup)
        self._tidy(tool)
        return backup

    def content(self, backup: Backup, number: int) -> bytes:
        """What one of its files held; nothing where it was not there."""
        return (self._of(backup) / str(number)).read_bytes()

    def done_with(self, backups: Sequence[Backup]) -> None:
        """Notes that these have been put back."""
        for backup in backups:
            self._note(msgspec.structs.replace(backup, undone=True))

    def remove(self, backup: Backup) -> None:
        shutil.rmtree(self._of(backup))

    def size(self, backup: Backup) -> int:
        """Bytes of its files."""
        return sum((self._of(backup) / str(number)).stat().st_size for number in range(len(backup.files)))

    def _of(self, backup: Backup) -> Path:
        assert _ident.fullmatch(backup.ident)
        return self._folder / backup.tool / backup.ident

    def _note(self, backup: Backup) -> None:
        private.write(self._of(backup) / "manifest.json", msgspec.json.encode(backup))

    def _tidy(self, tool: str) -> None:
        there = self.all(tool)
        needed = chain(there)
        for backup in [one for one in there if one not in needed][: max(0, len(there) - KEPT)]:
            self.remove(backup)


def chain(backups: Sequence[Backup]) -> list[Backup]:
    """Those that an undo goes back through, the oldest first: from the last origin on, if it has not been undone."""
    found: list[Backup] = []
    for backup in backups:
        before = [] if backup.origin else found
        found = [] if backup.undone else [*before, backup]
    return found


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()
