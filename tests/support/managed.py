"""The whole application in the loop of a test, without a socket of its own: its management plane as JSON in, JSON out.

The configuration opens it to this machine (`auth.require_login: false`); requests come from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec

from omniroute.app import Service
from omniroute.config.overrides import Overrides


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Managed:
    def __init__(self, service: Service) -> None:
        self.service = service
        self._app = service.app()

    async def __call__(self, method: str, path: str, body: Any = None, **named: str) -> Answer:
        """`body` is JSON, or bytes as they are; named arguments are headers, with `_` for `-`."""
        sent: list[Any] = []
        content = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
        waiting = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> Any:
            return waiting.pop() if waiting else await asyncio.Future()

        async def send(message: Any) -> None:
            sent.append(message)

        headers = {"host": "127.0.0.1", "content-type": "application/json"} | {
            name.replace("_", "-"): value for name, value in named.items()
        }
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 5555),
            "server": ("127.0.0.1", 20128),
        }
        await self._app(scope, receive, send)
        start, *rest = sent
        pairs = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
        return Answer(start["status"], pairs, b"".join(part.get("body", b"") for part in rest))

    def rows(self) -> list[Any]:
        """The rows of the ledger, oldest first."""
        assert self.service.state.ledger.flush()
        return list(reversed(self.service.state.ledger.recent(1000)))


@asynccontextmanager
async def managed(folder: Path, config: str) -> AsyncIterator[Managed]:
    """A running one, which looks at its files when it is told to and not by itself. `{data_dir}` in the configuration
    becomes a folder beside it."""
    file = folder / "omniroute.yaml"
    file.write_text(config.replace("{data_dir}", str(folder / "data")))
    service = Service(file, Overrides())
    one = Managed(service)
    with patch("omniroute.app.watch.watch", _unwatched):
        async with service.lifespan(None):  # type: ignore[arg-type]
            yield one


async def _unwatched(*_: object) -> None:
    await asyncio.Event().wait()


def run(folder: Path, config: str, test: Callable[[Managed], Awaitable[None]]) -> None:
    """Runs a test in it."""

    async def main() -> None:
        async with managed(folder, config) as one:
            await test(one)

    asyncio.run(main())
