r"""The regular expressions that redact: those of RE2 that have no anchors, in time linear in the text.

RE2 (https://github.com/google/re2/wiki/Syntax) never backtracks, so no text makes a pattern slow. What it does not do is
to say that the text so far may be the beginning of a match, which is what a stream must hold back. So each pattern is
read here and told once more as the pattern of its own beginnings: for `ab{1,2}c` that is `(?:|a(?:b{0,1}|b{1,2}))\z`,
which matches where the text ends inside of it. Reading also gives the longest match, which bounds what is held.
"""

from __future__ import annotations

import re
from math import inf

import msgspec
import re2

LONGEST = 500
"""Characters of a pattern."""
WIDEST = 1_000
"""Characters of a match in a stream, which is what may be held back of it."""
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 16 << 20
_counted = re.compile(r"\{(\d{1,4})(?:(,)(\d{0,4}))?\}")
_escape = re.compile(
    r"\\(?:x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]{1,6}\}|[pP](?:[A-Z]|\{\^?[A-Za-z_]+\})|[^\w\s]|[dDwWsSbBtnrfv])"
)
_set = re.compile(r"\[\^?\]?(?:[^\]\\\[]|\\.|\[:\^?[a-z]+:\]|\[)*\]")
_group = re.compile(r"\((?:\?P?<[A-Za-z_]\w*>|\?:)?(?!\?)")


class _Leaf(msgspec.Struct, frozen=True):
    """One character, or an assertion between two of them."""

    source: str
    width: int


class _Row(msgspec.Struct, frozen=True):
    parts: tuple[_Node, ...]


class _Choice(msgspec.Struct, frozen=True):
    options: tuple[_Node, ...]


class _Repeat(msgspec.Struct, frozen=True):
    node: _Node
    least: int
    most: int | None
    lazy: str


_Node = _Leaf | _Row | _Choice | _Repeat


class Expression(msgspec.Struct, frozen=True):
    """A pattern that RE2 takes. `source` finds, `begun` matches the beginnings of a find; `widest` is the longest
    match in characters."""

    source: str
    begun: str
    widest: float


def read(pattern: str) -> Expression:
    """Raises ValueError that says what cannot be used of it."""
    if len(pattern) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} characters")
    flags = "(?i)" if pattern.startswith("(?i)") else ""
    node = _Reader(pattern.removeprefix("(?i)")).all()
    found = Expression(flags + _source(node), flags + _begun(node), _widest(node))
    if _narrowest(node) == 0:
        raise ValueError("it matches where there is nothing")
    compiled(found.source)
    compiled(beginning(found.begun))
    return found


def beginning(*begun: str) -> str:
    """What matches from the first place on from which the text to its end is a beginning of one of them."""
    return f"(?:{'|'.join(begun)})\\z"


def compiled(source: str) -> re2._Regexp:
    """Raises ValueError where RE2 does not take it."""
    try:
        return re2.compile(source, _OPTIONS)
    except re2.error as error:
        said = error.args[0]
        raise ValueError(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from None


class _Reader:
    """Recursive descent over a pattern."""

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.at = 0
        self.depth = 0

    def all(self) -> _Node:
        node = self.choice()
        if self.at < len(self.text):
            raise ValueError("a `)` has no `(`")
        return node

    def choice(self) -> _Node:
        options = [self.row()]
        while self.text.startswith("|", self.at):
            self.at += 1
            options.append(self.row())
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def row(self) -> _Node:
        parts = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            parts.append(self.repeated(self.atom()))
        return parts[0] if len(parts) == 1 else _Row(tuple(parts))

    def atom(self) -> _Node:
        char = self.text[self.at]
        if char == "(":
            return self.group()
        if char == "[":
            return _Leaf(self.taken(_set, "a `[` is not closed"), 1)
        if char == "\\":
            escape = self.taken(_escape, f"`{self.text[self.at : self.at + 2]}` is not known here")
            return _Leaf(escape, 0 if escape in ("\\b", "\\B") else 1)
        if char in "^$":
            raise ValueError(f"`{char}` means nothing in running text: leave it out, or use `\\b`")
        if char in "*+?":
            raise ValueError(f"`{char}` has nothing to repeat")
        self.at += 1
        return _Leaf("\\{" if char == "{" else char, 1)

    def group(self) -> _Node:
        self.taken(_group, "groups that begin with `(?` are not known here, but for `(?:…)`")
        self.depth += 1
        if self.depth > 10:
            raise ValueError("more than 10 groups, one inside the other")
        node = self.choice()
        if not self.text.startswith(")", self.at):
            raise ValueError("a `(` is not closed")
        self.at += 1
        self.depth -= 1
        return node

    def repeated(self, node: _Node) -> _Node:
        char = self.text[self.at : self.at + 1]
        counted = _counted.match(self.text, self.at)
        if char and char in "*+?":
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
            self.at += 1
        elif counted:
            least = int(counted[1])
            most = least if not counted[2] else int(counted[3]) if counted[3] else None
            self.at = counted.end()
        else:
            return node
        if most is not None and (most < least or most == 0):
            raise ValueError(f"`{{{least},{most}}}` repeats nothing")
        lazy = "?" if self.text.startswith("?", self.at) else ""
        self.at += len(lazy)
        if self.text[self.at : self.at + 1] in ("*", "+", "?") and self.at < len(self.text):
            raise ValueError("a repetition of a repetition")
        return _Repeat(node, least, most, lazy)

    def taken(self, what: re.Pattern[str], otherwise: str) -> str:
        found = what.match(self.text, self.at)
        if found is None:
            raise ValueError(otherwise)
        self.at = found.end()
        return found[0]


def _source(node: _Node) -> str:
    match node:
        case _Leaf():
            return node.source
        case _Row():
            return "".join(_source(part) for part in node.parts)
        case _Choice():
            return f"(?:{'|'.join(_source(option) for option in node.options)})"
        case _Repeat():
            return _times(node.node, node.least, node.most, node.lazy)


def _times(node: _Node, least: int, most: int | None, lazy: str) -> str:
    if (least, most) == (1, 1):
        return f"(?:{_source(node)})"
    count = f"{{{least},{'' if most is None else most}}}"
    return f"(?:{_source(node)}){count}{lazy}" if most != 0 else ""


def _begun(node: _Node) -> str:
    """What matches the beginnings of the node that are not yet all of it, the empty one among them."""
    match node:
        case _Leaf():
            return ""
        case _Row():
            begun = ""
            for at, part in enumerate(reversed(node.parts)):
                begun = f"(?:{_begun(part)}|{_source(part)}{begun})" if at else _begun(part)
            return begun
        case _Choice():
            return f"(?:{'|'.join(_begun(option) for option in node.options)})"
        case _Repeat():
            before = _times(node.node, 0, None if node.most is None else node.most - 1, "")
            return f"{before}(?:{_begun(node.node)})"


def _widest(node: _Node) -> float:
    match node:
        case _Leaf():
            return node.width
        case _Row():
            return sum(map(_widest, node.parts))
        case _Choice():
            return max(map(_widest, node.options))
        case _Repeat():
            return _widest(node.node) * (inf if node.most is None else node.most)


def _narrowest(node: _Node) -> int:
    match node:
        case _Leaf():
            return node.width
        case _Row():
            return sum(map(_narrowest, node.parts))
        case _Choice():
            return min(map(_narrowest, node.options))
        case _Repeat():
            return _narrowest(node.node) * node.least
