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

from omniroute import __version__
from omniroute.app import Service
from omniroute.config.overrides import Overrides
from omniroute.config.spec.words import seconds
from omniroute.listener import Listener, sweep_forever

log = logging.getLogger("omniroute")
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
BACKLOG = 2048
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
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._hup)
        self._sweep = loop.create_task(sweep_forever(self.server_state.connections))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.draining = True
        await self._service.evals.close()  # who follows a run would be waited for
        self._sweep.cancel()
        await super().shutdown(sockets)

    def _hup(self) -> None:
        task = asyncio.get_running_loop().create_task(self._service.reload_unasked("process", "SIGHUP"))
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)


class CannotListen(Exception):
    """The address is taken, or is not one of this machine."""


def run(path: Path, overrides: Overrides, level: str) -> int:
    """Serves until a signal ends it. Raises ConfigError where the files do not make a gateway, or make one that would
    be open to strangers, and CannotListen where they make one that nobody could reach."""
    logging.basicConfig(level=level, format=LOG_FORMAT, stream=sys.stderr)
    service = Service(path, overrides)
    settings = service.bundle.spec.server
    sockets = _listening(settings.host, settings.port)
    config = uvicorn.Config(
        service.app(),
        loop="uvloop",
        http=Listener,
        interface="asgi3",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=round(seconds(settings.drain_timeout)),
    )
    _greet(service, sockets[0].getsockname()[1])
    Server(config, service).run(sockets)
    return 0


def _listening(host: str, port: int) -> list[socket.socket]:
    """A socket for each address that the host has; opened here and not by uvicorn, which has no words for why not."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        places = dict.fromkeys((family, address) for family, _, _, _, address in found)
        return [socket.create_server(address, family=family, backlog=BACKLOG) for family, address in places]
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from None


def _greet(service: Service, port: int) -> None:
    """What the operator wants to know at the start. A password that was made up is told on a terminal only, never
    into a log that is kept."""
    host, revision = service.bundle.spec.server.host, service.live.current.revision
    shown = f"[{host}]" if ":" in host else host
    log.info("OmniRoute %s on http://%s:%d, revision %s", __version__, shown, port, revision.label)
    if service.overrides.insecure:
        log.warning("started with --insecure: whoever can reach this address can use every provider behind it")
    access = service.live.current.access
    if access.require_login and access.password_hash is None and service.first_password.made_up and sys.stderr.isatty():
        sys.stderr.write(f"Administrator password of this process: {service.first_password.text}\n")
