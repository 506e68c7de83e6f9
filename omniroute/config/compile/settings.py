"""Settings as tables: who may come in, and through which proxies the way out goes."""

from __future__ import annotations

from collections.abc import Mapping

from omniroute.config.secrets import Resolver, keyed
from omniroute.config.spec.settings import IpFilterSpec, ProxiesSpec, ProxySpec, proxies
from omniroute.config.spec.words import proxy_place
from omniroute.document import Place
from omniroute.routing.caller import IpFilter, Networks
from omniroute.routing.host import Hosts
from omniroute.routing.tables import Proxy
from omniroute.secret import Secret


def ip_filter(spec: IpFilterSpec) -> IpFilter | None:
    """None where everybody may come, which then costs a request nothing."""
    if spec.mode == "off":
        return None
    blocks = spec.mode == "block"
    return IpFilter(Networks(spec.block if blocks else spec.allow), blocks=blocks)


class Proxies:
    """What `settings.proxy` says, by what it says it of."""

    def __init__(self, spec: ProxiesSpec, resolver: Resolver) -> None:
        self._made: Mapping[Place, Proxy] = {
            place[2:]: _proxy(proxy, place, resolver) for place, proxy in proxies(spec)
        }
        self._unproxied = Hosts(spec.no_proxy)

    def provider(self, name: str) -> Proxy | None:
        """The provider's own, else the global one."""
        return self._made.get(("providers", name)) or self._made.get(("global",))

    def combo(self, name: str) -> Proxy | None:
        return self._made.get(("combos", name))

    def connection(self, ident: str) -> Proxy | None:
        return self._made.get(("connections", ident))

    def passes(self, host: str) -> bool:
        """Whether a host is called directly, whatever the proxy."""
        return host in self._unproxied


def _proxy(spec: ProxySpec, at: Place, resolver: Resolver) -> Proxy:
    url = resolver.proxy(spec.url, (*at, "url"))
    scheme, host, port = proxy_place(url)
    username = "" if spec.username is None else resolver.text(spec.username, (*at, "username"))
    password = "" if spec.password is None else resolver.text(spec.password, (*at, "password"))
    return Proxy(
        scheme=scheme,
        host=host,
        port=port,
        username=None if spec.username is None else Secret(username),
        password=None if spec.password is None else Secret(password),
        setting=".".join(map(str, at)),
        key=keyed(scheme, host, str(port), username, password),
    )
