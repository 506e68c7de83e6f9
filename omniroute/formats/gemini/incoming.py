"""An upstream's answer to events.

A signature is that of the thinking before the part it stands on, and so told before that part. What was cited and
searched is not told, since no other format could show it; what servers' own tools did is told with the part as it was.

The end of a stream is that of its bytes: there is no mark of it, and older models give a reason to finish in every
chunk.
"""

from __future__ import annotations

import msgspec

from omniroute.errors import Fault
from omniroute.formats.codec import TRUNCATED
from omniroute.formats.decoding import Answering, RecordDecoder
from omniroute.formats.fold import Message, fold
from omniroute.formats.gemini import faults, logprobs, media, seal, views
from omniroute.formats.gemini.head import NAME
from omniroute.formats.gemini.pieces import Pieces
from omniroute.formats.gemini.spelling import camel
from omniroute.formats.ir import (
    Audio,
    BlockStop,
    Event,
    Finish,
    Image,
    Media,
    Opaque,
    Raw,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
)

DONE = b"[DONE]"
"""Google never sends it; servers that come from OpenAI's format do."""
_encode = msgspec.json.Encoder().encode


def decoder() -> StreamDecoder:
    return StreamDecoder()


def decode_reply(body: bytes) -> Message:
    try:
        chunk = views.chunk(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if chunk.error is not None:
        return Message(fault=faults.told(chunk.error))
    candidates = chunk.candidates
    if not candidates and (chunk.prompt_feedback is None or chunk.prompt_feedback.block_reason is None):
        raise ValueError("it has no candidates")
    text = views.text(candidates[0]) if candidates else None
    if text and candidates:
        return _said(text, chunk, candidates[0])
    events: list[Event] = []
    answer = Answer()
    answer.take(chunk, events)
    answer.end(events)
    return fold(events)


def _said(text: str, chunk: views.Chunk, candidate: views.Candidate) -> Message:
    """An answer that is a text and no more, as most are: what its events would tell, without making them."""
    spent = chunk.usage_metadata
    return Message(
        id=chunk.response_id or "",
        model=chunk.model_version or "",
        blocks=(Text(text),),
        usage=None if spent is None else views.usage(spent),
        finish=views.finish(candidate.finish_reason or "STOP"),
    )


def mishap(reason: str, message: str | None) -> Fault:
    """What a reason says that is none to finish, but a failure of the model's."""
    return Fault(
        kind="server",
        status=502,
        message=message or f"the model's answer came to nothing: {reason}",
        code=reason.lower(),
    )


class Answer(Answering):
    """What the chunks told so far."""

    __slots__ = ("_blocked", "_calls", "_finish", "_id", "_message", "_parts", "_started", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._id = ""
        self._started = False
        self._blocked = False
        self._finish: str | None = None
        self._message: str | None = None
        self._calls = 0
        self._parts: tuple[views.Call, Pieces] | None = None  # a call whose arguments come in pieces
        self._usage: Usage | None = None

    def take(self, chunk: views.Chunk, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            self._id = chunk.response_id or ""
            events.append(Start(self._id, chunk.model_version or ""))
        for candidate in chunk.candidates or ():
            if candidate.index:  # of several answers, the first is told
                continue
            first = len(events)
            if candidate.content is not None:
                for part in candidate.content.parts or ():
                    self._part(part, events)
            if bytes(candidate.logprobs_result):
                _give_logprobs(logprobs.told(candidate.logprobs_result), events, first)
            if candidate.finish_reason and candidate.finish_reason != views.UNKNOWN:
                self._finish = candidate.finish_reason
                self._message = candidate.finish_message
        feedback = chunk.prompt_feedback
        if feedback is not None and feedback.block_reason and not self._blocked:
            self._blocked = True
            if feedback.block_reason_message:
                events.append(RefusalDelta(feedback.block_reason_message))
        if chunk.usage_metadata is not None:
            usage = views.usage(chunk.usage_metadata)
            if usage != self._usage:
                self._usage = usage
                events.append(UsageSeen(usage))

    def _part(self, part: views.Part, events: list[Event]) -> None:
        text = part.text
        if part.thought:
            if text:
                events.append(ThinkingDelta(text, issuer=NAME))
            if part.thought_signature:
                self._sign(part.thought_signature, events)
            return
        if part.thought_signature:
            self._sign(part.thought_signature, events)
        if text:
            events.append(TextDelta(text))
        elif part.function_call is not None:
            self._call(part.function_call, events)
        elif text is None:
            self._other(part, events)

    def _sign(self, given: str, events: list[Event]) -> None:
        """A signature, which ends the thinking before it, or is a thought without words."""
        issuer, signature, redacted = seal.unseal(given)
        if redacted is not None:
            events.append(ThinkingDelta(redacted=redacted, issuer=issuer))
        elif signature is not None:
            events += (ThinkingDelta(signature=signature, issuer=issuer), BlockStop())

    def _call(self, call: views.Call, events: list[Event]) -> None:
        if self._parts is None and not (call.partial_args or call.will_continue):
            self._called(call, _arguments(call), events)
            return
        if self._parts is None or (call.name and call.id != self._parts[0].id):
            self._complete(events)
            self._parts = (call, Pieces())
        for piece in call.partial_args or ():
            self._parts[1].add(piece)
        if not call.will_continue:
            self._complete(events)

    def _complete(self, events: list[Event]) -> None:
        """Tells the call whose arguments came in pieces, if there is one."""
        if self._parts is not None:
            call, pieces = self._parts
            self._parts = None
            self._called(call, pieces.arguments(), events)

    def _called(self, call: views.Call, arguments: str, events: list[Event]) -> None:
        index = self._calls
        self._calls += 1
        ident = call.id or f"call_{self._id or 'of_unnamed_answer'}_{index}"
        events += (ToolStart(index, ident, call.name or ""), ToolDelta(index, arguments), BlockStop(index))

    def _other(self, part: views.Part, events: list[Event]) -> None:
        blob, file = part.inline_data, part.file_data
        if blob is not None:
            events.append(Media(_shown(blob)))
        elif file is not None:
            kind = file.mime_type or ""
            own = Opaque(NAME, "fileData", _only("file_data", file))
            events.append(Media(Image(kind, url=file.file_uri) if kind.startswith("image/") else own))
        for name in views.OTHERS:
            raw = getattr(part, name)
            if bytes(raw):
                bytes(raw).decode()  # the decoder takes what it skips on trust
                events.append(Media(Opaque(NAME, camel(name), _only(name, raw))))

    def close(self, events: list[Event]) -> None:
        """The end of the bytes, which is the end of the answer where there was a reason for it."""
        if self.over:
            return
        if self._finish is None and not self._blocked:
            self.fail(TRUNCATED, events)
        else:
            self.end(events)

    def end(self, events: list[Event]) -> None:
        self._complete(events)
        if self._finish in views.MISHAPS:
            self.fail(mishap(self._finish, self._message), events)
            return
        self.over = True
        if self._blocked and self._finish is None:
            events.append(Finish("content_filter"))
            return
        reason = views.finish(self._finish or "STOP")
        events.append(Finish("tool_calls" if reason == "stop" and self._calls else reason))


class StreamDecoder(RecordDecoder[Answer]):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Answer())

    def _record(self, name: bytes, payload: bytes, events: list[Event]) -> None:  # noqa: ARG002 - events have no names
        if payload.startswith(DONE):
            self._answer.close(events)
        elif payload:
            chunk = views.chunk(payload)
            if chunk.error is None:
                self._answer.take(chunk, events)
            else:
                self._answer.fail(faults.told(chunk.error), events)


def _give_logprobs(chances: Raw | None, events: list[Event], first: int) -> None:
    """Gives the chances of a chunk's tokens to the first text in it."""
    for at in range(first, len(events)):
        event = events[at]
        if isinstance(event, TextDelta):
            events[at] = TextDelta(event.text, chances)
            return


def _arguments(call: views.Call) -> str:
    raw = bytes(call.args)
    return "{}" if raw in (b"", b"null") else raw.decode()


def _shown(blob: views.Blob) -> Image | Audio | Opaque:
    kind = blob.mime_type or ""
    data = seal.standard(blob.data or "")
    known = media.given(kind, data, None, None)
    if isinstance(known, Image | Audio):
        return known
    if kind.startswith("audio/"):
        return Audio(data, kind.partition("/")[2].partition(";")[0])
    return Opaque(NAME, "inlineData", _only("inline_data", blob))


def _only(name: str, value: object) -> Raw:
    """A part that holds one thing."""
    return Raw(_encode({camel(name): value}))
