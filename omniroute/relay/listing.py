"""What models there are: `/v1/models` and `/v1/models/{id}`, in OpenAI's list shape or Anthropic's.

The ids are everything that `model` may be: combos, aliases, and `provider/model` of every configured provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from omniroute.errors import NotFound
from omniroute.relay import headers
from omniroute.relay.admit import may_use
from omniroute.relay.asgi import respond
from omniroute.relay.call import Call
from omniroute.routing.tables import Listed, Principal, Revision
from omniroute.upstream.client import Client

_encode = msgspec.json.Encoder(decimal_format="number").encode
_lists: dict[str, tuple[Revision, bytes]] = {}
"""The whole list as it was last encoded in each format, for a big catalogue takes milliseconds. It is kept with the
revision that it is of, and not with the snapshot, which may go."""


async def models(call: Call, _client: Client, _body: bytes) -> None:
    """Answers with the list, or with the one model that the rest of the path names."""
    principal = call.principal
    assert principal is not None
    if call.path:
        body = _one(call, principal, call.path)
    elif principal.allow is None:
        body = _whole(call)
    else:
        body = _list(call, [line for line in call.gateway.models if may_use(principal, line.id)])
    call.status = 200
    pairs = [(b"content-type", headers.JSON), (b"content-length", b"%d" % len(body)), *headers.common(call)]
    await respond(call.send, 200, pairs, body)


def _one(call: Call, principal: Principal, name: str) -> bytes:
    line = next((line for line in call.gateway.models if line.id == name), None)
    if line is None or not may_use(principal, name):
        raise NotFound(f"There is no model `{name}` here.", code="model_not_found", param="model")
    return _encode(_line(call, line))


def _whole(call: Call) -> bytes:
    name, revision = call.codec.NAME, call.gateway.revision
    kept = _lists.get(name)
    if kept is None or kept[0] is not revision:
        kept = _lists[name] = (revision, _list(call, call.gateway.models))
    return kept[1]


def _list(call: Call, lines: Sequence[Listed]) -> bytes:
    data = [_line(call, line) for line in lines]
    if call.codec.NAME != "anthropic":
        return _encode({"object": "list", "data": data})
    first, last = (lines[0].id, lines[-1].id) if lines else (None, None)
    return _encode({"data": data, "has_more": False, "first_id": first, "last_id": last})


def _line(call: Call, line: Listed) -> dict[str, Any]:
    shape = _anthropic if call.codec.NAME == "anthropic" else _openai
    return shape(line, int(call.gateway.revision.loaded_at))


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
