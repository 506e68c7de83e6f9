"""Runs the application under uvicorn: one process, its signals, its draining.

SIGTERM stops accepting, lets what is under way finish within `server.drain_timeout`, then cancels it; after that the
lifespan writes down what is owed.  SIGHUP reads the configuration again.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from omniroute.app import Service
from omniroute.config import exposure

log = logging.getLogger("omniroute")
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
KEEP_ALIVE = 30
"""Seconds that an idle client connection stays open."""


class Server(uvicorn.Server):
    """uvicorn with what it does not know: that the service is to be told, and what SIGHUP means."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._reloads: set[asyncio.Task[object]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hup)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.draining = True
        await super().shutdown(sockets)

    def _hup(self) -> None:
        task = asyncio.get_running_loop().create_task(self._service.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)


def run(path: Path, host: str | None, port: int | None, *, insecure: bool, level: str = "INFO") -> int:
    """Serves until a signal ends it. Raises ConfigError where the files do not make a gateway, or make one that would
    be open to strangers and `insecure` does not say that this is meant."""
    logging.basicConfig(level=level, format=LOG_FORMAT, stream=sys.stderr)
    service = Service(path, host=host, port=port, insecure=insecure)
    settings = service.bundle.spec.server
    config = uvicorn.Config(
        service.app(),
        host=service.host,
        port=service.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=round(settings.drain),
    )
    Server(config, service).run()
    return 0
