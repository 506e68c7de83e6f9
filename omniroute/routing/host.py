"""Names of hosts: under which of them the gateway answers, and which of others' are meant by a list.

Those who show no credential of their own, or that of a browser, are answered under few: a page can point a name of its
own at this machine (DNS rebinding), and then counts as one of ours to the browser.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from omniroute.routing.caller import Networks, address
from omniroute.routing.patterns import compile_pattern

HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?))(?::[0-9]{1,5})?")


@lru_cache(maxsize=256)
def host_allowed(host: str, allowed: frozenset[str]) -> bool:
    """Addresses, `localhost` and `*.local` cannot be rebound; every other name must be declared."""
    parts = HOST.fullmatch(host.lower()) if host.isascii() else None
    if parts is None:
        return False
    if parts["v6"] is not None:
        return _is_address(parts["v6"], IPv6Address)
    name = parts["name"]
    declared = {other.lower() for other in allowed}
    return name == "localhost" or name.endswith(".local") or name in declared or _is_address(name, IPv4Address)


def _is_address(text: str, kind: type[IPv4Address | IPv6Address]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


class Hosts:
    """A set of hosts, told as names, patterns with `*`, addresses and networks. A name is not looked up: it is in no
    network. Raises ValueError for a network that is none."""

    def __init__(self, texts: Iterable[str]) -> None:
        told = [text.lower() for text in texts]
        self._networks = Networks(text for text in told if is_network(text))
        self._names = [compile_pattern(text) for text in told if not is_network(text)]

    def __contains__(self, host: str) -> bool:
        host = host.strip("[]").lower()
        return host in self._networks or any(name.fullmatch(host) for name in self._names)


def is_network(text: str) -> bool:
    """Whether a text of such a list means addresses and no name."""
    return "/" in text or ":" in text or address(text) is not None
