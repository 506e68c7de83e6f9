"""Whether a refusal says that the prompt does not fit into the model's window: another model may have a larger one.

Only OpenAI has a code for it. The others tell it in words, which stand here as they do in the providers' answers.
"""

from __future__ import annotations

import re

from omniroute.errors import Fault

CODE = "context_length_exceeded"
WORDS = (
    r"prompt is too long",  # Anthropic
    r"exceed context limit",  # Anthropic, where the prompt would fit without the answer
    r"input is too long for (?:the )?requested model",  # Bedrock
    r"input token count .{0,40}exceeds the maximum",  # Google
    r"exceeds? (?:the |your )?(?:available )?context (?:window|size|length)",  # OpenAI's Responses, llama.cpp
    r"maximum (?:context|prompt) length",  # OpenAI, vLLM, OpenRouter, xAI
    r"reduce the length of the messages",  # Groq
    r"greater than the context length",  # LM Studio
    r"prompt token count .{0,40}exceeds the limit",  # GitHub Copilot
    r"context window exceeds limit",  # MiniMax
    r"exceeded model token limit",  # Moonshot
)
_told = re.compile("|".join(WORDS), re.IGNORECASE).search


def too_long(fault: Fault) -> bool:
    """Asked of refusals of a request alone."""
    return fault.code == CODE or _told(fault.message) is not None
