"""Which models may serve: `deny_models` and `allow_models`, by patterns over `provider/model`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct

from omniroute.routing.patterns import matcher
from omniroute.routing.tables import Rule, Target

Patterns = Annotated[list[str], Meta(min_length=1, description="Patterns over `provider/model`, `*` for any text.")]


class DenyModels(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Refuses targets that match one of the patterns."""

    patterns: Patterns
    reason: Annotated[str, Meta(description="What the caller is told.")] = ""

    def compiled(self) -> Rule:
        matches, reason = _any_of(self.patterns), self.reason or "this model is denied"

        def refuse(target: Target, _time: float) -> str | None:
            return reason if matches(target.id) else None

        return Rule(kind="deny_models", refuse=refuse)


class AllowModels(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Refuses targets that match none of the patterns."""

    patterns: Patterns
    reason: Annotated[str, Meta(description="What the caller is told.")] = ""

    def compiled(self) -> Rule:
        matches, reason = _any_of(self.patterns), self.reason or "this model is not among the allowed ones"

        def refuse(target: Target, _time: float) -> str | None:
            return None if matches(target.id) else reason

        return Rule(kind="allow_models", refuse=refuse)


def _any_of(patterns: list[str]) -> Callable[[str], bool]:
    matchers = [matcher(pattern) for pattern in patterns]
    return matchers[0] if len(matchers) == 1 else lambda name: any(matches(name) for matches in matchers)
