"""`/api/provider-nodes`: providers of one's own, each an address that speaks a format that is known here."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from omniroute.api.crud import Body, Resource, Shown
from omniroute.api.leaves import found
from omniroute.api.resources.fields import Maybe, applied, changed
from omniroute.api.write import Changes, Draft, View
from omniroute.config.compile import OWN_NODES
from omniroute.document import GONE
from omniroute.errors import BadRequest, Conflict, Unprocessable

API_TYPES = {"chat": ["openai_chat"], "responses": ["openai_responses"]}
"""Formats by what other gateways call them."""


class NodeShown(Shown, frozen=True, kw_only=True):
    """A node. Its prefix, by which its models are asked for, is its id; `name` is what people call it."""

    id: str
    type: str
    name: str
    prefix: str
    base_url: str
    formats: list[str]
    headers: dict[str, str]
    connections: list[str]


class NodeBody(Body, frozen=True, kw_only=True):
    """A node, or what is to change of it. `apiType` is another way to say which format."""

    prefix: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    type: Literal["openai-compatible", "anthropic-compatible", "gemini-compatible", "ollama-compatible"] | UnsetType = (
        UNSET
    )
    base_url: str | UnsetType = UNSET
    formats: list[str] | Maybe = UNSET
    api_type: Literal["chat", "responses"] | UnsetType = UNSET
    headers: dict[str, str] | Maybe = UNSET


def names(now: View) -> list[str]:
    return [name for name, provider in now.bundle.spec.providers.items() if provider.type in OWN_NODES]


def shown(now: View, name: str) -> NodeShown:
    spec = now.bundle.spec.providers[name]
    kind = spec.type or ""
    return NodeShown(
        id=name,
        type=kind,
        name=spec.title or name,
        prefix=name,
        base_url=spec.base_url or "",
        formats=list(spec.formats or (OWN_NODES[kind][0],)),
        headers=dict(spec.headers),
        connections=[f"{name}.{each}" for each in spec.connections],
    )


def changes(draft: Draft, name: str, body: NodeBody | None) -> Changes:
    place = ("providers", name)
    if body is None:
        return {place: GONE}
    if body.prefix not in (UNSET, name):
        raise Unprocessable(f"The prefix `{name}` stays: others refer to it. Make another node.", code="name_fixed")
    if name in draft.control.catalog.providers or name in draft.control.catalog.provider_aliases:
        raise Conflict(
            f"`{name}` is the name of a provider of the catalogue: take another prefix.", code="prefix_taken"
        )
    title: Any = None if body.name == name else body.name
    formats: Any = API_TYPES[body.api_type] if isinstance(body.api_type, str) else body.formats
    data = applied(found(draft.bundle, place), body, "type", "base_url", "headers")
    return {
        place: changed(
            {"title": title, **data} if isinstance(title, str) else data, {"title": title, "formats": formats}
        )
    }


def named(body: Any) -> str:
    prefix = body.prefix if isinstance(body.prefix, str) else body.name
    if not isinstance(prefix, str):
        raise BadRequest("A node needs a `prefix`.", code="invalid_body", param="prefix")
    return prefix


NODES = Resource(
    path="/api/provider-nodes",
    noun="node",
    many="nodes",
    one="node",
    body=NodeBody,
    shown_type=NodeShown,
    names=names,
    places=lambda name: (("providers", name),),
    shown=shown,
    changes=changes,
    named=named,
    told_only=frozenset({"id", "connections"}),
    example={
        "prefix": "rack",
        "name": "The rack",
        "type": "openai-compatible",
        "baseUrl": "http://10.0.0.9:8000/v1",
        "apiType": "chat",
    },
    change={"name": "The old rack", "headers": {"x-team": "platform"}},
)
