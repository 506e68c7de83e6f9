"""Signing in at a provider: by authorization code with PKCE, and by device code.

What proves that a code is ours stays here: the state is compared, the verifier and the device code are never told.  A
sign-in that has begun is in memory, belongs to who began it, can be finished once, and is forgotten after a while.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hmac import compare_digest
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec

from omniroute.errors import BadRequest, UpstreamError
from omniroute.routing.tables import Connection, OAuth
from omniroute.secret import Secret
from omniroute.services.tokens import SignIn, Tokens, provider_of
from omniroute.state.base import Clock
from omniroute.upstream.oauth import AuthorizationServers, DeviceCode, authorization_url

LIFE = 600.0
"""Seconds in which a browser may come back with a code (RFC 6749, section 4.1.2, recommends no longer life for it)."""
MOST = 64
"""Sign-ins under way. One more, and the oldest has to be begun anew."""
SLOW_DOWN = 5.0
"""Seconds by which a server wants to be asked less often when it says so (RFC 8628, section 3.5)."""
WAITING = ("authorization_pending", "slow_down")

Flow = Literal["authorization_code_pkce", "device_code"]


class Authorization(msgspec.Struct, frozen=True):
    """Where to send the browser, the state that it comes back with, and until when (UNIX seconds)."""

    url: str
    state: str
    redirect_uri: str
    expires_at: float


class Device(msgspec.Struct, frozen=True):
    """What the user types in where. `handle` stands for the device code, which stays here; the rest is in seconds."""

    handle: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in: float
    interval: float


class Pending(msgspec.Struct, frozen=True):
    """The user has not decided yet: ask again after `interval` seconds."""

    code: str
    interval: float


class Callback(msgspec.Struct, frozen=True):
    """What the browser came back with."""

    code: str = ""
    state: str = ""
    error: str = ""
    description: str = ""


class _Begun(msgspec.Struct, kw_only=True):
    """A sign-in under way. `key` is its state or its handle; `next` is when the server may be asked again."""

    key: str
    connection: str
    owner: str
    verifier: Secret
    ends: float
    redirect_uri: str = ""
    device: DeviceCode | None = None
    interval: float = 0.0
    next: float = 0.0


class SignIns:
    """All sign-ins under way. `owner` names who asks, so that nobody finishes what another has begun."""

    def __init__(self, servers: AuthorizationServers, tokens: Tokens, clock: Clock) -> None:
        self.tokens = tokens
        self._servers = servers
        self._clock = clock
        self._begun: list[_Begun] = []

    def authorize(self, connection: Connection, owner: str, redirect_uri: str | None = None) -> Authorization:
        """Begins to sign in by code. Raises BadRequest where that cannot be done."""
        oauth = _oauth(connection)
        if oauth.authorization is None:
            raise _no_flow(connection, "authorization code", "device-code")
        place = oauth.redirect_uri if redirect_uri is None else _place(redirect_uri)
        begun = self._begin(connection, owner, LIFE)
        begun.redirect_uri = place
        url = authorization_url(oauth, begun.key, begun.verifier, place)
        return Authorization(url, begun.key, place, begun.ends)

    async def exchange(
        self, connections: Mapping[str, Connection], owner: str, callback: Callback
    ) -> tuple[Connection, SignIn]:
        """Finishes with what the browser came back with. `connections` are those that may be meant, by id. Raises
        BadRequest for a state that is not one of the owner's, UpstreamError where the provider refuses."""
        begun, connection = self._taken(connections, owner, callback.state, device=False)
        if callback.error or not callback.code:
            said = ": ".join(part[:300] for part in (callback.error, callback.description) if part)
            raise BadRequest(f"The provider did not let in: {said or 'it sent no code'}.", code="oauth_refused")
        grant = await self._servers.redeem(
            _oauth(connection),
            provider_of(connection),
            Secret(callback.code),
            begun.verifier,
            begun.redirect_uri,
            Secret(begun.key),
        )
        return connection, await self.tokens.keep(connection, grant)

    async def device(self, connection: Connection, owner: str) -> Device:
        """Begins to sign in by device code. Raises BadRequest where that cannot be done, UpstreamError where the
        provider refuses."""
        oauth = _oauth(connection)
        if oauth.device is None:
            raise _no_flow(connection, "device code", "authorize")
        begun = self._begin(connection, owner, LIFE)
        try:
            device = await self._servers.device(oauth, provider_of(connection), begun.verifier)
        except UpstreamError:
            self._forget(begun)
            raise
        now = self._clock.now()
        begun.device, begun.interval = device, device.interval
        begun.ends, begun.next = now + device.expires_in, now + device.interval
        complete = device.verification_uri_complete
        return Device(
            begun.key, device.user_code, device.verification_uri, complete, device.expires_in, device.interval
        )

    async def poll(
        self, connections: Mapping[str, Connection], owner: str, handle: str
    ) -> tuple[Connection, SignIn | Pending]:
        """Asks whether the user has decided, no more often than the provider wants it. Raises BadRequest for a handle
        that is not one of the owner's, UpstreamError where the provider refuses, which is its last word, or fails."""
        begun, connection = self._found(connections, owner, handle, device=True)
        device, now = begun.device, self._clock.now()
        assert device is not None
        if now < begun.next:
            return connection, Pending(WAITING[0], begun.next - now)
        begun.next = now + begun.interval
        try:
            grant = await self._servers.poll(_oauth(connection), provider_of(connection), device, begun.verifier)
        except UpstreamError as error:
            if error.kind != "auth":
                raise
            if error.fault.code not in WAITING:
                self._forget(begun)
                raise
            if error.fault.code == "slow_down":
                begun.interval += SLOW_DOWN
            begun.next = self._clock.now() + begun.interval
            return connection, Pending(error.fault.code, begun.interval)
        self._forget(begun)
        return connection, await self.tokens.keep(connection, grant)

    # -------------------------------------------------------------------------------------------------------- the list

    def _begin(self, connection: Connection, owner: str, life: float) -> _Begun:
        now = self._clock.now()
        self._begun = [one for one in self._begun if now < one.ends][-(MOST - 1) :]
        begun = _Begun(
            key=secrets.token_urlsafe(32),
            connection=connection.id,
            owner=owner,
            verifier=Secret(secrets.token_urlsafe(48)),
            ends=now + life,
        )
        self._begun.append(begun)
        return begun

    def _found(
        self, connections: Mapping[str, Connection], owner: str, key: str, *, device: bool
    ) -> tuple[_Begun, Connection]:
        """The sign-in that a state or handle belongs to. Which of the reasons it is that there is none is not told."""
        now = self._clock.now()
        given, asks = key.encode("utf-8", "surrogatepass"), owner.encode("utf-8", "surrogatepass")
        for one in self._begun:
            same = compare_digest(given, one.key.encode())
            mine = compare_digest(asks, one.owner.encode("utf-8", "surrogatepass"))
            fits = now < one.ends and one.connection in connections and (one.device is not None) == device
            if same and mine and fits:
                return one, connections[one.connection]
        what = "handle of a device code" if device else "state"
        raise BadRequest(
            f"This {what} belongs to no sign-in that you have under way at this provider: it was used already, is too old, "
            "or is another's.",
            code="oauth_state_unknown",
        )

    def _taken(
        self, connections: Mapping[str, Connection], owner: str, key: str, *, device: bool
    ) -> tuple[_Begun, Connection]:
        """The same, which is forgotten with that: nothing is finished twice."""
        begun, connection = self._found(connections, owner, key, device=device)
        self._forget(begun)
        return begun, connection

    def _forget(self, begun: _Begun) -> None:
        self._begun = [one for one in self._begun if one is not begun]


def came_back(text: str) -> Callback:
    """What the address that the browser ended at says, or the `code#state` that some pages show instead. Raises
    BadRequest where that is neither."""
    if "://" not in text:
        code, mark, state = text.strip().partition("#")
        if not mark:
            raise BadRequest(
                "The code comes without its state: send `state` too, or the whole address that the browser ended at.",
                code="oauth_state_missing",
            )
        return Callback(code, state)
    try:
        said = dict(parse_qsl(urlsplit(text.strip()).query))
    except ValueError:
        raise BadRequest("This is no address that a browser can have ended at.", code="invalid_body") from None
    return Callback(*(said.get(name, "") for name in ("code", "state", "error", "error_description")))


def _oauth(connection: Connection) -> OAuth:
    oauth = connection.auth.oauth
    if oauth is None:
        raise BadRequest(f"The connection `{connection.id}` does not sign in: it sends a key.", code="no_oauth")
    return oauth


def _no_flow(connection: Connection, flow: str, other: str) -> BadRequest:
    provider = provider_of(connection)
    return BadRequest(
        f"One does not sign in at `{provider}` by {flow}: use GET /api/oauth/{provider}/{other}.",
        code="oauth_flow_unsupported",
    )


def _place(uri: str) -> str:
    """A redirect URI that a caller asks for: https, or this caller's own machine (RFC 8252, section 7.3)."""
    try:
        parts = urlsplit(uri)
        local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
        if (parts.scheme == "https" or local) and parts.hostname and not parts.fragment and parts.username is None:
            return uri
    except ValueError:
        pass
    raise BadRequest(
        "A redirect URI is an https address, or an http one of `localhost`, without a fragment.",
        code="invalid_query",
        param="redirect_uri",
    )
