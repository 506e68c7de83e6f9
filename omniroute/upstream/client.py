"""Sends a body to an upstream, and tells what a refusal means for fallback and health.

The one place that turns statuses into kinds: everything behind it looks at `UpstreamError.kind` alone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from itertools import chain
from typing import Protocol, TypeVar

import msgspec

from omniroute.errors import Fault, UpstreamError, UpstreamKind
from omniroute.formats.codec import Refusing, malformed
from omniroute.routing.tables import Auth, Connection, Deadlines, Endpoint, Target
from omniroute.upstream.answer import failure
from omniroute.upstream.auth import conceal, sign
from omniroute.upstream.image import Fetcher
from omniroute.upstream.scope import is_absent
from omniroute.upstream.transport import Headers, Reply, Request, Transport

T = TypeVar("T")
ERROR_LIMIT = 64 * 1024
"""Bytes of an error body that are read; what a provider says beyond is not worth the wait."""
ERROR_PATIENCE = 2.0
"""Seconds that are waited for it."""
LONGEST_MESSAGE = 2000
LONGEST_WORD = 200
LONGEST_WAIT = 86_400.0
_word = re.compile(rf"[!-~]{{1,{LONGEST_WORD}}}")

KINDS: dict[int, UpstreamKind] = {
    401: "auth",
    402: "quota",
    403: "auth",
    408: "timeout",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
OWN_CODES: dict[str | None, UpstreamKind] = {"upstream_truncated": "truncated", "upstream_malformed": "malformed"}
"""The codes of the faults that our decoders find themselves."""
QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_error", "credit_balance_too_low"})


class Tokens(Protocol):
    """The tokens of connections that sign in (`services/tokens.py`)."""

    def at_hand(self, connection: Connection) -> Auth | None:
        """How a request shows who it is, if that is known without waiting."""
        ...

    async def fresh(self, connection: Connection) -> Auth:
        """The same, waited for. Raises UpstreamError where there is no token to be had."""
        ...

    async def renewed(self, connection: Connection, refused: Auth) -> Auth | None:
        """A newer token than the one that was refused; None where there is none to be had."""
        ...

    def last(self, connection: Connection) -> Auth:
        """How requests show who they are, or did so until now."""
        ...


class Client:
    """Owns the transports for the life of the process, so that a reload keeps the open connections. Without `tokens`
    nobody is signed in anywhere, and requests go out as they are."""

    def __init__(
        self, transports: Mapping[str, Transport], images: Fetcher | None = None, tokens: Tokens | None = None
    ) -> None:
        self._transports = transports
        self._tokens = tokens
        self.images = images or Fetcher()

    def send(
        self,
        target: Target,
        connection: Connection,
        endpoint: Endpoint,
        path: str,
        usual: Headers,
        callers: Headers,
        body: bytes,
        deadlines: Deadlines,
        *,
        method: str = "POST",
    ) -> Awaitable[Reply]:
        """Asks one connection of a target's upstream, with the format's usual headers and those of the caller that mean
        something to it. Raises UpstreamError where there is no answer."""
        upstream = target.upstream
        request = Request(
            endpoint.origin,
            method,
            endpoint.base_path + path,
            (*merged(usual, upstream.headers, connection.headers, callers), *sign(connection.auth)),
            body,
            deadlines,
            target.via(connection, endpoint),
        )
        transport = self._transports[upstream.transport]
        if connection.auth.oauth is None or self._tokens is None:
            return transport.send(request)
        return _signed_in(transport, self._tokens, connection, request)

    def auth(self, connection: Connection) -> Auth:
        """How requests of a connection show who they are, so that no text says it."""
        if connection.auth.oauth is None or self._tokens is None:
            return connection.auth
        last = self._tokens.last(connection)
        besides = connection.auth.besides
        return msgspec.structs.replace(last, besides=besides) if besides else last

    async def close(self) -> None:
        self.images.close()
        for one in self._transports.values():
            await one.close()


async def _signed_in(transport: Transport, tokens: Tokens, connection: Connection, request: Request) -> Reply:
    """Sends a request with a token, and once more with a newer one where the provider refuses the first. All of it has
    the time of one."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + request.deadlines.total

    def signed(auth: Auth) -> Request:
        left = msgspec.structs.replace(request.deadlines, total=max(ends - loop.time(), 0.001))
        return msgspec.structs.replace(request, headers=(*request.headers, *sign(auth)), deadlines=left)

    auth = tokens.at_hand(connection)
    if auth is None:
        auth = await _in_time(tokens.fresh(connection), ends)
    reply = await transport.send(signed(auth))
    if reply.status != 401:
        return reply
    try:
        newer = await _in_time(tokens.renewed(connection, auth), ends)
    except BaseException:
        reply.close()
        raise
    if newer is None:
        return reply
    reply.close()
    return await transport.send(signed(newer))


async def _in_time(waiting: Awaitable[T], ends: float) -> T:
    """What is waited for, by a time of the loop. Raises UpstreamError(timeout)."""
    try:
        async with asyncio.timeout_at(ends):
            return await waiting
    except TimeoutError as error:
        raise failure("timeout", "no token within the deadline", error) from error


def merged(usual: Headers, *layers: Headers) -> Headers:
    """One header of each name: the last layer's, which for the caller's means that who wrote the body says how to read
    it. Betas are a list, to which each layer adds what is not there."""
    if not any(layers):
        return usual
    out = dict(usual)
    for name, value in chain.from_iterable(layers):
        before = out.get(name) if name.endswith(b"-beta") else None
        if before is None:
            out[name] = value
        elif value not in before.split(b","):
            out[name] = before + b"," + value
    return tuple(out.items())


async def refusal(reply: Reply, codec: Refusing, provider: str, now: float) -> UpstreamError:
    """What an answer with an error status says, as an error to raise."""
    if not 400 <= reply.status <= 599:
        return classify(malformed(f"status {reply.status}"), provider)
    body = await _said(reply)
    return classify(codec.decode_error(reply.status, body), provider, retry_after(reply.headers, now))


async def _said(reply: Reply) -> bytes:
    """What came of an error's body within a short time. The status has told already what matters, so a body that is
    long, slow or broken off only makes the message shorter."""
    pieces: list[bytes] = []
    with suppress(UpstreamError, TimeoutError):
        async with asyncio.timeout(ERROR_PATIENCE):
            while sum(map(len, pieces)) < ERROR_LIMIT and (piece := await reply.chunk()):
                pieces.append(piece)
    return b"".join(pieces)[:ERROR_LIMIT]


def classify(fault: Fault, provider: str, wait: float | None = None) -> UpstreamError:
    """The error that a provider's own words make."""
    told = retold(fault, provider)
    if wait is not None:
        told = msgspec.structs.replace(told, retry_after=wait)
    return UpstreamError(kind_of(fault), told)


def retold(fault: Fault, provider: str, auth: Auth | None = None) -> Fault:
    """What a provider said, in words that can be handed on: they say who spoke, control characters are dropped, length
    is bounded and our credential is taken out, for the words are a stranger's. A type or code of several words is none,
    and is dropped: it would be kept in the ledger, where nothing of a prompt may be. To tell it again changes nothing."""

    def clean(text: str, limit: int) -> str:
        kept = "".join(char for char in text if char.isprintable() or char in "\n\t")[:limit]
        return kept if auth is None else conceal(auth, kept)

    def word(text: str) -> str:
        return clean(text, LONGEST_WORD) if _word.fullmatch(text) is not None else ""

    name = f"[{provider}] "
    words = clean(fault.message.removeprefix(name), LONGEST_MESSAGE) or f"answered with status {fault.status}"
    return msgspec.structs.replace(
        fault,
        message=name + words,
        type=word(fault.type),
        code=(fault.code and word(fault.code)) or None,
        param=fault.param and clean(fault.param, LONGEST_WORD),
    )


def named(error: UpstreamError, provider: str, auth: Auth | None = None) -> UpstreamError:
    """A failure on the way there or back, told with the provider's name; its kind stays."""
    return UpstreamError(error.kind, retold(error.fault, provider, auth))


def kind_of(fault: Fault) -> UpstreamKind:
    if fault.status == 429 and (fault.code in QUOTA_CODES or fault.type in QUOTA_CODES):
        return "quota"
    if is_absent(fault):
        return "no_model"
    kind = OWN_CODES.get(fault.code) or KINDS.get(fault.status)
    if kind is not None:
        return kind
    return "server_error" if fault.status >= 500 else "invalid"


def retry_after(headers: list[tuple[bytes, bytes]], now: float) -> float | None:
    """Seconds to wait, from `retry-after-ms`, or `Retry-After` as seconds or as a date (RFC 9110, section 10.2.3)."""
    for name, value in headers:
        if name == b"retry-after-ms":
            seconds = _number(value)
            return None if seconds is None else seconds / 1000
    for name, value in headers:
        if name == b"retry-after":
            seconds = _number(value)
            return seconds if seconds is not None else _until(value, now)
    return None


def _number(value: bytes) -> float | None:
    return min(float(value), LONGEST_WAIT) if value.strip().replace(b".", b"", 1).isdigit() else None


def _until(value: bytes, now: float) -> float | None:
    try:
        return min(max(0.0, parsedate_to_datetime(value.decode("latin-1")).timestamp() - now), LONGEST_WAIT)
    except (ValueError, TypeError):
        return None
