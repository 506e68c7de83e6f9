"""Tools that take free text, for models that only know functions.

Such a tool is told as a function of one text (`SCHEMA`), and its call comes back with an object around the text.
`Unwrapping` takes that off again while the call streams, for a client that defined the tool as it was.
"""

from __future__ import annotations

import re

import msgspec

from omniroute.formats.ir import Raw, ToolCall

SCHEMA = Raw(
    b'{"type":"object","properties":{"input":{"type":"string","description":"The whole input, as plain text."}},'
    b'"required":["input"],"additionalProperties":false}'
)

_OPENING = '{"input":"'
_opening = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_spaces = re.compile(r"\s+")
_inner = re.compile(r'(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u]|\\u(?=[0-9a-fA-F]{0,3}[^0-9a-fA-F]))*')
_half = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")
"""The first of two escapes that make one character."""
_escape = re.compile(r'\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt])?')
_string = msgspec.json.Decoder(str).decode


class _Wrapped(msgspec.Struct):
    input: str


_wrapped = msgspec.json.Decoder(_Wrapped).decode


class Unwrapping:
    """The text of one call, from pieces of its arguments. What is no such object comes out as it is, at the end.

    Pieces may be as small as a character, so what is held is not put together before it is known what it is.
    """

    __slots__ = ("_held", "_inside", "_over", "_plain", "_start", "_tail")

    def __init__(self) -> None:
        self._held: list[str] = []  # all so far, until the text begins
        self._start = ""  # the same without spaces, as far as it tells what this is
        self._tail = ""  # of the text, what only the next piece can complete
        self._inside = False
        self._over = False
        self._plain = False

    def feed(self, piece: str) -> str:
        if self._over:
            return ""
        if not self._inside:
            self._held.append(piece)
            if not self._opened(piece):
                return ""
            piece = ""
        written = self._tail + piece
        inner = _inner.match(written)
        assert inner is not None
        text = inner[0]
        if written.startswith('"', len(text)):
            self._over = True
            return _text(text)
        half = _half.search(text)
        if half is not None:
            text = text[: half.start()]
        self._tail = written[len(text) :]
        return _text(text)

    def close(self) -> str:
        """The call has ended: what is still owed."""
        held = "".join(self._held)
        self._held.clear()
        if self._over or self._inside:
            return ""
        try:
            return _wrapped(held).input
        except (ValueError, RecursionError):
            return "" if _spaces.sub("", held) == "{}" else held

    def _opened(self, piece: str) -> bool:
        """Whether the text has begun; its beginning is the tail then."""
        if self._plain:
            return False
        self._start = (self._start + _spaces.sub("", piece))[: len(_OPENING)]
        if self._start != _OPENING:
            self._plain = not _OPENING.startswith(self._start)
            return False
        held = "".join(self._held)
        opening = _opening.match(held)
        if opening is None:
            self._plain = True
            return False
        self._inside = True
        self._held.clear()
        self._tail = held[opening.end() :]
        return True


def called(call: ToolCall, free: frozenset[str]) -> ToolCall:
    """A whole call as the client defined its tool, those in `free` taking text."""
    if call.custom or call.name not in free:
        return call
    return ToolCall(call.id, call.name, unwrapped(call.arguments), custom=True)


def unwrapped(arguments: str) -> str:
    """The text of a call that came whole."""
    unwrapping = Unwrapping()
    return unwrapping.feed(arguments) + unwrapping.close()


def _text(inner: str) -> str:
    """What stands between the quotes of a string; models leave line ends and backslashes as they are, which JSON does
    not."""
    if "\\" not in inner:
        return inner
    escaped = _escape.sub(lambda found: found[0] if len(found[0]) > 1 else "\\\\", inner)
    try:
        return _string('"' + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"')
    except ValueError:
        return inner
