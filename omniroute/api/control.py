"""What the management plane needs of the application, and no more: it never sees the client API or the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from omniroute.catalog import Catalog
from omniroute.config.exchange import Files
from omniroute.errors import Problem
from omniroute.routing.live import Live
from omniroute.services.clients.settings import Clients
from omniroute.services.sync import Sync
from omniroute.state.base import State


class Control(Protocol):
    """The application as the management plane knows it."""

    @property
    def live(self) -> Live: ...

    @property
    def state(self) -> State: ...

    @property
    def exchange(self) -> Files:
        """The configuration's files as a whole."""
        ...

    @property
    def sync(self) -> Sync:
        """What keeps them the same as at a remote."""
        ...

    @property
    def clients(self) -> Clients:
        """The command-line tools of this machine's user."""
        ...

    @property
    def draining(self) -> bool:
        """Whether the server has begun to stop: it finishes what is under way and wants nothing new."""
        ...

    @property
    def catalog(self) -> Catalog: ...

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
