"""Events to a client's stream.

Each item is opened, grows by deltas, and is told whole at its end; the end of the stream tells all of them once more.
Several may be open at a time, for each event names its item. The envelope of a delta is the same bytes for a whole
item, so it is built once; only the number of the event changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from omniroute.formats import custom
from omniroute.formats.codec import TRUNCATED, Head
from omniroute.formats.fold import joined
from omniroute.formats.framing import flat
from omniroute.formats.ir import (
    Audio,
    BlockStop,
    Event,
    Failed,
    Finish,
    Image,
    Media,
    Opaque,
    Raw,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
)
from omniroute.formats.openai_responses import faults, response, seal
from omniroute.formats.openai_responses.namespaces import Spaces, spaces
from omniroute.formats.openai_responses.request import customs
from omniroute.formats.openai_responses.response import CUT, Form

_encode = msgspec.json.Encoder().encode
_EVENT = b'event: %b\ndata: {"type":"%b",%b"sequence_number":%d}\n\n'
_DELTA = b'event: %b\ndata: {"type":"%b","item_id":%b,"output_index":%d,%b"delta":'


def encoder(head: Head, ident: str, created: int) -> ResponseEncoder:
    tools = head.fields.get("tools")
    return ResponseEncoder(Form(head, ident, created), customs(tools), spaces(tools))


class _Open:
    """An item on its way. `before` is what begins each of its deltas, `spot` what names it in any other event."""

    __slots__ = (
        "before",
        "ident",
        "index",
        "issuer",
        "kind",
        "logprobs",
        "parts",
        "signature",
        "spot",
        "start",
        "wrap",
    )

    def __init__(self, kind: str, ident: str, index: int) -> None:
        self.kind = kind
        self.ident = ident
        self.index = index
        self.spot = b""
        self.before = b""
        self.parts: list[str] = []
        self.logprobs: list[Raw] = []
        self.start: ToolStart | None = None
        self.wrap: custom.Unwrapping | None = None
        self.signature: str | None = None
        self.issuer: str | None = None

    def name(self, ident: str, delta: bytes, within: bytes) -> None:
        """Says under which id and by which event it grows."""
        item = _encode(ident)
        self.spot = b'"item_id":%b,"output_index":%d,%b' % (item, self.index, within)
        self.before = _DELTA % (delta, delta, item, self.index, within)


class ResponseEncoder:
    __slots__ = (
        "_calls",
        "_declined",
        "_form",
        "_free",
        "_items",
        "_number",
        "_open",
        "_over",
        "_saying",
        "_started",
        "_usage",
        "_within",
    )

    def __init__(self, form: Form, free: frozenset[str], within: Spaces) -> None:
        self._form = form
        self._free = free
        self._within = within
        self._usage: Usage | None = None
        self._started = False
        self._declined = False
        self._over = False
        self._number = 0
        self._items: list[bytes | None] = []  # by output index, as they were told at their end
        self._open: dict[int, _Open] = {}
        self._saying: _Open | None = None  # text, a refusal or thinking that the next piece may extend
        self._calls: dict[int, _Open] = {}

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if self._over:
                break
            saying = self._saying
            if event.__class__ is TextDelta and event.logprobs is None and saying is not None and saying.kind == "text":
                if event.text:
                    saying.parts.append(event.text)
                    out.append(
                        b'%b%b,"logprobs":[],"sequence_number":%d}\n\n'
                        % (saying.before, _encode(event.text), self._number)
                    )
                    self._number += 1
                continue
            if not self._started:
                self._start(out)
            self._one(event, out)
        return b"".join(out)

    def close(self) -> bytes:
        return b"" if self._over else self.feed([Failed(TRUNCATED)])

    def _one(self, event: Event, out: list[bytes]) -> None:
        match event:
            case TextDelta():
                self._say("text", event.text, event.logprobs, out)
            case RefusalDelta():
                self._say("refusal", event.text, None, out)
            case ThinkingDelta():
                self._think(event, out)
            case ToolStart():
                self._call(event, out)
            case ToolDelta(arguments=str(text)) if text:
                self._extend(event.index, text, out)
            case BlockStop(index=int(index)):
                self._end(self._calls.pop(index, None), out)
            case BlockStop():
                self._end_saying(out)
            case Media():
                self._show(event.block, out)
            case UsageSeen():
                self._usage = event.usage
            case Finish():
                self._finish(event, out)
            case Failed():
                self._over = True
                failed = self._form.write(
                    "failed", self._output(), usage=self._usage, error=faults.failure(event.fault)
                )
                self._tell(b"response.failed", b'"response":%b,' % failed, out)
            case _:
                pass

    # Events

    def _tell(self, name: bytes, members: bytes, out: list[bytes]) -> None:
        out.append(_EVENT % (name, name, members, self._number))
        self._number += 1

    def _tell_delta(self, item: _Open, text: str, out: list[bytes], logprobs: Raw | None = None) -> None:
        item.parts.append(text)
        more = b'"logprobs":%b,' % (b"[]" if logprobs is None else bytes(logprobs)) if item.kind == "text" else b""
        out.append(b'%b%b,%b"sequence_number":%d}\n\n' % (item.before, _encode(text), more, self._number))
        self._number += 1

    def _start(self, out: list[bytes]) -> None:
        self._started = True
        begun = b'"response":%b,' % self._form.write("in_progress")
        self._tell(b"response.created", begun, out)
        self._tell(b"response.in_progress", begun, out)

    def _output(self) -> bytes:
        return b"[" + b",".join(item for item in self._items if item is not None) + b"]"

    # Items

    def _begin(self, kind: str) -> _Open:
        index = len(self._items)
        item = self._open[index] = _Open(kind, f"{self._form.ident}_{index}", index)
        self._items.append(None)
        return item

    def _added(self, item: _Open, told: Any, out: list[bytes]) -> None:
        self._tell(b"response.output_item.added", b'"output_index":%d,"item":%b,' % (item.index, _encode(told)), out)

    def _done(self, item: _Open, told: Any, out: list[bytes]) -> None:
        del self._open[item.index]
        whole = self._items[item.index] = _encode(told)
        self._tell(b"response.output_item.done", b'"output_index":%d,"item":%b,' % (item.index, whole), out)

    def _end(self, item: _Open | None, out: list[bytes], status: str = "completed") -> None:
        if item is None:
            return
        text = "".join(item.parts)
        if item.kind in ("text", "refusal"):
            self._end_message(item, text, status, out)
        elif item.kind == "thinking":
            self._end_thinking(item, text, out)
        else:
            self._end_call(item, status, out)

    def _end_message(self, item: _Open, text: str, status: str, out: list[bytes]) -> None:
        if item.kind == "text":
            logprobs = joined(item.logprobs) if item.logprobs else None
            part = response.text_part(text, logprobs)
            told = b'%b"text":%b,"logprobs":%b,' % (item.spot, _encode(text), _encode(part["logprobs"]))
            self._tell(b"response.output_text.done", told, out)
        else:
            part = response.refusal_part(text)
            self._tell(b"response.refusal.done", b'%b"refusal":%b,' % (item.spot, _encode(text)), out)
        self._tell(b"response.content_part.done", b'%b"part":%b,' % (item.spot, _encode(part)), out)
        self._done(item, response.message(item.ident, part, status), out)

    def _end_saying(self, out: list[bytes], status: str = "completed") -> None:
        saying, self._saying = self._saying, None
        self._end(saying, out, status)

    def _say(self, kind: str, text: str, logprobs: Raw | None, out: list[bytes]) -> None:
        item = self._saying
        if item is None or item.kind != kind:
            self._end_saying(out)
            if not text:  # which says nothing, but is no more of what was said before
                return
            self._declined = self._declined or kind == "refusal"
            item = self._saying = self._begin(kind)
            delta = b"response.output_text.delta" if kind == "text" else b"response.refusal.delta"
            item.name(f"msg_{item.ident}", delta, b'"content_index":0,')
            self._added(item, response.message(item.ident, None, "in_progress"), out)
            part = response.text_part("") if kind == "text" else response.refusal_part("")
            self._tell(b"response.content_part.added", b'%b"part":%b,' % (item.spot, _encode(part)), out)
        if not text:
            return
        if logprobs is not None:
            logprobs = _on_one_line(logprobs)
            item.logprobs.append(logprobs)
        self._tell_delta(item, text, out, logprobs)

    def _think(self, delta: ThinkingDelta, out: list[bytes]) -> None:
        """Thoughts begin an item with the first text or signature; a redacted one comes whole."""
        if delta.redacted is not None:
            self._end_saying(out)
            own, sealed = seal.seal(delta.issuer, None, delta.redacted)
            whole = self._begin("thinking")
            told = response.reasoning(own or f"rs_{whole.ident}", "", sealed)
            self._added(whole, told, out)
            self._done(whole, told, out)
            return
        item = self._saying
        if item is None or item.kind != "thinking":
            self._end_saying(out)
            if not (delta.text or delta.signature):
                return
            item = self._saying = self._begin("thinking")
            own = seal.opened(delta.signature)[0] if delta.issuer == seal.NAME else None
            item.ident = own or f"rs_{item.ident}"
            item.name(item.ident, b"response.reasoning_summary_text.delta", b'"summary_index":0,')
            self._added(item, response.reasoning(item.ident, "", None), out)
        item.issuer = delta.issuer or item.issuer
        if delta.signature is not None:
            item.signature = (item.signature or "") + delta.signature
        if delta.text:
            if not item.parts:
                part = _encode(response.summary_part(""))
                self._tell(b"response.reasoning_summary_part.added", b'%b"part":%b,' % (item.spot, part), out)
            self._tell_delta(item, delta.text, out)

    def _end_thinking(self, item: _Open, text: str, out: list[bytes]) -> None:
        if text:
            told = _encode(text)
            self._tell(b"response.reasoning_summary_text.done", b'%b"text":%b,' % (item.spot, told), out)
            part = _encode(response.summary_part(text))
            self._tell(b"response.reasoning_summary_part.done", b'%b"part":%b,' % (item.spot, part), out)
        sealed = seal.seal(item.issuer, item.signature)[1]
        self._done(item, response.reasoning(item.ident, text, sealed), out)

    def _call(self, start: ToolStart, out: list[bytes]) -> None:
        self._end_saying(out)
        self._end(self._calls.pop(start.index, None), out)
        item = self._begin("call")
        self._calls[start.index] = item
        item.start = start
        if start.custom or start.name in self._free:
            item.kind = "custom"
            item.wrap = None if start.custom else custom.Unwrapping()
            item.name(f"ctc_{item.ident}", b"response.custom_tool_call_input.delta", b"")
        else:
            item.name(f"fc_{item.ident}", b"response.function_call_arguments.delta", b"")
        self._added(item, self._called(item, "", "in_progress"), out)

    def _extend(self, index: int, text: str, out: list[bytes]) -> None:
        item = self._calls.get(index)
        if item is None:
            return
        if item.wrap is not None:
            text = item.wrap.feed(text)
        if text:
            self._tell_delta(item, text, out)

    def _end_call(self, item: _Open, status: str, out: list[bytes]) -> None:
        if item.wrap is not None:
            rest = item.wrap.close()
            if rest:
                self._tell_delta(item, rest, out)
        text = "".join(item.parts)
        if item.kind == "custom":
            self._tell(b"response.custom_tool_call_input.done", b'%b"input":%b,' % (item.spot, _encode(text)), out)
        else:
            told = b'%b"arguments":%b,' % (item.spot, _encode(text))
            self._tell(b"response.function_call_arguments.done", told, out)
        self._done(item, self._called(item, text, status), out)

    def _called(self, item: _Open, text: str, status: str) -> dict[str, Any]:
        start = item.start
        assert start is not None
        if item.kind == "custom":
            return response.custom_call(item.ident, start.id, start.name, text, status)
        return response.function_call(item.ident, start.id, self._within.get(start.name, start.name), text, status)

    def _show(self, shown: Image | Audio | Opaque, out: list[bytes]) -> None:
        self._end_saying(out)
        told = response.shown(shown, f"{self._form.ident}_{len(self._items)}")
        if told is None:
            return
        if isinstance(told, dict) and told["type"] == "message":
            self._say("text", told["content"][0]["text"], None, out)
            self._end_saying(out)
            return
        if isinstance(told, Raw):
            told = _on_one_line(told)
        item = self._begin("shown")
        self._added(item, told, out)
        self._done(item, told, out)

    def _finish(self, finish: Finish, out: list[bytes]) -> None:
        reason = CUT.get(finish.reason)
        if finish.reason == "refusal" and not self._declined:
            reason = "content_filter"  # a refusal without words was a filter's
        status = "completed" if reason is None else "incomplete"
        self._saying = None
        self._calls.clear()
        for item in list(self._open.values()):
            self._end(item, out, status)
        self._over = True
        whole = self._form.write(status, self._output(), usage=self._usage, reason=reason)
        self._tell(b"response." + status.encode(), b'"response":%b,' % whole, out)


def _on_one_line(raw: Raw) -> Raw:
    """JSON that stands in an event, which a line end would cut."""
    return Raw(flat(bytes(raw)))
