"""Thinking that a model writes into its text, `<think>…</think>` before the answer, told as the thinking that it is.

Servers that run open models with a plain template answer so; a quirk of the provider says that this one does. Only tags
at the very start count, for later ones may be what the answer is about.
"""

from __future__ import annotations

from omniroute.formats.codec import Decoder
from omniroute.formats.fold import Message, fold, unfold
from omniroute.formats.ir import BlockStop, Event, Failed, Finish, Start, TextDelta, ThinkingDelta, UsageSeen

OPEN, CLOSE = "<think>", "</think>"
_ASIDE = (Start, UsageSeen)
"""Events that stand beside what is said, and leave open how it begins."""


class Untagged:
    """A `Decoder` over another one, whose text it takes apart. What is held is short, and the spaces before it are kept
    as they came: a piece may be as small as a character, and there may be many."""

    __slots__ = ("_decoder", "_held", "_issuer", "_spaces", "_state")

    def __init__(self, decoder: Decoder, issuer: str) -> None:
        self._decoder = decoder
        self._issuer = issuer
        self._state = "begins"  # then perhaps "opens", "thinks" and "closes", and from then on "speaks"
        self._spaces: list[str] = []
        self._held = ""

    def feed(self, data: bytes) -> list[Event]:
        return self._apart(self._decoder.feed(data))

    def close(self) -> list[Event]:
        return self._apart(self._decoder.close())

    def _apart(self, events: list[Event]) -> list[Event]:
        if self._state == "speaks":
            return events
        out: list[Event] = []
        for event in events:
            if self._state == "speaks" or isinstance(event, _ASIDE):
                out.append(event)
            elif isinstance(event, TextDelta) and event.logprobs is None:
                self._take(event.text, out)
            elif not (isinstance(event, BlockStop) and event.index is None and (self._held or self._spaces)):
                self._let_go(out, ends=isinstance(event, Failed | Finish))
                out.append(event)
        return out

    def _take(self, text: str, out: list[Event]) -> None:
        self._held += text
        if self._state == "begins":
            self._set_aside(self._held.lstrip())
            if not self._held.startswith(OPEN):
                if not OPEN.startswith(self._held):
                    self._let_go(out, ends=False)
                return
            self._state, self._held = "opens", self._held.removeprefix(OPEN)
            self._spaces.clear()
        if self._state == "opens":
            self._held = self._held.lstrip("\n")
            if not self._held:
                return
            self._state = "thinks"
        if self._state == "thinks":
            self._think_on(out)
        if self._state == "closes":
            self._held = self._held.lstrip("\n")
            if self._held:
                self._let_go(out, ends=False)

    def _set_aside(self, rest: str) -> None:
        """Keeps what stands before the rest of what is held, which are spaces."""
        if len(rest) < len(self._held):
            self._spaces.append(self._held[: len(self._held) - len(rest)])
            self._held = rest

    def _think_on(self, out: list[Event]) -> None:
        """Tells of what is held what is certain to be thought, and keeps the rest."""
        thought, closed, rest = self._held.partition(CLOSE)
        sure = len(thought) if closed else len(thought) - _begun(thought)
        said = thought[:sure].rstrip("\n")  # those at the end may be the last ones, which are not part of the thought
        if said:
            self._think(self._spaced(said), out)
            self._held = self._held[len(said) :]
        if closed:
            out.append(BlockStop())
            self._spaces.clear()
            self._state, self._held = "closes", rest
        else:
            self._set_aside(thought[sure:])

    def _think(self, text: str, out: list[Event]) -> None:
        if text:
            out.append(ThinkingDelta(text, issuer=self._issuer))

    def _spaced(self, text: str) -> str:
        """The text with the spaces before it."""
        if not self._spaces:
            return text
        spaces, self._spaces = self._spaces, []
        return "".join(spaces) + text

    def _let_go(self, out: list[Event], *, ends: bool) -> None:
        """What is held, as what it turned out to be: there is no more to come that could tell."""
        held, self._held = self._spaced(self._held), ""
        if self._state == "thinks":
            self._think(held, out)
            if not ends:
                return
        elif held:
            out.append(TextDelta(held))
        self._state = "speaks"


def _begun(text: str) -> int:
    """How many characters at the end may be the beginning of the closing tag."""
    return next((size for size in range(len(CLOSE) - 1, 0, -1) if text.endswith(CLOSE[:size])), 0)


class _Once:
    """A decoder of events that are there already."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def feed(self, data: bytes) -> list[Event]:  # noqa: ARG002 - there is nothing to decode
        return self._events

    def close(self) -> list[Event]:
        return []


def untagged(message: Message, issuer: str) -> Message:
    """A whole answer."""
    return fold(Untagged(_Once(unfold(message)), issuer).feed(b""))
