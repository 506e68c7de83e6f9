"""Connections that sign in at a scripted authorization server, over a real socket, by a clock that stands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from support.upstream import Asked, Script, Upstream, whole

from omniroute.errors import OmniRouteError
from omniroute.routing.tables import Auth, Connection, Endpoint, OAuth, Origin
from omniroute.secret import Secret
from omniroute.services.oauth import SignIns, came_back
from omniroute.services.tokens import Tokens
from omniroute.state.base import Clock, Profile
from omniroute.upstream.oauth import AuthorizationServers
from omniroute.upstream.wire import Wire

START = 1_700_000_000.0


class Disk:
    """A secret store in memory, whose disk may fail."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.fails = False
        self.puts: list[str] = []
        self.before_put: Callable[[], None] = lambda: None

    def get(self, name: str) -> str | None:
        if self.fails:
            raise OmniRouteError("the disk is gone")
        return self.values.get(name)

    def put(self, name: str, value: str) -> None:
        self.before_put()
        if self.fails:
            raise OmniRouteError("the disk is full")
        self.values[name] = value
        self.puts.append(value)

    def delete(self, *names: str) -> None:
        for name in names:
            self.values.pop(name, None)


class Time:
    """What the clock says. Whoever sleeps by it waits until the test lets time pass."""

    def __init__(self) -> None:
        self.now = START
        self.sleeping: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        waiting = asyncio.get_running_loop().create_future()
        self.sleeping.append((self.now + seconds, waiting))
        await waiting

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        for until, waiting in self.sleeping:
            if until <= self.now and not waiting.done():
                waiting.set_result(None)


def token(number: int | str = 1, **more: Any) -> Script:
    """What a token endpoint answers with."""
    said = {"access_token": f"access-{number}", "token_type": "Bearer", "expires_in": 3600}
    return whole(said | {"refresh_token": f"refresh-{number}"} | more)


def refused(error: str, status: int = 400, **more: Any) -> Script:
    return whole({"error": error} | more, status)


class Rig:
    """Everything that signs in, in one process. The server answers with what is in `answers`, one after the other, the
    last one again and again."""

    def __init__(self, server: Upstream) -> None:
        self.server = server
        server.script = self._answer
        self.answers: list[Script | Callable[[Asked], Script]] = [token()]
        self.disk = Disk()
        self.time = Time()
        self.cleared: list[str] = []
        self.clock = Clock(now=lambda: self.time.now, monotonic=lambda: self.time.now, sleep=self.time.sleep)
        self.oauth = OAuth(
            issuer=f"{server.url}/token",
            client_id="our-client",
            client_secret=None,
            scopes=("one", "two"),
            redirect_uri="http://localhost:8080/callback",
            token=self.at("/token"),
            authorization=f"{server.url}/authorize",
            device=self.at("/device"),
            revocation=self.at("/revoke"),
        )
        self.connection = self.connect(self.oauth)

    def at(self, path: str) -> Endpoint:
        return Endpoint(origin=Origin("http", "127.0.0.1", self.server.port), base_path=path)

    def connect(self, oauth: OAuth | None, name: str = "main") -> Connection:
        return Connection(
            id=f"house.{name}",
            name=name,
            auth=Auth(scheme="oauth", secret=None, oauth=oauth),
            priority=1,
            weight=1,
            max_concurrent=None,
            profile=Profile(),
            headers=(),
        )

    def change(self, **fields: Any) -> Connection:
        """The same connection with an OAuth that differs, as after an edit."""
        self.oauth = msgspec.structs.replace(self.oauth, **fields)
        self.connection = self.connect(self.oauth)
        return self.connection

    def _answer(self, asked: Asked) -> Script:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(asked) if callable(answer) else answer

    @property
    def asked(self) -> list[dict[str, str]]:
        """The forms that reached the server."""
        return [dict(parse_qsl(one.body.decode())) for one in self.server.asked]

    @property
    def stored(self) -> dict[str, Any]:
        return json.loads(self.disk.values["oauth.house.main"])

    def run(self, test: Callable[[], Awaitable[Any]]) -> Any:
        """Runs a test with transports of its own."""

        async def main() -> Any:
            wire = Wire()
            servers = AuthorizationServers(wire, self.clock.now)
            self.tokens = Tokens(self.disk, servers, self.clock, self.cleared.append)
            self.sign_ins = SignIns(servers, self.tokens, self.clock)
            try:
                return await test()
            finally:
                await self.tokens.close()
                await wire.close()

        return asyncio.run(main())

    async def sign_in(self, owner: str = "me") -> None:
        """Signs in by code."""
        began = self.sign_ins.authorize(self.connection, owner)
        url = f"http://localhost:8080/callback?code=the-code&state={began.state}"
        await self.sign_ins.exchange({self.connection.id: self.connection}, owner, came_back(url))
        self.server.asked.clear()


def bearer(auth: Auth | None) -> str:
    """The token of an `Auth`."""
    assert auth is not None
    assert isinstance(auth.secret, Secret)
    return auth.secret.reveal()


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
