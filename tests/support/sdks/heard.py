"""What a client understood: an answer, or a failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from support.providers.says import Spent


@dataclass
class Heard:
    """An answer. `calls` are (id, name, arguments); `models` are all names that it was given under; `said` is the
    answer as the SDK gives it back to be sent again."""

    text: str = ""
    thinking: str = ""
    signatures: list[str] = field(default_factory=list)
    refusal: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    finish: str | None = None
    stop_sequence: str | None = None
    spent: Spent | None = None
    models: set[str] = field(default_factory=set)
    headers: Mapping[str, str] = field(default_factory=dict)
    said: Any = None


@dataclass
class Failed:
    """A failure: the SDK's exception by its name, and what of it can be told."""

    name: str
    status: int | None
    message: str
    type: str | None = None
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def headers_of(client: Any) -> Callable[[], Mapping[str, str]]:
    """The headers of the last answer that a client of httpx had, for SDKs that do not show them. Names are in small
    letters."""
    last: dict[str, str] = {}

    def note(response: Any) -> None:
        last.clear()
        last.update({name.lower(): value for name, value in response.headers.items()})

    client.event_hooks["response"] = [note]
    client.event_hooks = client.event_hooks
    return lambda: dict(last)
