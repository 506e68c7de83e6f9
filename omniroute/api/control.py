"""What the management plane needs of the application, and no more: it never sees the client API or the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from omniroute.catalog import Catalog
from omniroute.config.bundle import Bundle
from omniroute.config.exchange import Files
from omniroute.config.vault import Vault
from omniroute.config.writer import Change
from omniroute.document import Edit
from omniroute.errors import Problem
from omniroute.routing.live import Live
from omniroute.services.backup import Backups
from omniroute.services.bench import Bench
from omniroute.services.clients.settings import Clients
from omniroute.services.drafts import Drafts
from omniroute.services.drift import Drift
from omniroute.services.evals.evals import Evals
from omniroute.services.oauth import SignIns
from omniroute.services.sync import Sync
from omniroute.state.base import State
from omniroute.telemetry.collector import Metrics


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
    def sign_ins(self) -> SignIns:
        """Signing in at providers."""
        ...

    @property
    def evals(self) -> Evals:
        """Runs the suites of the configuration."""
        ...

    @property
    def drafts(self) -> Drafts:
        """Looks at the files on disk without taking them."""
        ...

    def drift(self) -> Drift:
        """How what runs stands to the files; it reads them."""
        ...

    @property
    def metrics(self) -> Metrics:
        """What Prometheus reads."""
        ...

    @property
    def draining(self) -> bool:
        """Whether the server has begun to stop: it finishes what is under way and wants nothing new."""
        ...

    @property
    def bench(self) -> Bench:
        """Tries connections, credentials, addresses, proxies and combos."""
        ...

    @property
    def catalogue_size(self) -> int:
        """How many providers the shipped catalogue knows."""
        ...

    @property
    def bundle(self) -> Bundle:
        """The files that run."""
        ...

    @property
    def vault(self) -> Vault:
        """The secrets that the gateway keeps."""
        ...

    @property
    def catalog(self) -> Catalog: ...

    async def edit(
        self,
        change: Callable[[Bundle], Sequence[Edit]],
        *,
        if_match: str | None,
        etag_of: Callable[[Bundle], str],
        dry_run: bool,
        author: str,
        reason: str,
    ) -> Change:
        """Change the files, and return when the changed configuration runs. Raises StaleEdit, ConfigLocked, ConfigError
        for what the edit would make of the files, and Conflict or Unavailable where they cannot be written."""
        ...

    async def reload(self) -> Sequence[Problem]:
        """Read the files again. Returns when the new snapshot runs; problems mean that the old one still does."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """The running configuration as written: references in the place of secrets."""
        ...

    @property
    def has_password(self) -> bool:
        """Whether the operator has set a password, in the files or for this process."""
        ...

    def password_hash(self) -> str | None:
        """The argon2 hash of the administrator's password, in the clear; None where no password is set. It is
        compared here and put into no answer."""
        ...
