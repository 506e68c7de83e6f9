"""Which IP addresses are everybody's: the only ones that a caller may have the gateway connect to.

What is not, from IANA's registries of special addresses (iana-ipv4-special-registry, iana-ipv6-special-registry): this
machine, its network, its cloud's metadata, and the ways of writing an IPv4 address inside of an IPv6 one. Spelled out
and not left to `ipaddress.is_global`, whose answers differ between releases of Python.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

NOT_PUBLIC = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # a provider's own (and the metadata of Alibaba's cloud)
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # public by its number, but within Azure its own service of machines
            "169.254.0.0/16",  # link-local, and there the metadata of clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocols (and the metadata of Oracle's cloud)
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
PUBLIC_6 = IPv6Network("2000::/3")
"""All that has been given out so far. Beyond it are loopback, mapped and translated IPv4 (::ffff:0:0/96, 64:ff9b::/96
and 64:ff9b:1::/48), local, link-local and multicast addresses."""
NOT_PUBLIC_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which holds an IPv4 address
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)


def is_public(text: str) -> bool:
    """Whether everybody means the same by this address. What is no address, or has a scope, is not public."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NOT_PUBLIC)
    if address.scope_id is not None:
        return False
    return address in PUBLIC_6 and not any(address in network for network in NOT_PUBLIC_6)
