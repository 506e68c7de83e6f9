"""`/api/settings/require-login`: whether the management plane asks who is there, and the password that it asks for."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from omniroute.api.auth import cookie
from omniroute.api.crud import REFUSES, Body, Shown, after, view
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.leaves import Steps, etag
from omniroute.api.password import hashed
from omniroute.api.plane import Plane
from omniroute.api.write import Changes, Draft, Trial, View, Write, write
from omniroute.errors import BadRequest

SHORTEST = 8
"""Characters of a password."""
LOGIN: Steps = ("auth", "require_login")
HASH: Steps = ("auth", "password_hash")


class LoginShown(Shown, frozen=True, kw_only=True):
    """Whether a login is needed, and whether there is a password to do so with that outlasts the process."""

    require_login: bool
    has_password: bool
    setup_complete: bool


class LoginBody(Body, frozen=True, kw_only=True):
    """What is to change. Of the password, the files get an argon2id hash."""

    require_login: bool | UnsetType = UNSET
    password: Annotated[str, Meta(min_length=SHORTEST, max_length=1024)] | UnsetType = UNSET


def _shown(now: View) -> LoginShown:
    there = now.control.has_password
    return LoginShown(
        require_login=now.control.live.current.access.require_login, has_password=there, setup_complete=there
    )


async def show(plane: Plane, _request: Request) -> Answer:
    now = view(plane)
    return Answer(_shown(now), headers=((b"etag", etag(now.bundle, (LOGIN, HASH)).encode()),))


async def change(plane: Plane, request: Request) -> Answer:
    trial, body = request.query(Trial), request.json(LoginBody)
    if body.require_login is UNSET and body.password is UNSET:
        raise BadRequest("Say `requireLogin`, or a `password`, or both.", code="invalid_body")
    stored = ""
    if isinstance(body.password, str):
        async with plane.password_check:
            stored = await asyncio.to_thread(hashed, body.password)

    def changes(_draft: Draft) -> Changes:
        made: dict[Steps, Any] = {} if body.require_login is UNSET else {LOGIN: body.require_login}
        return {**made, HASH: stored} if stored else made

    one = Write(
        action="settings.require-login",
        target="password" if stored else "",
        etag_of=lambda bundle: etag(bundle, (LOGIN, HASH)),
        changes=changes,
        shown=lambda now: msgspec.to_builtins(_shown(now)),
        also={"success": not trial.dry_run, "csrfToken": None},
    )
    answer = await write(plane, request, one, dry_run=trial.dry_run)
    if answer.status == 200 and stored and not trial.dry_run and request.visitor and request.visitor.session:
        ttl = plane.control.live.current.access.session_ttl
        token, session = plane.sessions.open(stored, ttl)
        content = {**answer.content, "csrfToken": session.csrf}
        return Answer(content, 200, (*answer.headers, cookie(request, token, int(ttl))))
    return answer


_WRITTEN = after(LoginShown, success=bool, csrf_token=str | None)
"""Another password ends all sessions; whoever set it in one gets a new one, with this word for its writes."""

ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/settings/require-login",
        access="public",
        body_limit=0,
        serve=show,
        summary="Whether /api and /dashboard need a login, and whether a password is set.",
        told=Told(answer=LoginShown),
    ),
    *(
        Endpoint(
            method=method,
            path="/api/settings/require-login",
            access="admin.write",
            body_limit=4096,
            serve=change,
            summary="Switches the login on or off, and sets the password: 8 characters at least. A new one ends all sessions.",
            told=Told(
                query=Trial,
                body=LoginBody,
                answer=_WRITTEN,
                refuses=REFUSES,
                example={"requireLogin": True, "password": "correct horse"},
            ),
        )
        for method in ("PUT", "POST")
    ),
)
