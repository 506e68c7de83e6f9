"""A file as a tree of pieces with the comments that belong to each, for writing all of it anew.

Which comment belongs to what: one behind a value on its line is that value's, one above an entry is the entry's, one
below an entry with no empty line between, but one after it, is of the entry above, and one that is indented as the
entries of a block and follows the last of them is the block's. What a file begins with is the file's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

import msgspec
import yaml

from omniroute.document.document import Document
from omniroute.document.spans import Entry, Spans

Kind = Literal["alias", "empty", "scalar", "text", "map", "list"]
"""`text` is a literal or folded one, `empty` a place where nothing stands."""

_comment = re.compile(r"#[^\r\n]*")
_break = re.compile(r"\r\n|\r|\n")
_properties = re.compile(r"&[\w-]+")
_start = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)


FAR = 1 << 20
"""The column of what stands in brackets: further than any comment."""


class Comment(msgspec.Struct):
    """A comment, its column, and whether an empty line stands above it."""

    text: str
    column: int
    blank: bool = False


class Piece(msgspec.Struct):
    """A value with its key, its comments and its place among its siblings. `column` is that of its entry, `inner` that of
    the entries in it. `lead` stands above it, `line` behind it and `more` below that in the same column, `foot` at the end
    of a block, `after` below the whole of it."""

    kind: Kind
    node: yaml.Node
    key: str | None = None
    key_raw: str = ""
    key_anchor: str = ""
    anchor: str = ""
    raw: str = ""
    lines: int = 1
    flow: bool = False
    column: int = 0
    inner: int = 0
    blank: bool = False
    lead: list[Comment] = []
    line: Comment | None = None
    more: list[str] = []
    foot: list[Comment] = []
    after: list[Comment] = []
    below: list[Piece] = []


class Tree(msgspec.Struct):
    """A whole file: `marks` are its lines up to `---`, `head` the comments that it begins with."""

    root: Piece | None
    marks: list[str]
    head: list[Comment]
    newline: str

    def comments(self) -> Iterator[str]:
        """The text of every comment."""
        yield from (mark[at:] for mark in self.marks if (at := mark.find("#")) >= 0)
        yield from (each.text for each in self.head)
        waiting = [self.root] if self.root else []
        while waiting:
            piece = waiting.pop()
            yield from (each.text for each in (*piece.lead, *piece.foot, *piece.after))
            yield from piece.more
            if piece.line:
                yield piece.line.text
            waiting += piece.below


def read(document: Document) -> Tree:
    """The tree of a document that is sound YAML."""
    return _Reader(document.text, document.root).read()


class _Reader:
    """Walks the nodes in the order of the text. What lies between two of them holds nothing but spaces, comments and
    punctuation (`_pass`); `waiting` are comments that nothing has taken yet."""

    def __init__(self, text: str, root: yaml.MappingNode | None) -> None:
        self.text = text
        self.root = root
        self.spans = Spans(text, root)
        self.at = 0
        self.waiting: list[Comment] = []
        self.blank = False
        self.last: Piece | None = None
        self.closed: list[Piece] = []

    def read(self) -> Tree:
        marks = self._marks()
        newline = self.spans.newline(0)
        if self.root is None:
            self._pass(len(self.text))
            return Tree(None, marks, self.waiting, newline)
        at, body = self.root.start_mark.index, self.spans.root_body
        piece = Piece("map", self.root, anchor=self._anchor(at, body), flow=bool(self.root.flow_style))
        self._pass(at)
        self.at = body
        head = self._head(marks) if not piece.flow and self.at == at else self._taken()
        self._collection(piece, body)
        self._pass(len(self.text))
        self._feet(0)
        if piece.below and not piece.flow:
            self._part(piece.below[-1], 0, blank=True)
        piece.foot += self._taken()
        return Tree(piece, marks, head, newline)

    def _marks(self) -> list[str]:
        """The lines up to the one that begins the document, if there is one."""
        limit = self.root.start_mark.index if self.root else len(self.text)
        found = _start.search(self.text, 0, limit)
        if found is None:
            return []
        end = self.spans.line_end(found.end())
        comment = _comment.search(self.text, found.end(), min(end, limit))
        self.at = comment.end() if comment else found.end()
        before = [line.rstrip() for line in _break.split(self.text[: found.start()])]
        return [*(line for line in before if line), f"---{f' {comment[0].rstrip()}' if comment else ''}"]

    def _head(self, marks: list[str]) -> list[Comment]:
        """Of the comments above the first entry those that are the file's: all but the last paragraph, where that stands
        directly above the entry and is not what the file begins with."""
        found = self.waiting
        own = len(found)
        if not self.blank:
            first = 0 if marks else len(found)
            own = next((index for index in range(len(found) - 1, 0, -1) if found[index].blank), first)
        self.waiting = found[own:]
        return found[:own]

    # ---------------------------------------------------------------------------------------------------- the entries

    def _collection(self, piece: Piece, body: int) -> None:
        entries = self.spans.entries(piece.node, body) if piece.node.value else []
        in_brackets = piece.flow and self.text[body : body + 1] in ("{", "[")
        self.at = body + 1 if in_brackets else body
        self.last = None
        if entries:
            piece.inner = FAR if piece.flow else self.spans.column(entries[0].first)
        for entry, each in zip(entries, piece.node.value, strict=True):
            name = each[0] if isinstance(piece.node, yaml.MappingNode) else None
            piece.below.append(self._entry(entry, name, piece))
        if in_brackets:
            self._pass(piece.node.end_mark.index - 1)
            piece.foot += self._taken()
            self.at = piece.node.end_mark.index
        elif not piece.flow:
            self.closed.append(piece)

    def _entry(self, entry: Entry, name: yaml.Node | None, parent: Piece) -> Piece:
        self._pass(entry.first)
        self._feet(-1 if parent.flow else parent.inner)
        piece = Piece(self._kind(entry), entry.node, flow=bool(getattr(entry.node, "flow_style", False)))
        piece.column = parent.inner
        piece.lines = entry.node.end_mark.line - entry.node.start_mark.line + 1
        piece.blank, self.blank = self.blank, False
        if parent.below and not parent.flow:
            self._part(parent.below[-1], parent.inner, piece.blank)
        piece.lead = self._taken()
        self.last = None
        self.at = entry.first + (1 if name is None and not entry.in_flow else 0)
        if name is not None:
            self._pass(entry.key)
            self._name(piece, entry, name)
        self._pass(entry.body)
        self.blank = self.blank and entry.is_block
        if not entry.alias:
            piece.anchor = self._anchor(entry.start, entry.body)
        self._value(piece, entry, name)
        return piece

    def _name(self, piece: Piece, entry: Entry, name: yaml.Node) -> None:
        raw = self.text[entry.key : entry.key_end]
        anchor = _properties.match(raw)
        piece.key = name.value
        piece.key_anchor = anchor[0] if anchor else ""
        piece.key_raw = raw[anchor.end() :].strip() if anchor else raw
        self.at = entry.key_end

    def _kind(self, entry: Entry) -> Kind:
        if entry.alias:
            return "alias"
        if entry.is_empty:
            return "empty"
        if entry.is_block_scalar:
            return "text"
        if isinstance(entry.node, yaml.ScalarNode):
            return "scalar"
        return "map" if isinstance(entry.node, yaml.MappingNode) else "list"

    def _value(self, piece: Piece, entry: Entry, name: yaml.Node | None) -> None:
        end = self._end(entry)
        if entry.is_block and name is not None:
            if self.waiting and not self._alone(entry.key_end):
                piece.line = self.waiting.pop(0)
            self._collection(piece, entry.body)
            return
        piece.lead += self._taken()
        if isinstance(piece.node, yaml.CollectionNode) and not entry.alias:
            self._collection(piece, entry.body)
            if entry.is_block:
                return
        else:
            piece.raw = self.text[entry.body : end]
        self.at, self.last = end, piece
        if piece.kind == "text":
            self._header(piece)

    def _end(self, entry: Entry) -> int:
        """The end of a value; lines of spaces at the end of a literal text are part of it."""
        spaced = entry.is_block_scalar and entry.node.value.rstrip("\n")[-1:] in (" ", "\t")
        return entry.node.end_mark.index if spaced else self.spans.end(entry)

    def _alone(self, index: int) -> bool:
        """Whether no comment follows on the line of this character."""
        return "#" not in self.text[index : self.spans.line_end(index)]

    def _header(self, piece: Piece) -> None:
        """Takes the comment out of the first line of a literal or folded text."""
        end = _break.search(piece.raw)
        comment = _comment.search(piece.raw, 0, end.start() if end else len(piece.raw))
        if comment:
            column = self.spans.column(self.at - len(piece.raw) + comment.start())
            piece.line = Comment(comment[0].rstrip(), column)
        self.last = None

    def _anchor(self, start: int, body: int) -> str:
        found = _properties.search(self.text, start, body)
        return found[0] if found else ""

    # --------------------------------------------------------------------------------------------------- the comments

    def _pass(self, end: int) -> None:
        """Goes on to a place, and takes what comments are on the way."""
        cursor = self.at
        behind = self.last
        lines = 0
        while comment := _comment.search(self.text, cursor, max(cursor, end)):
            lines = len(_break.findall(self.text, cursor, comment.start()))
            text, column = comment[0].rstrip(), self.spans.column(comment.start())
            if behind is not None and not lines and behind.line is None:
                behind.line = Comment(text, column)
            elif (
                behind is not None and behind.line and lines == 1 and column == behind.line.column and not self.waiting
            ):
                behind.more.append(text)
            else:
                own = self.spans.begins_line(comment.start())
                self.waiting.append(Comment(text, column, blank=self.blank or (lines > 1 and own)))
                self.blank = False
                behind = None
            cursor = comment.end()
        rest = len(_break.findall(self.text, cursor, max(cursor, end)))
        self.blank = rest > 1 or (self.blank and self.at == cursor)
        self.at = max(self.at, end)
        self.last = None

    def _taken(self) -> list[Comment]:
        taken, self.waiting = self.waiting, []
        return taken

    def _feet(self, column: int) -> None:
        """Gives the blocks that have ended the comments that are indented as their entries are."""
        level = 0
        while self.waiting and self.waiting[0].column > column and self.closed:
            while level < len(self.closed) and self.waiting[0].column < self.closed[level].inner:
                level += 1
            if level == len(self.closed):
                break
            self.closed[level].foot.append(self.waiting.pop(0))
        self.closed.clear()

    def _part(self, above: Piece, column: int, blank: bool) -> None:
        """Gives the entry above the comments that stand directly below it: what is indented further, or has an empty line
        after it."""
        own = next((index for index, each in enumerate(self.waiting) if each.blank), len(self.waiting))
        if own == len(self.waiting) and not blank:
            own = next((index for index, each in enumerate(self.waiting) if each.column <= column), own)
        above.after += self.waiting[:own]
        del self.waiting[:own]
