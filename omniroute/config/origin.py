"""Where a value of the configuration comes from: a place in a file, the environment, or the language's own default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from omniroute.config.bundle import Bundle
from omniroute.config.secrets import Environment
from omniroute.config.spec.words import reference
from omniroute.document import Step, is_secret_name, masked

HIDDEN = "<hidden>"
FINGERPRINT = len("sha256:") + 8
"""Characters of a digest that are shown."""
_FREE = frozenset({"tags", "aliases"})
"""Maps whose keys are anybody's own words, and say nothing of what the values are."""
VARIABLES: Mapping[tuple[Step, ...], tuple[str, str]] = {
    ("server", "port"): ("port", "PORT"),
    ("auth", "require_api_key"): ("require_api_key", "REQUIRE_API_KEY"),
}
"""The settings that a variable stands in for, with its field in `Environment`."""


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """A value and whose it is. `where` is `file:line:col`, or the name of the variable."""

    path: str
    value: Any
    source: Literal["file", "environment", "default"]
    where: str = ""


def origin(bundle: Bundle, path: str, environment: Environment) -> Origin | None:
    """Of a value by its path, with dots between the names (`server.port`, `combos.coding.targets.0`); None where the
    language has no such thing, or the configuration nothing of that name."""
    found = _walk(bundle.spec, path)
    if found is None:
        return None
    place, value = found
    shown = _shown(place, value)
    field, variable = VARIABLES.get(place, ("", ""))
    said = getattr(environment, field) if field else None
    if said is not None:
        return Origin(path, said, "environment", variable)
    if _walk(bundle.document(place).data, path) is None:
        return Origin(path, shown, "default")
    file, line, col = bundle.locate(place)
    return Origin(path, shown, "file", f"{file}:{line}:{col}")


def _walk(value: Any, path: str) -> tuple[tuple[Step, ...], Any] | None:
    """The steps of a path and the value at its end. A name may have dots in it: the longest that fits is meant."""
    if not path:
        return (), value
    for name, below in sorted(_children(value), key=lambda child: -len(str(child[0]))):
        text = str(name)
        if path == text or path.startswith(f"{text}."):
            found = _walk(below, path[len(text) + 1 :])
            if found is not None:
                return (name, *found[0]), found[1]
    return None


def _children(value: Any) -> Sequence[tuple[Step, Any]]:
    if isinstance(value, msgspec.Struct):
        return [(name, getattr(value, name)) for name in value.__struct_fields__]
    if isinstance(value, Mapping):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list | tuple) else []


def _shown(place: tuple[Step, ...], value: Any) -> Any:
    """As it is written; the one credential that may stand in a file, the password's hash, is not shown."""
    return veiled(str(place[-1]) if place else "", msgspec.to_builtins(value))


def veiled(name: str, value: Any) -> Any:
    """A value of this name as it may be shown: without what stands where a secret belongs, unless it is a reference, and
    without what looks like one; of a digest, enough to tell it from others."""
    if isinstance(value, dict):
        return {key: veiled("" if name in _FREE else str(key), each) for key, each in value.items()}
    if isinstance(value, list):
        return [veiled(name, each) for each in value]
    if not isinstance(value, str):
        return value
    if is_secret_name(name) and reference(value) is None:
        return HIDDEN
    return f"{value[:FINGERPRINT]}…" if name == "digest" and len(value) > FINGERPRINT else masked(value)
