"""Which program a caller is, by how its User-Agent begins or what it holds.

The first row that fits counts, so that an agent that is built on an SDK is the agent. What the agents send was seen in
their own traffic (tests/agents/captures) or in their sources.
"""

from __future__ import annotations

from functools import lru_cache

CLIENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("claude-code", ("claude-cli/", "claude-code/")),
    ("codex", ("codex_cli_rs/", "codex_exec/", "codex-tui/", "codex_vscode/", "codex_sdk_ts/", "codex/")),
    ("gemini-cli", ("geminicli/", "gemini-cli/")),
    ("cline", ("cline/",)),
    ("roo-code", ("roocode/", "roo-code/")),
    ("kilo-code", ("kilo-code/", "kilocode/")),
    ("opencode", ("opencode/",)),
    ("qwen-code", ("qwencode/", "qwen-code/")),
    ("cursor", ("cursor/",)),
    ("copilot", ("githubcopilotchat/", "githubcopilot/", "copilot/")),
    ("continue", ("continue/",)),
    ("zed", ("zed/",)),
    ("goose", ("goose/",)),
    ("aider", ("aider/",)),
    ("open-webui", ("open webui", "open-webui")),
    ("litellm", ("litellm/",)),
    ("langchain", ("langchain",)),
    ("openai-sdk", ("openai/", "asyncopenai/")),
    ("anthropic-sdk", ("anthropic/", "asyncanthropic/")),
    ("google-genai-sdk", ("google-genai-sdk/",)),
    ("ollama-sdk", ("ollama-python/", "ollama-js/", "ollama/")),
    ("curl", ("curl/",)),
    ("browser", ("mozilla/",)),
)
FAMILIES = tuple(name for name, _ in CLIENTS)


@lru_cache(1024)
def family(agent: str) -> str:
    """The program of a User-Agent; empty for one that is not known."""
    text = agent[:512].lower()
    return next((name for name, marks in CLIENTS if any(_holds(text, mark) for mark in marks)), "")


def _holds(text: str, mark: str) -> bool:
    """Whether the text names a product, which begins with a word of its own (RFC 9110, section 10.1.5)."""
    at = text.find(mark)
    return at == 0 or (at > 0 and text[at - 1] in " (;,")
