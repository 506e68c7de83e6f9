"""From which address a request comes, by its peer and by what trusted proxies say."""

import random
from ipaddress import IPv6Address, ip_address, ip_network

import pytest

from omniroute.errors import Forbidden
from omniroute.routing.caller import NO_NETWORKS, IpFilter, Networks, client_ip, network

TRUSTED = Networks(["10.0.0.0/8", "fd00::/8", "192.0.2.1"])


def forwarded(*values):
    return [(b"x-forwarded-for", value.encode()) for value in values]


@pytest.mark.parametrize(
    ("peer", "headers", "client"),
    [
        ("203.0.113.9", forwarded("198.51.100.7"), "203.0.113.9"),  # a stranger may say what it wants
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", forwarded("198.51.100.7"), "198.51.100.7"),
        ("10.0.0.1", forwarded("6.6.6.6, 198.51.100.7, 10.0.0.2"), "198.51.100.7"),
        ("10.0.0.1", forwarded("6.6.6.6", "198.51.100.7"), "198.51.100.7"),  # lines of a header are one list
        ("10.0.0.1", forwarded("10.0.0.3, 10.0.0.2"), "10.0.0.3"),
        ("10.0.0.1", forwarded("198.51.100.7:4711"), "198.51.100.7"),
        ("10.0.0.1", forwarded("[2001:db8::1]:4711"), "2001:db8::1"),
        ("10.0.0.1", forwarded("2001:DB8:0::1"), "2001:db8::1"),
        ("10.0.0.1", forwarded("::ffff:198.51.100.7"), "198.51.100.7"),
        ("::ffff:10.0.0.1", forwarded("198.51.100.7"), "198.51.100.7"),
        ("fd00::1", forwarded("198.51.100.7"), "198.51.100.7"),
        ("192.0.2.1", forwarded("198.51.100.7"), "198.51.100.7"),
        ("192.0.2.2", forwarded("198.51.100.7"), "192.0.2.2"),
        ("10.0.0.1", forwarded("unknown"), "10.0.0.1"),
        ("10.0.0.1", forwarded("6.6.6.6, unknown, 10.0.0.2"), "10.0.0.2"),
        ("10.0.0.1", forwarded(""), "10.0.0.1"),
        ("10.0.0.1", forwarded("6.6.6.6,"), "10.0.0.1"),
        ("10.0.0.1", forwarded("1.2.3.4.5, \xff"), "10.0.0.1"),
        ("10.0.0.1", [(b"forwarded", b"for=198.51.100.7;proto=https")], "198.51.100.7"),
        ("10.0.0.1", [(b"forwarded", b'proto=https; For="[2001:db8::1]:4711", for=10.0.0.2')], "2001:db8::1"),
        ("10.0.0.1", [(b"forwarded", b"for=_hidden")], "10.0.0.1"),
        ("10.0.0.1", [(b"forwarded", b"proto=https")], "10.0.0.1"),
        ("10.0.0.1", [(b"forwarded", b"for=6.6.6.6"), *forwarded("198.51.100.7")], "198.51.100.7"),
        ("", forwarded("198.51.100.7"), ""),
        ("fe80::1%eth0", [], "fe80::1"),
    ],
)
def test_the_client_is_the_last_hop_that_no_trusted_proxy_is(peer, headers, client):
    assert client_ip(peer, headers, TRUSTED) == client


def test_without_trusted_proxies_no_header_counts():
    assert client_ip("127.0.0.1", forwarded("198.51.100.7"), NO_NETWORKS) == "127.0.0.1"


def test_a_client_cannot_pass_for_another_whatever_it_sends_through_a_trusted_proxy():
    chance = random.Random(7)
    pieces = ["6.6.6.6", "10.0.0.9", "unknown", "", "[::1]", "fd00::2", "for=1.1.1.1", "::ffff:10.1.1.1", " ", "%"]
    for _ in range(2000):
        lie = ", ".join(chance.choices(pieces, k=chance.randrange(1, 6)))
        headers = forwarded(f"{lie}, 198.51.100.7")
        assert client_ip("10.0.0.1", headers, TRUSTED) == "198.51.100.7"


def test_networks_hold_what_the_standard_library_says_that_they_hold():
    chance = random.Random(11)
    for _ in range(300):
        bits, kind = chance.choice([(32, 4), (128, 6)])
        prefix = chance.randrange(bits + 1)
        base = chance.getrandbits(bits) >> (bits - prefix) << (bits - prefix) if prefix else 0
        make = (lambda n: str(ip_address(n))) if kind == 4 else (lambda n: str(IPv6Address(n)))
        told = ip_network(f"{make(base)}/{prefix}")
        networks = Networks([str(told)])
        for number in (base, base | ((1 << (bits - prefix)) - 1), chance.getrandbits(bits)):
            if kind == 6 and IPv6Address(number).ipv4_mapped:
                continue
            assert (make(number) in networks) == (ip_address(make(number)) in told)


def test_an_ipv4_address_is_the_same_in_both_ways_of_writing_it():
    assert "::ffff:10.0.0.1" in Networks(["10.0.0.0/8"])
    assert "10.0.0.1" in Networks(["::ffff:10.0.0.0/104"])
    assert "11.0.0.1" not in Networks(["::ffff:10.0.0.0/104"])


def test_all_of_ipv6_is_not_all_of_ipv4():
    assert "10.0.0.1" not in Networks(["::/0"])
    assert "::ffff:10.0.0.1" not in Networks(["::/0"])
    assert "::1" not in Networks(["0.0.0.0/0"])


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "ten", "", "10.0.0/8", "010.0.0.1", "10.0.0.0/8/9"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        network(text)


def test_a_filter_that_allows_lets_in_only_what_it_lists_and_one_that_blocks_all_else():
    listed = Networks(["10.0.0.0/8"])
    allows, blocks = IpFilter(listed, blocks=False), IpFilter(listed, blocks=True)
    assert (allows.admits("10.1.1.1"), allows.admits("11.1.1.1")) == (True, False)
    assert (blocks.admits("10.1.1.1"), blocks.admits("11.1.1.1")) == (False, True)
    assert not allows.admits("127.0.0.1")
    assert not allows.admits("")
    with pytest.raises(Forbidden, match=r"`11\.1\.1\.1`"):
        allows.check("11.1.1.1")
