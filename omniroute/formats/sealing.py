"""Signatures of thinking, on their way through a client of another format and back.

What a format signed, only it can check. A client of another format that can carry a signature is told it under a seal
of ours, which names the issuer and holds what was signed; so it reaches its issuer again as it was, and no one else.
"""

from __future__ import annotations

PREFIX = "omniroute."
"""No format's own signatures begin so: those are base64, which has no full stop."""


def seal(issuer: str | None, own: str, signature: str | None) -> str:
    """The signature as a client of the format `own` is told it."""
    if issuer in (None, own):
        return signature or ""
    return f"{PREFIX}{issuer}.{signature or ''}"


def unseal(own: str, signature: str) -> tuple[str | None, str | None]:
    """Who issued it, and what was signed; unsigned thinking is anybody's."""
    if not signature.startswith(PREFIX):
        return (own, signature) if signature else (None, None)
    issuer, _, inner = signature.removeprefix(PREFIX).partition(".")
    return issuer, inner or None
