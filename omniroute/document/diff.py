"""The difference between two versions of a file, as `git apply` takes it, with the secrets in it blacked out.

A literal secret does not belong into these files, and an edit that concerns one must not carry it into an answer, a log
or an audit row either.  A blacked-out line does not apply, which is then right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Protocol

from omniroute.document.document import Document
from omniroute.document.shown import blacked_out, masked
from omniroute.errors import ConfigError

CONTEXT = 3
_NO_NEWLINE = "\n\\ No newline at end of file\n"
Chunk = tuple[str, int, int, int, int]


class Side(Protocol):
    """A version of a file: its bytes, and each line, from 1, as it may be shown."""

    @property
    def content(self) -> bytes: ...

    @property
    def marked(self) -> bool: ...

    def inked(self, line: int) -> str: ...


class Absent:
    """The version of a file that is not there."""

    content = b""
    marked = False

    def inked(self, line: int) -> str:
        raise IndexError(line)


class Unread:
    """The version of a file that is no YAML, so that only its looks tell what in it is a secret."""

    marked = False

    def __init__(self, content: bytes) -> None:
        self.content = content.decode("utf-8", "replace").encode()
        self._lines = self.content.decode().splitlines()

    def inked(self, line: int) -> str:
        return masked(blacked_out(self._lines, line - 1))


ABSENT = Absent()


def side(content: bytes | None, name: str) -> Side:
    """The version that these bytes are; without any, the file is not there."""
    if content is None:
        return ABSENT
    try:
        return Document.parse(content, name)
    except ConfigError:
        return Unread(content)


def unified(old: Side, new: Side, name: str) -> str:
    """The unified diff of a file of this name; empty where both are the same."""
    if old.content == new.content:
        return ""
    before, after = (each.content.decode().splitlines(keepends=True) for each in (old, new))
    hunks = [_hunk(old, new, before, after, group) for group in _groups(before, after)]
    heads = "/dev/null" if old is ABSENT else f"a/{name}", "/dev/null" if new is ABSENT else f"b/{name}"
    return "".join((f"--- {heads[0]}\n+++ {heads[1]}\n", *hunks))


def _groups(before: Sequence[str], after: Sequence[str]) -> Iterator[list[Chunk]]:
    """What differs, with context. What is the same at both ends of the files is passed over first: comparing all lines
    with all is what costs."""
    shorter = min(len(before), len(after))
    head = next((index for index in range(shorter) if before[index] != after[index]), shorter)
    most = shorter - head
    tail = next((index for index in range(most) if before[-1 - index] != after[-1 - index]), most)
    first, last = max(0, head - CONTEXT), max(0, tail - CONTEXT)
    matcher = SequenceMatcher(None, before[first : len(before) - last], after[first : len(after) - last])
    for group in matcher.get_grouped_opcodes(CONTEXT):
        yield [(kind, a + first, b + first, c + first, d + first) for kind, a, b, c, d in group]


def _hunk(old: Side, new: Side, before: Sequence[str], after: Sequence[str], group: list[Chunk]) -> str:
    places = _range(group[0][1], group[-1][2]), _range(group[0][3], group[-1][4])
    lines = [f"@@ -{places[0]} +{places[1]} @@\n"]
    for kind, start, end, first, last in group:
        if kind == "equal":
            lines += (_line(" ", old, before, index) for index in range(start, end))
            continue
        lines += (_line("-", old, before, index) for index in range(start, end))
        lines += (_line("+", new, after, index) for index in range(first, last))
    return "".join(lines)


def _line(sign: str, version: Side, lines: Sequence[str], index: int) -> str:
    ending = lines[index][len(lines[index].rstrip("\r\n")) :]
    mark = "\ufeff" if version.marked and index == 0 else ""
    return f"{sign}{mark}{version.inked(index + 1)}{ending or _NO_NEWLINE}"


def _range(start: int, end: int) -> str:
    """Lines as a hunk's head tells them: from 1, with their number where it is not 1, and the line before for none."""
    length = end - start
    if length == 1:
        return f"{start + 1}"
    return f"{start + (length > 0)},{length}"
