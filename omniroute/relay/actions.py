"""What a client of Gemini's asks for: the end of the path says it, `models/{model}:embedContent`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from omniroute.errors import NotFound
from omniroute.relay import counting, relay, unary
from omniroute.relay.call import Call
from omniroute.upstream.client import Client

Serve = Callable[[Call, Client, bytes], Awaitable[None]]
ACTIONS: Mapping[str, tuple[str, Serve]] = {
    "generateContent": ("chat", relay.chat),
    "streamGenerateContent": ("chat", relay.chat),
    "countTokens": ("count_tokens", counting.count),
    "embedContent": ("embeddings", unary.embed_gemini),
    "batchEmbedContents": ("embeddings", unary.embed_gemini),
}
"""By the action's name: the operation that it is, and who serves it."""


async def act(call: Call, client: Client, body: bytes) -> None:
    """Answers `POST /v1beta/models/{model}:{action}`."""
    name, _, action = call.path.rpartition(":")
    known = ACTIONS.get(action)
    if known is None or not name:
        raise NotFound(
            f"A path here ends with a model and an action, `{{model}}:{{action}}`; the actions are {', '.join(ACTIONS)}.",
            code="action_not_found",
        )
    call.operation, serve = known
    await serve(call, client, body)
