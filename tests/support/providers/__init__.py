"""What a provider says, in the words of each wire format: the scripts of the end-to-end tests.

Written after what the providers send, fields that we never look at included, and apart from the gateway's own codecs:
a mistake that both sides share would hide itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from support.providers import anthropic, gemini, ollama, openai, responses
from support.providers.says import Call, Says, Spent
from support.upstream import Asked, Script, whole

VOICES: dict[str, Any] = {
    "openai": openai,
    "responses": responses,
    "anthropic": anthropic,
    "gemini": gemini,
    "ollama": ollama,
}
SERVED = {form: voice.SERVED for form, voice in VOICES.items()}
"""What the providers call the model that answered, which is not what anyone asked for."""
REFUSE = ("openai", "responses", "anthropic", "gemini")
"""The formats that have a way to decline; what Ollama's models say is a text like any other."""


def saying(says: Says, *, bytes_a_write: int = 0, **options: Any) -> Callable[[Asked], Script]:
    """A provider of any format that gives this answer, streamed if that was asked for. With `bytes_a_write` the
    stream is cut there and not between events."""

    def script(asked: Asked) -> Script:
        provider = provider_of(asked)
        voice = VOICES[provider]
        if not voice.wants_stream(asked):
            return whole(voice.whole(says))
        pieces = list(stream_of(provider, says, usage=voice.wants_usage(asked)))
        if bytes_a_write:
            pieces = shredded(b"".join(pieces), bytes_a_write)
        return streamed(provider, *pieces, **options)

    return script


def unstreamed(says: Says) -> Callable[[Asked], Script]:
    """A provider of any format that answers whole, also where a stream was asked for."""
    return lambda asked: whole(VOICES[provider_of(asked)].whole(says))


def streamed(provider: str, *pieces: bytes, **options: Any) -> Script:
    """A stream in a format, a piece a write."""
    return Script(pieces=list(pieces), content_type=VOICES[provider].CONTENT_TYPE, **options)


def provider_of(asked: Asked) -> str:
    return next(form for form, voice in VOICES.items() if voice.speaks(asked.path))


def stream_of(provider: str, says: Says, *, usage: bool = True) -> Iterator[bytes]:
    """The events of the stream, one by one."""
    return VOICES[provider].stream(says, usage=usage)


def shredded(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def refusing(status: int, kind: str, message: str, **more: str | None) -> Callable[[Asked], Script]:
    """A provider of any format that answers with an error status. `retry_after` becomes a header; `code` and
    `param` stand in the error where the format has a place for them."""
    wait = more.pop("retry_after", None)

    def script(asked: Asked) -> Script:
        body = VOICES[provider_of(asked)].refusal(status, kind, message, **more)
        return whole(body, status, **({"retry_after": wait} if wait else {}))

    return script


def broken_off(provider: str, says: Says, *, after: int, error: str = "") -> Script:
    """A stream that stops after so many events: with an error event that says this, or just so."""
    pieces = list(stream_of(provider, says))[:after]
    if error:
        pieces.append(VOICES[provider].failure(error))
    return streamed(provider, *pieces)


__all__ = [
    "REFUSE",
    "SERVED",
    "VOICES",
    "Call",
    "Says",
    "Spent",
    "broken_off",
    "provider_of",
    "refusing",
    "saying",
    "shredded",
    "stream_of",
    "streamed",
    "unstreamed",
]
