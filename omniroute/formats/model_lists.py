"""What a provider answers when it is asked which models it has: one row a chat format.

None of this is on the way of a client's request: `relay/listing.py` tells clients what the configuration knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

import msgspec


class Found(msgspec.Struct, frozen=True):
    """A model as its provider lists it. `created` is UNIX time, 0 where it does not say."""

    id: str
    name: str = ""
    owned_by: str = ""
    created: int = 0
    context: int | None = None


class Page(msgspec.Struct, frozen=True):
    """A part of the list; `more` is what the path of the next part has after its `?` or `&`, empty after the last."""

    models: tuple[Found, ...]
    more: str = ""


class Listing(msgspec.Struct, frozen=True):
    """Where a format's list is, below the format's own base, and how it is read. `read` raises ValueError."""

    path: str
    read: Callable[[bytes], Page]

    def after(self, page: Page) -> str:
        """The path of the next part."""
        return f"{self.path}{'&' if '?' in self.path else '?'}{page.more}"


class _OpenAIModel(msgspec.Struct):
    id: str
    owned_by: str | None = None
    created: float | None = None
    context_length: int | None = None


class _OpenAI(msgspec.Struct):
    data: list[_OpenAIModel]


class _AnthropicModel(msgspec.Struct):
    id: str
    display_name: str = ""


class _Anthropic(msgspec.Struct):
    data: list[_AnthropicModel]
    has_more: bool = False
    last_id: str | None = None


class _GeminiModel(msgspec.Struct, rename="camel"):
    name: str
    display_name: str = ""
    input_token_limit: int | None = None


class _Gemini(msgspec.Struct, rename="camel"):
    models: list[_GeminiModel]
    next_page_token: str = ""


class _OllamaModel(msgspec.Struct):
    name: str


class _Ollama(msgspec.Struct):
    models: list[_OllamaModel]


_openai = msgspec.json.Decoder(_OpenAI | list[_OpenAIModel]).decode
_anthropic = msgspec.json.Decoder(_Anthropic).decode
_gemini = msgspec.json.Decoder(_Gemini).decode
_ollama = msgspec.json.Decoder(_Ollama).decode


def _read_openai(body: bytes) -> Page:
    """Some providers of this format give the bare list (Together)."""
    told = _openai(body)
    rows = told.data if isinstance(told, _OpenAI) else told
    return Page(tuple(Found(row.id, "", row.owned_by or "", int(row.created or 0), row.context_length) for row in rows))


def _read_anthropic(body: bytes) -> Page:
    told = _anthropic(body)
    more = f"after_id={quote(told.last_id, safe='')}" if told.has_more and told.last_id else ""
    return Page(tuple(Found(row.id, row.display_name, "anthropic") for row in told.data), more)


def _read_gemini(body: bytes) -> Page:
    told = _gemini(body)
    more = f"pageToken={quote(told.next_page_token, safe='')}" if told.next_page_token else ""
    models = (
        Found(row.name.removeprefix("models/"), row.display_name, "google", context=row.input_token_limit)
        for row in told.models
    )
    return Page(tuple(models), more)


def _read_ollama(body: bytes) -> Page:
    return Page(tuple(Found(row.name) for row in _ollama(body).models))


LISTINGS: Mapping[str, Listing] = {
    "openai_chat": Listing("/models", _read_openai),
    "openai_responses": Listing("/models", _read_openai),
    "anthropic": Listing("/models?limit=1000", _read_anthropic),
    "gemini": Listing("/models?pageSize=1000", _read_gemini),
    "ollama": Listing("/api/tags", _read_ollama),
}
"""By chat format: GET `/v1/models` (platform.openai.com/docs/api-reference/models/list, docs.anthropic.com/en/api/
models-list), `/v1beta/models` (ai.google.dev/api/models#method:-models.list), `/api/tags` (Ollama's docs/api.md)."""
