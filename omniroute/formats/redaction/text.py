"""A text that comes in pieces, redacted."""

from __future__ import annotations

from omniroute.formats.redaction.scrubber import Edit, Finders, Scrubber

LONE = "surrogatepass"
"""Halves of a pair are no UTF-8; they match nothing and go through as they are."""


class PlainText:
    """The text's own words."""

    __slots__ = ("_pending", "_scrubber")

    def __init__(self, finders: Finders) -> None:
        self._scrubber = Scrubber(finders)
        self._pending = b""

    def feed(self, piece: str) -> str:
        """What is sure of all that came."""
        data = piece.encode("utf-8", LONE)
        self._pending += data
        return self._render(self._scrubber.feed(data))

    def close(self) -> str:
        """The rest; another text may begin."""
        return self._render(self._scrubber.close())

    def _render(self, edits: list[Edit]) -> str:
        out: list[bytes] = []
        at = 0
        for size, instead in edits:
            out.append(self._pending[at : at + size] if instead is None else instead)
            at += size
        self._pending = self._pending[at:]
        return b"".join(out).decode("utf-8", LONE)
