"""What a request used and cost, and its row in the ledger."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from omniroute.catalog.price import by_second, cost
from omniroute.formats.ir import Usage
from omniroute.relay import estimate
from omniroute.relay.call import Call
from omniroute.relay.headers import losses
from omniroute.relay.session import remember
from omniroute.routing.tables import Target
from omniroute.state.base import Attempt, UsageRow

FASTER = "another target was faster"
"""Why a try was given up."""
OURS = frozenset({"skipped", "timeout", "connect", "truncated"})
"""Outcomes that are told in words of our own."""


def price(target: Target, usage: Usage) -> Decimal | None:
    """USD: what the file says that the model costs that served, else what its provider says that it charged, else by the
    catalogue. None where none of them is known."""
    known = target.facts.price
    if usage.charged is not None:
        said = charged(target, usage)
        if said is not None:
            return said
    if known is None:
        return None
    return cost(
        known,
        input=usage.input,
        output=usage.output,
        cached=usage.cached,
        cache_write=usage.cache_write,
        cache_write_1h=usage.cache_write_1h,
        reasoning=usage.reasoning,
        audio_input=usage.audio_input - usage.cached_audio,
        audio_output=usage.audio_output,
        image_input=usage.image_input - usage.cached_image,
        image_output=usage.image_output,
        service_tier=usage.service_tier,
    )


def charged(target: Target, usage: Usage) -> Decimal | None:
    """USD that the provider says it charged; None where it does not, or where the file knows better."""
    known = target.facts.price
    return None if known is not None and known.stated else usage.charged


def heard(target: Target, usage: Usage | None, seconds: float | None) -> Decimal | None:
    """USD for speech that became text: by the tokens where the provider counts them and they have a price, else by how
    long the audio is."""
    by_token = None if usage is None else price(target, usage)
    known = target.facts.price
    if by_token is not None or known is None or seconds is None:
        return by_token
    return by_second(known, seconds)


def forgone(call: Call, target: Target) -> Decimal | None:
    """USD that a try costs which was given up for a faster one: by what its provider has told of it, or else by the
    prompt, which it has."""
    if call.cost is not None:
        return call.cost
    way = call.bridge
    usage = way.usage if way is not None and way.usage is not None else estimate.usage(call, way.produced if way else 0)
    return price(target, usage)


def _wordless(attempt: Attempt) -> Attempt:
    """A try as it is kept: a provider's words may quote the prompt, or be anything else, so only ours stay."""
    ours = attempt.outcome in OURS or attempt.message == FASTER
    return attempt if ours else msgspec.structs.replace(attempt, message="")


def settle(call: Call) -> None:
    """Writes the request down, once, whatever became of it."""
    remember(call)
    total = call.state.clock.monotonic() - call.started
    usage = call.usage or Usage()
    target, fault, route = call.target, call.fault, call.route
    row = UsageRow(
        id=call.id,
        request_id=call.request_id,
        started=call.started_at,
        key=call.principal.name if call.principal else "",
        operation=call.operation,
        format=call.endpoint.format,
        requested=call.head.model if call.head else "",
        provider=target.upstream.name if target else "",
        connection=call.connection.id if call.connection else "",
        model=target.model if target else "",
        status=call.status,
        error=fault.kind if fault else "",
        code=fault.code or "" if fault else "",
        stream=call.head.stream if call.head else False,
        input=usage.input,
        output=usage.output,
        cached=usage.cached,
        cache_write=usage.cache_write,
        cache_write_1h=usage.cache_write_1h,
        reasoning=usage.reasoning,
        estimated=usage.estimated,
        cost=call.cost,
        total_ms=total * 1e3,
        upstream_ms=call.upstream_time * 1e3,
        gateway_ms=(total - call.upstream_time) * 1e3,
        ttft_ms=None if call.first_byte is None else (call.first_byte - call.started) * 1e3,
        attempts=tuple([_wordless(one) if one.message else one for one in call.attempts]),
        losses=losses(call.losses) if call.losses else (),
        revision=call.gateway.revision.digest,
        audio_input=usage.audio_input,
        audio_output=usage.audio_output,
        service_tier=usage.service_tier,
        seconds=call.seconds,
        images=call.images,
        cache=call.cache,
        idempotent=call.idempotent,
        session=call.session,
        route=route.name if route else "",
        policies=tuple([policy.name for policy in call.policies]) if call.policies else (),
    )
    call.state.ledger.append(row)
    call.state.witness.append(row, call.trace)
