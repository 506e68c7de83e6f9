"""The engine of some files for a verb that asks their providers: no server, no database, and nothing is left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from omniroute.catalog import Catalog
from omniroute.config import secrets
from omniroute.config.bundle import Bundle
from omniroute.config.compile import compile_gateway
from omniroute.relay.inside import Inside
from omniroute.routing.live import Live
from omniroute.services.bench import Bench
from omniroute.services.tokens import Tokens
from omniroute.state.memory import memory_state
from omniroute.upstream.client import Client
from omniroute.upstream.demo import Demo
from omniroute.upstream.dial import tls_context
from omniroute.upstream.fallback import Fallback
from omniroute.upstream.image import Fetcher
from omniroute.upstream.oauth import AuthorizationServers
from omniroute.upstream.transport import Transport
from omniroute.upstream.wire import Wire


@asynccontextmanager
async def workbench(read: Bundle, catalog: Catalog) -> AsyncIterator[tuple[Live, Bench, Transport]]:
    """What runs, what tries it, and what sends for it. Raises ConfigError where the files make no gateway, for a secret is not there."""
    vault = secrets.vault_of(read)
    live = Live(compile_gateway(read, catalog, vault=vault))
    state = memory_state()
    tls = tls_context()
    wire = Wire(tls=tls)
    tokens = Tokens(vault, AuthorizationServers(wire, state.clock.now), state.clock)
    client = Client({"httptools": wire, "httpx": Fallback(tls=tls), "demo": Demo()}, Fetcher(tls=tls), tokens)
    ask = Inside(live, state, client)
    try:
        yield live, Bench(live, lambda: read, catalog, client, ask, tls, state.clock), wire
    finally:
        await tokens.close()
        await client.close()
