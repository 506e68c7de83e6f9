"""One try on one connection of one target: prepare, send, and open the answer up to its first content.

Until then nothing has been sent to the client, so whatever goes wrong is an `UpstreamError` that the next candidate
may make good.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import lru_cache, partial

import msgspec

from omniroute.errors import Unsupported, UpstreamError
from omniroute.formats import bridge, patch
from omniroute.formats.codec import Bridge, ChatCodec, Fields, Head, Reply, Speaks, malformed
from omniroute.formats.codecs import CHAT
from omniroute.formats.fold import Message, fold
from omniroute.formats.ir import Loss, Usage
from omniroute.formats.redaction.events import Redacted
from omniroute.formats.think_tags import untagged
from omniroute.relay import images, meter, orders
from omniroute.relay.call import Call
from omniroute.relay.health import learn
from omniroute.relay.subject import decoded
from omniroute.routing.plan import Candidate
from omniroute.routing.tables import Auth, Deadlines, Endpoint, Orders, Target
from omniroute.state import trace
from omniroute.upstream import transport
from omniroute.upstream.client import Client, classify, refusal, retold

REPLY_LIMIT = 64 * 1024 * 1024
"""Bytes of a whole answer. Generated images are the largest there are, some tens of megabytes."""
LOSSES_TOLD = 8
FOREIGN = Loss("thinking", "", "dropped: a provider of another format had sealed it")


class Prepared(msgspec.Struct):
    """What goes out, and in whose words. `headers` are the client's own that go on, and those that policies set;
    `tagged` tells of the answer that its text begins with thinking between tags, `orders` what is to be done with it."""

    codec: ChatCodec
    path: str
    body: bytes
    losses: list[Loss]
    headers: transport.Headers = ()
    tagged: bool = False
    orders: Orders | None = None

    def redactor(self) -> Redacted | None:
        """What the events of an answer go through, if they have to."""
        found, _ = orders.answer_finders(self.orders)
        return None if found is None else Redacted(found)


def prepare(call: Call, head: Head, target: Target) -> Prepared:
    """The request in the upstream's format: the client's own where the upstream speaks it, translated otherwise.

    Raises Unsupported where a translation would lose something and the configuration is strict about it.
    """
    codec = _codec(call, target)
    losses: list[Loss] = []
    told = orders.ordered(call, target)
    if told is not None and told.redactions:
        head = orders.cleared(call, head, told, target)
    if call.endpoint.format == codec.NAME:
        fields: Fields = codec.forward(head, target.model)
        if fields[codec.HISTORY] is not head.fields[codec.HISTORY]:
            losses.append(FOREIGN)
        if told is not None:
            fields = orders.told_in_place(told, codec, fields, head, call, target, losses)
    else:
        chat = images.embedded(call, orders.read(call, head), codec, target.model)
        fields, losses = codec.encode_request(chat if told is None else orders.told(told, chat, target), target.model)
    if told is not None and told.max_output is not None:
        fields = codec.limited(fields, told.max_output)
    quirks = target.upstream.quirks
    if quirks is not patch.NONE:
        fields = patch.apply(quirks, fields, losses)
    headers = forwarded(call, codec, quirks, losses)
    if told is not None:
        headers = (*headers, *told.headers)
    if losses and call.gateway.server.strict_translation:
        raise lossy(target, losses)
    path = codec.path(target.model, head.stream)
    return Prepared(codec, path, patch.join(fields), losses, headers, tagged=quirks.think_tags, orders=told)


async def gather(call: Call, client: Client, head: Head, target: Target) -> None:
    """Has what the target needs besides the request itself: images that it does not fetch. Raises Unsupported where
    they cannot be had."""
    codec = _codec(call, target)
    if call.endpoint.format != codec.NAME:
        await images.gather(call, client, decoded(call, head), codec, target.model)


def _codec(call: Call, target: Target) -> ChatCodec:
    """The client's own format where the target speaks it, else the one that the target prefers."""
    own = call.endpoint.format in target.formats
    return CHAT[call.endpoint.format if own else target.formats[0]]


def forwarded(call: Call, codec: ChatCodec, quirks: patch.Quirks, losses: list[Loss]) -> transport.Headers:
    """The client's headers that mean something to an upstream of the same format, and what asks an upstream for the
    variant that the client named."""
    headers = call.variant.get(codec.NAME, ()) if call.variant else ()
    if call.variant and codec.NAME not in call.variant:
        losses.append(Loss("variant", "model", "dropped: the upstream's format has no word for the end of the name"))
    if codec is call.codec:
        wanted = codec.FORWARD
        if not wanted.isdisjoint(call.named):
            headers = (*[header for header in call.headers if header[0] in wanted], *headers)
    return headers if quirks.betas is None else _betas(headers, quirks.betas, losses)


def _betas(headers: transport.Headers, allowed: tuple[str, ...], losses: list[Loss]) -> transport.Headers:
    """The headers with only those betas that the upstream knows; another one would be refused there."""
    kept: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        if not name.endswith(b"-beta"):
            kept.append((name, value))
            continue
        betas = [beta.strip() for beta in value.decode("latin-1").split(",")]
        known = [beta for beta in betas if beta in allowed]
        if known:
            kept.append((name, ",".join(known).encode("latin-1")))
        if len(known) < len(betas):
            losses.append(Loss("beta", name.decode(), "dropped: the provider does not know all of them"))
    return tuple(kept)


def unsealed(call: Call, head: Head, target: Target, failure: UpstreamError) -> Prepared | None:
    """The request once more without the thinking that others sealed, where that is what the upstream refused. A
    conversation may have begun at another provider of the same format, which the client's bytes do not tell. A
    configuration that is strict leaves it at the refusal."""
    codec = _codec(call, target)
    if call.gateway.server.strict_translation or not codec.seal_refused(failure.fault):
        return None
    prepared = prepare(call, head, target)
    fields = codec.unsealed(patch.split(prepared.body))
    if fields is None:
        return None
    loss = Loss("thinking", "", "dropped: the upstream refused it")
    return msgspec.structs.replace(prepared, body=patch.join(fields), losses=[*prepared.losses, loss])


def lossy(target: Target, losses: Sequence[Loss]) -> Unsupported:
    """What a strict configuration says of a translation that would lose something."""
    told = "; ".join(f"{loss.path}: {loss.what}" for loss in losses[:LOSSES_TOLD])
    message = f"`{target.id}` cannot carry the whole request, and `strict_translation` is on. {told}."
    return Unsupported(message, param=losses[0].path or None)


def _charged_all_the_same(call: Call, usage: Usage | None) -> None:
    """Notes what a try took that failed after its provider had told so."""
    if usage is not None and call.target is not None:
        call.usage = usage
        call.cost = meter.price(call.target, usage)


class Opened(msgspec.Struct):
    """A stream whose first content is here; `first` is what to send with it."""

    reply: transport.Reply
    bridge: Bridge
    first: bytes
    ended: bool


def send(call: Call, client: Client, candidate: Candidate, prepared: Prepared) -> Awaitable[transport.Reply]:
    """The upstream's answer, opened. Raises UpstreamError for a refusal as for a failure."""
    codec = prepared.codec
    endpoint = candidate.target.upstream.endpoints[codec.NAME]
    return ask(call, client, candidate, codec, endpoint, prepared.path, prepared.body, prepared.headers)


async def ask(
    call: Call,
    client: Client,
    candidate: Candidate,
    format: Speaks,  # noqa: A002 - the term of the field
    endpoint: Endpoint,
    path: str,
    body: bytes,
    callers: transport.Headers = (),
) -> transport.Reply:
    """The answer of a candidate to a body, opened, whatever the operation is."""
    target = candidate.target
    reply = await client.send(
        target,
        candidate.connection,
        endpoint,
        path,
        format.HEADERS,
        traced(call, candidate, callers),
        body,
        within(call, target.deadlines),
    )
    learn(call.state, candidate, reply.headers)
    if reply.status == 200:
        return reply
    try:
        raise await refusal(reply, format, target.upstream.name, call.state.clock.now())
    finally:
        reply.close()


def traced(call: Call, candidate: Candidate, callers: transport.Headers) -> transport.Headers:
    """The headers, with the place in the trace that the call has, where anything is traced."""
    if call.trace is None:
        return callers
    span = trace.attempt(call.trace, candidate.target.id, candidate.connection.id, call.at)
    return (*callers, (trace.HEADER, trace.header(call.trace, span)))


def within(call: Call, limits: Deadlines) -> Deadlines:
    """The target's deadlines, the last of them no later than that of the whole request."""
    left = call.deadline - call.state.clock.monotonic()
    return limits if limits.total <= left else msgspec.structs.replace(limits, total=max(left, 0.001))


def whole(
    call: Call, reply: transport.Reply, body: bytes, prepared: Prepared, head: Head, candidate: Candidate
) -> Reply:
    """The answer as the client wants it, for a client that does not stream."""
    codec, tagged = prepared.codec, prepared.tagged
    provider = candidate.target.upstream.name
    created = int(call.started_at)
    try:
        if is_stream(reply, codec):
            answer = bridge.reply(call.codec, read(codec, body, tagged=tagged, streamed=True), head, call.id, created)
        else:
            answer = bridge.whole(codec, call.codec, body, head, call.id, created, tagged=tagged)
    except ValueError as error:
        raise classify(malformed(str(error)), provider) from None
    if answer.fault is not None:
        _charged_all_the_same(call, answer.usage)
        raise classify(answer.fault, provider)
    if prepared.orders is not None:
        answer.body = orders.cleaned(answer.body, prepared.orders, provider)
    return answer


async def stream(
    call: Call, reply: transport.Reply, prepared: Prepared, head: Head, candidate: Candidate, auth: Auth, *, last: bool
) -> Opened:
    """The answer up to its first content, for a client that streams; up to its first bytes where this is the last
    candidate, for then waiting could save nothing. `auth` is what no text of it may say."""
    codec, tagged = prepared.codec, prepared.tagged
    if not is_stream(reply, codec):
        return await _whole_as_stream(call, reply, prepared, head, candidate, auth)
    provider = candidate.target.upstream.name
    redactor = None if prepared.orders is None else prepared.redactor()
    way = bridge.stream(codec, call.codec, head, call.id, int(call.started_at), tagged=tagged, redactor=redactor)
    way.retell = partial(retold, provider=provider, auth=auth)
    call.bridge = way
    return await opened(call, reply, way, provider, last=last)


async def opened(call: Call, reply: transport.Reply, way: Bridge, provider: str, *, last: bool) -> Opened:
    """The stream up to where it may be handed on. One that fails before may have been charged for: what its provider
    told of that is noted."""
    first = b""
    ended = False
    try:
        while not (ended or way.committed or way.over or way.fault or (last and first)):
            data = await reply.chunk()
            first += way.feed(data) if data else way.close()
            ended = not data
        if way.fault is not None:
            raise classify(way.fault, provider)
    except UpstreamError:
        _charged_all_the_same(call, way.usage)
        raise
    return Opened(reply, way, first, ended)


async def _whole_as_stream(
    call: Call, reply: transport.Reply, prepared: Prepared, head: Head, candidate: Candidate, auth: Auth
) -> Opened:
    """Some upstreams answer whole although a stream was asked for; events make one of it."""
    provider = candidate.target.upstream.name
    codec = prepared.codec
    body = await reply.read(REPLY_LIMIT)
    way = bridge.Translated(codec, call.codec, head, call.id, int(call.started_at), redactor=prepared.redactor())
    way.retell = partial(retold, provider=provider, auth=auth)
    try:
        first = way.replay(read(codec, body, tagged=prepared.tagged, streamed=False))
    except ValueError as error:
        raise classify(malformed(str(error)), provider) from None
    if way.fault is not None:
        raise classify(way.fault, provider)
    return Opened(reply, way, first, ended=True)


def read(codec: ChatCodec, body: bytes, *, tagged: bool, streamed: bool) -> Message:
    """What all of an answer says. Raises ValueError where the body is not the format's."""
    if streamed:
        decoder = codec.decoder()
        message = fold(decoder.feed(body) + decoder.close())
    else:
        message = codec.decode_reply(body)
    return untagged(message, codec.NAME) if tagged else message


def is_stream(reply: transport.Reply, codec: ChatCodec) -> bool:
    """By what the answer says of itself; one that says nothing is taken for whole."""
    for name, value in reply.headers:
        if name == b"content-type":
            return _kind(value) == _kind(codec.CONTENT_TYPE)
    return False


@lru_cache(maxsize=256)
def _kind(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip().lower()
