"""What a provider says, whatever the wire format: the values that each of them puts into its own words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Spent:
    """Tokens: `prompt` with what was read from or written to a cache, `answer` with reasoning."""

    prompt: int = 11
    answer: int = 7
    cached: int = 0
    written: int = 0
    written_1h: int = 0
    reasoning: int = 0


@dataclass(frozen=True)
class Says:
    """An answer. `finish` is the provider's own word for how it ended; `size` is how many characters a delta has."""

    text: str = ""
    thinking: str = ""
    signature: str = ""
    refusal: str = ""
    calls: tuple[Call, ...] = ()
    finish: str = ""
    stop_sequence: str | None = None
    spent: Spent = field(default=Spent())
    size: int = 5


def pieces(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))
