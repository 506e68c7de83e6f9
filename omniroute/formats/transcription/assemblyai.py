"""AssemblyAI: the audio is uploaded, a transcript of it is ordered, and asked for until it is there.

https://www.assemblyai.com/docs/api-reference/transcripts/submit
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from omniroute.errors import Fault
from omniroute.formats.ir import Loss
from omniroute.formats.refusals import kind_of
from omniroute.formats.transcription.codec import Answered, Ask, Conversation, View
from omniroute.formats.transcription.loss import lost
from omniroute.formats.transcription.values import Segment, Transcript, Transcription, Word, length, seconds

NAME = "assemblyai"
JSON = b"application/json"
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.5, 3.0, 1.5
"""Seconds between two questions whether it is done, and by how much they grow."""
SINGULAR = frozenset({"best", "nano", "slam-1"})
"""Models that are ordered by the older field, which names one and not a list."""
PROMPTABLE = ("universal-3", "slam-1")
"""What the names of models that take a prompt and a temperature begin with."""
_ident = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch


class Uploaded(View):
    upload_url: str


class Said(View):
    text: str = ""
    start: float | None = None
    end: float | None = None
    speaker: str | None = None


class Job(View):
    """Times are in milliseconds, but for the length of the whole."""

    id: str
    status: str
    error: str | None = None
    text: str | None = None
    language_code: str | None = None
    audio_duration: float | None = None
    words: list[Said] | None = None
    utterances: list[Said] | None = None


class Refused(View):
    error: str | None = None


_uploaded = msgspec.json.Decoder(Uploaded).decode
_job = msgspec.json.Decoder(Job).decode
_refused = msgspec.json.Decoder(Refused).decode
_encode = msgspec.json.Encoder().encode


def losses(request: Transcription, model: str) -> list[Loss]:
    if not model.startswith(PROMPTABLE):
        return lost(request, NAME, ("prompt", "temperature"))
    return lost(request, NAME, ("prompt",) if request.keywords else ())  # it takes one or the other


def converse(request: Transcription, model: str, ident: str) -> Conversation:  # noqa: ARG001 - JSON has no boundary
    answered = yield Ask(path="/upload", content_type=b"application/octet-stream", body=request.audio)
    address = _uploaded(answered.body).upload_url
    answered = yield Ask(path="/transcript", content_type=JSON, body=_encode(_order(request, model, address)))
    job = _named(answered)
    pauses = _pauses()
    path = f"/transcript/{job.id}"
    while job.status in ("queued", "processing"):
        answered = yield Ask(method="GET", path=path, pause=next(pauses))
        job = _named(answered)
    if job.status == "error":
        return Fault(kind="server", status=500, message=job.error or "the job failed", code="transcription_failed")
    if job.status != "completed":
        raise ValueError(f"the status of the job is {job.status[:40]!r}")
    return _transcript(job, request)


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * GROWTH, LONGEST_PAUSE)


def _order(request: Transcription, model: str, address: str) -> dict[str, Any]:
    order: dict[str, Any] = {"audio_url": address}
    order |= {"speech_model": model} if model in SINGULAR else {"speech_models": [model]}
    if request.language:
        order["language_code"] = request.language
    else:
        order["language_detection"] = True
        if request.languages:
            order["language_detection_options"] = {"expected_languages": request.languages}
    if request.keywords:
        order["keyterms_prompt"] = request.keywords
    elif request.prompt and model.startswith(PROMPTABLE):
        order["prompt"] = request.prompt
    if request.temperature is not None and model.startswith(PROMPTABLE):
        order["temperature"] = request.temperature
    if request.response_format == "diarized_json":
        order["speaker_labels"] = True
    return order


def _named(answered: Answered) -> Job:
    job = _job(answered.body)
    if not _ident(job.id):
        raise ValueError("the id of the job is none")  # it becomes a part of a path
    return job


def _transcript(job: Job, request: Transcription) -> Transcript:
    return Transcript(
        text=job.text or "",
        language=job.language_code or request.language,
        duration=length(job.audio_duration),
        words=tuple(Word(*_said(one)) for one in job.words or ()),
        segments=tuple(Segment(*_said(one)) for one in job.utterances or ()),
    )


def _said(one: Said) -> tuple[str, float, float, str | None]:
    return one.text, _milliseconds(one.start), _milliseconds(one.end), one.speaker


def _milliseconds(value: float | None) -> float:
    return seconds(None if value is None else value / 1000)


def decode_error(status: int, body: bytes) -> Fault:
    try:
        message = _refused(body).error or ""
    except (ValueError, RecursionError):
        message = ""
    return Fault(kind=kind_of(status), status=status, message=message)
