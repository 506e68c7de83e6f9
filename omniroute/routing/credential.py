"""The key a request carries, and whose it is: one extractor and one look-up for every surface."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import parse_qsl

from omniroute.errors import BadRequest, Unauthenticated
from omniroute.routing.tables import Gateway, Principal

HEADERS = frozenset({b"authorization", b"x-api-key", b"x-goog-api-key"})
LONGEST_KEY = 512
NOBODY = "anonymous"
"""What a client sends that has no key and cannot send none: the official SDKs refuse to start without one."""


def extract(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> str | None:
    """The key that a request carries: `Authorization: Bearer`, `x-api-key`, `x-goog-api-key` or `?key=`; None where it
    carries none, or says so.

    The same key in two places is fine, SDKs do it, and so is one beside the word for none; two different ones are a
    BadRequest, for whichever was meant, the caller would be wrong about it half of the time.
    """
    found: str | None = None
    for name, value in headers:
        if name in HEADERS:
            found = _same(found, _key(name, value))
    if b"key=" in query:
        for field, text in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if field == "key":
                found = _same(found, text)
    return found


def _key(name: bytes, value: bytes) -> str:
    text = value.decode("latin-1").strip()
    if name != b"authorization":
        return text
    scheme, _, key = text.partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthenticated("The Authorization header must be `Bearer` and a key.")
    return key.strip()


def _same(one: str | None, other: str) -> str | None:
    if other == NOBODY:
        return one
    if one is not None and one != other:
        raise BadRequest("The request carries two different keys; send one.", code="conflicting_credentials")
    return other


def owner(gateway: Gateway, key: str, now: float) -> Principal:
    """Whose key it is; raises Unauthenticated for one that is unknown, revoked or expired.

    Keys are looked up by the digest of their 256 random bits, so the time of the look-up tells nothing about them.
    """
    if len(key) > LONGEST_KEY:
        raise Unauthenticated("This is not an API key of this gateway.")
    principal = gateway.principals.get(sha256(key.encode("utf-8", "surrogateescape")).digest())
    if principal is None:
        raise Unauthenticated("This API key is not known here, or was revoked.")
    if principal.expires is not None and now >= principal.expires:
        raise Unauthenticated("This API key has expired.", code="expired_api_key")
    return principal


def may_use(principal: Principal, model: str) -> bool:
    """Whether the key's allow-list has this name."""
    return principal.allow is None or any(pattern.fullmatch(model) for pattern in principal.allow)
