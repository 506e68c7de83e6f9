"""Bodies of requests, in memory or, where they are too large for that, in a file that is gone when the request is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex

from litestar.types import HTTPScope, Receive

from omniroute.api.endpoint import JSON, Endpoint
from omniroute.errors import BadRequest, CallError, TooLarge, Unavailable, UnsupportedMedia
from omniroute.formats.multipart import Limits, Multipart, boundary_of
from omniroute.state.database import make_private

LONGEST_LENGTH = 12
"""Digits of a Content-Length that is still looked at as a number."""
FORM = "multipart/form-data"
AROUND = 64 << 10
"""Bytes of a form besides its file: heads of parts, boundaries, and fields that nobody asked for."""
PIECE = 1 << 20
"""Bytes that are written at once: a hop to a thread costs as much as a few of the pieces that a body comes in."""


class BodyTimeout(CallError):
    """The one status that only reading a body can have."""

    kind, status, code = "timeout", 408, "body_timeout"


async def read(scope: HTTPScope, receive: Receive, row: Endpoint) -> bytes:
    """The body. Raises before reading what is announced too large, and as soon as what comes is."""
    kind = _kind(scope, row.body_limit)
    body = bytearray()
    try:
        async with asyncio.timeout(row.arrives_in):
            async for piece in _pieces(receive, row.body_limit):
                body += piece
    except TimeoutError:
        raise BodyTimeout("The body did not arrive in time.") from None
    if body:
        _check_kind(kind, row)
    return bytes(body)


@asynccontextmanager
async def spooled(scope: HTTPScope, receive: Receive, row: Endpoint, limit: int, folder: Path) -> AsyncIterator[Path]:
    """The same as a file that nobody else can read; of a form, the one file in it. Raises Unavailable where the disk does
    not take it."""
    is_form = _kind(scope, limit + AROUND) == FORM
    whole = limit + AROUND if is_form else limit
    _check_kind(_kind(scope, whole), row)
    pieces = _pieces(receive, whole)
    if is_form:
        pieces = _file_of(pieces, boundary_of(_content_type(scope)), limit)
    path = folder / f"{token_hex(8)}.upload"
    try:
        try:
            async with asyncio.timeout(row.arrives_in):
                await asyncio.to_thread(_make, path)
                await _write(path, pieces)
        except TimeoutError:
            raise BodyTimeout("The body did not arrive in time.") from None
        except OSError as error:
            raise Unavailable(f"The body cannot be kept: {error.strerror}.", code="disk_full") from None
        yield path
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)


def _kind(scope: HTTPScope, limit: int) -> str:
    """What the head says of the body's type. Raises where it says that the body is not to be read."""
    kind = ""
    for name, value in scope["headers"]:
        if name == b"content-length" and (len(value) > LONGEST_LENGTH or (value.isdigit() and int(value) > limit)):
            raise _too_large(limit)
        if name == b"content-encoding" and value.lower() != b"identity":
            raise UnsupportedMedia("Compressed bodies are not taken; send it as it is.")
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower().decode("latin-1")
    return kind


def _check_kind(kind: str, row: Endpoint) -> None:
    if kind not in (row.takes, *row.also) and not (row.takes == JSON and kind.endswith("+json")):
        what = "The body must be JSON: send" if row.takes == JSON else "Send the body as it is, with"
        raise UnsupportedMedia(f"{what} `Content-Type: {row.takes}`.")


async def _pieces(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    whole, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise BadRequest("The body broke off.", code="body_incomplete")
        piece = message.get("body", b"")
        more = message.get("more_body", False)
        whole += len(piece)
        if whole > limit:
            raise _too_large(limit)
        yield piece


async def _file_of(pieces: AsyncIterator[bytes], boundary: str, limit: int) -> AsyncIterator[bytes]:
    """The bytes of the file in a form, as they come. Raises BadRequest for a form without one, or with several."""
    waiting: list[bytes] = []
    form = Multipart(boundary, Limits(file_bytes=limit, field_bytes=AROUND), waiting.append)
    files = 0
    async for piece in pieces:
        files += sum(part.filename is not None for part in form.feed(piece))
        yield b"".join(waiting)
        waiting.clear()
    form.close()
    if not files:
        raise BadRequest("The form has no file: send one part with a `filename`.", code="file_missing")


def _content_type(scope: HTTPScope) -> bytes:
    return [value for name, value in scope["headers"] if name == b"content-type"][-1]


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_private(path)


async def _write(path: Path, pieces: AsyncIterator[bytes]) -> None:
    waiting = bytearray()
    with path.open("ab", buffering=0) as file:
        async for piece in pieces:
            waiting += piece
            if len(waiting) >= PIECE:
                await asyncio.to_thread(file.write, waiting)
                waiting = bytearray()
        await asyncio.to_thread(file.write, waiting)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than the {limit} bytes that are taken here.")
