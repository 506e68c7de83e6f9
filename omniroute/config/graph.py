"""What leads where: names, what they stand for, and the connections at the end, as a graph.

The same names that lint and compile resolve (`lint/names.py`), followed one step at a time. Nodes and edges stand in the
order of the files, so that the graph of an unchanged configuration does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import msgspec

from omniroute.catalog import Catalog
from omniroute.config.bundle import Bundle
from omniroute.config.lint.names import Names, Unknown
from omniroute.config.spec.combos import ComboSpec, TargetSpec
from omniroute.routing.patterns import compile_pattern

Kind = Literal["key", "alias", "combo", "model", "connection"]
Id = tuple[Kind, str]


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """A thing with a name; `about` is what else there is to say of it in a few words."""

    kind: Kind
    name: str
    about: str = ""


class Edge(msgspec.Struct, frozen=True, omit_defaults=True):
    """From one node to another, with what holds on the way: `weight 3`, `from 100000 tokens`."""

    start: Id
    end: Id
    about: str = ""


class Graph(msgspec.Struct, frozen=True):
    """Nodes and edges, each once."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def around(self, name: str) -> Graph:
        """What leads to a node of this name and where it leads; nothing where there is none."""
        known = {(node.kind, node.name) for node in self.nodes if node.name == name}
        kept = self._reached(known, forwards=True) | self._reached(known, forwards=False)
        return Graph(
            tuple(node for node in self.nodes if (node.kind, node.name) in kept),
            tuple(edge for edge in self.edges if edge.start in kept and edge.end in kept),
        )

    def _reached(self, start: set[Id], *, forwards: bool) -> set[Id]:
        reached, waiting = set(start), list(start)
        while waiting:
            here = waiting.pop()
            for edge in self.edges:
                source, end = (edge.start, edge.end) if forwards else (edge.end, edge.start)
                if source == here and end not in reached:
                    reached.add(end)
                    waiting.append(end)
        return reached


def graph(bundle: Bundle, catalog: Catalog, *, keys: bool = False) -> Graph:
    """The graph of a sound configuration; with `keys` also who may ask for what."""
    return _Drawing(bundle, catalog).draw(keys=keys)


class _Drawing:
    def __init__(self, bundle: Bundle, catalog: Catalog) -> None:
        self.spec = bundle.spec
        self.names = Names(bundle.spec, catalog)
        self.nodes: dict[Id, Node] = {}
        self.edges: dict[Edge, None] = {}

    def draw(self, *, keys: bool) -> Graph:
        for name, target in self.spec.aliases.items():
            self.edges[Edge(self._add("alias", name), self._named(target))] = None
        for name, combo in self.spec.combos.items():
            self._combo(name, combo)
        for name in self.spec.providers:
            self._connections(name)
        if keys:
            for name, key in self.spec.keys.items():
                self._key(name, key.allow)
        return Graph(tuple(self.nodes.values()), tuple(self.edges))

    def _add(self, kind: Kind, name: str, about: str = "") -> Id:
        self.nodes.setdefault((kind, name), Node(kind, name, about))
        return kind, name

    def _combo(self, name: str, combo: ComboSpec) -> None:
        start = self._add("combo", name, combo.strategy or self.spec.settings.combo_defaults.strategy)
        for number, target in enumerate(combo.targets, 1):
            detailed = target if isinstance(target, TargetSpec) else TargetSpec(model=target)
            self.edges[Edge(start, self._named(detailed.model), _about(number, detailed))] = None

    def _named(self, name: str) -> Id:
        """The node of what a name means, without a look at what that stands for."""
        if name in self.spec.combos:
            combo = self.spec.combos[name]
            return self._add("combo", name, combo.strategy or self.spec.settings.combo_defaults.strategy)
        if name in self.spec.aliases:
            return self._add("alias", name)
        if "*" in name:
            return self._model(name)
        pattern = next((each for each, compiled, _ in self.names.wildcards if compiled.fullmatch(name)), None)
        prefix = self.names.provider(name.partition("/")[0])
        if pattern is not None and prefix is None:
            return self._add("alias", pattern)
        return self._model(name)

    def _model(self, name: str) -> Id:
        provider, slash, model = name.partition("/")
        full = self.names.provider(provider) if slash else None
        if full is None:
            try:
                name = self.names.next(name) or name
            except Unknown:
                return self._add("model", name)
            provider, _, model = name.partition("/")
            full = self.names.provider(provider)
        node = self._add("model", f"{full or provider}/{model}")
        if full is not None:
            for connection in self._connections(full):
                self.edges[Edge(node, connection)] = None
        return node

    def _connections(self, provider: str) -> Sequence[Id]:
        spec = self.spec.providers[provider]
        made = []
        for name, connection in spec.connections.items():
            if connection.enabled:
                weighted = spec.selection == "weighted" and connection.weight != 1
                about = f"weight {connection.weight}" if weighted else ""
                made.append(self._add("connection", f"{provider}.{name}", about))
        return made or [self._add("connection", provider, "no connection")]

    def _key(self, name: str, allow: Sequence[str]) -> None:
        start = self._add("key", name, "" if allow else "everything")
        patterns = [compile_pattern(each) for each in allow]
        for kind, known in list(self.nodes):
            if kind not in ("key", "connection") and any(pattern.fullmatch(known) for pattern in patterns):
                self.edges[Edge(start, (kind, known))] = None


def _about(number: int, target: TargetSpec) -> str:
    said = [str(number)]
    if target.weight != 1:
        said.append(f"weight {target.weight}")
    when = target.when
    if when is not None:
        said += [f"from {when.min_tokens} tokens"] if when.min_tokens else []
        said += [f"to {when.max_tokens} tokens"] if when.max_tokens else []
        said += [f"has {' and '.join(when.has)}"] if when.has else []
        said += [f"{key}={value}" for key, value in when.tags.items()]
    return ", ".join(said)


# ------------------------------------------------------------------------------------------------------------ the forms


def as_text(drawn: Graph) -> str:
    """A line for each node that leads somewhere, and below it where."""
    onwards: dict[Id, list[Edge]] = {}
    for edge in drawn.edges:
        onwards.setdefault(edge.start, []).append(edge)
    lines: list[str] = []
    for node in drawn.nodes:
        below = onwards.get((node.kind, node.name), [])
        if below or node.kind == "key":
            lines.append(f"{node.kind} {node.name}{f' ({node.about})' if node.about else ''}")
            lines += [f"  -> {edge.end[0]} {edge.end[1]}{f' [{edge.about}]' if edge.about else ''}" for edge in below]
    return "".join(f"{line}\n" for line in lines)


def as_mermaid(drawn: Graph) -> str:
    """For Markdown in pull requests."""
    ids = _ids(drawn.nodes)
    shapes = {
        "key": ("[/", "/]"),
        "alias": ("(", ")"),
        "combo": ("{{", "}}"),
        "model": ("[", "]"),
        "connection": ("[(", ")]"),
    }
    lines = ["flowchart LR"]
    for node in drawn.nodes:
        left, right = shapes[node.kind]
        lines.append(f'  {ids[node.kind, node.name]}{left}"{_escaped(_label(node), "#quot;")}"{right}')
    for edge in drawn.edges:
        about = f'|"{_escaped(edge.about, "#quot;")}"|' if edge.about else ""
        lines.append(f"  {ids[edge.start]} -->{about} {ids[edge.end]}")
    return "\n".join(lines) + "\n"


def as_dot(drawn: Graph) -> str:
    """For Graphviz."""
    ids = _ids(drawn.nodes)
    shapes = {"key": "parallelogram", "alias": "oval", "combo": "hexagon", "model": "box", "connection": "cylinder"}
    lines = ["digraph omniroute {", "  rankdir=LR;"]
    for node in drawn.nodes:
        label = _escaped(_label(node).replace("\\", "\\\\"), '\\"')
        lines.append(f'  {ids[node.kind, node.name]} [label="{label}", shape={shapes[node.kind]}];')
    for edge in drawn.edges:
        about = _escaped(edge.about.replace("\\", "\\\\"), '\\"')
        label = f' [label="{about}"]' if about else ""
        lines.append(f"  {ids[edge.start]} -> {ids[edge.end]}{label};")
    return "\n".join([*lines, "}"]) + "\n"


FORMS: Mapping[str, Callable[[Graph], str]] = MappingProxyType({"text": as_text, "mermaid": as_mermaid, "dot": as_dot})


def _ids(nodes: Iterable[Node]) -> dict[Id, str]:
    return {(node.kind, node.name): f"n{number}" for number, node in enumerate(nodes)}


def _label(node: Node) -> str:
    return f"{node.name} ({node.about})" if node.about else node.name


def _escaped(text: str, quote: str) -> str:
    return text.replace('"', quote)
