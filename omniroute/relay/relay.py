"""Serves one chat request: plan, try, pump, settle.

The order of a request is the order of the functions here.  What can be refused is refused before anything is sent; a
failure of an upstream leads to the next candidate as long as the client has seen nothing, and to the error of the
client's own format after that.
"""

from __future__ import annotations

import asyncio

from omniroute.errors import Fault, Forbidden, LimitReached, Unavailable, Unsupported, UpstreamError
from omniroute.formats.ir import Usage
from omniroute.relay import attempt, meter, pump
from omniroute.relay.admit import check_model
from omniroute.relay.attempt import Opened, Prepared
from omniroute.relay.call import Call
from omniroute.routing.plan import Candidate, applicable, plan
from omniroute.routing.resolve import resolve
from omniroute.state.base import Attempt, Outcome
from omniroute.upstream.client import Client, named
from omniroute.upstream.transport import Reply


async def chat(call: Call, client: Client, body: bytes) -> None:
    """Answers a chat request. Raises CallError or UpstreamError where nothing has been sent yet."""
    head = call.head = call.codec.peek(body)
    candidates = choose(call)
    call.deadline = call.started + max(candidate.target.deadlines.total for candidate in candidates)
    prepared: dict[str, Prepared] = {}
    failure: UpstreamError | Unsupported | None = None
    for number, candidate in enumerate(candidates, 1):
        target = candidate.target
        try:
            if target.id not in prepared:
                prepared[target.id] = attempt.prepare(call, head, target)
        except Unsupported as error:
            call.attempts.append(Attempt(target.id, candidate.connection.id, "skipped", message=error.fault.message))
            failure = failure or error
            continue
        call.last = number == len(candidates)
        failure = await _try(call, client, candidate, prepared[target.id], len(body))
        if failure is None:
            return
        if failure.kind == "invalid" or call.state.clock.monotonic() >= call.deadline:
            break
    raise failure or _nothing_left(candidates)


def choose(call: Call) -> list[Candidate]:
    """The candidates that may be tried, in order. Raises CallError if there are none."""
    head, principal = call.head, call.principal
    assert head is not None
    assert principal is not None
    check_model(principal, head.model)
    route = resolve(call.gateway, head.model)
    call.policies = applicable(call.gateway, principal, call.endpoint.operation, head.model)
    now = call.state.clock.monotonic()
    candidates = plan(route, call.state, now, call.policies)
    usable = [candidate for candidate in candidates if not candidate.skip]
    if not usable:
        raise _unusable(call, candidates, now)
    return usable


def _unusable(call: Call, candidates: list[Candidate], now: float) -> Exception:
    """Why none of the candidates may be tried; those that wait are told apart from those that are denied."""
    call.attempts += [Attempt(c.target.id, c.connection.id, "skipped", message=c.skip) for c in candidates]
    waiting = [candidate for candidate in candidates if not candidate.denied]
    if not waiting:
        return Forbidden(candidates[0].skip, code="denied_by_policy") if candidates else _nothing_left(candidates)
    soonest = min(waiting, key=lambda candidate: candidate.until)
    wait = max(1.0, soonest.until - now)
    reasons = ", ".join(f"`{candidate.connection.id}` ({candidate.skip})" for candidate in waiting[:4])
    message = f"Nothing can serve this now: {reasons}. Try again in {wait:.0f} s."
    if all(candidate.kind == "rate_limited" for candidate in waiting):
        return LimitReached(message, code="all_connections_cooling", retry_after=wait)
    return Unavailable(message, code="all_connections_cooling", retry_after=wait)


def _nothing_left(candidates: list[Candidate]) -> Unavailable:
    names = ", ".join(f"`{candidate.connection.id}`" for candidate in candidates) or "no connection is configured"
    return Unavailable(f"Nothing can serve this now: {names}.", code="no_candidate", retry_after=1.0)


async def _try(
    call: Call, client: Client, candidate: Candidate, prepared: Prepared, prompt_bytes: int
) -> UpstreamError | None:
    """One candidate, as often as its route says. None when the client has been answered."""
    failure: UpstreamError | None = None
    for trial in range(candidate.retry.attempts + 1):
        if trial:
            pause = candidate.retry.delay * 2 ** (trial - 1)
            if call.state.clock.monotonic() + pause >= call.deadline:
                break
            await asyncio.sleep(pause)
        failure = await _once(call, client, candidate, prepared, prompt_bytes)
        if failure is None or failure.kind not in candidate.retry.on:
            break
    return failure


async def _once(
    call: Call, client: Client, candidate: Candidate, prepared: Prepared, prompt_bytes: int
) -> UpstreamError | None:
    """One call of one connection; its health hears how it ended."""
    state, connection = call.state, candidate.connection
    began = state.clock.monotonic()
    permit = state.breakers.admit(connection.id, began)
    if permit is None or not state.counters.acquire(connection.id, connection.max_concurrent):
        if permit is not None:
            state.breakers.note(connection.id, "abandoned", began, None, connection.profile, probe=permit == "probe")
        call.attempts.append(Attempt(candidate.target.id, connection.id, "skipped", message="blocked meanwhile"))
        return _blocked(connection.id)
    call.target, call.connection = candidate.target, connection
    outcome: Outcome = "abandoned"
    failure: UpstreamError | None = None
    try:
        failure = await _exchange(call, client, candidate, prepared, prompt_bytes)
        outcome = failure.kind if failure else "success"
    finally:
        now = state.clock.monotonic()
        state.counters.release(connection.id)
        wait = failure.fault.retry_after if failure else None
        state.breakers.note(connection.id, outcome, now, wait, connection.profile, probe=permit == "probe")
        call.upstream_time += now - began
        call.attempts.append(_attempt(candidate, outcome, failure, (now - began) * 1e3))
    return failure if not call.committed else None


def _attempt(candidate: Candidate, outcome: Outcome, failure: UpstreamError | None, ms: float) -> Attempt:
    status = failure.fault.status if failure else 200
    message = failure.fault.message[:500] if failure else ""
    return Attempt(candidate.target.id, candidate.connection.id, outcome, status, ms, message)


def _blocked(connection: str) -> UpstreamError:
    message = f"`{connection}` is busy or cooling down"
    return UpstreamError("overloaded", Fault(kind="unavailable", status=503, message=message, retry_after=1.0))


async def _exchange(
    call: Call, client: Client, candidate: Candidate, prepared: Prepared, prompt_bytes: int
) -> UpstreamError | None:
    """Sends, receives and answers. The failure is given back and not raised, so that a stream that failed after its
    commit point still counts against the connection."""
    head, provider = call.head, candidate.target.upstream.name
    assert head is not None
    reply: Reply | None = None
    try:
        reply = await attempt.send(call, client, candidate, prepared)
        if head.stream:
            opened = await attempt.stream(call, reply, prepared.codec, head, provider, last=call.last)
            return await _stream(call, opened, prepared, provider, prompt_bytes)
        answer = await attempt.whole(call, reply, prepared.codec, head, provider)
    except UpstreamError as error:
        return named(error, provider)
    finally:
        if reply is not None:
            reply.close()
    call.losses = prepared.losses
    call.usage = answer.usage or meter.estimate(prompt_bytes, len(answer.body) // meter.BYTES_PER_TOKEN)
    call.finish = answer.finish
    call.cost = meter.price(candidate.target, call.usage)
    call.status = 200
    call.committed = True
    await pump.send_whole(call, answer.body)
    return None


async def _stream(
    call: Call, opened: Opened, prepared: Prepared, provider: str, prompt_bytes: int
) -> UpstreamError | None:
    call.losses = prepared.losses
    way = opened.bridge
    try:
        return await pump.stream(call, opened, provider)
    finally:
        call.usage = _seen(way.usage, way.finish is not None, prompt_bytes, way.produced)
        call.finish = way.finish
        assert call.target is not None
        call.cost = meter.price(call.target, call.usage)


def _seen(usage: Usage | None, ended: bool, prompt_bytes: int, produced: int) -> Usage:
    """What the upstream reported if it came to its end; a cut stream is charged for what was produced."""
    if usage is not None and (ended or usage.output >= produced):
        return usage
    guess = meter.estimate(prompt_bytes, produced)
    if usage is None:
        return guess
    return Usage(
        input=usage.input,
        output=max(usage.output, guess.output),
        cached=usage.cached,
        cache_write=usage.cache_write,
        cache_write_1h=usage.cache_write_1h,
        reasoning=usage.reasoning,
        estimated=True,
    )
