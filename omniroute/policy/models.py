"""Which models may serve: `deny_models` and `allow_models`, by patterns over `provider/model`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct

from omniroute.routing.patterns import compile_pattern

Refuse = Callable[[str], str | None]


class DenyModels(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Refuses targets that match one of the patterns."""

    patterns: Annotated[list[str], Meta(min_length=1, description="Patterns over `provider/model`, `*` for any text.")]
    reason: Annotated[str, Meta(description="What the caller is told.")] = ""

    def refuse(self) -> Refuse:
        matchers = [compile_pattern(pattern).fullmatch for pattern in self.patterns]
        reason = self.reason or "this model is denied"
        return lambda target: reason if any(match(target) for match in matchers) else None


class AllowModels(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Refuses targets that match none of the patterns."""

    patterns: Annotated[list[str], Meta(min_length=1, description="Patterns over `provider/model`, `*` for any text.")]
    reason: Annotated[str, Meta(description="What the caller is told.")] = ""

    def refuse(self) -> Refuse:
        matchers = [compile_pattern(pattern).fullmatch for pattern in self.patterns]
        reason = self.reason or "this model is not among the allowed ones"
        return lambda target: None if any(match(target) for match in matchers) else reason
