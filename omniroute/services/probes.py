"""Tries configured connections: one small call each, through the engine, of which nothing is left but the verdict.

Health is not asked, for whoever tests a connection that cools down wants to know whether it works again, and it is not
told: real requests decide about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from omniroute.catalog import Catalog, Model
from omniroute.config.bundle import Bundle
from omniroute.config.spec.providers import ProviderSpec
from omniroute.errors import BadRequest, NotFound, UpstreamError
from omniroute.routing.inquiry import Ask
from omniroute.routing.live import Live
from omniroute.routing.tables import Connection, Target, Upstream
from omniroute.services import calls, verdict
from omniroute.services.models import Models
from omniroute.services.verdict import Verdict
from omniroute.state.base import Clock

Mode = Literal["all", "oauth", "apikey", "free", "compatible", "provider"]
"""Which connections: all, those that log in, those with a key, those without a credential, those of nodes of one's own,
or those of one provider."""
AT_ONCE = 8
TRIALS = 3
"""Models that are tried where the provider says that it does not have the one before."""


class Tried(msgspec.Struct, frozen=True):
    """A connection and what its trial said."""

    upstream: Upstream
    connection: Connection
    verdict: Verdict


class Probes:
    """Tests connections, and remembers in memory what the last test of each said."""

    def __init__(
        self, live: Live, bundle: Callable[[], Bundle], catalog: Catalog, ask: Ask, models: Models, clock: Clock
    ) -> None:
        self._live = live
        self._bundle = bundle
        self._catalog = catalog
        self._ask = ask
        self._models = models
        self._clock = clock
        self._last: dict[str, Verdict] = {}

    def last_test(self, ident: str) -> Verdict | None:
        """What the last test of a connection said, in this process; None where there was none."""
        return self._last.get(ident)

    async def test(self, ident: str, model: str = "") -> Tried:
        """One connection, by its id. Raises NotFound."""
        upstream, connection = find(self._live, ident)
        found = await self.verdict(upstream, connection, model)
        self._last[ident] = found
        for gone in self._last.keys() - {one.id for _, one in self._all()}:
            del self._last[gone]
        return Tried(upstream, connection, found)

    async def batch(self, mode: Mode, provider: str = "") -> list[Tried]:
        """Many at once, in the order of the configuration. Raises BadRequest where the mode wants a provider, NotFound
        for one that is not configured."""
        if mode == "provider" and not provider:
            raise BadRequest("The mode `provider` needs a `providerId`.", code="provider_missing", param="providerId")
        name = self._live.current.prefixes.get(provider, provider)
        if provider and name not in self._live.current.upstreams:
            raise NotFound(f"There is no provider `{provider[:80]}` here.", code="provider_not_found")
        chosen = [one.id for upstream, one in self._all() if self._fits(mode, name, upstream, one)]
        places = asyncio.Semaphore(AT_ONCE)

        async def one_of(ident: str) -> Tried:
            async with places:
                return await self.test(ident)

        return await asyncio.gather(*map(one_of, chosen))

    async def verdict(self, upstream: Upstream, connection: Connection, model: str = "") -> Verdict:
        """Of a connection that need not be configured."""
        targets = await self._targets(upstream, connection, model)
        if isinstance(targets, Verdict):
            return targets
        found: Verdict | None = None
        for target in targets:
            asked = await self._ask(calls.call(target, connection, "alone"))
            found = verdict.of_answer(asked, self._clock.now(), calls.operation(target), target.model)
            if found.diagnosis.code != "no_model":
                break
        assert found is not None
        return found

    async def _targets(self, upstream: Upstream, connection: Connection, model: str) -> list[Target] | Verdict:
        """What can be called, or why nothing can."""
        now = self._clock.now()
        spec = self._bundle().spec.providers.get(upstream.name, ProviderSpec())
        known = calls.cheapest(self._live.current, self._catalog, spec.type or upstream.name, upstream)
        if model:
            bare = model.removeprefix(f"{upstream.name}/")
            named = [one for one in known if bare in (one.model, one.id.removeprefix(f"{upstream.name}/"))]
            return named or [_unknown(upstream, bare)]
        if known:
            return known[:TRIALS]
        if not upstream.endpoints:
            what = f"`{upstream.name}` offers nothing that can be asked for at small cost"
            return verdict.without_call("unsupported", what, now, "local")
        began = self._clock.monotonic()
        try:
            listed = await self._models.asked(upstream, connection)
        except UpstreamError as error:
            return verdict.of_error(error, now, self._clock.monotonic() - began, "models")
        if not listed:
            what = f"`{upstream.name}` lists no models: name one in `model`"
            return verdict.without_call("unsupported", what, now, "upstream")
        return [_unknown(upstream, one.id) for one in listed[:TRIALS]]

    def _all(self) -> Iterator[tuple[Upstream, Connection]]:
        for upstream in self._live.current.upstreams.values():
            for connection in upstream.connections:
                yield upstream, connection

    def _fits(self, mode: Mode, provider: str, upstream: Upstream, connection: Connection) -> bool:
        spec = self._bundle().spec.providers.get(upstream.name, ProviderSpec())
        fits = {
            "all": True,
            "oauth": connection.auth.scheme == "oauth",
            "apikey": connection.auth.secret is not None,
            "free": connection.auth.secret is None and connection.auth.oauth is None,
            "compatible": spec.type is not None,
            "provider": True,
        }
        return fits[mode] and (not provider or upstream.name == provider)


def _unknown(upstream: Upstream, model: str) -> Target:
    """A model of which nothing is known but its name."""
    return calls.target_of(upstream, Model(id=model, kind=None))


def find(live: Live, ident: str) -> tuple[Upstream, Connection]:
    """A configured connection by its id. Raises NotFound."""
    provider, _, _ = ident.partition(".")
    upstream = live.current.upstreams.get(provider)
    for connection in upstream.connections if upstream is not None else ():
        if upstream is not None and connection.id == ident:
            return upstream, connection
    what = f"There is no connection `{ident[:160]}` here, or it is switched off."
    raise NotFound(what, code="connection_not_found")
