"""A streamed transcript of an upstream of the client's own format, on its way to the client.

The events go on byte for byte. What is looked at is whether something has been said, what it took, and how it ends.
vLLM streams the chunks of a chat instead, which no client of this format would understand: they are told as events.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.errors import Fault
from omniroute.formats.codec import TRUNCATED, Retell, malformed, unchanged
from omniroute.formats.framing import Blocks, records
from omniroute.formats.ir import FinishReason, Usage
from omniroute.formats.openai_chat import faults
from omniroute.formats.transcription import answer
from omniroute.formats.transcription.codec import View
from omniroute.formats.transcription.openai import Spent, tokens
from omniroute.formats.transcription.values import Transcript, length

END = b"[DONE]"


class Content(View):
    content: str | None = None


class Choice(View):
    """Of a chunk."""

    delta: Content | None = None
    finish_reason: str | None = None


class Heard(View):
    """One event: a piece of the text, a segment of a speaker, the end of it all, or an error."""

    type: str = ""
    delta: str = ""
    text: str = ""
    usage: Spent | None = None
    error: Any = None
    choices: tuple[Choice, ...] | None = None


_view = msgspec.json.Decoder(Heard).decode


class Through:
    """A `Bridge`. `billed` are the seconds that the provider charges, where it says so."""

    __slots__ = (
        "_blocks",
        "_chunked",
        "_text",
        "billed",
        "committed",
        "fault",
        "finish",
        "over",
        "produced",
        "retell",
        "usage",
    )

    def __init__(self) -> None:
        self._blocks = Blocks()
        self._chunked = False
        self._text: list[str] = []
        self.committed = False
        self.over = False
        self.produced = 0
        self.usage: Usage | None = None
        self.billed: float | None = None
        self.finish: FinishReason | None = None
        self.fault: Fault | None = None
        self.retell: Retell = unchanged

    def feed(self, data: bytes) -> bytes:
        if self.over:
            return b""
        try:
            return self._block(self._blocks.feed(data))
        except (ValueError, RecursionError):
            return self.fail(malformed("an event of the stream cannot be read"))

    def close(self) -> bytes:
        if self.over:
            return b""
        try:
            rest = self._blocks.rest()
            out = self._block(rest + b"\n\n") if rest.strip() else b""
        except (ValueError, RecursionError):
            out = b""  # half an event is none
        if self._chunked and self.finish is not None:
            out += self._end()
        return out + self.fail(TRUNCATED)

    def fail(self, fault: Fault) -> bytes:
        if self.over:
            return b""
        self.over = True
        self.fault = fault
        return faults.event(self.retell(fault))

    def _block(self, block: bytes) -> bytes:
        """A block of whole events, up to an error or the end."""
        told = b""
        for _, payload in records(block):
            if payload.strip() == END:
                told += self._end() if self._chunked else b""
                continue
            view = _view(payload)
            if view.error is not None:
                return self.fail(faults.told(view.error))
            if view.choices is not None:
                told += self._chunk(view, view.choices)
            else:
                self._look(view)
        return told if self._chunked else block

    def _look(self, view: Heard) -> None:
        if view.type == "transcript.text.done":
            spent = view.usage or Spent()
            self.usage, self.billed = tokens(spent), length(spent.seconds)
            self.finish = "stop"
            self.committed = self.over = True
        elif view.delta or view.text:
            self.committed = True
            self.produced += 1

    def _chunk(self, view: Heard, choices: tuple[Choice, ...]) -> bytes:
        self._chunked = True
        if view.usage is not None:
            self.usage = tokens(view.usage)
        out = b""
        for choice in choices:
            text = choice.delta.content if choice.delta else None
            if text:
                self.committed = True
                self.produced += 1
                self._text.append(text)
                out += answer.delta(text)
            if choice.finish_reason:
                self.finish = "stop"
        return out

    def _end(self) -> bytes:
        if self.over:
            return b""
        self.committed = self.over = True
        self.finish = "stop"
        return answer.done(Transcript(text="".join(self._text), usage=self.usage))
