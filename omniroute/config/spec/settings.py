"""Settings that act on every request, whoever sends it; policies of the same kind do so for some."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from omniroute.config.spec.words import Node
from omniroute.policy.instructions import Position
from omniroute.policy.thinking import Level, Mode


class SystemPromptSpec(Node, frozen=True, kw_only=True):
    """What models are told before all conversations."""

    enabled: Annotated[bool, Meta(description="Whether it is told.")] = False
    prompt: Annotated[str, Meta(max_length=100_000, description="The text.")] = ""
    position: Annotated[
        Position, Meta(description="Before or after what the request says itself, or in place of it.")
    ] = "prepend"


class ThinkingBudgetSpec(Node, frozen=True, kw_only=True):
    """How much models think."""

    mode: Annotated[
        Mode,
        Meta(
            description="`passthrough`: as the request says; `auto`: as the model decides; `custom`: `custom_budget` "
            "tokens; `adaptive`: tokens that grow with the request, from those of `effort` on; `effort`: that effort."
        ),
    ] = "passthrough"
    custom_budget: Annotated[int, Meta(ge=0, le=200_000, description="Tokens of thought; 0 for none.")] = 10_240
    effort: Annotated[Level, Meta(description="How hard to think.")] = "medium"


class SettingsSpec(Node, frozen=True, kw_only=True):
    """What counts for every request."""

    system_prompt: Annotated[SystemPromptSpec, Meta(description="What models are told before all conversations.")] = (
        SystemPromptSpec()
    )
    thinking_budget: Annotated[ThinkingBudgetSpec, Meta(description="How much models think.")] = ThinkingBudgetSpec()
