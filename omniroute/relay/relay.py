"""Serves one request: plan, try, pump, settle.

The order of a chat request is the order of the functions here; other operations bring their own way to ask one
candidate (`Prepare`) and go through the same loop.  What can be refused is refused before anything is sent; a
failure of an upstream leads to the next candidate as long as the client has seen nothing, and to the error of the
client's own format after that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from omniroute.errors import Fault, Unsupported, UpstreamError
from omniroute.formats.codec import Head
from omniroute.relay import admission, attempt, cache, demand, estimate, health, idempotency, meter, pump
from omniroute.relay.attempt import Opened, Prepared
from omniroute.relay.call import Call
from omniroute.relay.decision import choose, decide, nothing_left
from omniroute.routing.plan import Candidate
from omniroute.routing.tables import Target
from omniroute.state.base import Attempt, Outcome
from omniroute.state.limits import Denied
from omniroute.upstream.client import Client, named
from omniroute.upstream.transport import Reply

BUSY = "connections_busy"
"""The code of a candidate that was taken or began to cool down between the plan and its turn."""
Exchange = Callable[[Candidate], Awaitable[UpstreamError | None]]
"""Asks one candidate and answers the client; gives back the failure where there was one."""
Prepare = Callable[[Target], Exchange]
"""Makes the request for a target. Raises Unsupported where the target cannot carry it."""
Gather = Callable[[Target], Awaitable[None]]
"""Has what the request for a target needs and does not hold itself. Raises Unsupported where it cannot be had."""
Repair = Callable[[Target, UpstreamError], Exchange | None]
"""Another way to ask a target that refused the request, if there is one."""


def chat(call: Call, client: Client, body: bytes) -> Awaitable[None]:
    """Answers a chat request. Raises CallError or UpstreamError where nothing has been sent yet."""
    call.head = call.codec.peek(body, call.path, call.scope["query_string"])
    return converse(call, client)


def converse(call: Call, client: Client) -> Awaitable[None]:
    """Answers the chat request whose head is known. Not a coroutine itself, for each of them costs a microsecond."""
    head = call.head
    assert head is not None
    head.elapsed = call.elapsed
    decide(call)
    return idempotency.guarded(call, partial(_answer, call, client, head))


def _answer(call: Call, client: Client, head: Head) -> Awaitable[None]:
    """From the cache, or by a candidate."""
    if call.gateway.cache is None or head.at_once is not None:
        return _serve(call, client, head)
    return cache.answer(call, client, partial(_serve, call, client, head))


def _serve(call: Call, client: Client, head: Head) -> Awaitable[None]:
    """By a candidate."""
    admission.admit(call, demand.of_chat)
    candidates = choose(call, call.state.counters.next)
    if head.at_once is not None and call.endpoint.format not in candidates[0].target.formats:
        call.status = 200
        call.committed = True
        return pump.send_whole(call, head.at_once(int(call.started_at)))

    def prepare(target: Target) -> Exchange:
        return partial(_exchange, call, client, attempt.prepare(call, head, target))

    def repair(target: Target, failure: UpstreamError) -> Exchange | None:
        prepared = attempt.unsealed(call, head, target, failure)
        return None if prepared is None else partial(_exchange, call, client, prepared)

    fetches = call.gateway.server.fetch_images is not None
    return run(call, candidates, prepare, repair, partial(attempt.gather, call, client, head) if fetches else None)


async def run(
    call: Call,
    candidates: list[Candidate],
    prepare: Prepare,
    repair: Repair | None = None,
    gather: Gather | None = None,
) -> None:
    """Tries the candidates in their order until one has answered. Raises what went wrong where none did."""
    prepared: dict[str, Exchange] = {}
    failure: UpstreamError | Unsupported | None = None
    for number, candidate in enumerate(candidates, 1):
        target = candidate.target
        try:
            if target.id not in prepared:
                if gather is not None:
                    await gather(target)
                prepared[target.id] = prepare(target)
        except Unsupported as error:
            call.attempts.append(Attempt(target.id, candidate.connection.id, "skipped", message=error.fault.message))
            failure = failure or error
            continue
        call.last = number == len(candidates)
        latest = await _try(call, candidate, prepared[target.id])
        if latest is not None and latest.kind == "invalid" and repair is not None:
            mended = repair(target, latest)
            if mended is not None:
                prepared[target.id] = mended
                latest = await once(call, candidate, mended, again=True)
        if latest is None:
            return
        if failure is None or latest.fault.code != BUSY:
            failure = latest
        if _is_hopeless(latest) or call.state.clock.monotonic() >= call.deadline:
            break
    raise failure or nothing_left(candidates)


def _is_hopeless(failure: UpstreamError) -> bool:
    """Whether others would refuse the request too: one that a single provider cannot serve is not wrong."""
    return failure.kind == "invalid" and failure.fault.code != Unsupported.code


async def _try(call: Call, candidate: Candidate, exchange: Exchange) -> UpstreamError | None:
    """One candidate, as often as its route says. None when the client has been answered."""
    failure = await once(call, candidate, exchange)
    for trial in range(candidate.retry.attempts):
        if failure is None or failure.kind not in candidate.retry.on or failure.fault.code == BUSY:
            break
        pause = max(candidate.retry.delay * 2**trial, failure.fault.retry_after or 0.0)
        if call.state.clock.monotonic() + pause >= call.deadline:
            break
        await asyncio.sleep(pause)
        failure = await once(call, candidate, exchange, again=True)
    return failure


async def once(call: Call, candidate: Candidate, exchange: Exchange, *, again: bool = False) -> UpstreamError | None:
    """One call of one connection; its health hears how it ended. To ask it `again` needs no leave: the pause that its
    own failure began is the one that has just been waited for."""
    state, connection = call.state, candidate.connection
    began = state.clock.monotonic()
    given = health.GO if again else health.leave(state, candidate, began)
    taken = admission.lease(call, candidate) if given is not None and candidate.limits else None
    free = given is not None and not isinstance(taken, Denied)
    if given is None or not free or not state.counters.acquire(connection.id, connection.max_concurrent):
        admission.give_back(call, taken)
        if given:
            health.report(state, candidate, given, "abandoned", None, began)
        call.attempts.append(Attempt(candidate.target.id, connection.id, "skipped", message="blocked meanwhile"))
        return _busy(connection.id)
    call.leave = given
    call.target, call.connection = candidate.target, connection
    call.tries += 1
    outcome: Outcome = "abandoned"
    failure: UpstreamError | None = None
    try:
        failure = await exchange(candidate)
        outcome = failure.kind if failure else "success"
    finally:
        now = state.clock.monotonic()
        state.counters.release(connection.id)
        admission.give_back(call, taken)
        health.report(state, candidate, call.leave, outcome, failure, now)
        call.upstream_time += now - began
        call.attempts.append(_attempt(candidate, outcome, failure, (now - began) * 1e3))
    return failure if not call.committed else None


def _attempt(candidate: Candidate, outcome: Outcome, failure: UpstreamError | None, ms: float) -> Attempt:
    status = failure.fault.status if failure else 200 if outcome == "success" else None
    message = failure.fault.message[:500] if failure else ""
    return Attempt(candidate.target.id, candidate.connection.id, outcome, status, ms, message)


def _busy(connection: str) -> UpstreamError:
    message = f"`{connection}` is busy or cooling down"
    fault = Fault(kind="unavailable", status=503, message=message, code=BUSY, retry_after=1.0)
    return UpstreamError("overloaded", fault)


async def _exchange(call: Call, client: Client, prepared: Prepared, candidate: Candidate) -> UpstreamError | None:
    """Sends, receives and answers. The failure is given back and not raised, so that a stream that failed after its
    commit point still counts against the connection."""
    head = call.head
    assert head is not None
    reply: Reply | None = None
    try:
        reply = await attempt.send(call, client, candidate, prepared)
        if call.record is not None:
            reply = call.record.of(reply, prepared)
        if head.stream:
            opened = await attempt.stream(call, reply, prepared, head, candidate, last=call.last)
            return await _stream(call, opened, prepared, candidate)
        answer = await attempt.whole(call, reply, prepared, head, candidate)
    except UpstreamError as error:
        return named(error, candidate.target.upstream.name, candidate.connection.auth)
    finally:
        if reply is not None:
            reply.close()
    call.losses = prepared.losses
    call.usage = answer.usage or estimate.usage(call, estimate.produced(answer.body))
    call.finish = answer.finish
    call.cost = meter.price(candidate.target, call.usage)
    call.status = 200
    call.committed = True
    await pump.send_whole(call, answer.body)
    return None


async def _stream(call: Call, opened: Opened, prepared: Prepared, candidate: Candidate) -> UpstreamError | None:
    call.losses = prepared.losses
    way = opened.bridge
    if way.committed:
        speaks(call, candidate)
    try:
        return await pump.stream(call, opened, candidate.target.upstream.name)
    finally:
        call.usage = estimate.settled(call, way)
        call.finish = way.finish
        call.cost = meter.price(candidate.target, call.usage)


def speaks(call: Call, candidate: Candidate) -> None:
    """A stream has begun: where it was to show whether the connection works again, others need not wait for its end."""
    if call.leave:
        health.report(call.state, candidate, call.leave, "success", None, call.state.clock.monotonic())
        call.leave = health.GO
