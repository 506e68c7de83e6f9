"""The management plane: rows that say who may do what, and the one place that enforces them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from litestar.handlers import ASGIRouteHandler, asgi

from omniroute.api import (
    auth,
    backups,
    clients,
    cloud,
    combo_metrics,
    compliance,
    configuration,
    evals,
    explaining,
    health,
    lifecycle,
    metrics,
    oauth,
    openapi,
    resources,
    sync,
    trials,
    views,
)
from omniroute.api.control import Control
from omniroute.api.dispatch import application, applications
from omniroute.api.endpoint import Answer, Endpoint, Request
from omniroute.api.errors import exception_handlers
from omniroute.api.plane import Plane

__all__ = ("ENDPOINTS", "Control", "exception_handlers", "routes")

_MODULES = (
    health,
    metrics,
    auth,
    configuration,
    resources,
    clients,
    backups,
    lifecycle,
    sync,
    cloud,
    oauth,
    trials,
    combo_metrics,
    explaining,
    evals,
    compliance,
    views,
)
_ROWS: tuple[Endpoint, ...] = tuple(row for module in _MODULES for row in module.ENDPOINTS)


async def schema(_plane: Plane, _request: Request) -> Answer:
    """What all rows take and give."""
    return Answer(_described())


@cache
def _described() -> dict[str, Any]:
    """Made once: it takes 80 ms, in which the event loop would stand still, and anybody may ask for it."""
    return openapi.describe(ENDPOINTS)


ENDPOINTS: tuple[Endpoint, ...] = (
    *_ROWS,
    *(
        Endpoint(
            method="GET",
            path=path,
            access="public",
            body_limit=0,
            serve=schema,
            summary="The OpenAPI description of the management plane.",
        )
        for path in ("/schema", "/schema/openapi.json")
    ),
)


def routes(control: Control, endpoints: Sequence[Endpoint] = ENDPOINTS) -> list[ASGIRouteHandler]:
    """One handler a path, over all its rows; of paths in which something stands for any text, one handler for all
    below the part that does not, since the router knows the parameters of its own kind of handlers only."""
    plane = Plane(control)
    mounts = _mounts(endpoints)
    below: dict[str, list[Endpoint]] = {place: [] for place in mounts}
    exact: dict[str, list[Endpoint]] = {}
    for row in endpoints:
        place = next(
            (place for place in mounts if row.path == place or (row.parameters and _is_below(row.path, place))), None
        )
        (exact.setdefault(row.path, []) if place is None else below[place]).append(row)
    return [
        *(asgi(path, name=path, copy_scope=False)(application(plane, rows)) for path, rows in exact.items()),
        *(
            asgi(path, name=path, copy_scope=False, is_mount=True)(applications(plane, rows))
            for path, rows in below.items()
        ),
    ]


def _mounts(endpoints: Sequence[Endpoint]) -> list[str]:
    """The shortest beginnings of paths with parameters, none below another."""
    found: list[str] = []
    for place in sorted({row.path.partition("/{")[0] for row in endpoints if row.parameters}):
        if not any(_is_below(place, other) for other in found):
            found.append(place)
    return found


def _is_below(path: str, place: str) -> bool:
    return path.startswith(f"{place}/")
