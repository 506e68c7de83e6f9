"""A new client key: 256 random bits behind a prefix by which scanners find it, and the digest that the file holds."""

from __future__ import annotations

import secrets
from hashlib import sha256

PREFIX = "sk-omni-"


def new() -> tuple[str, str]:
    """The key, to be shown once, and its digest as the file has it. The key has 256 random bits, so a plain SHA-256 is
    enough: nobody can try them all."""
    key = PREFIX + secrets.token_urlsafe(32)
    return key, f"sha256:{sha256(key.encode()).hexdigest()}"
