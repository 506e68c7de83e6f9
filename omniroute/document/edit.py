"""Edits of a file that leave everything else in it as it is, to the byte.

An edit is a splice: exactly the characters of the edited thing change. No splice is trusted: the new text is read by
the same strict loader, and its data must be what the edit was to make of the old data. Where no splice of the leaf can
be proven, the smallest enclosing entry is written anew in block style, which is told. Only what stands in several
places at once, through an anchor, is refused.

The technique is that of pre-commit's `yaml_rewrite.py` and `commands/migrate_config.py`, with the proof added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from omniroute.document import written
from omniroute.document.shown import Place, Step, dotted
from omniroute.document.spans import Entry, Spans
from omniroute.document.splices import Splice, Way, Ways, spliced, step_index
from omniroute.errors import BadRequest, ConfigError, EditRefused, NotFound

if TYPE_CHECKING:
    from omniroute.document.document import Document


class Set(msgspec.Struct, frozen=True):
    """The value at a path: another one, or a new entry, which goes after its last sibling. What is missing on the way
    there is made; the index after the last one of a list appends to it."""

    path: Place
    value: Any


class Insert(msgspec.Struct, frozen=True):
    """A new item of a list, before the one that has this index now."""

    path: Place
    value: Any


class Delete(msgspec.Struct, frozen=True):
    """No such entry any more."""

    path: Place


class Rename(msgspec.Struct, frozen=True):
    """Another key for the same value, at the same place among its siblings."""

    path: Place
    name: str


Edit = Set | Insert | Delete | Rename


class Edited(msgspec.Struct, frozen=True):
    """What became of a document. `rewritten` are the entries, as dotted paths, that were written anew in block style,
    because no smaller change could be proven."""

    document: Document
    rewritten: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return self.document.text


def apply(document: Document, edits: Sequence[Edit]) -> Edited:
    """The document after the edits, each on what the ones before it made. Raises EditRefused for an edit inside a shared
    anchor, NotFound for a place that is not there, BadRequest for a value that no file can hold."""
    for edit in edits:
        if not isinstance(edit, Delete):
            written.check(edit.name if isinstance(edit, Rename) else edit.value)
            written.check(dict.fromkeys(step for step in edit.path if isinstance(step, str)))
    together = _in_fragments(document, edits) if len(edits) > 1 else None
    return together or _one_by_one(document, edits)


def _one_by_one(document: Document, edits: Sequence[Edit]) -> Edited:
    rewritten: dict[str, None] = {}
    for edit in edits:
        document, anew = _edited(document, edit)
        if anew:
            rewritten[anew] = None
    return Edited(document, tuple(rewritten))


def _edited(document: Document, edit: Edit) -> tuple[Document, str]:
    """The document after one proven edit, and what was written anew for it."""
    intended = changed(document.data, edit)
    plan = _Plan(document, edit, intended)
    plan.refuse_shared()
    reason = "no way to write it could be proven"
    for anew, way in plan.ways():
        try:
            made = document.replaced(spliced(document.text, way))
        except ConfigError as error:
            reason = error.problems[0].message
            continue
        if same(made.data, intended):
            return made, anew
    raise plan.refusal(reason)


def same(one: Any, other: Any) -> bool:
    """Whether two data trees are the same, to the types of numbers and the order of keys."""
    return msgspec.json.encode(one) == msgspec.json.encode(other)


# ------------------------------------------------------------------------------------------------------ what is intended


def changed(data: Any, edit: Edit) -> Any:
    """The data as it is to be after an edit; what the edit does not touch is shared with the old."""
    if not edit.path:
        raise BadRequest("an edit needs a path")
    return _changed(data, edit, 0)


def _changed(data: Any, edit: Edit, depth: int) -> Any:
    step, last = edit.path[depth], depth == len(edit.path) - 1
    if data is None and isinstance(edit, Set | Insert):
        data = {} if isinstance(step, str) else []
    if isinstance(step, str) and isinstance(data, dict):
        return _changed_map(data, edit, depth, step, last=last)
    if isinstance(step, int) and isinstance(data, list):
        return _changed_list(data, edit, depth, step, last=last)
    raise NotFound(f"{dotted(edit.path[:depth]) or 'the file'} is no {'map' if isinstance(step, str) else 'list'}")


def _changed_map(data: dict[str, Any], edit: Edit, depth: int, step: str, *, last: bool) -> dict[str, Any]:
    if step not in data and not isinstance(edit, Set | Insert):
        raise NotFound(f"there is no {dotted(edit.path[: depth + 1])}")
    if not last:
        return {**data, step: _changed(data.get(step), edit, depth + 1)}
    match edit:
        case Set():
            return {**data, step: edit.value}
        case Delete():
            return {name: value for name, value in data.items() if name != step}
        case Rename():
            if edit.name != step and edit.name in data:
                raise BadRequest(f"there is a {dotted((*edit.path[:-1], edit.name))} already")
            return {edit.name if name == step else name: value for name, value in data.items()}
        case _:
            raise BadRequest("an item is inserted into a list, not into a map")


def _changed_list(data: list[Any], edit: Edit, depth: int, step: int, *, last: bool) -> list[Any]:
    beyond = len(data) if last and isinstance(edit, Set | Insert) else len(data) - 1
    if not 0 <= step <= beyond:
        raise NotFound(f"there is no {dotted(edit.path[: depth + 1])}")
    if not last:
        return [*data[:step], _changed(data[step], edit, depth + 1), *data[step + 1 :]]
    match edit:
        case Set():
            return [*data[:step], edit.value, *data[step + 1 :]]
        case Insert():
            return [*data[:step], edit.value, *data[step:]]
        case Delete():
            return [*data[:step], *data[step + 1 :]]
        case _:
            raise BadRequest("an item of a list has no name")


# --------------------------------------------------------------------------------------------------------- how it is done


class _Plan:
    """All ways to make one edit, best first."""

    def __init__(self, document: Document, edit: Edit, intended: Any) -> None:
        self.document = document
        self.spans = Spans(document.text, document.root)
        self.make = Ways(self.spans)
        self.edit = _nearest(document.data, edit)
        self.intended = intended
        self.trail = self._known(self.edit.path)

    def _known(self, path: Place) -> list[Entry]:
        """The entries on the way there that there are."""
        for length in range(len(path), 0, -1):
            try:
                return self.spans.trail(path[:length]) if self.document.root is not None else []
            except KeyError:
                continue
        return []

    def refuse_shared(self) -> None:
        """An edit inside of what stands in several places would be one of all of them."""
        path = self.edit.path
        for index, entry in enumerate(self.trail[: len(path) - 1]):
            if id(entry.node) in self.spans.shared:
                raise self._refused(path[: index + 1], entry.first)
        if len(self.trail) == len(path) and not isinstance(self.edit, Insert | Rename):
            entry = self.trail[-1]
            if id(entry.node) in self.spans.shared and not entry.alias:
                raise self._refused(path, entry.first)

    def _refused(self, path: Place, at: int) -> EditRefused:
        line = self.document.text.count("\n", 0, at) + 1
        return EditRefused(
            f"{self.document.name}:{line}: {dotted(path)} has an anchor or alias, so that what is written once stands in "
            "several places: write it out in each of them, then it can be changed in one",
            line=line,
        )

    def refusal(self, reason: str) -> EditRefused:
        """Why there was no way: as far as is known, it is only an anchor in what is to go, which something else needs."""
        line = self.document.text.count("\n", 0, self.trail[-1].first if self.trail else 0) + 1
        return EditRefused(
            f"{self.document.name}:{line}: {dotted(self.edit.path)} cannot be changed here ({reason}): if it has an anchor "
            "that is used elsewhere, write that out first, else edit the file by hand",
            line=line,
        )

    def ways(self) -> Iterator[tuple[str, Way]]:
        for way in self._direct():
            yield "", way
        yield from self._behind_open_end()
        for length in range(len(self.trail), 0, -1):
            path = self.edit.path[:length]
            try:
                value = _at(self.intended, path)
            except (KeyError, IndexError, TypeError):
                continue
            for way in self.make.rewrite(self.trail[length - 1], value):
                yield dotted(path), way
        if self.document.root is not None and self.document.root.flow_style:
            yield "", [self._as_block()]

    def _behind_open_end(self) -> Iterator[tuple[str, Way]]:
        """A file that ends within a block of text, without a newline: the text would get one from what follows, unless
        its header says that it has none."""
        node: yaml.Node | None = self.document.root
        path: list[Step] = []
        while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
            if isinstance(node, yaml.MappingNode):
                name, node = node.value[-1]
                path.append(name.value)
            else:
                path.append(len(node.value) - 1)
                node = node.value[-1]
        if not isinstance(node, yaml.ScalarNode) or node.style not in ("|", ">") or self.document.text.endswith("\n"):
            return
        header = self.spans.block_header(node.start_mark.index)
        plain = header[0].strip("+")
        for way in self._direct():
            yield dotted(path), [Splice(header.start(), header.end(), f"{plain}-"), *way]

    def _as_block(self) -> Splice:
        root = self.document.root
        assert root is not None
        lines = written.block(self.intended, 0) if self.intended else ["{}"]
        start = self.spans.root_body
        return Splice(start, root.end_mark.index, self.spans.newline(start).join(lines))

    def _direct(self) -> Iterator[Way]:
        edit, trail, root = self.edit, self.trail, self.document.root
        step = edit.path[-1]
        there = len(trail) == len(edit.path)
        if root is None or not root.value:
            if isinstance(edit, Set | Insert):
                yield from self._first(root, str(step), edit.value)
            return
        parent = trail[len(edit.path) - 2] if len(edit.path) > 1 else None
        node: yaml.Node = parent.node if parent else root
        body = parent.body if parent else self.spans.root_body
        match edit:
            case Rename():
                yield from self.make.rename(trail[-1], edit.name)
            case Delete() if len(node.value) > 1 or parent is None:
                yield from self.make.remove(node, body, step_index(node, step))
                if len(node.value) == 1:
                    yield [Splice(body, self.spans.full_end(trail[-1]), "{}")]
            case Delete():
                assert parent is not None
                yield from self.make.put(parent, {} if isinstance(step, str) else [])
            case Set() if there:
                yield from self.make.put(trail[-1], edit.value)
            case Set() | Insert():
                index = len(node.value) if isinstance(step, str) else step
                yield from self.make.add(node, body, index, step if isinstance(step, str) else None, edit.value)

    def _first(self, root: yaml.Node | None, name: str, value: Any) -> Iterator[Way]:
        if root is not None:
            lines = self.spans.newline(0).join(written.entry(name, value, 0))
            yield [Splice(self.spans.root_body, root.end_mark.index, lines)]
            yield [Splice(self.spans.root_body, root.end_mark.index, written.flow({name: value}))]
        yield from self.make.begin(name, value)


def _nearest(data: Any, edit: Edit) -> Edit:
    """The edit as one of what there is: a new entry of nothing is a new value of what holds nothing yet."""
    while isinstance(edit, Set | Insert) and len(edit.path) > 1:
        try:
            parent = _at(data, edit.path[:-1])
        except KeyError:
            parent = None
        if parent:
            return edit
        step = edit.path[-1]
        edit = Set(edit.path[:-1], {step: edit.value} if isinstance(step, str) else [edit.value])
    return edit


def _at(data: Any, path: Place) -> Any:
    for step in path:
        data = data[step]
    return data


# ------------------------------------------------------------------------------------------------------ several at once


def _in_fragments(document: Document, edits: Sequence[Edit]) -> Edited | None:
    """All edits with one proof of the whole at the end: each is made and proven in a small file of its own, which is the
    lines of the object that it is about. None where that cannot be, as with anchors of other objects, or would have to read
    more than making one after the other does."""
    groups = _groups(document, edits)
    spans = Spans(document.text, document.root)
    places = {path: _lines(spans, path) or (0, 0) for path in groups}
    read = sum((1 + len(groups[path])) * (end - start) for path, (start, end) in places.items()) + len(document.text)
    if not groups or read > len(edits) * len(document.text):
        return None
    intended = document.data
    splices: list[Splice] = []
    rewritten: list[str] = []
    try:
        for path, (start, end) in places.items():
            part = document.replaced(document.text[start:end])
            done = _one_by_one(part, [_below(each, len(path) - 1) for each in groups[path]])
            splices.append(Splice(start, end, done.text))
            rewritten += [dotted(path[:-1]) + "." * (len(path) > 1) + each for each in done.rewritten]
        for edit in edits:
            intended = changed(intended, edit)
        made = document.replaced(spliced(document.text, splices))
    except (ConfigError, EditRefused, NotFound, BadRequest):
        return None  # one after the other tells which it is
    return Edited(made, tuple(dict.fromkeys(rewritten))) if same(made.data, intended) else None


def _groups(document: Document, edits: Sequence[Edit]) -> dict[tuple[Step, ...], list[Edit]]:
    """The edits by the object that they are in: a section, or something in it that has lines of its own. Empty where
    one of them is in none."""
    spans = Spans(document.text, document.root)
    homes = {_home(spans, tuple(edit.path[: min(2, len(edit.path) - 1)])) for edit in edits}
    groups: dict[tuple[Step, ...], list[Edit]] = {}
    for edit in edits:
        home = min((home for home in homes if tuple(edit.path[: len(home)]) == home), key=len)
        groups.setdefault(home, []).append(edit)
    return {} if () in homes else groups


def _home(spans: Spans, path: tuple[Step, ...]) -> tuple[Step, ...]:
    """The longest part of a path that has lines of its own."""
    while path and not _lines(spans, path):
        path = path[:-1]
    return path


def _lines(spans: Spans, path: Place) -> tuple[int, int] | None:
    """From where to where the lines of an entry of block maps reach; None where it has none of its own."""
    try:
        trail = spans.trail(path) if spans.root is not None else []
    except KeyError:
        return None
    if not trail or any(each.in_flow or each.key < 0 or each.alias for each in trail):
        return None
    entry = trail[-1]
    if entry.first != entry.key or not spans.begins_line(entry.first):
        return None
    return spans.line_start(entry.first), spans.next_line(spans.full_end(entry))


def _below(edit: Edit, depth: int) -> Edit:
    return msgspec.structs.replace(edit, path=edit.path[depth:])
