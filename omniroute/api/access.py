"""Who may use the management plane, and from where.

Rights come from a session or from a key and never from an address or a forwarding header.  What an address can do is
take away: under `require_login: false` only a connection that ends on this machine's own loopback is open.  Host and
origin are checked on every request, for a browser can be led here by a page that the operator never meant to trust.
"""

from __future__ import annotations

from collections.abc import Sequence
from hmac import compare_digest
from ipaddress import ip_address
from urllib.parse import urlsplit

from omniroute.api.endpoint import READS, Access, Endpoint, Request, Visitor
from omniroute.api.plane import Plane
from omniroute.errors import BadRequest, Forbidden, Unauthenticated
from omniroute.routing import credential
from omniroute.routing.host import host_allowed

COOKIE = "auth_token"
CSRF_HEADER = b"x-omniroute-csrf"
ADMIN = frozenset({"admin.read", "admin.write"})
SUFFICIENT: dict[Access, frozenset[str]] = {"admin.read": ADMIN, "admin.write": frozenset({"admin.write"})}
"""The roles of which one is enough; a public row asks for none."""


def check_host(hosts: Sequence[str], allowed: frozenset[str]) -> None:
    """Raises for a request that was sent to another name than ours."""
    if len(hosts) != 1:
        raise BadRequest("A request has exactly one Host header.", code="invalid_host")
    if not host_allowed(hosts[0], allowed):
        raise Forbidden("The management plane does not answer under this host name.", code="host_not_allowed")


def check_origin(request: Request) -> None:
    """Raises for a write that a page of another origin sends; what is no browser sends neither header."""
    site = request.header(b"sec-fetch-site")
    origin = request.header(b"origin")
    same_site = site is None or site.lower() in ("same-origin", "none")
    same_host = origin is None or _netloc(origin) == (request.header(b"host") or "").lower()
    if not (same_site and same_host):
        raise Forbidden("A page of another origin may not write here.", code="cross_origin")


def _netloc(origin: str) -> str | None:
    """The host and port of an origin; None for `null` and for what is no origin."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return None
    return parts.netloc if origin.lower() == f"{parts.scheme}://{parts.netloc}" else None


def identify(plane: Plane, request: Request, row: Endpoint) -> Visitor | None:
    """Who asks; None where nothing was shown. A key that is sent but wrong raises Unauthenticated, a session that is
    over is only not there any more, because a browser sends its cookie unasked. Where a row has a parameter `key`, that
    names one and is none."""
    gateway = plane.control.live.current
    query = b"" if row.asks_for("key") else request.scope["query_string"]
    key = credential.extract(request.scope["headers"], query)
    if key is not None:
        principal = credential.owner(gateway, key, plane.control.state.clock.now())
        return Visitor(principal.name, principal.roles)
    token = session_token(request)
    if token is not None:
        session = plane.sessions.find(token, plane.control.password_hash(), gateway.access.session_ttl)
        if session is not None:
            return Visitor("session", ADMIN, session)
    if not gateway.access.require_login and _ends_on_loopback(request):
        return Visitor("loopback", ADMIN)
    return None


def is_admin(visitor: Visitor | None) -> bool:
    """Whether the visitor may read what the management plane knows."""
    return visitor is not None and not visitor.roles.isdisjoint(ADMIN)


def authorize(visitor: Visitor | None, access: Access, request: Request) -> None:
    """Raises unless the visitor may use a row of this access class."""
    if access == "public":
        return
    if visitor is None:
        raise Unauthenticated("The management plane needs a login or a key with an admin role.", code="login_required")
    if visitor.roles.isdisjoint(SUFFICIENT[access]):
        raise Forbidden(f"The key `{visitor.name}` does not have the role `{access}`.", code="role_missing")
    check_csrf(visitor, request)


def check_csrf(visitor: Visitor | None, request: Request) -> None:
    """Raises for a write that comes with a session but without the word that only our own pages know."""
    if visitor is None or visitor.session is None or request.scope["method"] in READS:
        return
    word = request.header(CSRF_HEADER) or ""
    if not compare_digest(word.encode("latin-1"), visitor.session.csrf.encode()):
        raise Forbidden("A write with a session needs the header `X-OmniRoute-CSRF`.", code="csrf_token_wrong")


def session_token(request: Request) -> str | None:
    """The token of the session cookie. Two different ones are none: one of them was planted."""
    tokens = set()
    for line in request.headers(b"cookie"):
        for pair in line.split(";"):
            name, equals, value = pair.strip().partition("=")
            if name == COOKIE and equals:
                tokens.add(value)
    return tokens.pop() if len(tokens) == 1 else None


def _ends_on_loopback(request: Request) -> bool:
    """By our own end of the connection, which no client can choose."""
    server = request.scope["server"]
    try:
        return server is not None and ip_address(server[0]).is_loopback
    except ValueError:
        return False
