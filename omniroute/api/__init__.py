"""The management plane: rows that say who may do what, and the one place that enforces them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from litestar.handlers import ASGIRouteHandler, asgi

from omniroute.api import auth, compliance, configuration, health, openapi
from omniroute.api.control import Control
from omniroute.api.dispatch import application
from omniroute.api.endpoint import Answer, Endpoint, Request
from omniroute.api.errors import exception_handlers
from omniroute.api.plane import Plane

__all__ = ("ENDPOINTS", "Control", "exception_handlers", "routes")

_ROWS = (*health.ENDPOINTS, *auth.ENDPOINTS, *configuration.ENDPOINTS, *compliance.ENDPOINTS)


async def schema(_plane: Plane, _request: Request) -> Answer:
    """What all rows take and give."""
    return Answer(openapi.describe(ENDPOINTS))


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
    """One handler a path, over all its rows."""
    plane = Plane(control)
    paths = groupby(sorted(endpoints, key=attrgetter("path")), key=attrgetter("path"))
    return [asgi(_template(path), name=path, copy_scope=False)(application(plane, list(rows))) for path, rows in paths]


def _template(path: str) -> str:
    """A path as the router writes it: `{id}` is any text without a slash."""
    return path.replace("}", ":str}")
