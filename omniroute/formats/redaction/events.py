"""Redacts the events of an answer: what is found may begin in one piece of a text and end in another.

Each block of text is a text of its own, and so is each string of a tool's arguments, whatever pieces they come in. What
a piece may still be the beginning of is held back until the next has come, or the block has ended.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from omniroute.formats.codec import malformed
from omniroute.formats.ir import (
    BlockStop,
    Event,
    Failed,
    Finish,
    Media,
    Opaque,
    Raw,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolDelta,
    ToolStart,
)
from omniroute.formats.redaction.arguments import ArgumentsText
from omniroute.formats.redaction.body import redacted
from omniroute.formats.redaction.scrubber import Finders
from omniroute.formats.redaction.text import PlainText


class Redacted:
    """Events in, events out; to be called with each run of events of one answer."""

    __slots__ = ("_finders", "_kind", "_text", "_tools")

    def __init__(self, finders: Finders) -> None:
        self._finders = finders
        self._text = PlainText(finders)
        self._kind: type[TextDelta | RefusalDelta | ThinkingDelta] = TextDelta
        self._tools: dict[int, PlainText | ArgumentsText] = {}

    def __call__(self, events: Sequence[Event]) -> list[Event]:
        out: list[Event] = []
        try:
            for event in events:
                self._take(event, out)
        except ValueError as error:
            out.append(Failed(malformed(str(error))))
        return out

    def _take(self, event: Event, out: list[Event]) -> None:
        match event:
            case TextDelta() | RefusalDelta() | ThinkingDelta():
                self._words(event, out)
            case ToolStart():
                self._end(out)
                self._tools[event.index] = (PlainText if event.custom else ArgumentsText)(self._finders)
                out.append(event)
            case ToolDelta():
                tool = self._tools.get(event.index)
                if tool is not None:
                    _told(event, tool.feed(event.arguments), out)
            case BlockStop(index=None):
                self._end(out)
                out.append(event)
            case BlockStop():
                self._end_tool(event.index, out)
                out.append(event)
            case Media():
                self._end(out)
                out.append(self._media(event))
            case Finish() | Failed():
                self._end(out)
                for index in list(self._tools):
                    self._end_tool(index, out)
                out.append(event)
            case _:
                out.append(event)

    def _words(self, event: TextDelta | RefusalDelta | ThinkingDelta, out: list[Event]) -> None:
        kind = type(event)
        if kind is not self._kind:
            self._end(out)
            self._kind = kind
        if isinstance(event, ThinkingDelta) and (event.signature is not None or event.redacted is not None):
            self._end(out, event)  # the seal ends the block
            return
        text = self._text.feed(event.text)
        if text or not event.text:
            out.append(_saying(event, text))

    def _end(self, out: list[Event], last: ThinkingDelta | None = None) -> None:
        """The open block of text has ended, with the event that ends it if it says something itself."""
        rest = (self._text.feed(last.text) if last is not None and last.text else "") + self._text.close()
        if last is not None:
            out.append(_saying(last, rest))
        elif rest:
            out.append(self._kind(text=rest))

    def _end_tool(self, index: int | None, out: list[Event]) -> None:
        tool = self._tools.pop(index, None) if index is not None else None
        rest = tool.close() if tool is not None else ""
        if rest:
            out.append(ToolDelta(index or 0, rest))

    def _media(self, event: Media) -> Media:
        block = event.block
        if not isinstance(block, Opaque):
            return event
        body = bytes(block.body)
        told = redacted(body, self._finders)
        return event if told is body else Media(msgspec.structs.replace(block, body=Raw(told)))


def _told(event: ToolDelta, arguments: str, out: list[Event]) -> None:
    if arguments or not event.arguments:
        out.append(ToolDelta(event.index, arguments))


def _saying(event: TextDelta | RefusalDelta | ThinkingDelta, text: str) -> Event:
    """The event with another text. What tells the text once more, token by token, is left out."""
    if isinstance(event, TextDelta):
        return TextDelta(text)
    return msgspec.structs.replace(event, text=text)
