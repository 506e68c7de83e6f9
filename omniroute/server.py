"""Runs the application under uvicorn: one process, its signals, its draining.

SIGTERM stops accepting, lets what is under way finish within `server.drain_timeout`, then cancels it; after that the
lifespan writes down what is owed.  SIGHUP reads the configuration again.

A restart ends in the same way, and then runs the same command line in the same process: whoever watches over it, systemd
or a container, sees nothing.  The sockets stay open meanwhile and are left to the new program, so that no connection is
refused: those that come wait in the system's queue until it accepts them.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

import uvicorn

from omniroute import __version__
from omniroute.app import Service
from omniroute.config.overrides import Overrides
from omniroute.config.secrets import FIRST_SOCKET, handed_over, handing_over
from omniroute.config.spec.words import seconds
from omniroute.listener import Listener, sweep_forever
from omniroute.telemetry.lines import LOG_FORMAT, Chosen, Lines

log = logging.getLogger("omniroute")
BACKLOG = 2048
HELD = 10_000
"""Lines of the log that may come before the configuration is read."""
CANNOT_RESTART = 71
"""The exit code where the same command line cannot be run again: EX_OSERR of sysexits(3)."""
KEEP_ALIVE = 30
"""Seconds that an idle client connection stays open."""


class Server(uvicorn.Server):
    """uvicorn with what it does not know: that the service is to be told, and what SIGHUP means."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._reloads: set[asyncio.Task[object]] = set()
        self._restart = False
        self.kept: list[socket.socket] = []
        """The sockets that are left to the program that comes next, if one does."""
        service.leave = self._leave

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._hup)
        self._sweep = loop.create_task(sweep_forever(self.server_state.connections))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.draining = True
        if self._restart:
            self.kept = [each.dup() for each in sockets or ()]
        await self._service.evals.close()  # who follows a run would be waited for
        await super().shutdown(sockets)
        self._sweep.cancel()

    def _leave(self, restart: bool) -> None:
        """From within; the answer to whoever asked for it is under way and so is finished first."""
        self._restart = restart
        self.should_exit = True

    def _hup(self) -> None:
        task = asyncio.get_running_loop().create_task(self._service.reload_unasked("process", "SIGHUP"))
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)


class CannotListen(Exception):
    """The address is taken, or is not one of this machine."""


def run(path: Path, overrides: Overrides, level: str) -> int:
    """Serves until a signal ends it. Raises ConfigError where the files do not make a gateway, or make one that would
    be open to strangers, and CannotListen where they make one that nobody could reach."""
    service = _logged(path, overrides, level)
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
    server = Server(config, service)
    server.run(sockets)
    return _again(server.kept) if server.kept else 0


def _logged(path: Path, overrides: Overrides, level: str) -> Service:
    """Makes the service. What is logged meanwhile is told when it is known in which form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(LOG_FORMAT))
    held = MemoryHandler(HELD, flushLevel=logging.CRITICAL + 1, target=handler)
    logging.basicConfig(level=level, handlers=[held])
    try:
        service = Service(path, overrides)
        handler.setFormatter(Chosen(lambda: service.live.current.telemetry.json_logs))
    finally:
        logging.basicConfig(level=level, handlers=[handler], force=True)  # closing the other tells what it holds
    return service


def _again(sockets: list[socket.socket]) -> int:
    """Runs the same command line in this process. Returns only where that fails."""
    log.info("begins again")
    try:
        # Away from where they are to be, for one may stand where another one belongs.
        apart = [fcntl.fcntl(each, fcntl.F_DUPFD, FIRST_SOCKET + len(sockets)) for each in sockets]
        for number, descriptor in enumerate(apart):
            os.dup2(descriptor, FIRST_SOCKET + number)
            os.close(descriptor)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], handing_over(len(sockets)))  # noqa: S606 - itself
    except OSError as error:
        log.error("cannot begin again: %s", error.strerror)
    return CANNOT_RESTART


def _inherited(places: Sequence[tuple[int, Any]]) -> list[socket.socket]:
    """The sockets that were left to this process, if they listen where it is to listen, and else none."""
    sockets = [socket.socket(fileno=descriptor) for descriptor in handed_over()]
    for each in sockets:
        each.set_inheritable(False)
    if len(sockets) == len(places) and all(map(_listens, sockets, places)):
        return sockets
    for each in sockets:
        each.close()
    return []


def _listens(there: socket.socket, place: tuple[int, Any]) -> bool:
    family, (host, port, *_) = place
    name = there.getsockname()
    return there.family == family and name[0] == host and port in (0, name[1])


def _listening(host: str, port: int) -> list[socket.socket]:
    """A socket for each address that the host has; opened here and not by uvicorn, which has no words for why not."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        places = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
        return _inherited(places) or [
            socket.create_server(address, family=family, backlog=BACKLOG) for family, address in places
        ]
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
