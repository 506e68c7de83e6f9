"""Finds in a text that comes in pieces what it would find in the whole, and holds back no more than may still be part
of a find.

What counts is the leftmost find, of those that begin at the same place that of the pattern listed first, and the search
goes on behind it. Whether a find begins at a place depends on the texts from there on and on the one character before,
never on how the text was cut, which is why a stream and its whole are redacted alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from omniroute.formats.redaction.expression import beginning, compiled, read
from omniroute.formats.redaction.patterns import Named

Edit = tuple[int, bytes | None]
"""So many bytes of the text, and what stands in for them; None where they stay."""
_FAR = 1 << 62
MOST_REJECTED = 20_000
"""Texts in a row that have the shape of a find and are none: less than half a second of work. A text of more is made
to hold up others."""


class Finder:
    """One pattern, and the words that stand in for what it finds."""

    __slots__ = ("_check", "_search", "begun", "placeholder", "source")

    def __init__(self, pattern: Named, placeholder: str) -> None:
        """Raises ValueError for a pattern that cannot be used."""
        expression = read(pattern.expression)
        self.source = expression.source
        self.begun = expression.begun
        self.placeholder = placeholder.encode()
        self._check = pattern.check
        self._search = compiled(expression.source).search

    def find(self, text: bytes, start: int) -> tuple[int, int]:
        """Where the first find from there on begins and ends. Raises ValueError where too much only looks like one: it
        costs some microseconds each time to say that it is none."""
        for _ in range(MOST_REJECTED):
            found = self._search(text, start)
            if found is None:
                return _FAR, _FAR
            begins, ends = found.span()
            if self._check is None:
                return begins, ends
            size = self._check(text[begins:ends])
            if size:
                return begins, begins + size
            start = begins + 1
        raise ValueError(f"more than {MOST_REJECTED} texts that look like what is to be redacted, one after the other")


class Finders:
    """Several patterns, the first of them counting most."""

    __slots__ = ("_all", "_any", "_begun")

    def __init__(self, finders: Sequence[Finder]) -> None:
        self._all = tuple(finders)
        self._any = compiled("|".join(f"(?:{one.source})" for one in finders)).search
        self._begun = compiled(beginning(*(one.begun for one in finders))).search

    def sure(self, text: bytes, start: int) -> int:
        """Up to where nothing that is still to come can begin or change a find."""
        found = self._begun(text, start)
        assert found is not None  # nothing at all is a beginning
        place: int = found.start()
        return place

    def finds(self, text: bytes, start: int = 0, *, ended: bool = True) -> Iterator[tuple[int, int, bytes]]:
        """The finds from a place on, each with what stands in for it; of a text that has not ended those that are
        sure."""
        if self._any(text, start) is None:
            return
        following = [one.find(text, start) for one in self._all]
        while True:
            begins, ends = found = min(following, key=_first)
            if begins == _FAR or (not ended and begins >= self.sure(text, start)):
                return
            yield begins, ends, self._all[following.index(found)].placeholder
            start = ends
            following = [
                one.find(text, start) if place[0] < start else place
                for one, place in zip(self._all, following, strict=True)
            ]

    def scrubbed(self, text: bytes) -> bytes | None:
        """The whole text without its finds; None where there are none."""
        out: list[bytes] = []
        kept = 0
        for begins, ends, placeholder in self.finds(text):
            out += (text[kept:begins], placeholder)
            kept = ends
        return b"".join((*out, text[kept:])) if out else None


def _first(place: tuple[int, int]) -> int:
    return place[0]


class Scrubber:
    """One text on its way, in UTF-8. A piece may end anywhere between two characters."""

    __slots__ = ("_finders", "_seen", "_text")

    def __init__(self, finders: Finders) -> None:
        self._finders = finders
        self._text = b""
        self._seen = 0  # bytes at the start that are gone, and are there for the pattern that looks back

    def feed(self, piece: bytes) -> list[Edit]:
        """What is sure now of all that came."""
        self._text += piece
        return self._settle(ended=False)

    def close(self) -> list[Edit]:
        """The rest; another text may begin."""
        edits = self._settle(ended=True)
        self._text, self._seen = b"", 0
        return edits

    @property
    def held(self) -> int:
        return len(self._text) - self._seen

    def _settle(self, *, ended: bool) -> list[Edit]:
        text, at = self._text, self._seen
        edits: list[Edit] = []
        for begins, ends, placeholder in self._finders.finds(text, at, ended=ended):
            edits += ((begins - at, None), (ends - begins, placeholder))
            at = ends
        sure = len(text) if ended else self._finders.sure(text, at)
        edits.append((sure - at, None))
        self._forget(sure)
        return [edit for edit in edits if edit[0]]

    def _forget(self, sure: int) -> None:
        """All before a place but for the character before it."""
        before = max(sure - 1, 0)
        while before > 0 and self._text[before] & 0xC0 == 0x80:
            before -= 1
        self._text = self._text[before:]
        self._seen = sure - before


class Redaction(msgspec.Struct, frozen=True, eq=False):
    """What a rule takes out of requests and answers. Where that cannot be done, a `strict` one refuses the request."""

    finders: tuple[Finder, ...]
    request: bool
    response: bool
    strict: bool


def finders(redactions: Sequence[Redaction]) -> Finders:
    """The patterns of several rules together."""
    return Finders([one for each in redactions for one in each.finders])
