"""How much to think, in the two ways that there are of saying it: an effort, or a budget of tokens."""

from __future__ import annotations

from typing import Literal

import msgspec

from omniroute.formats.ir import Chat, Effort, Reasoning, Text

LEVELS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
BUDGETS: dict[Effort, int] = {
    "minimal": 1_024,
    "low": 2_048,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 49_152,
}
"""Tokens of thought at an effort, where only tokens can be given."""
LENGTHS = ((2_048, "low"), (16_384, "medium"))
"""Where there are three efforts, the one whose usual length of thought comes nearest to a budget; more is `high`."""


def within(budget: int) -> Effort:
    """The least effort that needs as many tokens."""
    return next((effort for effort, tokens in BUDGETS.items() if budget <= tokens), "max")


def of_three(budget: int) -> str:
    """The effort nearest to a budget, where there are `low`, `medium` and `high`."""
    return next((effort for limit, effort in LENGTHS if budget <= limit), "high")


Mode = Literal["passthrough", "auto", "custom", "adaptive", "effort"]
MOST = 131_072
"""Tokens of thought that a request may grow to."""
MANY_TURNS, MANY_TOOLS, LONG_TEXT = 10, 3, 2_000
"""More than so many turns, tools, and characters of the last turn are a harder request."""


class Thought(msgspec.Struct, frozen=True):
    """How much an operator wants models to think, instead of what a request says: nothing else (`passthrough`), as the
    model decides (`auto`), `budget` tokens (`custom`), tokens that grow with the request (`adaptive`), or an `effort`."""

    mode: Mode
    budget: int = 0
    effort: Effort = "medium"

    def __str__(self) -> str:
        words = {"custom": f"{self.budget} tokens", "adaptive": f"from {self.effort} on, more for a harder request"}
        return words.get(self.mode, self.effort if self.mode == "effort" else self.mode)

    def wanted(self, chat: Chat) -> Reasoning | None:
        """What the request is to say of thinking."""
        if self.mode == "auto":
            return None
        show = None if chat.reasoning is None else chat.reasoning.show
        if self.mode == "custom":
            return Reasoning(budget=self.budget, show=show) if self.budget else Reasoning(off=True)
        if self.effort == "none":
            return Reasoning(off=True)
        if self.mode == "effort":
            return Reasoning(effort=self.effort, show=show)
        return Reasoning(budget=min(MOST, round(BUDGETS[self.effort] * hardness(chat))), show=show)


def hardness(chat: Chat) -> float:
    """By how much a request is harder than a short question: half as much again for a long conversation and for many
    tools, and a third for a long last turn."""
    last = chat.turns[-1].blocks if chat.turns else ()
    length = sum(len(block.text) for block in last if isinstance(block, Text))
    more = 0.5 * (len(chat.turns) > MANY_TURNS) + 0.5 * (len(chat.tools) > MANY_TOOLS) + 0.3 * (length > LONG_TEXT)
    return 1 + more
