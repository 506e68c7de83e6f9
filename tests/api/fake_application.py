"""A management plane over a made-up application, driven without sockets."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from argon2 import PasswordHasher
from litestar import Litestar

from omniroute import api, catalog
from omniroute.api.endpoint import Endpoint
from omniroute.config import bundle
from omniroute.config.bundle import Bundle
from omniroute.config.exchange import Files
from omniroute.config.spec.backups import BackupsSpec
from omniroute.errors import ConfigError, Conflict, Fault, OmniRouteError, Problem
from omniroute.formats.patch import Quirks
from omniroute.routing.live import Live
from omniroute.routing.policies import Policies
from omniroute.routing.tables import (
    Access,
    Auth,
    Connection,
    Deadlines,
    Gateway,
    Principal,
    Revision,
    Server,
    Upstream,
)
from omniroute.services.backup import Backups, Sums
from omniroute.services.clients.settings import Clients, Place
from omniroute.services.drift import Drift, Worker
from omniroute.services.oauth import SignIns
from omniroute.services.sync import Sync
from omniroute.services.tokens import Tokens
from omniroute.state.base import Clock, Keeping, LedgerHealth, Profile
from omniroute.state.memory import MemoryLedger, memory_state
from omniroute.telemetry.collector import Metrics, Process
from omniroute.telemetry.witness import Observer
from omniroute.upstream.demo import Demo
from omniroute.upstream.oauth import AuthorizationServers

BUNDLE = bundle.read(Path(__file__).parents[2] / "config" / "omniroute.yaml", catalog.load())
PASSWORD = "correct horse"
_hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HASH = _hasher.hash(PASSWORD, salt=b"the same salt always")  # it names a case, and cases have names that stay
OTHER_HASH = _hasher.hash(PASSWORD + "!", salt=b"the same salt always")
KEYS = {
    "client": Principal(name="a", roles=frozenset({"client"}), allow=None, expires=None, tags={}),
    "other": Principal(name="b", roles=frozenset({"client"}), allow=(re.compile("x"),), expires=None, tags={}),
    "reader": Principal(name="r", roles=frozenset({"admin.read"}), allow=None, expires=None, tags={}),
    "writer": Principal(name="w", roles=frozenset({"client", "admin.write"}), allow=None, expires=None, tags={}),
    "expired": Principal(name="e", roles=frozenset({"admin.write"}), allow=None, expires=1_000.0, tags={}),
}
PROBLEM = Problem(
    code="OR103",
    severity="error",
    file="omniroute.yaml",
    line=3,
    col=5,
    path="providers.opnai",
    message="no such provider",
)


class Time:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.monotonic = 50.0

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds


class Ledger(MemoryLedger):
    """A ledger whose health is told to it."""

    told = LedgerHealth(ok=True)

    def health(self) -> LedgerHealth:
        return self.told


def upstream(name: str, connections: Sequence[str]) -> Upstream:
    return Upstream(
        name=name,
        endpoints={},
        connections=tuple(
            Connection(
                id=f"{name}.{each}",
                name=each,
                auth=Auth(scheme="none", secret=None),
                priority=1,
                weight=1,
                max_concurrent=None,
                profile=Profile(),
                headers=(),
            )
            for each in connections
        ),
        selection="fill-first",
        headers=(),
        deadlines=Deadlines(connect=1, first_byte=1, idle=1, total=1),
        quirks=Quirks(),
        operations={},
        transport="demo",
    )


def gateway(digest: str = "0123456789abcdef", generation: int = 1, **access: Any) -> Gateway:
    rights = {
        "require_login": True,
        "password_hash": None,
        "session_ttl": 43_200.0,
        "allowed_hosts": frozenset({"gw.example.com"}),
    }
    upstreams = {"openai": upstream("openai", ["team", "spare"]), "lab": upstream("lab", ["main"])}
    return Gateway(
        revision=Revision(digest=digest, generation=generation, source="omniroute.yaml", loaded_at=1_699_999_000.0),
        server=Server(
            require_api_key=False,
            body_limit=1024,
            ping_interval=10,
            progress_interval=2,
            strict_translation=False,
            answers=Keeping(),
        ),
        access=Access(**(rights | access)),
        routes={},
        bare={},
        aliases=(),
        upstreams=upstreams,
        prefixes={},
        principals={sha256(key.encode()).digest(): principal for key, principal in KEYS.items()},
        policies=Policies(),
        models=(),
        secrets=b"",
        warnings=(),
    )


class NoBooks:
    """No memory that is derived from a database."""

    def measure(self, _database: Path) -> Sums:
        return {}

    async def rebase(self, before: Sums | None, after: Sums) -> None:
        pass

    async def reread(self) -> None:
        pass


def no_files() -> Bundle:
    raise AssertionError("this application has no files")


async def no_commit(_proposal: object) -> str:
    raise AssertionError("this application is in no repository")


class NoSecrets:
    """A secret store with nothing in it."""

    def get(self, _name: str) -> str | None:
        return None

    def put(self, name: str, _value: str) -> None:
        raise OmniRouteError(f"nothing is kept here, neither {name}")

    def delete(self, *_names: str) -> None:
        pass


class Application:
    """What stands behind the plane, in memory."""

    def __init__(self) -> None:
        self.time = Time()
        self.ledger = Ledger()
        self.live = Live(gateway())
        self.state = msgspec.structs.replace(
            memory_state(),
            ledger=self.ledger,
            clock=Clock(now=lambda: self.time.now, monotonic=lambda: self.time.monotonic),
            random=random.Random(1),
        )
        self.backups = Backups(Path("/nowhere/x.sqlite"), BackupsSpec, lambda: self.time.now, NoBooks())
        self.ended: list[bool] = []
        self.locked = False
        self.exchange = Files(no_files, lambda _main: None, self.reload, no_commit, asyncio.Lock())
        servers = AuthorizationServers(Demo(), self.state.clock.now)
        self.sign_ins = SignIns(servers, Tokens(NoSecrets(), servers, self.state.clock), self.state.clock)
        self.clients = Clients(lambda: Place(Path("/nowhere")), Path("/nowhere"), lambda: self.time.now)
        self.sync = Sync(self.exchange, lambda: None, Path("/nowhere"), lambda: self.time.now)
        self.draining = False
        observer = Observer(self.live)
        self.metrics = Metrics(self.live, self.state, observer, lambda: Process(0, self.draining, "local", ""))
        self.catalogue_size = 35
        self.catalog = catalog.load()
        self.hash: str | None = HASH
        self.files: Gateway | Sequence[Problem] = self.live.current
        self.catalog = catalog.load()
        self.bundle = BUNDLE
        self.has_password = True
        self.spec: Mapping[str, Any] = {"providers": {"openai": {"api_key": "${env:OPENAI_API_KEY}"}}}

    def allow(self, **access: Any) -> None:
        """Changes the rules of access, now and for the files."""
        self.live.current = self.files = gateway(**access)

    async def packed(self) -> Iterator[bytes]:
        return iter([b"packed"])

    async def may_end(self, *, restart: bool) -> float:
        if self.locked:
            raise Conflict("Locked.", code="config_locked")
        if restart and not isinstance(self.files, Gateway):
            raise ConfigError(self.files)
        return 30.0

    def end(self, *, restart: bool) -> None:
        self.ended.append(restart)

    async def reload(self) -> Sequence[Problem]:
        if isinstance(self.files, Gateway):
            self.live.swap(self.files)
            return ()
        self.live.problems = tuple(self.files)
        return self.files

    def drift(self) -> Drift:
        running, problems = self.live.current.revision, self.live.problems
        worker = Worker(7, running.label, running.digest, running.generation, running.loaded_at)
        status = "failed" if problems else "synced"
        desired = None if problems else running.digest
        return Drift(status, running.loaded_at, desired, (worker,), problems, None)

    def describe(self) -> Mapping[str, Any]:
        return self.spec

    def password_hash(self) -> str | None:
        return self.hash


class Reply(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        return self.json["error"]["code"]

    @property
    def token(self) -> str:
        return self.headers["set-cookie"].partition("auth_token=")[2].partition(";")[0]


def client_shape(path: str, fault: Fault, name: str) -> bytes | None:
    """What the client API would say about its own paths."""
    if not path.startswith("/v1"):
        return None
    return msgspec.json.encode({"error": {"message": fault.message, "type": fault.kind}, "id": name})


class Browser:
    """Sends requests straight into the ASGI application."""

    def __init__(self, application: Application, endpoints: Sequence[Endpoint] = api.ENDPOINTS) -> None:
        self.application = application
        self.time = application.time
        self.asgi = Litestar(
            api.routes(application, endpoints),
            openapi_config=None,
            logging_config=None,
            exception_handlers=api.exception_handlers(application, client_shape),
        )

    def __call__(self, method: str, path: str, body: bytes | Sequence[bytes] = b"", **more: Any) -> Reply:
        return asyncio.run(self.send(method, path, body, **more))

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | Sequence[bytes] = b"",
        *,
        key: str | None = None,
        cookie: str | None = None,
        host: bytes | None = b"127.0.0.1:20128",
        peer: str = "192.0.2.1",
        server: str = "192.0.2.9",
        scheme: str = "http",
        query: bytes = b"",
        **named: str,
    ) -> Reply:
        """Named arguments are headers, with `_` for `-`."""
        headers = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in named.items()]
        if host is not None:
            headers.append((b"host", host))
        if key is not None:
            headers.append((b"authorization", f"Bearer {key}".encode()))
        if cookie is not None:
            headers.append((b"cookie", f"auth_token={cookie}".encode()))
        parts = [body] if isinstance(body, bytes) else list(body)
        if parts != [b""] and "content_type" not in named:
            headers.append((b"content-type", b"application/json"))
        return await self.raw(method, path, headers, parts, (peer, 5555), (server, 20128), scheme, query)

    async def raw(
        self,
        method: str,
        path: str,
        headers: list[tuple[bytes, bytes]],
        parts: Sequence[bytes] = (b"",),
        client: tuple[str, int] | None = ("192.0.2.1", 5555),
        server: tuple[str, int] | None = ("192.0.2.9", 20128),
        scheme: str = "http",
        query: bytes = b"",
    ) -> Reply:
        messages = [
            {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}
            for number, part in enumerate(parts)
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": scheme,
            "path": path,
            "raw_path": path.encode("utf-8", "replace"),
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": client,
            "server": server,
        }
        await self.asgi(scope, receive, send)
        start, *rest = sent
        pairs = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
        return Reply(start["status"], pairs, b"".join(part.get("body", b"") for part in rest))

    def login(self, password: str = PASSWORD, **more: Any) -> Reply:
        return self("POST", "/api/auth/login", msgspec.json.encode({"password": password}), **more)

    def logged_in(self) -> dict[str, str]:
        """What a page of ours sends with each request after a login."""
        reply = self.login()
        return {"cookie": reply.token, "x_omniroute_csrf": reply.json["csrfToken"]}
