"""The characters to exchange for an edit, best way first.

Each way is a guess about text, made from the spans of what is there; `edit.py` proves it by reading the result. That is
why nothing here has to think of every shape that YAML allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import yaml

from omniroute.document import written
from omniroute.document.shown import Step
from omniroute.document.spans import Entry, Spans


class Splice(NamedTuple):
    """The characters from `start` to `end` become `text`."""

    start: int
    end: int
    text: str


Way = list[Splice]


def spliced(text: str, splices: Iterable[Splice]) -> str:
    """The text with all splices made. Those at one place come in the order in which they are given."""
    parts: list[str] = []
    at = 0
    for splice in sorted(splices, key=lambda each: each[:2]):
        parts += text[at : splice.start], splice.text
        at = splice.end
    return "".join((*parts, text[at:]))


class Ways:
    """The ways to make one edit in one text."""

    def __init__(self, spans: Spans) -> None:
        self.spans = spans
        self.text = spans.text
        root = spans.root
        names = root.value[0][0] if isinstance(root, yaml.MappingNode) and root.flow_style and root.value else None
        self.quote = '"' if isinstance(names, yaml.ScalarNode) and names.style == '"' else None
        """The quote of all texts, where the file is JSON."""

    # ---------------------------------------------------------------------------------------------------------- a value

    def put(self, entry: Entry, value: Any) -> Iterator[Way]:
        """Another value where there is one, or where nothing stands behind a key."""
        if entry.in_flow:
            yield self._put_in_flow(entry, value)
            return
        style = entry.node.style if isinstance(entry.node, yaml.ScalarNode) and not entry.alias else None
        if self._stays_in_brackets(entry, value):
            yield self._put_in_block(entry, written.flow(value), [], value)
        indent = self.spans.column(entry.first) + 2
        for literal in (True, False):
            head, lines = written.value(value, indent, literal=literal, style=style)
            yield self._put_in_block(entry, head, lines, value)

    def _stays_in_brackets(self, entry: Entry, value: Any) -> bool:
        node = entry.node
        if entry.alias or not isinstance(node, yaml.CollectionNode) or not node.flow_style or not node.value:
            return False
        if not value or not isinstance(value, dict | list | tuple):
            return False
        return self.spans.column(entry.body) + len(written.flow(value)) <= written.WIDTH

    def _put_in_flow(self, entry: Entry, value: Any) -> Way:
        node = entry.node
        style = node.style if isinstance(node, yaml.ScalarNode) and not isinstance(value, dict | list | tuple) else None
        text = written.flow(value, style=self.quote or style)
        if entry.is_empty:
            return [Splice(entry.body, entry.body, f" {text}" if entry.colon else f": {text}")]
        return [Splice(entry.body, self.spans.end(entry), text)]

    def _put_in_block(self, entry: Entry, head: str, lines: list[str], value: Any) -> Way:
        """`head` behind the key, and the lines below it; what stood behind it as a comment stays there."""
        spans = self.spans
        line_end = spans.line_end(entry.base)
        beside = f" {head}" if head else ""
        below = self._below(line_end, lines)
        if entry.is_block and entry.body <= line_end:
            return [Splice(entry.body, spans.full_end(entry), self._beside(entry.body, head, value))]
        if entry.is_block:
            return [Splice(entry.base, entry.base, beside), Splice(line_end, spans.full_end(entry), below)]
        if entry.is_block_scalar:
            return self._put_for_block_scalar(entry, beside, lines)
        end = spans.end(entry)
        if not lines and not entry.is_empty:
            return [Splice(entry.body, end, head)]
        line_end = spans.line_end(end)
        comment = self.text[end:line_end].strip()
        if entry.key < 0 and not head and not comment:
            return [
                Splice(entry.base, line_end, " " + self._beside(spans.column(entry.base) + 1, "", value, absolute=True))
            ]
        return [Splice(entry.base, end, beside), Splice(line_end, line_end, self._below(line_end, lines))]

    def _put_for_block_scalar(self, entry: Entry, beside: str, lines: list[str]) -> Way:
        header = self.spans.block_header(entry.body).end()
        line_end = self.spans.line_end(header)
        end = max(line_end, self.spans.full_end(entry))
        return [Splice(entry.base, header, beside), Splice(line_end, end, self._below(line_end, lines))]

    def _beside(self, at: int, head: str, value: Any, *, absolute: bool = False) -> str:
        """A collection that begins beside a dash."""
        if head:
            return head
        column = at if absolute else self.spans.column(at)
        return self.spans.newline(at).join(written.block(value, column)).lstrip(" ")

    def _below(self, at: int, lines: list[str]) -> str:
        newline = self.spans.newline(at)
        return "".join(newline + line for line in lines)

    # ------------------------------------------------------------------------------------------------------- a new entry

    def add(self, node: yaml.Node, body: int, index: int, name: str | None, value: Any) -> Iterator[Way]:
        """A new entry of a collection that is not empty, before the one of this index or after the last."""
        entries = self.spans.entries(node, body)
        if entries[0].in_flow:
            yield self._add_in_flow(entries, index, name, value)
            return
        column = self.spans.column(entries[0].first)
        for literal in (True, False):
            if name is None:
                lines = written.item(value, column, literal=literal)
            else:
                lines = written.entry(name, value, column, literal=literal)
            yield self._add_in_block(entries, index, lines)

    def _add_in_block(self, entries: list[Entry], index: int, lines: list[str]) -> Way:
        spans = self.spans
        if index > 0:
            at = spans.full_end(entries[index - 1])
            return [Splice(at, at, self._below(at, lines if self._are_close(entries, lines) else ["", *lines]))]
        first = entries[0].first
        newline = spans.newline(first)
        if spans.begins_line(first):
            at = spans.full_start(entries[0])
            return [Splice(at, at, "".join(line + newline for line in lines))]
        return [Splice(first, first, newline.join(lines).lstrip(" ") + newline + " " * spans.column(first))]

    def _are_close(self, entries: list[Entry], lines: list[str]) -> bool:
        """Whether no empty line is to stand before a new entry: there is one where the last of several has one."""
        start = self.spans.full_start(entries[-1])
        above = self.text[self.spans.line_above(start) : start]
        return len(entries) < 2 or len(lines) < 2 or bool(above.strip())

    def _add_in_flow(self, entries: list[Entry], index: int, name: str | None, value: Any) -> Way:
        spans = self.spans
        new = written.flow(value if name is None else {name: value}, style=self.quote)
        new = new if name is None else new[1:-1]
        if index < len(entries):
            first = entries[index].first
            gap = spans.newline(first) + " " * spans.column(first) if spans.begins_line(first) else " "
            return [Splice(first, first, f"{new},{gap}")]
        last = entries[-1]
        end = spans.end(last)
        if not spans.begins_line(last.first) or self._closes(end):
            return [Splice(end, end, f", {new}")]
        comma = spans.skip(end)
        at = spans.line_end(end)
        line = f"{spans.newline(end)}{' ' * spans.column(last.first)}{new}"
        if self.text[comma : comma + 1] == ",":
            return [Splice(spans.line_end(comma), spans.line_end(comma), f"{line},")]
        return [Splice(end, end, ","), Splice(at, at, line)]

    def _closes(self, end: int) -> bool:
        """Whether the bracket closes on the line of the last entry."""
        return self.text[end : self.spans.line_end(end)].strip(" \t,")[:1] in ("}", "]")

    def begin(self, name: str, value: Any) -> Iterator[Way]:
        """The first entry of a file that has none."""
        text, spans = self.text, self.spans
        newline = spans.newline(len(text))
        for literal in (True, False):
            new = newline.join(written.entry(name, value, 0, literal=literal))
            before = newline if text and not text.endswith(("\n", "\r")) else ""
            yield [Splice(len(text), len(text), f"{before}{new}{newline}")]
            end = text.rfind("...")
            yield [Splice(end, end, f"{new}{newline}")] if end >= 0 else []

    # ----------------------------------------------------------------------------------------------------- less or other

    def remove(self, node: yaml.Node, body: int, index: int) -> Iterator[Way]:
        """Without one of several entries, or without the last one of a file."""
        entries = self.spans.entries(node, body)
        entry = entries[index]
        following = entries[index + 1] if index + 1 < len(entries) else None
        if entry.in_flow:
            yield self._remove_in_flow(entries, index)
        elif self.spans.begins_line(entry.first):
            end = self.spans.full_end(entry)
            start, behind = self.spans.full_start(entry), self.spans.next_line(end)
            yield [Splice(start, behind, "")]
            while not self.text[behind : self.spans.line_end(behind)].strip() and behind < len(self.text):
                behind = self.spans.next_line(behind)
            yield [Splice(start, behind, "")]  # a text before it that keeps its empty lines would get these
        elif following is not None:
            yield self._remove_beside_dash(entry, following)

    def _remove_beside_dash(self, entry: Entry, following: Entry) -> Way:
        """The first key of a map that begins beside a dash: the next one moves up, if no comment stands between."""
        end = self.spans.full_end(entry)
        if self.spans.line_start(following.first) == self.spans.next_line(end):
            return [Splice(entry.first, following.first, "")]
        start = self.spans.line_start(entry.first) + len(
            self.text[self.spans.line_start(entry.first) : entry.first].rstrip(" ")
        )
        return [Splice(start, end, "")]

    def _remove_in_flow(self, entries: list[Entry], index: int) -> Way:
        spans, entry = self.spans, entries[index]
        end = spans.end(entry)
        comma = spans.skip(end)
        after = comma + 1 if self.text[comma : comma + 1] == "," else end
        rest = self.text[after : spans.line_end(after)].strip()
        if spans.begins_line(entry.first) and (not rest or rest.startswith("#")):
            return [Splice(spans.full_start(entry), spans.next_line(after), "")]
        if index + 1 < len(entries) and spans.line_start(entries[index + 1].first) == spans.line_start(after):
            return [Splice(entry.first, entries[index + 1].first, "")]
        if index > 0 and spans.line_start(spans.end(entries[index - 1])) == spans.line_start(entry.first):
            return [Splice(spans.end(entries[index - 1]), end, "")]
        return [Splice(entry.first, after, "")]

    def rename(self, entry: Entry, name: str) -> Iterator[Way]:
        """Another key before the same value."""
        old = self.text[entry.key : entry.key_end]
        style = old[:1] if old[:1] in "'\"" else None
        yield [Splice(entry.key, entry.key_end, written.scalar(name, flow=entry.in_flow, style=style))]

    # ---------------------------------------------------------------------------------------------------- the last resort

    def rewrite(self, entry: Entry, value: Any) -> Iterator[Way]:
        """All of an entry anew, in block style where it stands in no brackets."""
        if entry.in_flow or not isinstance(value, dict | list | tuple) or not value:
            yield from self.put(entry, value)
            return
        indent = self.spans.column(entry.first) + 2
        for literal in (True, False):
            yield self._put_in_block(entry, "", written.block(value, indent, literal=literal), value)


def step_index(node: yaml.Node, step: Step) -> int:
    """The index of an entry among those of its collection."""
    if isinstance(step, int):
        return step
    return next(index for index, (name, _) in enumerate(node.value) if name.value == step)
