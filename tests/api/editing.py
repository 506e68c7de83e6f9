"""A real gateway's management plane over files of its own, driven without sockets, for who edits through it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from fake_application import Browser, Reply, client_shape
from litestar import Litestar
from support.edited import BEFORE, DIGEST, KEY

from omniroute import api
from omniroute.app import Service
from omniroute.config.overrides import Overrides


class Editor(Browser):
    """`files` are the configuration, the first one the main file, in a folder of its own: where none are given, a file
    full of comments. `{data}` in them is where the data goes, `{digest}` that of the key of an administrator, which
    every request carries."""

    def __init__(self, folder: Path, files: dict[str, str] | None = None) -> None:
        files = files or {"omniroute.yaml": BEFORE}
        for name, text in files.items():
            path = folder / "config" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.replace("{data}", str(folder / "data")).replace("{digest}", DIGEST).encode())
        self.folder = folder
        self.path = folder / "config" / next(iter(files))
        self.service = Service(self.path, Overrides())
        self.asgi = Litestar(
            api.routes(self.service),
            openapi_config=None,
            logging_config=None,
            exception_handlers=api.exception_handlers(self.service, client_shape),
        )

    def close(self) -> None:
        self.service.state.cache.close()
        self.service.state.ledger.close()

    @property
    def text(self) -> str:
        return self.path.read_bytes().decode()

    @property
    def secrets(self) -> list[str]:
        return self.service.vault.names()

    def do(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """A request of the administrator; a query may stand in the path."""
        at, _, query = path.partition("?")
        sent = b"" if body is None else msgspec.json.encode(body)
        return self(method, at, sent, key=KEY, query=query.encode(), **headers)

    def tag(self, path: str) -> str:
        return self.do("GET", path).headers["etag"]
