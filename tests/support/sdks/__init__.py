"""The official SDKs as clients: what they send is theirs, what they understood comes back in words of all.

Three ways to ask: `whole`, `stream` (the raw chunks or events, whose order is checked on the way, since the SDKs
themselves are lenient about it), and `helper` (the accumulating helpers, which are not). A request is said in the words
of its API.
"""

from __future__ import annotations

from typing import Any

from support.sdks.anthropic import Anthropic
from support.sdks.gemini import Gemini
from support.sdks.heard import Failed, Heard
from support.sdks.ollama import Ollama
from support.sdks.openai import OpenAI
from support.sdks.responses import Responses

SDKS: dict[str, Any] = {
    "openai": OpenAI,
    "responses": Responses,
    "anthropic": Anthropic,
    "gemini": Gemini,
    "ollama": Ollama,
}

__all__ = ["SDKS", "Failed", "Heard"]
