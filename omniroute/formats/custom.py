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
_inner = re.compile(r'(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*')
_half = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")
"""The first of two escapes that make one character."""
_string = msgspec.json.Decoder(str).decode


class _Wrapped(msgspec.Struct):
    input: str


_wrapped = msgspec.json.Decoder(_Wrapped).decode


class Unwrapping:
    """The text of one call, from pieces of its arguments. What is no such object comes out as it is, at the end."""

    __slots__ = ("_held", "_inside", "_over", "_plain")

    def __init__(self) -> None:
        self._held = ""
        self._inside = False
        self._over = False
        self._plain = False

    def feed(self, piece: str) -> str:
        if self._over:
            return ""
        self._held += piece
        if not self._inside and not self._opened():
            return ""
        inner = _inner.match(self._held)
        assert inner is not None
        text = inner[0]
        rest = self._held[len(text) :]
        if rest.startswith('"'):
            self._over = True
            self._held = ""
            return _text(text)
        half = _half.search(text)
        if half is not None:
            text = text[: half.start()]
        self._held = self._held[len(text) :]
        return _text(text)

    def close(self) -> str:
        """The call has ended: what is still owed."""
        held, self._held = self._held, ""
        if self._over or self._inside:
            return ""
        try:
            return _wrapped(held).input
        except (ValueError, RecursionError):
            return "" if _spaces.sub("", held) == "{}" else held

    def _opened(self) -> bool:
        if self._plain:
            return False
        opening = _opening.match(self._held)
        if opening is None:
            start = _spaces.sub("", self._held[:200])
            self._plain = not _OPENING.startswith(start[: len(_OPENING)])
            return False
        self._inside = True
        self._held = self._held[opening.end() :]
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
    """What stands between the quotes of a string; models leave line ends as they are, which JSON does not."""
    if "\\" not in inner:
        return inner
    try:
        return _string('"' + inner.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"')
    except ValueError:
        return inner
