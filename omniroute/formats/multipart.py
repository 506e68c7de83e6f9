"""Bodies of `multipart/form-data` (RFC 7578): read piece by piece with everything counted, and written.

The parser is the `multipart` package's. What it leaves to its user stands here: how much of each kind is too much, which
parts are files, and the words for a caller whose body is none. A part is given out when it is whole; nothing is written
to a disk, unless by whoever takes the bytes of files as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

import msgspec
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    content_disposition_quote,
    parse_options_header,
)

from omniroute.errors import BadRequest, TooLarge, UnsupportedMedia

LONGEST_BOUNDARY = 70
"""Characters, by RFC 2046, section 5.1.1."""
CODE = "invalid_multipart"


class Limits(msgspec.Struct, frozen=True):
    """What is too much: `field_bytes` is of all fields together, `file_bytes` of one file. `file_fields` are the names
    of parts that are files even where they have no file name. `setting` is where an operator sets `file_bytes`."""

    file_bytes: int
    file_fields: frozenset[str] = frozenset()
    field_bytes: int = 4 * 1024 * 1024
    parts: int = 64
    files: int = 1
    header_bytes: int = 4 * 1024
    headers: int = 8
    setting: str = ""


class Part(msgspec.Struct, frozen=True):
    """A field, or a file where there is a `filename` (which may be empty); `content_type` is as the sender tells it."""

    name: str
    data: bytes
    filename: str | None = None
    content_type: str = ""


def boundary_of(content_type: bytes) -> str:
    """The boundary that a content type names. Raises UnsupportedMedia for another type, BadRequest for none."""
    kind, options = parse_options_header(content_type.decode("latin-1"))
    if kind != "multipart/form-data":
        raise UnsupportedMedia("The body must be a form: send `Content-Type: multipart/form-data` with its boundary.")
    boundary: str = options.get("boundary", "")
    if not (0 < len(boundary) <= LONGEST_BOUNDARY and boundary.isascii() and boundary.isprintable()):
        raise BadRequest("`Content-Type` names no boundary of 1 to 70 printable characters.", code=CODE)
    return boundary


class Multipart:
    """The parts of one body. Where somebody takes the bytes of files as they come, parts that are files have none."""

    __slots__ = ("_field_bytes", "_files", "_limits", "_parser", "_pieces", "_segment", "_size", "_take")

    def __init__(self, boundary: str, limits: Limits, take: Callable[[bytes], None] | None = None) -> None:
        self._limits = limits
        self._take = take
        self._field_bytes = 0
        self._files = 0
        self._segment: MultipartSegment | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=limits.header_bytes,
            max_header_count=limits.headers,
            max_segment_count=limits.parts,
            strict=False,  # which would refuse the line end after the last boundary where it comes in a piece of its own
        )

    def feed(self, data: bytes) -> list[Part]:
        """The parts that are whole now. Raises BadRequest, or TooLarge as soon as something is too much."""
        return self._events(data) if data else []

    def close(self) -> None:
        """The body has ended. Raises BadRequest where its last boundary has not been seen."""
        try:
            self._parser.close()
        except MultipartError:
            raise BadRequest(
                "The body is not valid multipart/form-data: it ends before its last boundary.", code=CODE
            ) from None

    def _events(self, data: bytes) -> list[Part]:
        parts: list[Part] = []
        try:
            for event in self._parser.parse(data):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event is None:
                    parts.append(self._end())
                else:
                    self._more(bytes(event))
        except ParserLimitReached as error:
            raise TooLarge(f"The form has more than is taken here: {_words(error)}.") from None
        except (MultipartError, UnicodeError) as error:
            raise BadRequest(f"The body is not valid multipart/form-data: {_words(error)}.", code=CODE) from None
        return parts

    def _begin(self, segment: MultipartSegment) -> None:
        if not segment.name:
            raise BadRequest("A part of the form has no name.", code=CODE)
        self._segment = segment
        self._size = 0
        if self._is_file(segment):
            self._files += 1
            if self._files > self._limits.files:
                raise BadRequest(f"The form has more than {self._limits.files} file.", code=CODE, param=segment.name)

    def _is_file(self, segment: MultipartSegment) -> bool:
        return segment.filename is not None or segment.name in self._limits.file_fields

    def _more(self, data: bytes) -> None:
        segment = self._segment
        assert segment is not None
        self._size += len(data)
        if self._is_file(segment):
            if self._size > self._limits.file_bytes:
                mebibytes = self._limits.file_bytes / (1024 * 1024)
                where = f" (`{self._limits.setting}`)" if self._limits.setting else ""
                raise TooLarge(f"`{segment.name}` is larger than the {mebibytes:g} MiB that are taken here{where}.")
            if self._take is not None:
                self._take(data)
                return
        else:
            self._field_bytes += len(data)
            if self._field_bytes > self._limits.field_bytes:
                raise TooLarge(f"The fields of the form are more than {self._limits.field_bytes} bytes.")
        self._pieces.append(data)

    def _end(self) -> Part:
        segment = self._segment
        assert segment is not None
        data = b"".join(self._pieces)
        self._pieces.clear()
        filename = (segment.filename or "") if self._is_file(segment) else None
        kind = segment.header("Content-Type", "") or ""
        return Part(segment.name or "", data, filename, kind if kind.isascii() and kind.isprintable() else "")


def _words(error: Exception) -> str:
    """What the parser says, which may quote the body: printable, and short."""
    text = str(error.args[0]) if error.args else ""
    return "".join(char for char in text if char.isprintable())[:200].rstrip(".").lower()


def boundary_for(ident: str, parts: Iterable[Part]) -> str:
    """A boundary of one's own that follows from `ident` and stands in none of the parts."""
    held = [part.data for part in parts]
    boundary = ident
    while True:
        boundary = sha256(boundary.encode()).hexdigest()[:40]
        mark = boundary.encode()
        if not any(mark in data for data in held):
            return boundary


def write(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    """The body, piece by piece; a file's bytes are a piece as they are."""
    for part in parts:
        head = f"--{boundary}\r\nContent-Disposition: form-data; name={content_disposition_quote(part.name)}"
        if part.filename is not None:
            head += f"; filename={content_disposition_quote(part.filename)}"
        if part.content_type:
            head += f"\r\nContent-Type: {part.content_type}"
        yield head.encode() + b"\r\n\r\n"
        yield part.data
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
