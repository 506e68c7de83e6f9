"""Who calls, and whether they may."""

from __future__ import annotations

from collections.abc import Iterable

from omniroute.errors import Forbidden, Unauthenticated
from omniroute.relay.asgi import Scope
from omniroute.routing import credential
from omniroute.routing.caller import Networks, client_ip
from omniroute.routing.credential import may_use
from omniroute.routing.host import host_allowed
from omniroute.routing.tables import ANONYMOUS, Gateway, Principal


def client(scope: Scope, trusted: Networks) -> str:
    """The address of the client; empty where the connection has none."""
    peer = scope.get("client")
    return client_ip(peer[0] if peer else "", scope["headers"], trusted)


def identify(gateway: Gateway, headers: Iterable[tuple[bytes, bytes]], query: bytes, now: float) -> Principal:
    """The caller. A key that is sent but wrong is refused even where none is required."""
    key = credential.extract(headers, query)
    if key is not None:
        return credential.owner(gateway, key, now)
    if gateway.server.require_api_key:
        raise Unauthenticated(
            "This gateway needs an API key: send it as `Authorization: Bearer`, `x-api-key` or `x-goog-api-key`."
        )
    return ANONYMOUS


def check_role(principal: Principal, role: str) -> None:
    """Raises Forbidden for a key that was made for something else."""
    if role not in principal.roles:
        raise Forbidden(f"The key `{principal.name}` has not the role `{role}`.", code="role_missing")


def check_page(headers: Iterable[tuple[bytes, bytes]], declared: frozenset[str]) -> None:
    """Raises Forbidden for what a page of another origin has a browser send: without a key nothing else would tell
    it from a program on this machine."""
    for name, value in headers:
        if name == b"host" and not host_allowed(value.decode("latin-1"), declared):
            raise Forbidden(
                "Without a key the gateway does not answer under this host name: see `server.allowed_hosts`.",
                code="host_not_allowed",
            )
        if name == b"sec-fetch-site" and value == b"cross-site":
            raise Forbidden("Without a key no page of another origin may use the gateway.", code="cross_site")


def check_origin(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raises Forbidden for a form of a page of another origin. A browser sends one without asking, unlike JSON, and an
    old browser does not say that it is of another site; but whose page it is it has always said."""
    said = dict(headers)
    origin = said.get(b"origin")
    if origin is not None and origin.partition(b"://")[2] != said.get(b"host"):
        raise Forbidden("Without a key no page of another origin may use the gateway.", code="cross_site")


def check_model(principal: Principal, model: str) -> None:
    """Raises Forbidden for a model that the key may not use."""
    if not may_use(principal, model):
        raise Forbidden(f"The key `{principal.name}` may not use the model `{model}`.", code="model_not_allowed")
