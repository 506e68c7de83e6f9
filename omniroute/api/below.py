"""Finds the row of a path in which parts stand for something: `/api/providers/{id}/test`.

Litestar routes paths without such parts; with them it cannot route to plain ASGI applications (it looks their parameters
up by the request's method, which they do not have). The parts are told apart before they are decoded, so that an
encoded slash is a character of a name and not another part.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

import msgspec
from litestar.exceptions import NotFoundException
from litestar.types import ASGIApp, Receive, Scope, Send


class _Place(msgspec.Struct):
    """One part of the way: what may follow, by its text, or by the name of what it stands for, and what is here."""

    exact: dict[str, _Place] = {}
    named: dict[str, _Place] = {}
    here: ASGIApp | None = None


def application(templates: Mapping[str, ASGIApp]) -> ASGIApp:
    """The application of all paths below one, given that of each template."""
    root = _Place()
    for template, one in templates.items():
        place = root
        for part in template.strip("/").split("/"):
            among = place.named if part.startswith("{") else place.exact
            place = among.setdefault(part.strip("{}"), _Place())
        place.here = one

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope["raw_path"]
        parts = [unquote(part) for part in raw.decode("latin-1").strip("/").split("/")]
        scope["path"] = unquote(raw.decode("latin-1"))  # as it came, and not what is left of it below the mount
        found = _found(root, parts, {})
        if found is None:
            raise NotFoundException
        app, scope["path_params"] = found
        await app(scope, receive, send)

    return serve


def _found(place: _Place, parts: list[str], params: dict[str, str]) -> tuple[ASGIApp, dict[str, str]] | None:
    """The application and the parameters; what stands there by its own text counts first."""
    if not parts:
        return None if place.here is None else (place.here, params)
    first, *rest = parts
    below = place.exact.get(first)
    found = _found(below, rest, params) if below is not None else None
    for name, other in place.named.items():
        if found is None and first:
            found = _found(other, rest, {**params, name: first})
    return found
