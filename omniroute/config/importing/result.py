"""The configuration that an import makes: names that can stand in it, connections, and the secrets that are to be set."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from omniroute.catalog import Catalog
from omniroute.config.importing.source import Part
from omniroute.config.spec.words import is_address, is_name

TYPES = {"anthropic": "anthropic-compatible", "gemini": "gemini-compatible", "ollama": "ollama-compatible"}
"""What a node of one's own is that speaks the format of this provider; others speak OpenAI's."""
_not_name = re.compile(r"[^A-Za-z0-9_.-]+")
_not_variable = re.compile(r"[^A-Za-z0-9]+")
_environment = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?|os\.environ/([A-Za-z_][A-Za-z0-9_]*)")
NO_KEYS = frozenset(
    {"none", "null", "empty", "dummy", "fake", "fake-key", "not-needed", "no-key", "na", "n/a", "ollama", "anything"}
)
"""What people write where a server of their own wants no key."""
SHORT_KEY = 20
"""Characters of a key below which its digest may be guessed."""


class Result:
    """What is made, section by section, as data of the language."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.data: dict[str, Any] = {"version": 1}
        self.to_set: dict[str, str] = {}
        """Variables that have to be set, with what they are to hold."""
        self._variables: dict[str, str] = {}

    def section(self, name: str) -> dict[str, Any]:
        """The objects of a section."""
        made: dict[str, Any] = self.data.setdefault(name, {})
        return made

    # ------------------------------------------------------------------------------------------------------- providers

    def provider(self, name: str, base_url: str = "", *, of: str = "") -> str:
        """A provider of the catalogue, or where it is at another address, a node of one's own; gives its name. `of` is
        what such a node speaks the language of, where that is not `name`."""
        providers = self.section("providers")
        row = self.catalog.providers.get(name)
        base_url = base_url.rstrip("/")
        base_url = "" if row is not None and _same(base_url, row.base_url) else base_url
        if (
            row is not None
            and (of or name) == name
            and providers.get(name, {"base_url": base_url}).get("base_url", "") == base_url
        ):
            providers.setdefault(name, {"base_url": base_url} if base_url else {})
            return name
        base_url = base_url or (row.base_url if row is not None else "")
        for known, spec in providers.items():
            if spec.get("base_url") == base_url and "type" in spec:
                return str(known)
        node = self.free(_slug(name), providers if row is None else {**providers, **self.catalog.providers})
        providers[node] = {"type": TYPES.get(of or name, "openai-compatible"), "base_url": base_url}
        return node

    def connection(self, provider: str, key: str, *, name: str = "", **more: Any) -> str:
        """A connection of a provider with this key, which is a reference, or empty; the same one for the same key."""
        connections = self.section("providers")[provider].setdefault("connections", {})
        wanted = {"api_key": key, **more} if key else dict(more)
        for known, spec in connections.items():
            if spec == wanted:
                return str(known)
        chosen = self.free(_slug(name) or "main", connections)
        connections[chosen] = wanted
        return chosen

    def key_of(self, part: Part, provider: str) -> str:
        """The reference to a provider's key. A literal one is not written anywhere: it becomes a variable to be set, and
        so does one that is missing where the provider needs one."""
        row = self.catalog.providers.get(provider)
        usual = row.env if row is not None and row.env else f"{_variable(provider)}_API_KEY"
        text = part.text
        found = _environment.fullmatch(text)
        if found:
            part.mapped("a reference to the same variable")
            return f"${{env:{found[1] or found[2]}}}"
        if text.lower() in NO_KEYS and (row is None or not row.key_required):
            part.mapped("no key is needed")
            return ""
        if not text:
            if row is None or not row.key_required:
                return ""
            self.to_set.setdefault(usual, f"the key of {provider}")
            return f"${{env:{usual}}}"
        variable = self._variables.get(text)
        if variable is None:
            taken = set(self._variables.values())
            variable = next(each for each in _numbered(usual, "_") if each not in taken)
            self._variables[text] = variable
        self.to_set[variable] = f"the key of {provider} that stands in the source"
        part.lossy(f"a literal key is not copied: set the variable {variable} to it")
        return f"${{env:{variable}}}"

    def caller(self, name: str, part: Part, **more: Any) -> None:
        """A client key, which is kept by its digest; one that is given by reference cannot be."""
        text = part.text
        if _environment.fullmatch(text) or "*" in text or not text:
            part.dropped("only the digest of a key stands here: make one by `omniroute key new`, or digest the old one")
            return
        keys = self.section("keys")
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        if any(spec["digest"] == digest for spec in keys.values()):
            part.dropped("the same key stands here already")
            return
        keys[self.free(_slug(name) or "key", keys)] = {"digest": digest, **more}
        if len(text) < SHORT_KEY:
            part.lossy("as its digest; the key is so short that it can be guessed from that: replace it")
        else:
            part.mapped("as its digest")

    # ----------------------------------------------------------------------------------------------------------- names

    def free(self, name: str, taken: Mapping[str, Any]) -> str:
        """A name like this that is not taken."""
        return next(each for each in _numbered(name, "-") if each not in taken)

    def lead(self, name: str, targets: Sequence[Any], **more: Any) -> None:
        """Makes a name lead to targets: by an alias to one, by a combo to several. A combo whose name the language does
        not have gets another one, and an alias of the old."""
        if len(targets) == 1 and not more.get("always"):
            target = targets[0]["model"] if isinstance(targets[0], dict) else targets[0]
            if target != name:
                self.section("aliases")[name] = target
            return
        more.pop("always", None)
        combos = self.section("combos")
        chosen = name if is_name(name) else self.free(_slug(name) or "combo", combos)
        combos[chosen] = {**more, "targets": list(targets)}
        if chosen != name:
            self.section("aliases")[name] = chosen


def address(text: str) -> str:
    """An address that a provider can have: a literal, or a reference to a variable; empty for what is neither."""
    found = _environment.fullmatch(text)
    if found:
        return f"${{env:{found[1] or found[2]}}}"
    return text.rstrip("/") if is_address(text) else ""


def host_name(text: str) -> str:
    """`https://llm.example.com/v1` → `llm-example-com`."""
    host = _slug((urlsplit(text).hostname or "node").replace(".", "-"))
    return f"node-{host}" if host[:1].isdigit() else host


def slug(text: str) -> str:
    """A text as a name of the language."""
    return _slug(text)


def duration(seconds: float) -> str:
    """`0.5` → `500ms`, `600` → `10m`."""
    thousandths = round(seconds * 1000)
    for size, unit in ((3_600_000, "h"), (60_000, "m"), (1000, "s")):
        if thousandths and thousandths % size == 0:
            return f"{thousandths // size}{unit}"
    return f"{thousandths}ms"


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


def _slug(text: str) -> str:
    return _not_name.sub("-", text).strip("-._")[:60]


def _variable(name: str) -> str:
    text = _not_variable.sub("_", name).strip("_").upper()
    return f"NODE_{text}" if text[:1].isdigit() else text


def _numbered(name: str, between: str) -> Iterator[str]:
    yield name
    number = 1
    while True:
        number += 1
        yield f"{name}{between}{number}"
