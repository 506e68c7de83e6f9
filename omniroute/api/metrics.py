"""`/metrics`, for Prometheus: a page of text, for administrators or, where the configuration says so, for everyone."""

from __future__ import annotations

from omniroute.api.control import Control
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.errors import NotFound
from omniroute.telemetry.collector import MEDIA


async def metrics(plane: Plane, _request: Request) -> Answer:
    """All of them."""
    if plane.control.live.current.telemetry.metrics == "nobody":
        raise NotFound("The configuration has no metrics (`telemetry.metrics: false`).", code="metrics_off")
    return Answer(await plane.control.metrics.page(), media=MEDIA)


def for_everyone(control: Control) -> bool:
    return control.live.current.telemetry.metrics == "public"


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/metrics",
        access="admin.read",
        opened=for_everyone,
        body_limit=0,
        serve=metrics,
        summary="What Prometheus scrapes, see [metrics.md](metrics.md). For everyone where `telemetry.metrics` is `public`, not there where it is `false`.",
        told=Told(media=MEDIA, refuses=(404,)),
    ),
)
