"""An upstream's answer to events.

Servers differ most in tool calls: they repeat the id in every piece, leave out the index, give all calls index 0, or
send a call whole; the rules here tell a new call from more of an old one in all of these.
"""

from __future__ import annotations

import msgspec

from omniroute.errors import Fault
from omniroute.formats.codec import TRUNCATED
from omniroute.formats.decoding import Answering, RecordDecoder
from omniroute.formats.fold import Message, fold
from omniroute.formats.ir import (
    BlockStop,
    Event,
    Finish,
    FinishReason,
    Image,
    Media,
    Raw,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolDelta,
    ToolStart,
    UsageSeen,
)
from omniroute.formats.openai_chat import faults, views
from omniroute.formats.openai_chat.head import NAME

DONE = b"[DONE]"
BROKEN = Fault(kind="server", status=502, message="the answer ended with an error")
"""What a finish reason of `error` says, which comes without any words."""
_string = msgspec.json.Decoder(str).decode
_valid = msgspec.json.Decoder(Raw).decode
_any = msgspec.json.Decoder().decode


def decoder() -> StreamDecoder:
    return StreamDecoder()


def decode_reply(body: bytes) -> Message:
    try:
        chunk = views.chunk(body)
        fault = fault_in(chunk, body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if fault is not None:
        return Message(fault=fault)
    if not chunk.choices:
        raise ValueError("it has no choices")
    text = views.text(chunk.choices[0])
    if text:
        return _said(text, chunk)
    events: list[Event] = []
    answer = Answer()
    answer.take(chunk, events)
    answer.end(events)
    return fold(events)


def _said(text: str, chunk: views.Chunk) -> Message:
    """An answer that is a text and no more, as most are: what its events would tell, without making them."""
    assert chunk.choices
    spent = views.spent(chunk)
    return Message(
        id=chunk.id or "",
        model=chunk.model or "",
        blocks=(Text(text),),
        usage=None if spent is None else views.usage(spent, chunk.service_tier),
        finish=views.finish(chunk.choices[0].finish_reason or "stop"),
    )


def fault_in(chunk: views.Chunk | views.Ending, data: bytes, name: bytes = b"") -> Fault | None:
    """The error that stands where an answer should: under `error`, bare as vLLM sends it, or in an event so named."""
    if chunk.error is not None:
        return faults.told(chunk.error)
    if name == b"error":
        return faults.told(_any(data))
    if chunk.choices is None and chunk.usage is None:
        said = _any(data)
        if isinstance(said.get("message"), str):
            return faults.told(said)
    return None


class _Call:
    """A tool call that may still grow. It is told once its name is known."""

    __slots__ = ("custom", "id", "index", "name", "open", "parts")

    def __init__(self) -> None:
        self.index = -1
        self.id = ""
        self.name = ""
        self.custom = False
        self.open = True
        self.parts: list[str] = []

    def complete(self) -> bool:
        """Whether the arguments are a whole object, so that nothing can follow."""
        text = "".join(self.parts)
        if self.custom or not text.startswith("{"):
            return False
        try:
            _valid(text)
        except (ValueError, RecursionError):
            return False
        return True


class Answer(Answering):
    """What the chunks told so far."""

    __slots__ = ("_calls", "_declined", "_finish", "_id", "_keyed", "_spoke", "_started")

    def __init__(self) -> None:
        super().__init__()
        self._id = ""
        self._started = False
        self._spoke = False
        self._declined = False
        self._finish: str | None = None
        self._calls: list[_Call] = []
        self._keyed: dict[int, _Call] = {}

    def take(self, chunk: views.Chunk, events: list[Event]) -> None:
        choices = chunk.choices
        if choices:
            if not self._started:
                self._start(chunk, events)
            choice = choices[0]
            if choice.index:  # of several answers, the first is told
                choice = next((other for other in choices if not other.index), views.Choice())
            delta = choice.delta or choice.message
            if delta is not None:
                self._say(delta, None if choice.logprobs is None else _array(choice.logprobs), events)
            if choice.finish_reason:
                self._finish = choice.finish_reason
        spent = views.spent(chunk)
        if spent is not None:
            if not self._started:
                self._start(chunk, events)
            events.append(UsageSeen(views.usage(spent, chunk.service_tier)))

    def close(self, events: list[Event], *, done: bool = False) -> None:
        """The stream's end: `[DONE]`, or only the end of the bytes, which is enough after a finish reason."""
        if self.over:
            return
        if self._finish is not None or (done and self._started):
            self.end(events)
        else:
            self.fail(TRUNCATED, events)

    def end(self, events: list[Event]) -> None:
        if self._finish == "error":
            self.fail(BROKEN, events)
            return
        self.over = True
        events.extend(BlockStop(call.index) for call in self._calls if call.open and call.name)
        events.append(Finish(self._reason()))

    def _start(self, chunk: views.Chunk, events: list[Event]) -> None:
        self._started = True
        self._id = chunk.id or ""
        events.append(Start(self._id, chunk.model or ""))

    def _reason(self) -> FinishReason:
        """Many servers say `stop` although the model waits for a result, or declined."""
        reason = views.finish(self._finish or "stop")
        if reason == "stop" and self._calls:
            return "tool_calls"
        if reason == "stop" and self._declined and not self._spoke:
            return "refusal"
        return reason

    def _say(self, delta: views.Delta, logprobs: Raw | None, events: list[Event]) -> None:
        if delta.reasoning_content or delta.reasoning or delta.reasoning_details:
            _think(delta, events)
        content = delta.content
        if content:
            if content.__class__ is str:
                self._spoke = True
                events.append(TextDelta(content, logprobs))
            else:
                for part in content:
                    self._part(part, events)  # type: ignore[arg-type] # `__class__ is str` is no test to mypy
        if delta.refusal:
            self._declined = True
            events.append(RefusalDelta(delta.refusal))
        if delta.tool_calls:
            for call in delta.tool_calls:
                self._call(call, events)
        if delta.function_call is not None:
            self._call(views.Call(index=0, function=delta.function_call), events)
        if delta.images:
            events.extend(Media(_image(picture.image_url.url)) for picture in delta.images if picture.image_url)
        if delta.audio is not None and delta.audio.transcript:
            self._spoke = True
            events.append(TextDelta(delta.audio.transcript))

    def _part(self, part: views.Part, events: list[Event]) -> None:
        if part.text:
            self._spoke = True
            events.append(TextDelta(part.text))
        if part.refusal:
            self._declined = True
            events.append(RefusalDelta(part.refusal))
        thought = part.thinking
        if isinstance(thought, list):
            thought = "".join(inner.text or "" for inner in thought)
        if thought:
            events.append(ThinkingDelta(thought, issuer=NAME))

    def _call(self, piece: views.Call, events: list[Event]) -> None:
        name, text = _told(piece)
        call = self._find(piece, name)
        if call is None:
            call = self._open(piece, events)
        if not call.name:
            call.id = call.id or piece.id or ""
            if not name:
                call.parts.append(text)
                return
            call.name = name
            call.custom = piece.custom is not None
            call.index = sum(1 for other in self._calls if other.name) - 1
            call.id = call.id or f"call_{self._id or 'of_unnamed_answer'}_{call.index}"
            events.append(ToolStart(call.index, call.id, name, custom=call.custom))
            text = "".join(call.parts) + text
            call.parts.clear()
        if text and call.open:
            call.parts.append(text)
            events.append(ToolDelta(call.index, text))

    def _find(self, piece: views.Call, name: str | None) -> _Call | None:
        """The call that a piece belongs to, if it is not the first of a new one."""
        if piece.index is not None:
            call = self._keyed.get(piece.index)
            return None if call is not None and _differs(piece, call) else call
        if piece.id:
            return next((call for call in self._calls if call.id == piece.id), None)
        return self._calls[-1] if self._calls and not name else None

    def _open(self, piece: views.Call, events: list[Event]) -> _Call:
        """A new call. One that is complete is closed before it, so that blocks follow each other where they can."""
        if self._calls:
            last = self._calls[-1]
            if last.open and last.name and last.complete():
                last.open = False
                events.append(BlockStop(last.index))
        call = _Call()
        self._calls.append(call)
        if piece.index is not None:
            self._keyed[piece.index] = call
        return call


class StreamDecoder(RecordDecoder[Answer]):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Answer())

    def _record(self, name: bytes, payload: bytes, events: list[Event]) -> None:
        answer = self._answer
        if payload.startswith(DONE):
            answer.close(events, done=True)
            return
        if not payload:
            return
        chunk = views.chunk(payload)
        fault = fault_in(chunk, payload, name)
        if fault is None:
            answer.take(chunk, events)
        else:
            answer.fail(fault, events)


def _differs(piece: views.Call, call: _Call) -> bool:
    """Whether a piece under a known index starts another call nevertheless, as where all calls have index 0."""
    if piece.id and call.id:
        return piece.id != call.id
    name, text = _told(piece)
    return bool(name and call.name) and text.startswith("{") and call.complete()


def _array(logprobs: views.Logprobs) -> Raw | None:
    """The list of a piece of text; as a raw slice it was not looked into, so that it is UTF-8 must be checked."""
    raw = bytes(logprobs.content)
    if not raw.startswith(b"["):
        return None
    raw.decode()
    return Raw(raw)


def _told(piece: views.Call) -> tuple[str | None, str]:
    """The name and the piece of arguments."""
    if piece.custom is not None:
        return piece.custom.name, piece.custom.input or ""
    if piece.function is None:
        return None, ""
    raw = bytes(piece.function.arguments)
    if raw in (b"", b"null"):
        return piece.function.name, ""
    return piece.function.name, _string(raw) if raw.startswith(b'"') else raw.decode()


def _think(delta: views.Delta, events: list[Event]) -> None:
    """Reasoning by any of its names; where it comes twice, by a new name and an old one, once."""
    details = delta.reasoning_details or ()
    text = delta.reasoning_content or delta.reasoning
    if text is None:
        text = "".join(detail.text or detail.summary or "" for detail in details)
    if text:
        events.append(ThinkingDelta(text, issuer=NAME))
    for detail in details:
        if detail.signature:
            events.append(ThinkingDelta(signature=detail.signature, issuer=NAME))
        if detail.data:
            events.append(ThinkingDelta(redacted=detail.data, issuer=NAME))


def _image(url: str) -> Image:
    media_type, found, data = url.removeprefix("data:").partition(";base64,")
    return Image(media_type=media_type, data=data) if found and url.startswith("data:") else Image(url=url)
