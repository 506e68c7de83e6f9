"""The headers of an answer: what every client may want to know about how it was made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from omniroute.catalog.price import decimal
from omniroute.formats.ir import Loss, Usage
from omniroute.relay import admission
from omniroute.relay.asgi import Pairs
from omniroute.relay.call import Call
from omniroute.state.base import Attempt

ASKED = {
    "X-Request-Id": "A name for the request, of up to 128 printable ASCII characters, in its answer and in the ledger.",
    "X-Session-Id": "The conversation that the request belongs to, where its client has no field of its own for that.",
    "X-OmniRoute-Progress": "`true`: a stream tells how far it is, `event: progress` with `tokens_generated` and "
    "`elapsed_ms` every `server.progress_interval`, and once more with `done` before its end.",
    "X-OmniRoute-Connection": "The only connection that may serve, as `provider.connection`. For keys with the role "
    "`admin.write`.",
    "X-OmniRoute-No-Cache": "`true`: the answer is a new one, and is not kept to be given again.",
    "Idempotency-Key": "The same request again under this name, on the same path and within `idempotency.window`, gets the "
    "same answer, also while it is under way; another one is a 422. Without it, `X-Request-Id` does so for equal bodies.",
}
"""What a client may say besides what its format has."""
ANSWERED = {
    "X-Request-Id": "The request's name: the client's own, or ours. Under Anthropic's name too, `request-id`, where that "
    "is the format.",
    "X-OmniRoute-Config": "The revision of the configuration that made the answer.",
    "X-OmniRoute-Provider": "The provider that was asked, the last one where there were several.",
    "X-OmniRoute-Model": "The model that was asked, as its provider calls it.",
    "X-OmniRoute-Attempts": "How many times a provider was asked.",
    "X-OmniRoute-Losses": "Codes of what a translation could not carry; [translation.md](translation.md) has them.",
    "X-OmniRoute-Shadow": "Policies in the shadow that would have done something; [policies.md](policies.md) says more.",
    "X-OmniRoute-Tokens-In": "Of whole answers: tokens of the prompt, with those of a cache.",
    "X-OmniRoute-Tokens-Out": "Of whole answers: tokens that were produced, with reasoning.",
    "X-OmniRoute-Cost": "Of whole answers: USD, of all attempts together; absent where it is not known. "
    "[prices.md](prices.md) says how it is made.",
    "X-OmniRoute-Cache": "Where the answer may be given again: `MISS` for a new one, `HIT` for one that was given before, "
    "`SEMANTIC` for one to nearly the same question.",
    "X-OmniRoute-Idempotent": "`true` where the answer is that of the same request before, which has paid for it.",
    "X-OmniRoute-Budget": "Of budgets beyond their warning: `name;spent=…;limit=…;percent=…`, with `route` where another one serves "
    "instead.",
    "X-RateLimit-Limit-*, -Remaining-*, -Reset-*": "Of a key with limits: how much there is of each, what is left of it, "
    "and when it is whole again.",
    "X-OmniRoute-Audio-Seconds": "Of whole transcriptions: how long the audio is.",
    "X-OmniRoute-Progress": "Of streams that were asked to tell it: `enabled`, or `unsupported` where the format's "
    "clients would take the event for something else (Gemini, Ollama) and where the request is no chat.",
}
"""What an answer says besides what its format has. Streams cannot tell what they took before they took it."""
JSON = b"application/json"
MOST_TOLD = 32
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
    if call.would_act:
        pairs.append((b"x-omniroute-shadow", ", ".join(call.would_act[:MOST_TOLD]).encode()))
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
    cost = billed(call.attempts, call.cost) if call.attempts else call.cost
    if cost is not None:
        pairs.append((b"x-omniroute-cost", format(cost, "f").encode()))
    return pairs


def stream(call: Call) -> Pairs:
    """Of a stream; `no-transform` and `x-accel-buffering` keep proxies from holding it back."""
    assert call.head is not None
    pairs = [
        (b"content-type", call.codec.content_type(call.head)),
        (b"cache-control", b"no-cache, no-transform"),
        (b"x-accel-buffering", b"no"),
        *common(call),
    ]
    if call.progress:
        pairs.append((b"x-omniroute-progress", call.progress.encode()))
    return pairs


def losses(dropped: list[Loss]) -> tuple[str, ...]:
    """The codes of what translation dropped, each once. A field that only one format has is its own code, and its name
    is a caller's word: one that is no plain name is told as `field`, and there is an end to them."""
    codes = dict.fromkeys(loss.code if _plain(loss.code) else "field" for loss in dropped)
    return tuple(codes)[:MOST_TOLD]


def billed(attempts: Iterable[Attempt], more: Decimal | None = None) -> Decimal | None:
    """USD of all attempts and what comes on top, as far as it is known; None where nothing is."""
    known = [attempt.cost for attempt in attempts if attempt.cost is not None]
    if more is not None:
        known.append(more)
    return sum(known, Decimal(0)) if known else None


def _spent(usage: Usage) -> Pairs:
    return [
        (b"x-omniroute-tokens-in", b"%d" % usage.input),
        (b"x-omniroute-tokens-out", b"%d" % usage.output),
    ]
