"""What an audio file is, by its bytes, and how long it is.

The bytes decide and not the name: browsers call what they record as they like, and a provider that goes by the ending
of the name would refuse it. Lengths are `tinytag`'s and, for WebM, `matroska.py`'s; both read what a stranger sent, so
the reading is bounded and what it cannot make out is None.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import msgspec
from tinytag import TinyTag, TinyTagException

from omniroute.errors import BadRequest
from omniroute.formats.transcription import matroska

MOST_READS = 30_000
"""Of one file, some 30 ms. An hour of Ogg takes a tenth of it; a file of nothing but false beginnings would take
seconds."""
LONGEST = 10_000_000.0
"""Seconds. A length beyond is a slip or a lie, and must not break the books."""
LONGEST_NAME = 200


class Kind(msgspec.Struct, frozen=True):
    """A type of file: what it is called in errors, as a media type, and the endings of its names, the usual one first."""

    name: str
    media_type: str
    endings: tuple[str, ...]


WAV = Kind("WAV", "audio/wav", ("wav",))
MP3 = Kind("MP3", "audio/mpeg", ("mp3", "mpga", "mpeg"))
MP4 = Kind("MP4", "audio/mp4", ("m4a", "mp4"))
FLAC = Kind("FLAC", "audio/flac", ("flac",))
OGG = Kind("Ogg", "audio/ogg", ("ogg", "oga", "opus"))
WEBM = Kind("WebM", "audio/webm", ("webm",))
MPEG = Kind("MPEG", "video/mpeg", ("mpeg",))
KINDS = (MP3, WAV, MP4, FLAC, OGG, WEBM, MPEG)


def _is_mp3(head: bytes) -> bool:
    """An ID3 tag, or the eleven bits that begin a frame with a layer that exists; zeros may stand before them."""
    if head.startswith(b"ID3"):
        return True
    frame = head.lstrip(b"\0")
    return len(frame) > 2 and frame[0] == 0xFF and frame[1] & 0xE0 == 0xE0 and frame[1] & 0x06 != 0 and frame[2] < 0xF0


SIGNS: tuple[tuple[Kind, Callable[[bytes], bool]], ...] = (
    (WAV, lambda head: head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"),
    (FLAC, lambda head: head.startswith(b"fLaC")),
    (OGG, lambda head: head.startswith(b"OggS")),
    (WEBM, lambda head: head.startswith(b"\x1a\x45\xdf\xa3")),
    (MP4, lambda head: head[4:8] == b"ftyp"),
    (MPEG, lambda head: head[:4] in (b"\0\0\1\xba", b"\0\0\1\xb3")),
    (MP3, _is_mp3),
)


def kind_of(data: bytes) -> Kind | None:
    """By the first bytes; None for what is none of ours."""
    head = data[:4096]
    return next((kind for kind, fits in SIGNS if fits(head)), None)


def check(data: bytes, filename: str) -> Kind:
    """The kind of a file. Raises BadRequest for what is no audio, however it is called."""
    if not data:
        raise BadRequest("`file` is empty.", code="empty_file", param="file")
    kind = kind_of(data)
    if kind is None:
        ending = filename.rpartition(".")[2].lower()
        called = any(ending in kind.endings for kind in KINDS)
        but = f" The name ends in `.{ending}`, but the bytes are something else." if called else ""
        known = ", ".join(ending for kind in KINDS[:-1] for ending in kind.endings)
        raise BadRequest(
            f"`file` is no audio of a type that is taken here: {known}.{but}", code="unsupported_file", param="file"
        )
    return kind


def named(filename: str, kind: Kind) -> str:
    """The file's name with an ending that is true, for providers go by it."""
    name = filename.replace("\\", "/").rpartition("/")[2][-LONGEST_NAME:]
    stem, _, ending = name.rpartition(".")
    if ending.lower() in kind.endings and stem:
        return name
    return f"{stem or ending or 'audio'}.{kind.endings[0]}"


class _Counted(BytesIO):
    """A file that is done with being read after so many reads."""

    left = MOST_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise ValueError("this takes too long")
        return super().read(size)


def duration(data: bytes) -> float | None:
    """Seconds, or None where they cannot be made out."""
    seconds = matroska.duration(data) if kind_of(data) is WEBM else _measured(data)
    return seconds if seconds is not None and 0 < seconds <= LONGEST else None


def _measured(data: bytes) -> float | None:
    try:
        return TinyTag.get(file_obj=_Counted(data), tags=False).duration
    except TinyTagException:
        return None
