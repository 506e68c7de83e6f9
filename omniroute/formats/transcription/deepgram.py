"""Deepgram: the audio is the body, everything else is in the query, the answer comes at once.

https://developers.deepgram.com/reference/speech-to-text/listen-pre-recorded
"""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec

from omniroute.errors import Fault
from omniroute.formats.ir import Loss
from omniroute.formats.refusals import kind_of
from omniroute.formats.transcription.codec import Answered, Ask, Conversation, View
from omniroute.formats.transcription.loss import lost
from omniroute.formats.transcription.values import Segment, Transcript, Transcription, Word, length, seconds

NAME = "deepgram"
TERMS = "keyterm"
OLDER_TERMS = "keywords"
"""How likely words are told: Nova-3 and later know the first, the models before them the second."""
OLDER = ("nova-2", "nova-general", "nova-phonecall", "enhanced", "base", "whisper")


class Said(View):
    word: str = ""
    punctuated_word: str | None = None
    start: float | None = None
    end: float | None = None
    speaker: int | None = None


class Alternative(View):
    transcript: str = ""
    words: tuple[Said, ...] = ()
    languages: list[str] | None = None


class Channel(View):
    alternatives: tuple[Alternative, ...] = ()
    detected_language: str | None = None


class Utterance(View):
    transcript: str = ""
    start: float | None = None
    end: float | None = None
    speaker: int | None = None


class Results(View):
    channels: tuple[Channel, ...] = ()
    utterances: tuple[Utterance, ...] | None = None


class Metadata(View):
    duration: float | None = None


class Listened(View):
    results: Results
    metadata: Metadata | None = None


class Refused(View):
    """Two shapes: `err_*` of the models, the others of the service around them."""

    err_code: str | None = None
    err_msg: str | None = None
    category: str | None = None
    message: str | None = None
    details: str | None = None


_listened = msgspec.json.Decoder(Listened).decode
_refused = msgspec.json.Decoder(Refused).decode


def losses(request: Transcription, model: str) -> list[Loss]:  # noqa: ARG001 - all its models are alike in this
    return lost(request, NAME, ("prompt", "temperature"))


def converse(request: Transcription, model: str, ident: str) -> Conversation:  # noqa: ARG001 - a query has no boundary
    answered = yield Ask(
        path=f"/listen?{urlencode(_query(request, model))}",
        content_type=request.kind.media_type.encode(),
        body=request.audio,
    )
    return _transcript(answered, request)


def _query(request: Transcription, model: str) -> list[tuple[str, str]]:
    query = [("model", model), ("smart_format", "true"), ("utterances", "true")]
    if request.language:
        query.append(("language", request.language))
    else:
        query += [("detect_language", language) for language in request.languages or ("true",)]
    terms = OLDER_TERMS if model.startswith(OLDER) else TERMS
    query += [(terms, word) for word in request.keywords]
    if request.response_format == "diarized_json":
        query.append(("diarize", "true"))
    return query


def _transcript(answered: Answered, request: Transcription) -> Transcript:
    told = _listened(answered.body)
    channels = [channel for channel in told.results.channels if channel.alternatives]
    if not channels:
        raise ValueError("it has no alternative")
    first = channels[0]
    best = [channel.alternatives[0] for channel in channels]
    return Transcript(
        text="\n".join(one.transcript for one in best if one.transcript),
        language=first.detected_language or request.language or next(iter(best[0].languages or ()), None),
        duration=length(told.metadata.duration if told.metadata else None),
        words=tuple(_word(said) for said in best[0].words),
        segments=tuple(
            Segment(one.transcript, seconds(one.start), seconds(one.end), _speaker(one.speaker))
            for one in told.results.utterances or ()
        ),
    )


def _word(said: Said) -> Word:
    return Word(said.punctuated_word or said.word, seconds(said.start), seconds(said.end), _speaker(said.speaker))


def _speaker(number: int | None) -> str | None:
    return None if number is None else str(number)


def decode_error(status: int, body: bytes) -> Fault:
    try:
        told = _refused(body)
    except (ValueError, RecursionError):
        told = Refused()
    message = told.err_msg or told.message or ""
    if told.details and told.details != message:
        message = f"{message} {told.details}".strip()
    return Fault(
        kind=kind_of(status),
        status=status,
        message=message,
        code=told.err_code or told.category,
    )
