"""Reaches an origin: its name, the first of its addresses to accept, TLS.

Addresses are raced here and not by the loop, for uvloop tries them one after the other: a host with a dead IPv6 route
would cost every new connection its whole deadline.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio.staggered import staggered_race
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import chain, zip_longest
from typing import Any, TypeVar

from omniroute.upstream.transport import Origin, Proxy
from omniroute.upstream.tunnel import ProxyFailed, tunnel

ATTEMPT_DELAY = 0.25
"""Seconds an address gets before the next one is tried beside it (RFC 8305, section 5)."""

AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]
"""A row of getaddrinfo: family, type, protocol, canonical name, address."""

Reached = TypeVar("Reached", bound=asyncio.BaseProtocol)


def tls_context() -> ssl.SSLContext:
    """The one context of the process: verifies always, and says that it speaks HTTP/1.1 only."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def dial(
    origin: Origin, tls: ssl.SSLContext | None, protocol: Callable[[], Reached], proxy: Proxy | None = None
) -> Reached:
    """A connected protocol. Raises OSError, of which `ssl.SSLError` and `ProxyFailed` are some; UnicodeError for a name
    that is none."""
    host = origin.host.strip("[]")
    if proxy is not None:
        return await _over(await _through(proxy, host, origin.port), tls, host, protocol)
    addresses = await asyncio.get_running_loop().getaddrinfo(host, origin.port, type=socket.SOCK_STREAM)
    return await reach(addresses, tls, host, protocol)


async def reach(
    addresses: list[AddressInfo], tls: ssl.SSLContext | None, host: str, protocol: Callable[[], Reached]
) -> Reached:
    """A protocol that is connected to one of these addresses, which has shown by TLS that it is the host. Raises
    OSError."""
    return await _over(await _connected(addresses), tls, host, protocol)


async def _through(proxy: Proxy, host: str, port: int) -> socket.socket:
    """A socket that the proxy has connected to the host. Raises ProxyFailed."""
    try:
        addresses = await asyncio.get_running_loop().getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
        sock = await _connected(addresses)
    except (OSError, UnicodeError) as error:
        raise ProxyFailed(reason(error).replace("provider", "proxy")) from error
    try:
        await tunnel(sock, proxy, host, port)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connected(addresses: list[AddressInfo]) -> socket.socket:
    loop = asyncio.get_running_loop()
    return await _first_to_accept([partial(_reach, loop, address) for address in _in_turn(addresses)])


async def _over(sock: socket.socket, tls: ssl.SSLContext | None, host: str, protocol: Callable[[], Reached]) -> Reached:
    """A protocol over a connected socket, behind which TLS has shown the host to be."""
    loop = asyncio.get_running_loop()
    _, reached = await loop.create_connection(
        protocol, sock=sock, ssl=tls, server_hostname=host if tls is not None else None
    )
    return reached


def reason(error: OSError | UnicodeError) -> str:
    """Why it failed, in words that name no host: those of the error itself are for the log."""
    match error:
        case ProxyFailed():
            return str(error)
        case ssl.SSLCertVerificationError():
            return "the provider's certificate was not accepted"
        case ssl.SSLError():
            return "the TLS handshake with the provider failed"
        case ConnectionRefusedError():
            return "the provider refused the connection"
        case socket.gaierror() | UnicodeError():
            return "the provider's host name was not found"
        case _:
            return "the connection to the provider failed"


def _in_turn(addresses: list[AddressInfo]) -> list[AddressInfo]:
    """Alternating between the address families, in the order that the resolver prefers."""
    first = addresses[0][0]
    same = [address for address in addresses if address[0] == first]
    other = [address for address in addresses if address[0] != first]
    return [address for address in chain.from_iterable(zip_longest(same, other)) if address is not None]


async def _first_to_accept(attempts: list[Callable[[], Coroutine[Any, Any, socket.socket]]]) -> socket.socket:
    if len(attempts) == 1:
        return await attempts[0]()
    sock: socket.socket | None
    sock, _, errors = await staggered_race(attempts, ATTEMPT_DELAY)
    if sock is None:
        raise next(error for error in errors if error is not None)
    return sock


async def _reach(loop: asyncio.AbstractEventLoop, info: AddressInfo) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
