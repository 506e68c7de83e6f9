"""Logging in and out: the password opens a session, and the session is a cookie."""

from __future__ import annotations

import asyncio

import msgspec

from omniroute.api import access, audit, errors
from omniroute.api.endpoint import Answer, Endpoint, Request, Visitor
from omniroute.api.password import matches
from omniroute.api.plane import Plane
from omniroute.api.throttle import peer_name
from omniroute.errors import Forbidden, LimitReached, Unauthenticated
from omniroute.routing.caller import client_ip


class Login(msgspec.Struct, frozen=True):
    """What a login sends."""

    password: str


async def login(plane: Plane, request: Request) -> Answer:
    """Opens a session, a new one also for who had one."""
    typed = request.json(Login).password
    stored = plane.control.password_hash()
    if stored is None:
        refusal = errors.Refusal(Forbidden("No administrator's password is set.", code="needs_setup").fault)
        return Answer({**refusal.content, "needsSetup": True}, 403)
    trusted = plane.control.live.current.server.trusted_proxies
    client = client_ip(request.peer, request.scope["headers"], trusted)
    try:
        await _check(plane, peer_name(client), stored, typed)
    except Unauthenticated:
        await audit.record(plane, request, "auth.login", outcome="failed", detail={"peer": client})
        raise
    previous = access.session_token(request)
    if previous is not None:
        plane.sessions.revoke(previous)
    ttl = plane.control.live.current.access.session_ttl
    token, session = plane.sessions.open(stored, ttl)
    visitor = Visitor("session", access.ADMIN, session)
    await audit.record(plane, msgspec.structs.replace(request, visitor=visitor), "auth.login", detail={"peer": client})
    return Answer({"success": True, "csrfToken": session.csrf}, headers=(cookie(request, token, int(ttl)),))


async def logout(plane: Plane, request: Request) -> Answer:
    """Ends the session; fine also without one."""
    access.check_csrf(request.visitor, request)
    token = access.session_token(request)
    if token is not None:
        plane.sessions.revoke(token)
    if request.visitor is not None and request.visitor.session is not None:
        await audit.record(plane, request, "auth.logout")
    return Answer({"success": True}, headers=(cookie(request, "", 0),))


async def status(plane: Plane, request: Request) -> Answer:
    """Whether the request would be let in, and for a session what its writes must carry."""
    visitor = request.visitor
    session = visitor.session if visitor else None
    return Answer(
        {
            "authenticated": access.is_admin(visitor),
            "needsSetup": plane.control.password_hash() is None,
            "csrfToken": session.csrf if session else None,
        }
    )


async def _check(plane: Plane, peer: str, stored: str, typed: str) -> None:
    wait = plane.throttle.wait(peer)
    if wait > 0:
        raise LimitReached(
            f"Too many wrong passwords; try again in {wait:.0f} s.", code="too_many_logins", retry_after=wait
        )
    plane.throttle.count(peer)
    async with plane.password_check:
        right = await asyncio.to_thread(matches, stored, typed)
    if not right:
        raise Unauthenticated("The password is wrong.", code="wrong_password")
    plane.throttle.forget(peer)


def cookie(request: Request, token: str, seconds: int) -> tuple[bytes, bytes]:
    """The header that sets the session cookie; of an empty token, that takes it away."""
    secure = "; Secure" if _under_tls(request) else ""
    value = f"{access.COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    return b"set-cookie", value.encode("ascii")


def _under_tls(request: Request) -> bool:
    """Ours, or that of a proxy in front: the page's own origin tells, and a lie about it hurts only the liar."""
    return request.scope["scheme"] == "https" or (request.header(b"origin") or "").startswith("https://")


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/auth/login",
        access="public",
        body_limit=4096,
        serve=login,
        summary='Takes `{"password"}`, sets the session cookie and gives the `csrfToken`. Five wrong ones in five minutes from one address are a 429.',
    ),
    Endpoint(
        method="POST",
        path="/api/auth/logout",
        access="public",
        body_limit=4096,
        serve=logout,
        summary="Ends the session.",
    ),
    Endpoint(
        method="GET",
        path="/api/auth/status",
        access="public",
        body_limit=0,
        serve=status,
        summary="Whether the request would be let in, and the `csrfToken` of its session.",
    ),
)
