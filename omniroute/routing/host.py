"""Under which names the gateway answers those who show no credential of their own, or that of a browser.

A page can point a name of its own at this machine (DNS rebinding), and then counts as one of ours to the browser.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

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
