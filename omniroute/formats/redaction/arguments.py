"""The arguments of a tool, which are JSON in pieces: each string in them is a text, each number a word.

The pieces may end within a string, or within an escape in it. An escape goes through as it was written as long as it
stands for nothing that is found. What is found outside of strings becomes a string: the arguments stay JSON.
"""

from __future__ import annotations

import re

import msgspec

from omniroute.formats.redaction.scrubber import Edit, Finders, Scrubber
from omniroute.formats.redaction.text import LONE

_encode = msgspec.json.Encoder().encode
_escape = re.compile(r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[^u])", re.DOTALL)
_unfinished = re.compile(
    r"\\(?:u[0-9a-fA-F]{0,3}|u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?)?"
)
_plain = re.compile(r'[^"\\]+')
_word = re.compile(r'[^\s{}\[\]:,"]+')
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class ArgumentsText:
    """A document of JSON on its way."""

    __slots__ = ("_held", "_inside", "_raw", "_scrubber")

    def __init__(self, finders: Finders) -> None:
        self._scrubber = Scrubber(finders)
        self._raw: list[tuple[int, str]] = []  # what the scrubber holds, as it was written: bytes of UTF-8 and the text
        self._inside = False
        self._held = ""

    def feed(self, piece: str) -> str:
        """What is sure of all that came."""
        text, self._held = self._held + piece, ""
        out: list[str] = []
        at = 0
        while at < len(text):
            at = (self._in_string if self._inside else self._between)(text, at, out)
        return "".join(out)

    def close(self) -> str:
        """The rest, as it came: an escape that has no end is none."""
        out: list[str] = []
        if self._held:
            self._put(self._held, self._held, out)
            self._held = ""
        self._end(out)
        self._inside = False
        return "".join(out)

    def _between(self, text: str, at: int, out: list[str]) -> int:
        word = _word.match(text, at)
        if word is not None:
            self._put(word[0], word[0], out)
            return word.end()
        self._end(out)
        out.append(text[at])
        self._inside = text[at] == '"'
        return at + 1

    def _in_string(self, text: str, at: int, out: list[str]) -> int:
        plain = _plain.match(text, at)
        if plain is not None:
            self._put(plain[0], plain[0], out)
            return plain.end()
        if text[at] == '"':
            self._end(out)
            out.append('"')
            self._inside = False
            return at + 1
        unfinished = _unfinished.fullmatch(text, at)
        if unfinished is not None:
            self._held = text[at:]
            return len(text)
        escape = _escape.match(text, at)
        if escape is None:  # a `\\u` without its digits
            self._put(text[at], text[at], out)
            return at + 1
        self._put(_meant(escape[0]), escape[0], out)
        return escape.end()

    def _put(self, meant: str, written: str, out: list[str]) -> None:
        data = meant.encode("utf-8", LONE)
        self._raw.append((len(data), written))
        self._render(self._scrubber.feed(data), out)

    def _end(self, out: list[str]) -> None:
        if self._raw:
            self._render(self._scrubber.close(), out)

    def _render(self, edits: list[Edit], out: list[str]) -> None:
        for size, instead in edits:
            written = self._taken(size)
            if instead is None:
                out.append(written)
            else:
                quoted = _encode(instead.decode()).decode()
                out.append(quoted[1:-1] if self._inside else quoted)

    def _taken(self, size: int) -> str:
        """How the first bytes of what is held were written."""
        out: list[str] = []
        while size:
            (length, written), *_ = self._raw
            if length > size:  # only what was written as it is meant ends within
                data = written.encode("utf-8", LONE)
                out.append(data[:size].decode("utf-8", LONE))
                self._raw[0] = (length - size, data[size:].decode("utf-8", LONE))
                break
            out.append(written)
            size -= length
            del self._raw[0]
        return "".join(out)


def _meant(escape: str) -> str:
    """The character that an escape stands for."""
    if escape[1] != "u":
        return _SHORT.get(escape[1], escape[1])
    units = [int(digits, 16) for digits in escape.split("\\u")[1:]]
    return chr(units[0]) if len(units) == 1 else chr(0x10000 + ((units[0] - 0xD800) << 10) + (units[1] - 0xDC00))
