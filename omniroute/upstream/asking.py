"""What a provider is asked besides serving: which models it has, and whether it can be reached at all.

Off the hot path, bounded in bytes, pages and time, and without any effect on health: nobody waits for these answers but
the person who has asked.
"""

from __future__ import annotations

import asyncio
import ssl

from omniroute.catalog import Model
from omniroute.errors import Fault, UpstreamError
from omniroute.formats.codec import malformed
from omniroute.formats.codecs import CHAT
from omniroute.formats.model_lists import LISTINGS, Found, Page
from omniroute.routing.resolve import single
from omniroute.routing.tables import Connection, Deadlines, Origin, Proxy, Target, Upstream
from omniroute.upstream.client import Client, classify, named, refusal
from omniroute.upstream.dial import dial, reason

PATIENCE = 20.0
"""Seconds for all of a list."""
DEADLINES = Deadlines(connect=5.0, first_byte=15.0, idle=10.0, total=PATIENCE)
PAGE = 16 * 1024 * 1024
"""Bytes of a part of a list: OpenRouter's whole one has half a megabyte."""
PAGES = 20
_LATE = Fault(kind="timeout", status=504, message="the list of models was not there in time")


def listing_format(upstream: Upstream) -> str:
    """The format in which the upstream can be asked for its models; empty where there is none."""
    return next((form for form in upstream.endpoints if form in LISTINGS), "")


async def models(client: Client, upstream: Upstream, connection: Connection, now: float) -> list[Found]:
    """What the upstream says that it has, as this account sees it. Raises UpstreamError."""
    form = listing_format(upstream)
    listing = LISTINGS[form]
    (asked,) = single(upstream, "models", "models", Model(id="models", kind=None)).steps
    assert isinstance(asked, Target)
    found: list[Found] = []
    path = listing.path
    try:
        async with asyncio.timeout(PATIENCE):
            for _ in range(PAGES):
                page = await _page(client, asked, connection, form, path, now)
                found += page.models
                if not page.more:
                    break
                path = listing.after(page)
    except TimeoutError:
        raise named(UpstreamError("timeout", _LATE), upstream.name) from None
    except UpstreamError as error:
        raise named(error, upstream.name, connection.auth) from None
    return found


async def _page(client: Client, asked: Target, connection: Connection, form: str, path: str, now: float) -> Page:
    codec = CHAT[form]
    endpoint = asked.upstream.endpoints[form]
    reply = await client.send(asked, connection, endpoint, path, codec.HEADERS, (), b"", DEADLINES, method="GET")
    try:
        if reply.status != 200:
            raise await refusal(reply, codec, asked.upstream.name, now)
        body = await reply.read(PAGE)
    finally:
        reply.close()
    try:
        return LISTINGS[form].read(body)
    except (ValueError, RecursionError):
        raise classify(malformed("it is no list of models"), asked.upstream.name) from None


async def reach(origin: Origin, proxy: Proxy, tls: ssl.SSLContext, patience: float) -> None:
    """Connects to an origin through a proxy, with TLS where the origin has it, and hangs up. Raises UpstreamError with
    words that name neither the proxy nor a credential."""
    try:
        async with asyncio.timeout(patience):
            protocol = await dial(origin, tls if origin.scheme == "https" else None, _Hanging, proxy)
    except TimeoutError:
        fault = Fault(kind="timeout", status=504, message="the proxy did not connect in time")
        raise UpstreamError("timeout", fault) from None
    except (OSError, UnicodeError) as error:
        raise UpstreamError("connect", Fault(kind="server", status=502, message=reason(error))) from None
    protocol.hang_up()


class _Hanging(asyncio.Protocol):
    """Says nothing."""

    _transport: asyncio.BaseTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def hang_up(self) -> None:
        self._transport.close()
