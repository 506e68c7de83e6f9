"""How far the clock of this machine is from those of the providers, by the `Date` of what they answer (RFC 9110, 6.6.1).

Who signs requests, and whose sign-ins and budgets end at a time, goes by the clock. No key is sent, and a proxy that
calls go through is gone through.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime

from omniroute.errors import UpstreamError
from omniroute.routing.tables import Deadlines, Upstream
from omniroute.upstream.transport import Request, Transport

PATIENCE = Deadlines(connect=5.0, first_byte=5.0, idle=5.0, total=10.0)


async def ahead(upstreams: Iterable[Upstream], transport: Transport) -> float | None:
    """Seconds that this clock is ahead of the first provider that tells the time; None where nobody does."""
    for request in dict.fromkeys(_requests(upstreams)):
        try:
            reply = await transport.send(request)
        except UpstreamError:
            continue  # whether it can be reached is told of its connections
        now, told = time.time(), dict(reply.headers).get(b"date")
        reply.close()
        try:
            there = parsedate_to_datetime((told or b"").decode("ascii", "replace"))
        except ValueError:
            continue
        return now - there.timestamp()
    return None


def _requests(upstreams: Iterable[Upstream]) -> Iterable[Request]:
    for upstream in upstreams:
        for endpoint in upstream.endpoints.values():
            if endpoint.origin.host.endswith(".invalid"):
                continue  # the demo provider, which is no host
            for connection in upstream.connections:
                proxy = None if endpoint.direct else connection.proxy or upstream.proxy
                yield Request(endpoint.origin, "GET", "/", ((b"accept", b"*/*"),), b"", PATIENCE, proxy)
