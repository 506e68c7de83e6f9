"""From rows to ASGI applications: every guard stands here once, in the order in which a request meets it.

    host → method → origin → credential → role → CSRF word → size and type → handler

One application per path and not one per row, because only so a wrong method is ours to answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import groupby
from operator import attrgetter
from urllib.parse import unquote

import msgspec
from litestar.enums import ScopeType
from litestar.exceptions import NotFoundException
from litestar.types import ASGIApp, Receive, Scope, Send

from omniroute.api import access, body, errors
from omniroute.api.endpoint import JSON, READS, Answer, Endpoint, Request
from omniroute.api.plane import Plane
from omniroute.errors import MethodNotAllowed
from omniroute.routing import request_id

_encode = msgspec.json.Encoder(decimal_format="number").encode


class _Path(msgspec.Struct, frozen=True):
    guarded: bool
    rows: dict[str, Endpoint]


def application(plane: Plane, rows: Sequence[Endpoint]) -> ASGIApp:
    """The ASGI application of one path, given all its rows."""
    path = _Path(rows[0].guarded, {row.method: row for row in rows})

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == ScopeType.HTTP
        name = request_id.given(scope["headers"]) or request_id.new()
        params = dict(scope.get("path_params", {}))
        try:
            answer = await _answer(plane, path, Request(scope=scope, request_id=name, params=params), receive)
            content = answer.content if answer.media != JSON else _encode(answer.content)
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets an answer and the log the rest
            told = errors.refusal(error, name)
            answer = Answer(told.content, told.fault.status, tuple(told.headers))
            content = msgspec.json.encode(told.content)
        head = [*errors.common_headers(plane.control, name, answer.media), *answer.headers]
        if isinstance(content, AsyncIterator):
            await _stream(answer.status, head, content, send, silent=scope["method"] == "HEAD")
            return
        head.append((b"content-length", b"%d" % len(content)))
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        silent = scope["method"] == "HEAD"
        await send({"type": "http.response.body", "body": b"" if silent else content, "more_body": False})

    return serve


def applications(plane: Plane, rows: Sequence[Endpoint]) -> ASGIApp:
    """The ASGI application of all paths below one, given all rows of them."""
    ordered = groupby(sorted(rows, key=attrgetter("path")), key=attrgetter("path"))
    paths = [(_segments(path), application(plane, list(of_path))) for path, of_path in ordered]
    paths.sort(key=lambda one: [step.startswith("{") for step in one[0]])  # what is written out comes first

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == ScopeType.HTTP
        asked = [unquote(step) for step in _segments(scope["raw_path"].decode("latin-1"))]
        scope["path"] = f"/{'/'.join(asked)}"
        for template, of_path in paths:
            params = _fit(template, asked)
            if params is not None:
                scope["path_params"] = params
                await of_path(scope, receive, send)
                return
        raise NotFoundException

    return serve


def _segments(path: str) -> list[str]:
    return [step for step in path.partition("?")[0].split("/") if step]


def _fit(template: Sequence[str], asked: Sequence[str]) -> dict[str, str] | None:
    """What stands for the parameters, if the path is one of these."""
    if len(template) != len(asked):
        return None
    params: dict[str, str] = {}
    for step, given in zip(template, asked, strict=True):
        if step.startswith("{"):
            params[step[1:-1]] = given
        elif step != given:
            return None
    return params


async def _stream(status: int, head: errors.Pairs, pieces: AsyncIterator[bytes], send: Send, *, silent: bool) -> None:
    """Sends pieces as they come. What fails between them ends the connection, so that nobody takes it for the whole."""
    await send({"type": "http.response.start", "status": status, "headers": head})
    if not silent:
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _answer(plane: Plane, path: _Path, request: Request, receive: Receive) -> Answer:
    scope = request.scope
    if path.guarded:
        access.check_host(request.headers(b"host"), plane.control.live.current.access.allowed_hosts)
    row = path.rows.get("GET" if scope["method"] == "HEAD" else scope["method"])
    if row is None:
        allow = [*path.rows, "HEAD"] if "GET" in path.rows else list(path.rows)
        raise MethodNotAllowed(f"{scope['path']} takes {', '.join(allow)}, not {scope['method']}.", allow)
    visitor = None
    if path.guarded:
        if scope["method"] not in READS:
            access.check_origin(request)
        visitor = access.identify(plane, request, row)
        opened = row.opened is not None and row.opened(plane.control)
        access.authorize(visitor, "public" if opened else row.access, request)
    request = msgspec.structs.replace(request, visitor=visitor)
    if row.spooled is None:
        return await row.serve(plane, msgspec.structs.replace(request, body=await body.read(scope, receive, row)))
    folder = plane.control.backups.uploads
    async with body.spooled(scope, receive, row, row.spooled(plane.control), folder) as file:
        return await row.serve(plane, msgspec.structs.replace(request, spool=file))
