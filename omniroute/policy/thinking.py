"""How much models think: `thinking_budget`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Mode = Literal["passthrough", "auto", "custom", "adaptive", "effort"]
Level = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


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
    effort: Annotated[Level, Meta(description="How hard to think.")] = "medium"
