"""A transcript as clients read it: OpenAI's answers in every `response_format`, whole and as events.

https://platform.openai.com/docs/api-reference/audio/json-object
What an upstream of the same format wrote is handed on as it is; only what this gateway adds to every JSON answer is
filled in where it lacks: `task`, `language` and `duration`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.formats.framing import frame
from omniroute.formats.ir import Usage
from omniroute.formats.transcription import subtitles
from omniroute.formats.transcription.values import Segment, Transcript, Transcription

JSON = b"application/json"
TEXTS = {"text": b"text/plain; charset=utf-8", "srt": b"text/plain; charset=utf-8", "vtt": b"text/vtt; charset=utf-8"}
STREAMED = frozenset({"json", "text", "diarized_json"})
"""The formats that can be streamed; for the others OpenAI ignores `stream`, and answers whole."""

_encode = msgspec.json.Encoder().encode


def encode(request: Transcription, transcript: Transcript) -> tuple[bytes, bytes]:
    """The content type and the body. Raises ValueError where it cannot be told in the format that was asked for."""
    native = transcript.native
    if request.response_format in TEXTS:
        whole = native.body if native is not None and native.fields is None else _text(request, transcript).encode()
        return TEXTS[request.response_format], whole
    if native is not None and native.fields is not None:
        return JSON, _completed(native.fields, request, transcript)
    return JSON, _encode(_object(request, transcript))


def _text(request: Transcription, transcript: Transcript) -> str:
    if request.response_format == "text":
        return transcript.text + "\n"
    parts = subtitles.segments(transcript)
    if transcript.text and not parts:
        raise ValueError("it tells no times for subtitles")
    return subtitles.srt(parts) if request.response_format == "srt" else subtitles.vtt(parts)


def _completed(fields: dict[str, msgspec.Raw], request: Transcription, transcript: Transcript) -> bytes:
    """The upstream's own words, under the name that was asked for."""
    out: dict[str, Any] = dict(fields)
    if "model" in out:
        out["model"] = request.model
    for name, value in _common(transcript).items():
        if name not in out or bytes(out[name]) == b"null" or (name == "duration" and bytes(out[name])[:1] == b'"'):
            out[name] = value  # vLLM tells the duration as text
    return _encode(out)


def _common(transcript: Transcript) -> dict[str, Any]:
    return {"task": "transcribe", "language": transcript.language, "duration": transcript.duration}


def _object(request: Transcription, transcript: Transcript) -> dict[str, Any]:
    told: dict[str, Any] = {"text": transcript.text, **_common(transcript)}
    if request.response_format == "diarized_json":
        told["segments"] = [_diarized(number, one) for number, one in enumerate(subtitles.segments(transcript))]
    elif request.response_format == "verbose_json":
        if request.segments:
            told["segments"] = [
                {"id": number, "start": one.start, "end": one.end, "text": one.text}
                for number, one in enumerate(subtitles.segments(transcript))
            ]
        if request.words:
            told["words"] = [{"word": one.text, "start": one.start, "end": one.end} for one in transcript.words]
    usage = _usage(transcript)
    return told if usage is None else told | {"usage": usage}


def _diarized(number: int, one: Segment) -> dict[str, Any]:
    return {
        "type": "transcript.text.segment",
        "id": f"seg_{number}",
        "start": one.start,
        "end": one.end,
        "text": one.text,
        "speaker": one.speaker or "",
    }


def _usage(transcript: Transcript) -> dict[str, Any] | None:
    """What was used: tokens where the provider counts them, seconds where it counts these."""
    spent = transcript.usage
    if spent is not None:
        return _tokens(spent)
    length = transcript.billed or transcript.duration
    return None if length is None else {"type": "duration", "seconds": length}


def _tokens(spent: Usage) -> dict[str, Any]:
    return {
        "type": "tokens",
        "input_tokens": spent.input,
        "output_tokens": spent.output,
        "total_tokens": spent.input + spent.output,
        "input_token_details": {
            "audio_tokens": spent.audio_input,
            "text_tokens": max(0, spent.input - spent.audio_input),
        },
    }


def events(request: Transcription, transcript: Transcript) -> bytes:
    """A whole transcript as the stream that was asked for: all of it at once, and the end."""
    out = b""
    if request.response_format == "diarized_json":
        out = b"".join(frame(_encode(_diarized(n, one))) for n, one in enumerate(subtitles.segments(transcript)))
    return out + (delta(transcript.text) if transcript.text else b"") + done(transcript)


def delta(text: str) -> bytes:
    """The event of a piece of the text."""
    return frame(_encode({"type": "transcript.text.delta", "delta": text}))


def done(transcript: Transcript) -> bytes:
    """The event that ends it."""
    told: dict[str, Any] = {"type": "transcript.text.done", "text": transcript.text}
    usage = _usage(transcript)
    return frame(_encode(told if usage is None else told | {"usage": usage}))
