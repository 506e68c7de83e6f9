"""Tokens counted by us, where a provider cannot be asked or has not said: always marked as estimated."""

from __future__ import annotations

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import tokens
from omniroute.formats.codec import Bridge
from omniroute.formats.ir import Usage
from omniroute.relay.call import Call


def usage(call: Call, produced: float) -> Usage:
    """A guess at what a request took whose provider reported nothing: the prompt as far as it can be read, the answer
    by its pieces, about a token each. By size, for the answer is on its way and counting would hold up the others."""
    head = call.head
    assert head is not None
    model = head.model if call.target is None else call.target.model
    try:
        spent = tokens.rough(call.chat or call.codec.decode_request(head), model)
    except BadRequest:  # its provider understood it, which is all that was asked of it
        spent = round(sum(len(bytes(raw)) for raw in head.fields.values()) / tokens.BYTES_PER_TOKEN)
    return Usage(input=spent, output=round(produced), estimated=True)


def text(words: str) -> int:
    """A guess at the tokens of a text."""
    return round(len(words.encode()) / tokens.BYTES_PER_TOKEN + 0.5)


def produced(body: bytes) -> int:
    """A guess at the tokens of a whole answer."""
    return int(len(body) // tokens.BYTES_PER_TOKEN)


def settled(call: Call, way: Bridge) -> Usage:
    """What the upstream reported if it came to its end; a cut stream is charged for what was produced."""
    seen = way.usage
    if seen is None:
        return usage(call, way.produced)
    if way.finish is not None or seen.output >= way.produced:
        return seen
    return msgspec.structs.replace(seen, output=way.produced, estimated=True)
