"""What kind of image some data is, for senders that do not say."""

from __future__ import annotations

_MAGIC = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lG": "image/gif", "UklG": "image/webp"}
"""How the base64 of an image begins."""


def guess(data: str) -> str:
    return next((kind for start, kind in _MAGIC.items() if data.startswith(start)), "image/png")
