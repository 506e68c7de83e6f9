"""The order of keys, as the types of the language declare them: what `omniroute fmt` lays files out by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import Any

from omniroute.config.schema import schema
from omniroute.document import Step

Node = Mapping[str, Any]


class Declared:
    """The order of what fits any of these schemas. Where a value may have several forms, those that are maps count."""

    def __init__(self, nodes: Sequence[Node], definitions: Mapping[str, Node]) -> None:
        self._definitions = definitions
        self._nodes = [each for node in nodes for each in self._forms(node)]
        self._below: dict[Step, Declared] = {}

    def _forms(self, node: Node) -> list[Node]:
        if "$ref" in node:
            return self._forms(self._definitions[node["$ref"].removeprefix("#/$defs/")])
        if "anyOf" in node:
            return [form for each in node["anyOf"] for form in self._forms(each)]
        return [node]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The keys that the language knows here, in order; none of a map by names that people choose."""
        return tuple(dict.fromkeys(name for node in self._nodes for name in node.get("properties", ())))

    def below(self, step: Step) -> Declared:
        """The order of what stands at a key, or at the index of a list."""
        word: Step = 0 if isinstance(step, int) else step if step in self.names else ""
        if word not in self._below:
            self._below[word] = Declared(list(self._children(word)), self._definitions)
        return self._below[word]

    def _children(self, step: Step) -> list[Node]:
        if isinstance(step, int):
            found = [node.get("items") for node in self._nodes]
        elif step:
            found = [node.get("properties", {}).get(step) for node in self._nodes]
        else:
            found = [node.get("additionalProperties") for node in self._nodes]
        return [each for each in found if isinstance(each, dict)]


@cache
def declared() -> Declared:
    """The order of a whole file."""
    whole = schema()
    return Declared([whole], whole["$defs"])
