"""Wire formats: bytes to meaning and back. This dict is the list of them all."""

from typing import cast

from omniroute.formats import anthropic, openai_chat
from omniroute.formats.codec import ChatCodec

__all__ = ["CHAT", "anthropic", "openai_chat"]

CHAT: dict[str, ChatCodec] = {
    "openai_chat": cast("ChatCodec", openai_chat),
    "anthropic": cast("ChatCodec", anthropic),
}
