"""The one way in which a file is laid out: known keys in the order of the language, two spaces, as few quotes as can be, and
short things in one line, with every comment at what it belongs to.

What people chose and what reads well stays: the order of names, which collections stand in brackets, empty lines
between paragraphs, the column of a comment behind a value, how long texts are broken into lines. Nothing is trusted: the new text is read again, and
has to hold the same data and the same comments, and to be laid out already.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from omniroute.document import written
from omniroute.document.document import Document
from omniroute.document.nodes import collector_paused
from omniroute.document.tree import Comment, Piece, Tree, read
from omniroute.errors import ConfigError, EditRefused

if TYPE_CHECKING:
    from omniroute.document.shown import Step

T = TypeVar("T")
WIDTH = 120
"""Columns that a collection in brackets may reach; one that is longer becomes a block."""
_GAP = 2
_ROUNDS = 5
_break = re.compile(r"\r\n|\r|\n")
_chomped = re.compile(r"^[|>][0-9]*([+-]?)[0-9]*")
_words = re.compile(r"[\w ./@,;+-]*")
_number_like = re.compile(r"[-+]?[0-9][0-9_:.\-tTzZ ]*")


class Order(Protocol):
    """In which order the keys of a map stand. `names` are those that the language knows, none for a map by names that
    people choose; `below` is the order of what stands at a key or index."""

    @property
    def names(self) -> Sequence[str]: ...

    def below(self, step: Step) -> Order: ...


class AsWritten:
    """The order in which everything stands already."""

    names: Sequence[str] = ()

    def below(self, _step: Step) -> AsWritten:
        return self


def laid_out(document: Document, order: Order) -> Document:
    """The document in its canonical layout. Raises EditRefused where that cannot be proven to say the same.

    Where a file says something once for several places, by an anchor, and the order would put a use of it before it, all
    keys keep their places."""
    for each in (order, AsWritten()):
        made = _settled(document, each)
        if made is not None and _is_same(document, made, each):
            return made
    message = "this file cannot be laid out without a change of what it says: it keeps its layout"
    raise EditRefused(message, line=1)


@collector_paused()
def _settled(document: Document, order: Order) -> Document | None:
    """Laid out until there is nothing more to do: a comment in an odd column may belong to something else once it stands
    in a sound one. None where that has no end, or makes something that cannot be read."""
    for _ in range(_ROUNDS):
        text = _text(read(document), order)
        if text == document.text:
            return document
        try:
            document = document.replaced(text)
        except ConfigError:
            return None
    return None


def _is_same(old: Document, new: Document, order: Order) -> bool:
    """Whether the new document holds the data of the old one in this order, and all of its comments."""
    encode = msgspec.json.encode
    same = encode(arranged(old.data, order)) == encode(new.data)
    return same and Counter(read(old).comments()) == Counter(read(new).comments())


def arranged(data: Any, order: Order) -> Any:
    """The data with its known keys in their order."""
    if isinstance(data, dict):
        return {key: arranged(data[key], order.below(key)) for key in _sorted(data, order, lambda key: key)}
    if isinstance(data, list):
        return [arranged(each, order.below(index)) for index, each in enumerate(data)]
    return data


def _sorted(entries: Iterable[T], order: Order, name: Callable[[T], str | None]) -> list[T]:
    """Known ones in their order, then what the language does not know, as it stood."""
    rank = {known: index for index, known in enumerate(order.names)}
    return sorted(entries, key=lambda entry: rank.get(name(entry) or "", len(rank)))


# ------------------------------------------------------------------------------------------------------------- the text


def _text(tree: Tree, order: Order) -> str:
    lines = [*tree.marks]
    start = len(lines)
    for comment in tree.head:
        _add(lines, comment.text, start, blank=comment.blank)
    root = tree.root
    if root is not None and root.anchor:
        lines.append(root.anchor)
    if root is not None and root.below:
        _sort(root, order)
        _block(lines, root, 0, start if tree.head else len(lines))
    elif root is not None:
        lines += [*(each.text for each in root.foot), "{}"]
    return tree.newline.join(lines) + tree.newline if lines else ""


def _add(lines: list[str], line: str, start: int, *, blank: bool) -> None:
    """One more line, with an empty one above it where that is wanted and something stands above since `start`."""
    if blank and len(lines) > start:
        lines.append("")
    lines.append(line)


def _comments(
    lines: list[str], comments: Sequence[Comment], indent: int, column: int, start: int, above: Piece | None
) -> None:
    """Comments at the indentation of a block; one that was indented further than its block, whose column was `column`, is
    so by as much, unless a literal text is above, of which it would become a part."""
    text = _last_text(above)
    for index, comment in enumerate(comments):
        by = 0 if text else max(0, comment.column - column)
        blank = comment.blank and not (index == 0 and _keeps_lines(text))
        _add(lines, " " * (indent + by) + comment.text, start, blank=blank)


def _last_text(piece: Piece | None) -> Piece | None:
    """The literal or folded text that a value ends with."""
    while piece is not None and piece.below:
        piece = piece.below[-1]
    return piece if piece is not None and piece.kind == "text" else None


def _keeps_lines(text: Piece | None) -> bool:
    """Whether empty lines below are a part of it."""
    return text is not None and "+" in _break.split(text.raw, maxsplit=1)[0].partition("#")[0]


def _block(lines: list[str], piece: Piece, indent: int, start: int) -> None:
    """The entries of a map or list, each on lines of its own, with no empty line above the first line since `start`."""
    for index, each in enumerate(piece.below):
        if each.key is None:
            _hoist(each, indent + 2)
        above = piece.below[index - 1] if index else None
        _comments(lines, each.lead, indent, each.column, start, above)
        made = _entry(each, indent)
        is_part = not each.lead and above is not None and not above.after and _keeps_lines(_last_text(above))
        _add(lines, made[0], start, blank=each.blank and not is_part)
        lines += made[1:]
        _comments(lines, each.after, indent, each.column, start, each)
    _comments(lines, piece.foot, indent, piece.inner, start, piece)


def _sort(piece: Piece, order: Order) -> None:
    """Known keys into their order, here and below. The empty line that the first one has not goes to it where another one
    takes its place."""
    if piece.kind == "map" and order.names and piece.below:
        first = piece.below[0]
        piece.below = _sorted(piece.below, order, lambda each: each.key)
        if piece.below[0] is not first and not _stands_off(first) and _stands_off(piece.below[0]):
            if first.lead:
                first.lead[0].blank = True
            else:
                first.blank = True
    for index, each in enumerate(piece.below):
        _sort(each, order.below(index if each.key is None else each.key))


def _stands_off(piece: Piece) -> bool:
    return piece.lead[0].blank if piece.lead else piece.blank


def _hoist(item: Piece, indent: int) -> None:
    """Puts the comments that would stand between the dash of an item and what begins beside it above the item."""
    if not item.below or _in_brackets(item, indent) is not None:
        return
    first = item.below[0]
    if item.line:
        item.lead.append(item.line)
        item.lead += [Comment(text, 0) for text in item.more]
        item.line, item.more = None, []
    if item.anchor:
        return
    if first.key is None:
        _hoist(first, indent + 2)
    item.lead += first.lead
    first.lead, first.blank = [], False


# ----------------------------------------------------------------------------------------------------------- an entry


def _entry(piece: Piece, indent: int) -> list[str]:
    """The lines of an entry, from its key or dash to the end of its value."""
    head = " " * indent + ("-" if piece.key is None else _key(piece, in_flow=False))
    if piece.anchor:
        head += f" {piece.anchor}"
    if piece.kind in ("map", "list"):
        return _collection(piece, head, indent)
    if piece.kind == "text":
        return _literal(piece, head, indent)
    lines = _break.split(piece.raw)
    if len(lines) == 1:
        text = _scalar(piece, in_flow=False)
        return _commented([f"{head} {text}" if text else head], piece)
    below = [_tail(line.lstrip(" \t")) for line in lines[1:]]
    return _commented(
        [f"{head} {_tail(lines[0])}", *(" " * (indent + 2) + line if line else "" for line in below)], piece
    )


def _collection(piece: Piece, head: str, indent: int) -> list[str]:
    short = _in_brackets(piece, len(head) + 1)
    if short is not None:
        return _commented([f"{head} {short}"], piece)
    lines: list[str] = []
    if piece.key is None and not piece.anchor:
        _block(lines, piece, indent + 2, 0)
        return [f"{head} {lines[0].lstrip(' ')}", *lines[1:]]
    lines = _commented([head], piece)
    _block(lines, piece, indent + 2, len(lines))
    return lines


def _commented(lines: list[str], piece: Piece) -> list[str]:
    """With the comment behind the value, in its column if the value leaves room."""
    if piece.line is None:
        return lines
    column = max(piece.line.column, len(lines[-1]) + _GAP)
    lines[-1] = f"{lines[-1]:<{column}}{piece.line.text}"
    return [*lines, *(" " * column + text for text in piece.more)]


def _tail(line: str) -> str:
    """A line of a text without what is not seen at its end, unless that is escaped."""
    short = line.rstrip(" \t")
    return line if short.endswith("\\") else short


def _literal(piece: Piece, head: str, indent: int) -> list[str]:
    """A literal or folded text, its lines as they are."""
    header, *lines = _break.split(piece.raw)
    value = str(piece.node.value)
    if not value.strip(" \n"):
        return _commented([f"{head} {written.scalar(value)}"], piece)
    first = next(line for line in lines if line.strip(" "))
    start = next(line for line in value.split("\n") if line.strip(" "))
    margin = _spaces(first) - _spaces(start)
    shown = [line[margin:] for line in lines]
    while not shown[-1]:
        shown.pop()
    chomp = _chomped.match(header)
    ends = (chomp[1] if chomp else "") if value.endswith("\n") else "-"
    shown += [""] * (len(value) - len(value.rstrip("\n")) - 1) if ends == "+" else []
    indicator = "2" if any(line.startswith(" ") for line in shown[: shown.index(first[margin:]) + 1]) else ""
    begin = _commented([f"{head} {header[0]}{indicator}{ends}"], piece)
    return [*begin, *(" " * (indent + 2) + line if line else "" for line in shown)]


def _spaces(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


# ----------------------------------------------------------------------------------------------------------- in a line


def _in_brackets(piece: Piece, column: int) -> str | None:
    """A collection in one line, if it is to stand so: it is empty, or it stood in brackets, has no comments in it and
    there is room for it behind this column."""
    if not piece.below and not piece.foot:
        return "{}" if piece.kind == "map" else "[]"
    if not piece.flow or _is_deep(piece) or _has_comments(piece):
        return None
    text = _flow(piece, anchor="")
    return text if column + len(text) <= WIDTH else None


def _is_deep(piece: Piece) -> bool:
    """Whether it was laid out over several lines and has collections in it, so that brackets served as a block."""
    return piece.lines > 1 and any(each.below for each in piece.below)


def _has_comments(piece: Piece) -> bool:
    return bool(piece.foot) or any(
        each.lead or each.line or each.after or (each.below and _has_comments(each)) for each in piece.below
    )


def _flow(piece: Piece, anchor: str) -> str:
    """A value in one line, behind its anchor."""
    parts = [_flow(each, f"{each.anchor} " if each.anchor else "") for each in piece.below]
    if piece.kind == "list":
        return f"{anchor}[{', '.join(parts)}]"
    if piece.kind == "map":
        pairs = (f"{_key(each, in_flow=True)} {part}" for each, part in zip(piece.below, parts, strict=True))
        return f"{anchor}{{{', '.join(pairs)}}}"
    return anchor + _scalar(piece, in_flow=True)


def _key(piece: Piece, *, in_flow: bool) -> str:
    raw = piece.key_raw
    anchor = f"{piece.key_anchor} " if piece.key_anchor else ""
    if raw.startswith("*"):
        return f"{raw} :"
    if raw and raw[0] not in "'\"|>" and not _break.search(raw):
        return f"{anchor}{raw}:"
    return f"{anchor}{_quoted(piece.key or '', in_flow=in_flow)}:"


def _scalar(piece: Piece, *, in_flow: bool) -> str:
    """A value that is no collection, in one line: as it is where it has no quotes."""
    if piece.kind == "empty":
        return "null" if in_flow else ""
    if piece.kind == "alias":
        return piece.raw
    if not getattr(piece.node, "style", None) and not _break.search(piece.raw):
        return piece.raw
    return _quoted(str(piece.node.value), in_flow=in_flow)


def _quoted(text: str, *, in_flow: bool) -> str:
    """A text that had quotes: without them if it is of words, else with double ones, or with single ones around what would
    be escaped in those. Quotes around a pattern, an address or a time help who reads them, needed or not."""
    escaped = '"' in text or "\\" in text
    if _words.fullmatch(text) and not _number_like.fullmatch(text) and written.is_plain(text, flow=in_flow):
        return text
    return written.scalar(text, flow=in_flow, style="'" if escaped else '"')
