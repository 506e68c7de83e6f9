"""A parsed file that knows where everything in it stands.

The C parser composes nodes, which carry positions; data is built from them, and a position is looked up only when a
problem has to name it.  A problem shows its line, so this is also where secrets in lines are blacked out.
"""

from __future__ import annotations

from typing import Any

import yaml

from omniroute.document.edit import Delete, Set, apply
from omniroute.document.nodes import MAX_BYTES, Builder, Parser, Refused, collector_paused
from omniroute.document.shown import (
    Place,
    Step,
    blacked_out,
    dotted,
    hidden,
    literal_secrets,
    masked,
)
from omniroute.errors import ConfigError, Problem, Severity

REMOVED = '"${env:REMOVED}"'
"""Stands where a literal secret stood."""


class Document:
    """A parsed file: `data` is plain dicts and lists, `text` the file as it is."""

    def __init__(self, text: str, name: str, *, marked: bool = False) -> None:
        """`marked` says that the file begins with a byte order mark, which is not in `text`. Raises ConfigError with all
        that is wrong with the YAML."""
        self.text = text
        self.marked = marked
        self.name = name
        self.data: dict[str, Any] = {}
        self.has_nulls = False
        self._root: yaml.MappingNode | None = None
        self._lines: list[str] | None = None
        self._spans: list[tuple[yaml.Mark, yaml.Mark]] | None = None
        self._names: dict[int, dict[str, tuple[yaml.Node, yaml.Node]]] = {}  # of maps, by identity of the node
        self._read()

    @classmethod
    def parse(cls, content: str | bytes, name: str) -> Document:
        """The document that these bytes are. Raises ConfigError with all that is wrong with them."""
        if isinstance(content, str):
            return cls(content.removeprefix("\ufeff"), name, marked=content.startswith("\ufeff"))
        if len(content) > MAX_BYTES:
            raise ConfigError([whole(name, "OR007", f"the file is larger than {MAX_BYTES >> 20} MiB")])
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = content[: error.start].decode("utf-8-sig", "replace")
            line, col = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
            message = f"the file is not UTF-8: byte {error.start}"
            raise ConfigError([Problem("OR002", "error", name, line, col, "", message)]) from None
        return cls(text, name, marked=content.startswith(b"\xef\xbb\xbf"))

    def replaced(self, text: str) -> Document:
        """The same file with another text. Raises ConfigError with all that is wrong with it."""
        return Document(text, self.name, marked=self.marked)

    def set(self, path: Place, value: Any) -> Document:
        """The document with this value at a path, everything else as it is. Raises what `edit.apply` does."""
        return apply(self, [Set(path, value)]).document

    def delete(self, path: Place) -> Document:
        """The document without what is at a path, everything else as it is. Raises what `edit.apply` does."""
        return apply(self, [Delete(path)]).document

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return (b"\xef\xbb\xbf" if self.marked else b"") + self.text.encode()

    @property
    def root(self) -> yaml.MappingNode | None:
        """The outermost map; None where the file has none."""
        return self._root

    def owner(self, path: Place) -> Document:  # noqa: ARG002 - for those that were merged
        """The file that what is at a path stands in: this one, unless it was merged of several."""
        return self

    def locate(self, path: Place, *, key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value at a path, or of its key. Of a path that is not there, the place of
        the nearest thing above it that is."""
        mark = self._mark(path, key=key)
        return (mark.line + 1, mark.column + 1) if mark else (1, 1)

    def problem(
        self,
        code: str,
        path: Place,
        message: str,
        hint: str = "",
        *,
        severity: Severity = "error",
        key: bool = False,
    ) -> Problem:
        """A finding about what is at a path; with `key`, about its name."""
        line, col = self.locate(path, key=key)
        return Problem(code, severity, self.name, line, col, dotted(path), message, hint, self.source(line))

    def source(self, line: int) -> str:
        """A line to be shown: secrets blacked out, nothing invisible in it; empty where it is too long to show."""
        if len(self._line_at(line - 1)) > 400:
            return ""
        return hidden.sub("\N{REPLACEMENT CHARACTER}", self.inked(line)).replace("\t", " ")

    def inked(self, line: int) -> str:
        """A line as it is, with the secrets in it blacked out."""
        shown = self._line_at(line - 1)
        if self._root is None:
            shown = blacked_out(self._all_lines(), line - 1)
        for start, end in self._secrets():
            first = start.column if start.line == line - 1 else 0
            last = end.column if end.line == line - 1 else len(shown)
            if start.line <= line - 1 <= end.line:
                shown = shown[:first] + "*" * (last - first) + shown[last:]
        return masked(shown)

    def without_secrets(self) -> str:
        """The text to be given away: each literal secret became a reference that leads nowhere, and what only looks like
        one is blacked out."""
        text = self.text
        for start, end in sorted({(start.index, end.index) for start, end in self._secrets()}, reverse=True):
            text = text[:start] + REMOVED + text[end:]
        return masked(text)

    # ------------------------------------------------------------------------------------------------------- parsing

    @collector_paused()
    def _read(self) -> None:
        self._refuse_unreadable()
        self._root = self._compose()
        if self._root is None:
            return
        builder = Builder()
        try:
            self.data = builder.build(self._root)
        except Refused as refused:
            builder.refusals.append(refused)
        self.has_nulls = builder.nulls > 0
        if builder.refusals:
            raise ConfigError([self._refusal(refused) for refused in builder.refusals])

    def _refuse_unreadable(self) -> None:
        if len(self.text) > MAX_BYTES:
            raise ConfigError([whole(self.name, "OR007", f"the file is larger than {MAX_BYTES >> 20} MiB")])
        found = hidden.search(self.text)
        if found:
            before = self.text[: found.start()]
            line, col = before.count("\n"), len(before) - (before.rfind("\n") + 1)
            message = f"the character U+{ord(found[0]):04X} cannot be seen and does not belong into the file"
            raise ConfigError([self._syntax("OR003", line, col, message)])

    def _compose(self) -> yaml.MappingNode | None:
        parser = Parser(self.text)
        try:
            root = parser.get_single_node()
        except Refused as refused:
            event = parser.peek_event()
            mark = event.start_mark if event else None
            refused.at = (mark.line, mark.column) if mark else (0, 0)
            raise ConfigError([self._refusal(refused)]) from None
        except yaml.MarkedYAMLError as error:
            raise ConfigError([self._yaml_error(error)]) from None
        finally:
            parser.dispose()
        if root is None or isinstance(root, yaml.MappingNode):
            return root
        mark = root.start_mark
        raise ConfigError([self._syntax("OR010", mark.line, mark.column, "the file must be a map of keys")])

    def _yaml_error(self, error: yaml.MarkedYAMLError) -> Problem:
        problem = error.problem or ""
        mark = error.problem_mark or error.context_mark
        if error.context_mark and any(words in problem for words in _BEGUN_BEFORE):
            mark = error.context_mark
        code, message = _SYNTAX.get(problem, ("OR004", problem or "this is not YAML"))
        line, col = (mark.line, mark.column) if mark else (0, 0)
        if problem == "found character that cannot start any token" and self._line_at(line)[col : col + 1] == "\t":
            message = "a tab cannot indent: use spaces"
        return self._syntax(code, line, col, message)

    def _refusal(self, refused: Refused) -> Problem:
        return self._syntax(refused.code, *refused.at, refused.message, refused.path)

    def _syntax(self, code: str, line: int, col: int, message: str, path: Place = ()) -> Problem:
        """A problem at a mark. The end of the file is told as the end of its last line."""
        last = max(0, len(self._all_lines()) - 1)
        if line > last:
            line, col = last, len(self._line_at(last))
        return Problem(code, "error", self.name, line + 1, col + 1, dotted(path), message, source=self.source(line + 1))

    def _all_lines(self) -> list[str]:
        if self._lines is None:
            self._lines = self.text.splitlines()
        return self._lines

    def _line_at(self, index: int) -> str:
        lines = self._all_lines()
        return lines[index] if index < len(lines) else ""

    # ----------------------------------------------------------------------------------------------------- positions

    def _mark(self, path: Place, *, key: bool) -> yaml.Mark | None:
        node: yaml.Node | None = self._root
        if node is None:
            return None
        mark = node.start_mark
        for index, step in enumerate(path):
            found = self._child(node, step)
            if found is None:
                return mark
            name, node = found
            empty = isinstance(node, yaml.ScalarNode) and node.start_mark.index == node.end_mark.index
            at_key = empty or (key and index == len(path) - 1)
            mark = name.start_mark if name is not None and at_key else node.start_mark
        return mark

    def _child(self, node: yaml.Node, step: Step) -> tuple[yaml.Node | None, yaml.Node] | None:
        """A value below a node, with the node of its name. A map's names are listed once, since whoever locates one of
        them often locates many."""
        if isinstance(node, yaml.MappingNode) and isinstance(step, str):
            names = self._names.get(id(node))
            if names is None:
                names = self._names[id(node)] = {
                    name.value: (name, value)
                    for name, value in reversed(node.value)
                    if isinstance(name, yaml.ScalarNode)
                }
            return names.get(step)
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
            return None, node.value[step]
        return None

    def _secrets(self) -> list[tuple[yaml.Mark, yaml.Mark]]:
        if self._spans is None:
            self._spans = list(literal_secrets(self._root)) if self._root is not None else []
        return self._spans


def whole(name: str, code: str, message: str, hint: str = "") -> Problem:
    """A finding about a file as a whole."""
    return Problem(code, "error", name, 1, 1, "", message, hint)


_BEGUN_BEFORE = ("end of stream", "expected ',' or", "could not find expected ':'")
"""Where libyaml notices late: what it was reading says more than where it gave up."""
_SYNTAX = {
    "mapping values are not allowed in this context": (
        "OR004",
        "a `:` cannot stand here: mind the indentation, or put the text in quotes",
    ),
    "could not find expected ':'": ("OR004", "expected `key: value`"),
    "did not find expected key": ("OR004", "expected a key of the map: mind the indentation"),
    "did not find expected '-' indicator": ("OR004", "expected an item of the list, `- …`: mind the indentation"),
    "did not find expected ',' or '}'": ("OR004", "this `{` is not closed, or a `,` is missing in it"),
    "did not find expected ',' or ']'": ("OR004", "this `[` is not closed, or a `,` is missing in it"),
    "did not find expected node content": ("OR004", "expected a value here"),
    "did not find expected <document start>": ("OR004", "nothing more is expected here"),
    "found unexpected end of stream": ("OR004", "this quote is not closed"),
    "found unknown escape character": ("OR004", "unknown escape in double quotes: write `\\\\` for a backslash"),
    "found undefined alias": ("OR008", "the alias names no anchor above it"),
    "second occurrence": ("OR008", "the anchor is defined twice"),
    "found character that cannot start any token": ("OR004", "text cannot begin with this character: put it in quotes"),
    "but found another document": ("OR010", "a file is one document: a second one begins here"),
}
"""What libyaml says, in words that help."""
