"""A file of another gateway, and what became of everything in it.

Whatever no mapping has spoken of is told as not carried over: nothing gets lost without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from omniroute.document import Document, Step, dotted

Fate = Literal["mapped", "lossy", "dropped"]
"""Carried over; carried over with a difference; not carried over."""
STATE = "this is state, and no configuration"
NOTHING_LIKE_IT = "there is nothing like it here"


class Finding(msgspec.Struct, frozen=True):
    """What became of a place in the source: `about` says as what it was carried over, or why not."""

    fate: Fate
    file: str
    line: int
    col: int
    path: str
    about: str


class Part:
    """A place in the source with what stands there."""

    def __init__(self, source: Source, path: tuple[Step, ...], value: Any) -> None:
        self._source = source
        self.path = path
        self.value = value

    def __bool__(self) -> bool:
        return self.value is not None

    def __getitem__(self, step: Step) -> Part:
        """What stands below; a part without a value where nothing does."""
        value = self.value
        if isinstance(value, dict):
            return Part(self._source, (*self.path, step), value.get(step))
        found = isinstance(value, list) and isinstance(step, int) and step < len(value)
        return Part(self._source, (*self.path, step), value[step] if found else None)

    def first(self, *names: str) -> Part:
        """What stands at the first of these names that is there."""
        return next((part for name in names if (part := self[name])), self[names[0]])

    def items(self) -> Iterator[tuple[str, Part]]:
        """The entries, where this is a map."""
        for name in self.value if isinstance(self.value, dict) else ():
            yield name, self[name]

    def parts(self) -> Iterator[Part]:
        """The items, where this is a list."""
        for index in range(len(self.value) if isinstance(self.value, list) else 0):
            yield self[index]

    @property
    def text(self) -> str:
        """The value as text, empty where it is none."""
        value = self.value
        return value.strip() if isinstance(value, str) else f"{value}" if isinstance(value, int | float) else ""

    @property
    def number(self) -> float | None:
        """The value as a number; texts count, since `1e-6` is one to other readers."""
        if isinstance(self.value, bool):
            return None
        try:
            return float(self.text)
        except ValueError:
            return None

    @property
    def is_on(self) -> bool:
        """Whether it is true to readers of YAML 1.1 or JSON."""
        return self.value is True or self.text.lower() in ("true", "yes", "on", "1")

    def mapped(self, about: str) -> None:
        """It was carried over, with all below it that nothing else is said of."""
        self._source.say(self, "mapped", about)

    def lossy(self, about: str) -> None:
        """It was carried over with a difference."""
        self._source.say(self, "lossy", about)

    def dropped(self, about: str) -> None:
        """It was not carried over."""
        self._source.say(self, "dropped", about)


class Source:
    """The documents of an export, by name; of most there is one, which is called ``."""

    def __init__(self, documents: Mapping[str, Document]) -> None:
        self.documents = documents
        self._said: dict[tuple[Step, ...], tuple[Fate, str]] = {}

    @property
    def root(self) -> Part:
        """All of it; what an archive holds stands below the names of its files."""
        if list(self.documents) == [""]:
            return Part(self, (), self.documents[""].data)
        return Part(self, (), {name: document.data for name, document in self.documents.items()})

    def say(self, part: Part, fate: Fate, about: str) -> None:
        """Keeps what became of a part; nothing of one that is not there."""
        if part:
            self._said[part.path] = fate, about

    def findings(self) -> list[Finding]:
        """What became of everything, in the order of the source."""
        silent = dict.fromkeys(self._silent(self.root.value, ()), ("dropped", NOTHING_LIKE_IT))
        told = {path: said for path, said in {**silent, **self._said}.items() if not self._gone(path)}
        found = [self._finding(path, *said) for path, said in told.items()]  # type: ignore[arg-type]  # two literals
        return sorted(found, key=lambda each: (each.file, each.line, each.col, each.path))

    def _gone(self, path: tuple[Step, ...]) -> bool:
        """Whether something above was not carried over, which says it of this too."""
        above = (path[:length] for length in range(len(path)))
        return any(self._said.get(each, ("",))[0] == "dropped" for each in above)

    def _silent(self, value: Any, path: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
        """The outermost places that nothing was said of, neither here nor below."""
        if path in self._said:
            return
        if not any(said[: len(path)] == path for said in self._said):
            yield path
            return
        steps: Sequence[Step] = list(value) if isinstance(value, dict) else range(len(value))
        for step in steps:
            if value[step] not in (None, "", [], {}):
                yield from self._silent(value[step], (*path, step))

    def _finding(self, path: tuple[Step, ...], fate: Fate, about: str) -> Finding:
        document, inner = self._place(path)
        line, col = document.locate(inner, key=bool(inner) and isinstance(inner[-1], str))
        return Finding(fate, document.name, line, col, dotted(inner), about)

    def _place(self, path: tuple[Step, ...]) -> tuple[Document, tuple[Step, ...]]:
        if "" in self.documents:
            return self.documents[""], path
        name = str(path[0]) if path else next(iter(self.documents))
        return self.documents[name], path[1:]
