"""Whose address a request has."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from omniroute.relay.address import client_address, subject

TRUSTED = tuple(ip_network(each) for each in ("10.0.0.0/8", "fd00::/8", "127.0.0.1/32"))


def found(peer: str | None, *forwarded: str, trusted: tuple = TRUSTED) -> str:
    scope = {"client": None if peer is None else (peer, 5000)}
    headers = [(b"host", b"h"), *((b"x-forwarded-for", value.encode("latin-1")) for value in forwarded)]
    return str(client_address(scope, headers, trusted))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        ("203.0.113.9", ("198.51.100.1",), "203.0.113.9"),  # a stranger says what it likes
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("1.1.1.1, 198.51.100.1",), "198.51.100.1"),
        ("10.0.0.1", ("1.1.1.1, 198.51.100.1, 10.9.9.9",), "198.51.100.1"),
        ("10.0.0.1", ("1.1.1.1", "198.51.100.1 ,10.9.9.9"), "198.51.100.1"),  # two headers are one list
        ("10.0.0.1", ("10.2.2.2, 10.3.3.3",), "10.2.2.2"),
        ("10.0.0.1", ("198.51.100.1, unknown, 10.3.3.3",), "10.3.3.3"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", ("198.51.100.1:4711",), "198.51.100.1"),
        ("fd00::1", ("[2001:db8::7]:4711",), "2001:db8::7"),
        ("fd00::1", ("2001:db8::7",), "2001:db8::7"),
        ("::ffff:10.0.0.1", ("::ffff:198.51.100.1",), "198.51.100.1"),
        ("fe80::1%eth0", (), "fe80::1"),
        (None, ("198.51.100.1",), "None"),
        ("not an address", ("198.51.100.1",), "None"),
        ("10.0.0.1", ("\xff\xfe",), "10.0.0.1"),
    ],
)
def test_the_last_address_that_is_no_proxys_is_the_clients(
    peer: str | None, forwarded: tuple[str, ...], address: str
) -> None:
    assert found(peer, *forwarded) == address


def test_where_nothing_is_trusted_the_peer_is_the_client() -> None:
    assert found("10.0.0.1", "198.51.100.1", trusted=()) == "10.0.0.1"


def test_a_customer_in_ipv6_is_a_network() -> None:
    assert subject(ip_address("2001:db8:1:2:3:4:5:6")) == "2001:db8:1:2::/64"
    assert subject(ip_address("198.51.100.1")) == "198.51.100.1"
    assert subject(None) == ""
