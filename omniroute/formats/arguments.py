"""A call's arguments where they must be an object: most formats hold them as text, which models get wrong at times."""

from __future__ import annotations

import msgspec

from omniroute.formats.codec import Fields
from omniroute.formats.framing import flat
from omniroute.formats.ir import Raw, ToolCall

NOTHING = Raw(b"{}")
_object = msgspec.json.Decoder(dict[str, Raw])


def as_object(arguments: str) -> Raw | None:
    """The arguments as an object on one line; None where they are none. Models write them on several at times."""
    raw = Raw(flat(arguments.encode())) if arguments.strip() else NOTHING
    try:
        _object.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    return raw


def object_of(call: ToolCall) -> tuple[Raw | Fields, bool]:
    """An object that tells a call's arguments, and whether they are as the tool takes them."""
    if call.custom:
        return {"input": call.arguments}, True
    given = as_object(call.arguments)
    return ({"arguments": call.arguments}, False) if given is None else (given, True)
