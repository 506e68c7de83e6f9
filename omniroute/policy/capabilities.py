"""What a model has to be able to do: `require_capability`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from omniroute.routing.tables import Rule, Target

Capability = Literal["tools", "vision", "pdf", "audio_in", "json_schema", "reasoning", "prompt_cache", "web_search"]


class RequireCapability(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Refuses targets that are not known to be able to do all of this."""

    capabilities: Annotated[list[Capability], Meta(min_length=1, description="What the model has to be able to do.")]
    reason: Annotated[str, Meta(description="What the caller is told.")] = ""

    def compiled(self) -> Rule:
        needed, reason = frozenset(self.capabilities), self.reason

        def refuse(target: Target, _time: float) -> str | None:
            lacking = needed - target.facts.capabilities
            return reason or f"it lacks {', '.join(sorted(lacking))}" if lacking else None

        return Rule(kind="require_capability", refuse=refuse)
