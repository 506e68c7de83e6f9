"""Serves a request for speech as text: from whichever provider, in whichever of the client's formats.

The file is held in memory as long as the request lasts, within the limit of the endpoint: the next candidate needs it
once more, and a name that is no model or a file that is no audio is to be found out before anything is sent.

A provider's conversation says what to ask next; here it is asked, and waited for in between. All of it together has the
time of one try, and ends at once when the client leaves.
"""

from __future__ import annotations

from functools import partial

import msgspec

from omniroute.errors import Fault, Unsupported, UpstreamError
from omniroute.formats.codec import Head, malformed
from omniroute.formats.ir import Loss, Usage
from omniroute.formats.transcription import TRANSCRIPTION, answer, sound
from omniroute.formats.transcription import request as requests
from omniroute.formats.transcription.codec import Answered, Ask, TranscriptionCodec
from omniroute.formats.transcription.stream import Through
from omniroute.formats.transcription.values import Transcript, Transcription
from omniroute.relay import admission, attempt, idempotency, meter, orders, pump
from omniroute.relay.attempt import Opened
from omniroute.relay.call import Call
from omniroute.relay.decision import decide
from omniroute.relay.demand import SLOWEST_SOUND, Demand
from omniroute.relay.health import learn
from omniroute.relay.queue import candidates
from omniroute.relay.relay import Exchange, run, speaks
from omniroute.routing.plan import Candidate
from omniroute.routing.tables import Auth, Target
from omniroute.upstream import transport
from omniroute.upstream.answer import failure
from omniroute.upstream.client import Client, classify, named, refusal, retold

EVENTS = b"text/event-stream"


class Prepared(msgspec.Struct):
    """What is asked of a target, in whose words, and what of it they cannot say."""

    codec: TranscriptionCodec
    request: Transcription
    losses: list[Loss]
    headers: transport.Headers = ()


async def transcribe(call: Call, client: Client, _body: bytes) -> None:
    """Answers `/v1/audio/transcriptions`."""
    request = requests.decode(call.form)
    call.head = Head(request.model, request.stream, {})

    def prepare(target: Target) -> Exchange:
        service = target.upstream.operations[call.endpoint.operation]
        codec = TRANSCRIPTION.get(service.format)
        if codec is None:
            raise Unsupported(f"`{target.upstream.name}` transcribes in no format that is known here.", param="model")
        told = orders.ordered(call, target)
        orders.unlooked(told, target)
        losses = codec.losses(request, target.model)
        if losses and call.gateway.server.strict_translation:
            raise attempt.lossy(target, losses)
        return partial(_exchange, client, Prepared(codec, request, losses, () if told is None else told.headers))

    decide(call)

    async def work() -> None:
        admission.admit(call, partial(_demand, request))
        await run(call, await candidates(call), prepare)

    await idempotency.guarded(call, work)


def _demand(request: Transcription, call: Call) -> Demand:
    assert call.head is not None
    seconds = sound.duration(request.audio)
    return Demand(call.head, None, seconds=len(request.audio) / SLOWEST_SOUND if seconds is None else seconds)


async def _exchange(client: Client, prepared: Prepared, call: Call, candidate: Candidate) -> UpstreamError | None:
    """Holds the conversation with one candidate and answers the client. The failure is given back and not raised, so
    that a stream that failed after its first words still counts against the connection."""
    provider = candidate.target.upstream.name
    try:
        told = await _converse(call, client, prepared, candidate)
        if isinstance(told, Transcript):
            await _whole(call, told, prepared, candidate)
            return None
        opened, way = told
        return await _stream(call, opened, way, prepared, candidate)
    except UpstreamError as error:
        return named(error, provider, client.auth(candidate.connection))
    except (ValueError, RecursionError) as error:
        return named(classify(malformed(str(error)), provider), provider, client.auth(candidate.connection))


async def _converse(
    call: Call, client: Client, prepared: Prepared, candidate: Candidate
) -> Transcript | tuple[Opened, Through]:
    """All requests that the transcript takes, or the stream that one of them opens. Raises UpstreamError for a refusal
    as for a failure, ValueError for an answer that is none."""
    request, target = prepared.request, candidate.target
    talk = prepared.codec.converse(request, target.model, call.id)
    within = attempt.within(call, target.deadlines).total
    ends = call.state.clock.monotonic() + within
    try:
        ask = next(talk)
        while True:
            if call.state.clock.monotonic() + ask.pause >= ends:
                raise failure("timeout", f"the transcript was not there within {within:g} s")
            if ask.pause:
                await call.state.clock.sleep(ask.pause)
            reply = await _send(call, client, prepared, candidate, ask, ends)
            kind = _content_type(reply)
            if request.stream and kind.partition(b";")[0].strip().lower() == EVENTS:
                return await _opened(call, reply, candidate, client.auth(candidate.connection))
            try:
                answered = Answered(kind, await reply.read(attempt.REPLY_LIMIT))
            finally:
                reply.close()
            ask = talk.send(answered)
    except StopIteration as done:
        told: Transcript | Fault = done.value
    if isinstance(told, Fault):
        raise classify(told, target.upstream.name)
    return told


async def _send(
    call: Call, client: Client, prepared: Prepared, candidate: Candidate, ask: Ask, ends: float
) -> transport.Reply:
    """The upstream's answer to one request, opened."""
    target = candidate.target
    left = max(ends - call.state.clock.monotonic(), 0.001)
    reply = await client.send(
        target,
        candidate.connection,
        target.upstream.operations[call.endpoint.operation].endpoint,
        ask.path,
        ((b"content-type", ask.content_type),) if ask.content_type else (),
        attempt.traced(call, candidate, prepared.headers),
        ask.body,
        msgspec.structs.replace(target.deadlines, total=left),
        method=ask.method,
    )
    learn(call.state, candidate, reply.headers)
    if reply.status == 200:
        return reply
    try:
        raise await refusal(reply, prepared.codec, target.upstream.name, call.state.clock.now())
    finally:
        reply.close()


def _content_type(reply: transport.Reply) -> bytes:
    return next((value for name, value in reply.headers if name == b"content-type"), b"")


async def _opened(call: Call, reply: transport.Reply, candidate: Candidate, auth: Auth) -> tuple[Opened, Through]:
    """A stream of an upstream of the client's own format, up to its first words."""
    way = Through()
    provider = candidate.target.upstream.name
    way.retell = partial(retold, provider=provider, auth=auth)
    try:
        return await attempt.opened(call, reply, way, provider, last=call.last), way
    except BaseException:
        reply.close()
        raise


async def _stream(
    call: Call, opened: Opened, way: Through, prepared: Prepared, candidate: Candidate
) -> UpstreamError | None:
    """Hands a stream on. One that breaks off has been listened to all the same."""
    call.losses = prepared.losses
    if way.committed:
        speaks(call, candidate)
    try:
        return await pump.stream(call, opened, candidate.target.upstream.name)
    finally:
        opened.reply.close()
        call.finish = way.finish
        _settle(call, candidate, way.usage, sound.duration(prepared.request.audio), way.billed)


async def _whole(call: Call, transcript: Transcript, prepared: Prepared, candidate: Candidate) -> None:
    """Answers with all of it at once; as events where these were asked for."""
    request = prepared.request
    if transcript.duration is None:
        transcript = msgspec.structs.replace(transcript, duration=sound.duration(request.audio))
    if request.stream and request.response_format in answer.STREAMED:
        assert call.head is not None
        content_type, body = call.codec.content_type(call.head), answer.events(request, transcript)
    else:
        content_type, body = answer.encode(request, transcript)
    call.losses = prepared.losses
    call.finish = "stop"
    _settle(call, candidate, transcript.usage, transcript.duration, transcript.billed)
    call.status = 200
    call.committed = True
    await pump.send_whole(call, body, content_type)


def _settle(
    call: Call, candidate: Candidate, usage: Usage | None, duration: float | None, billed: float | None
) -> None:
    """Notes what it took. The provider's own word for what it charges counts more than how long the audio is."""
    call.usage = usage
    call.seconds = duration if duration is not None else billed
    call.cost = meter.heard(candidate.target, usage, billed if billed is not None else duration)
