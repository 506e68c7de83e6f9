"""An upstream's answer to events.

A line says a piece of text, of thinking, or whole calls; the last one is `done` and has the counts. Older servers give
calls no ids, so those are made here: from when the answer was made, which no two answers of a conversation share.
"""

from __future__ import annotations

import re

import msgspec

from omniroute.formats.decoding import Answering, RecordDecoder
from omniroute.formats.fold import Message, fold
from omniroute.formats.framing import NDJSON
from omniroute.formats.ir import (
    BlockStop,
    Event,
    Finish,
    Image,
    Media,
    Raw,
    Start,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolDelta,
    ToolStart,
    UsageSeen,
)
from omniroute.formats.ollama import faults, views
from omniroute.formats.ollama.head import NAME
from omniroute.formats.pictures import guess

_string = msgspec.json.Decoder(str).decode
_no_digits = re.compile(r"[^0-9]+")


def decoder() -> LineDecoder:
    return LineDecoder()


def decode_reply(body: bytes) -> Message:
    try:
        record = views.record(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if record.error is not None:
        return Message(fault=faults.fault(record.error))
    said = record.message
    if said is None:
        raise ValueError("it has no message")
    if said.content and not (said.thinking or said.tool_calls or said.images or bytes(record.logprobs)):
        return _said(said.content, record)
    events: list[Event] = []
    answer = Answer()
    answer.take(record, events)
    if not answer.over:
        answer.end(record, events)
    return fold(events)


def _said(text: str, record: views.Record) -> Message:
    """An answer that is a text and no more, as most are: what its events would tell, without making them."""
    return Message(
        model=record.model or "",
        blocks=(Text(text),),
        usage=views.usage(record),
        finish=views.finish(record.done_reason, called=False),
    )


class Answer(Answering):
    """What the lines told so far."""

    __slots__ = ("_calls", "_started")

    def __init__(self) -> None:
        super().__init__()
        self._started = False
        self._calls = 0

    def take(self, record: views.Record, events: list[Event]) -> None:
        said = record.message
        if not self._started:
            if said is None and not record.done:
                raise ValueError("it has no message")
            self._started = True
            events.append(Start("", record.model or ""))
        if said is not None:
            if said.thinking:
                events.append(ThinkingDelta(said.thinking, issuer=NAME))
            if said.content:
                logprobs = record.logprobs
                events.append(TextDelta(said.content, _array(logprobs) if bytes(logprobs) else None))
            if said.images:
                events.extend(Media(Image(guess(data), data)) for data in said.images)
            if said.tool_calls:
                for call in said.tool_calls:
                    self._call(call, record.created_at or "", events)
        if record.done:
            self.end(record, events)

    def end(self, record: views.Record, events: list[Event]) -> None:
        self.over = True
        usage = views.usage(record)
        if usage is not None:
            events.append(UsageSeen(usage))
        events.append(Finish(views.finish(record.done_reason, called=self._calls > 0)))

    def _call(self, call: views.Call, created_at: str, events: list[Event]) -> None:
        function = call.function
        if function is None or not function.name:
            raise ValueError("a call names no function")
        index = self._calls
        self._calls = index + 1
        ident = call.id or f"call_{_no_digits.sub('', created_at)[:32] or 'of_undated_answer'}_{index}"
        events += [
            ToolStart(index, ident, function.name),
            ToolDelta(index, _arguments(function.arguments)),
            BlockStop(index),
        ]


class LineDecoder(RecordDecoder[Answer]):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Answer(), NDJSON())

    def _record(self, name: bytes, payload: bytes, events: list[Event]) -> None:  # noqa: ARG002 - a line has no name
        record = views.record(payload)
        if record.error is None:
            self._answer.take(record, events)
        else:
            self._answer.fail(faults.fault(record.error), events)


def _arguments(raw: Raw) -> str:
    """The arguments as text, in the order that they came in."""
    written = bytes(raw)
    if written in (b"", b"null"):
        return "{}"
    return _string(written) if written.startswith(b'"') else written.decode()


def _array(logprobs: Raw) -> Raw | None:
    """The list of a piece of text, which is OpenAI's own; as a raw slice it was not looked into, so that it is UTF-8
    must be checked."""
    raw = bytes(logprobs)
    if not raw.startswith(b"["):
        return None
    raw.decode()
    return Raw(raw)
