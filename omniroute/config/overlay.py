"""An environment's differences, merged over the files: `overlays/<env>.yaml` beside the main file.

There is no layer while a gateway runs: `omniroute render` writes the one file that is deployed, and `validate` and
`explain` read through an overlay so that it can be judged before. The merged whole is a document whose problems stand
where its values came from, so that everything that reads a bundle reads a merged one too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from omniroute.catalog import Catalog
from omniroute.config import bundle as bundles
from omniroute.config.bundle import Bundle
from omniroute.config.order import declared
from omniroute.config.origin import veiled
from omniroute.config.problems import suggestion
from omniroute.config.spec import Spec
from omniroute.config.spec.words import is_name
from omniroute.document import Document, Place, Step, arranged, dotted, fresh, quoted, whole
from omniroute.errors import ConfigError, Problem, Severity

FOLDER = "overlays"
REMOVE, REPLACE = "$remove", "$replace"


class Layered(Document):
    """The merged configuration. What is said of it is said of the file that a value came from."""

    def __init__(self, text: str, base: Bundle, overlay: Document | None) -> None:
        self._base = base
        self._overlay = overlay
        super().__init__(text, base.documents[0].name)

    def owner(self, path: Place) -> Document:
        """The document that the value at a path stands in: the overlay where it says something about it."""
        if self._overlay is not None and _says(self._overlay.data, path):
            return self._overlay
        return self._base.document(path)

    def locate(self, path: Place, *, key: bool = False) -> tuple[int, int]:
        return self.owner(path).locate(path, key=key)

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
        source = self.owner(path)
        if self._overlay is not None and source is not self._overlay:
            told = f"{self._overlay.name} is merged over this"
            hint = f"{hint}; {told}" if hint else told
        return source.problem(code, path, message, hint, severity=severity, key=key)


def read(path: Path, env: str, catalog: Catalog, *, insecure: bool = False) -> Bundle:
    """The configuration as it is in an environment, all of it in one document; without a name, with its includes merged
    alone. Raises ConfigError with what is wrong, where it stands."""
    base = bundles.load(path)
    overlay = _overlay(path, env) if env else None
    data = _merged(base, overlay)
    document = Layered(text(data), base, overlay)
    problems = bundles.misfits(document, Spec)
    if problems:
        raise ConfigError(problems)
    digest = sha256(document.content).hexdigest()
    merged = msgspec.structs.replace(
        base, documents=(document,), digest=digest, spec=msgspec.convert(document.data, Spec), owners={}
    )
    return bundles.judged(merged, catalog, insecure=insecure)


def text(data: Mapping[str, Any]) -> str:
    """A configuration as a file in the canonical order."""
    return fresh(arranged(dict(data), declared()))


def rendered(merged: Bundle, env: str, *, origins: bool) -> str:
    """The file to deploy; with `origins` each value has the place that it came from behind it."""
    document = merged.documents[0]
    assert isinstance(document, Layered)
    named = f" for {env}" if env else ""
    head = f"# Made by `omniroute render`{named} from {_file(document, ())}: edit that, not this.\n\n"
    if not origins:
        return head + document.text
    return head + fresh(document.data, lambda place: _where(document, place))


def origins(merged: Bundle) -> list[dict[str, Any]]:
    """Every value with the place that it came from, as data; what is secret is hidden."""
    document = merged.documents[0]
    assert isinstance(document, Layered)
    return [
        {"path": dotted(place), "value": veiled(str(place[-1]), value), "where": _where(document, place)}
        for place, value in _values(document.data, ())
    ]


def _where(document: Layered, place: Place) -> str:
    line, _ = document.locate(place, key=isinstance(place[-1], str))
    return f"{_file(document, place)}:{line}"


def _file(document: Layered, place: Place) -> str:
    return document.owner(place).name


def _values(data: Any, place: tuple[Step, ...]) -> Iterator[tuple[Place, Any]]:
    """What came as one: a list did, and so did what is empty."""
    if not isinstance(data, dict) or not data:
        yield place, data
        return
    for name, each in data.items():
        yield from _values(each, (*place, name))


# ------------------------------------------------------------------------------------------------------------- merging


def _overlay(path: Path, env: str) -> Document:
    folder = path.parent / FOLDER
    file = folder / f"{env}.yaml"
    if not is_name(env) or not file.is_file():
        known = sorted(each.stem for each in folder.glob("*.yaml"))
        hint = suggestion(env, known) or (f"there are: {', '.join(known)}" if known else "")
        raise ConfigError([whole(str(file), "OR001", f"there is no overlay {quoted(env)}", hint)])
    return Document.parse(bundles.content(file, str(file)), str(file))


def _merged(base: Bundle, overlay: Document | None) -> dict[str, Any]:
    data = bundles.merged(base.documents)
    data.pop("include", None)
    if overlay is None:
        return data
    if "include" in overlay.data:
        raise ConfigError([overlay.problem("OR011", ("include",), "an overlay includes no files", key=True)])
    merger = _Merger(overlay)
    made: dict[str, Any] = merger.merge(data, overlay.data, ())
    if merger.problems:
        raise ConfigError(merger.problems)
    return made


class _Merger:
    """Maps are merged by key, and everything else is replaced."""

    def __init__(self, overlay: Document) -> None:
        self.overlay = overlay
        self.problems: list[Problem] = []

    def merge(self, base: Any, over: Any, place: tuple[Step, ...]) -> Any:
        if not isinstance(over, dict):
            self._look(over, place)
            return over
        own = {key: value for key, value in over.items() if key not in (REMOVE, REPLACE)}
        alone = self._replaces(over, place)
        below = {} if alone or not isinstance(base, dict) else dict(base)
        for name in self._removed(over, place):
            if name in own or name not in below:
                hint = suggestion(str(name), below)
                message = f"{quoted(name)} cannot be removed: " + (
                    "it is set here" if name in own else "it is not there"
                )
                self.problems.append(self.overlay.problem("OR101", (*place, REMOVE), message, hint))
            below.pop(name, None)
        for name, value in own.items():
            below[name] = self.merge(below.get(name), value, (*place, name))
        return below

    def _replaces(self, over: Mapping[str, Any], place: tuple[Step, ...]) -> bool:
        value = over.get(REPLACE, False)
        if not isinstance(value, bool):
            self._refuse((*place, REPLACE), f"`{REPLACE}` is `true`, beside what replaces the map")
        return value is True

    def _removed(self, over: Mapping[str, Any], place: tuple[Step, ...]) -> list[str]:
        names = over.get(REMOVE, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._refuse((*place, REMOVE), f"`{REMOVE}` is a list of keys")
            return []
        return names

    def _look(self, value: Any, place: tuple[Step, ...]) -> None:
        """A list replaces a list as a whole: there is nothing in it to merge with."""
        for index, each in enumerate(value if isinstance(value, list) else ()):
            for word in (REMOVE, REPLACE):
                if isinstance(each, dict) and word in each:
                    self._refuse((*place, index, word), f"`{word}` means nothing in a list, which replaces the whole")

    def _refuse(self, place: Place, message: str) -> None:
        self.problems.append(self.overlay.problem("OR103", place, message))


def _says(data: Any, path: Place) -> bool:
    """Whether the overlay has something at this path. What a list of it holds, the overlay holds."""
    for step in path:
        if isinstance(data, dict) and step in data:
            data = data[step]
        elif isinstance(data, list):
            return True
        else:
            return isinstance(data, dict) and data.get(REPLACE) is True
    return bool(path)
