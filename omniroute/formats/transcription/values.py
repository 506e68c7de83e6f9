"""What is asked for when speech becomes text, and what comes of it, in no provider's words."""

from __future__ import annotations

from math import isfinite
from typing import Literal

import msgspec

from omniroute.formats.ir import Usage
from omniroute.formats.multipart import Part
from omniroute.formats.transcription.sound import LONGEST, Kind

ResponseFormat = Literal["json", "text", "srt", "vtt", "verbose_json", "diarized_json"]


class Transcription(msgspec.Struct, frozen=True, kw_only=True):
    """A request. `language` is one that is known, `languages` those that it may be; `keywords` are likely to be said.
    `extra` are the names of fields that only the client's own format has. `parts` is the form as it came, for an
    upstream of the same format."""

    model: str
    audio: bytes
    filename: str
    kind: Kind
    language: str | None = None
    languages: tuple[str, ...] = ()
    prompt: str | None = None
    keywords: tuple[str, ...] = ()
    temperature: float | None = None
    response_format: ResponseFormat = "json"
    words: bool = False
    segments: bool = True
    stream: bool = False
    extra: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()


class Word(msgspec.Struct, frozen=True):
    """Times are in seconds from the beginning."""

    text: str
    start: float
    end: float
    speaker: str | None = None


class Segment(msgspec.Struct, frozen=True):
    """What was said in one go: a sentence or two."""

    text: str
    start: float
    end: float
    speaker: str | None = None


class Native(msgspec.Struct, frozen=True):
    """An answer in the client's own format, to be handed on: `fields` where it is JSON, `body` as it came."""

    body: bytes
    fields: dict[str, msgspec.Raw] | None = None


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. `duration` is how long the audio is, `billed` the seconds that the provider charges where it says so;
    `usage` is of models that are priced by tokens."""

    text: str = ""
    language: str | None = None
    duration: float | None = None
    billed: float | None = None
    words: tuple[Word, ...] = ()
    segments: tuple[Segment, ...] = ()
    usage: Usage | None = None
    native: Native | None = None


def seconds(value: float | None) -> float:
    """A time as a provider tells it, within reason."""
    return min(max(float(value), 0.0), LONGEST) if value is not None and isfinite(value) else 0.0


def length(value: float | str | None) -> float | None:
    """A length as a provider tells it, be it as text; None for one that is none."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return seconds(value) or None
