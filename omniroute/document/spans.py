"""Which characters of a file an entry is.

The parser's marks say where a value begins, and where one in brackets or quotes ends. The rest is found here: the true
end of a block (the mark lies beyond the comments that follow it), the dash of an item, the place of an alias (its node
is that of the anchor), and which comments belong to an entry.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import yaml

from omniroute.document.shown import Place

_gap = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_flow_gap = re.compile(r"(?:[ \t\r\n,]|#[^\r\n]*)*")
_alias = re.compile(r"\*[\w-]+")
_property = re.compile(r"[&!][^\s,\[\]{}]*")
_question = re.compile(r"\?[ \t]+$")
_header = re.compile(r"[|>][0-9+-]*")
_break = re.compile(r"\r\n|\r|\n")
_comment = re.compile(r"( *)#[^\r\n]*")


class Entry(NamedTuple):
    """A value in its collection, by the indices of its characters. `first` is the key or dash (or a `?`), `key` and
    `key_end` the key (-1 in a list), `head` the character after the colon or dash, `base` that after an anchor on it,
    `start` the value with its anchor and `body` without."""

    node: yaml.Node
    in_flow: bool
    first: int
    key: int
    key_end: int
    colon: bool
    head: int
    base: int
    start: int
    body: int
    alias: bool

    @property
    def is_empty(self) -> bool:
        """Whether nothing stands there."""
        node = self.node
        return not self.alias and isinstance(node, yaml.ScalarNode) and node.value == "" and not node.style

    @property
    def is_block(self) -> bool:
        """Whether the value is a collection without brackets."""
        return not self.alias and isinstance(self.node, yaml.CollectionNode) and not self.node.flow_style

    @property
    def is_block_scalar(self) -> bool:
        """Whether the value is a literal or folded text."""
        return not self.alias and isinstance(self.node, yaml.ScalarNode) and self.node.style in ("|", ">")


class Spans:
    """Finds entries in one text."""

    def __init__(self, text: str, root: yaml.Node | None) -> None:
        self.text = text
        self.root = root
        self.shared = _shared(root) if root is not None and "&" in text and "*" in text else frozenset()
        """The nodes, by identity, that stand in more than one place."""

    # ------------------------------------------------------------------------------------------------------ the entries

    @property
    def root_body(self) -> int:
        """Where the outermost map begins."""
        assert self.root is not None
        return self._body(self.root, self.root.start_mark.index)[1]

    def trail(self, path: Place) -> list[Entry]:
        """The entries on the way to a place, the last one is what stands there. Raises KeyError where nothing does."""
        found: list[Entry] = []
        node, body = self.root, self.root_body
        for step in path:
            index = self._index(node, step)
            entry = self.entries(node, body)[index]
            found.append(entry)
            node, body = entry.node, entry.body
        return found

    def _index(self, node: yaml.Node | None, step: str | int) -> int:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
            return step
        if isinstance(node, yaml.MappingNode) and isinstance(step, str):
            for index, (name, _) in enumerate(node.value):
                if name.value == step:
                    return index
        raise KeyError(step)

    def entries(self, node: yaml.Node | None, body: int) -> list[Entry]:
        """The entries of a collection that begins at `body`."""
        assert isinstance(node, yaml.CollectionNode)
        flow = bool(node.flow_style)
        cursor = body + 1 if flow and self.text[body] in "{[" else body
        found: list[Entry] = []
        for each in node.value:
            if isinstance(node, yaml.MappingNode):
                entry = self._pair(each, cursor, flow)
                cursor = self.end(entry) if self.shared else entry.head
            else:
                entry = self._item(each, cursor, flow)
                cursor = self.end(entry)
            found.append(entry)
        return found

    def _pair(self, pair: tuple[yaml.Node, yaml.Node], cursor: int, flow: bool) -> Entry:
        name, value = pair
        key, key_end = name.start_mark.index, name.end_mark.index
        if key < cursor and self.shared:
            key = self.skip(cursor, flow=flow)
            key += 1 if self.text[key : key + 1] == "?" else 0
            key = self.skip(key)
            key_end = self._alias_end(key)
        question = _question.search(self.text, self.line_start(key), key)
        at = self.skip(key_end)
        colon = self.text[at : at + 1] == ":"
        head = at + 1 if colon else key_end
        return self._entry(value, flow, question.start() if question else key, key, key_end, colon, head)

    def _item(self, value: yaml.Node, cursor: int, flow: bool) -> Entry:
        first = self.skip(cursor, flow=flow)
        return self._entry(value, flow, first, -1, -1, not flow, first if flow else first + 1)

    def _entry(self, node: yaml.Node, flow: bool, first: int, key: int, key_end: int, colon: bool, head: int) -> Entry:
        start = node.start_mark.index
        alias = start < head and id(node) in self.shared
        if alias:
            start = self.skip(head)
        elif start == node.end_mark.index:
            start = head
        base, body = (head, start) if alias or start == node.end_mark.index else self._body(node, start, head)
        return Entry(node, flow, first, key, key_end, colon, head, base, start, body, alias)

    def _body(self, node: yaml.Node, start: int, base: int = 0) -> tuple[int, int]:
        """The end of the properties of a value, and where it itself begins."""
        at = start
        while match := _property.match(self.text, at):
            base = match.end()
            at = self.skip(base)
            if isinstance(node, yaml.ScalarNode) and at >= node.end_mark.index:
                return base, base
        return base, at

    # --------------------------------------------------------------------------------------------------------- the ends

    def end(self, entry: Entry) -> int:
        """The end of a value, without what may follow on its line."""
        node = entry.node
        if entry.alias:
            return self._alias_end(entry.start)
        if entry.is_empty:
            return entry.body
        if entry.is_block:
            return self.end(self._last(node, entry.body))
        if entry.is_block_scalar:
            return self._scalar_end(node, entry.body)
        return node.end_mark.index

    def _last(self, node: yaml.Node, body: int) -> Entry:
        """The last entry of a block, without a look at the others where none can be an alias."""
        if not self.shared and isinstance(node, yaml.MappingNode):
            return self._pair(node.value[-1], body, bool(node.flow_style))
        return self.entries(node, body)[-1]

    def _scalar_end(self, node: yaml.Node, body: int) -> int:
        """Empty lines at the end of a block scalar separate what follows, unless it keeps them."""
        end = node.end_mark.index
        header = self.text[body : self.line_end(body)].split("#")[0]
        return end if "+" in header else self.line_end(body + len(self.text[body:end].rstrip()) - 1)

    def full_end(self, entry: Entry) -> int:
        """The end of the last line of an entry: with a comment that follows on it, and with the comments below that are
        indented further than the entry and so can belong to nothing else."""
        end = self.end(entry)
        if self.text[end - 1 : end] in ("\n", "\r") and entry.body < end:
            return end - (2 if self.text[end - 2 : end] == "\r\n" else 1)
        end = at = self.line_end(end)
        while entry.is_block and at < len(self.text):
            line = self.next_line(at)
            at = self.line_end(line)
            comment = _comment.match(self.text, line)
            if comment and len(comment[1]) > self.column(entry.first):
                end = at
            elif self.text[line:at].strip():
                break
        return end

    def full_start(self, entry: Entry) -> int:
        """The beginning of the first line of an entry: with the comments directly above it at its indentation, unless
        they are what the file begins with."""
        own = start = line = self.line_start(entry.first)
        while line > 0:
            line = self.line_above(line)
            comment = _comment.match(self.text, line)
            if not comment or len(comment[1]) != self.column(entry.first):
                return start
            start = line
        return own

    def _alias_end(self, start: int) -> int:
        match = _alias.match(self.text, start)
        return match.end() if match else start

    def block_header(self, index: int) -> re.Match[str]:
        """What a literal or folded text begins with: `|`, how it ends, and how far it is indented."""
        header = _header.search(self.text, index)
        assert header is not None
        return header

    # -------------------------------------------------------------------------------------------------------- the lines

    def skip(self, index: int, *, flow: bool = False) -> int:
        """The next character that is neither space nor comment."""
        match = (_flow_gap if flow else _gap).match(self.text, index)
        return match.end() if match else index

    def line_start(self, index: int) -> int:
        return max(self.text.rfind("\n", 0, index), self.text.rfind("\r", 0, index)) + 1

    def line_above(self, start: int) -> int:
        """Where the line before the one that starts here begins."""
        return self.line_start(max(0, start - (2 if self.text[start - 2 : start] == "\r\n" else 1)))

    def line_end(self, index: int) -> int:
        match = _break.search(self.text, index)
        return match.start() if match else len(self.text)

    def next_line(self, index: int) -> int:
        """Where the line after this one begins."""
        match = _break.search(self.text, index)
        return match.end() if match else len(self.text)

    def column(self, index: int) -> int:
        return index - self.line_start(index)

    def begins_line(self, index: int) -> bool:
        """Whether only spaces stand before it on its line."""
        return not self.text[self.line_start(index) : index].strip(" ")

    def newline(self, index: int) -> str:
        """How lines end around a place."""
        match = _break.search(self.text, index) or _break.search(self.text)
        return match[0] if match else "\n"


def _shared(root: yaml.Node) -> frozenset[int]:
    seen: set[int] = set()
    shared: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            shared.add(id(node))
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            waiting += [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return frozenset(shared)
