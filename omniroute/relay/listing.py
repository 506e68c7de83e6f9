"""What models there are: `/v1/models` and `/v1/models/{id}` in OpenAI's shape or Anthropic's, `/v1beta/models` in
Gemini's, and those of one operation at its own path.

The ids are everything that `model` may be: combos, aliases, and `provider/model` of every configured provider. OpenAI's
list has no pages; the others' have, for clients that ask for them: one that does not gets as much as a page may hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec

from omniroute.catalog.price import Price, Rates
from omniroute.errors import BadRequest, NotFound
from omniroute.relay.call import Call
from omniroute.relay.pump import send_whole
from omniroute.routing.credential import may_use
from omniroute.routing.serving import made_for
from omniroute.routing.tables import Listed, Principal, Revision
from omniroute.upstream.client import Client

LONGEST_PAGE = 1000
LONGEST_SIZE = 9
"""Digits that are read of the number of models on a page."""
_encode = msgspec.json.Encoder(decimal_format="number").encode
_lists: dict[tuple[str, str], tuple[Revision, bytes]] = {}
"""The whole list as it was last encoded in each format and for each operation, for a big catalogue takes milliseconds. It is kept with the
revision that it is of, and not with the snapshot, which may go."""

Query = Mapping[str, str]
Lines = Sequence[Listed]


class Shape(msgspec.Struct, frozen=True):
    """How a format tells of a model and of a page of them, and the name `under` which they stand there."""

    line: Callable[[Listed, int], dict[str, Any]]
    page: Callable[[Lines, Query], tuple[Lines, dict[str, Any]]]
    under: str


async def models(call: Call, _client: Client, _body: bytes) -> None:
    """Answers with the list, or with the one model that the rest of the path names."""
    principal = call.principal
    assert principal is not None
    query = {name: values[-1] for name, values in parse_qs(call.scope["query_string"].decode("latin-1")).items()}
    if call.path:
        body = _one(call, principal, call.path)
    elif principal.allow is None and not query:
        body = _whole(call)
    else:
        lines = _lines(call)
        if principal.allow is not None:
            lines = tuple(line for line in lines if may_use(principal, line.id))
        body = _list(call, lines, query)
    call.status = 200
    await send_whole(call, body)


def _one(call: Call, principal: Principal, name: str) -> bytes:
    line = next((line for line in call.gateway.models if line.id == name), None)
    if line is None or not may_use(principal, name):
        raise NotFound(f"There is no model `{name}` here.", code="model_not_found", param="model")
    return _encode(SHAPES[call.codec.NAME].line(line, _created(call)))


def _whole(call: Call) -> bytes:
    name, revision = (call.codec.NAME, call.endpoint.operation), call.gateway.revision
    kept = _lists.get(name)
    if kept is None or kept[0] is not revision:
        kept = _lists[name] = (revision, _list(call, _lines(call), {}))
    return kept[1]


def _lines(call: Call) -> Lines:
    """The models of the endpoint's operation, or all of them."""
    operation = call.endpoint.operation
    if operation == "models":
        return call.gateway.models
    routes = call.gateway.routes
    return tuple(line for line in call.gateway.models if made_for(routes[line.id], operation))


def _list(call: Call, lines: Lines, query: Query) -> bytes:
    shape, created = SHAPES[call.codec.NAME], _created(call)
    shown, envelope = shape.page(lines, query)
    return _encode({shape.under: [shape.line(line, created) for line in shown]} | envelope)


def _created(call: Call) -> int:
    return int(call.gateway.revision.loaded_at)


# --------------------------------------------------------------------------------------------------------------- pages


def _all(lines: Lines, _query: Query) -> tuple[Lines, dict[str, Any]]:
    return lines, {"object": "list"}


def _between(lines: Lines, query: Query) -> tuple[Lines, dict[str, Any]]:
    """Anthropic's pages: `limit` models after or before one of them."""
    size = _size(query, "limit")
    before = query.get("before_id")
    if before is not None:
        lines = lines[: _index(lines, before, "before_id")]
        shown, more = lines[-size:], len(lines) > size
    else:
        after = query.get("after_id")
        lines = lines if after is None else lines[_index(lines, after, "after_id") + 1 :]
        shown, more = lines[:size], len(lines) > size
    first, last = (shown[0].id, shown[-1].id) if shown else (None, None)
    return shown, {"has_more": more, "first_id": first, "last_id": last}


def _numbered(lines: Lines, query: Query) -> tuple[Lines, dict[str, Any]]:
    """Gemini's pages, whose token is the last model before."""
    size = _size(query, "pageSize")
    token = query.get("pageToken")
    lines = lines if token is None else lines[_index(lines, token, "pageToken") + 1 :]
    shown = lines[:size]
    return shown, {"nextPageToken": shown[-1].id} if len(lines) > size else {}


def _size(query: Query, name: str) -> int:
    given = query.get(name, str(LONGEST_PAGE))
    if not given.isdecimal() or len(given) > LONGEST_SIZE or not 1 <= int(given) <= LONGEST_PAGE:
        raise BadRequest(f"`{name}` must be a number from 1 to {LONGEST_PAGE}.", param=name)
    return int(given)


def _index(lines: Lines, name: str, param: str) -> int:
    found = next((at for at, line in enumerate(lines) if line.id == name), None)
    if found is None:
        raise BadRequest(f"`{param}` names no model of this list: `{name}`.", param=param)
    return found


# --------------------------------------------------------------------------------------------------------------- lines


def _openai(line: Listed, created: int) -> dict[str, Any]:
    told = {"id": line.id, "object": "model", "created": created, "owned_by": line.owned_by}
    if line.facts is not None and line.facts.kind not in (None, "chat", "responses"):
        told["type"] = line.facts.kind
    return told | _facts(line)


def _anthropic(line: Listed, created: int) -> dict[str, Any]:
    at = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {"type": "model", "id": line.id, "display_name": line.id, "created_at": at, "lifecycle": "active"}
    facts = _facts(line)
    facts.pop("capabilities", None)  # there it is an object that answers for every capability of Anthropic's own
    for theirs, ours in (("max_input_tokens", "context_length"), ("max_tokens", "max_output_tokens")):
        if ours in facts:
            told[theirs] = facts[ours]
    return told | facts


METHODS = {
    "embedding": ("embedContent", "batchEmbedContents"),
    "image": (),
    "transcription": (),
}
"""What Gemini's clients can ask of a kind of model; of any other they can ask for text."""


def _gemini(line: Listed, created: int) -> dict[str, Any]:  # noqa: ARG001 - there is no date
    facts = _facts(line)
    kind = facts.get("kind", "chat")
    told: dict[str, Any] = {
        "name": f"models/{line.id}",
        "baseModelId": line.id,
        "version": "",
        "displayName": line.id,
        "description": f"{line.id}, of {line.owned_by}",
        "supportedGenerationMethods": METHODS.get(kind, ("generateContent", "streamGenerateContent", "countTokens")),
    }
    for theirs, ours in (("inputTokenLimit", "context_length"), ("outputTokenLimit", "max_output_tokens")):
        if ours in facts:
            told[theirs] = facts[ours]
    if line.facts is not None and "reasoning" in line.facts.capabilities:
        told["thinking"] = True
    return told


def _facts(line: Listed) -> dict[str, Any]:
    """What is known beyond the name; what is unknown is left out."""
    facts = line.facts
    if facts is None:
        return {}
    known: dict[str, Any] = {"kind": facts.kind or "chat"}
    if facts.context is not None:
        known["context_length"] = facts.context
    if facts.max_output is not None:
        known["max_output_tokens"] = facts.max_output
    if facts.dimensions is not None:
        known["dimensions"] = facts.dimensions
    if facts.capabilities:
        known["capabilities"] = sorted(facts.capabilities)
    return known | _prices(facts.price) if facts.price is not None else known


def _prices(price: Price) -> dict[str, Any]:
    """Of a million tokens, by their kind, and of an image, a pixel or a second."""
    each = ("per_image", "per_pixel", "per_second")
    told: dict[str, Any] = {f"usd_{name}": value for name in each if (value := getattr(price, name)) is not None}
    tokens = _rates(price)
    if price.tiers:
        tokens["tiers"] = [{"above": tier.above, **_rates(tier)} for tier in price.tiers]
    if price.service_tiers:
        tokens["service_tiers"] = {tier.name: _rates(tier) for tier in price.service_tiers}
    return told | {"usd_per_million": tokens} if tokens else told


def _rates(rates: Rates) -> dict[str, Any]:
    return {name: value for name in Rates.__struct_fields__ if (value := getattr(rates, name)) is not None}


SHAPES: Mapping[str, Shape] = {
    "openai_chat": Shape(_openai, _all, "data"),
    "anthropic": Shape(_anthropic, _between, "data"),
    "gemini": Shape(_gemini, _numbered, "models"),
}
