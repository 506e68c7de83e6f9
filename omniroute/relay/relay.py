"""Serves one request: plan, try, pump, settle.

The order of a chat request is the order of the functions here; other operations bring their own way to ask one
candidate (`Prepare`) and go through the same loop.  What can be refused is refused before anything is sent; a
failure of an upstream leads to the next candidate as long as the client has seen nothing, and to the error of the
client's own format after that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from omniroute.errors import Fault, Unsupported, UpstreamError
from omniroute.formats.codec import Head
from omniroute.relay import admission, attempt, cache, demand, estimate, health, idempotency, memory, meter, pump, queue
from omniroute.relay.attempt import Opened, Prepared
from omniroute.relay.call import Call
from omniroute.relay.decision import choose, decide, nothing_left
from omniroute.relay.headers import billed
from omniroute.relay.race import Race
from omniroute.routing.plan import Candidate, follows, has_more_room
from omniroute.routing.tables import NO_NEEDS, Route, Target
from omniroute.state.base import Attempt, Clock, Outcome
from omniroute.state.limits import Denied
from omniroute.upstream.client import Client, named
from omniroute.upstream.overflow import too_long
from omniroute.upstream.transport import Reply

BUSY = "connections_busy"
"""The code of a candidate that was taken or began to cool down between the plan and its turn."""
Exchange = Callable[[Call, Candidate], Awaitable[UpstreamError | None]]
"""Asks one candidate and answers the client of the call; gives back the failure where there was one."""
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
    head.elapsed = partial(_since, call.state.clock, call.started)  # a method of the call would be a cycle
    decide(call)
    return idempotency.guarded(call, partial(_answer, call, client, head))


def _since(clock: Clock, started: float) -> float:
    return clock.monotonic() - started


def _answer(call: Call, client: Client, head: Head) -> Awaitable[None]:
    """From the cache, or by a candidate."""
    if call.gateway.cache is None or head.at_once is not None:
        return _serve(call, client, head)
    return cache.answer(call, client, partial(_serve, call, client, head))


def _serve(call: Call, client: Client, head: Head) -> Awaitable[None]:
    """By a candidate."""
    admission.admit(call, demand.of_chat)
    if call.gateway.queue is not None:
        return _in_turn(call, client, head)
    return _converse(call, client, head, choose(call, call.state.counters.next))


async def _in_turn(call: Call, client: Client, head: Head) -> None:
    """The same where a request may have to wait for a place."""
    await _converse(call, client, head, await queue.candidates(call))


def _converse(call: Call, client: Client, head: Head, candidates: list[Candidate]) -> Awaitable[None]:
    if head.at_once is not None and call.endpoint.format not in candidates[0].target.formats:
        call.status = 200
        call.committed = True
        return pump.send_whole(call, head.at_once(int(call.started_at)))

    def prepare(target: Target) -> Exchange:
        return partial(_exchange, client, attempt.prepare(call, head, target))

    def repair(target: Target, failure: UpstreamError) -> Exchange | None:
        prepared = attempt.unsealed(call, head, target, failure)
        return None if prepared is None else partial(_exchange, client, prepared)

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
    route = call.route
    assert route is not None
    line = _Line(call, candidates, prepare, repair, gather)
    while (candidate := await line.next()) is not None:
        hedge = candidate.hedge if route.needs.hedges else None
        call.last = line.is_empty
        if hedge is None or call.last:
            latest = await line.ask(call, candidate)
            if latest is None:
                return
            failed = [(candidate, latest)]
        else:
            combo, how = hedge
            call.state.scores.earn(combo.name, how.budget)
            failed = await Race(call, line.ask).run(candidate, how.after, partial(line.spare, candidate, combo))
            if not failed:
                return
        for one in failed:
            line.failed(*one)
    raise line.failure or nothing_left(candidates)


class _Line:
    """The candidates of a request, as they are taken one after the other, and how those before have failed."""

    __slots__ = (
        "_at",
        "_call",
        "_candidates",
        "_gather",
        "_latest",
        "_prepare",
        "_prepared",
        "_repair",
        "_too_long",
        "failure",
    )

    def __init__(
        self, call: Call, candidates: list[Candidate], prepare: Prepare, repair: Repair | None, gather: Gather | None
    ) -> None:
        self._call = call
        self._candidates = candidates
        self._at = 0
        self._prepare = prepare
        self._gather = gather
        self._repair = repair
        self._prepared: dict[str, Exchange] = {}
        self._latest: tuple[Candidate, UpstreamError] | None = None
        self._too_long: list[Candidate] = []
        self.failure: UpstreamError | Unsupported | None = None

    @property
    def is_empty(self) -> bool:
        return self._at == len(self._candidates)

    async def next(self) -> Candidate | None:
        """The next one that may make good what failed before and can carry the request, taken off the line."""
        late = self._latest is not None and self._call.state.clock.monotonic() >= self._call.deadline
        while not (late or self.is_empty):
            candidate = self._candidates[self._at]
            self._at += 1
            if self._latest is not None and not self._helps(candidate, *self._latest):
                continue
            if self._is_ready(candidate) if self._gather is None else await self._carries(candidate, self._gather):
                return candidate
        return None

    async def spare(self, slow: Candidate, route: Route) -> Candidate | None:
        """The one to ask besides a slow one, which is another target of the same combo, if that may hedge now."""
        at = self._at
        while at < len(self._candidates) and self._candidates[at].target.id == slow.target.id:
            at += 1
        if at == len(self._candidates) or not any(each is route for each in self._candidates[at].within):
            return None
        candidate = self._candidates[at]
        carries = self._is_ready(candidate) if self._gather is None else await self._carries(candidate, self._gather)
        if not (carries and self._call.state.scores.may_hedge(route.name)):
            return None
        self._candidates = [*self._candidates[:at], *self._candidates[at + 1 :]]
        return candidate

    async def ask(self, call: Call, candidate: Candidate) -> UpstreamError | None:
        """One candidate, as often as its route says, and once more where the request can be mended."""
        target = candidate.target
        exchange = self._prepared[target.id]
        latest = await once(call, candidate, exchange)
        if latest is not None and candidate.retry.attempts:
            latest = await _again(call, candidate, exchange, latest)
        if latest is not None and latest.kind == "invalid" and self._repair is not None:
            mended = self._repair(target, latest)
            if mended is not None:
                self._prepared[target.id] = mended
                latest = await once(call, candidate, mended, again=True)
        return latest

    def failed(self, candidate: Candidate, failure: UpstreamError) -> None:
        """Takes note of it: it decides about who is next, and is told where nobody is."""
        self._latest = candidate, failure
        if failure.kind == "invalid" and too_long(failure.fault):
            self._too_long.append(candidate)
        if self.failure is None or failure.fault.code != BUSY:
            self.failure = failure

    def _helps(self, candidate: Candidate, failed: Candidate, failure: UpstreamError) -> bool:
        if not all(has_more_room(small, candidate) for small in self._too_long):
            return False
        if failure.fault.code == BUSY or (self._too_long and self._too_long[-1] is failed):
            return True
        if failure.fault.code == Unsupported.code:  # one that a single provider cannot serve is not wrong
            return candidate.target.id != failed.target.id
        return follows(failed, failure.kind, candidate)

    async def _carries(self, candidate: Candidate, gather: Gather) -> bool:
        """Whether it can carry the request, with all that has to be gathered for that."""
        target = candidate.target
        if target.id in self._prepared:
            return True
        try:
            await gather(target)
        except Unsupported as error:
            self._cannot(candidate, error)
            return False
        return self._is_ready(candidate)

    def _is_ready(self, candidate: Candidate) -> bool:
        """Whether the request for it is made, or can be."""
        target = candidate.target
        if target.id in self._prepared:
            return True
        try:
            self._prepared[target.id] = self._prepare(target)
        except Unsupported as error:
            self._cannot(candidate, error)
            return False
        return True

    def _cannot(self, candidate: Candidate, error: Unsupported) -> None:
        target, connection = candidate.target.id, candidate.connection.id
        self._call.attempts.append(Attempt(target, connection, "skipped", message=error.fault.message))
        self.failure = self.failure or error


async def _again(
    call: Call, candidate: Candidate, exchange: Exchange, failure: UpstreamError | None
) -> UpstreamError | None:
    """A candidate that has failed, as often as its route says. None when the client has been answered."""
    for trial in range(candidate.retry.attempts):
        if failure is None or failure.kind not in candidate.retry.on or failure.fault.code == BUSY:
            break
        pause = max(candidate.retry.delay * 2**trial, failure.fault.retry_after or 0.0)
        if call.state.clock.monotonic() + pause >= call.deadline:
            break
        await call.state.clock.sleep(pause)
        failure = await once(call, candidate, exchange, again=True)
    return failure


async def once(call: Call, candidate: Candidate, exchange: Exchange, *, again: bool = False) -> UpstreamError | None:
    """One call of one connection; its health hears how it ended. To ask it `again` needs no leave: the pause that its
    own failure began is the one that has just been waited for."""
    state, connection = call.state, candidate.connection
    began = state.clock.monotonic()
    given = health.GO if again else health.leave(state, candidate, began)
    taken = admission.lease(call, candidate) if given is not None and candidate.charges else None
    free = given is not None and not isinstance(taken, Denied)
    if given is None or not free or not queue.take(call, connection):
        admission.give_back(call, taken)
        if given:
            health.report(state, candidate, given, "abandoned", None, began)
        call.attempts.append(Attempt(candidate.target.id, connection.id, "skipped", message="blocked meanwhile"))
        return _busy(connection.id)
    call.leave = given
    call.target, call.connection = candidate.target, connection
    call.tries += 1
    call.usage = call.cost = None
    call.at = round((began - call.started) * 1e3, 3)
    needs = call.route.needs if call.route is not None else NO_NEEDS
    if needs.scores:
        memory.began(call, candidate, began)
    outcome: Outcome = "abandoned"
    failure: UpstreamError | None = None
    try:
        failure = await exchange(call, candidate)
        outcome = failure.kind if failure else "success"
    finally:
        now = state.clock.monotonic()
        admission.give_back(call, taken)
        health.report(state, candidate, call.leave, outcome, failure, now)
        queue.leave(call, connection)
        if needs.scores or needs.session:
            memory.ended(call, candidate, outcome, began, now)
        call.upstream_time += now - began
        if call.lost:
            call.cost = meter.forgone(call, candidate.target)
        call.attempts.append(_attempt(call, candidate, outcome, failure, (now - began) * 1e3))
        if len(call.attempts) > 1 and not call.lost:
            call.cost = billed(call.attempts)
    return failure if not call.committed else None


def _attempt(call: Call, candidate: Candidate, outcome: Outcome, failure: UpstreamError | None, ms: float) -> Attempt:
    target, connection = candidate.target.id, candidate.connection.id
    if call.lost:
        return Attempt(target, connection, outcome, ms=ms, message=meter.FASTER, cost=call.cost, at=call.at)
    status = failure.fault.status if failure else 200 if outcome == "success" else None
    message = failure.fault.message[:500] if failure else ""
    usage = call.usage
    if usage is None:
        return Attempt(target, connection, outcome, status, ms, message, cost=call.cost, at=call.at)
    return Attempt(target, connection, outcome, status, ms, message, usage.input, usage.output, call.cost, call.at)


def _busy(connection: str) -> UpstreamError:
    message = f"`{connection}` is busy or cooling down"
    fault = Fault(kind="unavailable", status=503, message=message, code=BUSY, retry_after=1.0)
    return UpstreamError("overloaded", fault)


async def _exchange(client: Client, prepared: Prepared, call: Call, candidate: Candidate) -> UpstreamError | None:
    """Sends, receives and answers. The failure is given back and not raised, so that a stream that failed after its
    commit point still counts against the connection."""
    head = call.head
    assert head is not None
    reply: Reply | None = None
    try:
        reply = cache.recorded(call, await attempt.send(call, client, candidate, prepared), prepared)
        if head.stream:
            auth = client.auth(candidate.connection)
            opened = await attempt.stream(call, reply, prepared, head, candidate, auth, last=call.last)
            return await _stream(call, opened, prepared, candidate)
        body = await reply.read(attempt.REPLY_LIMIT)
        answer = attempt.whole(call, reply, body, prepared, head, candidate)
    except UpstreamError as error:
        return named(error, candidate.target.upstream.name, client.auth(candidate.connection))
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
