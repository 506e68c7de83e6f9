"""How many tokens a prompt has: asked upstream where the provider can count, else estimated and marked so."""

from __future__ import annotations

from omniroute.errors import LimitReached, Unavailable, UpstreamError
from omniroute.formats import CHAT, anthropic, patch
from omniroute.formats.codec import Head, malformed
from omniroute.relay import estimate, headers
from omniroute.relay.asgi import respond
from omniroute.relay.attempt import Prepared, forwarded, send
from omniroute.relay.call import Call
from omniroute.relay.relay import choose, once
from omniroute.routing.plan import Candidate, first_turn
from omniroute.upstream.client import Client, classify, named

ANSWER_LIMIT = 64 * 1024


async def count(call: Call, client: Client, body: bytes) -> None:
    """Answers `/v1/messages/count_tokens`."""
    head = call.head = anthropic.peek_count(body)
    counted = await _ask(call, client, head)
    tokens = estimate.prompt(anthropic.decode_request(head)) if counted is None else counted
    answer = anthropic.encode_count(tokens, estimated=counted is None)
    call.status = 200
    await respond(call.send, 200, headers.whole(call, len(answer)), answer)


async def _ask(call: Call, client: Client, head: Head) -> int | None:
    """The count of the first candidate whose provider counts; None where none does, or can just now. A refusal of the
    request itself is raised, since an estimate would hide it."""
    try:
        candidates = choose(call, first_turn)
    except (LimitReached, Unavailable):
        return None
    counted: list[int] = []

    async def exchange(candidate: Candidate) -> UpstreamError | None:
        provider = candidate.target.upstream.name
        fields = patch.apply(candidate.target.upstream.quirks, anthropic.forward_count(head, candidate.target.model))
        codec = CHAT["anthropic"]
        prepared = Prepared(codec, anthropic.COUNT_PATH, patch.join(fields), [], forwarded(call, codec))
        try:
            reply = await send(call, client, candidate, prepared)
            try:
                counted.append(anthropic.decode_count(await reply.read(ANSWER_LIMIT)))
            finally:
                reply.close()
        except UpstreamError as error:
            return named(error, provider, candidate.connection.auth)
        except ValueError as error:
            return classify(malformed(str(error)), provider)
        return None

    for candidate in candidates:
        if "count_tokens" in candidate.target.upstream.operations:
            failure = await once(call, candidate, exchange)
            if failure is None:
                return counted[0]
            if failure.kind == "invalid":
                raise failure
    return None
