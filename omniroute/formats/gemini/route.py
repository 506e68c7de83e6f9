"""Paths at an upstream: the model and the action stand there, and how a stream is wanted."""

from __future__ import annotations

from urllib.parse import quote

from omniroute.formats.gemini.head import GENERATE, STREAM


def path(model: str, stream: bool) -> str:
    return action_path(model, f"{STREAM}?alt=sse" if stream else GENERATE)


def action_path(model: str, action: str) -> str:
    """A tuned model, or one of a publisher's, names its collection itself."""
    name = quote(model, safe="/-._~@")
    return f"/{name}:{action}" if "/" in name else f"/models/{name}:{action}"
