"""Everything of a gateway in one `.tar.gz`: its history, its configuration, and what both were.

It is written as it is read, so that it may be larger than the memory.  No secret is in it: the files of the
configuration refer to theirs, and what stands in one literally, as the hash of the password may, is left out and told.
"""

from __future__ import annotations

import asyncio
import os
import tarfile
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from omniroute import __version__
from omniroute.config.bundle import Bundle
from omniroute.document import Document
from omniroute.services.backup import Export
from omniroute.services.shelf import DATABASE

PIECE = 1 << 16
GZIP = 31
"""zlib's word for a stream of gzip."""
FILES = "files"


class Member(NamedTuple):
    """A file of the archive."""

    name: str
    size: int
    content: BinaryIO


def members(bundle: Bundle, export: Export, revision: str, now: float) -> list[Member]:
    """What there is to be told. `files/` is the directory above that of the main file, beyond which no include leads."""
    files = [(name, document, document.without_secrets()) for name, document in _files(bundle)]
    told = {
        "version": __version__,
        "createdAt": datetime.fromtimestamp(now, UTC),
        "revision": revision,
        "database": {"schemaVersion": export.facts.version, "rows": export.facts.rows},
        "files": [
            {"name": name, "sha256": sha256(text.encode()).hexdigest(), "asWritten": text == document.text}
            for name, document, text in files
        ],
    }
    metadata = msgspec.json.format(msgspec.json.encode(told), indent=2)
    return [
        _member("metadata.json", metadata),
        Member(DATABASE, os.fstat(export.file.fileno()).st_size, export.file),
        *(_member(f"{FILES}/{name}", text.encode()) for name, _, text in files),
    ]


def _files(bundle: Bundle) -> Iterator[tuple[str, Document]]:
    """Each with its name in the archive, which leads nowhere but down."""
    top = Path(os.path.abspath(bundle.path)).parent.parent  # noqa: PTH100 - resolve() would follow links
    for file, document in zip(bundle.files, bundle.documents, strict=True):
        yield os.path.relpath(file, top).replace("../", ""), document


def _member(name: str, content: bytes) -> Member:
    return Member(name, len(content), BytesIO(content))


def packed(everything: Sequence[Member], now: float) -> Iterator[bytes]:
    """The bytes of the archive, a piece at a time. Blocks between them."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, GZIP)
    for member in everything:
        info = tarfile.TarInfo(member.name)
        info.size, info.mtime, info.mode = member.size, int(now), 0o600
        yield squeeze.compress(info.tobuf(tarfile.PAX_FORMAT))
        with member.content as content:
            while piece := content.read(PIECE):
                yield squeeze.compress(piece)
        yield squeeze.compress(bytes(-member.size % tarfile.BLOCKSIZE))
    yield squeeze.compress(bytes(2 * tarfile.BLOCKSIZE)) + squeeze.flush()


async def streamed(packing: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same without blocking."""
    while (piece := await asyncio.to_thread(next, packing, None)) is not None:
        if piece:
            yield piece
