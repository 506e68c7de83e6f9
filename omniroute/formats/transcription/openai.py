"""Upstreams of the client's own format: OpenAI, Groq, Mistral and many that imitate it.

The form goes on as it came, only under the upstream's name for the model and with a name of the file that is true.
The answer comes back as it is: what is looked at is what a request took and how long the audio is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.errors import Fault
from omniroute.formats.ir import Loss, Usage
from omniroute.formats.multipart import Part, boundary_for, write
from omniroute.formats.openai_chat import faults
from omniroute.formats.openai_chat.views import MOST
from omniroute.formats.transcription.answer import TEXTS
from omniroute.formats.transcription.codec import Answered, Ask, Conversation, View
from omniroute.formats.transcription.request import FILE
from omniroute.formats.transcription.values import (
    Native,
    Segment,
    Transcript,
    Transcription,
    Word,
    length,
    seconds,
)

NAME = "openai"
PLAIN = frozenset({b"text/plain", b"text/vtt", b"text/srt", b"application/x-subrip"})
"""The types of answers that are no JSON. HTML is none: a page that says 200 is some proxy's."""


class Details(View):
    audio_tokens: float | None = None


class Spent(View):
    """OpenAI tells tokens or seconds, Mistral both in words of its own."""

    input_tokens: float | None = None
    output_tokens: float | None = None
    input_token_details: Details | None = None
    seconds: float | None = None
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    prompt_audio_seconds: float | None = None


class Timed(View):
    text: str = ""
    word: str = ""
    start: float | None = None
    end: float | None = None
    speaker: Any = None


class Said(View):
    text: str
    language: str | None = None
    duration: float | str | None = None
    usage: Spent | None = None
    segments: list[Timed] | None = None
    words: list[Timed] | None = None


_said = msgspec.json.Decoder(Said).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_any = msgspec.json.Decoder().decode


def losses(request: Transcription, model: str) -> list[Loss]:  # noqa: ARG001 - the form goes on as it came
    return []


def converse(request: Transcription, model: str, ident: str) -> Conversation:
    parts = [_part(part, request, model) for part in request.parts]
    boundary = boundary_for(ident, parts)
    answered = yield Ask(
        path="/audio/transcriptions",
        content_type=f"multipart/form-data; boundary={boundary}".encode(),
        body=b"".join(write(parts, boundary)),
    )
    return transcript(answered, request)


def _part(part: Part, request: Transcription, model: str) -> Part:
    if part.name == FILE:
        return Part(FILE, part.data, request.filename, request.kind.media_type)
    return Part(part.name, model.encode()) if part.name == "model" else part


def transcript(answered: Answered, request: Transcription) -> Transcript | Fault:
    """What the upstream said: text as it is where text was asked for, else JSON."""
    body = answered.body
    kind = answered.content_type.partition(b";")[0].strip().lower()
    if request.response_format in TEXTS and kind in PLAIN:
        return Transcript(text=body.decode(errors="replace"), language=request.language, native=Native(body))
    told = _any(body)
    if isinstance(told, str):  # the text without an object around it
        return Transcript(text=told, language=request.language)
    if isinstance(told, dict) and "text" not in told and "error" in told:
        return faults.told(told)
    said = _said(body)
    spent = said.usage or Spent()
    return Transcript(
        text=said.text,
        language=said.language or request.language,
        duration=length(said.duration) or length(spent.prompt_audio_seconds),
        billed=length(spent.seconds),
        words=tuple(Word(one.word or one.text, seconds(one.start), seconds(one.end)) for one in said.words or ()),
        segments=tuple(
            Segment(
                one.text, seconds(one.start), seconds(one.end), one.speaker if isinstance(one.speaker, str) else None
            )
            for one in said.segments or ()
        ),
        usage=tokens(spent),
        native=Native(body, _fields(body)),
    )


def tokens(spent: Spent) -> Usage | None:
    """None where the provider counts none."""
    asked, made = spent.input_tokens or spent.prompt_tokens, spent.output_tokens or spent.completion_tokens
    if asked is None and made is None:
        return None
    audio = (spent.input_token_details or Details()).audio_tokens
    return Usage(input=_count(asked), output=_count(made), audio_input=_count(audio))


def _count(value: float | None) -> int:
    return int(min(max(value, 0), MOST)) if value else 0


def decode_error(status: int, body: bytes) -> Fault:
    return faults.decode_error(status, body)
