"""The smallest real call of a model, made so that it costs next to nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from omniroute.catalog import Catalog, Model, split_tier
from omniroute.routing.inquiry import Inquiry, Standing
from omniroute.routing.resolve import single
from omniroute.routing.serving import OPERATIONS, formats, servable
from omniroute.routing.tables import Connection, Deadlines, Gateway, Route, Target, Upstream
from omniroute.services.verdict import Method

TOKENS = 16
"""Of the answer: the fewest that every provider takes (OpenAI's Responses API refuses less)."""
PATIENCE = Deadlines(connect=5.0, first_byte=20.0, idle=10.0, total=30.0)
PATHS = {"chat": "/v1/chat/completions", "embeddings": "/v1/embeddings"}
_encode = msgspec.json.encode


def operation(target: Target) -> Method:
    """What the model can be asked for at small cost: pictures have a price each, and speech would have to be sent."""
    kind = target.facts.kind
    if kind is None or "chat" in OPERATIONS[kind]:
        return "chat" if target.formats else ""
    return "embeddings" if "embeddings" in OPERATIONS[kind] and "embeddings" in target.upstream.operations else ""


def call(target: Target, connection: Connection | None, standing: Standing) -> Inquiry:
    """A call of the target, on one connection alone where one is named."""
    upstream = target.upstream
    if connection is not None:
        upstream = msgspec.structs.replace(upstream, connections=(connection,))
    deadlines = Deadlines(*(min(one, most) for one, most in zip(_all(target.deadlines), _all(PATIENCE), strict=True)))
    alone = msgspec.structs.replace(target, upstream=upstream, deadlines=deadlines, when=None)
    asked = operation(target) or "chat"
    body = {"input": "ping"} if asked == "embeddings" else {"messages": PING, "max_tokens": TOKENS}
    return Inquiry(
        path=PATHS[asked],
        body=_encode({"model": target.id, **body}),
        standing=standing,
        routes={target.id: Route(name=target.id, strategy="priority", steps=(alone,))},
    )


PING = [{"role": "user", "content": "Say OK."}]


def _all(deadlines: Deadlines) -> tuple[float, ...]:
    return deadlines.connect, deadlines.first_byte, deadlines.idle, deadlines.total


def cheapest(gateway: Gateway, catalog: Catalog, kind: str, upstream: Upstream) -> list[Target]:
    """The provider's models that can be asked at small cost: chat first, then by price, those without a known one last.
    Models that are gone are left out. `kind` is its row in the catalogue, for a provider that is not configured."""
    today = time.strftime("%Y-%m-%d", time.gmtime())
    found = [target for target in _targets(gateway, catalog, kind, upstream) if operation(target)]
    return sorted((one for one in found if not _gone(one, today)), key=_rank)


def _targets(gateway: Gateway, catalog: Catalog, kind: str, upstream: Upstream) -> list[Target]:
    """All that is known by name, at this upstream, which may be the configured one or one that stands in its place."""
    if upstream.name in gateway.upstreams:
        return [
            msgspec.structs.replace(target, upstream=upstream, formats=formats(upstream, target.facts.kind))
            for target in known(gateway, upstream.name)
        ]
    facts = catalog.models(kind).values()
    return [target_of(upstream, one) for one in facts if not split_tier(one.id)[0] and servable(upstream, one)]


def known(gateway: Gateway, provider: str) -> Iterator[Target]:
    """The models of a configured provider that have a name of their own, each once."""
    for name, route in gateway.routes.items():
        step = route.steps[0]
        if len(route.steps) == 1 and isinstance(step, Target) and step.upstream.name == provider and name == step.id:
            yield step


def target_of(upstream: Upstream, facts: Model) -> Target:
    """A model at an upstream, configured or not."""
    (target,) = single(upstream, facts.id, facts.id, facts).steps
    assert isinstance(target, Target)
    return target


def _gone(target: Target, today: str) -> bool:
    return target.facts.deprecated is not None and target.facts.deprecated <= today


def _rank(target: Target) -> tuple[bool, bool, Decimal]:
    price = target.facts.price
    known = price is not None and price.output is not None
    cost = (price.input or Decimal(0)) + (price.output or Decimal(0)) if price is not None else Decimal(0)
    return operation(target) != "chat", not known, cost
