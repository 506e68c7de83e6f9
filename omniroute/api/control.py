"""What the management plane needs of the application, and no more: it never sees the client API or the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from omniroute.errors import Problem
from omniroute.routing.live import Live
from omniroute.services.backup import Backups
from omniroute.services.clients.settings import Clients
from omniroute.state.base import State


class Control(Protocol):
    """The application as the management plane knows it."""

    @property
    def live(self) -> Live: ...

    @property
    def state(self) -> State: ...

    @property
    def clients(self) -> Clients:
        """The command-line tools of this machine's user."""
        ...

    @property
    def backups(self) -> Backups: ...

    async def packed(self) -> Iterator[bytes]:
        """The archive of everything, piece by piece; it blocks between them."""
        ...

    async def may_end(self, *, restart: bool) -> float:
        """Raises Conflict where nobody may end the process over the network, and ConfigError where it could not begin
        again; gives the seconds that requests under way would have."""
        ...

    def end(self, *, restart: bool) -> None:
        """Begin to, and return at once."""
        ...

    @property
    def draining(self) -> bool:
        """Whether the server has begun to stop: it finishes what is under way and wants nothing new."""
        ...

    @property
    def catalogue_size(self) -> int:
        """How many providers the shipped catalogue knows."""
        ...

    async def reload(self) -> Sequence[Problem]:
        """Read the files again. Returns when the new snapshot runs; problems mean that the old one still does."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """The running configuration as written: references in the place of secrets."""
        ...

    def password_hash(self) -> str | None:
        """The argon2 hash of the administrator's password, in the clear; None where no password is set. It is
        compared here and put into no answer."""
        ...
