"""From which address a request comes, and whether it may come from there.

The peer of a connection is a fact; what headers say about who stands behind it is believed only of a peer that the
configuration trusts, and of each further hop only as long as that one is trusted too. Addresses give no rights
anywhere: they name a caller to count by, and can take away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from omniroute.errors import Forbidden

Headers = Iterable[tuple[bytes, bytes]]
Network = IPv4Network | IPv6Network
IPV4 = 4
MAPPED = 96
"""How much of an IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) is not the IPv4 address that it means."""


class Address(NamedTuple):
    """An address as it is written by the standard, its version and its number."""

    text: str
    version: int
    number: int


@lru_cache(maxsize=4096)
def address(text: str) -> Address | None:
    """An IPv4-mapped address is the IPv4 address that it means, and a scope is no part of it; None for what is none."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    found = (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
    return Address(str(found), found.version, int(found))


def network(text: str) -> Network:
    """The network of a CIDR or of a single address. Raises ValueError for what is neither, or has bits beyond its
    prefix."""
    found = ip_network(text)
    mapped = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) else None
    if mapped is None or found.prefixlen < MAPPED:
        return found
    return IPv4Network((mapped, found.prefixlen - MAPPED))


class Networks:
    """A set of networks: for each length of a prefix that occurs, the prefixes of that length as numbers, so that a look
    costs as much for a thousand networks as for one. Raises ValueError for a text that is no network."""

    __slots__ = ("_prefixes", "texts")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts = tuple(texts)
        prefixes: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for each in map(network, self.texts):
            shift = each.max_prefixlen - each.prefixlen
            prefixes[each.version].setdefault(shift, set()).add(int(each.network_address) >> shift)
        self._prefixes = {version: tuple(table.items()) for version, table in prefixes.items()}

    def __contains__(self, text: str) -> bool:
        found = address(text)
        if found is None:
            return False
        _, version, number = found
        for shift, known in self._prefixes[version]:  # noqa: SIM110 - `any` would take twice as long
            if number >> shift in known:
                return True
        return False

    def __bool__(self) -> bool:
        return bool(self.texts)


NO_NETWORKS = Networks()
NEIGHBOURS = 64
"""Bits of an IPv6 address that tell one customer from another: the rest is theirs to choose."""


def customer(text: str) -> str:
    """Whom a limit by address counts: one IPv4 address, or one network of a customer in IPv6."""
    found = address(text)
    if found is None or found.version == IPV4:
        return text
    return str(IPv6Network((found.number >> NEIGHBOURS << NEIGHBOURS, NEIGHBOURS)))


def client_ip(peer: str, headers: Headers, trusted: Networks) -> str:
    """The address of the client: that of the peer, or where it is a trusted proxy, of the last hop before it that is none.

    `X-Forwarded-For` counts, and `Forwarded` (RFC 7239) where there is none of it: a proxy that writes the latter has to
    take away the former. A hop that is no address ends the search at the proxy that told of it.
    """
    known = address(peer)
    here = peer if known is None else known.text
    if not trusted or here not in trusted:
        return here
    for hop in _hops(headers):
        found = address(hop)
        if found is None:
            break
        here = found.text
        if here not in trusted:
            break
    return here


def _hops(headers: Headers) -> Iterator[str]:
    """Who a request went through by its headers, the nearest first."""
    said: dict[bytes, list[str]] = {b"x-forwarded-for": [], b"forwarded": []}
    for name, value in headers:
        if name in said:
            said[name].append(value.decode("latin-1"))
    if said[b"x-forwarded-for"]:
        return map(_bare, reversed(",".join(said[b"x-forwarded-for"]).split(",")))
    return map(_bare, map(_for, reversed(",".join(said[b"forwarded"]).split(","))))


def _for(element: str) -> str:
    """`for="[2001:db8::1]:4711";proto=https` → `[2001:db8::1]:4711`."""
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "for":
            return value.strip('"')
    return ""


def _bare(hop: str) -> str:
    """The address without the port that some proxies add."""
    hop = hop.strip()
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


class IpFilter:
    """Who may use the client API by where they come from: only the `listed`, or with `blocks` all but these. This
    machine's own addresses are like any other: a proxy beside the gateway would make a caller of everybody."""

    __slots__ = ("blocks", "listed")

    def __init__(self, listed: Networks, *, blocks: bool) -> None:
        self.listed = listed
        self.blocks = blocks

    def admits(self, caller: str) -> bool:
        return (caller in self.listed) is not self.blocks

    def check(self, caller: str) -> None:
        """Raises Forbidden."""
        if not self.admits(caller):
            raise Forbidden(self.verdict(caller), code="ip_not_allowed")

    def verdict(self, caller: str) -> str:
        """What becomes of a caller, in words."""
        taken = "taken" if self.admits(caller) else "not taken"
        return f"Requests from `{caller}` are {taken} here (`settings.ip_filter`)."
