"""What models there are: `/v1/models` and `/v1/models/{id}`, in OpenAI's list shape or Anthropic's.

The ids are everything that `model` may be: combos, aliases, and `provider/model` of every configured provider.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from omniroute.errors import NotFound
from omniroute.relay import headers
from omniroute.relay.admit import may_use
from omniroute.relay.asgi import respond
from omniroute.relay.call import Call
from omniroute.routing.tables import Listed
from omniroute.upstream.client import Client

_encode = msgspec.json.Encoder(decimal_format="number").encode


async def models(call: Call, _client: Client, _body: bytes) -> None:
    """Answers with the list, or with the one model that the rest of the path names."""
    principal = call.principal
    assert principal is not None
    listed = [line for line in call.gateway.models if may_use(principal, line.id)]
    name = unquote(call.scope["raw_path"].decode("latin-1")).removeprefix(call.endpoint.path).strip("/")
    shape = _anthropic if call.codec.NAME == "anthropic" else _openai
    created = int(call.gateway.revision.loaded_at)
    if not name:
        body = _list(call, [shape(line, created) for line in listed])
    else:
        found = next((line for line in listed if line.id == name), None)
        if found is None:
            raise NotFound(f"There is no model `{name}` here.", code="model_not_found", param="model")
        body = _encode(shape(found, created))
    call.status = 200
    pairs = [(b"content-type", headers.JSON), (b"content-length", b"%d" % len(body)), *headers.common(call)]
    await respond(call.send, 200, pairs, body)


def _list(call: Call, data: list[dict[str, Any]]) -> bytes:
    if call.codec.NAME != "anthropic":
        return _encode({"object": "list", "data": data})
    ids = [line["id"] for line in data]
    first, last = (ids[0], ids[-1]) if ids else (None, None)
    return _encode({"data": data, "has_more": False, "first_id": first, "last_id": last})


def _openai(line: Listed, created: int) -> dict[str, Any]:
    return {"id": line.id, "object": "model", "created": created, "owned_by": line.owned_by, **_facts(line)}


def _anthropic(line: Listed, created: int) -> dict[str, Any]:
    at = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {"type": "model", "id": line.id, "display_name": line.id, "created_at": at, "lifecycle": "active"}
    facts = _facts(line)
    facts.pop("capabilities", None)  # there it is an object that answers for every capability of Anthropic's own
    for theirs, ours in (("max_input_tokens", "context_length"), ("max_tokens", "max_output_tokens")):
        if ours in facts:
            told[theirs] = facts[ours]
    return told | facts


def _facts(line: Listed) -> dict[str, Any]:
    """What is known beyond the name; what is unknown is left out."""
    facts = line.facts
    if facts is None:
        return {}
    known: dict[str, Any] = {"kind": facts.kind}
    if facts.context is not None:
        known["context_length"] = facts.context
    if facts.max_output is not None:
        known["max_output_tokens"] = facts.max_output
    if facts.capabilities:
        known["capabilities"] = sorted(facts.capabilities)
    if facts.price is not None:
        known["usd_per_million"] = {
            name: value for name, value in msgspec.structs.asdict(facts.price).items() if value is not None
        }
    return known
