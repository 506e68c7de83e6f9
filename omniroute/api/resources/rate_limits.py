"""Switches of `/api/rate-limits`: whether what providers tell of their own limits keeps calls of a connection away."""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.api.crud import REFUSES, Body, Shown, after
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.leaves import Steps, etag, found
from omniroute.api.plane import Plane
from omniroute.api.resources.providers import places
from omniroute.api.write import Changes, Draft, Trial, View, Write, write
from omniroute.document import GONE
from omniroute.errors import NotFound


class Switch(Body, frozen=True, kw_only=True):
    """Which connection, and whether."""

    connection_id: str
    enabled: bool


class SwitchShown(Shown, frozen=True, kw_only=True):
    """How it is switched."""

    connection_id: str
    enabled: bool


async def switch(plane: Plane, request: Request) -> Answer:
    """In the files, only the exception is written down."""
    trial, body = request.query(Trial), request.json(Switch)
    place: Steps = places(body.connection_id)[0]

    def changes(draft: Draft) -> Changes:
        if found(draft.bundle, place) is GONE:
            raise NotFound(f"The files have no connection `{body.connection_id[:100]}`.", code="unknown_connections")
        return {(*place, "heed_limits"): GONE if body.enabled else False}

    def shown(now: View) -> dict[str, Any]:
        there = found(now.bundle, (*place, "heed_limits"))
        switched = SwitchShown(connection_id=body.connection_id, enabled=there is GONE or bool(there))
        return {**msgspec.to_builtins(switched), "success": not trial.dry_run}

    one = Write(
        action="connections.heed-limits",
        target=body.connection_id,
        etag_of=lambda bundle: etag(bundle, [place]),
        changes=changes,
        shown=shown,
    )
    return await write(plane, request, one, dry_run=trial.dry_run)


_WRITTEN = after(SwitchShown, success=bool)
ENDPOINTS = tuple(
    Endpoint(
        method="POST",
        path=path,
        access="admin.write",
        body_limit=4096,
        serve=switch,
        summary="Switches whether a connection is left alone once its provider says that nothing is left of its limits.",
        told=Told(
            query=Trial,
            body=Switch,
            answer=_WRITTEN,
            refuses=(404, *REFUSES),
            example={"connectionId": "openai.team", "enabled": False},
        ),
    )
    for path in ("/api/rate-limits", "/api/rate-limit")
)
