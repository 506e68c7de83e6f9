"""Reasoning that was sealed, in a request to an upstream that will not have it.

OpenRouter and its like give reasoning back under a signature or encrypted (`reasoning_details`), for the model behind
them to check. Sent on to another one, it is refused there.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from omniroute.errors import Fault
from omniroute.formats.codec import Fields
from omniroute.formats.ir import Raw

_MARK = b'"reasoning_details"'
_messages = msgspec.json.Decoder(list[dict[str, Raw]])
_encode = msgspec.json.Encoder().encode
_about_seals = re.compile(r"signature|reasoning_details|encrypted|thought", re.IGNORECASE)


def seal_refused(fault: Fault) -> bool:
    return _about_seals.search(f"{fault.message} {fault.param or ''} {fault.code or ''}") is not None


def unsealed(fields: Fields) -> Fields | None:
    messages = fields.get("messages")
    written = bytes(messages) if isinstance(messages, Raw) else _encode(messages)
    if _MARK not in written:
        return None
    told = _messages.decode(written)
    kept: list[dict[str, Any]] = [
        {name: raw for name, raw in message.items() if name != "reasoning_details"} for message in told
    ]
    return {**fields, "messages": kept} if kept != told else None
