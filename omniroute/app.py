"""The composition root: everything is made here, once, and handed to whoever needs it.

files ─ bundle ─ compile ─► Live ──► Gate (client API)
                             ▲  └──► api   (management)
   watch, SIGHUP, POST ──────┘
                          State, Client: outlive every reload
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from litestar import Litestar, asgi
from litestar.types import ASGIApp

from omniroute import api, catalog
from omniroute.config import bundle, watch
from omniroute.config.compile import compile_gateway
from omniroute.errors import ConfigError, Problem
from omniroute.relay.ingress import ENDPOINTS, Gate
from omniroute.routing.live import Live
from omniroute.state.base import Clock, State
from omniroute.state.memory import MemoryBreakers, MemoryCounters
from omniroute.state.sqlite import SqliteLedger
from omniroute.upstream.client import Client
from omniroute.upstream.demo import Demo
from omniroute.upstream.wire import Wire

log = logging.getLogger("omniroute")


class Service:
    """One running gateway. Making it reads and compiles the files and raises ConfigError where they are wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.catalog = catalog.load()
        self.bundle = bundle.read(path, self.catalog)
        self.live = Live(compile_gateway(self.bundle, self.catalog, generation=1, now=time.time()))
        clock = Clock()
        self.state = State(
            breakers=MemoryBreakers(),
            counters=MemoryCounters(),
            ledger=SqliteLedger(Path(self.bundle.spec.server.data_dir) / "omniroute.sqlite"),
            clock=clock,
            random=random.Random(),
        )
        self.client = Client({"httptools": Wire(), "demo": Demo()})
        self.gate = Gate(self.live, self.state, self.client)
        self.draining = False
        self._reloading = asyncio.Lock()

    async def reload(self) -> Sequence[Problem]:
        """Reads the files again. Gives the problems where they do not make a gateway, and then nothing has changed;
        equal files change nothing either."""
        async with self._reloading:
            now = self.state.clock.now()
            generation = self.live.current.revision.generation + 1
            try:
                fresh = await asyncio.to_thread(bundle.read, self.path, self.catalog)
                if fresh.digest == self.live.current.revision.digest:
                    self.live.settle(now)
                    return ()
                gateway = await asyncio.to_thread(compile_gateway, fresh, self.catalog, generation=generation, now=now)
            except ConfigError as error:
                self.live.refuse(error.problems, now)
                log.error(
                    "the configuration was not reloaded, revision %s goes on: %s",
                    self.live.current.revision.label,
                    error,
                )
                return error.problems
            self.bundle = fresh
            self.live.swap(gateway)
            log.info("revision %s runs, generation %d", gateway.revision.label, generation)
            return ()

    @asynccontextmanager
    async def lifespan(self, _app: Litestar) -> AsyncIterator[None]:
        """Watches the files while the server runs; at its end closes what is open and writes down what is owed."""
        watching = asyncio.create_task(watch.watch(lambda: self.bundle.files, self.reload))
        try:
            yield
        finally:
            self.draining = True
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await self.client.close()
            if not await asyncio.to_thread(self.state.ledger.close):
                log.error("some rows of the ledger could not be written: %s", self.state.ledger.health())

    def app(self) -> Litestar:
        """The ASGI application of both planes."""
        clients = [
            asgi(row.path, is_mount=row.mount, copy_scope=False, name=f"{row.method} {row.path}")(self._hot(row_app))
            for row in ENDPOINTS
            for row_app in (self.gate.app(row),)
        ]
        return Litestar(
            [*clients, *api.routes(self)],
            lifespan=[self.lifespan],
            openapi_config=None,
            logging_config=None,
            exception_handlers=api.exception_handlers(self.gate.not_found),
        )

    @staticmethod
    def _hot(app: ASGIApp) -> Any:
        return app
