"""Transcripts as subtitles, and the segments that they are made of where a provider tells words alone.

SubRip has no standard; WebVTT is https://www.w3.org/TR/webvtt1/. In both an empty line ends a cue and ` --> ` stands
between two times, so what was said may hold neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from omniroute.formats.transcription.values import Segment, Transcript, Word

LONGEST_SEGMENT = 7.0
"""Seconds, as long as a subtitle usually stands at the most."""
MOST_CHARACTERS = 84
"""Of a segment: two lines of a subtitle."""
SILENCE = 1.0
"""Seconds without a word that end a segment."""
_end_of_sentence = re.compile(r"[.!?…。！？]['\"»”’)\]]*\Z").search
_white = re.compile(r"\s+")


def segments(transcript: Transcript) -> tuple[Segment, ...]:
    """The provider's own, else the words put together; where it told no words either, the whole as one, if it is known
    how long that is."""
    if transcript.segments:
        return transcript.segments
    if transcript.words:
        return tuple(_put_together(transcript.words))
    if transcript.text and transcript.duration is not None:
        return (Segment(transcript.text, 0.0, transcript.duration),)
    return ()


def _put_together(words: Sequence[Word]) -> Iterable[Segment]:
    held: list[Word] = []
    size = 0
    for word in words:
        if held and _is_break(held, word, size):
            yield _segment(held)
            held, size = [], 0
        held.append(word)
        size += len(word.text) + 1
    yield _segment(held)


def _is_break(held: Sequence[Word], word: Word, size: int) -> bool:
    last = held[-1]
    return bool(
        word.speaker != last.speaker
        or word.start - last.end > SILENCE
        or word.end - held[0].start > LONGEST_SEGMENT
        or size + len(word.text) > MOST_CHARACTERS
        or _end_of_sentence(last.text)
    )


def _segment(words: Sequence[Word]) -> Segment:
    return Segment(" ".join(word.text for word in words), words[0].start, words[-1].end, words[0].speaker)


def srt(parts: Iterable[Segment]) -> str:
    """As SubRip."""
    cues = (
        f"{number}\n{_time(part.start, ',')} --> {_time(part.end, ',')}\n{_line(part.text).replace('-->', '->')}\n"
        for number, part in enumerate(parts, 1)
    )
    return "\n".join(cues)


def vtt(parts: Iterable[Segment]) -> str:
    """As WebVTT."""
    cues = [f"{_time(part.start, '.')} --> {_time(part.end, '.')}\n{_escaped(part.text)}\n" for part in parts]
    return "\n".join(["WEBVTT\n", *cues])


def _time(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _line(text: str) -> str:
    return _white.sub(" ", text).strip()


def _escaped(text: str) -> str:
    return _line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
