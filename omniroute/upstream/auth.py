"""How an outgoing request says who we are: one function a scheme, and the only place that opens a `Secret`."""

from __future__ import annotations

from collections.abc import Callable

from omniroute.routing.tables import Auth, Proxy
from omniroute.upstream.transport import Headers

CONCEALED = "<secret>"
TELLING = 8
"""Characters at the beginning of a secret that say more than of what kind it is."""


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
    """The text without the credential: some providers quote what they were sent. The text may have been cut off within
    one, so the beginning of one at its end is taken out too."""
    for secret in (auth.secret, auth.former, *auth.besides):
        if secret is not None:
            text = _without(secret.reveal(), text)
    return text


def _without(value: str, text: str) -> str:
    text = text.replace(value, CONCEALED)
    most = min(len(value) - 1, len(text))
    cut = next((size for size in range(most, TELLING - 1, -1) if text.endswith(value[:size])), 0)
    return text[:-cut] + CONCEALED if cut else text


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
