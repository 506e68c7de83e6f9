"""What the writers of a request share: its losses, and how a part of text looks."""

from __future__ import annotations

from typing import Any

from omniroute.formats.codec import Fields
from omniroute.formats.ir import Block, CacheMark, Loss, Opaque


class Ledger:
    """What was lost on the way."""

    def __init__(self) -> None:
        self.losses: list[Loss] = []
        self._marked = False

    def lose(self, code: str, path: str, what: str) -> None:
        self.losses.append(Loss(code, path, what))

    def mark(self, mark: CacheMark | None, path: str) -> None:
        """A place that was to be cached; told once, for they are many."""
        if mark is not None and not self._marked:
            self._marked = True
            self.lose("cache_control", path, "dropped: caching is automatic here")


def text_part(text: str) -> Fields:
    return {"text": text}


def present(**fields: Any) -> Fields:
    return {name: value for name, value in fields.items() if value is not None}


def code(block: Block) -> str:
    return block.type if isinstance(block, Opaque) else type(block).__name__.lower()
