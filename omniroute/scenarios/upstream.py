"""Providers that answer as the scenario says: at once, after a while, or not.

They stand where the client of `upstream/` stands, and speak each format in its own words, so that everything behind
them, from what a status means to how an answer is translated, is what serves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import repeat
from urllib.parse import unquote

import msgspec

from omniroute.config.spec.scenarios import GivenSpec, Step
from omniroute.config.spec.words import seconds
from omniroute.errors import Fault, FaultKind, UpstreamError, UpstreamKind
from omniroute.formats.codec import TRUNCATED, malformed
from omniroute.formats.codecs import CHAT
from omniroute.formats.embeddings import EMBEDDINGS, Embedded
from omniroute.formats.fold import Message
from omniroute.formats.ir import Raw, Text, Usage
from omniroute.formats.tokens import BYTES_PER_TOKEN
from omniroute.formats.unary import Moment
from omniroute.routing.tables import Connection, Deadlines, Endpoint, Target, Upstream
from omniroute.upstream.client import Client
from omniroute.upstream.demo import Answer
from omniroute.upstream.transport import Headers

REFUSED: Mapping[str, tuple[FaultKind, int]] = {
    "auth": ("authentication", 401),
    "quota": ("billing", 402),
    "rate_limited": ("rate_limited", 429),
    "overloaded": ("overloaded", 503),
    "server_error": ("server", 500),
    "invalid": ("invalid_request", 400),
}
"""The failures that a provider tells itself, by the status that it tells them with."""
LOST: Mapping[str, Fault] = {
    "timeout": Fault(kind="timeout", status=504, message="no answer within the deadline"),
    "connect": Fault(kind="unavailable", status=502, message="cannot be reached"),
}
"""The failures on the way."""
BROKEN: Mapping[str, Fault] = {"truncated": TRUNCATED, "malformed": malformed("what is not JSON")}
"""The failures that show in an answer."""
ERRORS = {"openai": "openai_chat"}
"""The chat format that tells of refusals as an operation's format does, where it has another name."""
SAID = "Understood."
Words = partial[bytes]
"""Answers a path and a body with a usage, in the format whose name is its first argument."""


class Sent(msgspec.Struct):
    """A request as an upstream got it."""

    target: str
    connection: str
    body: bytes


class Script(Client):
    """The providers of one scenario. `sent` is what they were sent, in order."""

    def __init__(self, given: GivenSpec) -> None:
        super().__init__({})
        self.sent: list[Sent] = []
        self._given = given
        self._failures = {who: _steps(how) for who, how in given.fails.items()}

    async def send(
        self,
        target: Target,
        connection: Connection,
        endpoint: Endpoint,
        path: str,
        usual: Headers,  # noqa: ARG002 - which headers go out is none of a scenario's business
        callers: Headers,  # noqa: ARG002 - as above
        body: bytes,
        deadlines: Deadlines,
        *,
        method: str = "POST",  # noqa: ARG002 - nothing is asked for otherwise
    ) -> Answer:
        words = self._words(target.upstream, endpoint)
        self.sent.append(Sent(target.id, connection.id, body))
        names = (target.id, connection.id, target.upstream.name)
        pause = max((seconds(self._given.slow[name]) for name in names if name in self._given.slow), default=0.0)
        limit = min(deadlines.first_byte, deadlines.total)
        failure = self._failure(names)
        if pause >= limit or failure == "timeout":
            await asyncio.sleep(limit)
            raise UpstreamError("timeout", LOST["timeout"])
        await asyncio.sleep(pause)
        if failure is not None:
            return _failed(failure, words)
        return Answer(200, b"application/json", [words(path, body, self._usage(body))])

    def _words(self, upstream: Upstream, endpoint: Endpoint) -> Words:
        """In which words the upstream was asked."""
        if self._given.operation == "embeddings":
            return partial(_vectors, upstream.operations["embeddings"].format)
        return partial(_chat, next(name for name, one in upstream.endpoints.items() if one is endpoint))

    def _failure(self, names: tuple[str, ...]) -> UpstreamKind | None:
        """How this call fails, if it does: the model's word counts more than the connection's, and that more than the
        provider's."""
        for name in names:
            if name in self._failures:
                step: Step = next(self._failures[name], "ok")
                return None if step == "ok" else step
        return None

    def _usage(self, body: bytes) -> Usage:
        said = self._given.usage
        guessed = round(len(body) / BYTES_PER_TOKEN) if self._given.tokens is None else self._given.tokens
        return Usage(
            input=guessed if said.input is None else said.input,
            output=said.output,
            cached=said.cached,
            reasoning=said.reasoning,
        )


def _steps(how: Step | tuple[Step, ...]) -> Iterator[Step]:
    return iter(how) if isinstance(how, tuple) else repeat(how)


def _failed(failure: UpstreamKind, words: Words) -> Answer:
    """The answer that tells a failure. Raises UpstreamError for one that comes without."""
    if failure in LOST:
        raise UpstreamError(failure, LOST[failure])
    if failure in BROKEN:
        return _Broken(failure)
    kind, status = REFUSED[failure]
    fault = Fault(kind=kind, status=status, message="the scenario has it fail")
    return Answer(status, b"application/json", [CHAT[ERRORS.get(words.args[0], words.args[0])].encode_error(fault, "")])


class _Broken(Answer):
    """An answer that is none."""

    def __init__(self, kind: UpstreamKind) -> None:
        super().__init__(200, b"application/json", [])
        self._kind = kind

    async def chunk(self) -> bytes:
        raise UpstreamError(self._kind, BROKEN[self._kind])

    async def read(self, limit: int) -> bytes:  # noqa: ARG002 - there is nothing to read
        return await self.chunk()


def _chat(form: str, path: str, body: bytes, usage: Usage) -> bytes:
    """An answer to a conversation in this format."""
    codec = CHAT[form]
    head = codec.peek(body, _below(path))
    message = Message("answer", head.model, (Text(SAID),), usage=usage, finish="stop")
    return codec.encode_reply(message, head, "answer", 0)


def _vectors(form: str, path: str, body: bytes, usage: Usage) -> bytes:
    """The same for embeddings."""
    codec = EMBEDDINGS[form]
    head = codec.peek(body, _below(path), b"")
    asked = codec.decode_request(head)
    vectors = tuple(Raw(b"[0.6,0.8]") for _ in asked.inputs)
    made = codec.encode_reply(Embedded(vectors, Usage(input=usage.input)), asked, head, Moment(0))
    return made.body


def _below(path: str) -> str:
    """What a format that names the model in the path looks at."""
    return unquote(path.partition("?")[0]).removeprefix("/models/")
