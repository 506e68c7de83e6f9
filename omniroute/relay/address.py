"""Who asks, by address: the peer, or whom a proxy that is trusted names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from omniroute.relay.asgi import Scope
from omniroute.routing.tables import Network

Address = IPv4Address | IPv6Address
NEIGHBOURS = 64
"""Bits of an IPv6 address that tell one customer from another: the rest is theirs to choose."""


def client_address(scope: Scope, headers: Iterable[tuple[bytes, bytes]], trusted: Sequence[Network]) -> Address | None:
    """The client's address: the last one in `X-Forwarded-For` that is no trusted proxy's, as far as the peer is one.
    What stands before it anybody may have written. None where there is no peer, as behind a UNIX socket."""
    peer = scope.get("client")
    found = _parsed(peer[0]) if peer else None
    if found is None or not trusted:
        return found
    for hop in _hops(headers):
        if not any(found in network for network in trusted):
            break
        named = _parsed(hop)
        if named is None:
            break  # nothing before a word that is no address can be relied on
        found = named
    return found


@lru_cache(maxsize=4096)
def subject(address: Address | None) -> str:
    """Whom a limit by address counts: one IPv4 address, or one network of a customer in IPv6."""
    if address is None:
        return ""
    if address.version == 4:
        return str(address)
    return str(ip_network((address, NEIGHBOURS), strict=False))


def _hops(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    """The addresses of all `X-Forwarded-For`, the last one first."""
    lines = [value for name, value in headers if name == b"x-forwarded-for"]
    return (hop.strip() for hop in reversed(b",".join(lines).decode("latin-1").split(",")))


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Address | None:
    """An address, also with a port or in brackets; one of IPv4 that is wrapped in IPv6 is itself."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        return IPv6Address(int(address))  # without the zone of a link
    return address
