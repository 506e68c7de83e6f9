"""What configuration runs, whether it is that of the files, and reading the files again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from omniroute.api import audit, errors
from omniroute.api.control import Control
from omniroute.api.endpoint import Answer, Endpoint, Request
from omniroute.api.plane import Plane
from omniroute.errors import ConfigError


def revision_of(control: Control) -> dict[str, Any]:
    """Which configuration runs."""
    revision = control.live.current.revision
    return {
        "revision": revision.label,
        "digest": revision.digest,
        "generation": revision.generation,
        "loadedAt": datetime.fromtimestamp(revision.loaded_at, UTC),
        "source": revision.source,
    }


def status_of(control: Control) -> dict[str, Any]:
    """Which configuration runs, and why the files are not it where they are not."""
    live = control.live
    return {
        **revision_of(control),
        "status": "failed" if live.problems else "synced",
        "lastAttemptAt": datetime.fromtimestamp(live.last_attempt, UTC),
        "problems": errors.told(live.problems),
        "warnings": errors.told(live.current.warnings),
    }


async def show(plane: Plane, _request: Request) -> Answer:
    """The running configuration, as written: it has references where the secrets are."""
    control = plane.control
    return Answer({"revision": control.live.current.revision.label, "config": control.describe()})


async def status(plane: Plane, _request: Request) -> Answer:
    """Whether the running configuration is that of the files."""
    return Answer(status_of(plane.control))


async def reload(plane: Plane, request: Request) -> Answer:
    """Answers when the files run, or with what is wrong with them."""
    control = plane.control
    before = control.live.current.revision
    problems = await control.reload()
    if problems:
        said = f"{problems[0].code} {problems[0].message}"
        await audit.record(plane, request, "config.reload", outcome="failed", detail={"problem": said})
        raise ConfigError(problems)
    changed = control.live.current.revision.digest != before.digest
    await audit.record(plane, request, "config.reload", detail={"before": before.label})
    return Answer({"success": True, "changed": changed, **revision_of(control)})


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/config",
        access="admin.read",
        body_limit=0,
        serve=show,
        summary="The running configuration as it is written, with references where the secrets are.",
    ),
    Endpoint(
        method="GET",
        path="/api/config/status",
        access="admin.read",
        body_limit=0,
        serve=status,
        summary="Which revision runs, whether it is that of the files, and if not, the problems.",
    ),
    Endpoint(
        method="POST",
        path="/api/config/reload",
        access="admin.write",
        body_limit=4096,
        serve=reload,
        summary="Reads the files again. 200 when they run (`changed` says whether they are others), 422 with the problems when they do not make a gateway; then the old one goes on.",
    ),
)
