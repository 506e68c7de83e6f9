"""Whether a proxy lets the gateway through to a provider: it is connected to, asked for the way, and left again.

Nothing is sent to the provider but, where it has TLS, its handshake. Where to is one of the configured providers and no
address that somebody names, so that nobody can look around a network by it.
"""

from __future__ import annotations

import ssl

import msgspec

from omniroute.config.secrets import keyed
from omniroute.config.spec.words import is_proxy_address, proxy_place
from omniroute.errors import BadRequest, NotFound, UpstreamError
from omniroute.routing.live import Live
from omniroute.routing.tables import Endpoint, Proxy, Upstream
from omniroute.secret import Secret
from omniroute.state.base import Clock
from omniroute.upstream import asking

PATIENCE = 10.0
"""Seconds."""


class Passage(msgspec.Struct, frozen=True):
    """What became of it; `latency` is in seconds, `error` empty where the way is open."""

    provider: str
    proxy: Proxy
    latency: float
    error: str = ""


class Proxies:
    """Tries proxies, given ones and configured ones."""

    def __init__(self, live: Live, tls: ssl.SSLContext, clock: Clock) -> None:
        self._live = live
        self._tls = tls
        self._clock = clock

    async def test(self, proxy: Proxy | None, provider: str = "") -> Passage:
        """Through this proxy, or through the configured one of the provider. Raises NotFound where the provider is not
        configured, BadRequest where it has no proxy."""
        upstream = self._upstream(provider)
        if proxy is None:
            connection = next((one.proxy for one in upstream.connections if one.proxy is not None), None)
            proxy = connection or upstream.proxy
        if proxy is None:
            told = f"`{upstream.name}` is called through no proxy: send one as `proxy`."
            raise BadRequest(told, code="no_proxy", param="proxy")
        began = self._clock.monotonic()
        error = ""
        try:
            await asking.reach(_place(upstream).origin, proxy, self._tls, PATIENCE)
        except UpstreamError as failure:
            error = failure.fault.message
        return Passage(upstream.name, proxy, self._clock.monotonic() - began, error)

    def _upstream(self, provider: str) -> Upstream:
        gateway = self._live.current
        reached = {name: one for name, one in gateway.upstreams.items() if one.transport != "demo"}
        name = gateway.prefixes.get(provider, provider)
        if not provider and reached:
            return next(iter(reached.values()))
        if name not in reached:
            what = f"no provider `{provider[:80]}` here" if provider else "no provider here"
            raise NotFound(f"There is {what} that a proxy could lead to.", code="provider_not_found", param="provider")
        return reached[name]


def _place(upstream: Upstream) -> Endpoint:
    chat = next(iter(upstream.endpoints.values()), None)
    return chat or next(iter(upstream.operations.values())).endpoint


def given(scheme: str, host: str, port: int, username: str = "", password: str = "") -> Proxy:
    """A proxy that a request names. Raises BadRequest for what none can be."""
    text = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    if not is_proxy_address(text):
        told = "A proxy is `{type, host, port}`, its type `http` (CONNECT, also for https providers) or `socks5`."
        raise BadRequest(told, code="invalid_proxy", param="proxy")
    kind, name, number = proxy_place(text)
    return Proxy(
        scheme=kind,
        host=name,
        port=number,
        username=Secret(username) if username else None,
        password=Secret(password) if password else None,
        setting="this request",
        key=keyed("trial", text, username, password),
    )
