"""What clients of Ollama ask beside chats: `/api/tags`, `/api/show`, `/api/ps` and `/api/version`.

The models are those of `/v1/models`, as far as the caller may use them. All of them are said to be ready, for there is
nothing to load.
"""

from __future__ import annotations

from omniroute.errors import NotFound
from omniroute.formats.ollama import listing
from omniroute.formats.ollama.listing import Described
from omniroute.relay.call import Call
from omniroute.relay.pump import send_whole
from omniroute.routing.credential import may_use
from omniroute.routing.tables import Listed
from omniroute.upstream.client import Client


async def version(call: Call, _client: Client, _body: bytes) -> None:
    """Answers `GET /api/version`."""
    await _say(call, listing.version())


async def tags(call: Call, _client: Client, _body: bytes) -> None:
    """Answers `GET /api/tags`."""
    await _say(call, listing.tags(_models(call)))


async def ps(call: Call, _client: Client, _body: bytes) -> None:
    """Answers `GET /api/ps`."""
    await _say(call, listing.ps(_models(call), call.state.clock.now()))


async def show(call: Call, _client: Client, body: bytes) -> None:
    """Answers `POST /api/show`."""
    name = listing.asked(body)
    model = next((one for one in _models(call) if one.name == name), None)
    if model is None:
        raise NotFound(f"model '{name}' not found", code="model_not_found", param="model")
    await _say(call, listing.show(model))


def _models(call: Call) -> list[Described]:
    principal = call.principal
    assert principal is not None
    since = int(call.gateway.revision.loaded_at)
    return [_described(line, since) for line in call.gateway.models if may_use(principal, line.id)]


def _described(line: Listed, since: int) -> Described:
    facts = line.facts
    if facts is None:
        return Described(line.id, since=since)
    return Described(line.id, facts.kind or "chat", facts.context, facts.capabilities, since)


async def _say(call: Call, body: bytes) -> None:
    call.status = 200
    await send_whole(call, body)
