"""What a model is for: which operations its kind serves, and where they are asked.

A model that no list knows may be of any kind; its provider will say.
"""

from __future__ import annotations

from collections.abc import Mapping

from omniroute.catalog import Kind, Model
from omniroute.routing.tables import Route, Target, Upstream

CHAT = ("chat", "count_tokens")
OPERATIONS: Mapping[Kind, tuple[str, ...]] = {
    "chat": CHAT,
    "responses": CHAT,
    "embedding": ("embeddings",),
    "image": ("images",),
    "transcription": ("transcriptions",),
}
ONLY_IN: Mapping[Kind | None, str] = {"responses": "openai_responses"}
"""Kinds of models that speak one format only, whatever else their provider speaks."""
PLACES = {
    "chat": "/v1/chat/completions",
    "embeddings": "/v1/embeddings",
    "images": "/v1/images/generations",
    "transcriptions": "/v1/audio/transcriptions",
}


def formats(upstream: Upstream, kind: Kind | None) -> tuple[str, ...]:
    """The chat formats in which a model of this kind can be asked at the upstream, the preferred one first."""
    only = ONLY_IN.get(kind)
    return tuple(form for form in upstream.endpoints if only is None or form == only)


def servable(upstream: Upstream, model: Model) -> bool:
    """Whether the upstream can be asked for what the model is for."""
    operation = OPERATIONS[model.kind][0] if model.kind is not None else "chat"
    return bool(formats(upstream, model.kind)) if operation == "chat" else operation in upstream.operations


def made_for(route: Route, operation: str) -> bool:
    """Whether a target of the route is known to be a model for the operation."""
    return any(
        made_for(step, operation)
        if isinstance(step, Route)
        else step.facts.kind is not None and operation in OPERATIONS[step.facts.kind]
        for step in route.steps
    )


def misfit(target: Target, operation: str) -> str:
    """Why the target cannot serve the operation; empty where it can."""
    kind = target.facts.kind
    if kind is not None and operation not in OPERATIONS[kind]:
        article = "an" if kind[0] in "aeiou" else "a"
        return f"`{target.id}` is {article} {kind} model: ask it at {PLACES[OPERATIONS[kind][0]]}"
    if operation in CHAT:
        return "" if target.formats else f"`{target.upstream.name}` speaks no chat format that this gateway knows"
    if operation not in target.upstream.operations:
        return f"`{target.upstream.name}` offers no {operation}"
    return ""
