"""What is kept of the past of the run-time database."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from omniroute.config.spec.words import Lasting, Node, Size


class BackupsSpec(Node, frozen=True, kw_only=True):
    """Copies of the history, under `server.data_dir`. A restore, and an import, makes one of what was there before."""

    keep: Annotated[
        int,
        Meta(
            ge=1,
            le=1000,
            description="How many are kept of each kind (asked for, by the clock, before a restore, before an import); the "
            "oldest go first.",
        ),
    ] = 20
    every: Annotated[Lasting | None, Meta(description="How often one is made by the clock; never, if absent.")] = None
    import_limit: Annotated[Size, Meta(description="How large a database may be that is handed in.")] = "1GiB"
