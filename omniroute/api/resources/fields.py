"""From the fields of a body to the keys of the file, where they differ by spelling alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from omniroute.config.spec.words import seconds
from omniroute.errors import Unprocessable

Maybe = UnsetType | None
"""What a field of a body may be besides its value: left out, or to go."""


def applied(old: Any, body: msgspec.Struct, *names: str) -> dict[str, Any]:
    """The data of a thing with those fields of a body that have its keys' names."""
    return changed(old, {name: getattr(body, name) for name in names})


def changed(old: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The data with other values: what is UNSET stays, None and what is empty and was not there goes."""
    data = dict(old) if isinstance(old, dict) else {}
    for name, value in values.items():
        if value is UNSET:
            continue
        if value is None or (value in ([], {}) and name not in data):
            data.pop(name, None)
        else:
            data[name] = value
    return data


def milliseconds(text: str) -> int:
    """`1.5s` → 1500."""
    return round(seconds(text) * 1000)


def duration(ms: float | UnsetType | None) -> Any:
    """1500 → `1500ms`, 2000 → `2s`, as a person would write it."""
    if ms is UNSET or ms is None:
        return ms
    assert isinstance(ms, int | float)
    if ms < 0 or ms >= 10**11:
        raise Unprocessable(f"{ms:g} ms is no duration that can be set.", code="invalid_duration")
    whole = round(ms)
    if whole == 0:
        return "0s"
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}ms"
