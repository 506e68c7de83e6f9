"""A YAML file that knows where everything in it stands.

Strict on purpose, because people read these files in pull requests and must see what a machine sees: only `true`,
`false`, `null` and plain decimal numbers are anything but text (`on`, `yes`, `22:22`, `012` and days stay text), no
tags, no second document, no repeated keys, no invisible characters, and limits that no honest file meets.  This is the
only place that knows YAML.

The C parser composes nodes, which carry positions; data is built from them, and a position is looked up only when a
problem has to name it.  A problem shows its line, so this is also where secrets in lines are blacked out.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import yaml

from omniroute.errors import ConfigError, Problem, Severity

MAX_BYTES = 8 << 20
MAX_NODES = 500_000
MAX_DEPTH = 40
MAX_ALIASES = 20

Step = str | int
Place = Sequence[Step]
"""Where something is in the data: keys and indices from the top."""

_TEXT, _INT, _FLOAT, _TRUE, _FALSE, _NULL, _COLLECTION = "text", "int", "float", "true", "false", "null", "collection"
_TAGS = frozenset({_TEXT, _INT, _FLOAT, _TRUE, _FALSE, _NULL, _COLLECTION})
_WORDS = {"": _NULL, "null": _NULL, "true": _TRUE, "false": _FALSE}
_number = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?")

_hidden = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What an editor does not show: control characters, foreign line ends, marks that reverse the direction of text."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """Without the cyclic collector, which walks all that is there again and again while hundreds of thousands of values
    are made of which none is garbage: with it, reading costs more than four times as much and is not linear."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


REMOVED = '"${env:REMOVED}"'
"""Stands where a literal secret stood."""


class Document:
    """A parsed file: `data` is plain dicts and lists, `text` the file as it is."""

    def __init__(self, text: str, name: str) -> None:
        """Raises ConfigError with all that is wrong with the YAML."""
        self.text = text
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
            return cls(content.removeprefix("\ufeff"), name)
        if len(content) > MAX_BYTES:
            raise ConfigError([whole(name, "OR007", f"the file is larger than {MAX_BYTES >> 20} MiB")])
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = content[: error.start].decode("utf-8-sig", "replace")
            line, col = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
            message = f"the file is not UTF-8: byte {error.start}"
            raise ConfigError([Problem("OR002", "error", name, line, col, "", message)]) from None
        return cls(text, name)

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
        shown = self._line_at(line - 1)
        if len(shown) > 400:
            return ""
        if self._root is None:
            shown = _blacked_out(self._all_lines(), line - 1)
        for start, end in self._secrets():
            if start.line < line - 1 < end.line:
                return ""
            first = start.column if start.line == line - 1 else 0
            last = end.column if end.line == line - 1 else len(shown)
            if start.line <= line - 1 <= end.line:
                shown = shown[:first] + "*" * (last - first) + shown[last:]
        return _hidden.sub("\N{REPLACEMENT CHARACTER}", masked(shown)).replace("\t", " ")

    def without_secrets(self) -> str:
        """The text to be given away: each literal secret became a reference that leads nowhere, and what only looks like
        one is blacked out."""
        text = self.text
        for start, end in sorted(self._secrets(), key=lambda span: span[0].index, reverse=True):
            text = text[: start.index] + REMOVED + text[end.index :]
        return masked(text)

    # ------------------------------------------------------------------------------------------------------- parsing

    @collector_paused()
    def _read(self) -> None:
        self._refuse_unreadable()
        self._root = self._compose()
        if self._root is None:
            return
        builder = _Builder()
        try:
            self.data = builder.build(self._root)
        except _Refused as refused:
            builder.refusals.append(refused)
        self.has_nulls = builder.nulls > 0
        if builder.refusals:
            raise ConfigError([self._refusal(refused) for refused in builder.refusals])

    def _refuse_unreadable(self) -> None:
        if len(self.text) > MAX_BYTES:
            raise ConfigError([whole(self.name, "OR007", f"the file is larger than {MAX_BYTES >> 20} MiB")])
        hidden = _hidden.search(self.text)
        if hidden:
            before = self.text[: hidden.start()]
            line, col = before.count("\n"), len(before) - (before.rfind("\n") + 1)
            message = f"the character U+{ord(hidden[0]):04X} cannot be seen and does not belong into the file"
            raise ConfigError([self._syntax("OR003", line, col, message)])

    def _compose(self) -> yaml.MappingNode | None:
        parser = _Parser(self.text)
        try:
            root = parser.get_single_node()
        except _Refused as refused:
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

    def _refusal(self, refused: _Refused) -> Problem:
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
            self._spans = list(_literal_secrets(self._root)) if self._root is not None else []
        return self._spans


def whole(name: str, code: str, message: str, hint: str = "") -> Problem:
    """A finding about a file as a whole."""
    return Problem(code, "error", name, 1, 1, "", message, hint)


def dotted(path: Place) -> str:
    """`("combos", "a", "targets", 0)` → `combos.a.targets[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{printable(step)}" if text else printable(step)
    return masked(text)


def quoted(value: object) -> str:
    """A value of the file, fit for a message: short, in one line, and not if it looks like a key."""
    return f"`{masked(printable(str(value)))}`" if value != "" else "an empty text"


def printable(text: str) -> str:
    """A text without anything that a terminal would obey, cut to a readable length."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:80])
    return f"{shown}…" if len(text) > 80 else shown


# ----------------------------------------------------------------------------------------------------------- the nodes


class _Refused(Exception):
    """Sound YAML that these files do not use."""

    def __init__(self, code: str, message: str, node: yaml.Node | None = None, path: Place = ()) -> None:
        super().__init__(message)
        self.code, self.message, self.path = code, message, tuple(path)
        self.at = (node.start_mark.line, node.start_mark.column) if node is not None else (0, 0)


class _Parser(yaml.CSafeLoader):
    """The C parser with our short list of special scalars. The hooks count while it composes, so that a bomb is
    refused before it has grown."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.nodes = 0
        self.depth = 0

    def descend_resolver(self, _parent: yaml.Node | None, _index: object) -> None:
        self.nodes += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _Refused("OR007", f"more than {MAX_DEPTH} levels deep")
        if self.nodes > MAX_NODES:
            raise _Refused("OR007", f"more than {MAX_NODES} values")

    def ascend_resolver(self) -> None:
        self.depth -= 1

    def resolve(self, _kind: type[yaml.Node], value: str | None, implicit: bool | tuple[bool, bool]) -> str:
        if value is None or isinstance(implicit, bool):
            return _COLLECTION
        if not implicit[0]:
            return _TEXT
        word = _WORDS.get(value)
        if word is not None:
            return word
        number = _number.fullmatch(value)
        if number is None:
            return _TEXT
        return _FLOAT if number[1] else _INT


class _Builder:
    """Nodes to data. Findings that do not stop it are collected, those that do are raised."""

    def __init__(self) -> None:
        self.refusals: list[_Refused] = []
        self.nulls = 0
        self._trail: list[Step] = []
        self._known: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()
        self._aliases = 0
        self._size = 0

    def build(self, node: yaml.Node) -> Any:
        """The data of a node."""
        tag = node.tag
        self._size += 1
        if tag not in _TAGS:
            shown = quoted(tag.replace("tag:yaml.org,2002:", "!!"))
            self._refuse("OR006", f"the tag {shown} is not used here", node)
        if isinstance(node, yaml.ScalarNode):
            if tag == _TEXT or tag not in _TAGS:
                return node.value
            return self._special(tag, node.value)
        if id(node) in self._known:
            return self._alias(node)
        if id(node) in self._open:
            raise _Refused("OR008", "the alias contains itself", node, self._trail)
        self._open.add(id(node))
        before = self._size
        data = self._mapping(node) if isinstance(node, yaml.MappingNode) else self._sequence(node)
        self._open.discard(id(node))
        self._known[id(node)] = data, self._size - before
        return data

    def _special(self, tag: str, text: str) -> object:
        if tag == _INT:
            return int(text)
        if tag == _FLOAT:
            return float(text)
        if tag == _NULL:
            self.nulls += 1
            return None
        return tag == _TRUE

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                self._refuse("OR009", "a key must be text", name)
                continue
            key: str = name.value
            self._trail.append(key)
            if key in data:
                first = next(other for other, _ in node.value if other.value == key)
                line = first.start_mark.line + 1
                self._refuse("OR005", f"the key {quoted(key)} stands twice, first in line {line}", name)
            elif key == "<<" and name.tag == _TEXT and not name.style:
                self._refuse("OR008", "merge keys are not used here", name)
            data[key] = self.build(value)
            self._trail.pop()
        return data

    def _sequence(self, node: yaml.Node) -> list[Any]:
        data: list[Any] = []
        for index, value in enumerate(node.value):
            self._trail.append(index)
            data.append(self.build(value))
            self._trail.pop()
        return data

    def _alias(self, node: yaml.Node) -> Any:
        """Data that is there already. What it stands for counts again: whoever walks the data walks it again."""
        data, size = self._known[id(node)]
        self._aliases += 1
        self._size += size
        if self._aliases > MAX_ALIASES:
            raise _Refused("OR008", f"more than {MAX_ALIASES} aliases", node, self._trail)
        if self._size > MAX_NODES:
            raise _Refused("OR007", f"more than {MAX_NODES} values, through aliases", node, self._trail)
        return data

    def _refuse(self, code: str, message: str, node: yaml.Node) -> None:
        self.refusals.append(_Refused(code, message, node, self._trail))


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


# ---------------------------------------------------------------------------------------------------------- black ink

_secret_name = re.compile(
    r"(?i)(?!require_)(?:.*[-_.])?(?:api[-_]?key|key|token|secret|password|passwd|password[-_]hash|authorization|cookie)"
)
_reference = re.compile(r"\$\{(?:env|file):[^}]*\}")
_key_shaped = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|pk|rk|xai|gsk|ghp|gho|ghs|hf|r8|nvapi|glpat|xox[a-z]|pplx|csk)[-_][A-Za-z0-9_-]{8,}"
    r"|(?<![A-Za-z0-9])(?:AIza|AKIA|github_pat_|eyJ)[A-Za-z0-9_.-]{12,}"
    r"|(?<=://)[^\s/@\"']+(?=@)"
    r"|(?<=[?&;])[^\s=&\"']*(?:key|token|secret|sig)[^\s=&\"']*=[^\s&\"']+"
    r"|(?i:\b(?:bearer|basic)\s+)[^\s\"'$]\S{7,}"
)
_named_value = re.compile(r"""["']?([A-Za-z0-9_.-]+)["']?\s*:\s*""")


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a credential."""
    return _secret_name.fullmatch(name) is not None


def masked(text: str) -> str:
    """The text with all that has the shape of a provider's key blacked out."""
    return _key_shaped.sub(lambda match: "*" * len(match[0]), text)


def _literal_secrets(root: yaml.Node) -> Iterator[tuple[yaml.Mark, yaml.Mark]]:
    """From where to where literal values of credential fields reach. Below such a field, where only text should be,
    everything that is long enough to be a key counts."""
    seen: set[tuple[int, bool]] = set()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    while waiting:
        node, secret = waiting.pop()
        if (id(node), secret) in seen:
            continue
        seen.add((id(node), secret))
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                named = isinstance(name, yaml.ScalarNode) and is_secret_name(name.value)
                if named and isinstance(value, yaml.ScalarNode) and not _reference.fullmatch(value.value):
                    yield value.start_mark, value.end_mark
                waiting.append((value, secret or named))
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(value, secret) for value in node.value]
        elif secret and len(node.value) >= 8 and not _reference.fullmatch(node.value):
            yield node.start_mark, node.end_mark


def _blacked_out(lines: Sequence[str], index: int) -> str:
    """A line of a file that could not be parsed, so that only its looks tell what is a secret: the rest of the line
    after a credential's name, and all of it where such a name stands above it at less indentation."""
    line = lines[index]
    for match in _named_value.finditer(line):
        if is_secret_name(match[1]):
            return line[: match.end()] + "*" * (len(line) - match.end())
    indent = len(line) - len(line.lstrip())
    for above in reversed(lines[:index]):
        if not above.strip() or len(above) - len(above.lstrip()) >= indent:
            continue
        name = _named_value.match(above.lstrip())
        return "*" * len(line) if name and is_secret_name(name[1]) else line
    return line
