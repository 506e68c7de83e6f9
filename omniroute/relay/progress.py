"""How far a stream is, for clients that ask for it with `X-OmniRoute-Progress: true`: an event of its own now and then,
and one before the end. Which clients can hear it is their format's to say (`ClientCodec.PROGRESS`)."""

from __future__ import annotations

from typing import Literal

from omniroute.formats.codec import Bridge
from omniroute.relay.call import Call

ASKED = b"x-omniroute-progress"


def answered(call: Call) -> Literal["", "enabled", "unsupported"]:
    """What the client is told of its wish; nothing where it has none."""
    if call.named.get(ASKED, b"").lower() != b"true":
        return ""
    return "unsupported" if call.codec.PROGRESS is None or call.operation != "chat" else "enabled"


def event(call: Call, way: Bridge, *, done: bool = False) -> bytes:
    """The event: tokens of the answer as far as they are known, and milliseconds since the request came."""
    told = way.usage.output if way.usage is not None else 0
    tokens = told if done and told else max(told, way.produced)
    end = b',"done":true' if done else b""
    fields = (call.codec.PROGRESS or b"", tokens, int(call.elapsed() * 1e3), end)
    return b'event: progress\ndata: {%b"tokens_generated":%d,"elapsed_ms":%d%b}\n\n' % fields
