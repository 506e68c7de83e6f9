"""What clients of Ollama ask beside chats: which models there are, what one is like, which are loaded, what version.

From plain facts to bodies. A gateway has no files of models, so what describes a file (its size, its digest, its
quantization) is empty; the digest alone is made of the name, because clients tell models apart by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.ollama.head import untagged
from omniroute.formats.ollama.loading import date

_encode = msgspec.json.Encoder().encode

VERSION = "0.13.0"
"""The version of the server that is spoken like; clients ask for one before they use what is newer."""
FAMILY = "omniroute"
"""Stands for the architecture, which clients use as a key: `<architecture>.context_length`."""
CAPABILITIES = {"tools": "tools", "vision": "vision", "reasoning": "thinking"}
"""What the catalogue calls a capability, and what Ollama does."""


class Described(msgspec.Struct, frozen=True):
    """What is known of a model. `kind` is the catalogue's; `context` is in tokens, `since` in UNIX seconds."""

    name: str
    kind: str = "chat"
    context: int | None = None
    capabilities: frozenset[str] = frozenset()
    since: int = 0


class _Show(msgspec.Struct):
    """Older clients say `name`."""

    model: str | None = None
    name: str | None = None


_show = msgspec.json.Decoder(_Show)


def version() -> bytes:
    return _encode({"version": VERSION})


def tags(models: Iterable[Described]) -> bytes:
    """The answer of `/api/tags`."""
    return _encode({"models": [_line(model) for model in models]})


def ps(models: Iterable[Described], now: float) -> bytes:
    """The answer of `/api/ps`: what is ready, which is what another call has used lately. It is never unloaded, so each
    is said to stay for a day."""
    until = date(int(now) + 86_400).decode()
    loaded: list[dict[str, Any]] = []
    for model in models:
        line = _line(model)
        del line["modified_at"]
        loaded.append(line | {"expires_at": until, "size_vram": 0, "context_length": model.context or 0})
    return _encode({"models": loaded})


def asked(body: bytes) -> str:
    """The model that a request to `/api/show` names."""
    try:
        told = _show.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        patch.split(body)  # which says what is wrong with JSON that is none
        raise BadRequest("`model` must be a string.", param="model") from None
    name = told.model or told.name
    if not name:
        raise BadRequest("The body names no `model`.", param="model")
    return untagged(name)


def show(model: Described) -> bytes:
    """The answer of `/api/show`."""
    info: dict[str, Any] = {"general.architecture": FAMILY, "general.basename": model.name}
    if model.context is not None:
        info[f"{FAMILY}.context_length"] = model.context
    body = {
        "modelfile": f"FROM {model.name}",
        "parameters": "" if model.context is None else f"num_ctx {model.context}",
        "template": "{{ .Prompt }}",
        "details": _details(),
        "model_info": info,
        "capabilities": _capabilities(model),
        "modified_at": date(model.since).decode(),
    }
    return _encode(body)


def _line(model: Described) -> dict[str, Any]:
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": date(model.since).decode(),
        "size": 0,
        "digest": sha256(model.name.encode()).hexdigest(),
        "details": _details(),
    }


def _details() -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "",
        "family": FAMILY,
        "families": [FAMILY],
        "parameter_size": "",
        "quantization_level": "",
    }


def _capabilities(model: Described) -> list[str]:
    if model.kind == "embedding":
        return ["embedding"]
    return ["completion", *sorted(CAPABILITIES[name] for name in model.capabilities if name in CAPABILITIES)]
