"""Fetches the images that a caller gives by address, for upstreams that only take the images themselves.

The one place where a caller says where the gateway connects to, and so with rules of its own beside those of the wire
client, whose connections it uses. A name is resolved once, every address that it has must be public, and the connection
goes to one of these (so that a name cannot mean another machine at the second look). Redirects are not followed, no
proxy is asked, and nothing of the caller or of a provider is sent along. What comes must be an image by its media type
and by its first bytes, within the bytes and the time that there are.

Why a host could not be reached is told in the same words whether it does not exist or is not public: the answer is not
to be a map of the network that the gateway stands in.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import quote, urlsplit

import msgspec

from omniroute.errors import Unsupported, UpstreamError, UpstreamKind
from omniroute.formats.pictures import KINDS, Picture, kind
from omniroute.routing.tables import DEFAULT_PORTS, Fetching
from omniroute.upstream.address import is_public
from omniroute.upstream.answer import Limits
from omniroute.upstream.connection import Connection
from omniroute.upstream.dial import AddressInfo, reach, tls_context
from omniroute.upstream.head import authority, request_head
from omniroute.upstream.transport import Deadlines, Origin, Reply, Request

CODE = "image_not_fetched"
MOST = 16
"""Images of one request."""
AT_ONCE = 4
"""Of these, how many at a time."""
RESOLVING = 4
"""Names at a time. The threads are not those of the loop: a caller's slow name servers would keep providers waiting."""
LONGEST_ADDRESS = 8192
LIMITS = Limits()
"""Of the head, and of how much a coded body may grow; how long it may be is the allowance's to say."""
LONG = 86_400.0
"""Seconds of a phase that has no deadline of its own: all of it together has one."""
HEADERS = ((b"accept", ", ".join(sorted(KINDS)).encode()), (b"user-agent", b"OmniRoute"))
OTHER_NAMES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
"""Media types that some servers have for the proper ones."""
WORDS: Mapping[UpstreamKind, str] = {
    "timeout": "it did not come in time",
    "truncated": "it broke off before its end",
    "malformed": "its host's answer is not what it should be",
    "invalid": "its address cannot be asked for",
}
UNREACHABLE = "its host cannot be reached at a public address"
LATE = WORDS["timeout"]
TOO_LARGE = "the images of the request are larger than what is fetched (`server.fetch_images.max_bytes`)"

_host = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_SAFE = "/%:@!$&'()*+,;=~?[]"
"""What of a path and its query stays as it is written."""

Resolve = Callable[[str, int], Awaitable[list[AddressInfo]]]
"""The addresses of a host and port, as `getaddrinfo` gives them. Raises OSError or UnicodeError where there are none."""


class Allowance(msgspec.Struct):
    """The bytes that the images of one request may still have."""

    left: int

    def check(self, size: int) -> None:
        """Raises _Refused where so many more would be too many."""
        if size > self.left:
            raise _Refused(TOO_LARGE)

    def take(self, size: int) -> None:
        self.check(size)
        self.left -= size


class Fetcher:
    """`tls` is for tests with an authority of their own, `resolve` and `public` for those with addresses of their own."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
        public: Callable[[str], bool] = is_public,
    ) -> None:
        self._tls = tls
        self._threads = ThreadPoolExecutor(RESOLVING, thread_name_prefix="image-host")
        self._resolve = resolve or self._look_up
        self._public = public

    async def fetch(self, wanted: Mapping[str, str], settings: Fetching, seconds: float) -> dict[str, Picture]:
        """The images at the addresses, each of which is told with its place in the request. Raises Unsupported, for the
        first that cannot be had or if they take longer than so many seconds."""
        if len(wanted) > MOST:
            at = list(wanted.values())[MOST]
            raise Unsupported(f"`{at}`: at most {MOST} images of a request are fetched.", code=CODE, param=at)
        turns = asyncio.Semaphore(AT_ONCE)
        ends = asyncio.get_running_loop().time() + seconds
        allowance = Allowance(settings.max_bytes)

        async def one(address: str, place: str) -> Picture:
            async with turns:
                return await self._told(address, place, settings, allowance, ends)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = {address: group.create_task(one(address, place)) for address, place in wanted.items()}
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return {address: task.result() for address, task in tasks.items()}

    def close(self) -> None:
        """Lets go of the threads; what is being resolved is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _told(self, address: str, place: str, settings: Fetching, allowance: Allowance, ends: float) -> Picture:
        try:
            async with asyncio.timeout_at(ends):
                return await self._one(address, settings, allowance, ends)
        except TimeoutError:
            why = LATE
        except _Refused as error:
            why = str(error)
        except UpstreamError as error:
            why = WORDS.get(error.kind, UNREACHABLE)
        except (OSError, UnicodeError):
            why = UNREACHABLE
        raise Unsupported(f"The image at `{place}` was not fetched: {why}.", code=CODE, param=place)

    async def _one(self, address: str, settings: Fetching, allowance: Allowance, ends: float) -> Picture:
        origin, target = parse(address, settings)
        request = Request(origin, "GET", target, HEADERS, b"", Deadlines(LONG, LONG, LONG, LONG))
        head = request_head(request, authority(origin))
        addresses = await self._resolve(origin.host, origin.port)
        if not addresses or not all(self._public(info[4][0]) for info in addresses):
            raise _Refused(UNREACHABLE)
        loop = asyncio.get_running_loop()
        tls = self._context() if origin.scheme == "https" else None
        connection = await reach(addresses, tls, origin.host.strip("[]"), lambda: Connection(HOME, loop))
        reply = connection.ask(request, head, LIMITS, ends)
        try:
            await reply.opened()
            return await _picture(reply, allowance)
        finally:
            reply.close()

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context()
        return self._tls

    async def _look_up(self, host: str, port: int) -> list[AddressInfo]:
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found: list[AddressInfo] = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return found


class _Refused(Exception):
    """Why an image is not taken, in words for the caller."""


class _Nowhere:
    """Where a connection belongs that is asked once."""

    keep_idle = 0.0

    def take_back(self, connection: Connection) -> None:
        connection.drop()

    def withdraw(self, connection: Connection) -> None:
        pass

    def forget(self, connection: Connection) -> None:
        pass


HOME = _Nowhere()


def parse(address: str, settings: Fetching) -> tuple[Origin, str]:
    """Where to connect to and what to ask for. Raises an error for an address that is none, or not allowed."""
    if len(address) > LONGEST_ADDRESS or not address.isprintable() or " " in address:
        raise _Refused("its address is none, or too long")
    try:
        parts = urlsplit(address)
        port = parts.port
        host = (parts.hostname or "").encode("ascii" if (parts.hostname or "").isascii() else "idna").decode()
    except ValueError:  # of which UnicodeError is one
        raise _Refused("its address is none") from None
    scheme = parts.scheme.lower()
    if "@" in parts.netloc or not _host.fullmatch(host) or scheme not in DEFAULT_PORTS:
        raise _Refused("its address must be `https://` and a host, without a user")
    if port not in (None, DEFAULT_PORTS[scheme]):
        raise _Refused(f"only port {DEFAULT_PORTS[scheme]} is asked")
    listed = any(pattern.fullmatch(host.lower().rstrip(".")) for pattern in settings.hosts)
    if settings.hosts and not listed:
        raise _Refused("its host is not one of those that are allowed (`server.fetch_images.hosts`)")
    if scheme == "http" and not listed:
        raise _Refused("its address must be `https://`, as its host is not listed in `server.fetch_images.hosts`")
    target = quote(parts.path or "/", safe=_SAFE.replace("?", ""))
    if parts.query:
        target += "?" + quote(parts.query, safe=_SAFE)
    return Origin(scheme, host.rstrip("."), DEFAULT_PORTS[scheme]), target


async def _picture(reply: Reply, allowance: Allowance) -> Picture:
    """The answer's body, if it is an image. Raises _Refused where it is not, UpstreamError where it does not arrive."""
    if reply.status != 200:
        more = ", and redirects are not followed" if 300 <= reply.status <= 399 else ""
        raise _Refused(f"its host answered with status {reply.status}{more}")
    declared = _declared(reply)
    for name, value in reply.headers:
        if name == b"content-length" and value.isdigit():
            allowance.check(int(value))
    pieces: list[bytes] = []
    while piece := await reply.chunk():
        allowance.take(len(piece))
        pieces.append(piece)
    data = b"".join(pieces)
    if kind(data) != declared:
        raise _Refused(f"what came is not the {declared} that its host says it is")
    return Picture(declared, b64encode(data).decode())


def _declared(reply: Reply) -> str:
    """The media type of an image. Raises _Refused for anything else."""
    types = [value for name, value in reply.headers if name == b"content-type"]
    said = types[0].partition(b";")[0].strip().lower().decode("latin-1") if len(types) == 1 else ""
    declared = OTHER_NAMES.get(said, said)
    if declared not in KINDS:
        raise _Refused(f"its host does not say that it is one of {', '.join(sorted(KINDS))}")
    return declared
