"""How much to think, in the two ways that there are of saying it: an effort, or a budget of tokens."""

from __future__ import annotations

from omniroute.formats.ir import Effort

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
