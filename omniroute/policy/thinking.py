"""How much models think: `thinking_budget`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from omniroute.formats.effort import Mode, Thought
from omniroute.formats.ir import Effort
from omniroute.routing.tables import Orders, Rule


class ThinkingBudget(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Says how much the model thinks, whatever the request says."""

    mode: Annotated[
        Mode,
        Meta(
            description="`passthrough`: as the request says; `auto`: as the model decides; `custom`: `custom_budget` "
            "tokens; `adaptive`: tokens that grow with the request, from those of `effort` on; `effort`: that effort."
        ),
    ]
    custom_budget: Annotated[int, Meta(ge=0, le=200_000, description="Tokens of thought; 0 for none.")] = 10_240
    effort: Annotated[Effort, Meta(description="How hard to think.")] = "medium"

    def compiled(self) -> Rule:
        thought = Thought(self.mode, self.custom_budget, self.effort)
        return Rule(kind="thinking_budget", says=f"thinks: {thought}", orders=Orders(thinking=thought))
