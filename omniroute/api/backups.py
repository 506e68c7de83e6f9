"""Backups of the history: made, listed, put back, handed out and taken in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from omniroute.api import audit, times
from omniroute.api.body import FORM
from omniroute.api.control import Control
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.errors import BadRequest, CallError
from omniroute.services import archive
from omniroute.services.backup import pieces
from omniroute.services.shelf import Backup, Made, Reason, Restored
from omniroute.state.shape import Facts

BODY = 4096
UPLOAD_TIME = 3600.0
OCTETS = "application/octet-stream"
SQLITE = ("application/vnd.sqlite3", "application/x-sqlite3")
GZIP = "application/gzip"
EXAMPLE = "db_2026-03-02T09-30-00-000Z_manual.sqlite"


class Listed(msgspec.Struct, frozen=True, rename="camel"):
    """One backup; `size` is in bytes."""

    id: str
    filename: str
    created_at: datetime
    size: int
    reason: Reason


class Shelved(msgspec.Struct, frozen=True, rename="camel"):
    """All backups, the newest first."""

    backups: list[Listed]


class Created(Listed, frozen=True, kw_only=True):
    """A backup that was written and verified, with how many rows each table of it has."""

    created: Literal[True] = True
    schema_version: int
    rows: dict[str, int]


class Acted(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What was done with a backup: one of `restored`, `created` and `verified` is there, with how many rows it has of each
    table. `before` is the backup of what was in the database until then; `damage` says why that could not be read."""

    backup_id: str
    schema_version: int
    rows: dict[str, int]
    restored: bool = False
    created: bool = False
    verified: bool = False
    before: Listed | None = None
    damage: str = ""


class Imported(msgspec.Struct, frozen=True, rename="camel"):
    """The same of a database that was handed in."""

    schema_version: int
    rows: dict[str, int]
    before: Listed | None
    damage: str
    imported: Literal[True] = True


class Wanted(msgspec.Struct, frozen=True, rename="camel"):
    """What to do; `restore` where it does not say."""

    action: Literal["create", "restore", "verify"] = "restore"
    backup_id: Annotated[str, msgspec.Meta(max_length=200)] = ""


async def listed(plane: Plane, _request: Request) -> Answer:
    """The newest first."""
    return Answer(Shelved([_listed(each) for each in await plane.control.backups.all()]))


async def create(plane: Plane, request: Request) -> Answer:
    """Answers when the copy is written and verified."""
    made = await _make(plane, request)
    facts = made.facts
    return Answer(Created(**_fields(made.backup), schema_version=facts.version, rows=dict(facts.rows)))


async def act(plane: Plane, request: Request) -> Answer:
    """Whatever the body asks for."""
    wanted = request.json(Wanted)
    if wanted.action == "create":
        made = await _make(plane, request)
        return Answer(_acted(made.backup.id, made.facts, created=True))
    if not wanted.backup_id:
        raise BadRequest("The body names no `backupId`.", code="backup_id_missing", param="backupId")
    if wanted.action == "verify":
        return Answer(_acted(wanted.backup_id, await plane.control.backups.verify(wanted.backup_id), verified=True))
    return await _restore(plane, request, wanted.backup_id)


async def _make(plane: Plane, request: Request) -> Made:
    made = await plane.control.backups.create()
    await audit.record(plane, request, "backups.create", made.backup.id)
    return made


async def _restore(plane: Plane, request: Request, ident: str) -> Answer:
    """A refusal is written down as well: somebody wanted to change what was."""
    try:
        done = await plane.control.backups.restore(ident)
    except CallError as error:
        await audit.record(plane, request, "backups.restore", ident, outcome="failed", detail={"reason": str(error)})
        raise
    await audit.record(plane, request, "backups.restore", ident, detail=_detail(done))
    return Answer(_acted(ident, done.facts, restored=True, before=_before(done), damage=done.damage))


async def take(plane: Plane, request: Request) -> Answer:
    """A database from elsewhere."""
    try:
        restored = await plane.control.backups.take(request.spool)
    except CallError as error:
        await audit.record(plane, request, "backups.import", outcome="failed", detail={"reason": str(error)})
        raise
    await audit.record(plane, request, "backups.import", detail=_detail(restored))
    facts = restored.facts
    return Answer(Imported(facts.version, dict(facts.rows), _before(restored), restored.damage))


async def remove(plane: Plane, request: Request) -> Answer:
    """Lets go of one."""
    ident = request.params["id"]
    await plane.control.backups.remove(ident)
    await audit.record(plane, request, "backups.delete", ident)
    return Answer({"success": True, "backupId": ident})


async def export(plane: Plane, request: Request) -> Answer:
    """A copy of this moment."""
    headers = _attachment(plane.control, "sqlite")
    if request.scope["method"] == "HEAD":
        return Answer(_nothing(), headers=headers, media=OCTETS)
    made = await plane.control.backups.export()
    await audit.record(plane, request, "backups.export")
    return Answer(pieces(made.file), headers=headers, media=OCTETS)


async def export_all(plane: Plane, request: Request) -> Answer:
    """The same with the configuration."""
    headers = _attachment(plane.control, "tar.gz")
    if request.scope["method"] == "HEAD":
        return Answer(_nothing(), headers=headers, media=GZIP)
    packing = await plane.control.packed()
    await audit.record(plane, request, "backups.exportAll")
    return Answer(archive.streamed(packing), headers=headers, media=GZIP)


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


def _attachment(control: Control, ending: str) -> tuple[tuple[bytes, bytes], ...]:
    moment = times.told(control.state.clock.now())
    name = f"omniroute-backup-{moment:%Y-%m-%dT%H-%M-%SZ}.{ending}"
    return ((b"content-disposition", f'attachment; filename="{name}"'.encode()),)


def _listed(backup: Backup) -> Listed:
    return Listed(**_fields(backup))


def _acted(ident: str, facts: Facts, **told: Any) -> Acted:
    return Acted(backup_id=ident, schema_version=facts.version, rows=dict(facts.rows), **told)


def _fields(backup: Backup) -> dict[str, Any]:
    created = times.told(backup.created)
    return {
        "id": backup.id,
        "filename": backup.id,
        "created_at": created,
        "size": backup.size,
        "reason": backup.reason,
    }


def _before(restored: Restored) -> Listed | None:
    return _listed(restored.before) if restored.before is not None else None


def _detail(restored: Restored) -> dict[str, str]:
    told = {"before": restored.before.id if restored.before is not None else "", "damage": restored.damage}
    return {name: text for name, text in told.items() if text}


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/db-backups",
        access="admin.read",
        body_limit=0,
        serve=listed,
        summary="The backups of the history, the newest first.",
        told=Told(answer=Shelved),
    ),
    Endpoint(
        method="PUT",
        path="/api/db-backups",
        access="admin.write",
        body_limit=BODY,
        serve=create,
        summary="Makes a backup; answers when it is written and verified.",
        told=Told(answer=Created, refuses=(503,)),
    ),
    Endpoint(
        method="POST",
        path="/api/db-backups",
        access="admin.write",
        body_limit=BODY,
        serve=act,
        summary="Restores the backup `backupId` without a stop, after a backup of what is there (`action: create` makes one, `verify` looks at one).",
        told=Told(
            body=Wanted,
            answer=Acted,
            refuses=(404, 503),
            example={"action": "restore", "backupId": EXAMPLE},
        ),
    ),
    Endpoint(
        method="DELETE",
        path="/api/db-backups/{id}",
        access="admin.write",
        body_limit=BODY,
        serve=remove,
        summary="Deletes a backup.",
    ),
    Endpoint(
        method="GET",
        path="/api/db-backups/export",
        access="admin.read",
        body_limit=0,
        serve=export,
        summary="The history of this moment as an SQLite file.",
        told=Told(refuses=(503,), media=OCTETS),
    ),
    Endpoint(
        method="POST",
        path="/api/db-backups/import",
        access="admin.write",
        body_limit=0,
        spooled=lambda control: control.backups.import_limit,
        takes=OCTETS,
        also=(*SQLITE, FORM),
        arrives_in=UPLOAD_TIME,
        serve=take,
        summary="Puts the rows of an SQLite file of OmniRoute (at most `backups.import_limit`) in the place of the history, after it was checked and a backup was made; as it is, or as the file of a form.",
        told=Told(answer=Imported, refuses=(503,)),
    ),
    Endpoint(
        method="GET",
        path="/api/db-backups/exportAll",
        access="admin.read",
        body_limit=0,
        serve=export_all,
        summary="History, configuration files and metadata as a `.tar.gz`, without secrets.",
        told=Told(refuses=(503,), media=GZIP),
    ),
)
