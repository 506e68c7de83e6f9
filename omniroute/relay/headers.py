"""The headers of an answer: what every client may want to know about how it was made."""

from __future__ import annotations

import re

from omniroute.catalog.price import decimal
from omniroute.formats.ir import Loss, Usage
from omniroute.relay import admission
from omniroute.relay.asgi import Pairs
from omniroute.relay.call import Call

JSON = b"application/json"
MOST_LOSSES = 32
_plain = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch


def common(call: Call) -> Pairs:
    """Of every answer, also of a refusal."""
    pairs = [
        (b"x-request-id", call.request_id.encode("latin-1")),
        (b"x-omniroute-config", call.gateway.revision.label.encode()),
    ]
    if call.codec.REQUEST_ID != b"x-request-id":
        pairs.append((call.codec.REQUEST_ID, call.request_id.encode("latin-1")))
    if call.target is not None:
        pairs += (
            (b"x-omniroute-provider", call.target.upstream.name.encode()),
            (b"x-omniroute-model", call.target.model.encode()),
            (b"x-omniroute-attempts", b"%d" % call.tries),
        )
    if call.hold is not None:
        pairs += admission.headers(call)
    pairs += call.told
    if call.losses:
        pairs.append((b"x-omniroute-losses", ", ".join(losses(call.losses)).encode()))
    return pairs


def whole(call: Call, length: int, content_type: bytes = JSON) -> Pairs:
    """Of an answer that is known in full, with what it took and cost."""
    pairs = [(b"content-type", content_type), (b"content-length", b"%d" % length), *common(call)]
    if call.usage is not None:
        pairs += _spent(call.usage)
    if call.seconds is not None:
        pairs.append((b"x-omniroute-audio-seconds", format(decimal(call.seconds), "f").encode()))
    if call.cost is not None:
        pairs.append((b"x-omniroute-cost", format(call.cost, "f").encode()))
    return pairs


def stream(call: Call) -> Pairs:
    """Of a stream; `no-transform` and `x-accel-buffering` keep proxies from holding it back."""
    assert call.head is not None
    return [
        (b"content-type", call.codec.content_type(call.head)),
        (b"cache-control", b"no-cache, no-transform"),
        (b"x-accel-buffering", b"no"),
        *common(call),
    ]


def losses(dropped: list[Loss]) -> tuple[str, ...]:
    """The codes of what translation dropped, each once. A field that only one format has is its own code, and its name
    is a caller's word: one that is no plain name is told as `field`, and there is an end to them."""
    codes = dict.fromkeys(loss.code if _plain(loss.code) else "field" for loss in dropped)
    return tuple(codes)[:MOST_LOSSES]


def _spent(usage: Usage) -> Pairs:
    return [
        (b"x-omniroute-tokens-in", b"%d" % usage.input),
        (b"x-omniroute-tokens-out", b"%d" % usage.output),
    ]
