"""The command-line tools that can be pointed at the gateway, as rows: what each is called, and what it wants written.

A value may hold `{base}` (the gateway's address), `{v1}` (the same with `/v1`), `{key}` (a key of the gateway's own),
`{model}` and `{now}`; what needs a word that nobody gave is left out.  `docs/tools.md` tells the same for people, and
`tests/agents` runs four of the tools with it.

Sources: each tool's documentation of its settings file, and for Cline what its own `cline auth` writes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Format = Literal["json", "toml", "env", "yaml"]


class Item(msgspec.Struct, frozen=True):
    """The element of a list whose `field` has this value; where there is none, a new one at the end."""

    field: str
    value: str


Step = str | Item
Path = tuple[Step, ...]


class Setting(msgspec.Struct, frozen=True):
    """A value and its place in a file; `first` says that one that is there already stays."""

    path: Path
    value: Any
    first: bool = False


class File(msgspec.Struct, frozen=True):
    """A settings file below the home directory."""

    place: str
    format: Format
    settings: tuple[Setting, ...]


class Tool(msgspec.Struct, frozen=True):
    """One tool. `package` is its name in the npm registry, empty where it does not come from there."""

    name: str
    title: str
    command: str
    files: tuple[File, ...]
    package: str = ""


_COMPATIBLE = {"baseURL": "{v1}", "apiKey": "{key}"}

TOOLS: tuple[Tool, ...] = (
    Tool(
        "claude",
        "Claude Code",
        "claude",
        (
            File(
                ".claude/settings.json",
                "json",
                (
                    Setting(("env", "ANTHROPIC_BASE_URL"), "{base}"),
                    Setting(("env", "ANTHROPIC_AUTH_TOKEN"), "{key}"),
                    Setting(("env", "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY"), "1"),
                    Setting(("model",), "{model}"),
                ),
            ),
        ),
        "@anthropic-ai/claude-code",
    ),
    Tool(
        "codex",
        "Codex",
        "codex",
        (
            File(
                ".codex/config.toml",
                "toml",
                (
                    Setting(("model",), "{model}"),
                    Setting(("model_provider",), "omniroute"),
                    Setting(
                        ("model_providers", "omniroute"),
                        {
                            "name": "OmniRoute",
                            "base_url": "{v1}",
                            "wire_api": "responses",
                            "experimental_bearer_token": "{key}",
                        },
                    ),
                ),
            ),
        ),
        "@openai/codex",
    ),
    Tool(
        "droid",
        "Factory Droid",
        "droid",
        (
            File(
                ".factory/settings.json",
                "json",
                (
                    Setting(
                        ("customModels", Item("id", "custom:OmniRoute-0")),
                        {
                            "model": "{model}",
                            "id": "custom:OmniRoute-0",
                            "displayName": "OmniRoute",
                            "baseUrl": "{v1}",
                            "apiKey": "{key}",
                            "provider": "generic-chat-completion-api",
                        },
                    ),
                ),
            ),
        ),
    ),
    Tool(
        "openclaw",
        "OpenClaw",
        "openclaw",
        (
            File(
                ".openclaw/openclaw.json",
                "json",
                (
                    Setting(
                        ("models", "providers", "omniroute"),
                        {
                            "baseUrl": "{v1}",
                            "apiKey": "{key}",
                            "api": "openai-completions",
                            "models": [{"id": "{model}", "name": "{model}"}],
                        },
                    ),
                    Setting(("agents", "defaults", "model", "primary"), "omniroute/{model}"),
                ),
            ),
        ),
        "openclaw",
    ),
    Tool(
        "gemini",
        "Gemini CLI",
        "gemini",
        (
            File(
                ".gemini/.env",
                "env",
                (
                    Setting(("GOOGLE_GEMINI_BASE_URL",), "{base}"),
                    Setting(("GEMINI_API_KEY",), "{key}"),
                    Setting(("GEMINI_MODEL",), "{model}"),
                ),
            ),
            File(
                ".gemini/settings.json",
                "json",
                (Setting(("security", "auth", "selectedType"), "gemini-api-key"),),
            ),
        ),
        "@google/gemini-cli",
    ),
    Tool(
        "opencode",
        "opencode",
        "opencode",
        (
            File(
                ".config/opencode/opencode.json",
                "json",
                (
                    Setting(
                        ("provider", "omniroute"),
                        {
                            "npm": "@ai-sdk/openai-compatible",
                            "name": "OmniRoute",
                            "options": _COMPATIBLE,
                            "models": {"{model}": {"name": "{model}"}},
                        },
                    ),
                    Setting(("model",), "omniroute/{model}"),
                ),
            ),
        ),
        "opencode-ai",
    ),
    Tool(
        "cline",
        "Cline",
        "cline",
        (
            File(
                ".cline/data/settings/providers.json",
                "json",
                (
                    Setting(("version",), 1, first=True),
                    Setting(("lastUsedProvider",), "ollama"),
                    Setting(("modes",), {}, first=True),
                    Setting(
                        ("providers", "ollama"),
                        {
                            "settings": {
                                "provider": "ollama",
                                "apiKey": "{key}",
                                "model": "{model}",
                                "baseUrl": "{base}",
                            },
                            "updatedAt": "{now}",
                            "tokenSource": "manual",
                        },
                    ),
                ),
            ),
        ),
        "cline",
    ),
    Tool(
        "qwen",
        "Qwen Code",
        "qwen",
        (
            File(
                ".qwen/settings.json",
                "json",
                (
                    Setting(("security", "auth", "selectedType"), "openai"),
                    Setting(
                        ("modelProviders", "openai", Item("name", "OmniRoute")),
                        {"id": "{model}", "name": "OmniRoute", "baseUrl": "{v1}", "envKey": "OMNIROUTE_API_KEY"},
                    ),
                    Setting(("env", "OMNIROUTE_API_KEY"), "{key}"),
                    Setting(("model", "name"), "{model}"),
                ),
            ),
        ),
        "@qwen-code/qwen-code",
    ),
    Tool(
        "aider",
        "Aider",
        "aider",
        (
            File(
                ".aider.conf.yml",
                "yaml",
                (
                    Setting(("openai-api-base",), "{v1}"),
                    Setting(("openai-api-key",), "{key}"),
                    Setting(("model",), "openai/{model}"),
                ),
            ),
        ),
    ),
    Tool(
        "continue",
        "Continue",
        "cn",
        (
            File(
                ".continue/config.yaml",
                "yaml",
                (
                    Setting(("name",), "Local Config", first=True),
                    Setting(("version",), "1.0.0", first=True),
                    Setting(("schema",), "v1", first=True),
                    Setting(
                        ("models", Item("name", "OmniRoute")),
                        {
                            "name": "OmniRoute",
                            "provider": "openai",
                            "model": "{model}",
                            "apiBase": "{v1}",
                            "apiKey": "{key}",
                            "roles": ["chat", "edit", "apply"],
                        },
                    ),
                ),
            ),
        ),
        "@continuedev/cli",
    ),
)
BY_NAME = {tool.name: tool for tool in TOOLS}


class Words(msgspec.Struct, frozen=True):
    """What stands for the names in braces; empty where it is not given."""

    base: str
    v1: str
    key: str
    model: str
    now: str


def needs(tool: Tool) -> bool:
    """Whether the tool cannot be pointed at the gateway without a model."""
    return any("{model}" in msgspec.json.encode(one.value).decode() for one in _structured(tool))


def _structured(tool: Tool) -> list[Setting]:
    return [one for file in tool.files for one in file.settings if isinstance(one.value, dict)]


def filled(settings: tuple[Setting, ...], words: Words) -> list[Setting]:
    """The settings with the words in their places, without those of which a word is missing."""
    missing = [f"{{{name}}}" for name in Words.__struct_fields__ if not getattr(words, name)]
    return [
        msgspec.structs.replace(one, value=_filled(one.value, words))
        for one in settings
        if not any(name in msgspec.json.encode(one.value).decode() for name in missing)
    ]


def _filled(value: Any, words: Words) -> Any:
    if isinstance(value, dict):
        return {_filled(key, words): _filled(each, words) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, words) for each in value]
    if not isinstance(value, str):
        return value
    for name in Words.__struct_fields__:
        value = value.replace(f"{{{name}}}", getattr(words, name))
    return value
