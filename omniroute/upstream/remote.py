"""Where the configuration's files are kept besides here, as those see it that keep both in step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from omniroute.errors import Conflict

Changes = Mapping[str, bytes | None]
"""Files to write, by name, and (None) to delete."""


class Tip(msgspec.Struct, frozen=True):
    """What a remote holds, and the revision by which it knows that; an empty one where there is nothing yet."""

    revision: str
    files: Mapping[str, bytes]


class Moved(Conflict):
    """Somebody else was faster: the remote is not where it was."""

    code = "remote_moved"


class Proposed(Conflict):
    """It has made a commit of the changes, for somebody to merge: nothing runs yet."""

    code = "remote_proposed"


class Remote(Protocol):
    """A branch, or another gateway. What waits for the network is called from a thread."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...

    def fetch(self) -> Tip:
        """What is there now. Raises Unavailable where it cannot be asked."""
        ...

    def push(self, onto: Tip, changes: Changes, message: str, author: str) -> Tip:
        """Writes and deletes files there, all at once. Raises Moved where the remote is no longer `onto`, Proposed where
        it keeps the changes for somebody to merge."""
        ...
