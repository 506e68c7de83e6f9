"""Who is logged in: sessions live in memory and end with the process."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import sha256

import msgspec


class Session(msgspec.Struct, frozen=True):
    """One login. `csrf` is what a page must repeat in a header to write; `password` is the hash it was checked
    against, so that a changed password ends what the old one began."""

    created: float
    csrf: str
    password: str


class Sessions:
    """Sessions by the digest of their token: whoever could read the table could still not use one.

    Times are UNIX times and not monotonic ones, which stand still while a machine sleeps; a clock that is set back
    behind a login ends it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_digest: dict[bytes, Session] = {}

    def open(self, password: str, ttl: float) -> tuple[str, Session]:
        """A new session and its token, which is told to the client and kept nowhere."""
        self._sweep(ttl)
        token = secrets.token_urlsafe(32)
        session = Session(self._clock(), secrets.token_urlsafe(32), password)
        self._by_digest[_digest(token)] = session
        return token, session

    def find(self, token: str, password: str | None, ttl: float) -> Session | None:
        """The session of a token, if it is still good by the lifetime and the password of now."""
        session = self._by_digest.get(_digest(token))
        if session is None or session.password != password or not self._fresh(session, ttl):
            return None
        return session

    def revoke(self, token: str) -> None:
        """Ends the session, if there is one."""
        self._by_digest.pop(_digest(token), None)

    def _sweep(self, ttl: float) -> None:
        for digest in [digest for digest, session in self._by_digest.items() if not self._fresh(session, ttl)]:
            del self._by_digest[digest]

    def _fresh(self, session: Session, ttl: float) -> bool:
        return session.created <= self._clock() < session.created + ttl


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
