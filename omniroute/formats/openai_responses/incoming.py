"""An upstream's answer to events.

Everything is told up to three times: in deltas, at the end of a piece, at the end of the item and of the response.
Servers that imitate the format leave out any of these, so what counts is what was not told yet: each item remembers
that, under its id and its index. What is cited is not told, since no other format could show it; what servers' own tools
did is told with the item as it was.
"""

from __future__ import annotations

import msgspec

from omniroute.formats.decoding import Answering, RecordDecoder
from omniroute.formats.fold import Message
from omniroute.formats.ir import (
    Block,
    BlockStop,
    Event,
    Finish,
    FinishReason,
    Image,
    Media,
    Opaque,
    Raw,
    Refusal,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolDelta,
    ToolStart,
    UsageSeen,
)
from omniroute.formats.openai_responses import faults, seal, views
from omniroute.formats.openai_responses.conversation import BETWEEN
from omniroute.formats.openai_responses.head import NAME

DONE = b"[DONE]"
"""OpenAI never sends it here; servers that come from its older format do."""
_any = msgspec.json.Decoder().decode


def decoder() -> StreamDecoder:
    return StreamDecoder()


def decode_reply(body: bytes) -> Message:
    try:
        return _whole(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _whole(body: bytes) -> Message:
    told = views.response(body)
    if told.error is not None or told.status == "failed":
        return Message(fault=faults.told(told.error))
    if told.output is None:
        raise ValueError("it has no output")
    blocks: list[Block] = []
    logprobs: list[Raw] = []
    for raw in told.output:
        _blocks(raw, blocks, logprobs)
    kinds = set(map(type, blocks))
    return Message(
        id=told.id or "",
        model=told.model or "",
        blocks=tuple(blocks),
        logprobs=tuple(logprobs),
        usage=None if told.usage is None else views.usage(told.usage, told.service_tier),
        finish=_finish(
            told,
            called=ToolCall in kinds,
            spoke=Text in kinds,
            declined=Refusal in kinds,
        ),
    )


def _blocks(raw: Raw, blocks: list[Block], logprobs: list[Raw]) -> None:
    """The blocks of a whole item."""
    item = _look(raw)
    match item.type:
        case "message":
            for part in item.content or ():
                if part.refusal:
                    blocks.append(Refusal(part.refusal))
                elif part.text:
                    blocks.append(Text(part.text))
                    chances = _chances(part.logprobs)
                    if chances is not None:
                        logprobs.append(chances)
        case "reasoning":
            thought = _thought(item)
            if thought.text or thought.signature or thought.redacted is not None or thought.issuer != NAME:
                blocks.append(thought)
        case "function_call" | "custom_tool_call":
            if item.name:
                custom = item.type == "custom_tool_call"
                blocks.append(ToolCall(_call_id(item), item.name, _arguments(item), custom=custom))
        case _:
            blocks.append(_shown(item, raw))


def _look(raw: Raw) -> views.Item:
    item = views.item(raw)
    if not item.type:
        raise ValueError("an item has no type")
    bytes(raw).decode()  # the decoder takes what it skips on trust
    return item


def _shown(item: views.Item, raw: Raw) -> Image | Opaque:
    if item.type == "image_generation_call" and item.result:
        return Image(media_type=f"image/{item.output_format or 'png'}", data=item.result)
    return Opaque(NAME, item.type, raw)


def _thought(item: views.Item) -> Thinking:
    parts = item.summary or item.content or ()
    thought = seal.unseal(item.id, item.encrypted_content, BETWEEN.join(part.text or "" for part in parts))
    return thought if thought.issuer is not None else Thinking(thought.text, issuer=NAME)


def _arguments(item: views.Item) -> str:
    return _free(item.input if item.type == "custom_tool_call" else item.arguments)


def _free(value: object) -> str:
    """What a call was given, as text; items of other kinds have fields of that name which are none."""
    return value if isinstance(value, str) else ""


def _call_id(item: views.Item) -> str:
    return item.call_id or item.id or "call_without_id"


def _chances(logprobs: Raw) -> Raw | None:
    """The log probabilities of a piece of text, if it has any."""
    raw = bytes(logprobs)
    if not raw.startswith(b"[") or not raw[1:-1].strip():
        return None
    raw.decode()
    return Raw(raw)


def _finish(told: views.Response, *, called: bool, spoke: bool, declined: bool) -> FinishReason:
    reason = views.finish(told.status, told.incomplete_details)
    if reason != "stop" or told.status == "incomplete":
        return reason
    if called:
        return "tool_calls"
    return "refusal" if declined and not spoke else "stop"


class _Item:
    """An item that is open: its call's index, and which of its parts were told already."""

    __slots__ = ("call", "done", "kind", "part", "said", "told")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.call = -1
        self.done = False
        self.part = 0  # the one that was told last
        self.told: set[tuple[str, int]] = set()
        self.said = False


class Answer(Answering):
    """What the events told so far."""

    __slots__ = ("_at", "_called", "_calls", "_declined", "_items", "_named", "_spoke", "_started")

    def __init__(self) -> None:
        super().__init__()
        self._started = False
        self._spoke = False
        self._declined = False
        self._calls = 0
        self._called: dict[str, _Item] = {}
        self._named: dict[str, _Item] = {}
        self._at: dict[int, _Item] = {}
        self._items: list[_Item] = []

    # Deltas

    def extend(self, kind: str, delta: views.Delta, events: list[Event]) -> None:
        if not delta.delta:
            return
        item = self._find(delta.item_id, delta.output_index) or self._open("", delta.item_id, delta.output_index)
        if kind == "response.output_text.delta":
            self._part(item, ("text", delta.content_index), events)
            self._spoke = True
            events.append(TextDelta(delta.delta, _chances(delta.logprobs) if len(delta.logprobs) > 2 else None))
        elif kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"):
            if item.call >= 0 and not item.done:
                item.said = True
                events.append(ToolDelta(item.call, delta.delta))
        elif kind == "response.refusal.delta":
            self._part(item, ("text", delta.content_index), events)
            self._declined = True
            events.append(RefusalDelta(delta.delta))
        elif kind == "response.reasoning_summary_text.delta":
            self._think(item, ("summary", delta.summary_index), delta.delta, events)
        elif kind == "response.reasoning_text.delta":
            self._think(item, ("content", delta.content_index), delta.delta, events)

    def _part(self, item: _Item, key: tuple[str, int], events: list[Event]) -> None:
        """Begins a part, ending the one before it, if it is not the one that was told last."""
        if key not in item.told:
            if item.told:
                events.append(BlockStop())
            item.told.add(key)

    def _think(self, item: _Item, key: tuple[str, int], text: str, events: list[Event]) -> None:
        """A piece of a summary, or of the thoughts themselves where those came first."""
        if key not in item.told:
            if any(source != key[0] for source, _ in item.told):
                return
            if item.told:
                text = BETWEEN + text
            item.told.add(key)
        events.append(ThinkingDelta(text, issuer=NAME))

    # All else

    def take(self, told: views.Event, payload: bytes, events: list[Event]) -> None:
        kind = told.type
        if kind == "error" or (told.error is not None and told.response is None):
            self.fail(faults.told(_any(payload)), events)
            return
        if told.response is not None and not self._started:
            self._start(told.response, events)
        match kind:
            case "response.output_item.added":
                self._added(told, events)
            case "response.output_item.done":
                self._done(told, events)
            case "response.output_text.done" | "response.refusal.done":
                self._ended(told, events)
            case "response.reasoning_summary_text.done" if told.text:
                self._thought(told, ("summary", told.summary_index), told.text, events)
            case "response.reasoning_text.done" if told.text:
                self._thought(told, ("content", told.content_index), told.text, events)
            case "response.function_call_arguments.done":
                self._argued(told, _free(told.arguments), events)
            case "response.custom_tool_call_input.done":
                self._argued(told, _free(told.input), events)
            case "response.completed" | "response.incomplete" if told.response is not None:
                self._end(told.response, kind, events)
            case "response.failed" | "response.cancelled":
                self.fail(faults.told(None if told.response is None else told.response.error), events)

    def _start(self, response: views.Response, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            events.append(Start(response.id or "", response.model or ""))

    def _find(self, ident: str | None, index: int | None) -> _Item | None:
        item = self._named.get(ident) if ident else None
        return item or (None if index is None else self._at.get(index))

    def _open(self, kind: str, ident: str | None, index: int | None) -> _Item:
        item = _Item(kind)
        self._items.append(item)
        if ident:
            self._named[ident] = item
        if index is not None:
            self._at[index] = item
        return item

    def _added(self, told: views.Event, events: list[Event]) -> None:
        seen = _look(told.item)
        item = self._open(seen.type, seen.id, told.output_index)
        self._call(item, seen, events)

    def _call(self, item: _Item, seen: views.Item, events: list[Event]) -> None:
        if seen.type in views.CALLS and seen.name and item.call < 0:
            item.call = self._calls
            self._calls += 1
            self._called[_call_id(seen)] = item
            custom = seen.type == "custom_tool_call"
            events.append(ToolStart(item.call, _call_id(seen), seen.name, custom=custom))

    def _ended(self, told: views.Event, events: list[Event]) -> None:
        item = self._find(told.item_id, told.output_index) or self._open("", told.item_id, told.output_index)
        self._say(item, told.content_index, told.text, told.refusal, None, events)

    def _say(
        self,
        item: _Item,
        index: int,
        text: str | None,
        refusal: str | None,
        logprobs: Raw | None,
        events: list[Event],
    ) -> None:
        """A whole part of a message, if it was not told yet."""
        key = ("text", index)
        if key in item.told or not (text or refusal):
            return
        self._part(item, key, events)
        if refusal:
            self._declined = True
            events.append(RefusalDelta(refusal))
        elif text:
            self._spoke = True
            events.append(TextDelta(text, logprobs))

    def _thought(self, told: views.Event, key: tuple[str, int], text: str, events: list[Event]) -> None:
        item = self._find(told.item_id, told.output_index) or self._open("reasoning", told.item_id, told.output_index)
        if key not in item.told:
            self._think(item, key, text, events)

    def _argued(self, told: views.Event, text: str, events: list[Event]) -> None:
        item = self._find(told.item_id, told.output_index)
        if item is not None and item.call >= 0 and not item.done:
            self._argue(item, text, events)

    def _argue(self, item: _Item, text: str, events: list[Event]) -> None:
        if text and not item.said:
            item.said = True
            events.append(ToolDelta(item.call, text))

    def _done(self, told: views.Event, events: list[Event]) -> None:
        seen = _look(told.item)
        item = self._find(seen.id, told.output_index)
        if item is None or item.done:
            item = self._open(seen.type, seen.id, told.output_index)
        self._finish_item(item, seen, told.item, events)

    def _finish_item(self, item: _Item, seen: views.Item, raw: Raw, events: list[Event]) -> None:
        """Tells what was not told of an item, and that it is done."""
        if item.done:
            return
        item.done = True
        if seen.type == "message":
            for at, part in enumerate(seen.content or ()):
                self._say(item, at, part.text, part.refusal, _chances(part.logprobs), events)
            if item.told:
                events.append(BlockStop())
        elif seen.type == "reasoning":
            self._finish_thought(item, _thought(seen), events)
        elif seen.type in views.CALLS:
            self._call(item, seen, events)
            if item.call >= 0:
                self._argue(item, _arguments(seen), events)
                events.append(BlockStop(item.call))
        else:
            events.append(Media(_shown(seen, raw)))

    def _finish_thought(self, item: _Item, thought: Thinking, events: list[Event]) -> None:
        if thought.redacted is not None:
            events.append(ThinkingDelta(redacted=thought.redacted, issuer=thought.issuer))
            return
        if thought.text and not item.told:
            item.told.add(("summary", 0))
            events.append(ThinkingDelta(thought.text, issuer=NAME))
        if thought.signature or thought.issuer != NAME:
            events.append(ThinkingDelta(signature=thought.signature, issuer=thought.issuer))
        elif not item.told:
            return
        events.append(BlockStop())

    # The end

    def _end(self, response: views.Response, kind: str, events: list[Event]) -> None:
        self._rest(response.output or [], events)
        if response.usage is not None:
            events.append(UsageSeen(views.usage(response.usage, response.service_tier)))
        response.status = response.status or kind.removeprefix("response.")
        self.over = True
        events.extend(BlockStop(item.call) for item in self._items if item.call >= 0 and not item.done)
        events.append(Finish(_finish(response, called=self._calls > 0, spoke=self._spoke, declined=self._declined)))

    def _rest(self, output: list[Raw], events: list[Event]) -> None:
        """What the whole output holds that no event told."""
        several = len(output) > len(self._items)
        for index, raw in enumerate(output):
            seen = _look(raw)
            item = self._called.get(_call_id(seen)) if seen.type in views.CALLS else None
            item = item or (self._named.get(seen.id) if seen.id else None) or self._at.get(index)
            if item is None and several:
                item = self._open(seen.type, seen.id, index)
            if item is not None:
                self._finish_item(item, seen, raw, events)


class StreamDecoder(RecordDecoder[Answer]):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Answer())

    def _record(self, name: bytes, payload: bytes, events: list[Event]) -> None:
        answer = self._answer
        kind = views.DELTAS.get(name)
        if kind is not None:
            delta = views.delta(payload)
            if delta.type in ("", kind):
                answer.extend(kind, delta, events)
                return
        if payload and not payload.startswith(DONE):
            told = views.event(payload)
            told.type = told.type or name.decode("ascii", "replace")
            kind = views.DELTAS.get(told.type.encode())
            if kind is None:
                answer.take(told, payload, events)
            else:
                answer.extend(kind, views.delta(payload), events)
