"""`/api/policies`: rules for the requests that match, as the files have them; and who waits after wrong passwords."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from omniroute.api import audit, times
from omniroute.api.crud import BODY_LIMIT, REFUSES, Body, Resource, Shown, Written, create, view
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.leaves import etag_of_all, found
from omniroute.api.plane import Plane
from omniroute.api.resources.fields import Maybe, applied
from omniroute.api.write import Changes, Draft, Trial, View
from omniroute.document import GONE
from omniroute.errors import BadRequest, NotFound, Unprocessable


class PolicyShown(msgspec.Struct, frozen=True, kw_only=True):
    """A policy. Below its own fields, everything is spelled as in the files."""

    id: str
    name: str
    priority: int
    mode: str
    match: dict[str, Any]
    rules: list[dict[str, Any]]
    tests: list[dict[str, Any]]


class PolicyBody(Body, frozen=True, kw_only=True):
    """A policy, or what is to change of it."""

    name: str | UnsetType = UNSET
    priority: int | Maybe = UNSET
    mode: str | Maybe = UNSET
    match: dict[str, Any] | Maybe = UNSET
    rules: list[dict[str, Any]] | UnsetType = UNSET
    tests: list[dict[str, Any]] | Maybe = UNSET


class PostBody(PolicyBody, frozen=True, kw_only=True):
    """A policy to be made; or `action: unlock`, and whom."""

    action: str | UnsetType = UNSET
    identifier: str | UnsetType = UNSET


class Waiting(Shown, frozen=True, kw_only=True):
    """A peer that has tried wrong passwords and has to wait."""

    identifier: str
    locked_until: datetime
    remaining_ms: int


class PolicyList(Shown, frozen=True, kw_only=True):
    """The policies, and who has to wait."""

    policies: list[PolicyShown]
    total: int
    locked_identifiers: list[Waiting]


class Posted(Written, frozen=True, kw_only=True, omit_defaults=True):
    """The policy that was made, or the peer that need not wait any more."""

    revision: str = ""
    rewritten: list[str] = msgspec.field(default_factory=list)
    id: str = ""
    name: str = ""
    priority: int = 0
    mode: str = ""
    match: dict[str, Any] = msgspec.field(default_factory=dict)
    rules: list[dict[str, Any]] = msgspec.field(default_factory=list)
    tests: list[dict[str, Any]] = msgspec.field(default_factory=list)
    success: bool = False
    action: str = ""
    identifier: str = ""


def shown(now: View, name: str) -> Any:
    spec = now.bundle.spec.policies[name]
    data = found(now.bundle, ("policies", name))
    return PolicyShown(
        id=name,
        name=name,
        priority=spec.priority,
        mode=spec.mode,
        match=data.get("match", {}),
        rules=data["rules"],
        tests=data.get("tests", []),
    )


def changes(draft: Draft, name: str, body: PolicyBody | None) -> Changes:
    place = ("policies", name)
    if body is None:
        return {place: GONE}
    if body.name not in (UNSET, name):
        raise Unprocessable(f"The name of `{name}` stays. Make another policy.", code="name_fixed")
    return {place: applied(found(draft.bundle, place), body, "priority", "mode", "match", "rules", "tests")}


def named(body: Any) -> str:
    if not isinstance(body.name, str):
        raise BadRequest("A policy needs a `name`.", code="invalid_body", param="name")
    return body.name


POLICIES = Resource(
    path="/api/policies",
    noun="policy",
    many="policies",
    body=PolicyBody,
    shown_type=PolicyShown,  # type: ignore[arg-type]  # in the spelling of the files
    names=lambda now: list(now.bundle.spec.policies),
    places=lambda name: (("policies", name),),
    shown=shown,
    changes=changes,
    named=named,
    told_only=frozenset({"id"}),
    verbs=frozenset({"PUT", "PATCH", "DELETE"}),
    example={"name": "short-answers", "rules": [{"max_tokens": {"output": 4096}}], "match": {"models": ["demo/*"]}},
    change={"priority": 50, "match": {"has": ["tools"]}},
)


async def show(plane: Plane, _request: Request) -> Answer:
    now = view(plane)
    policies = [shown(now, name) for name in now.bundle.spec.policies]
    clock = plane.control.state.clock
    waiting = [
        Waiting(
            identifier=peer,
            locked_until=times.told(clock.now() + seconds),
            remaining_ms=round(seconds * 1000),
        )
        for peer, seconds in plane.throttle.waiting().items()
    ]
    return Answer(
        PolicyList(policies=policies, total=len(policies), locked_identifiers=waiting),
        headers=((b"etag", etag_of_all(now.bundle).encode()),),
    )


_make = create(POLICIES)


async def post(plane: Plane, request: Request) -> Answer:
    body = request.json(PostBody)
    if body.action is UNSET:
        return await _make(plane, request)
    if body.action != "unlock":
        raise BadRequest("The one action is `unlock`.", code="unknown_action", param="action")
    if not isinstance(body.identifier, str):
        raise BadRequest("Say whom: `identifier`.", code="invalid_body", param="identifier")
    if body.identifier not in plane.throttle.waiting():
        raise NotFound(f"`{body.identifier[:100]}` does not have to wait.", code="unknown_identifier")
    plane.throttle.forget(body.identifier)
    await audit.record(plane, request, "logins.unlock", body.identifier)
    revision = plane.control.live.current.revision.label
    return Answer({"success": True, "action": "unlocked", "identifier": body.identifier, "revision": revision})


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/policies",
        access="admin.read",
        body_limit=0,
        serve=show,
        summary="All policies, and the peers that have to wait after wrong passwords.",
        told=Told(answer=PolicyList),
    ),
    Endpoint(
        method="POST",
        path="/api/policies",
        access="admin.write",
        body_limit=BODY_LIMIT,
        serve=post,
        summary='Makes a policy; `{"action": "unlock", "identifier"}` lets a peer try passwords again.',
        told=Told(
            query=Trial,
            body=PostBody,
            answer=Posted,
            status=201,
            also=(200,),
            refuses=(404, *REFUSES),
            example=dict(POLICIES.example),
        ),
    ),
)
