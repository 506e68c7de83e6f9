"""Signing in at providers: to begin, to finish, and what becomes of the tokens. No answer holds one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from omniroute.api import audit, times
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.errors import BadRequest, NotFound, OmniRouteError, Unavailable, UpstreamError
from omniroute.routing.tables import Connection
from omniroute.services.oauth import Callback, Flow, Pending, came_back
from omniroute.services.tokens import SignIn, State

BODY_LIMIT = 16 * 1024


class Which(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Which connection of the provider, by its name or its id, where several sign in."""

    connection: str = ""


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """Which connection, and where the browser is to come back to, if not where the provider's row says."""

    connection: str = ""
    redirect_uri: str = ""


class Exchange(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What the browser came back with: `callbackUrl`, the whole address that it ended at, or `code` and `state`. A `code`
    of the form `code#state` brings its own state."""

    code: str = ""
    state: str = ""
    callback_url: str = ""


class Poll(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The `device_code` that /device-code answered with."""

    device_code: str = ""


class Revoke(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """`force` forgets the tokens also where the provider cannot be asked to revoke them."""

    force: bool = False


class SignedIn(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """How it stands with the sign-in of a connection; `flows` are the ways to sign in, `problem` says why the last renewal
    failed, `saved` is false while the disk does not take the tokens."""

    id: str
    provider: str
    name: str
    display_name: str
    email: str
    state: State
    flows: tuple[Flow, ...]
    scope: str
    issued_at: datetime | None
    expires_at: datetime | None
    renewable: bool
    saved: bool
    problem: str


class Began(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Where to send the browser. The verifier stays here."""

    auth_url: str
    state: str
    redirect_uri: str
    flow_type: Flow
    expires_at: datetime
    connection_id: str


class DeviceCode(msgspec.Struct, frozen=True, kw_only=True):
    """What the user types in where, in the words of RFC 8628, section 3.2. `device_code` is a handle: the provider's own
    stays here."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in: int
    interval: int
    connection_id: str = msgspec.field(name="connectionId")


class Polled(msgspec.Struct, frozen=True, rename="camel", kw_only=True, omit_defaults=True):
    """Signed in, or still waiting: then ask again after `interval` seconds."""

    success: bool
    connection: SignedIn | None = None
    error: str = ""
    error_description: str = ""
    pending: bool = False
    interval: float = 0.0


class Done(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What was done, and how it stands now."""

    success: bool
    connection: SignedIn


class Revoked(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The tokens are forgotten; `revoked` says whether the provider was told so, which some have no way for."""

    success: bool
    revoked: bool


class Status(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The connections of a provider that sign in."""

    provider: str
    connections: list[SignedIn]


# ----------------------------------------------------------------------------------------------------------- the actions


async def authorize(plane: Plane, request: Request) -> Answer:
    """Where to send the browser."""
    asked = request.query(Begin)
    connection = _which(plane, request, asked.connection)
    begun = plane.control.sign_ins.authorize(connection, _owner(request), asked.redirect_uri or None)
    return Answer(
        Began(
            auth_url=begun.url,
            state=begun.state,
            redirect_uri=begun.redirect_uri,
            flow_type="authorization_code_pkce",
            expires_at=times.told(begun.expires_at),
            connection_id=connection.id,
        )
    )


async def exchange(plane: Plane, request: Request) -> Answer:
    """Tokens for the code that the browser came back with."""
    sent = request.json(Exchange)
    callback = _callback(sent)
    connections = _connections(plane, request)
    try:
        connection, status = await plane.control.sign_ins.exchange(connections, _owner(request), callback)
    except UpstreamError as error:
        raise _told(error) from error
    await audit.record(plane, request, "oauth.sign_in", connection.id)
    return Answer(Done(success=True, connection=_signed_in(connection, status)))


async def device_code(plane: Plane, request: Request) -> Answer:
    """What to type in where."""
    connection = _which(plane, request, request.query(Which).connection)
    try:
        device = await plane.control.sign_ins.device(connection, _owner(request))
    except UpstreamError as error:
        raise _told(error) from error
    return Answer(
        DeviceCode(
            device_code=device.handle,
            user_code=device.user_code,
            verification_uri=device.verification_uri,
            verification_uri_complete=device.verification_uri_complete,
            expires_in=int(device.expires_in),
            interval=int(device.interval),
            connection_id=connection.id,
        )
    )


async def poll(plane: Plane, request: Request) -> Answer:
    """Whether the user has decided."""
    handle = request.json(Poll).device_code
    if not handle:
        raise BadRequest("Send the `deviceCode` that /device-code answered with.", code="invalid_body")
    connections = _connections(plane, request)
    try:
        connection, told = await plane.control.sign_ins.poll(connections, _owner(request), handle)
    except UpstreamError as error:
        raise _told(error) from error
    if isinstance(told, Pending):
        words = "The user has not decided yet."
        return Answer(
            Polled(
                success=False, pending=True, error=told.code, error_description=words, interval=round(told.interval, 1)
            )
        )
    await audit.record(plane, request, "oauth.sign_in", connection.id)
    return Answer(Polled(success=True, connection=_signed_in(connection, told)))


async def status(plane: Plane, request: Request) -> Answer:
    """How it stands with each connection that signs in."""
    chosen = request.query(Which).connection
    connections = _connections(plane, request) if not chosen else _only(_which(plane, request, chosen))
    tokens = plane.control.sign_ins.tokens
    try:
        told = [_signed_in(each, await tokens.status(each)) for each in connections.values()]
    except OmniRouteError as error:
        raise Unavailable(f"The secret store cannot be read: {error}.", code="secrets_unavailable") from error
    return Answer(Status(provider=_provider(plane, request), connections=told))


async def refresh(plane: Plane, request: Request) -> Answer:
    """Newer tokens, now."""
    connection = _which(plane, request, request.query(Which).connection)
    try:
        now = await plane.control.sign_ins.tokens.refresh(connection)
    except UpstreamError as error:
        await audit.record(plane, request, "oauth.refresh", connection.id, outcome="failed")
        raise _told(error) from error
    await audit.record(plane, request, "oauth.refresh", connection.id)
    return Answer(Done(success=True, connection=_signed_in(connection, now)))


async def revoke(plane: Plane, request: Request) -> Answer:
    """Gives the tokens back and forgets them."""
    connection = _which(plane, request, request.query(Which).connection)
    force = request.json(Revoke).force if request.body else False
    try:
        revoked = await plane.control.sign_ins.tokens.revoke(connection, anyway=force)
    except UpstreamError as error:
        await audit.record(plane, request, "oauth.revoke", connection.id, outcome="failed")
        raise _told(error) from error
    await audit.record(plane, request, "oauth.revoke", connection.id, detail={"revoked": str(revoked).lower()})
    return Answer(Revoked(success=True, revoked=revoked))


# -------------------------------------------------------------------------------------------------------- what is meant


def _owner(request: Request) -> str:
    """Whose sign-in it is: one session, or one key."""
    visitor = request.visitor
    assert visitor is not None
    return f"session {visitor.session.csrf}" if visitor.session is not None else f"visitor {visitor.name}"


def _provider(plane: Plane, request: Request) -> str:
    """The configured provider that the path names. Raises NotFound."""
    gateway, name = plane.control.live.current, request.params["provider"]
    name = gateway.prefixes.get(name, name)
    if name not in gateway.upstreams:
        raise NotFound(f"There is no provider `{name[:80]}` in the configuration.", code="unknown_provider")
    return name


def _connections(plane: Plane, request: Request) -> dict[str, Connection]:
    """The connections of the provider that sign in, by id. Raises BadRequest where there is none."""
    provider = _provider(plane, request)
    upstream = plane.control.live.current.upstreams[provider]
    found = {one.id: one for one in upstream.connections if one.auth.oauth is not None}
    if not found:
        raise BadRequest(f"No connection of `{provider}` signs in: they send keys.", code="no_oauth")
    return found


def _which(plane: Plane, request: Request, chosen: str) -> Connection:
    """The connection that is meant. Raises BadRequest where that is not clear, NotFound where it is not there."""
    connections = _connections(plane, request)
    named = {one.name: one for one in connections.values()}
    told = ", ".join(f"`{name}`" for name in named)
    if chosen:
        connection = connections.get(chosen) or named.get(chosen)
        if connection is None:
            raise NotFound(f"No connection `{chosen[:80]}` signs in here; there are {told}.", code="unknown_connection")
        return connection
    if len(named) > 1:
        message = f"Several connections sign in here: say `?connection=` with one of {told}."
        raise BadRequest(message, code="connection_ambiguous", param="connection")
    return next(iter(named.values()))


def _only(connection: Connection) -> Mapping[str, Connection]:
    return {connection.id: connection}


def _callback(sent: Exchange) -> Callback:
    """What the browser came back with, in whichever of the spellings."""
    if sent.callback_url:
        return came_back(sent.callback_url)
    if not sent.code:
        raise BadRequest("Send `code` and `state`, or `callbackUrl`.", code="invalid_body")
    if sent.state and "#" not in sent.code:
        return Callback(sent.code, sent.state)
    callback = came_back(sent.code)
    if sent.state and sent.state != callback.state:
        raise BadRequest("`state` is not the one that stands behind the code.", code="oauth_state_unknown")
    return callback


# --------------------------------------------------------------------------------------------------------- what is told


def _signed_in(connection: Connection, status: SignIn) -> SignedIn:
    oauth = connection.auth.oauth
    assert oauth is not None
    flows: tuple[Flow, ...] = ("authorization_code_pkce",) if oauth.authorization is not None else ()
    return SignedIn(
        id=connection.id,
        provider=connection.id.partition(".")[0],
        name=connection.name,
        display_name=status.email or connection.name,
        email=status.email,
        state=status.state,
        flows=(*flows, "device_code") if oauth.device is not None else flows,
        scope=status.scope,
        issued_at=None if status.issued_at is None else times.told(status.issued_at),
        expires_at=None if status.expires_at is None else times.told(status.expires_at),
        renewable=status.renewable,
        saved=status.saved,
        problem=status.problem,
    )


def _told(error: UpstreamError) -> BadRequest | Unavailable:
    """What a provider said, to whoever asked it to be asked."""
    fault = error.fault
    if error.kind == "auth":
        return BadRequest(fault.message, code="oauth_refused" if fault.code != "sign_in_required" else fault.code)
    return Unavailable(fault.message, code="oauth_unreachable")


# --------------------------------------------------------------------------------------------------------------- the rows


def _row(method: Any, action: str, serve: Any, summary: str, told: Told, access: Any = "admin.write") -> Endpoint:
    return Endpoint(
        method=method,
        path=f"/api/oauth/{{provider}}/{action}",
        access=access,
        body_limit=BODY_LIMIT if method == "POST" else 0,
        serve=serve,
        summary=summary,
        told=told,
    )


ENDPOINTS = (
    _row(
        "GET",
        "authorize",
        authorize,
        "Begins to sign in by code: where to send the browser. State and verifier stay on the server for ten minutes.",
        Told(query=Begin, answer=Began, refuses=(400, 404)),
    ),
    _row(
        "POST",
        "exchange",
        exchange,
        "Finishes with what the browser came back with, once: `code` and `state`, or the whole `callbackUrl`.",
        Told(
            body=Exchange,
            answer=Done,
            refuses=(400, 404, 503),
            example={"callbackUrl": "http://localhost:8080/callback?code=…&state=…"},
        ),
    ),
    _row(
        "GET",
        "device-code",
        device_code,
        "Begins to sign in by device code: what the user types in where.",
        Told(query=Which, answer=DeviceCode, refuses=(400, 404, 503)),
    ),
    _row(
        "POST",
        "poll",
        poll,
        "Whether the user has decided; the provider is asked no more often than it wants to be.",
        Told(body=Poll, answer=Polled, refuses=(400, 404, 503), example={"deviceCode": "…"}),
    ),
    _row(
        "GET",
        "status",
        status,
        "How it stands with each connection of the provider that signs in; never a token.",
        Told(query=Which, answer=Status, refuses=(400, 404, 503)),
        "admin.read",
    ),
    _row(
        "POST",
        "refresh",
        refresh,
        "Renews the tokens of a connection now, instead of shortly before they end.",
        Told(query=Which, answer=Done, refuses=(400, 404, 503)),
    ),
    _row(
        "POST",
        "revoke",
        revoke,
        "Has the provider revoke the tokens of a connection, and forgets them; with `force` also where it does not answer.",
        Told(query=Which, body=Revoke, answer=Revoked, refuses=(400, 404, 503), example={"force": False}),
    ),
)
