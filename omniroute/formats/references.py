"""Where the references of one schema lead, and which lead in a circle.

Only what stands in the schema itself is found: a gateway does not fetch a stranger's address.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec

from omniroute.formats.keywords import is_schema

SCANNED = 50_000
"""Values looked at to find out which references go in a circle."""

_encode = msgspec.json.Encoder().encode


class References:
    """JSON pointers into a schema. What was found is kept as long as the schema is worked on."""

    def __init__(self, schema: Any) -> None:
        self.schema = schema
        self._scanned = 0
        self._targets: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._onward: dict[str, tuple[str, ...]] = {}
        self._circular: dict[str, bool] = {}

    def target(self, ref: str) -> Any:
        if ref not in self._targets:
            self._targets[ref] = self._find(ref)
        return self._targets[ref]

    def _find(self, ref: str) -> Any:
        if ref != "#" and not ref.startswith("#/"):
            return None
        found = self.schema
        for step in ref[2:].split("/") if ref != "#" else ():
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and len(key) < 7 and int(key) < len(found):
                found = found[int(key)]
            else:
                return None
        return found if is_schema(found) else None

    def size(self, ref: str) -> int:
        if ref not in self._sizes:
            self._sizes[ref] = len(_encode(self.target(ref)))
        return self._sizes[ref]

    def circular(self, ref: str) -> bool:
        """Whether it leads back to itself."""
        if ref not in self._circular:
            seen: set[str] = set()
            waiting = list(self.onward(ref))
            while waiting and ref not in seen:
                one = waiting.pop()
                if one not in seen:
                    seen.add(one)
                    waiting += self.onward(one)
            self._circular[ref] = ref in seen or self._scanned > SCANNED
        return self._circular[ref]

    def onward(self, ref: str) -> tuple[str, ...]:
        """The references within what one refers to."""
        if ref not in self._onward:
            found: dict[str, None] = {}
            waiting = [self.target(ref)]
            while waiting and self._scanned <= SCANNED:
                value = waiting.pop()
                self._scanned += 1
                if isinstance(value, dict):
                    if isinstance(its := value.get("$ref"), str):
                        found[its] = None
                    waiting += value.values()
                elif isinstance(value, list):
                    waiting += value
            self._onward[ref] = tuple(found)
        return self._onward[ref]
