"""The decision about a request, told as data: the same functions that serve, their result written down.

For the command line, and for whoever asks "why did it go there?" before it does.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from omniroute.catalog import Price
from omniroute.formats.ir import Chat
from omniroute.routing.cacheable import Cacheability, cacheability
from omniroute.routing.plan import plan
from omniroute.routing.resolve import resolve, variant
from omniroute.routing.tables import Gateway, Policy
from omniroute.state.base import State


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """A candidate in its place. `accepted` says whether it would be tried now, `reason` why not; `proxy` which one it
    would be called through, without credentials, and `proxy_setting` where the file says so."""

    target: str
    connection: str
    accepted: bool
    reason: str = ""
    upstream_model: str = ""
    format: str = ""
    translated: bool = False
    proxy: str = ""
    proxy_setting: str = ""
    context: int | None = None
    usd_per_million: Price | None = None


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What would happen to a request for `model`. `ip_filter` tells whether it would be let in from the caller's
    address; empty where there is no filter, or nobody asked."""

    model: str
    route: str
    strategy: str
    revision: str
    steps: tuple[Step, ...]
    policies: tuple[str, ...] = ()
    ip_filter: str = ""
    cache: Cacheability | None = None


def explain(
    gateway: Gateway,
    state: State,
    model: str,
    client_format: str,
    policies: Sequence[Policy] = (),
    caller: str = "",
    *,
    chat: Chat | None = None,
    no_cache: bool = False,
) -> Explanation:
    """Raises what the request itself would raise: NotFound, BadRequest. `chat` is the request itself, where there is one;
    `no_cache` says that its client wants a new answer."""
    name, _ = variant(model)
    route = resolve(gateway, name)
    steps = []
    for candidate in plan(route, state, state.clock.monotonic(), asked=name, policies=policies):
        target = candidate.target
        spoken = client_format if client_format in target.formats else next(iter(target.formats), "")
        proxy = target.via(candidate.connection, target.upstream.endpoints[spoken]) if spoken else None
        steps.append(
            Step(
                target=target.id,
                connection=candidate.connection.id,
                accepted=not candidate.skip,
                reason=candidate.skip,
                upstream_model=target.model,
                format=spoken,
                translated=spoken != client_format,
                proxy=proxy.label if proxy else "",
                proxy_setting=proxy.setting if proxy else "",
                context=target.facts.context,
                usd_per_million=target.facts.price,
            )
        )
    names = tuple(policy.name for policy in policies)
    return Explanation(
        model,
        route.name,
        route.strategy,
        gateway.revision.digest,
        tuple(steps),
        names,
        gateway.ip_filter.verdict(caller) if gateway.ip_filter is not None and caller else "",
        cacheability(gateway.cache, chat, declined=no_cache),
    )
