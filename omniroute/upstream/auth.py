"""How an outgoing request says who we are: one function a scheme, and the only place that opens a `Secret`."""

from __future__ import annotations

from collections.abc import Callable

from omniroute.routing.tables import Auth, Proxy
from omniroute.upstream.transport import Headers


def _header(name: bytes, prefix: str = "") -> Callable[[str], Headers]:
    return lambda key: ((name, f"{prefix}{key}".encode("latin-1")),)


SCHEMES: dict[str, Callable[[str], Headers]] = {
    "bearer": _header(b"authorization", "Bearer "),
    "x-api-key": _header(b"x-api-key"),
    "x-goog-api-key": _header(b"x-goog-api-key"),
    "api-key": _header(b"api-key"),
    "token": _header(b"authorization", "Token "),
    "raw": _header(b"authorization"),
    "none": lambda _key: (),
}


def conceal(auth: Auth, text: str) -> str:
    """The text without the credential: some providers quote what they were sent."""
    for secret in (auth.secret, auth.former):
        if secret is not None:
            text = text.replace(secret.reveal(), "<secret>")
    return text


def sign(auth: Auth) -> Headers:
    """The headers that carry the credential; none where the connection has no secret."""
    if auth.secret is None:
        return ()
    signed = SCHEMES[auth.scheme](auth.secret.reveal())
    return (*signed, *auth.headers) if auth.headers else signed


def proxy_credentials(proxy: Proxy) -> tuple[bytes, bytes] | None:
    """The user's name and password; None where the proxy has no user."""
    if proxy.username is None:
        return None
    password = "" if proxy.password is None else proxy.password.reveal()
    return proxy.username.reveal().encode("latin-1"), password.encode("latin-1")
