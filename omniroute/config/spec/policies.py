"""Rules for the requests that match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from omniroute.config.spec.scenarios import PolicyTestSpec
from omniroute.config.spec.words import Name, Node, Operation, Pattern
from omniroute.policy.models import AllowModels, DenyModels
from omniroute.policy.tokens import MaxTokens


class MatchSpec(Node, frozen=True, kw_only=True):
    """Which requests a policy is for: all conditions hold, and of each one value. An absent condition always holds."""

    keys: Annotated[tuple[Name, ...], Meta(description="Names of keys.")] = ()
    tags: Annotated[Mapping[Name, str], Meta(description="Tags that the key has.", examples=[{"region": "eu"}])] = {}
    models: Annotated[
        tuple[Pattern, ...],
        Meta(description="Models, as asked for or as serving: `provider/model`.", examples=[["openai/*"]]),
    ] = ()
    operations: Annotated[tuple[Operation, ...], Meta(description="What is asked for.")] = ()


class RuleSpec(Node, frozen=True, kw_only=True):
    """One rule: exactly one of these keys."""

    deny_models: Annotated[DenyModels | None, Meta(description="Models that may not serve.")] = None
    allow_models: Annotated[AllowModels | None, Meta(description="The only models that may serve.")] = None
    max_tokens: Annotated[MaxTokens | None, Meta(description="How much may be produced.")] = None

    limit: Annotated[Name | None, Meta(description="A limit that holds, by its name under `limits`.")] = None

    def __post_init__(self) -> None:
        if sum(getattr(self, name) is not None for name in self.__struct_fields__) != 1:
            raise ValueError("a rule has exactly one key")

    @property
    def kind(self) -> str:
        """The one key that is there."""
        return next(name for name in self.__struct_fields__ if getattr(self, name) is not None)


class PolicySpec(Node, frozen=True, kw_only=True):
    """Rules for the requests that match."""

    priority: Annotated[int, Meta(description="Low first; policies of the same number in the order of names.")] = 100
    match: Annotated[MatchSpec, Meta(description="Which requests it is for; all if absent.")] = MatchSpec()
    rules: Annotated[
        tuple[Annotated[RuleSpec, Meta(extra_json_schema={"minProperties": 1, "maxProperties": 1})], ...],
        Meta(
            min_length=1,
            description="What holds for them.",
            examples=[[{"deny_models": {"patterns": ["openai/*"], "reason": "EU data stays in the EU"}}]],
        ),
    ]
    tests: Annotated[
        tuple[PolicyTestSpec, ...],
        Meta(
            description="Scenarios that show what it does, run by `omniroute test`.",
            examples=[[{"given": {"key": "team-a", "model": "openai/gpt-5.4"}, "expect": {"status": 403}}]],
        ),
    ] = ()
