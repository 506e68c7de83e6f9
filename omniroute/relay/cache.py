"""Gives an answer again where nothing that shapes it differs, or, where the configuration says so, nearly nothing.

An answer is kept as what it says (`formats/fold.py: Message`), so it can be told in any client's format, streamed or
whole, whichever way it first came. It gets an id and a date of its own, for the SDKs and those who log take an id for
one answer; its usage is what it took the first time, and its cost is nothing.

Looking comes before anything is planned or reserved: an answer that is here needs no account that works.

Most answers are never asked for again. So the same bytes find each other by a digest of them, and what a request means
and an answer says is read when there is another request that may mean the same, or it is written to the file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial

import msgspec

from omniroute.errors import BadRequest
from omniroute.formats import patch
from omniroute.formats.codec import ClientCodec, Head, no_time
from omniroute.formats.fold import Message, fold, unfold
from omniroute.formats.ir import Chat, Loss, Usage
from omniroute.relay import embedding, headers, orders
from omniroute.relay.asgi import respond
from omniroute.relay.attempt import Prepared, is_stream, read
from omniroute.relay.call import Call
from omniroute.relay.pump import send_whole
from omniroute.relay.subject import decoded
from omniroute.routing import cacheable
from omniroute.routing.ruling import ruling
from omniroute.routing.tables import Caching, Semantic
from omniroute.state.cache import Entry, Item, Written
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


class Question:
    """A request that may have been asked before, or be asked again. What it means is read when that is asked for."""

    __slots__ = ("_codec", "_head", "_key", "_known", "around", "name", "outline")

    def __init__(self, codec: ClientCodec, head: Head, around: bytes, name: bytes) -> None:
        self._codec = codec
        self._head = head
        self._known = False
        self._key: bytes | None = None
        self.around = around
        self.name = name
        self.outline = cacheable.outline(around, head.body)

    @property
    def size(self) -> int:
        return len(self._head.body)

    def lasts(self) -> None:
        """It outlives its request."""
        self._head.elapsed = no_time

    def key(self) -> bytes | None:
        """A digest of what it means; None where its answer is not to be given again."""
        if not self._known:
            self._key = self.read(partial(self._codec.decode_request, self._head))
        return self._key

    def read(self, decode: Callable[[], Chat]) -> bytes | None:
        """The same, where somebody else may want to know what is decoded, too."""
        try:
            chat = decode()
            self._key = None if cacheable.why_not(chat) else cacheable.digest(self.around, chat)
        except (
            BadRequest,
            *cacheable.UNREADABLE,
        ):  # an upstream of its own format may understand it, and will say so if not
            self._key = None
        self._known = True
        return self._key


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
    now = call.state.clock.now()
    found = cache.get(name, now)
    question = None
    if found is None:
        question = Question(call.codec, head, around, name)
        if not cacheable.plain(head.fields, head.body) and question.read(partial(decoded, call, head)) is None:
            return serve()
        found = cache.find(question.outline, question.key, now)
        if found is not None:
            cache.name(name, found.name, caching.exact)
    kept = None if found is None else _told(call, found)
    if kept is not None and _allowed(call, kept):
        return _replay(call, kept, HIT)
    return _serve(call, client, question or Question(call.codec, head, around, name), serve)


def _told(call: Call, entry: Entry) -> Kept | None:
    """What is kept; None where it now turns out that this is not to be given again."""
    value = entry.item.value()
    if value is None:
        call.state.cache.drop(entry.name)
        return None
    return _kept(value)


def _comparable(call: Call, head: Head) -> Chat | None:
    """The request in no format's words; None where its answer is not to be given again."""
    try:
        chat = decoded(call, head)
    except BadRequest:
        return None
    return None if cacheable.why_not(chat) else chat


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


def _warm(raw: msgspec.Raw | None) -> bool:
    """Whether a temperature at the top of the body is above 0, which spares a look at all of a long conversation."""
    if raw is None or patch.is_null(raw):
        return False
    try:
        return _number(raw) != 0.0
    except msgspec.DecodeError:
        return True


async def _serve(call: Call, client: Client, question: Question, serve: Serve) -> None:
    """By what was asked alike, else by `serve`."""
    caching = call.gateway.cache
    assert caching is not None
    alike = None if caching.semantic is None else await _Alike.of(call, client, caching.semantic, question.around)
    near = alike.nearest() if alike is not None else None
    if near is not None and _allowed(call, near):
        await _replay(call, near, SEMANTIC)
        return
    call.told = MISS
    call.cache = "miss"
    call.recording = True
    route = call.route
    await serve()
    item = _worth_keeping(call, question)
    if item is not None and call.route is route:  # an exhausted budget may have led to another one
        call.state.cache.put(question.name, item, call.state.clock.now(), caching.exact)
        if alike is not None:
            alike.keep(question.name)


def _allowed(call: Call, kept: Kept) -> bool:
    """Whether the target may still answer this: a policy may be for some hours only."""
    if not call.policies:
        return True
    assert call.route is not None
    target = cacheable.target_of(call.route, kept.target)
    said = ruling(call.policies, call.asked, call.operation, call.route)
    return target is None or said.denial(target, call.started_at) is None


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

    __slots__ = ("_codec", "_parts", "_redactor", "_reply", "_streamed", "_tagged", "headers", "size", "status")

    def __init__(self, reply: Reply, prepared: Prepared) -> None:
        self.status = reply.status
        self.headers = reply.headers
        self.size = 0
        self._reply: Reply | None = reply
        self._codec = prepared.codec
        self._tagged = prepared.tagged
        self._redactor = None if prepared.orders is None else prepared.redactor()
        self._parts: list[bytes] = []
        self._streamed = False

    async def chunk(self) -> bytes:
        assert self._reply is not None
        return self._took(await self._reply.chunk())

    async def read(self, limit: int) -> bytes:
        assert self._reply is not None
        return self._took(await self._reply.read(limit))

    def close(self) -> None:
        """What was taken down may outlive the request, and all else goes with it."""
        if self._reply is not None:
            self._reply.close()
            self._reply = None
            self._streamed = is_stream(self, self._codec)
            self.headers = []

    def _took(self, data: bytes) -> bytes:
        self.size += len(data)
        if self.size <= LONGEST:
            self._parts.append(data)
        else:
            self._parts.clear()
        return data

    @property
    def lasting(self) -> bool:
        """Whether it can be read later as well as now."""
        return self._redactor is None

    def message(self) -> Message | None:
        """What was said, as far as it may go on; None where that was nothing, too much, or cannot be read apart from its
        format."""
        if not self._parts:
            return None
        try:
            said = read(self._codec, b"".join(self._parts), tagged=self._tagged, streamed=self._streamed)
        except cacheable.UNREADABLE:
            return None
        return said if self._redactor is None else fold(self._redactor(unfold(said)))


def recorded(call: Call, reply: Reply, prepared: Prepared) -> Reply:
    """The reply, taken down where its answer may be given again."""
    if not call.recording:
        return reply
    call.record = Record(reply, prepared)
    return call.record


def _worth_keeping(call: Call, question: Question) -> Item | None:
    """The answer as it is kept; None where it is not whole, not good, or more than words, as far as can be told."""
    record, target = call.record, call.target
    if call.fault is not None or call.status != 200 or call.finish not in cacheable.GOOD:
        return None
    if record is None or target is None:
        return None
    draft = Draft(question, record, target.id, call.usage, call.losses)
    return draft if record.lasting else draft.written()


class Draft:
    """A question and its answer as they went by, to be read when somebody wants to know."""

    __slots__ = ("_losses", "_question", "_read", "_record", "_target", "_usage", "_value", "outline", "size")

    def __init__(
        self, question: Question, record: Record, target: str, usage: Usage | None, losses: list[Loss]
    ) -> None:
        question.lasts()
        self._question = question
        self._record = record
        self._target = target
        self._usage = usage
        self._losses = losses
        self._read = False
        self._value: bytes | None = None
        self.outline = question.outline
        self.size = question.size + record.size

    def key(self) -> bytes | None:
        return self._question.key()

    def value(self) -> bytes | None:
        """The answer; None where it is not whole, or more than words."""
        if not self._read:
            self._value = self._told()
            self._read = True
        return self._value

    def _told(self) -> bytes | None:
        message = self._record.message()
        if message is None or not cacheable.keepable(message):
            return None
        told = msgspec.structs.replace(message, id="", model="", usage=self._usage)
        return _encode(Kept(self._target, told, self._losses))

    def written(self) -> Written | None:
        """The same, read now."""
        key, value = self.key(), self.value()
        return None if key is None or value is None else Written(self.outline, key, value)


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
        asked = None if chat is None else cacheable.question(chat)
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
        return _told(self._call, found)

    def keep(self, key: bytes) -> None:
        state = self._call.state
        state.likeness.put(self._partition, self._vector, key, state.clock.now(), self._semantic.keeping)
