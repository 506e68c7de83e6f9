"""What the writers of a request share: its losses, its cache marks, and how a block of text looks."""

from __future__ import annotations

from omniroute.formats import writing
from omniroute.formats.codec import Fields
from omniroute.formats.ir import CacheMark, Chat

MOST_MARKS = 4
"""Places that one request may mark for the cache."""


class Ledger(writing.Ledger):
    """What was lost on the way, and which places are marked for the cache, in the order of the prompt."""

    def __init__(self, chat: Chat) -> None:
        super().__init__(chat)
        self.marks: list[Fields] = []

    def limit_marks(self) -> None:
        """Keeps the last ones, which cover the longest part of the prompt."""
        surplus = self.marks[:-MOST_MARKS]
        for fields in surplus:
            del fields["cache_control"]
        if surplus:
            self.lose("cache_control", "", f"{len(surplus)} dropped: {MOST_MARKS} places can be marked")


def marked(fields: Fields, mark: CacheMark | None, ledger: Ledger) -> Fields:
    """The fields, with a cache mark where there is one."""
    if mark is not None:
        fields["cache_control"] = {"type": "ephemeral"} | writing.present(ttl=mark.ttl)
        ledger.marks.append(fields)
    return fields


def text_block(text: str) -> Fields:
    return {"type": "text", "text": text}
