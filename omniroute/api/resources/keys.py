"""`/api/keys`: who may call. A key is shown when it is made, and never again: the files hold its digest."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from omniroute.api.crud import REFUSES, Body, Resource, Shown, after
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.leaves import etag, etag_of_all, found
from omniroute.api.plane import Plane
from omniroute.api.resources.fields import Maybe, applied, changed
from omniroute.api.write import Changes, Draft, Trial, View, Write, write
from omniroute.config import key as keys
from omniroute.document import GONE
from omniroute.errors import BadRequest, Conflict, NotFound, Unprocessable


class KeyShown(Shown, frozen=True, kw_only=True):
    """A key. Its name is its id, and `fingerprint` begins its digest. `allowedModels` empty means all."""

    id: str
    name: str
    fingerprint: str
    allowed_models: list[str]
    roles: list[str]
    expires_at: str | None
    is_active: bool
    limits: list[str]
    budgets: list[str]
    tags: dict[str, str]


KEY_MADE = after(KeyShown, "KeyMade", key=str | None)
"""A key that was just made: the one time that it is shown. A trial makes none."""


class KeyBody(Body, frozen=True, kw_only=True):
    """A key, or what is to change of it. `expiresAt` is the last day on which it works."""

    name: str | UnsetType = UNSET
    allowed_models: list[str] | Maybe = UNSET
    roles: list[str] | Maybe = UNSET
    expires_at: str | Maybe = UNSET
    limits: list[str] | Maybe = UNSET
    budgets: list[str] | Maybe = UNSET
    tags: dict[str, str] | Maybe = UNSET


def shown(now: View, name: str) -> KeyShown:
    spec = now.bundle.spec.keys[name]
    today = date.fromtimestamp(now.control.state.clock.now()).isoformat()
    return KeyShown(
        id=name,
        name=name,
        fingerprint=spec.digest.removeprefix("sha256:")[:12],
        allowed_models=list(spec.allow),
        roles=list(spec.roles),
        expires_at=spec.expires,
        is_active=spec.expires is None or today <= spec.expires,
        limits=list(spec.limits),
        budgets=list(spec.budgets),
        tags=dict(spec.tags),
    )


def changes(draft: Draft, name: str, body: KeyBody | None) -> Changes:
    place = ("keys", name)
    if body is None:
        return {place: GONE}
    if body.name not in (UNSET, name):
        raise Unprocessable(f"The name of `{name}` stays: others refer to it. Make another key.", code="name_fixed")
    data = applied(found(draft.bundle, place), body, "roles", "limits", "budgets", "tags")
    return {place: changed(data, {"allow": body.allowed_models, "expires": body.expires_at})}


def named(body: Any) -> str:
    if not isinstance(body.name, str):
        raise BadRequest("A key needs a `name`.", code="invalid_body", param="name")
    return body.name


KEYS = Resource(
    path="/api/keys",
    noun="key",
    many="keys",
    body=KeyBody,
    shown_type=KeyShown,
    names=lambda now: list(now.bundle.spec.keys),
    places=lambda name: (("keys", name),),
    shown=shown,
    changes=changes,
    named=named,
    told_only=frozenset({"id", "fingerprint", "isActive"}),
    verbs=frozenset({"PATCH", "DELETE"}),
    example={"name": "team-b", "allowedModels": ["coding", "demo/*"], "tags": {"team": "b"}},
    change={"allowedModels": ["coding"], "tags": {"region": "eu"}},
)


async def create(plane: Plane, request: Request) -> Answer:
    """The key is made before the write, and told only where that has come about."""
    trial, body = request.query(Trial), request.json(KeyBody)
    name = named(body)
    key, digest = keys.new()

    def made(draft: Draft) -> Changes:
        if found(draft.bundle, ("keys", name)) is not GONE:
            raise Conflict(f"There is a key `{name}` already.", code="exists")
        return {("keys", name): {"digest": digest, **changes(draft, name, body)[("keys", name)]}}

    return await _hand_out(plane, request, "keys.create", name, key, made, trial, 201)


async def rotate(plane: Plane, request: Request) -> Answer:
    """The old key stops working when the answer is there."""
    trial, name = request.query(Trial), request.params["id"]
    key, digest = keys.new()

    def made(draft: Draft) -> Changes:
        if found(draft.bundle, ("keys", name)) is GONE:
            raise NotFound(f"There is no key `{name[:100]}`.", code="unknown_keys")
        return {("keys", name, "digest"): digest}

    return await _hand_out(plane, request, "keys.rotate", name, key, made, trial, 200)


async def _hand_out(
    plane: Plane, request: Request, action: str, name: str, key: str, made: Any, trial: Trial, status: int
) -> Answer:
    place = ("keys", name)

    def told(now: View) -> dict[str, Any]:
        return msgspec.to_builtins(shown(now, name)) if name in now.bundle.spec.keys else {}

    one = Write(
        action=action,
        target=name,
        etag_of=etag_of_all if status == 201 else lambda bundle: etag(bundle, [place]),
        answered=lambda bundle: etag(bundle, [place]),
        changes=made,
        shown=told,
        also={"key": None if trial.dry_run else key},
        status=status,
    )
    return await write(plane, request, one, dry_run=trial.dry_run)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/keys",
        access="admin.write",
        body_limit=65536,
        serve=create,
        summary="Makes a key and shows it, this once.",
        told=Told(
            query=Trial,
            body=KeyBody,
            answer=KEY_MADE,
            status=201,
            also=(200,),
            refuses=REFUSES,
            example=dict(KEYS.example),
        ),
    ),
    Endpoint(
        method="POST",
        path="/api/keys/{id}/rotate",
        access="admin.write",
        body_limit=65536,
        serve=rotate,
        summary="Puts another key in the place of this one, which stops working at once. Shows it, this once.",
        told=Told(query=Trial, answer=KEY_MADE, refuses=(404, *REFUSES)),
    ),
)
