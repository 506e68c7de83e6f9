"""Gives an answer again where nothing that shapes it differs, or, where the configuration says so, nearly nothing.

An answer is kept as what it says (`formats/fold.py: Message`), so it can be told in any client's format, streamed or
whole, whichever way it first came. It gets an id and a date of its own, for the SDKs and those who log take an id for
one answer; its usage is what it took the first time, and its cost is nothing.

Looking comes before anything is planned or reserved: an answer that is here needs no account that works.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.fold import Message, fold, unfold
from omniroute.formats.ir import Chat, Loss
from omniroute.relay import embedding, headers, orders
from omniroute.relay.asgi import respond
from omniroute.relay.attempt import Prepared, is_stream, read
from omniroute.relay.call import Call
from omniroute.relay.pump import send_whole
from omniroute.relay.subject import decoded
from omniroute.routing import cacheable
from omniroute.routing.policies import refusal
from omniroute.routing.tables import Caching, Semantic
from omniroute.upstream.client import Client
from omniroute.upstream.transport import Reply

Serve = Callable[[], Awaitable[None]]
HEADER = b"x-omniroute-cache"
DECLINED = b"x-omniroute-no-cache"
FORCED = b"x-omniroute-connection"
MISS = ((HEADER, b"MISS"),)
HIT = "hit"
SEMANTIC = "semantic"
LONGEST = 1024 * 1024
"""Bytes of an upstream's answer that are taken down at most: a stream of 5,000 pieces, which are read in 20 ms."""


class Kept(msgspec.Struct, frozen=True):
    """An answer as it is kept, and the id of the target that gave it."""

    target: str
    message: Message
    losses: list[Loss]


_encode = msgspec.json.Encoder().encode
_kept = msgspec.json.Decoder(Kept).decode
_number = msgspec.json.Decoder(float).decode


def answer(call: Call, client: Client, serve: Serve) -> Awaitable[None]:
    """From the cache, else by `serve`, whose answer is kept where it may be."""
    head, caching, cache = call.head, call.gateway.cache, call.state.cache
    assert head is not None
    assert caching is not None
    betas = _betas(call)
    if betas is None or _warm(head.fields.get("temperature")):
        return serve()
    around = _circumstances(call, caching, betas)
    name = cacheable.name(around, call.endpoint.format, head.mode, head.body)
    key = cache.named(name)
    if key is None:
        chat = _comparable(call, head)
        if chat is None:
            return serve()
        key = cacheable.digest(around, chat)
        cache.name(name, key, caching.exact)
    found = cache.get(key, call.state.clock.now())
    kept = None if found is None else _kept(found)
    if kept is not None and _allowed(call, kept):
        return _replay(call, kept, HIT)
    return _serve(call, client, around, key, serve)


def _betas(call: Call) -> list[tuple[str, str]] | None:
    """The client's headers that shape an answer; None where one of them asks for a new one, or for
    one account's."""
    betas: list[tuple[str, str]] = []
    for name, value in call.headers:
        if name in cacheable.SHAPING:
            betas.append((name.decode(), value.decode("latin-1")))
        elif name == FORCED or (name == DECLINED and value.lower() == b"true"):
            return None
    return betas


def _circumstances(call: Call, caching: Caching, betas: list[tuple[str, str]]) -> bytes:
    principal, route = call.principal, call.route
    assert principal is not None
    assert route is not None
    return cacheable.circumstances(caching, principal, route, call.asked, call.variant, call.policies, betas)


def _comparable(call: Call, head: Head) -> Chat | None:
    """The request in no format's words; None where its answer is not to be given again."""
    try:
        chat = decoded(call, head)
    except BadRequest:  # an upstream of its own format may understand it, and will say so if not
        return None
    return None if cacheable.why_not(chat) else chat


def _warm(raw: msgspec.Raw | None) -> bool:
    """Whether a temperature at the top of the body is above 0, which spares a look at all of a long conversation."""
    if raw is None or patch.is_null(raw):
        return False
    try:
        return _number(raw) != 0.0
    except msgspec.DecodeError:
        return True


async def _serve(call: Call, client: Client, around: bytes, key: bytes, serve: Serve) -> None:
    """By what was asked alike, else by `serve`."""
    caching = call.gateway.cache
    assert caching is not None
    alike = None if caching.semantic is None else await _Alike.of(call, client, caching.semantic, around)
    near = alike.nearest() if alike is not None else None
    if near is not None and _allowed(call, near):
        await _replay(call, near, SEMANTIC)
        return
    call.told = MISS
    call.cache = "miss"
    call.recording = True
    route = call.route
    await serve()
    value = _worth_keeping(call)
    if value is not None and call.route is route:  # an exhausted budget may have led to another one
        call.state.cache.put(key, value, call.state.clock.now(), caching.exact)
        if alike is not None:
            alike.keep(key)


def _allowed(call: Call, kept: Kept) -> bool:
    """Whether the target may still answer this: a policy may be for some hours only."""
    if not call.policies:
        return True
    assert call.route is not None
    target = cacheable.target_of(call.route, kept.target)
    return target is None or refusal(call.policies, call.asked, target, call.started_at) is None


async def _replay(call: Call, kept: Kept, how: str) -> None:
    """Tells the answer in the client's format, in the form that it asked for."""
    head, route, message = call.head, call.route, kept.message
    assert head is not None
    assert route is not None
    call.target = cacheable.target_of(route, kept.target)
    call.told, call.losses = ((HEADER, how.upper().encode()),), kept.losses
    call.cache = how
    call.usage, call.finish, call.cost = message.usage, message.finish, Decimal(0)
    call.status = 200
    call.committed = True
    created = int(call.started_at)
    if not head.stream:
        await send_whole(call, call.codec.encode_reply(message, head, call.id, created))
        return
    encoder = call.codec.encoder(head, call.id, created)
    body = encoder.feed(unfold(message)) + encoder.close()
    call.first_byte = call.state.clock.monotonic()
    await respond(call.send, 200, headers.stream(call), body)


# -------------------------------------------------------------------------------------------------------- what is kept


class Record:
    """A reply that is taken down while it is read. Each try has its own; that of the try that answered counts."""

    __slots__ = ("_codec", "_parts", "_redactor", "_reply", "_size", "_streamed", "_tagged", "headers", "status")

    def __init__(self, reply: Reply, prepared: Prepared) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self._reply = reply
        self._codec, self._tagged = prepared.codec, prepared.tagged
        self._redactor = prepared.redactor()
        self._streamed = is_stream(reply, prepared.codec)
        self._parts: list[bytes] = []
        self._size = 0

    async def chunk(self) -> bytes:
        return self._took(await self._reply.chunk())

    async def read(self, limit: int) -> bytes:
        return self._took(await self._reply.read(limit))

    def close(self) -> None:
        self._reply.close()

    def _took(self, data: bytes) -> bytes:
        self._size += len(data)
        if self._size <= LONGEST:
            self._parts.append(data)
        else:
            self._parts.clear()
        return data

    def message(self) -> Message | None:
        """What was said, as far as it may go on; None where that was nothing, too much, or cannot be read apart from its
        format."""
        if not self._parts:
            return None
        try:
            said = read(self._codec, b"".join(self._parts), tagged=self._tagged, streamed=self._streamed)
        except ValueError:
            return None
        return said if self._redactor is None else fold(self._redactor(unfold(said)))


def recorded(call: Call, reply: Reply, prepared: Prepared) -> Reply:
    """The reply, taken down where its answer may be given again."""
    if not call.recording:
        return reply
    call.record = Record(reply, prepared)
    return call.record


def _worth_keeping(call: Call) -> bytes | None:
    """The answer as it is kept; None where it is not whole, not good, or more than words."""
    if call.fault is not None or call.status != 200 or call.finish not in cacheable.GOOD or call.target is None:
        return None
    message = call.record.message() if call.record is not None else None
    if message is None or not cacheable.keepable(message):
        return None
    told = msgspec.structs.replace(message, id="", model="", usage=call.usage)
    return _encode(Kept(call.target.id, told, call.losses))


# ------------------------------------------------------------------------------------------------------ what is alike


class _Alike:
    """One request among those of the same caller that differ in their last question only."""

    __slots__ = ("_call", "_partition", "_semantic", "_vector")

    def __init__(self, call: Call, semantic: Semantic, partition: bytes, vector: list[float]) -> None:
        self._call = call
        self._semantic = semantic
        self._partition = partition
        self._vector = vector

    @classmethod
    async def of(cls, call: Call, client: Client, semantic: Semantic, around: bytes) -> _Alike | None:
        """None where the last turn is more than text or cannot be redacted, or nothing embeds it in time."""
        assert call.head is not None
        chat = _comparable(call, call.head)
        asked = cacheable.question(chat) if chat is not None else None
        if asked is None:
            return None
        question, rest = asked
        cleared = orders.cleared_text(call, question)
        if cleared is None:
            return None
        vector = await embedding.embed(call, client, semantic, cleared)
        if vector is None:
            return None
        return cls(call, semantic, cacheable.digest(around + cacheable.numbers(question), rest), vector)

    def nearest(self) -> Kept | None:
        """The answer to the nearest question, if that is near enough and the answer still there."""
        state = self._call.state
        near = state.likeness.nearest(self._partition, self._vector, state.clock.now())
        if near is None or near[1] < self._semantic.threshold:
            return None
        found = state.cache.get(near[0], state.clock.now())
        if found is None:
            state.likeness.forget(near[0])
            return None
        return _kept(found)

    def keep(self, key: bytes) -> None:
        state = self._call.state
        state.likeness.put(self._partition, self._vector, key, state.clock.now(), self._semantic.keeping)
