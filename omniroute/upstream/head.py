"""The head of a request as bytes, built in one piece and refused when it could be read as another request.

A caller's text may reach a target or a header by way of a config or a codec. So the last thing before the socket looks
once more: no control character that ends a line, no space that ends a target, and no header that says where the body
ends but our own.
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter

from omniroute.errors import Fault, UpstreamError
from omniroute.routing.tables import DEFAULT_PORTS
from omniroute.upstream.transport import Origin, Request

RESERVED = frozenset(
    {
        b"accept-encoding",
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Names that are the client's own to send: they decide where a message ends and what comes back."""

BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
"""Methods for which an absent body needs no `content-length: 0`."""


def authority(origin: Origin) -> bytes:
    """What the `host` header says: brackets around an IPv6 literal, no port where it is the scheme's own."""
    host = origin.host
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    if origin.port != DEFAULT_PORTS.get(origin.scheme):
        host = f"{host}:{origin.port}"
    return host.encode("ascii")


def request_head(request: Request, host: bytes) -> bytes:
    """Everything before the body. Raises UpstreamError(invalid) for a head that is not one request's."""
    headers = request.headers
    if not RESERVED.isdisjoint(map(bytes.lower, map(_name, headers))):
        raise _refused("the request has a header that only the HTTP client may set")
    lines = [_opening(request.method, request.target, host), *map(b": ".join, headers)]
    length = len(request.body)
    if length or request.method not in BODILESS:
        lines.append(b"content-length: %d" % length)
    line_ends = len(lines) + 3
    head = b"\r\n".join((*lines, b"", b""))
    if head.count(b"\r") != line_ends or head.count(b"\n") != line_ends or b"\0" in head:
        raise _refused("the request has a control character in its head")  # a line end that is not one of ours
    return head


_name = itemgetter(0)


@lru_cache(maxsize=1024)
def _opening(method: str, target: str, host: bytes) -> bytes:
    """What does not change between requests for one thing, and is no secret."""
    if not (target.startswith("/") and target.isascii() and target.isprintable()) or " " in target:
        raise _refused("the request's target is not a path")
    return b"%b %b HTTP/1.1\r\nhost: %b\r\naccept-encoding: identity" % (method.encode(), target.encode(), host)


def _refused(message: str) -> UpstreamError:
    return UpstreamError("invalid", Fault(kind="invalid_request", status=400, message=message))
