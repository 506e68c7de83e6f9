"""How much a model shall think, in the words that it knows: a level for newer models, tokens for older ones.

Other formats know efforts, and some a budget; each becomes the other by a table. Thoughts are shown to who asked for
thinking, unless they said that they do not want to see them.
"""

from __future__ import annotations

from omniroute.formats.codec import Fields
from omniroute.formats.effort import BUDGETS, LEVELS, within
from omniroute.formats.gemini.models import Traits
from omniroute.formats.ir import Effort, Reasoning
from omniroute.formats.writing import Ledger

DYNAMIC = -1
"""The budget of a model that shall decide itself."""


def write(asked: Reasoning, known: Traits, ledger: Ledger) -> Fields:
    """`thinkingConfig`, or nothing where the model does not think."""
    off = asked.off or asked.effort == "none"
    if not known.levels and known.budget is None:
        if not off:
            ledger.lose("thinking", "reasoning", "dropped: the model does not think, or cannot be told how much")
        return {}
    told = _level(asked, known, ledger, off=off) if known.levels else _budget(asked, known, ledger, off=off)
    if not off and asked.show != "omitted":
        told["includeThoughts"] = True
    return {"thinkingConfig": told} if told else {}


def _level(asked: Reasoning, known: Traits, ledger: Ledger, *, off: bool) -> Fields:
    least = known.levels[0]
    if off:
        ledger.lose("thinking_off", "reasoning", f"became level {least!r}: the model always thinks")
        return {"thinkingLevel": least}
    effort = asked.effort
    if effort is None and asked.budget is not None:
        effort = _nearest(within(asked.budget), known)
        ledger.lose("thinking_budget", "reasoning.budget", f"{asked.budget} tokens became level {effort!r}")
    if effort is None:
        return {}
    level = _nearest(effort, known)
    if level != effort:
        ledger.lose("reasoning_effort", "reasoning.effort", f"{effort!r} became {level!r}")
    return {"thinkingLevel": level}


def _budget(asked: Reasoning, known: Traits, ledger: Ledger, *, off: bool) -> Fields:
    assert known.budget is not None
    least, most = known.budget
    if off:
        if known.off:
            return {"thinkingBudget": 0}
        ledger.lose("thinking_off", "reasoning", f"became {least} tokens: the model always thinks")
        return {"thinkingBudget": least}
    if asked.budget is not None:
        budget = min(max(asked.budget, least), most)
        if budget != asked.budget:
            ledger.lose("thinking_budget", "reasoning.budget", f"{asked.budget} became {budget} tokens")
        return {"thinkingBudget": budget}
    if asked.effort is not None:
        return {"thinkingBudget": min(max(BUDGETS[asked.effort], least), most)}
    return {"thinkingBudget": DYNAMIC} if asked.adaptive else {}


def _nearest(effort: Effort, known: Traits) -> Effort:
    """The level that the model knows, the higher one of two that are as near."""
    place = LEVELS.index(effort)
    return min(known.levels, key=lambda level: (abs(LEVELS.index(level) - place), -LEVELS.index(level)))
