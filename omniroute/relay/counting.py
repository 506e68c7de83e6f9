"""How many tokens a prompt has: asked upstream where the provider can count, else estimated and marked so.

The client asks in its format and the upstream is asked in the one that it counts in, which may be another.
"""

from __future__ import annotations

import asyncio
from functools import partial

from omniroute.errors import LimitReached, Unavailable, UpstreamError
from omniroute.formats import patch, tokens
from omniroute.formats.codec import Head, malformed
from omniroute.formats.codecs import CHAT, COUNTING
from omniroute.relay import headers, images, orders
from omniroute.relay.asgi import respond
from omniroute.relay.attempt import Prepared, forwarded, send
from omniroute.relay.call import Call
from omniroute.relay.decision import choose, decide
from omniroute.relay.relay import once
from omniroute.relay.subject import decoded
from omniroute.routing.plan import Candidate, first_turn
from omniroute.routing.tables import Target
from omniroute.upstream.client import Client, classify, named
from omniroute.upstream.transport import Headers

ANSWER_LIMIT = 64 * 1024
NO_COUNTING = frozenset({404, 405, 501})
"""Statuses of upstreams that cannot count, whatever the catalogue says of them."""


async def count(call: Call, client: Client, body: bytes) -> None:
    """Answers a request to count."""
    counter = COUNTING[call.endpoint.format]
    head = call.head = counter.peek_count(body, call.path, call.scope["query_string"])
    try:
        decide(call)
        candidates = choose(call, first_turn)
    except (LimitReached, Unavailable):
        candidates = []
    counted = await _ask(call, client, head, candidates)
    if counted is None:
        model = candidates[0].target.model if candidates else head.model
        answer = counter.encode_count(await asyncio.to_thread(tokens.count, decoded(call, head), model), estimated=True)
    else:
        answer = counter.encode_count(counted, estimated=False)
    call.status = 200
    await respond(call.send, 200, headers.whole(call, len(answer)), answer)


async def _ask(call: Call, client: Client, head: Head, candidates: list[Candidate]) -> int | None:
    """The count of the first candidate whose provider counts; None where none does, or can just now. A refusal of the
    request itself is raised, since an estimate would hide it."""
    for candidate in candidates:
        form = _counts_in(candidate.target)
        if form is None:
            continue
        counted: list[int] = []
        if call.endpoint.format != form:
            await images.gather(call, client, decoded(call, head), CHAT[form], candidate.target.model)
        prepared = _prepare(call, head, candidate.target, form)
        failure = await once(call, candidate, partial(_exchange, client, prepared, counted))
        if failure is None:
            return counted[0]
        if failure.kind == "invalid" and failure.fault.status not in NO_COUNTING:
            raise failure
    return None


async def _exchange(
    client: Client, prepared: Prepared, counted: list[int], call: Call, candidate: Candidate
) -> UpstreamError | None:
    provider = candidate.target.upstream.name
    try:
        reply = await send(call, client, candidate, prepared)
        try:
            counted.append(COUNTING[prepared.codec.NAME].decode_count(await reply.read(ANSWER_LIMIT)))
        finally:
            reply.close()
    except UpstreamError as error:
        told = named(error, provider, client.auth(candidate.connection))
        unable = told.fault.status in NO_COUNTING  # which says nothing of the connection
        return UpstreamError("invalid", told.fault) if unable else told
    except (ValueError, RecursionError) as error:
        return classify(malformed(str(error)), provider)
    return None


def _counts_in(target: Target) -> str | None:
    """The format in which the target's provider counts, if it does."""
    service = target.upstream.operations.get("count_tokens")
    if service is None or service.format not in COUNTING or service.format not in target.upstream.endpoints:
        return None
    return service.format


def _prepare(call: Call, head: Head, target: Target, form: str) -> Prepared:
    """What is asked of the target: the request that would be sent to it, narrowed to what can be counted."""
    codec, counter, quirks = CHAT[form], COUNTING[form], target.upstream.quirks
    told = orders.ordered(call, target)
    if told is not None and told.redactions:
        head = orders.cleared(call, head, told, target)
    ours: Headers = ()
    if call.endpoint.format == form:
        fields = codec.forward(head, target.model)
        if told is not None:
            fields = orders.told_in_place(told, codec, fields, head, call, target, [])
        ours = forwarded(call, codec, quirks, [])
    else:
        chat = images.embedded(call, orders.read(call, head), codec, target.model)
        fields, _ = codec.encode_request(chat if told is None else orders.told(told, chat, target), target.model)
    if told is not None:
        ours = (*ours, *told.headers)
    fields = counter.count_request(patch.apply(quirks, fields), target.model)
    return Prepared(codec, counter.count_path(target.model), patch.join(fields), [], ours)
