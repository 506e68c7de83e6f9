"""Speech to text: one client format, the providers' own behind it. This dict is the list of them all."""

from typing import cast

from omniroute.formats.transcription import assemblyai, deepgram, openai
from omniroute.formats.transcription.codec import TranscriptionCodec

__all__ = ["TRANSCRIPTION", "assemblyai", "deepgram", "openai"]

TRANSCRIPTION: dict[str, TranscriptionCodec] = {
    "openai": cast("TranscriptionCodec", openai),
    "deepgram": cast("TranscriptionCodec", deepgram),
    "assemblyai": cast("TranscriptionCodec", assemblyai),
}
