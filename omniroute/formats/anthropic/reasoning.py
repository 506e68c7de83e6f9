"""How much a model shall think, in the words that it knows: `thinking` and `output_config.effort`.

Newer models decide themselves and are told an effort; older ones are given a number of tokens. Other formats know
efforts only, so for those that number comes from a table. A forced tool excludes thinking, and so does a conversation
of tools that began without any (only where a number is given); both matter more than how much is thought.
"""

from __future__ import annotations

from omniroute.formats.anthropic.head import NAME
from omniroute.formats.anthropic.models import Traits
from omniroute.formats.anthropic.writing import Ledger
from omniroute.formats.codec import Fields
from omniroute.formats.effort import BUDGETS, within
from omniroute.formats.ir import Chat, Reasoning
from omniroute.formats.writing import present

LEAST = 1_024
"""The smallest budget there is."""


def thinks(fields: Fields) -> bool:
    return "thinking" in fields and fields["thinking"]["type"] in ("enabled", "adaptive")


def write(chat: Chat, asked: Reasoning, fields: Fields, known: Traits, ledger: Ledger, *, unsigned: bool) -> Fields:
    """The fields that say how to think. `unsigned` tells that the last turn called tools without a signed thought."""
    if asked.off or asked.effort == "none":
        return _off(asked, known, ledger)
    out: Fields = {}
    effort = _effort(asked, known, ledger)
    if effort is not None:
        out["output_config"] = {"effort": effort}
    if asked.adaptive or asked.budget is not None or chat.vendor_format != NAME:
        thinking = _thinking(asked, fields, known, ledger, unsigned=unsigned)
        if thinking is not None:
            out["thinking"] = thinking | present(display=asked.show)
    return out


def _off(asked: Reasoning, known: Traits, ledger: Ledger) -> Fields:
    if not known.off:
        ledger.lose("thinking_off", "reasoning", "dropped: the model always thinks")
        return {}
    effort = asked.effort if asked.effort in known.effort else None
    return {"thinking": {"type": "disabled"}} | present(output_config={"effort": effort} if effort else None)


def _effort(asked: Reasoning, known: Traits, ledger: Ledger) -> str | None:
    """The level that the model knows, for what was asked as a level or, where it takes none, as a number."""
    effort = asked.effort
    if effort is None and asked.budget is not None and not known.budget and known.effort:
        effort = within(asked.budget)
        ledger.lose("thinking_budget", "reasoning.budget", f"{asked.budget} tokens became effort {effort!r}")
    if effort is None:
        return None
    if not known.effort:
        if not known.budget:
            ledger.lose("reasoning_effort", "reasoning.effort", "dropped: the model does not think")
        return None
    if effort in known.effort:
        return effort
    nearest = "low" if effort == "minimal" else "high"
    ledger.lose("reasoning_effort", "reasoning.effort", f"{effort!r} became {nearest!r}")
    return nearest


def _thinking(asked: Reasoning, fields: Fields, known: Traits, ledger: Ledger, *, unsigned: bool) -> Fields | None:
    by_budget = known.budget and (asked.budget is not None or not known.adaptive)
    if not by_budget and not known.adaptive:
        if asked.effort is None:
            ledger.lose("thinking", "reasoning", "dropped: the model does not think")
        return None
    if fields.get("tool_choice", {}).get("type") in ("any", "tool"):
        ledger.lose("thinking", "reasoning", "dropped: a forced tool excludes thinking")
        return None
    if not by_budget:
        return {"type": "adaptive"}
    if unsigned:
        ledger.lose("thinking", "reasoning", "dropped: the turn that goes on began without thinking of Anthropic's")
        return None
    return _enabled(asked, fields["max_tokens"], ledger)


def _enabled(asked: Reasoning, limit: int, ledger: Ledger) -> Fields | None:
    """Thinking within a budget, which leaves a quarter of the limit for the answer if it is not the caller's own."""
    wanted = BUDGETS[asked.effort or "medium"] if asked.budget is None else asked.budget
    budget = max(LEAST, wanted if wanted < limit and asked.budget is not None else min(wanted, limit * 3 // 4))
    if budget >= limit:
        ledger.lose("thinking", "reasoning", f"dropped: an answer of {limit} tokens leaves no room for it")
        return None
    if asked.budget is not None and budget != asked.budget:
        ledger.lose("thinking_budget", "reasoning.budget", f"{asked.budget} became {budget} tokens")
    return {"type": "enabled", "budget_tokens": budget}
