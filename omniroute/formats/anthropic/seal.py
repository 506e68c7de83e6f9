"""Thinking of other formats, on its way through a client of this one and back.

Every thinking block here carries a signature that only its issuer can check. Thinking that comes from another format
has none, or a foreign one; it is told under a signature of ours, which names the issuer and holds what it had signed.
So the client can show it and send it back, it reaches its issuer again as it was, and no one else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from omniroute.formats.ir import Raw

NAME = "anthropic"
PREFIX = "omniroute."
"""No signature of Anthropic's begins so: those are base64, which has no full stop."""

_MARK = b'"' + PREFIX.encode()
_THINKING = ("thinking", "redacted_thinking")
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
    if issuer in (None, NAME):
        return signature or ""
    return f"{PREFIX}{issuer}.{signature or ''}"


def unseal(signature: str) -> tuple[str | None, str | None]:
    """Who issued it, and what was signed; unsigned thinking is anybody's."""
    if not signature.startswith(PREFIX):
        return (NAME, signature) if signature else (None, None)
    issuer, _, inner = signature.removeprefix(PREFIX).partition(".")
    return issuer, inner or None


def without_foreign(messages: Raw) -> Raw:
    """The messages without the thinking that only looks like Anthropic's, for an upstream that would refuse it. They
    stay byte for byte as they are where there is none, and after a mistake, which the upstream will name."""
    if _MARK not in bytes(messages):
        return messages
    try:
        kept = [_cleaned(one) for one in _messages.decode(messages)]
    except (msgspec.DecodeError, RecursionError):
        return messages
    return Raw(_encode([one for one in kept if one is not None]))


def _cleaned(message: Raw) -> Any:
    """The message, or None where nothing of it is left."""
    content = _message.decode(message).content
    if isinstance(content, str):
        return message
    kept = [one for one in content if not _is_foreign(_block.decode(one))]
    if len(kept) == len(content):
        return message
    return {**_object.decode(message), "content": kept} if kept else None


def _is_foreign(block: _Block) -> bool:
    return block.type in _THINKING and (block.signature or block.data or "").startswith(PREFIX)
