"""What instances that share a configuration ask each other: files, names, and how connections sign in.

For administrators only, never for a client's key: whoever may ask here may change the configuration.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.api import audit
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.api.resources import ENDPOINTS as EDITABLE
from omniroute.api.write import PROPOSED
from omniroute.config.writer import compare
from omniroute.errors import BadRequest, NotFound
from omniroute.routing.resolve import resolve
from omniroute.routing.tables import Connection
from omniroute.secret import Secret
from omniroute.upstream.oauth import Grant

BUNDLE = 32 << 20
SMALL = 16 << 10


class Credentials(msgspec.Struct, frozen=True, rename="camel"):
    """How a connection signs in; never with what."""

    id: str
    provider: str
    auth_type: str
    has_api_key: bool
    has_access_token: bool
    has_refresh_token: bool
    priority: int
    is_active: bool


class Known(msgspec.Struct, frozen=True, rename="camel"):
    connections: list[Credentials]
    model_aliases: dict[str, str]


class Alias(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alias: str


class Resolved(msgspec.Struct, frozen=True):
    alias: str
    provider: str
    model: str


class Bundled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files by their names; None for one to delete. `revision` is by which the sender knows what it has."""

    files: dict[str, str | None]
    revision: str = ""
    reason: str = ""


class Exchanged(Bundled, frozen=True, forbid_unknown_fields=True):
    """The files that run now. `commit` is what was made of the change in `mode: git`, where they are the old ones."""

    commit: str = ""


async def known(plane: Plane, _request: Request) -> Answer:
    """What this instance has, without any secret."""
    gateway = plane.control.live.current
    tokens = plane.control.sign_ins.tokens
    connections = []
    for upstream in gateway.upstreams.values():
        for one in upstream.connections:
            signed = await tokens.status(one) if one.auth.oauth is not None else None
            connections.append(
                Credentials(
                    id=one.id,
                    provider=upstream.name,
                    auth_type="oauth" if signed else "apikey" if one.auth.secret is not None else "none",
                    has_api_key=one.auth.secret is not None,
                    has_access_token=signed is not None and signed.state != "signed_out",
                    has_refresh_token=signed is not None and signed.renewable,
                    priority=one.priority,
                    is_active=True,
                )
            )
    aliases = plane.control.describe().get("aliases", {})
    return Answer(Known(connections, dict(aliases)))


async def resolved(plane: Plane, request: Request) -> Answer:
    """What a name leads to."""
    alias = request.json(Alias).alias
    if not alias:
        raise BadRequest("`alias` is the name to resolve.", code="invalid_body", param="alias")
    route = resolve(plane.control.live.current, alias)
    first: Any = route
    while hasattr(first, "steps"):
        first = first.steps[0]
    provider, _, model = first.id.partition("/")
    return Answer(Resolved(alias, provider, model))


async def bundled(plane: Plane, _request: Request) -> Answer:
    """The files as they are written."""
    files: dict[str, str | None] = {name: each.decode() for name, each in plane.control.exchange.files().items()}
    revision = plane.control.live.current.revision.digest
    return Answer(Bundled(files, revision), headers=((b"etag", f'"{revision}"'.encode()),))


async def exchanged(plane: Plane, request: Request) -> Answer:
    """Takes files from another instance, all of them or none."""
    wanted = request.json(Bundled)
    control = plane.control
    asked = request.header(b"if-match")
    revision, seen = control.live.current.revision.digest, control.exchange.files()
    if asked is not None:
        compare(asked, f'"{revision}"')
    if not wanted.files:
        raise BadRequest("`files` is empty.", code="invalid_body", param="files")
    assert request.visitor is not None
    changes = {name: None if text is None else text.encode() for name, text in wanted.files.items()}
    names, why, author = ", ".join(sorted(changes)), wanted.reason[:200], request.visitor.name
    commit = ""
    if control.bundle.spec.mode == "git":
        commit = await control.exchange.propose(changes, seen, author, why or f"Change {names}")
    else:
        await control.exchange.write(changes, seen)
    await audit.record(plane, request, "config.exchange", names, detail={"reason": why})
    answer = await bundled(plane, request)
    told = Exchanged(answer.content.files, answer.content.revision, commit=commit)
    return msgspec.structs.replace(answer, content=told, status=PROPOSED if commit else 200)


class Tokens(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What a sign-in elsewhere has given; `expiresIn` in seconds."""

    access_token: str
    refresh_token: str = ""
    expires_in: float | None = None


class Renewed(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Tokens for a connection of a provider, for its first one that signs in where none is named."""

    provider: str
    credentials: Tokens
    connection: str = ""


async def renewed(plane: Plane, request: Request) -> Answer:
    """Takes tokens that another instance has: both then go on with the same sign-in."""
    wanted = request.json(Renewed)
    connection = _signing_in(plane, wanted)
    oauth = connection.auth.oauth
    assert oauth is not None
    now = plane.control.state.clock.now()
    given = wanted.credentials
    if not given.access_token:
        raise BadRequest("`accessToken` is empty.", code="invalid_body", param="accessToken")
    grant = Grant(
        access=Secret(given.access_token),
        refresh=Secret(given.refresh_token) if given.refresh_token else None,
        issued_at=now,
        expires_at=None if given.expires_in is None else now + given.expires_in,
        scope=" ".join(oauth.scopes),
        issuer=oauth.issuer,
    )
    await plane.control.sign_ins.tokens.keep(connection, grant)
    await audit.record(plane, request, "oauth.update", connection.id)
    return Answer({"success": True, "message": f"{connection.id} goes on with these tokens"})


def _signing_in(plane: Plane, wanted: Renewed) -> Connection:
    upstream = plane.control.live.current.upstreams.get(wanted.provider)
    found = [one for one in upstream.connections if one.auth.oauth is not None] if upstream else []
    named = [one for one in found if wanted.connection in ("", one.name, one.id)]
    if not named:
        told = f"No connection of `{wanted.provider[:80]}` signs in under that name."
        raise NotFound(told, code="unknown_connection")
    return named[0]


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/cloud/auth",
        access="admin.write",
        body_limit=SMALL,
        serve=known,
        summary="The connections and aliases of this instance, without any secret.",
        told=Told(answer=Known),
    ),
    Endpoint(
        method="POST",
        path="/api/cloud/model/resolve",
        access="admin.write",
        body_limit=SMALL,
        serve=resolved,
        summary="What a name leads to first.",
        told=Told(body=Alias, answer=Resolved, refuses=(404,), example={"alias": "fast"}),
    ),
    Endpoint(
        method="GET",
        path="/api/cloud/bundle",
        access="admin.read",
        body_limit=0,
        serve=bundled,
        summary="The configuration's files as they are written, with an `ETag`.",
        told=Told(answer=Bundled),
    ),
    Endpoint(
        method="PUT",
        path="/api/cloud/bundle",
        access="admin.write",
        body_limit=BUNDLE,
        serve=exchanged,
        summary="Takes files from another instance, all or none; `If-Match` names what they were made from.",
        told=Told(
            body=Bundled,
            answer=Exchanged,
            refuses=(409, 412, 422, 503),
            example={"files": {"omniroute.yaml": "version: 1\n"}},
        ),
    ),
    Endpoint(
        method="PUT",
        path="/api/cloud/credentials/update",
        access="admin.write",
        body_limit=SMALL,
        serve=renewed,
        summary="Takes the tokens of a sign-in that another instance has, for a connection that signs in.",
        told=Told(
            body=Renewed,
            refuses=(404, 503),
            example={
                "provider": "anthropic",
                "credentials": {"accessToken": "…", "refreshToken": "…", "expiresIn": 3600},
            },
        ),
    ),
    *(
        msgspec.structs.replace(row, path="/api/cloud/models/alias")
        for row in EDITABLE
        if row.path == "/api/models/alias" and row.method in ("GET", "PUT")
    ),
)
