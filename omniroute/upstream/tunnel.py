"""Through a proxy to an origin: CONNECT (RFC 9110, section 9.3.6) and SOCKS5 (RFC 1928, and RFC 1929 for its password).

Works on a socket that is connected to the proxy, and leaves one that is connected to the origin: TLS and HTTP begin on
it as on any other. The proxy looks the origin's name up, and nobody does so here. What it says is read to the byte, for
what followed would be taken for the provider's.
"""

from __future__ import annotations

import asyncio
import re
import socket
from base64 import b64encode
from collections.abc import Mapping
from ipaddress import IPv4Address, ip_address

from omniroute.routing.tables import Proxy
from omniroute.upstream.auth import proxy_credentials

LONGEST_HEAD = 16 * 1024
"""Bytes of a proxy's answer to CONNECT."""
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r\n")
NO_PASSWORD, PASSWORD = 0, 2
"""Ways to show who one is, in SOCKS5."""
IPV4, NAME, IPV6 = 1, 3, 4
"""Kinds of addresses there."""
LONGEST_TEXT = 255
REPLIES: Mapping[int, str] = {
    1: "it failed",
    2: "its rules do not allow it",
    3: "the network is unreachable",
    4: "the host is unreachable",
    5: "the provider refused the connection",
    6: "it took too long",
    7: "it does not connect to others",
    8: "it does not know this kind of address",
}
"""Why a SOCKS5 proxy did not connect (RFC 1928, section 6)."""

CLOSED = "the proxy closed the connection"
GARBAGE = "the proxy does not speak as one"
DENIED = "the proxy does not accept the credentials, or wants some"


class ProxyFailed(OSError):
    """Why there is no way through the proxy, in words that name neither it nor a credential."""


async def tunnel(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Has the proxy at the other end of the socket connect to the origin. Raises ProxyFailed."""
    try:
        await (_socks5 if proxy.scheme == "socks5" else _connect)(sock, proxy, host, port)
    except ProxyFailed:
        raise
    except OSError as error:
        raise ProxyFailed(CLOSED) from error


async def _connect(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    place = f"[{host}]:{port}".encode("ascii") if ":" in host else f"{host}:{port}".encode("ascii")
    head = b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n" % (place, place)
    shown = proxy_credentials(proxy)
    if shown is not None:
        head += b"proxy-authorization: Basic %b\r\n" % b64encode(b"%b:%b" % shown)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, head + b"\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = await loop.sock_recv(sock, 4096)
        if not piece:
            raise ProxyFailed(CLOSED)
        answer += piece
        if len(answer) > LONGEST_HEAD or not b"HTTP/1.".startswith(answer[:7]):
            raise ProxyFailed(GARBAGE)
    line = STATUS_LINE.match(answer)
    if line is None:
        raise ProxyFailed(GARBAGE)
    status = int(line[1])
    if status == 407:
        raise ProxyFailed(DENIED)
    if not 200 <= status <= 299:
        raise ProxyFailed(f"the proxy did not connect to the provider: status {status}")
    if not answer.endswith(b"\r\n\r\n") or answer.index(b"\r\n\r\n") + 4 != len(answer):
        raise ProxyFailed(GARBAGE)  # no provider speaks before it is spoken to


async def _socks5(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    shown = proxy_credentials(proxy)
    ways = bytes((NO_PASSWORD,) if shown is None else (NO_PASSWORD, PASSWORD))
    await loop.sock_sendall(sock, bytes((5, len(ways))) + ways)
    version, way = await _exactly(sock, 2)
    if version != 5:
        raise ProxyFailed(GARBAGE)
    if way not in ways:
        raise ProxyFailed(DENIED)
    if way == PASSWORD and shown is not None:
        await loop.sock_sendall(sock, b"\x01" + _counted(shown[0]) + _counted(shown[1]))
        _, refused = await _exactly(sock, 2)
        if refused:
            raise ProxyFailed(DENIED)
    await loop.sock_sendall(sock, b"\x05\x01\x00" + _address(host) + port.to_bytes(2))
    version, reply, _, kind = await _exactly(sock, 4)
    if version != 5:
        raise ProxyFailed(GARBAGE)
    if reply:
        raise ProxyFailed(f"the proxy did not connect to the provider: {REPLIES.get(reply, 'it failed')}")
    if kind not in (IPV4, NAME, IPV6):
        raise ProxyFailed(GARBAGE)
    size = (await _exactly(sock, 1))[0] if kind == NAME else 4 if kind == IPV4 else 16
    await _exactly(sock, size + 2)


def _address(host: str) -> bytes:
    """A name stays one, whoever may know it here."""
    try:
        known = ip_address(host)
    except ValueError:
        return bytes((NAME,)) + _counted(host.encode("ascii"))
    return bytes((IPV4 if isinstance(known, IPv4Address) else IPV6,)) + known.packed


def _counted(text: bytes) -> bytes:
    if len(text) > LONGEST_TEXT:
        raise ProxyFailed("a name or a credential is too long for SOCKS5")
    return bytes((len(text),)) + text


async def _exactly(sock: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < size:
        piece = await loop.sock_recv(sock, size - len(data))
        if not piece:
            raise ProxyFailed(CLOSED)
        data += piece
    return data
