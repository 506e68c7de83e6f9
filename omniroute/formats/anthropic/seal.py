"""Thinking of other formats, on its way through a client of this one and back.

Every thinking block here carries a signature that only its issuer can check. Thinking that comes from another format
has none, or a foreign one; it is told under a signature of ours, which names the issuer and holds what it had signed.
So the client can show it and send it back, it reaches its issuer again as it was, and no one else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from omniroute.errors import Fault
from omniroute.formats import sealing
from omniroute.formats.codec import Fields
from omniroute.formats.ir import Raw

NAME = "anthropic"
_MARK = b'"' + sealing.PREFIX.encode()
_THINKING = ("thinking", "redacted_thinking")
_about_seals = re.compile(r"signature|redacted_thinking|thinking. blocks?|encrypted", re.IGNORECASE)
_messages = msgspec.json.Decoder(list[Raw])
_object = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


class _Block(msgspec.Struct):
    type: str = ""
    signature: str | None = None
    data: str | None = None


class _Message(msgspec.Struct):
    content: str | list[Raw] = ""


_block = msgspec.json.Decoder(_Block)
_message = msgspec.json.Decoder(_Message)


def seal(issuer: str | None, signature: str | None) -> str:
    """The signature to tell a client of this format."""
    return sealing.seal(issuer, NAME, signature)


def unseal(signature: str) -> tuple[str | None, str | None]:
    """Who issued it, and what was signed."""
    return sealing.unseal(NAME, signature)


def without_foreign(messages: Raw) -> Raw:
    """The messages without the thinking that only looks like Anthropic's, for an upstream that would refuse it. They
    stay byte for byte as they are where there is none, and after a mistake, which the upstream will name."""
    if _MARK not in bytes(messages):
        return messages
    return _without(messages, _is_foreign)


def seal_refused(fault: Fault) -> bool:
    return _about_seals.search(f"{fault.message} {fault.param or ''}") is not None


def unsealed(fields: Fields) -> Fields | None:
    given = fields["messages"]
    messages = given if isinstance(given, Raw) else Raw(_encode(given))
    kept = _without(messages, _is_thinking)
    if kept is messages:
        return None
    out = {**fields, "messages": kept}
    if b'"enabled"' in _encode(fields.get("thinking")):
        del out["thinking"]  # a turn that goes on after a tool's result needs a thought of its own to think by a budget
    return out


def _without(messages: Raw, unwanted: Callable[[_Block], bool]) -> Raw:
    """The messages without the blocks that are unwanted; the very same where there are none."""
    try:
        told = _messages.decode(messages)
        kept = [_cleaned(one, unwanted) for one in told]
    except (msgspec.DecodeError, RecursionError):
        return messages
    if all(one is other for one, other in zip(kept, told, strict=True)):
        return messages
    return Raw(_encode([one for one in kept if one is not None]))


def _cleaned(message: Raw, unwanted: Callable[[_Block], bool]) -> Any:
    """The message, or None where nothing of it is left."""
    content = _message.decode(message).content
    if isinstance(content, str):
        return message
    kept = [one for one in content if not unwanted(_block.decode(one))]
    if len(kept) == len(content):
        return message
    return {**_object.decode(message), "content": kept} if kept else None


def _is_thinking(block: _Block) -> bool:
    return block.type in _THINKING


def _is_foreign(block: _Block) -> bool:
    return _is_thinking(block) and (block.signature or block.data or "").startswith(sealing.PREFIX)
