"""Rules for the requests that match."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from omniroute.config.spec.scenarios import PolicyTestSpec
from omniroute.config.spec.words import Headers, Name, Network, Node, Operation, Pattern
from omniroute.policy.capabilities import RequireCapability
from omniroute.policy.conditions import Trait
from omniroute.policy.hours import Schedule, Window
from omniroute.policy.instructions import SystemPrompt
from omniroute.policy.models import AllowModels, DenyModels
from omniroute.policy.redact import Redact
from omniroute.policy.routes import PreferProviders, RouteTo
from omniroute.policy.thinking import ThinkingBudget
from omniroute.policy.tokens import MaxTokens


class TokensSpec(Node, frozen=True, kw_only=True):
    """How long the prompt is, as it is estimated here."""

    min: Annotated[int, Meta(ge=0, description="Tokens of the shortest.")] | None = None
    max: Annotated[int, Meta(ge=0, description="Tokens of the longest.")] | None = None


class MatchSpec(Node, frozen=True, kw_only=True):
    """Which requests a policy is for: all conditions hold, and of each one value. An absent condition always holds."""

    keys: Annotated[tuple[Name, ...], Meta(description="Names of keys.")] = ()
    tags: Annotated[
        Mapping[Name, str], Meta(description="Tags that the key has, all of them.", examples=[{"region": "eu"}])
    ] = {}
    models: Annotated[
        tuple[Pattern, ...],
        Meta(description="Models, as asked for or as serving: `provider/model`.", examples=[["openai/*"]]),
    ] = ()
    operations: Annotated[tuple[Operation, ...], Meta(description="What is asked for.")] = ()
    clients: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=256, description="A kind of client, or a pattern.")], ...],
        Meta(
            description="Programs, by their User-Agent: a kind that is known here, or a pattern with `*` over all of it.",
            examples=[["claude-code", "codex", "my-agent/*"]],
        ),
    ] = ()
    ips: Annotated[
        tuple[Network, ...], Meta(description="Where callers are.", examples=[["10.0.0.0/8", "2001:db8::/32"]])
    ] = ()
    time: Annotated[Window | None, Meta(description="When it is.")] = None
    tokens: Annotated[TokensSpec | None, Meta(description="How long the prompt is.")] = None
    has: Annotated[tuple[Trait, ...], Meta(description="What the request has, all of it.")] = ()


class RuleSpec(Node, frozen=True, kw_only=True):
    """One rule: exactly one of these keys."""

    deny_models: Annotated[DenyModels | None, Meta(description="Models that may not serve.")] = None
    allow_models: Annotated[AllowModels | None, Meta(description="The only models that may serve.")] = None
    require_capability: Annotated[
        RequireCapability | None, Meta(description="What a model has to be able to do to serve.")
    ] = None
    schedule: Annotated[Schedule | None, Meta(description="When requests are served.")] = None
    route_to: Annotated[RouteTo | None, Meta(description="What serves instead of what was asked for.")] = None
    prefer_providers: Annotated[PreferProviders | None, Meta(description="Who is tried first.")] = None
    max_tokens: Annotated[MaxTokens | None, Meta(description="How much may be produced.")] = None
    system_prompt: Annotated[SystemPrompt | None, Meta(description="What the model is told before.")] = None
    thinking_budget: Annotated[ThinkingBudget | None, Meta(description="How much the model thinks.")] = None
    redact: Annotated[Redact | None, Meta(description="What is taken out of requests and answers.")] = None
    set_headers: Annotated[
        Headers | None,
        Meta(description="Headers of the request to the provider, whoever else sets them.", examples=[{"x-team": "a"}]),
    ] = None

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
    mode: Annotated[
        Literal["enforce", "shadow"],
        Meta(description="Whether it acts, or only tells that it would: in `X-OmniRoute-Shadow` and when explained."),
    ] = "enforce"
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
