"""Which models a connection has: as its provider says, else as the catalogue and the file do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from omniroute.errors import UpstreamError
from omniroute.formats.model_lists import Found
from omniroute.routing.live import Live
from omniroute.routing.tables import Connection, Upstream
from omniroute.services import calls
from omniroute.state.base import Clock
from omniroute.upstream import asking
from omniroute.upstream.client import Client


class Listed(msgspec.Struct, frozen=True):
    """The models of a connection and who says so; `reason` is why the provider does not, where it was asked."""

    models: Sequence[Found]
    source: Literal["api", "local_catalog"]
    reason: str = ""


class Models:
    """Asks providers what they have."""

    def __init__(self, live: Live, client: Client, clock: Clock) -> None:
        self._live = live
        self._client = client
        self._clock = clock

    async def asked(self, upstream: Upstream, connection: Connection) -> list[Found]:
        """What the provider says. Raises UpstreamError; nothing where it has no list."""
        if upstream.transport == "demo" or not asking.listing_format(upstream):
            return []
        return await asking.models(self._client, upstream, connection, self._clock.now())

    async def of(self, upstream: Upstream, connection: Connection) -> Listed:
        """What the provider says, else what is known here."""
        reason = "the provider has no list of models"
        try:
            found = await self.asked(upstream, connection)
        except UpstreamError as error:
            found, reason = [], error.fault.message
        if found:
            return Listed(found, "api")
        return Listed(self._known(upstream.name), "local_catalog", reason)

    def _known(self, provider: str) -> list[Found]:
        found = calls.known(self._live.current, provider)
        return [Found(one.model, owned_by=provider, context=one.facts.context) for one in found]
