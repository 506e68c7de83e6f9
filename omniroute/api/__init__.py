"""The management plane: rows that say who may do what, and the one place that enforces them."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter

from litestar.handlers import ASGIRouteHandler, asgi

from omniroute.api import auth, configuration, health
from omniroute.api.control import Control
from omniroute.api.dispatch import application
from omniroute.api.errors import exception_handlers
from omniroute.api.plane import Plane

__all__ = ("ENDPOINTS", "Control", "exception_handlers", "routes")

ENDPOINTS = (*health.ENDPOINTS, *auth.ENDPOINTS, *configuration.ENDPOINTS)


def routes(control: Control) -> list[ASGIRouteHandler]:
    """One handler a path, over all its rows."""
    plane = Plane(control)
    paths = groupby(sorted(ENDPOINTS, key=attrgetter("path")), key=attrgetter("path"))
    return [asgi(path, name=path, copy_scope=False)(application(plane, list(rows))) for path, rows in paths]
