"""An answer on its way from an upstream's format to the client's, streamed or whole.

Three ways, and the relay need not know which: handed on (the same format, bytes kept), translated, as a stream of
events or as a whole message, and the odd cases where one side streams and the other does not (`fold.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from omniroute.errors import Fault
from omniroute.formats.codec import Bridge, ChatCodec, ClientCodec, Head, Reply, Retell, unchanged
from omniroute.formats.fold import Message, unfold
from omniroute.formats.ir import CONTENT, Event, Failed, Finish, FinishReason, Usage, UsageSeen
from omniroute.formats.think_tags import Untagged, untagged

Redactor = Callable[[Sequence[Event]], list[Event]]
"""Takes something out of the events of one answer."""


class Translated:
    """Upstream bytes to events to the client's bytes."""

    __slots__ = (
        "_decoder",
        "_encoder",
        "_redactor",
        "committed",
        "fault",
        "finish",
        "over",
        "produced",
        "retell",
        "usage",
    )

    def __init__(
        self,
        upstream: ChatCodec,
        client: ClientCodec,
        head: Head,
        ident: str,
        created: int,
        *,
        tagged: bool = False,
        redactor: Redactor | None = None,
    ) -> None:
        decoder = upstream.decoder()
        self._decoder = Untagged(decoder, upstream.NAME) if tagged else decoder
        self._encoder = client.encoder(head, ident, created)
        self._redactor = redactor
        self.committed = False
        self.over = False
        self.produced = 0
        self.usage: Usage | None = None
        self.finish: FinishReason | None = None
        self.fault: Fault | None = None
        self.retell: Retell = unchanged

    def feed(self, data: bytes) -> bytes:
        events = self._decoder.feed(data)
        return self.take(events) if events else b""

    def close(self) -> bytes:
        return self.take(self._decoder.close()) + self._encoder.close()

    def fail(self, fault: Fault) -> bytes:
        self.fault = fault
        self.over = True
        return self._encoder.feed([Failed(fault)]) + self._encoder.close()

    def replay(self, message: Message) -> bytes:
        """The whole stream for an answer that came whole."""
        return self.take(unfold(message)) + self._encoder.close()

    def take(self, events: Sequence[Event]) -> bytes:
        """The client's bytes for events of the upstream, noting what they tell."""
        if self._redactor is not None:
            events = self._redactor(events)
        for at, event in enumerate(events):
            if isinstance(event, CONTENT):
                self.committed = True
                self.produced += 1
            elif isinstance(event, UsageSeen):
                self.usage = event.usage
            elif isinstance(event, Finish):
                self.finish = event.reason
                self.over = True
            elif isinstance(event, Failed):
                self.fault = self.retell(event.fault)
                self.over = True
                return self._encoder.feed([*events[:at], Failed(self.fault)])
        return self._encoder.feed(events)


def stream(
    upstream: ChatCodec,
    client: ClientCodec,
    head: Head,
    ident: str,
    created: int,
    *,
    tagged: bool = False,
    redactor: Redactor | None = None,
) -> Bridge:
    """The bridge for an upstream that streams to a client that streams. A `tagged` answer has thinking in its text, and
    one with a `redactor` may hold what must not go on: neither can be handed on as it is."""
    if upstream is client and not tagged and redactor is None:
        return upstream.through(head)
    return Translated(upstream, client, head, ident, created, tagged=tagged, redactor=redactor)


def whole(
    upstream: ChatCodec,
    client: ClientCodec,
    body: bytes,
    head: Head,
    ident: str,
    created: int,
    *,
    tagged: bool = False,
) -> Reply:
    """The whole answer for a client that does not stream. Raises ValueError where the body is not the format's."""
    if upstream is client and not tagged:
        return upstream.relabel(body, head)
    message = upstream.decode_reply(body)
    return reply(client, untagged(message, upstream.NAME) if tagged else message, head, ident, created)


def reply(client: ClientCodec, message: Message, head: Head, ident: str, created: int) -> Reply:
    """The answer as the client wants it."""
    if message.fault is not None:
        return Reply(b"", message.usage, None, message.fault)
    return Reply(client.encode_reply(message, head, ident, created), message.usage, message.finish)
