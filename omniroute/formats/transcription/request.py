"""A client's request: OpenAI's form, checked before anything is sent.

https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast, get_args

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.multipart import Part
from omniroute.formats.transcription import sound
from omniroute.formats.transcription.values import ResponseFormat, Transcription

FILE = "file"
FORMATS: tuple[str, ...] = get_args(ResponseFormat)
LISTS = frozenset(
    {"include", "keywords", "known_speaker_names", "known_speaker_references", "languages", "timestamp_granularities"}
)
"""Fields that may stand more than once. SDKs write their names with `[]`, others without, or with a number in them."""
CARRIED = frozenset(
    {"model", "language", "languages", "prompt", "keywords", "temperature", "response_format", "stream"}
    | {"timestamp_granularities"}
)
"""What is understood here; whatever else there is means something to OpenAI's own format at the most."""
Granularity = Literal["word", "segment"]


def decode(parts: Sequence[Part]) -> Transcription:
    """Raises BadRequest that names the field."""
    file, fields = _sorted(parts)
    model = _one(fields, "model")
    if model is None:
        raise BadRequest("The form names no `model`.", param="model")
    patch.model_name(model)
    if file is None:
        raise BadRequest("The form has no `file`: send the audio as a file of this name.", param=FILE)
    kind = sound.check(file.data, file.filename or "")
    words, segments = _granularities(fields)
    return Transcription(
        model=model,
        audio=file.data,
        filename=sound.named(file.filename or "", kind),
        kind=kind,
        language=_one(fields, "language") or None,
        languages=tuple(fields.get("languages", ())),
        prompt=_one(fields, "prompt") or None,
        keywords=tuple(fields.get("keywords", ())),
        temperature=_temperature(_one(fields, "temperature")),
        response_format=_format(_one(fields, "response_format")),
        words=words,
        segments=segments,
        stream=_flag(_one(fields, "stream")),
        extra=tuple(name for name in fields if name not in CARRIED),
        parts=tuple(parts),
    )


def base(name: str) -> str:
    """The field that a part belongs to: `include` for `include[]` and `include[0]`."""
    return name.partition("[")[0]


def _sorted(parts: Sequence[Part]) -> tuple[Part | None, Mapping[str, list[str]]]:
    file: Part | None = None
    fields: dict[str, list[str]] = {}
    for part in parts:
        if part.name == FILE:
            file = part
            continue
        if part.filename is not None:
            raise BadRequest(f"`{_plain(part.name)}` must be no file.", param=_plain(part.name))
        name = base(part.name)
        try:
            fields.setdefault(name, []).append(part.data.decode())
        except UnicodeDecodeError:
            raise BadRequest(f"`{_plain(name)}` is not UTF-8.", param=_plain(name)) from None
    return file, fields


def _plain(name: str) -> str:
    """A caller's word, to be told to the caller: printable, and short."""
    return "".join(char for char in name if char.isprintable())[:64]


def _one(fields: Mapping[str, list[str]], name: str) -> str | None:
    """The value of a field; who authorises and who forwards must not see different ones of two."""
    values = fields.get(name, [])
    if len(values) > 1:
        raise BadRequest(f"`{name}` stands twice in the form.", param=name)
    return values[0] if values else None


def _temperature(value: str | None) -> float | None:
    if not value:
        return None
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise BadRequest("`temperature` must be a number from 0 to 1.", param="temperature")
    return number


def _format(value: str | None) -> ResponseFormat:
    if not value:
        return "json"
    if value not in FORMATS:
        raise BadRequest(f"`response_format` must be one of {', '.join(FORMATS)}.", param="response_format")
    return cast("ResponseFormat", value)


def _flag(value: str | None) -> bool:
    text = (value or "false").lower()
    if text not in ("true", "false", "1", "0"):
        raise BadRequest("`stream` must be true or false.", param="stream")
    return text in ("true", "1")


def _granularities(fields: Mapping[str, list[str]]) -> tuple[bool, bool]:
    """Whether words are wanted, and whether segments, which are where nothing is said."""
    named = fields.get("timestamp_granularities", [])
    unknown = [one for one in named if one not in get_args(Granularity)]
    if unknown:
        raise BadRequest("`timestamp_granularities` are `word` and `segment`.", param="timestamp_granularities")
    return "word" in named, not named or "segment" in named
