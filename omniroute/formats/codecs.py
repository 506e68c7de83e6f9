"""The list of all wire formats: these dicts."""

from typing import cast

from omniroute.formats import (
    anthropic,
    gemini,
    ollama,
    ollama_generate,
    openai_chat,
    openai_completions,
    openai_responses,
)
from omniroute.formats.codec import ChatCodec, ClientCodec, CountCodec

CHAT: dict[str, ChatCodec] = {
    "openai_chat": cast("ChatCodec", openai_chat),
    "openai_responses": cast("ChatCodec", openai_responses),
    "anthropic": cast("ChatCodec", anthropic),
    "gemini": cast("ChatCodec", gemini),
    "ollama": cast("ChatCodec", ollama),
}
CLIENTS: dict[str, ClientCodec] = {
    **CHAT,
    "ollama_generate": cast("ClientCodec", ollama_generate),
    "openai_completions": cast("ClientCodec", openai_completions),
}
"""What clients may speak: all of these, and the forms that are translated whoever is asked."""
COUNTING: dict[str, CountCodec] = {
    "openai_responses": cast("CountCodec", openai_responses),
    "anthropic": cast("CountCodec", anthropic),
    "gemini": cast("CountCodec", gemini),
}
"""The formats in which a prompt can be counted without being answered, by clients and by upstreams."""
