"""Device codes of a real authorization server, by a clock that the test moves on between two questions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from authority import USER, AuthorizationServer

from omniroute.errors import UpstreamError
from omniroute.routing.tables import Auth, Connection, Endpoint, OAuth, Origin
from omniroute.services.oauth import Device, Pending, SignIns
from omniroute.services.tokens import SignIn, Tokens
from omniroute.state.base import Clock, Profile
from omniroute.upstream.oauth import AuthorizationServers
from omniroute.upstream.wire import Wire


class Memory:
    """A secret store."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        return self.values.get(name)

    def put(self, name: str, value: str) -> None:
        self.values[name] = value

    def delete(self, *names: str) -> None:
        for name in names:
            self.values.pop(name, None)


class Desk:
    """Who signs in, and a clock that is ahead."""

    def __init__(self, server: AuthorizationServer, wire: Wire, client_id: str) -> None:
        self.server, self.ahead = server, 0.0
        port = int(server.url.rpartition(":")[2])

        def at(path: str) -> Endpoint:
            return Endpoint(origin=Origin("http", "127.0.0.1", port), base_path=path)

        clock = Clock(now=lambda: time.time() + self.ahead)
        servers = AuthorizationServers(wire, clock.now)
        self.tokens = Tokens(Memory(), servers, clock)
        self.sign_ins = SignIns(servers, self.tokens, clock)
        oauth = OAuth(
            issuer=f"{server.url}/token",
            client_id=client_id,
            client_secret=None,
            scopes=("openid", "offline_access", "email"),
            redirect_uri="http://localhost:8080/callback",
            token=at("/token"),
            device=at("/device/auth"),
            revocation=at("/token/revocation"),
        )
        self.connection = Connection(
            id="house.main",
            name="main",
            auth=Auth(scheme="oauth", secret=None, oauth=oauth),
            priority=1,
            weight=1,
            max_concurrent=None,
            profile=Profile(),
            headers=(),
        )

    @property
    def all(self) -> Mapping[str, Connection]:
        return {self.connection.id: self.connection}

    async def ask(self, begun: Device) -> SignIn | Pending:
        """As soon as the provider may be asked again."""
        self.ahead += 30
        return (await self.sign_ins.poll(self.all, "me", begun.handle))[1]

    async def begin(self) -> Device:
        return await self.sign_ins.device(self.connection, "me")

    async def do(self, what: Callable[[str], None], begun: Device) -> None:
        """Has the user do something at the address that holds the code."""
        assert begun.verification_uri_complete is not None
        await asyncio.to_thread(what, begun.verification_uri_complete)


def run(server: AuthorizationServer, client_id: str, test: Callable[[Desk], Awaitable[Any]]) -> None:
    async def main() -> None:
        wire = Wire()
        try:
            await test(Desk(server, wire, client_id))
        finally:
            await wire.close()

    asyncio.run(main())


def test_a_user_who_approves_is_signed_in(server: AuthorizationServer):
    async def test(desk: Desk) -> None:
        begun = await desk.begin()
        assert await desk.ask(begun) == Pending("authorization_pending", 5)
        await desk.do(server.approve, begun)
        told = await desk.ask(begun)
        assert isinstance(told, SignIn)
        assert (told.state, told.email, told.renewable) == ("signed_in", f"{USER}@example.com", True)
        token = (await desk.tokens.fresh(desk.connection)).secret
        assert token is not None
        assert server.knows(token.reveal())
        renewed = await desk.tokens.refresh(desk.connection)
        assert renewed.state == "signed_in"
        assert await desk.tokens.revoke(desk.connection)
        assert not server.knows(token.reveal())

    run(server, "public", test)


def test_a_user_who_denies_is_told_as_such(server: AuthorizationServer):
    async def test(desk: Desk) -> None:
        begun = await desk.begin()
        await desk.do(server.deny, begun)
        with pytest.raises(UpstreamError) as caught:
            await desk.ask(begun)
        assert (caught.value.kind, caught.value.fault.code) == ("auth", "access_denied")

    run(server, "public", test)


def test_a_device_code_that_nobody_typed_in_expires(server: AuthorizationServer):
    async def test(desk: Desk) -> None:
        begun = await desk.begin()
        assert begun.expires_in == 2
        await asyncio.sleep(2.1)  # it is the server's clock that has to say so
        desk.ahead -= 2.1
        (one,) = desk.sign_ins._begun
        one.next = 0.0
        with pytest.raises(UpstreamError) as caught:
            await desk.sign_ins.poll(desk.all, "me", begun.handle)
        assert caught.value.fault.code in ("expired_token", "invalid_grant")  # its store may have dropped it by then
        assert desk.sign_ins._begun == []

    run(server, "short-lived", test)


def test_a_client_that_the_server_does_not_know_is_told_as_such(server: AuthorizationServer):
    async def test(desk: Desk) -> None:
        with pytest.raises(UpstreamError, match="invalid_client"):
            await desk.begin()

    run(server, "nobody", test)


def test_a_refresh_token_that_was_used_before_is_dead(server: AuthorizationServer):
    """Who rotates refresh tokens takes a second use for a theft, and ends the whole sign-in."""

    async def test(desk: Desk) -> None:
        begun = await desk.begin()
        await desk.do(server.approve, begun)
        await desk.ask(begun)
        held = desk.tokens._held["house.main"]
        await desk.tokens.refresh(desk.connection)
        desk.tokens._held["house.main"] = held
        with pytest.raises(UpstreamError) as caught:
            await desk.tokens.refresh(desk.connection)
        assert caught.value.fault.code == "invalid_grant"
        assert (await desk.tokens.status(desk.connection)).state == "refused"

    run(server, "public", test)
