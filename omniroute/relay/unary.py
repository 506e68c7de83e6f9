"""Serves an operation that is one request and one answer: embeddings, images.

The order is that of a chat request: look, resolve, try the candidates, settle.  A target that speaks the client's own
format gets the client's bytes; what a provider wants otherwise is its operation's quirks, and a field that these drop
is told as lost unless the answer makes up for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Generic, cast

import msgspec

from omniroute.catalog import drawn
from omniroute.errors import Fault, Unsupported, UpstreamError
from omniroute.formats import images, patch
from omniroute.formats.codec import Fields, Head, malformed
from omniroute.formats.embeddings import EMBEDDINGS, Embed, Embedded, vectors
from omniroute.formats.images import IMAGES, Draw, Drawn
from omniroute.formats.ir import Loss, Usage
from omniroute.formats.unary import A, Made, Moment, Q, UnaryClient, UnaryCodec, UnaryUpstream
from omniroute.relay import admission, estimate, idempotency, meter, orders, pump
from omniroute.relay.attempt import REPLY_LIMIT, ask, lossy
from omniroute.relay.call import Call
from omniroute.relay.decision import decide
from omniroute.relay.demand import LARGEST_PICTURE, Demand
from omniroute.relay.queue import candidates
from omniroute.relay.relay import Exchange, run
from omniroute.routing.plan import Candidate
from omniroute.routing.tables import Orders, Target
from omniroute.upstream.client import Client, classify, named


class Operation(msgspec.Struct, Generic[Q, A], frozen=True):
    """What the operations have each for itself: the formats of upstreams, a guess at the tokens of a request, what an
    answer costs, why one is not what was asked for though it is well-formed, and what a request may take."""

    name: str
    upstreams: Mapping[str, UnaryUpstream[Q, A]]
    tokens: Callable[[Q], int]
    price: Callable[[Target, Q, A, Usage], Decimal | None]
    amiss: Callable[[Q, A], str]
    demand: Callable[[Head, Q], Demand]


async def serve(operation: Operation[Q, A], codec: UnaryClient[Q, A], call: Call, client: Client, body: bytes) -> None:
    """Answers a request. Raises CallError or UpstreamError where nothing has been sent yet."""
    call.operation = operation.name
    await answer(operation, codec, call, client, codec.peek(body, call.path, call.scope["query_string"]))


async def answer(operation: Operation[Q, A], codec: UnaryClient[Q, A], call: Call, client: Client, head: Head) -> None:
    """Answers the request whose head is known."""
    call.head = head
    asking = _Asking(operation, codec, call, client, head)
    decide(call)

    async def work() -> None:
        admission.admit(call, asking.demand)
        await run(call, await candidates(call), asking.prepare)

    await idempotency.guarded(call, work)


class _Asking(Generic[Q, A]):
    """One request under way."""

    def __init__(
        self, operation: Operation[Q, A], codec: UnaryClient[Q, A], call: Call, client: Client, head: Head
    ) -> None:
        self.operation = operation
        self.codec = codec
        self.call = call
        self.client = client
        self.head = head
        self.asked = codec.decode_request(head)

    def demand(self, _call: Call) -> Demand:
        """What limits and budgets reserve."""
        return self.operation.demand(self.head, self.asked)

    def prepare(self, target: Target) -> Exchange:
        """The request for a target. Raises Unsupported where the target cannot carry it."""
        service = target.upstream.operations[self.operation.name]
        upstream = self.operation.upstreams[service.format]
        own = self.own(upstream)
        told = orders.ordered(self.call, target)
        head, asked = self.head, self.asked
        if told is not None and told.redactions:
            head = orders.cleared(self.call, head, told, target)
            asked = asked if head is self.head else self.codec.decode_request(head)
        outgoing = upstream.encode_request(asked, target.model) if own is None else own.forward(head, target.model)
        changed: list[Loss] = []
        fields = patch.apply(service.quirks, outgoing.fields, changed)
        dropped = _dropped(service.quirks, outgoing.fields, upstream.MENDED, target)
        clamped = [loss for loss in changed if loss.code not in service.quirks.drop]
        losses = [*outgoing.losses, *dropped, *clamped]
        if losses and self.call.gateway.server.strict_translation:
            raise lossy(target, losses)
        return partial(self.exchange, upstream, outgoing.path, patch.join(fields), losses, told)

    def own(self, upstream: UnaryUpstream[Q, A]) -> UnaryCodec[Q, A] | None:
        """The client's codec, if the upstream speaks it too."""
        same = cast("object", upstream) is cast("object", self.codec)
        return cast("UnaryCodec[Q, A]", self.codec) if same else None

    async def exchange(
        self,
        upstream: UnaryUpstream[Q, A],
        path: str,
        body: bytes,
        losses: list[Loss],
        told: Orders | None,
        call: Call,
        candidate: Candidate,
    ) -> UpstreamError | None:
        """Asks one candidate and answers the client; gives back the failure where there was one."""
        provider = candidate.target.upstream.name
        try:
            said = await self.fetch(upstream, path, body, told, call, candidate)
            heard = upstream.decode_reply(said, self.asked)
            if heard.fault is not None:
                raise classify(heard.fault, provider)
            if heard.usage is None:
                heard.usage = Usage(input=self.operation.tokens(self.asked), estimated=True)
            # also for an answer that nobody can use
            call.usage = heard.usage
            call.cost = self.operation.price(candidate.target, self.asked, heard, heard.usage)
            self.check(heard, provider)
            made = self.told(upstream, said, heard)
            answer = orders.cleaned(made.body, told, provider)
        except UpstreamError as error:
            return named(error, provider, self.client.auth(candidate.connection))
        except ValueError as error:
            return classify(malformed(str(error)), provider)
        call.losses = [*losses, *made.losses]
        call.images = len(heard.pictures) if isinstance(heard, Drawn) else 0
        call.status = 200
        call.committed = True
        await pump.send_whole(call, answer)
        return None

    async def fetch(
        self,
        upstream: UnaryUpstream[Q, A],
        path: str,
        body: bytes,
        told: Orders | None,
        call: Call,
        candidate: Candidate,
    ) -> bytes:
        """All that the candidate says."""
        endpoint = candidate.target.upstream.operations[self.operation.name].endpoint
        callers = () if told is None else told.headers
        reply = await ask(call, self.client, candidate, upstream, endpoint, path, body, callers)
        try:
            return await reply.read(REPLY_LIMIT)
        finally:
            reply.close()

    def check(self, heard: A, provider: str) -> None:
        """Raises UpstreamError for an answer to something else than was asked. That is no failure of its connection:
        it does not know the field, and ignores it. The next candidate may know it."""
        amiss = self.operation.amiss(self.asked, heard)
        if amiss:
            fault = Fault(kind="invalid_request", status=400, message=amiss, code=Unsupported.code)
            raise classify(fault, provider)

    def told(self, upstream: UnaryUpstream[Q, A], said: bytes, heard: A) -> Made:
        """The answer in the client's words."""
        call, own = self.call, self.own(upstream)
        moment = Moment(int(call.started_at), call.state.clock.monotonic() - call.started)
        if own is not None:
            return own.relabel(said, heard, self.asked, self.head, moment)
        return self.codec.encode_reply(heard, self.asked, self.head, moment)


def _dropped(quirks: patch.Quirks, fields: Fields, mended: frozenset[str], target: Target) -> list[Loss]:
    """What the provider does not take and nobody makes up for."""
    names = [name for name in quirks.drop if name in fields and name not in mended and not patch.is_null(fields[name])]
    return [Loss(name, name, f"dropped: `{target.upstream.name}` does not take it") for name in names]


# ------------------------------------------------------------------------------------------------------- operations


def _texts(asked: Embed) -> int:
    """A guess at the tokens of texts, and the count of tokens that came as such."""
    counted = sum(len(one) for one in asked.inputs if isinstance(one, tuple))
    return counted + estimate.text("".join(one for one in asked.inputs if isinstance(one, str)))


def _embedding_price(target: Target, _asked: Embed, _answer: Embedded, usage: Usage) -> Decimal | None:
    return meter.price(target, usage)


def _length_amiss(asked: Embed, answer: Embedded) -> str:
    """A vector of another length is a wrong answer; a provider's own fields may make its numbers something else."""
    if asked.dimensions is None or asked.vendor:
        return ""
    found = next((size for size in map(vectors.length, answer.vectors) if size != asked.dimensions), None)
    return "" if found is None else f"ignores `dimensions`: its vectors have {found} and not {asked.dimensions}"


def _image_price(target: Target, asked: Draw, answer: Drawn, usage: Usage) -> Decimal | None:
    """What the upstream says that it charged, else by what it says that it drew, or else by what it was asked for."""
    said = meter.charged(target, usage)
    if said is not None:
        return said
    size = answer.size or asked.size
    return drawn(
        target.facts.price,
        target.tiers,
        images=len(answer.pictures),
        size=patch.sides(size) if size is not None else None,
        quality=answer.quality or asked.quality,
        input=None if usage.estimated else usage.input,
        output=usage.output,
    )


def _image_amiss(_asked: Draw, _answer: Drawn) -> str:
    return ""


def _embedding_demand(head: Head, _asked: Embed) -> Demand:
    return Demand(head, 0)


def _image_demand(head: Head, asked: Draw) -> Demand:
    size = patch.sides(asked.size) if asked.size is not None else None
    return Demand(head, None, images=asked.n, pixels=size[0] * size[1] if size is not None else LARGEST_PICTURE)


def _prompt_tokens(asked: Draw) -> int:
    return estimate.text(asked.prompt)


EMBED = Operation("embeddings", EMBEDDINGS, _texts, _embedding_price, _length_amiss, _embedding_demand)
DRAW = Operation("images", IMAGES, _prompt_tokens, _image_price, _image_amiss, _image_demand)

embed_openai = partial(serve, EMBED, EMBEDDINGS["openai"])
embed_gemini = partial(serve, EMBED, EMBEDDINGS["gemini"])
"""For the paths below `/v1beta/models/` that end in an action of it, which `Call.path` holds."""
embed_ollama = partial(serve, EMBED, EMBEDDINGS["ollama"])
draw = partial(serve, DRAW, images.openai)
