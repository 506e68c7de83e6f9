"""What configuration runs, whether it is that of the files, and reading the files again."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import msgspec

from omniroute.api import audit, errors, times
from omniroute.api.control import Control
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.config.plan.changes import Kind
from omniroute.document import MAX_BYTES
from omniroute.errors import ConfigError
from omniroute.services.drift import Standing


def revision_of(control: Control) -> dict[str, Any]:
    """Which configuration runs."""
    revision = control.live.current.revision
    return {
        "revision": revision.label,
        "digest": revision.digest,
        "generation": revision.generation,
        "loadedAt": times.told(revision.loaded_at),
        "source": revision.source,
    }


def status_of(control: Control) -> dict[str, Any]:
    """Which configuration runs, and why the files are not it where they are not."""
    live = control.live
    return {
        **revision_of(control),
        "status": "failed" if live.problems else "synced",
        "lastAttemptAt": times.told(live.last_attempt),
        "problems": errors.told(live.problems),
        "warnings": errors.told(live.current.warnings),
    }


async def show(plane: Plane, _request: Request) -> Answer:
    """The running configuration, as written: it has references where the secrets are."""
    control = plane.control
    return Answer({"revision": control.live.current.revision.label, "config": control.describe()})


class WorkerTold(msgspec.Struct, frozen=True, rename="camel"):
    """What one process of the gateway runs."""

    pid: int
    revision: str
    digest: str
    generation: int
    loaded_at: datetime


class CheckoutTold(msgspec.Struct, frozen=True, rename="camel"):
    """The git working tree of the files: those that differ from its commit, and the branches that `mode: git` has made
    and that are not merged."""

    root: str
    branch: str
    commit: str
    uncommitted: list[str]
    proposals: list[str]


class StatusTold(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`desired` is the digest of the files on disk, null where they make no gateway. `failed` says that they do not,
    `drifted` that a worker runs another revision; `since` is when that began."""

    revision: str
    digest: str
    generation: int
    loaded_at: datetime
    source: str
    status: Standing
    since: datetime
    desired: str | None
    workers: list[WorkerTold]
    checkout: CheckoutTold | None
    last_attempt_at: datetime
    problems: list[dict[str, Any]]
    warnings: list[dict[str, Any]]


async def status(plane: Plane, _request: Request) -> Answer:
    """Whether the running configuration is that of the files, looked at now."""
    control = plane.control
    drift = await asyncio.to_thread(control.drift)
    revision, tree = control.live.current.revision, drift.checkout
    workers = [
        WorkerTold(one.pid, one.revision, one.digest, one.generation, times.told(one.loaded_at))
        for one in drift.workers
    ]
    return Answer(
        StatusTold(
            revision=revision.label,
            digest=revision.digest,
            generation=revision.generation,
            loaded_at=times.told(revision.loaded_at),
            source=revision.source,
            status=drift.status,
            since=times.told(drift.since),
            desired=drift.desired,
            workers=workers,
            checkout=None
            if tree is None
            else CheckoutTold(tree.root, tree.branch, tree.commit, list(tree.uncommitted), list(tree.proposals)),
            last_attempt_at=times.told(control.live.last_attempt),
            problems=errors.told(drift.problems),
            warnings=errors.told(control.live.current.warnings),
        )
    )


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


class ConfigText(msgspec.Struct, frozen=True):
    """`yaml` is looked at in the place of the main file, which includes what it says; without it, the files on disk
    are."""

    yaml: str | None = None


class Checked(msgspec.Struct, frozen=True):
    """Whether a reload would take it, and all findings, each with its place."""

    valid: bool
    errors: int
    warnings: int
    problems: list[dict[str, Any]]


class Changed(msgspec.Struct, frozen=True):
    """`path` is that of an object (`combos.coding`) or of a section; `places` are those in it that differ, `was` its path
    before it was renamed."""

    path: str
    change: Kind
    places: tuple[str, ...]
    was: str = ""


class PendingTold(msgspec.Struct, frozen=True, rename="camel"):
    """How the files differ from what runs. `onDisk` is the revision that a reload would bring, null where it would be
    refused for the `problems`. The diff is unified, of all files, with secrets blacked out."""

    in_sync: bool
    revision: str
    on_disk: str | None
    objects: list[Changed]
    diff: str
    problems: list[dict[str, Any]]


async def validate(plane: Plane, request: Request) -> Answer:
    """What a reload would say of the files, or of a text; nothing is changed."""
    body = request.json(ConfigText) if request.body else ConfigText()
    problems = await asyncio.to_thread(plane.control.drafts.check, body.yaml)
    wrong = sum(problem.severity == "error" for problem in problems)
    return Answer(Checked(not wrong, wrong, len(problems) - wrong, errors.told(problems)))


async def diff(plane: Plane, _request: Request) -> Answer:
    """The files on disk against what runs."""
    pending = await asyncio.to_thread(plane.control.drafts.pending)
    revision = plane.control.live.current.revision
    return Answer(
        PendingTold(
            in_sync=pending.digest == revision.digest,
            revision=revision.label,
            on_disk=None if pending.digest is None else pending.digest[: len(revision.label)],
            objects=[Changed(one.path, one.change, one.places, one.was) for one in pending.objects],
            diff=pending.diff,
            problems=errors.told(pending.problems),
        )
    )


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
        summary="Which revision each worker runs, whether it is that of the files on disk, since when not and why; and whether these are as they are committed in git.",
        told=Told(answer=StatusTold),
    ),
    Endpoint(
        method="POST",
        path="/api/config/reload",
        access="admin.write",
        body_limit=4096,
        serve=reload,
        summary="Reads the files again. 200 when they run (`changed` says whether they are others), 422 with the problems when they do not make a gateway; then the old one goes on.",
    ),
    Endpoint(
        method="POST",
        path="/api/config/validate",
        access="admin.write",
        body_limit=2 * MAX_BYTES,
        serve=validate,
        summary="What a reload would say of the files on disk, or of a text in the place of the main one: all findings with their places. Nothing is changed.",
        told=Told(body=ConfigText, answer=Checked, example={"yaml": "version: 1\nproviders: {demo: {}}\n"}),
    ),
    Endpoint(
        method="GET",
        path="/api/config/diff",
        access="admin.read",
        body_limit=0,
        serve=diff,
        summary="The files on disk against what runs: the objects that differ, and a unified diff with secrets blacked out.",
        told=Told(answer=PendingTold),
    ),
)
