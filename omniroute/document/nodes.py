"""The strict reading of YAML: the C parser's nodes, and the plain data that they stand for.

What is sound YAML and does not belong into these files is refused here, and limits hold while the parser composes, so
that a bomb is refused before it has grown.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from omniroute.document.shown import Place, Step, quoted

MAX_BYTES = 8 << 20
MAX_NODES = 500_000
MAX_DEPTH = 40
MAX_ALIASES = 20

_TEXT, _INT, _FLOAT, _TRUE, _FALSE, _NULL, _COLLECTION = "text", "int", "float", "true", "false", "null", "collection"
_TAGS = frozenset({_TEXT, _INT, _FLOAT, _TRUE, _FALSE, _NULL, _COLLECTION})
_WORDS = {"": _NULL, "null": _NULL, "true": _TRUE, "false": _FALSE}
_number = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?")


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


class Refused(Exception):
    """Sound YAML that these files do not use."""

    def __init__(self, code: str, message: str, node: yaml.Node | None = None, path: Place = ()) -> None:
        super().__init__(message)
        self.code, self.message, self.path = code, message, tuple(path)
        self.at = (node.start_mark.line, node.start_mark.column) if node is not None else (0, 0)


class Parser(yaml.CSafeLoader):
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
            raise Refused("OR007", f"more than {MAX_DEPTH} levels deep")
        if self.nodes > MAX_NODES:
            raise Refused("OR007", f"more than {MAX_NODES} values")

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


class Builder:
    """Nodes to data. Findings that do not stop it are collected, those that do are raised."""

    def __init__(self) -> None:
        self.refusals: list[Refused] = []
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
            raise Refused("OR008", "the alias contains itself", node, self._trail)
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
            raise Refused("OR008", f"more than {MAX_ALIASES} aliases", node, self._trail)
        if self._size > MAX_NODES:
            raise Refused("OR007", f"more than {MAX_NODES} values, through aliases", node, self._trail)
        return data

    def _refuse(self, code: str, message: str, node: yaml.Node) -> None:
        self.refusals.append(Refused(code, message, node, self._trail))
