"""The command-line tools on this machine: whether they are here, and how they are pointed at the gateway."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import msgspec

from omniroute.api import audit, times
from omniroute.api.endpoint import Answer, Endpoint, Request, Told
from omniroute.api.plane import Plane
from omniroute.errors import BadRequest, CallError
from omniroute.services.clients.detection import Detected
from omniroute.services.clients.settings import Clients, Shown
from omniroute.services.clients.tools import BY_NAME, TOOLS, Tool

BODY = 16 << 10
ANONYMOUS = "anonymous"


class Wanted(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What to write: the gateway's address (this one's, where it is not given), a key of the gateway's (none is needed
    where it asks for none) and a model. `env` is the older way to say the same of Claude Code."""

    base_url: str = ""
    api_key: str = ""
    model: str = ""
    env: dict[str, str] = {}


class Settings(msgspec.Struct, frozen=True, rename="camel"):
    """Whether a tool is there, and what its settings say, secrets hidden. `settings` is the first of the `files`."""

    installed: bool
    runnable: bool
    command: str
    command_path: str | None
    runtime_mode: str
    reason: str | None
    version: str | None
    settings: dict[str, Any] | None
    settings_path: str
    has_omni_route: bool
    files: list[Shown]
    message: str = ""


class Written(msgspec.Struct, frozen=True, rename="camel"):
    """Which files were written."""

    success: bool
    message: str
    settings_path: str
    paths: list[str]


class Undone(msgspec.Struct, frozen=True, rename="camel"):
    """How each file was put back: `bytes` as they were, `removed` where there was none, `settings` where the user has
    changed it since and only ours went back."""

    success: bool
    message: str
    restored: dict[str, str]


class Status(msgspec.Struct, frozen=True, rename="camel"):
    """What `status` says of one tool."""

    installed: bool
    runnable: bool
    command: str
    command_path: str | None
    reason: str | None
    config_status: str


class Runtime(msgspec.Struct, frozen=True, rename="camel"):
    """Whether a tool could run."""

    tool_id: str
    installed: bool
    runnable: bool
    command: str
    command_path: str | None
    runtime_mode: str
    reason: str | None
    requires_binary: bool
    config_path: str
    message: str


class Kept(msgspec.Struct, frozen=True, rename="camel"):
    """One backup of a tool's files."""

    id: str
    tool_id: str
    original_path: str
    created_at: datetime
    size: int
    undone: bool


class BackupList(msgspec.Struct, frozen=True):
    tool: str
    backups: list[Kept]


class Which(msgspec.Struct, frozen=True):
    """Of which tool."""

    tool: str


class Choice(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One backup of one tool."""

    tool: str
    backup_id: str


class Done(msgspec.Struct, frozen=True):
    success: bool
    message: str


def _clients(plane: Plane) -> Clients:
    return plane.control.clients


def _base(request: Request, wanted: Wanted) -> str:
    """The address to write: that which was given, else the one under which this request came."""
    given = wanted.base_url or wanted.env.get("ANTHROPIC_BASE_URL", "")
    if not given:
        return f"{request.scope['scheme']}://{request.header(b'host')}"
    base = given.rstrip("/").removesuffix("/v1")
    if not base.startswith(("http://", "https://")) or any(char.isspace() or char in "\"'\\" for char in base):
        raise BadRequest("`baseUrl` is the gateway's http or https address.", code="invalid_body", param="baseUrl")
    return base


def _key(plane: Plane, wanted: Wanted) -> str:
    key = wanted.api_key or wanted.env.get("ANTHROPIC_AUTH_TOKEN", "") or wanted.env.get("ANTHROPIC_API_KEY", "")
    if not key and plane.control.live.current.server.require_api_key:
        told = "This gateway asks for a key, so the tool needs one: send `apiKey`, made with POST /api/keys."
        raise BadRequest(told, code="key_missing", param="apiKey")
    if any(not char.isprintable() or char in "\"'\\" for char in key):
        raise BadRequest("`apiKey` is not a key.", code="invalid_body", param="apiKey")
    return key or ANONYMOUS


class _Of:
    """The handlers of one tool."""

    def __init__(self, tool: Tool) -> None:
        self._tool = tool

    async def show(self, plane: Plane, request: Request) -> Answer:
        """What its settings say."""
        clients, name = _clients(plane), self._tool.name
        found, files, points = await asyncio.to_thread(
            lambda: (
                clients.detect(name),
                clients.shown(name),
                clients.points_to(name, _base(request, Wanted())),
            )
        )
        first = files[0]
        message = "" if found.installed else f"{self._tool.title} is not installed"
        return Answer(
            Settings(
                **msgspec.structs.asdict(found),
                settings=first.settings if first.exists else None,
                settings_path=first.path,
                has_omni_route=points,
                files=files,
                message=message,
            )
        )

    async def write(self, plane: Plane, request: Request) -> Answer:
        """Points it here."""
        wanted = request.json(Wanted)
        base, key = _base(request, wanted), _key(plane, wanted)
        model = wanted.model or wanted.env.get("ANTHROPIC_MODEL", "")
        if any(not char.isprintable() or char in '"\\' for char in model):
            raise BadRequest("`model` is not a model's name.", code="invalid_body", param="model")
        paths = await asyncio.to_thread(_clients(plane).write, self._tool.name, base, key, model)
        await audit.record(plane, request, "cli-tools.write", self._tool.name, detail={"baseUrl": base, "model": model})
        return Answer(
            Written(success=True, message=f"{self._tool.title} uses {base}", settings_path=paths[0], paths=paths)
        )

    async def undo(self, plane: Plane, request: Request) -> Answer:
        """Puts its files back."""
        restored = await asyncio.to_thread(_clients(plane).undo, self._tool.name)
        await audit.record(plane, request, "cli-tools.undo", self._tool.name, detail=restored)
        told = "is as it was before" if restored else "had nothing to put back"
        return Answer(Undone(success=True, message=f"{self._tool.title} {told}", restored=restored))


async def status(plane: Plane, request: Request) -> Answer:
    """Every tool at a glance."""
    base = _base(request, Wanted())

    def look() -> dict[str, Status]:
        clients = _clients(plane)
        return {tool.name: _status(clients.detect(tool.name), _configured(clients, tool.name, base)) for tool in TOOLS}

    return Answer(await asyncio.to_thread(look))


def _configured(clients: Clients, name: str, base: str) -> str:
    try:
        return "configured" if clients.points_to(name, base) else "not_configured"
    except CallError:
        return "unreadable"


def _status(found: Detected, configured: str) -> Status:
    return Status(found.installed, found.runnable, found.command, found.command_path, found.reason, configured)


async def runtime(plane: Plane, request: Request) -> Answer:
    """Whether one tool could run here."""
    clients = _clients(plane)
    tool = clients.tool(request.params["tool"])
    found = await asyncio.to_thread(clients.detect, tool.name)
    told = f"{tool.title} is here" if found.installed else f"{tool.title} is not installed"
    return Answer(
        Runtime(
            tool_id=tool.name,
            installed=found.installed,
            runnable=found.runnable,
            command=found.command,
            command_path=found.command_path,
            runtime_mode=found.runtime_mode,
            reason=found.reason,
            requires_binary=tool.name != "continue",
            config_path=tool.files[0].place,
            message=told,
        )
    )


async def backups(plane: Plane, request: Request) -> Answer:
    """What can be put back of one tool."""
    name = request.query(Which).tool
    found = await asyncio.to_thread(_clients(plane).backups, name)
    kept = [Kept(one.ident, name, one.files[0].place, times.told(one.at), size, one.undone) for one, size in found]
    return Answer(BackupList(name, kept))


async def restore(plane: Plane, request: Request) -> Answer:
    """Puts one backup back."""
    chosen = request.json(Choice)
    paths = await asyncio.to_thread(_clients(plane).restore, chosen.tool, chosen.backup_id)
    await audit.record(plane, request, "cli-tools.restore", chosen.tool, detail={"backup": chosen.backup_id})
    return Answer(Done(success=True, message=f"{', '.join(paths)} as in {chosen.backup_id}"))


async def remove(plane: Plane, request: Request) -> Answer:
    """Deletes one backup."""
    chosen = request.json(Choice)
    await asyncio.to_thread(_clients(plane).remove, chosen.tool, chosen.backup_id)
    await audit.record(plane, request, "cli-tools.forget", chosen.tool, detail={"backup": chosen.backup_id})
    return Answer(Done(success=True, message=f"{chosen.backup_id} is deleted"))


def _rows(tool: Tool) -> tuple[Endpoint, ...]:
    of = _Of(tool)
    path = f"/api/cli-tools/{tool.name}-settings"
    example = {"baseUrl": "http://127.0.0.1:20128", "apiKey": "or-…", "model": "coding"}
    put = Told(body=Wanted, answer=Written, refuses=(409, 503), example=example)
    return (
        Endpoint(
            method="GET",
            path=path,
            access="admin.read",
            body_limit=0,
            serve=of.show,
            summary=f"Whether {tool.title} is here, and its settings with secrets hidden.",
            told=Told(answer=Settings, refuses=(409, 503)),
        ),
        Endpoint(
            method="POST",
            path=path,
            access="admin.write",
            body_limit=BODY,
            serve=of.write,
            summary=f"Points {tool.title} at the gateway, after a backup; comments in its files stay.",
            told=put,
        ),
        Endpoint(
            method="DELETE",
            path=path,
            access="admin.write",
            body_limit=BODY,
            serve=of.undo,
            summary=f"Puts {tool.title}'s files back as they were.",
            told=Told(answer=Undone, refuses=(409, 503)),
        ),
    )


ENDPOINTS = (
    *(row for tool in TOOLS for row in _rows(tool)),
    Endpoint(
        method="POST",
        path="/api/cli-tools/guide-settings/continue",
        access="admin.write",
        body_limit=BODY,
        serve=_Of(BY_NAME["continue"]).write,
        summary="The same as POST /api/cli-tools/continue-settings.",
        told=Told(body=Wanted, answer=Written, refuses=(409, 503)),
    ),
    Endpoint(
        method="GET",
        path="/api/cli-tools/status",
        access="admin.read",
        body_limit=0,
        serve=status,
        summary="Every tool: whether it is here, and whether it is pointed at this gateway.",
        told=Told(answer=dict[str, Status], refuses=(503,)),
    ),
    Endpoint(
        method="GET",
        path="/api/cli-tools/runtime/{tool}",
        access="admin.read",
        body_limit=0,
        serve=runtime,
        summary="Whether one tool could run here, found without starting it.",
        told=Told(answer=Runtime),
    ),
    Endpoint(
        method="GET",
        path="/api/cli-tools/backups",
        access="admin.read",
        body_limit=0,
        serve=backups,
        summary="What stood in a tool's files before they were written.",
        told=Told(query=Which, answer=BackupList, refuses=(404,)),
    ),
    Endpoint(
        method="POST",
        path="/api/cli-tools/backups",
        access="admin.write",
        body_limit=BODY,
        serve=restore,
        summary="Puts a backup of a tool's files back, and keeps what stands there now.",
        told=Told(body=Choice, answer=Done, refuses=(404, 503), example={"tool": "codex", "backupId": "20261130T…"}),
    ),
    Endpoint(
        method="DELETE",
        path="/api/cli-tools/backups",
        access="admin.write",
        body_limit=BODY,
        serve=remove,
        summary="Deletes a backup of a tool's files.",
        told=Told(body=Choice, answer=Done, refuses=(404,)),
    ),
)
